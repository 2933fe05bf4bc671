// Context: what the generators share while they work for one proxy. Internal to discovery/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control/snapshot.h"

namespace fairlead::control {

class Context {
 public:
  Context(SnapshotPtr snapshot, Proxy proxy);

  const Snapshot& snapshot() const { return *snapshot_; }
  const Proxy& proxy() const { return proxy_; }
  const Labels& labels() const { return labels_; }
  // Services this proxy may see, one a host (its own namespace's first), oldest first. ExternalName ones are left out.
  const std::vector<ServicePtr>& services() const { return services_; }
  // VirtualServices for the gateway "mesh" that it may see.
  const std::vector<ConfigPtr>& virtual_services() const { return virtual_services_; }
  // nullptr when there is no such host, or none to be seen. ExternalName hosts too.
  const Service* find(std::string_view host) const;
  bool registry_only() const { return registry_only_; }
  const std::string& domain() const { return proxy_.dns_domain; }

 private:
  SnapshotPtr snapshot_;
  Proxy proxy_;
  Labels labels_;
  std::vector<ServicePtr> services_;
  std::unordered_map<std::string, ServicePtr> by_host_;
  std::vector<ConfigPtr> virtual_services_;
  bool registry_only_ = false;
};

// "outbound|9080|v1|reviews.default.svc.cluster.local"
std::string cluster_name(std::string_view direction, int port, std::string_view subset, std::string_view host);
// The parts of such a name; nothing when it is none.
struct ClusterKey {
  std::string direction, subset, host;
  int port = 0;
  bool sni = false;  // spelled as a server name: of a gateway that passes mutual TLS on (AUTO_PASSTHROUGH)
};
std::optional<ClusterKey> parse_cluster_name(std::string_view name);

// The cluster a Destination means, seen from a listener on `listener_port`. Without a port of its own: the only port of
// the service when infer_port, else the listener's.
std::string destination_cluster(const Context& context, const base::Value& destination, int listener_port, bool infer_port = true);

// "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews"
std::string config_path(const Config& config);

}  // namespace fairlead::control
