// ConfigManager: what the proxy is configured with: static resources, xDS updates, DNS answers, ejections. Compiles them,
// warms them, and sends workers what changed.
//
// Main thread only; owned by the Server.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/value.h"
#include "io/resolver.h"
#include "proxy/config/compile.h"
#include "proxy/discovery_streams.h"
#include "proxy/file_config.h"
#include "proxy/flow/flow_config.h"
#include "proxy/secrets.h"
#include "proxy/upstream/health_checker.h"
#include "proxy/upstream/outlier.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"
#include "xds/client.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace fairlead::proxy {

class ConfigManager final : public xds::ClientSink {
 public:
  struct Hooks {
    std::function<void(ConfigUpdate, const std::vector<ConfigUpdate::NewListener>&, const std::vector<std::vector<int>>& fds)> send;
    std::function<void(ClusterId)> hosts_changed;
    // What the workers counted for the hosts of a cluster since the last call, for outlier detection. `done` runs later.
    std::function<void(ClusterId, std::function<void(std::unordered_map<const Host*, HostCounters>)> done)> count_hosts;
    std::function<void(const std::string& path, std::string line)> log;  // health check events
    int socket_mark = 0;
    std::function<void()> ready_changed;
    unsigned workers = 1;
    bool bind = true;               // false: validate only
    std::function<std::string(const base::Error&)> explain;  // with file and line, for the log; may be empty
    std::string local_sds_cluster;  // secrets of this gRPC cluster come from this process (put_local of secrets())
    std::function<void(const std::string& name)> local_secret_wanted;
    xds::NodeIdentity node;         // as streams of discovery give it
    bool ads = false;               // there will be an aggregated stream
    bool ads_by_options = false;    // it is not the bootstrap's; clusters and listeners come by it as the next two say
    bool ads_clusters = true, ads_listeners = true;
  };
  ConfigManager(io::Loop& loop, Hooks hooks);
  ~ConfigManager();

  // Errors name the field path. Sends the first update.
  base::Status load_static(const envoy::config::bootstrap::v3::Bootstrap& bootstrap);
  // After load_static(): subscribes to clusters and listeners where the bootstrap says that they come from, and to endpoints
  // and routes as they are referred to. ads: the aggregated stream, if there is one. An error: a file can't be watched, or
  // was refused.
  base::Status start_discovery(xds::AdsClient* ads);
  // How the gRPC server of a source is reached: by its cluster, one endpoint after the other, with the cluster's transport
  // socket, time to connect and socket options. Nothing: no static cluster has that name.
  std::optional<xds::AdsOptions> reach(const DiscoverySource& from);
  const std::optional<DiscoverySource>& ads_source() const { return sources_.ads; }  // the bootstrap's, after load_static()
  bool by_stream() const;           // clusters or listeners come by a stream

  base::Status on_update(const xds::ReceivedUpdate& update) override;  // of the aggregated stream
  void on_stream(bool up, std::string_view reason) override;

  void eject(ClusterId cluster, HostPtr host, Ejection kind);   // posted by workers too

  // Everything that was asked for has come once.
  bool initialized() const;
  bool listeners_received() const { return lds_.received || !lds_.wanted; }
  bool clusters_received() const { return cds_.received || !cds_.wanted; }

