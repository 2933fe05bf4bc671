// Admission: what the API server itself adds to an object or refuses, beyond what the kind's tables say.
//
// Namespace life cycle, ServiceAccount of a pod, addresses of a Service, initial status. Loop thread only; reads the
// store, writes only the object it is given. Source: Kubernetes' admission plugins and registry strategies.
#pragma once

#include <string>

#include "api/status.h"
#include "base/value.h"
#include "mesh/validate.h"
#include "store/store.h"

namespace fairlead::api {

struct ServiceRange {
  std::string prefix = "10.96.";  // /16
  std::string api_server = "10.96.0.1", dns = "10.96.0.10";  // reserved
  int first_node_port = 30000, last_node_port = 32767;
};

class Admission {
 public:
  Admission(store::Store& store, ServiceRange range) : store_(store), range_(std::move(range)) {}

  // Before anything else on a create: the namespace is there and not going away.
  Outcome<void> namespace_open(const mesh::Kind& kind, std::string_view ns, std::string_view name) const;
  // Status and spec as a new object of this kind begins with.
  void begin(const mesh::Kind& kind, base::Value& object) const;
  // Kinds' own rules after defaulting; `old` nullptr on a create. Idempotent: it runs again after webhooks.
  // Problems join those of validation.
  Outcome<mesh::Problems> admit(const mesh::Kind& kind, base::Value& object, const base::Value* old) const;

 private:
  Outcome<void> admit_pod(base::Value& pod) const;
  mesh::Problems admit_service(base::Value& service, const base::Value* old) const;
  mesh::Problems allocate_cluster_ip(base::Value& service) const;
  mesh::Problems allocate_node_ports(base::Value& service) const;

  store::Store& store_;
  ServiceRange range_;
};

// What a namespace brings along: ServiceAccount default and ConfigMap kube-root-ca.crt.
base::Value default_service_account(std::string_view ns);
base::Value root_ca_config_map(std::string_view ns, std::string_view ca_pem);

}  // namespace fairlead::api
