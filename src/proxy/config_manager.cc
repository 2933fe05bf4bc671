#include "proxy/config_manager.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "proxy/config_manager_util.h"
#include "proxy/tls_source.h"
#include "xds/types.h"

namespace fairlead::proxy {

using base::Code;
using base::Status;

ConfigManager::ConfigManager(io::Loop& loop, Hooks hooks)
    : loop_(loop), hooks_(std::move(hooks)), compiler_(names_),
      streams_(loop, [this](const DiscoverySource& from) { return reach(from); },
               [this](const DiscoverySource& from, const xds::ReceivedUpdate& update) { return take(update, &from); }),
      secrets_(loop, streams_, {.changed = [this] { loop_.post([this] { secrets_changed(); }); },
                      .local_cluster = hooks_.local_sds_cluster,
                      .local_wanted = hooks_.local_secret_wanted}),
      resolver_(io::make_resolver(loop)), uneject_(loop, [this] {
        auto now = loop_.now();
        std::vector<HostPtr> due;
        for (const Ejected& e : ejected_)
          if (e.until <= now) due.push_back(e.host);
        for (const HostPtr& h : due) uneject(h);
        arm_uneject();
      }) {
  // Jitter and shares only: a seed that differs between processes is all that is asked.
  streams_.failed = [this](std::string_view type_url, const DiscoverySource& from) { stream_failed(type_url, &from); };
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
  compiler_.ads_by_options = hooks_.ads_by_options;
  auto sources = compiler_.bootstrap(bootstrap);
  if (!sources) return std::unexpected(sources.error());
  sources_ = std::move(*sources);
  ConfigUpdate update;
  auto now = std::chrono::system_clock::now();
  for (int i = 0; i < bootstrap.static_resources().clusters_size(); ++i) {
    const auto& from = bootstrap.static_resources().clusters(i);
    auto compiled = compiler_.cluster(from, "", nullptr);
    if (!compiled) {
      base::Error e = compiled.error();
      e.where = fmt::format("static_resources.clusters[{}]{}{}", i, e.where.empty() ? "" : ".", e.where);
      if (auto ok = leave_out({false, from.name(), {}, {from.SerializeAsString(), "", now, false}}, e); !ok) return ok;
      continue;
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
      if (!compiled && e.code == Code::kFailedPrecondition) ++listeners_refused_;  // put_listener() counts its own
      bool others = i + 1 < bootstrap.static_resources().listeners_size() || !listeners_.empty() || sources_.listeners || (hooks_.ads_by_options && hooks_.ads_listeners);
      if (!others) return std::unexpected(e);  // nothing at all would serve
      if (auto ok = leave_out({true, from.name(), {}, {from.SerializeAsString(), "", now, false}}, e); !ok) return ok;
    }
  }
  activate_listeners(update);
  send(std::move(update));
  refresh_subscriptions();
  return {};
}

// What can not work as a document ends the start; what the machine does not let be is left out, and the rest serves. A check of
// the configuration alone names both.
Status ConfigManager::leave_out(LeftOut what, const base::Error& error) {
  if (error.code != Code::kFailedPrecondition || !hooks_.bind) return std::unexpected(error);
  what.error = error.text();
  FL_LOG_ERROR("config", "{}; the {} {} is left out, the rest of the configuration serves. Mend it and start again", explain(error), what.listener ? "listener" : "cluster", what.name);
  left_out_.push_back(std::move(what));
  return {};
}

// ----------------------------------------------------------------------------------------------------------- clusters

namespace {
// before: nullptr: there was none yet.
bool same_hosts(const EndpointSet* before, const EndpointSet& after) {
  if ((before ? before->hosts.size() : 0) != after.hosts.size()) return false;
  std::set<const Host*> known;
  if (before)
    for (const HostPtr& h : before->hosts) known.insert(h.get());
  return std::ranges::all_of(after.hosts, [&](const HostPtr& h) { return known.contains(h.get()); });
}
}  // namespace

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
  cds_.received = true;
  settle(std::move(out));
  refresh_subscriptions();
  return {};
}