  // --- for the admin pages
  struct Resource {
    std::string bytes;              // as received
    std::string version;
    base::WallTime updated;
    bool dynamic = false;
  };
  // What came of asking for something, under Envoy's names: update_attempt and so on.
  struct Updates {
    uint64_t attempt = 0, success = 0, failure = 0, rejected = 0, empty = 0, no_rebuild = 0, fetch_timeout = 0;
    std::string version;
    base::WallTime at{};            // of the last that was taken
    void taken(const std::string& version);
    void add(StatsSnapshot& into, const std::string& prefix) const;      // the counters that all kinds of updates have
    void add_discovery(StatsSnapshot& into, const std::string& prefix) const;  // and those of subscriptions
  };
  struct ClusterState {
    std::shared_ptr<const ClusterConfig> config;
    std::shared_ptr<const ClusterConfig> serving;   // what the workers have: the one before, while `config` waits for secrets
    std::shared_ptr<const EndpointSet> endpoints;
    Resource source;
    bool warm = false;              // sent to the workers
    bool found = false;             // what discovery has to say was said; secrets may be missing
    bool pending = false;           // config is not with the workers yet
    bool checks_wait = false;       // health checks have not begun: secrets are missing
    uint64_t membership_changes = 0;
    uint64_t ejections_total = 0, ejections_overflow = 0;
    uint64_t ejections_of_old = 0;  // ejections_total, which Envoy deprecated: of the first kinds alone, enforced or not
    uint64_t detected[kEjectionKinds] = {}, enforced[kEjectionKinds] = {};
    std::shared_ptr<const EndpointSet> assigned;  // as configured; `endpoints` has hosts that are kept because they are well, too
    std::vector<std::unique_ptr<HealthChecker>> checkers;
    std::unique_ptr<io::Timer> outlier_timer, fetch_timer;
    std::unique_ptr<io::Timer> dns_timer;
    uint32_t dns_failures_in_a_row = 0;
    std::map<size_t, std::vector<io::Address>> dns_answers;   // by target
    // Names that do not resolve, by target: when it was said last, and whether it is so now.
    struct Unresolved {
      base::TimePoint said{};
      bool now = false;
    };
    std::map<size_t, Unresolved> unresolved;
    Updates updates;                // of endpoints, or of addresses
  };
  struct ListenerState {
    std::shared_ptr<const ListenerConfig> config;
    Resource source;
    bool active = false;            // sent to the workers
    std::string error;              // of the last refused update
  };
  struct RouteState {
    std::shared_ptr<const RouteTable> table;
    Resource source;
  };
  const std::map<std::string, std::unique_ptr<ClusterState>>& clusters() const { return clusters_; }
  // Of the bootstrap, what the machine did not let be: a port that is taken, a file that can't be read. The rest serves.
  struct LeftOut {
    bool listener = false;          // else a cluster
    std::string name, error;
    Resource source;
  };
  const std::vector<LeftOut>& left_out() const { return left_out_; }
  const std::map<std::string, ListenerState>& listeners() const { return listeners_; }
  const std::map<std::string, RouteState>& routes() const { return routes_; }
  const std::map<std::string, Resource>& endpoint_sources() const { return endpoint_sources_; }
  // Who this proxy is, for filters that tell others; before load_static().
  void set_node(std::string id, const base::Value& metadata) {
    compiler_.node_id = std::move(id);
    compiler_.self = Workload::from_metadata(metadata);
  }
  const std::map<std::string, uint64_t>& warnings() const { return compiler_.warnings(); }
  const ClusterNames& names() const { return names_; }
  SecretManager& secrets() { return secrets_; }
  void stats(StatsSnapshot& into) const;
  // Since the start.
  struct Changes {
    uint64_t added = 0, modified = 0, removed = 0;
  };
  void close_sockets();             // listening descriptors not handed to workers

