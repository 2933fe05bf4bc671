// xDS protobuf -> the immutable objects of config/model.h.
//
// Main thread only. A resource is taken whole or refused whole: an Error carries the field path in `where`
// ("virtual_hosts[3].routes[0].match.safe_regex") and the remedy in `message`. Fields that are not acted on and do not
// change traffic are counted and named in warnings().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "proxy/config/model.h"

namespace envoy::config {
namespace bootstrap::v3 {
class Bootstrap;
}
namespace route::v3 {
class RouteConfiguration;
}
namespace listener::v3 {
class Listener;
}
namespace cluster::v3 {
class Cluster;
}
namespace endpoint::v3 {
class ClusterLoadAssignment;
}
}  // namespace envoy::config

namespace fairlead::proxy {

// What dynamic_resources names.
struct DynamicSources {
  std::optional<DiscoverySource> clusters, listeners;
  std::optional<DiscoverySource> ads;     // the aggregated stream's own server
};

class Compiler {
 public:
  explicit Compiler(ClusterNames& names) : names_(names) {}

  base::Result<std::shared_ptr<const RouteTable>> route(const envoy::config::route::v3::RouteConfiguration& from, const std::string& version);
  base::Result<std::shared_ptr<const ListenerConfig>> listener(const envoy::config::listener::v3::Listener& from, const std::string& version);
  // `previous` hands its breakers' counters and the hosts of a STATIC cluster on to the new version.
  base::Result<std::shared_ptr<const ClusterConfig>> cluster(const envoy::config::cluster::v3::Cluster& from, const std::string& version,
                                                             const ClusterConfig* previous);
  // Hosts that `previous` has by address and priority keep their identity.
  base::Result<std::shared_ptr<const EndpointSet>> endpoints(const envoy::config::endpoint::v3::ClusterLoadAssignment& from,
                                                             const EndpointSet* previous);

  // The fields of a bootstrap outside of its static resources; before anything else is compiled.
  base::Result<DynamicSources> bootstrap(const envoy::config::bootstrap::v3::Bootstrap& from);

  // Who this proxy is; set before anything is compiled.
  std::string node_id;
  Workload self;
  bool ads_by_options = false;            // the aggregated stream is not the bootstrap's: its ads_config may be missing
  std::map<std::string, std::string, std::less<>> static_secrets;  // the bootstrap's, by name: serialized
  std::set<std::string> grpc_clusters;    // those that servers of discovery are reached by

  // Fields that are set and not acted on, as "Cluster.metadata: reason", with how often they were met.
  const std::map<std::string, uint64_t>& warnings() const { return warnings_; }

  std::map<std::string, std::weak_ptr<TlsSource>> tls_sources;  // of compile_tls.cc

 private:
  friend struct CompileContext;
  void warn(const std::string& field, bool loud = true);
  ClusterNames& names_;
  std::map<std::string, uint64_t> warnings_;
};

}  // namespace fairlead::proxy
