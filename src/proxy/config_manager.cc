#include "proxy/config_manager.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "io/transport.h"
#include "proxy/tls_source.h"
#include "xds/types.h"

namespace fairlead::proxy {

using base::Code;
using base::Status;

namespace {

constexpr auto kInitialFetch = std::chrono::seconds(15);  // Envoy's initial_fetch_timeout

size_t kind_of(std::string_view url) { return url == xds::kClusterType ? 0 : url == xds::kEndpointType ? 1 : url == xds::kListenerType ? 2 : url == xds::kRouteType ? 3 : 4; }

base::Error named(base::Error error, std::string_view kind, const std::string& name) {
  error.where = fmt::format("{} {}{}{}", kind, name, error.where.empty() ? "" : ": ", error.where);
  return error;
}

// Route tables that a listener waits for.
void rds_names(const ListenerConfig& config, std::set<std::string>& out) {
  auto one = [&](const FilterChain& c) {
    if (c.http && !c.http->rds_name.empty()) out.insert(c.http->rds_name);
  };
  for (const FilterChain& c : config.chains) one(c);
  if (config.default_chain) one(*config.default_chain);
}

}  // namespace

ConfigManager::ConfigManager(io::Loop& loop, Hooks hooks)
    : loop_(loop), hooks_(std::move(hooks)), compiler_(names_),
      secrets_(loop, {.changed = [this] { loop_.post([this] { secrets_changed(); }); },
                      .reach = [this](const std::string& cluster) { return hooks_.reach ? hooks_.reach(cluster) : std::nullopt; },
                      .local_cluster = hooks_.local_sds_cluster,
                      .local_wanted = hooks_.local_secret_wanted}),
      resolver_(io::make_resolver(loop)), initial_wait_(loop, [this] {
        initial_wait_over_ = true;
        ConfigUpdate update;
        // Endpoints and routes that never came: serve what there is.
        for (auto& [name, c] : clusters_)
          if (!c->found) warmed(*c, update);
        activate_listeners(update);
        send(std::move(update));
      }),
      uneject_(loop, [this] {
        auto now = loop_.now();
        std::vector<HostPtr> due;
        for (const Ejected& e : ejected_)
          if (e.until <= now) due.push_back(e.host);
        for (const HostPtr& h : due) uneject(h);
        arm_uneject();
      }) {
  // Jitter and shares only: a seed that differs between processes is all that is asked.
  random_ ^= static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) * 0xBF58476D1CE4E5B9ULL;
}

uint64_t ConfigManager::random() {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return random_ * 0x2545F4914F6CDD1DULL;
}

ConfigManager::~ConfigManager() { close_sockets(); }

void ConfigManager::close_sockets() {
  for (auto& [name, fds] : pending_fds_)
    for (int fd : fds)
      if (fd >= 0) ::close(fd);
  pending_fds_.clear();
}

Status ConfigManager::load_static(const envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  if (auto ok = compiler_.bootstrap(bootstrap); !ok) return ok;
  ConfigUpdate update;
  auto now = std::chrono::system_clock::now();
  for (int i = 0; i < bootstrap.static_resources().clusters_size(); ++i) {
    const auto& from = bootstrap.static_resources().clusters(i);
    auto compiled = compiler_.cluster(from, "", nullptr);
    if (!compiled) {
      base::Error e = compiled.error();
      e.where = fmt::format("static_resources.clusters[{}]{}{}", i, e.where.empty() ? "" : ".", e.where);
      return std::unexpected(e);
    }
    if (clusters_.contains(from.name())) return base::fail(Code::kInvalidArgument, "static_resources.clusters[{}]: the name {} is taken", i, from.name());
    put_cluster(*compiled, {from.SerializeAsString(), "", now, false}, update);
  }
  for (int i = 0; i < bootstrap.static_resources().listeners_size(); ++i) {
    const auto& from = bootstrap.static_resources().listeners(i);
    auto compiled = compiler_.listener(from, "");
    Status status = compiled ? put_listener(*compiled, {from.SerializeAsString(), "", now, false}) : Status(std::unexpected(compiled.error()));
    if (!status) {
      base::Error e = status.error();
      e.where = fmt::format("static_resources.listeners[{}]{}{}", i, e.where.empty() ? "" : ".", e.where);
      return std::unexpected(e);
    }
  }
  activate_listeners(update);
  send(std::move(update));
  refresh_subscriptions();
  return {};
}

