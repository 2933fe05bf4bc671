// ConfigManager: listeners, with the sockets that they are bound to, and the route tables that they wait for.
#include <google/protobuf/util/message_differencer.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "io/transport.h"
#include "proxy/config_manager.h"
#include "proxy/config_manager_util.h"
#include "proxy/tls_source.h"

namespace fairlead::proxy {

using base::Code;
using base::Status;

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
    flow_rules_.remove(name);
    ++listener_changes_.removed;
    bound_.erase(name);
    if (auto fds = pending_fds_.extract(name); fds)
      for (int fd : fds.mapped())
        if (fd >= 0) ::close(fd);
    out.removed_listeners.push_back(name);
  }
  lds_.received = true;
  settle(std::move(out));
  refresh_subscriptions();
  if (!problems.empty()) return base::fail(Code::kInvalidArgument, "{}", base::join(problems, "; "));
  return {};
}

namespace {
// Whether a listener's update changes its filter chains alone.
bool only_chains_differ(const std::string& before, const std::string& after) {
  envoy::config::listener::v3::Listener listeners[2];
  if (!listeners[0].ParseFromString(before) || !listeners[1].ParseFromString(after)) return false;
  for (auto& l : listeners) {
    l.clear_filter_chains();
    l.clear_default_filter_chain();
    l.clear_filter_chain_matcher();
  }
  return google::protobuf::util::MessageDifferencer::Equivalent(listeners[0], listeners[1]);
}

// What to do about a socket that could not be had.
std::string_view remedy(std::string_view message) {
  struct Known {
    std::string_view text, remedy;
  };
  static constexpr Known kKnown[] = {
      {"Address already in use", "; another process has this port (ss -ltnp tells which): end it or give another port"},
      {"Permission denied", "; ports below 1024 need the capability CAP_NET_BIND_SERVICE"},
      {"Cannot assign requested address", "; no interface of this machine has this address"},
      {"Too many open files", "; raise the limit with ulimit -n or LimitNOFILE="},
  };
  for (const Known& k : kKnown)
    if (message.find(k.text) != std::string_view::npos) return k.remedy;
  return {};
}
}  // namespace

Status ConfigManager::bind(const ListenerConfig& config, std::vector<int>& fds) {
  for (unsigned i = 0; i < hooks_.workers; ++i) {
    io::ListenOptions options;
    options.reuse_port = config.address.is_ip() && hooks_.workers > 1;
    options.transparent = config.transparent;
    options.freebind = config.freebind;
    options.backlog = static_cast<int>(config.backlog);
    for (size_t n = 0; n <= config.more_addresses.size(); ++n) {
      io::Address at = n == 0 ? config.address : config.more_addresses[n - 1];
      // Port 0: the first worker's socket picks, the others join it.
      if (at.is_ip() && at.port() == 0 && i > 0)
        if (auto a = io::local_address(fds[n])) at.set_port(a->port());
      auto fd = io::listen(at, options);
      if (!fd) {
        for (int open : fds) ::close(open);
        fds.clear();
        std::string field = n == 0 ? "address" : fmt::format("additional_addresses[{}].address", n - 1);
        return std::unexpected(base::Error{Code::kFailedPrecondition, fmt::format("can't listen on {}: {}{}", at.text(), fd.error().message, remedy(fd.error().message)), field});
      }
      fds.push_back(fd->release());
    }
  }
  return {};
}

Status ConfigManager::put_listener(std::shared_ptr<const ListenerConfig> config, Resource source) {
  auto bound = bound_.find(config->name);
  std::vector<io::Address> addresses = {config->address};
  addresses.insert(addresses.end(), config->more_addresses.begin(), config->more_addresses.end());
  bool keep = bound != bound_.end() && bound->second == addresses;
  if (hooks_.bind && config->bind && !keep) {
    std::vector<int> fds;
    if (auto ok = bind(*config, fds); !ok) {
      ++listeners_refused_;
      return ok;
    }
    if (auto old = pending_fds_.find(config->name); old != pending_fds_.end())
      for (int fd : old->second) ::close(fd);
    if (auto a = io::local_address(fds[0])) FL_LOG_INFO("config", "listener {} on {}", config->name, a->text());
    pending_fds_[config->name] = std::move(fds);
    bound_[config->name] = std::move(addresses);
  }
  for (const FilterChain& c : config->chains)
    if (c.tls) secrets_.attach(c.tls);
  if (config->default_chain && config->default_chain->tls) secrets_.attach(config->default_chain->tls);
  ++(listeners_.contains(config->name) ? listener_changes_.modified : listener_changes_.added);
  ListenerState& l = listeners_[config->name];
  listeners_in_place_ += l.active && only_chains_differ(l.source.bytes, source.bytes);
  l.active = false;
  l.config = std::move(config);
  l.source = std::move(source);
  l.error.clear();
  return {};
}

bool ConfigManager::listener_warm(const ListenerConfig& config) const {
  auto waits = [this](const FilterChain& c) { return c.tls && secrets_.waits(*c.tls); };
  if (std::ranges::any_of(config.chains, waits) || (config.default_chain && waits(*config.default_chain))) return false;
  bool routes = true;
  for_each_rds(config, [&](const HttpConfig& http) {
    auto wait = route_waits_.find(http.rds_name);
    bool over = wait != route_waits_.end() && wait->second.over;
    routes = routes && (over || routes_.contains(http.rds_name) || static_routes_.contains(http.rds_name) || !comes(http.rds_source));
  });
  if (!routes) return false;
  if (started_) return true;
  // At the start clusters come first, so that the first request finds its endpoints.
  if (cds_.waits()) return false;
  for (auto& [name, c] : clusters_)
    if (!c->warm) return false;
  return true;
}

void ConfigManager::activate_listeners(ConfigUpdate& out) {
  for (auto& [name, l] : listeners_) {
    if (l.active || !listener_warm(*l.config)) continue;
    l.active = true;
    flow_rules_.put(*l.config);
    out.listeners.push_back({l.config, {}});
  }
}

void ConfigManager::send(ConfigUpdate update) {
  if (update.clusters.empty() && update.removed_clusters.empty() && update.endpoints.empty() && update.routes.empty() &&
      update.removed_routes.empty() && update.listeners.empty() && update.removed_listeners.empty())
    return;
  std::vector<std::vector<int>> fds;
  for (auto& l : update.listeners) {
    auto at = pending_fds_.extract(l.config->name);
    fds.push_back(at ? std::move(at.mapped()) : std::vector<int>());
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
    if (routes_.erase(name)) out.removed_routes.push_back(name);
    if (auto wait = route_waits_.find(name); wait != route_waits_.end()) wait->second.over = true;  // there is none
  }
  settle(std::move(out));
  return {};
}

}  // namespace fairlead::proxy
