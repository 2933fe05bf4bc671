// Controllers: everything that keeps objects in step with one another, in the node's process. Loop thread only.
#pragma once

#include <memory>

#include "node/controllers/deployment.h"
#include "node/controllers/endpoints.h"
#include "node/controllers/events.h"
#include "node/controllers/namespace_defaults.h"
#include "node/controllers/node_status.h"
#include "node/controllers/replicaset.h"
#include "node/controllers/service_status.h"

namespace fairlead::node {

struct ControllersOptions {
  BalancerAddresses* balancers = nullptr;  // of Services of type LoadBalancer; null: they stay without an address
  std::string runtime_version = "fairlead://0.1.0";
  std::string ca_pem;  // of the API server's certificate
};

class Controllers {
 public:
  Controllers(io::Loop& loop, store::Store& store, api::Client& client, EventRecorder& events, const ControllersOptions& options)
      : replica_sets_(loop, store, client, events), deployments_(loop, store, client, events), endpoints_(loop, store, client),
        service_status_(loop, store, client, events, options.balancers), node_status_(loop, store, client, options.runtime_version),
        namespace_defaults_(loop, store, client, options.ca_pem) {}

 private:
  ReplicaSetController replica_sets_;
  DeploymentController deployments_;
  EndpointsController endpoints_;
  ServiceStatusController service_status_;
  NodeStatus node_status_;
  NamespaceDefaults namespace_defaults_;
};

}  // namespace fairlead::node