void ConfigManager::use_ads(xds::AdsClient& ads, bool clusters, bool listeners) {
  ads_ = &ads;
  wants_cds_ = clusters;
  wants_lds_ = listeners;
  if (clusters) ads.subscribe_all(xds::kClusterType);
  if (listeners) ads.subscribe_all(xds::kListenerType);
  refresh_subscriptions();
}

Status ConfigManager::use_files(const std::string& clusters, const std::string& listeners) {
  wants_cds_ = wants_cds_ || !clusters.empty();
  wants_lds_ = wants_lds_ || !listeners.empty();
  for (auto& [url, path] : {std::pair(xds::kClusterType, clusters), std::pair(xds::kListenerType, listeners)})
    if (!path.empty())
      if (auto ok = follow_file(url, path); !ok) return ok;
  return {};
}

// What can't be read or is refused later is told and changes nothing; at the start it is for the caller to decide.
Status ConfigManager::follow_file(std::string_view type_url, const std::string& path) {
  if (!followed_.emplace(path, type_url).second) return {};
  if (hooks_.bind) {
    if (!ads_ && !initial_wait_over_ && !initial_wait_.armed()) initial_wait_.arm(kInitialFetch);
    if (!files_) files_ = std::make_unique<FileWatcher>(loop_);
    auto watched = files_->watch(path, [this, url = std::string(type_url), path] {
      if (auto ok = load_file(url, path); !ok) FL_LOG_WARN("config", "{} is not taken: {}", path, ok.error().text());
      else FL_LOG_INFO("config", "{} was taken", path);
    });
    if (!watched) return watched;
  }
  return load_file(type_url, path);
}

Status ConfigManager::load_file(std::string_view type_url, const std::string& path) {
  auto update = read_config_file(path, type_url);
  if (!update) {
    ++rejected_[kind_of(type_url)];
    return std::unexpected(update.error());
  }
  return on_update(*update);
}

void ConfigManager::refresh_subscriptions() {
  std::set<std::string> eds, rds;
  std::map<std::string, std::string_view> files;
  for (auto& [name, c] : clusters_) {
    if (c->config->type != ClusterConfig::Type::kEds) continue;
    if (c->config->eds_path.empty()) eds.insert(c->config->eds_name);
    else files.emplace(c->config->eds_path, xds::kEndpointType);
  }
  std::set<std::string> wanted;
  for (auto& [name, l] : listeners_) {
    auto one = [&](const FilterChain& chain) {
      if (!chain.http || chain.http->rds_name.empty()) return;
      wanted.insert(chain.http->rds_name);
      if (chain.http->rds_path.empty()) rds.insert(chain.http->rds_name);
      else files.emplace(chain.http->rds_path, xds::kRouteType);
    };
    for (const FilterChain& chain : l.config->chains) one(chain);
    if (l.config->default_chain) one(*l.config->default_chain);
  }
  for (const std::string& name : static_routes_) rds.erase(name), wanted.erase(name);
  secrets_.prune();
  if (ads_) {
    ads_->subscribe(xds::kSecretType, secrets_.ads_names());
    ads_->subscribe(xds::kEndpointType, std::move(eds));
    ads_->subscribe(xds::kRouteType, std::move(rds));
  }
  for (auto& [path, url] : files)
    if (auto ok = follow_file(url, path); !ok) FL_LOG_WARN("config", "{} is not taken: {}", path, ok.error().text());
  std::erase_if(followed_, [&](const auto& f) {
    bool stays = f.second == xds::kClusterType || f.second == xds::kListenerType || files.contains(f.first);
    if (!stays && files_) files_->forget(f.first);
    return !stays;
  });
  std::vector<std::string> gone;
  for (auto& [name, r] : routes_)
    if (!wanted.contains(name)) gone.push_back(name);
  if (gone.empty()) return;
  ConfigUpdate update;
  for (const std::string& name : gone) {
    routes_.erase(name);
    update.removed_routes.push_back(name);
  }
  send(std::move(update));
}