 private:
  base::Status update_clusters(const xds::ReceivedUpdate& update);
  base::Status update_endpoints(const xds::ReceivedUpdate& update);
  base::Status update_listeners(const xds::ReceivedUpdate& update);
  base::Status update_routes(const xds::ReceivedUpdate& update);
  void put_cluster(std::shared_ptr<const ClusterConfig> config, Resource source, ConfigUpdate& out);
  void remove_cluster(const std::string& name, ConfigUpdate& out);
  base::Status put_listener(std::shared_ptr<const ListenerConfig> config, Resource source);
  void set_endpoints(ClusterState& cluster, std::shared_ptr<const EndpointSet> endpoints, ConfigUpdate& out);
  void apply_endpoints(ClusterState& cluster, ConfigUpdate& out);
  void start_checks(const std::string& name, ClusterState& cluster);
  void check_changed(const std::string& name);
  void warmed(ClusterState& cluster, ConfigUpdate& out);
  void start_outlier(const std::string& name, ClusterState& cluster);
  void outlier_interval(const std::string& name);
  void uneject(const HostPtr& host);
  void arm_uneject();
  bool may_warm(const ClusterState& cluster) const;
  void activate_listeners(ConfigUpdate& out);
  bool listener_warm(const ListenerConfig& config) const;
  bool cluster_warm(const ClusterState& cluster) const;   // its secrets are there
  void secrets_changed();
  base::Status take(const xds::ReceivedUpdate& update, const DiscoverySource* from);
  base::Status apply(const xds::ReceivedUpdate& update, const DiscoverySource* from);
  void refused(const xds::ReceivedUpdate& update);
  void stream_failed(std::string_view type_url, const DiscoverySource* from);  // nullptr: the aggregated one
  void settle(ConfigUpdate update);
  void refresh_subscriptions();
  void wait_for_routes();
  bool comes(const DiscoverySource& from) const;
  base::Status follow_file(std::string_view type_url, const std::string& path);
  base::Status load_file(std::string_view type_url, const std::string& path);
  void send(ConfigUpdate update);
  void resolve(const std::string& name);
  void dns_answer(const std::string& name, size_t target, base::Result<io::Resolver::Answer> answer);
  base::Status next_server(const DiscoverySource& from, size_t turn, xds::AdsOptions& to);
  base::Status bind(const ListenerConfig& config, std::vector<int>& fds);
  base::Status leave_out(LeftOut what, const base::Error& error);
  std::string explain(const base::Error& error) const { return hooks_.explain ? hooks_.explain(error) : error.text(); }

  io::Loop& loop_;
  Hooks hooks_;
  ClusterNames names_;
  Compiler compiler_;
  DiscoveryStreams streams_;
  SecretManager secrets_;
  std::map<std::string, std::unique_ptr<ClusterState>> clusters_;
  std::map<std::string, ListenerState> listeners_;
  Changes cluster_changes_, listener_changes_;
  FlowRuleBook flow_rules_{loop_};
  uint64_t listeners_refused_ = 0;
  std::map<std::string, RouteState> routes_;
  std::vector<LeftOut> left_out_;
  std::map<std::string, std::shared_ptr<const EndpointSet>> endpoint_sets_;  // by EDS name
  std::map<std::string, Resource> endpoint_sources_;
  std::map<std::string, std::vector<int>> pending_fds_;   // bound, not yet with the workers: all of the first, then the next
  std::map<std::string, std::vector<io::Address>> bound_;  // addresses that a listener is bound to
  std::set<std::string> static_routes_;
  std::unique_ptr<io::Resolver> resolver_;
  std::unique_ptr<FileWatcher> files_;
  std::map<std::string, std::string> followed_;           // path -> type
  xds::AdsClient* ads_ = nullptr;
  DynamicSources sources_;
  std::map<std::string, DiscoverySource> eds_from_, rds_from_;  // what is wanted, and from where
  // For the first of something: until it has come, or its time (initial_fetch_timeout) is over.
  struct Wait {
    bool wanted = false, received = false, over = false;
    std::unique_ptr<io::Timer> timer;
    bool waits() const { return wanted && !received && !over; }
  };
  Wait cds_, lds_;
  std::map<std::string, Wait> route_waits_;   // by route table
  bool discovery_started_ = false;
  bool started_ = false;            // the first clusters are warm: new listeners don't wait for clusters
  struct Ejected {
    ClusterId cluster;
    HostPtr host;
    base::TimePoint until;
  };
  std::vector<Ejected> ejected_;
  io::Timer uneject_;
  Updates updates_[5];              // by type, of clusters, endpoints, listeners, routes and secrets
  uint64_t clusters_updated_ = 0, listeners_in_place_ = 0;
  uint64_t random_ = 0x9E3779B97F4A7C15ULL;
  uint64_t random();
};

}  // namespace fairlead::proxy