void ConfigManager::put_cluster(std::shared_ptr<const ClusterConfig> config, Resource source, ConfigUpdate& out) {
  auto& slot = clusters_[config->name];
  bool fresh = !slot;
  if (fresh) slot = std::make_unique<ClusterState>();
  ClusterState& c = *slot;
  ++(fresh ? cluster_changes_.added : cluster_changes_.modified);
  bool same_dns = !fresh && c.config->type == config->type && c.config->dns_lookup == config->dns_lookup && c.config->dns.size() == config->dns.size() &&
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
      c.updates.attempt += c.config->eds_source.from != DiscoverySource::From::kFile;  // it asks; a file counts when it is read
      if (auto known = endpoint_sets_.find(c.config->eds_name); known != endpoint_sets_.end()) {
        next = known->second;
        c.updates.taken(endpoint_sources_[c.config->eds_name].version);
      }
      break;
    case Type::kStrictDns:
    case Type::kLogicalDns:
      if (!same_dns) {
        c.dns_answers.clear();
        c.unresolved.clear();
        if (hooks_.bind) loop_.post([this, name] { resolve(name); });
      }
      break;
  }
  if (next && next != c.assigned) {
    c.membership_changes += !same_hosts(c.assigned.get(), *next);
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
    if (base::Nanos wait = c.config->eds_source.initial_fetch; wait.count() > 0 && hooks_.bind) {
      c.fetch_timer = std::make_unique<io::Timer>(loop_, [this, name] {
        auto at = clusters_.find(name);
        if (at == clusters_.end() || at->second->found) return;
        ++at->second->updates.attempt;
        ++at->second->updates.fetch_timeout;
        ConfigUpdate late;
        warmed(*at->second, late);
        settle(std::move(late));
      });
      c.fetch_timer->arm(wait);
    }
  }
}

// A cluster serves when its endpoints are there, and each had its first check.
bool ConfigManager::may_warm(const ClusterState& c) const {
  if (c.checks_wait) return false;
  if (c.config->type == ClusterConfig::Type::kEds && !c.assigned && comes(c.config->eds_source)) return false;
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
  settle(std::move(out));
}

void ConfigManager::remove_cluster(const std::string& name, ConfigUpdate& out) {
  auto at = clusters_.find(name);
  if (at == clusters_.end() || !at->second->source.dynamic) return;
  std::string eds = at->second->config->eds_name;
  out.removed_clusters.push_back(at->second->config->id);
  clusters_.erase(at);
  ++cluster_changes_.removed;
  if (!eds.empty() && std::ranges::none_of(clusters_, [&](const auto& c) { return c.second->config->eds_name == eds; })) {
    endpoint_sets_.erase(eds);
    endpoint_sources_.erase(eds);
  }
}

void ConfigManager::set_endpoints(ClusterState& cluster, std::shared_ptr<const EndpointSet> endpoints, ConfigUpdate& out) {
  cluster.membership_changes += !same_hosts(cluster.assigned.get(), *endpoints);
  cluster.assigned = std::move(endpoints);
  cluster.assigned->adopt();
  clusters_updated_ += cluster.warm;
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
    if (known != endpoint_sets_.end() && endpoint_sources_[from.cluster_name()].bytes == r.bytes) {  // said before
      compiled.emplace_back(from.cluster_name(), known->second);
      sources.push_back({r.bytes, r.version, std::chrono::system_clock::now(), true});
      continue;
    }
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
      c->updates.taken(endpoint_sources_[name].version);
      if (c->assigned == set) ++c->updates.no_rebuild;
      else set_endpoints(*c, set, out);
      if (!c->warm && may_warm(*c)) warmed(*c, out);
    }
  }
  // A cluster goes by CDS: whoever takes its endpoints away meanwhile takes none that still serve (as in Envoy and gRPC).
  for (const std::string& name : update.removed) {
    bool used = std::ranges::any_of(clusters_, [&](const auto& c) { return c.second->config->eds_name == name; });
    if (used && endpoint_sets_.contains(name)) continue;
    endpoint_sets_.erase(name);
    endpoint_sources_.erase(name);
    for (auto& [cluster_name, c] : clusters_)
      if (c->config->type == ClusterConfig::Type::kEds && c->config->eds_name == name) {
        ++c->updates.empty;
        set_endpoints(*c, std::make_shared<const EndpointSet>(), out);
        if (!c->warm && may_warm(*c)) warmed(*c, out);
      }
  }
  settle(std::move(out));
  return {};
}

}  // namespace fairlead::proxy