void ConfigManager::on_stream(bool up, std::string_view) {
  // The clock for what the first listeners and clusters refer to.
  if (up && !initial_wait_over_ && !initial_wait_.armed()) initial_wait_.arm(kInitialFetch);
}

Status ConfigManager::on_update(const xds::ReceivedUpdate& update) {
  Status status;
  bool was = initialized();
  if (update.type_url == xds::kClusterType) status = update_clusters(update);
  else if (update.type_url == xds::kEndpointType) status = update_endpoints(update);
  else if (update.type_url == xds::kListenerType) status = update_listeners(update);
  else if (update.type_url == xds::kRouteType) status = update_routes(update);
  else if (update.type_url == xds::kSecretType) status = secrets_.on_update(update);
  ++(status ? updates_ : rejected_)[kind_of(update.type_url)];
  if (!status) FL_LOG_WARN("config", "refused an update: {}", status.error().text());
  else FL_LOG_DEBUG("config", "{}: {} changed, {} removed", update.type_url.substr(update.type_url.rfind('.') + 1), update.changed.size(), update.removed.size());
  if (initialized() != was) hooks_.ready_changed();
  return status;
}

// ----------------------------------------------------------------------------------------------------------- clusters

Status ConfigManager::update_clusters(const xds::ReceivedUpdate& update) {
  std::vector<std::pair<std::shared_ptr<const ClusterConfig>, Resource>> compiled;
  for (const auto& r : update.changed) {
    envoy::config::cluster::v3::Cluster from;
    if (!from.ParseFromString(r.bytes)) return base::fail(Code::kInvalidArgument, "cluster {}: the bytes are not a Cluster", r.name);
    auto known = clusters_.find(from.name());
    if (known != clusters_.end() && !known->second->source.dynamic) continue;  // static ones stay as the bootstrap has them
    if (known != clusters_.end() && known->second->source.bytes == r.bytes) continue;
    auto c = compiler_.cluster(from, r.version, known == clusters_.end() ? nullptr : known->second->config.get());
    if (!c) return std::unexpected(named(c.error(), "cluster", from.name()));
    compiled.emplace_back(std::move(*c), Resource{r.bytes, r.version, std::chrono::system_clock::now(), true});
  }
  ConfigUpdate out;
  std::set<std::string> present;
  for (const auto& r : update.changed) present.insert(r.name);
  for (auto& [config, source] : compiled) put_cluster(config, std::move(source), out);
  std::vector<std::string> gone = update.removed;
  if (update.complete)
    for (auto& [name, c] : clusters_)
      if (c->source.dynamic && !present.contains(name)) gone.push_back(name);
  for (const std::string& name : gone) remove_cluster(name, out);
  cds_received_ = true;
  activate_listeners(out);
  send(std::move(out));
  refresh_subscriptions();
  return {};
}

