// ConfigManager: where resources come from: the aggregated stream, streams of their own, files; and how long they are
// waited for.
#include <algorithm>

#include "base/log.h"
#include "proxy/config_manager.h"
#include "proxy/config_manager_util.h"
#include "proxy/tls_source.h"
#include "proxy/upstream/tls_dial.h"
#include "xds/types.h"

namespace fairlead::proxy {

using base::Status;

namespace {

size_t kind_of(std::string_view url) { return url == xds::kClusterType ? 0 : url == xds::kEndpointType ? 1 : url == xds::kListenerType ? 2 : url == xds::kRouteType ? 3 : 4; }

}  // namespace

Status ConfigManager::start_discovery(xds::AdsClient* ads) {
  ads_ = ads;
  discovery_started_ = true;
  if (hooks_.ads_by_options) {
    DiscoverySource from;
    from.initial_fetch = base::Nanos(0);  // an agent's proxy has nothing to serve with before its control plane has spoken
    sources_.clusters = hooks_.ads_clusters ? std::optional(from) : std::nullopt;
    sources_.listeners = hooks_.ads_listeners ? std::optional(from) : std::nullopt;
  }
  cds_.wanted = sources_.clusters.has_value();
  lds_.wanted = sources_.listeners.has_value();
  for (auto& [url, source, wait] : {std::tuple(xds::kClusterType, &sources_.clusters, &cds_), std::tuple(xds::kListenerType, &sources_.listeners, &lds_)}) {
    if (!*source) continue;
    const DiscoverySource& from = **source;
    if (from.initial_fetch.count() > 0) {
      wait->timer = std::make_unique<io::Timer>(loop_, [this, w = wait, u = url] {
        w->over = true;
        if (!w->received) ++updates_[kind_of(u)].attempt, ++updates_[kind_of(u)].fetch_timeout;
        if (!w->received) FL_LOG_WARN("config", "no {} came in time; what there is serves", u.substr(u.rfind('.') + 1));
        settle({});
      });
      wait->timer->arm(from.initial_fetch);
    }
    if (from.from == DiscoverySource::From::kAds && ads_) ads_->subscribe_all(url);
    if (from.from == DiscoverySource::From::kCluster) streams_.subscribe_all(url, from);
    if (from.from == DiscoverySource::From::kFile)
      if (auto ok = follow_file(url, from.where); !ok) return ok;
  }
  refresh_subscriptions();
  settle({});
  return {};
}

std::optional<xds::AdsOptions> ConfigManager::reach(const DiscoverySource& from) {
  if (!compiler_.grpc_clusters.contains(from.where)) return std::nullopt;
  xds::AdsOptions o;
  o.delta = from.delta;
  o.node = hooks_.node;
  o.socket_mark = hooks_.socket_mark;
  o.authority = from.authority.empty() ? from.where : from.authority;
  for (const auto& [name, value] : from.metadata) o.headers.add(name, value);
  // Proxies that start together do not all begin with the same server.
  o.refresh = [this, from, turn = static_cast<size_t>(random() >> 1)](xds::AdsOptions& to) mutable { return next_server(from, to.tried ? turn : ++turn, to); };
  return o;
}

// The endpoint whose turn it is, well ones first, then by priority.
Status ConfigManager::next_server(const DiscoverySource& from, size_t turn, xds::AdsOptions& to) {
  auto at = clusters_.find(from.where);
  if (at == clusters_.end())
    return base::fail(discovery_started_ ? base::Code::kUnavailable : xds::AdsOptions::kNotYet, "there is no cluster {}", from.where);
  const ClusterState& c = *at->second;
  std::vector<std::tuple<bool, uint32_t, HostPtr, io::Address>> servers;
  if (c.endpoints)
    for (const HostPtr& h : c.endpoints->hosts) {
      servers.emplace_back(!h->usable(), h->priority.load(std::memory_order_relaxed), h, h->address);
      for (const io::Address& more : h->more_addresses) servers.emplace_back(!h->usable(), h->priority.load(std::memory_order_relaxed), h, more);
    }
  if (servers.empty()) {
    bool asked = !c.config->dns.empty() && c.unresolved.empty();
    return base::fail(asked ? xds::AdsOptions::kNotYet : base::Code::kUnavailable, "cluster {} has no endpoint", from.where);
  }
  if (c.config->tls && !c.config->tls->complete() && secrets_.waits(*c.config->tls)) return base::fail(xds::AdsOptions::kNotYet, "the secrets of cluster {} have not come", from.where);
  // Turns go around within a priority, and then on to the next: after servers.size() tries each was asked once.
  std::ranges::stable_sort(servers, {}, [](const auto& s) { return std::pair(std::get<0>(s), std::get<1>(s)); });
  auto group = [&](size_t i) { return std::pair(std::get<0>(servers[i]), std::get<1>(servers[i])); };
  size_t i = to.tried % servers.size(), first = i, last = i;
  while (first > 0 && group(first - 1) == group(i)) --first;
  while (last + 1 < servers.size() && group(last + 1) == group(i)) ++last;
  auto& [ill, priority, host, address] = servers[first + (turn + i - first) % (last - first + 1)];
  to.servers = servers.size();
  to.unix_path = address.is_ip() ? std::string() : address.text();
  to.host = address.is_ip() ? address.ip() : "localhost";
  to.port = address.is_ip() ? address.port() : 80;  // of a pipe only a name
  to.connect_timeout = c.config->connect_timeout;
  to.socket_setup = c.config->socket;
  to.wrap = [this, config = c.config, host = host, authority = to.authority](std::unique_ptr<io::Transport> plain) {
    return wrap_upstream(loop_, *config, nullptr, *host, std::move(plain), DialFor::kHttp2, config->auto_sni ? std::string(server_name_of(authority)) : std::string()).transport;
  };
  return {};
}

bool ConfigManager::by_stream() const {
  auto stream = [](const std::optional<DiscoverySource>& s) { return s && s->from != DiscoverySource::From::kFile; };
  return stream(sources_.clusters) || stream(sources_.listeners);
}

// Whether anything can be expected of a source.
bool ConfigManager::comes(const DiscoverySource& from) const { return from.from != DiscoverySource::From::kAds || hooks_.ads; }

// What can't be read or is refused later is told and changes nothing; at the start it is for the caller to decide.
Status ConfigManager::follow_file(std::string_view type_url, const std::string& path) {
  if (!followed_.emplace(path, type_url).second) return {};
  if (hooks_.bind) {
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
    DiscoverySource from;
    from.from = DiscoverySource::From::kFile;
    from.where = path;
    stream_failed(type_url, &from);
    return std::unexpected(update.error());
  }
  return on_update(*update);
}

// The endpoints and routes that clusters and listeners name, by where they come from. A name comes from one source; should
// two differ, the first counts.
void ConfigManager::refresh_subscriptions() {
  std::map<std::string, DiscoverySource> eds, rds;
  auto want = [](std::map<std::string, DiscoverySource>& of, std::string_view kind, const std::string& name, const DiscoverySource& from) {
    auto [at, fresh] = of.emplace(name, from);
    if (!fresh && at->second != from) FL_LOG_WARN("config", "{} {} are wanted from two sources; the first is asked", kind, name);
  };
  for (auto& [name, c] : clusters_)
    if (c->config->type == ClusterConfig::Type::kEds) want(eds, "endpoints", c->config->eds_name, c->config->eds_source);
  for (auto& [name, l] : listeners_)
    for_each_rds(*l.config, [&](const HttpConfig& http) { want(rds, "routes", http.rds_name, http.rds_source); });
  for (const std::string& name : static_routes_) rds.erase(name);
  secrets_.prune();

  std::map<std::string, std::string_view> files;
  for (auto& [url, names] : {std::pair(xds::kEndpointType, &eds), std::pair(xds::kRouteType, &rds)}) {
    std::set<std::string> by_ads;
    std::map<DiscoverySource, std::set<std::string>> by_stream;
    for (auto& [name, from] : *names) {
      if (from.from == DiscoverySource::From::kAds) by_ads.insert(name);
      else if (from.from == DiscoverySource::From::kCluster) by_stream[from].insert(name);
      else files.emplace(from.where, url);
    }
    if (ads_) ads_->subscribe(url, std::move(by_ads));
    if (hooks_.bind) streams_.subscribe(url, by_stream);
  }
  if (ads_) ads_->subscribe(xds::kSecretType, secrets_.ads_names());
  eds_from_ = std::move(eds);
  rds_from_ = std::move(rds);
  wait_for_routes();

  for (auto& [path, url] : files)
    if (auto ok = follow_file(url, path); !ok) FL_LOG_WARN("config", "{} is not taken: {}", path, ok.error().text());
  std::erase_if(followed_, [&](const auto& f) {
    bool stays = f.second == xds::kClusterType || f.second == xds::kListenerType || files.contains(f.first);
    if (!stays && files_) files_->forget(f.first);
    return !stays;
  });
  std::vector<std::string> gone;
  for (auto& [name, r] : routes_)
    if (!rds_from_.contains(name)) gone.push_back(name);
  if (gone.empty()) return;
  ConfigUpdate update;
  for (const std::string& name : gone) {
    routes_.erase(name);
    update.removed_routes.push_back(name);
  }
  send(std::move(update));
}

// Each route table that listeners wait for has its own time, from when it was first asked for.
void ConfigManager::wait_for_routes() {
  std::erase_if(route_waits_, [this](const auto& w) { return !rds_from_.contains(w.first) || routes_.contains(w.first); });
  for (auto& [name, from] : rds_from_) {
    if (routes_.contains(name) || !hooks_.bind) continue;
    auto [at, fresh] = route_waits_.try_emplace(name);
    if (!fresh || from.initial_fetch.count() == 0) continue;
    at->second.timer = std::make_unique<io::Timer>(loop_, [this, name] {
      auto found = route_waits_.find(name);
      if (found == route_waits_.end() || std::exchange(found->second.over, true)) return;
      FL_LOG_WARN("config", "routes {} did not come in time; their listeners serve without", name);
      settle({});
    });
    at->second.timer->arm(from.initial_fetch);
  }
}

Status ConfigManager::on_update(const xds::ReceivedUpdate& update) { return take(update, nullptr); }

// from: the stream's own source; nullptr: the aggregated stream, or a file.
Status ConfigManager::take(const xds::ReceivedUpdate& update, const DiscoverySource* from) {
  // A stream has a say on what was asked of it alone.
  if (const auto* names = update.type_url == xds::kEndpointType ? &eds_from_ : update.type_url == xds::kRouteType ? &rds_from_ : nullptr; from && names) {
    auto foreign = [&](const std::string& name) {
      auto at = names->find(name);
      return at == names->end() || at->second != *from;
    };
    xds::ReceivedUpdate own = update;
    std::erase_if(own.changed, [&](const auto& r) { return foreign(r.name); });
    std::erase_if(own.removed, foreign);
    return apply(own, from);
  }
  return apply(update, from);
}

Status ConfigManager::apply(const xds::ReceivedUpdate& update, const DiscoverySource* from) {
  Status status;
  if (update.type_url == xds::kClusterType) status = update_clusters(update);
  else if (update.type_url == xds::kEndpointType) status = update_endpoints(update);
  else if (update.type_url == xds::kListenerType) status = update_listeners(update);
  else if (update.type_url == xds::kRouteType) status = update_routes(update);
  else if (update.type_url == xds::kSecretType) status = secrets_.on_update(update, from);
  Updates& updates = updates_[kind_of(update.type_url)];
  if (status) updates.taken(update.version);
  else ++updates.attempt, ++updates.rejected;
  if (!status) {
    FL_LOG_WARN("config", "refused an update: {}", status.error().text());
    refused(update);
  } else {
    FL_LOG_DEBUG("config", "{}: {} changed, {} removed", update.type_url.substr(update.type_url.rfind('.') + 1), update.changed.size(), update.removed.size());
  }
  return status;
}

// Who waits for the first of something waits no longer when it came and was refused: the rest serves (as in Envoy).
void ConfigManager::refused(const xds::ReceivedUpdate& update) {
  ConfigUpdate out;
  if (update.type_url == xds::kClusterType) cds_.over = true;
  if (update.type_url == xds::kListenerType) lds_.over = true;
  for (const auto& r : update.changed) {
    if (update.type_url == xds::kRouteType)
      if (auto at = route_waits_.find(r.name); at != route_waits_.end()) at->second.over = true;
    if (update.type_url == xds::kEndpointType)
      for (auto& [name, c] : clusters_)
        if (c->config->type == ClusterConfig::Type::kEds && c->config->eds_name == r.name) {
          ++c->updates.attempt, ++c->updates.rejected;
          if (!c->found && !c->assigned) warmed(*c, out);
        }
  }
  settle(std::move(out));
}

void ConfigManager::on_stream(bool up, std::string_view) {
  if (up) return;
  for (std::string_view url : {xds::kClusterType, xds::kEndpointType, xds::kListenerType, xds::kRouteType}) stream_failed(url, nullptr);
}

// Who waits on a stream that broke, or could not be made, counts it; so does who has a file that can't be read.
void ConfigManager::stream_failed(std::string_view type_url, const DiscoverySource* from) {
  auto failed = [](Updates& updates) { ++updates.attempt, ++updates.failure; };
  if (const auto* wanted = type_url == xds::kClusterType ? &sources_.clusters : type_url == xds::kListenerType ? &sources_.listeners : nullptr) {
    if (*wanted && (from ? (*wanted)->from == from->from && (*wanted)->where == from->where : (*wanted)->from == DiscoverySource::From::kAds)) failed(updates_[kind_of(type_url)]);
    return;
  }
  failed(updates_[kind_of(type_url)]);
  if (type_url != xds::kEndpointType) return;
  for (auto& [name, c] : clusters_) {
    const DiscoverySource& source = c->config->eds_source;
    if (c->config->type != ClusterConfig::Type::kEds) continue;
    if (from ? source.from == from->from && source.where == from->where : source.from == DiscoverySource::From::kAds) failed(c->updates);
  }
}

// Sends what changed with the listeners that it lets serve, and tells when everything has come once.
void ConfigManager::settle(ConfigUpdate update) {
  if (!started_ && discovery_started_)
    started_ = !cds_.waits() && std::ranges::all_of(clusters_, [](const auto& c) { return c.second->warm; });
  activate_listeners(update);
  send(std::move(update));
  if (discovery_started_ && initialized() && hooks_.ready_changed) hooks_.ready_changed();
}

bool ConfigManager::initialized() const {
  return !cds_.waits() && !lds_.waits() && std::ranges::all_of(listeners_, [](const auto& l) { return l.second.active; });
}

}  // namespace fairlead::proxy
