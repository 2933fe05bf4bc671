// ServiceStatusController: writes where a Service of type LoadBalancer is reached from the host, and says in an event when it
// is not. Loop thread only. Owner: Controllers.
#pragma once

#include <memory>

#include "api/client.h"
#include "node/controllers/events.h"
#include "node/controllers/reconciler.h"
#include "node/node.h"

namespace fairlead::node {

class ServiceStatusController {
 public:
  ServiceStatusController(io::Loop& loop, store::Store& store, api::Client& client, EventRecorder& events, BalancerAddresses* balancers);

 private:
  base::Status reconcile(const ObjectName& name);

  store::Store& store_;
  api::Client& client_;
  EventRecorder& events_;
  BalancerAddresses* balancers_;
  Reconciler queue_;
  std::unique_ptr<Watch> services_;
};

}  // namespace fairlead::node