void ConfigManager::put_cluster(std::shared_ptr<const ClusterConfig> config, Resource source, ConfigUpdate& out) {
  auto& slot = clusters_[config->name];
  bool fresh = !slot;
  if (fresh) slot = std::make_unique<ClusterState>();
  ClusterState& c = *slot;
  bool same_dns = !fresh && c.config->type == config->type && c.config->dns.size() == config->dns.size() &&
                  std::ranges::equal(c.config->dns, config->dns, [](const auto& a, const auto& b) { return a.name == b.name && a.port == b.port; });
  c.config = std::move(config);
  c.source = std::move(source);
  std::string name = c.config->name;
  using Type = ClusterConfig::Type;
  std::shared_ptr<const EndpointSet> next;
  switch (c.config->type) {
    case Type::kStatic:
      next = c.config->endpoints;
      break;
    case Type::kOriginalDst:
      break;
    case Type::kEds:
      if (auto known = endpoint_sets_.find(c.config->eds_name); known != endpoint_sets_.end()) next = known->second;
      break;
    case Type::kStrictDns:
    case Type::kLogicalDns:
      if (!same_dns) {
        c.dns_answers.clear();
        if (hooks_.bind) loop_.post([this, name] { resolve(name); });
      }
      break;
  }
  if (next && next != c.assigned) {
    c.assigned = next;
    next->adopt();
  }
  if (c.config->tls) secrets_.attach(c.config->tls);
  for (const auto& m : c.config->socket_matches)
    if (m.tls) secrets_.attach(m.tls);
  // Checks that could not connect for want of a secret would only take hosts out; those of before name the configuration of
  // before. Hosts keep what is known of them.
  c.checks_wait = !c.config->health_checks.empty() && !cluster_warm(c);
  if (c.checks_wait) c.checkers.clear();
  else start_checks(name, c);
  c.pending = true;
  apply_endpoints(c, out);
  start_outlier(name, c);
  if (c.warm || c.found || may_warm(c)) return warmed(c, out);
  if (c.config->type == Type::kEds && !c.endpoints) {
    // Not waited for longer than this: requests then meet "no healthy upstream" until endpoints come.
    base::Nanos wait = c.config->eds_fetch_timeout.value_or(kInitialFetch);
    if (wait.count() > 0) {
      c.fetch_timer = std::make_unique<io::Timer>(loop_, [this, name] {
        auto at = clusters_.find(name);
        if (at == clusters_.end() || at->second->found) return;
        ConfigUpdate late;
        warmed(*at->second, late);
        activate_listeners(late);
        send(std::move(late));
      });
      c.fetch_timer->arm(wait);
    }
  }
}

// A cluster serves when its endpoints are there, and each had its first check.
bool ConfigManager::may_warm(const ClusterState& c) const {
  if (c.checks_wait) return false;
  if (initial_wait_over_ && c.config->type == ClusterConfig::Type::kEds && !c.endpoints && !ads_) return true;
  if (c.config->type == ClusterConfig::Type::kEds && !c.assigned && (ads_ || !c.config->eds_path.empty())) return false;
  return std::ranges::all_of(c.checkers, [](const auto& checker) { return checker->all_checked(); });
}

// Nothing more is to be found out: to the workers, once its secrets are there. Until then they keep what they have of it.
void ConfigManager::warmed(ClusterState& c, ConfigUpdate& out) {
  c.found = true;
  if (c.fetch_timer) c.fetch_timer->cancel();
  if (!cluster_warm(c)) return;
  c.warm = true;
  c.pending = false;
  c.serving = c.config;
  out.clusters.push_back(c.config);
  // The configuration first, so that workers never have endpoints of a cluster that they don't know.
  if (c.endpoints && std::ranges::none_of(out.endpoints, [&](const auto& e) { return e.first == c.config->id; })) out.endpoints.emplace_back(c.config->id, c.endpoints);
}

bool ConfigManager::cluster_warm(const ClusterState& c) const {
  if (c.config->tls && secrets_.waits(*c.config->tls)) return false;
  return std::ranges::none_of(c.config->socket_matches, [this](const auto& m) { return m.tls && secrets_.waits(*m.tls); });
}

void ConfigManager::secrets_changed() {
  bool was = initialized();
  ConfigUpdate out;
  for (auto& [name, c] : clusters_) {
    if (c->checks_wait && cluster_warm(*c)) {
      c->checks_wait = false;
      start_checks(name, *c);
      if (c->endpoints)
        for (auto& checker : c->checkers) checker->update(*c->endpoints);
    }
    if (c->pending && c->found) warmed(*c, out);
  }
  activate_listeners(out);
  send(std::move(out));
  if (initialized() != was) hooks_.ready_changed();
}

void ConfigManager::remove_cluster(const std::string& name, ConfigUpdate& out) {
  auto at = clusters_.find(name);
  if (at == clusters_.end() || !at->second->source.dynamic) return;
  std::string eds = at->second->config->eds_name;
  out.removed_clusters.push_back(at->second->config->id);
  clusters_.erase(at);
  if (!eds.empty() && std::ranges::none_of(clusters_, [&](const auto& c) { return c.second->config->eds_name == eds; })) {
    endpoint_sets_.erase(eds);
    endpoint_sources_.erase(eds);
  }
}

void ConfigManager::set_endpoints(ClusterState& cluster, std::shared_ptr<const EndpointSet> endpoints, ConfigUpdate& out) {
  cluster.assigned = std::move(endpoints);
  cluster.assigned->adopt();
  ++cluster.membership_changes;
  apply_endpoints(cluster, out);
}

// What is assigned, and with active health checks the hosts that are no longer but are well: discovery may be behind,
// and a host that answers serves (unless ignore_health_on_host_removal).
void ConfigManager::apply_endpoints(ClusterState& c, ConfigUpdate& out) {
  if (!c.assigned) return;
  std::shared_ptr<const EndpointSet> next = c.assigned;
  if (!c.checkers.empty() && c.endpoints && !c.config->ignore_health_on_removal) {
    std::shared_ptr<EndpointSet> more;
    for (size_t i = 0; i < c.endpoints->hosts.size(); ++i) {
      const HostPtr& h = c.endpoints->hosts[i];
      if (h->failed_check.load(std::memory_order_relaxed) || std::ranges::find(c.assigned->hosts, h) != c.assigned->hosts.end()) continue;
      if (!more) more = std::make_shared<EndpointSet>(*c.assigned);
      more->hosts.push_back(h);
      EndpointSet::Entry entry = i < c.endpoints->entries.size() ? c.endpoints->entries[i] : EndpointSet::Entry{};
      if (entry.locality < c.endpoints->localities.size()) {
        const auto& l = c.endpoints->localities[entry.locality];
        auto same = std::ranges::find_if(more->localities, [&](const auto& m) { return m.name == l.name && m.priority == l.priority; });
        entry.locality = static_cast<uint32_t>(same - more->localities.begin());
        if (same == more->localities.end()) more->localities.push_back(l);
      }
      more->entries.resize(more->hosts.size() - 1);
      more->entries.push_back(entry);
    }
    if (more) next = std::move(more);
  }
  for (const HostPtr& h : next->hosts)
    if (h->serving_since_ns.load(std::memory_order_relaxed) == 0)
      h->serving_since_ns.store(loop_.now().time_since_epoch().count(), std::memory_order_relaxed);
  c.endpoints = std::move(next);
  for (auto& checker : c.checkers) checker->update(*c.endpoints);
  // Those of a configuration that waits for its secrets are not for the one that serves until then.
  bool same_service = c.serving && c.serving->type == ClusterConfig::Type::kEds && c.config->type == ClusterConfig::Type::kEds && c.serving->eds_name == c.config->eds_name;
  if (c.warm && (!c.pending || same_service)) out.endpoints.emplace_back(c.config->id, c.endpoints);
}

Status ConfigManager::update_endpoints(const xds::ReceivedUpdate& update) {
  std::vector<std::pair<std::string, std::shared_ptr<const EndpointSet>>> compiled;
  std::vector<Resource> sources;
  for (const auto& r : update.changed) {
    envoy::config::endpoint::v3::ClusterLoadAssignment from;
    if (!from.ParseFromString(r.bytes)) return base::fail(Code::kInvalidArgument, "endpoints {}: the bytes are not a ClusterLoadAssignment", r.name);
    auto known = endpoint_sets_.find(from.cluster_name());
    auto set = compiler_.endpoints(from, known == endpoint_sets_.end() ? nullptr : known->second.get());
    if (!set) return std::unexpected(named(set.error(), "endpoints", from.cluster_name()));
    compiled.emplace_back(from.cluster_name(), std::move(*set));
    sources.push_back({r.bytes, r.version, std::chrono::system_clock::now(), true});
  }
  ConfigUpdate out;
  for (size_t i = 0; i < compiled.size(); ++i) {
    auto& [name, set] = compiled[i];
    endpoint_sets_[name] = set;
    endpoint_sources_[name] = std::move(sources[i]);
    for (auto& [cluster_name, c] : clusters_) {
      if (c->config->type != ClusterConfig::Type::kEds || c->config->eds_name != name) continue;
      set_endpoints(*c, set, out);
      if (!c->warm && may_warm(*c)) warmed(*c, out);
    }
  }
  // A removed assignment means no endpoints; the cluster itself goes by CDS.
  for (const std::string& name : update.removed) {
    endpoint_sets_.erase(name);
    endpoint_sources_.erase(name);
    for (auto& [cluster_name, c] : clusters_)
      if (c->config->type == ClusterConfig::Type::kEds && c->config->eds_name == name) set_endpoints(*c, std::make_shared<const EndpointSet>(), out);
  }
  activate_listeners(out);
  send(std::move(out));
  return {};
}

// ---------------------------------------------------------------------------------------------------------- listeners

Status ConfigManager::update_listeners(const xds::ReceivedUpdate& update) {
  std::vector<std::pair<std::shared_ptr<const ListenerConfig>, Resource>> compiled;
  std::vector<std::string> problems;
  for (const auto& r : update.changed) {
    envoy::config::listener::v3::Listener from;
    if (!from.ParseFromString(r.bytes)) return base::fail(Code::kInvalidArgument, "listener {}: the bytes are not a Listener", r.name);
    auto known = listeners_.find(from.name());
    if (known != listeners_.end() && (!known->second.source.dynamic || known->second.source.bytes == r.bytes)) continue;
    auto l = compiler_.listener(from, r.version);
    if (!l) {
      if (known != listeners_.end()) known->second.error = l.error().text();
      return std::unexpected(named(l.error(), "listener", from.name()));
    }
    compiled.emplace_back(std::move(*l), Resource{r.bytes, r.version, std::chrono::system_clock::now(), true});
  }
  // Sockets first: a port that is taken refuses the update before anything changed.
  for (auto& [config, source] : compiled) {
    if (auto bound = put_listener(config, std::move(source)); !bound) problems.push_back(named(bound.error(), "listener", config->name).text());
  }
  ConfigUpdate out;
  std::set<std::string> present;
  for (const auto& r : update.changed) present.insert(r.name);
  std::vector<std::string> gone = update.removed;
  if (update.complete)
    for (auto& [name, l] : listeners_)
      if (l.source.dynamic && !present.contains(name)) gone.push_back(name);
  for (const std::string& name : gone) {
    auto at = listeners_.find(name);
    if (at == listeners_.end() || !at->second.source.dynamic) continue;
    listeners_.erase(at);
    bound_.erase(name);
    if (auto fds = pending_fds_.extract(name); fds)
      for (int fd : fds.mapped())
        if (fd >= 0) ::close(fd);
    out.removed_listeners.push_back(name);
  }
  lds_received_ = true;
  activate_listeners(out);
  send(std::move(out));
  refresh_subscriptions();
  if (!problems.empty()) return base::fail(Code::kInvalidArgument, "{}", base::join(problems, "; "));
  return {};
}

Status ConfigManager::bind(const ListenerConfig& config, std::vector<int>& fds) {
  for (unsigned i = 0; i < hooks_.workers; ++i) {
    io::ListenOptions options;
    options.reuse_port = config.address.is_ip() && hooks_.workers > 1;
    options.transparent = config.transparent;
    options.backlog = static_cast<int>(config.backlog);
    io::Address at = config.address;
    // Port 0: the first socket picks, the others join it.
    if (at.is_ip() && at.port() == 0 && !fds.empty())
      if (auto a = io::local_address(fds[0])) at.set_port(a->port());
    auto fd = io::listen(at, options);
    if (!fd) {
      for (int open : fds) ::close(open);
      fds.clear();
      return base::fail(Code::kFailedPrecondition, "can't listen on {}: {}", config.address.text(), fd.error().message);
    }
    fds.push_back(fd->release());
  }
  return {};
}

Status ConfigManager::put_listener(std::shared_ptr<const ListenerConfig> config, Resource source) {
  auto bound = bound_.find(config->name);
  bool keep = bound != bound_.end() && bound->second == config->address;
  if (hooks_.bind && config->bind && !keep) {
    std::vector<int> fds;
    if (auto ok = bind(*config, fds); !ok) return ok;
    if (auto old = pending_fds_.find(config->name); old != pending_fds_.end())
      for (int fd : old->second) ::close(fd);
    if (auto a = io::local_address(fds[0])) FL_LOG_INFO("config", "listener {} on {}", config->name, a->text());
    pending_fds_[config->name] = std::move(fds);
    bound_[config->name] = config->address;
  }
  for (const FilterChain& c : config->chains)
    if (c.tls) secrets_.attach(c.tls);
  if (config->default_chain && config->default_chain->tls) secrets_.attach(config->default_chain->tls);
  ListenerState& l = listeners_[config->name];
  l.active = false;
  l.config = std::move(config);
  l.source = std::move(source);
  l.error.clear();
  return {};
}

bool ConfigManager::listener_warm(const ListenerConfig& config) const {
  auto waits = [this](const FilterChain& c) { return c.tls && secrets_.waits(*c.tls); };
  if (std::ranges::any_of(config.chains, waits) || (config.default_chain && waits(*config.default_chain))) return false;
  if (initial_wait_over_) return true;
  std::set<std::string> names;
  rds_names(config, names);
  for (const std::string& name : names)
    if (!routes_.contains(name) && (ads_ || !followed_.empty())) return false;
  // At the start clusters come first, so that the first request finds its endpoints.
  if (wants_cds_ && !cds_received_) return false;
  for (auto& [name, c] : clusters_)
    if (!c->warm) return false;
  return true;
}

void ConfigManager::activate_listeners(ConfigUpdate& out) {
  for (auto& [name, l] : listeners_) {
    if (l.active || !listener_warm(*l.config)) continue;
    l.active = true;
    out.listeners.push_back({l.config, -1});
  }
}

void ConfigManager::send(ConfigUpdate update) {
  if (update.clusters.empty() && update.removed_clusters.empty() && update.endpoints.empty() && update.routes.empty() &&
      update.removed_routes.empty() && update.listeners.empty() && update.removed_listeners.empty())
    return;
  std::vector<std::vector<int>> fds;
  for (auto& l : update.listeners) {
    auto at = pending_fds_.extract(l.config->name);
    fds.push_back(at ? std::move(at.mapped()) : std::vector<int>(hooks_.workers, -1));
  }
  std::vector<ConfigUpdate::NewListener> listeners = std::move(update.listeners);
  update.listeners.clear();
  hooks_.send(std::move(update), listeners, fds);
}

// ------------------------------------------------------------------------------------------------------------- routes

Status ConfigManager::update_routes(const xds::ReceivedUpdate& update) {
  std::vector<std::pair<std::shared_ptr<const RouteTable>, Resource>> compiled;
  for (const auto& r : update.changed) {
    envoy::config::route::v3::RouteConfiguration from;
    if (!from.ParseFromString(r.bytes)) return base::fail(Code::kInvalidArgument, "routes {}: the bytes are not a RouteConfiguration", r.name);
    auto known = routes_.find(from.name());
    if (known != routes_.end() && known->second.source.bytes == r.bytes) continue;
    auto table = compiler_.route(from, r.version);
    if (!table) return std::unexpected(named(table.error(), "routes", from.name()));
    compiled.emplace_back(std::move(*table), Resource{r.bytes, r.version, std::chrono::system_clock::now(), true});
  }
  ConfigUpdate out;
  for (auto& [table, source] : compiled) {
    RouteState& r = routes_[table->name];
    r.table = table;
    r.source = std::move(source);
    out.routes.push_back(table);
  }
  for (const std::string& name : update.removed) {
    routes_.erase(name);
    out.removed_routes.push_back(name);
  }
  activate_listeners(out);
  send(std::move(out));
  return {};
}

bool ConfigManager::initialized() const {
  if ((wants_cds_ && !cds_received_) || (wants_lds_ && !lds_received_)) return false;
  return std::ranges::all_of(listeners_, [](const auto& l) { return l.second.active; });
}

// --------------------------------------------------------------------------------------------------------- statistics

void ConfigManager::stats(StatsSnapshot& into) const {
  static constexpr std::string_view kNames[] = {"cluster_manager.cds", "", "listener_manager.lds", ""};
  for (size_t i : {0, 2}) {
    into.counters[std::string(kNames[i]) + ".update_success"] += updates_[i];
    into.counters[std::string(kNames[i]) + ".update_rejected"] += rejected_[i];
    into.counters[std::string(kNames[i]) + ".update_attempt"] += updates_[i] + rejected_[i];
  }
  into.counters["cluster_manager.eds.update_success"] += updates_[1];
  into.counters["cluster_manager.eds.update_rejected"] += rejected_[1];
  secrets_.stats(into);
  into.counters["http.rds.update_success"] += updates_[3];
  into.counters["http.rds.update_rejected"] += rejected_[3];
  size_t active = 0, warming = 0;
  for (auto& [name, c] : clusters_) {
    ++(c->warm ? active : warming);
    std::string p = "cluster." + c->config->stat_name + ".";
    size_t hosts = c->endpoints ? c->endpoints->hosts.size() : 0, healthy = 0, degraded = 0, ejected = 0;
    if (c->endpoints)
      for (const HostPtr& h : c->endpoints->hosts) {
        HealthStatus status = h->health();
        healthy += status == HealthStatus::kHealthy;
        degraded += status == HealthStatus::kDegraded;
        ejected += h->ejected.load(std::memory_order_relaxed);
      }
    into.gauges[p + "membership_total"] = hosts;
    into.gauges[p + "membership_healthy"] = healthy;
    into.gauges[p + "membership_degraded"] = degraded;
    into.counters[p + "membership_change"] += c->membership_changes;
    for (int high = 0; high < 2; ++high) {
      const Thresholds& t = c->config->thresholds[high];
      const Breakers& b = *c->config->breakers[high];
      std::string q = p + "circuit_breakers." + (high ? "high." : "default.");
      auto breaker = [&](std::string_view open, std::string_view remaining, uint32_t limit, const std::atomic<uint32_t>& used) {
        uint32_t n = used.load(std::memory_order_relaxed);
        into.gauges[q + std::string(open)] = limit < kUnlimited && n >= limit;
        // As Envoy, what is left is told only where it is asked for.
        into.gauges[q + std::string(remaining)] = !t.track_remaining ? 0 : limit > n ? limit - n : 0;
      };
      breaker("cx_open", "remaining_cx", t.max_connections, b.connections);
      breaker("rq_open", "remaining_rq", t.max_requests, b.requests);
      breaker("rq_pending_open", "remaining_pending", t.max_pending, b.pending);
      breaker("rq_retry_open", "remaining_retries", t.max_retries, b.retries);
    }
    if (c->config->outlier) {
      std::string q = p + "outlier_detection.";
      into.gauges[q + "ejections_active"] = ejected;
      into.counters[q + "ejections_enforced_total"] += c->ejections_total;
      for (size_t kind = 0; kind < kEjectionKinds; ++kind) {
        std::string k(to_string(static_cast<Ejection>(kind)));
        into.counters[q + "ejections_detected_" + k] += c->detected[kind];
        into.counters[q + "ejections_enforced_" + k] += c->enforced[kind];
      }
      into.counters[q + "ejections_overflow"] += c->ejections_overflow;
    }
    if (!c->checkers.empty()) {
      std::string q = p + "health_check.";
      for (const auto& checker : c->checkers) {
        into.counters[q + "attempt"] += checker->counts().attempt;
        into.counters[q + "success"] += checker->counts().success;
        into.counters[q + "failure"] += checker->counts().failure;
        into.counters[q + "network_failure"] += checker->counts().network_failure;
      }
      into.gauges[q + "healthy"] = healthy;
      into.gauges[q + "degraded"] = degraded;
    }
    if (!c->config->dns.empty()) {
      into.counters[p + "update_attempt"] += c->dns_attempts;
      into.counters[p + "update_success"] += c->dns_success;
      into.counters[p + "update_failure"] += c->dns_failure;
    }
  }
  into.gauges["cluster_manager.active_clusters"] = active;
  into.gauges["cluster_manager.warming_clusters"] = warming;
  size_t listening = 0;
  for (auto& [name, l] : listeners_) listening += l.active;
  into.gauges["listener_manager.total_listeners_active"] = listening;
  into.gauges["listener_manager.total_listeners_warming"] = listeners_.size() - listening;
  uint64_t warned = 0;
  for (auto& [field, n] : compiler_.warnings()) warned += n;
  into.counters["config.unsupported_fields"] += warned;
  if (ads_) {
    into.gauges["control_plane.connected_state"] = ads_->connected();
  }
}

}  // namespace fairlead::proxy
