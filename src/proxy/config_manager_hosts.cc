// ConfigManager: what becomes of a cluster's hosts between two updates: names resolved, health checked, outliers ejected.
#include <algorithm>

#include "base/log.h"
#include "proxy/config_manager.h"
#include "proxy/config_manager_util.h"

namespace fairlead::proxy {

using base::Code;

// ---------------------------------------------------------------------------------------------------------------- DNS

void ConfigManager::resolve(const std::string& name) {
  auto at = clusters_.find(name);
  if (at == clusters_.end()) return;
  ClusterState& c = *at->second;
  if (!c.dns_timer) c.dns_timer = std::make_unique<io::Timer>(loop_, [this, name] { resolve(name); });
  c.dns_timer->arm(c.config->dns_refresh);
  for (size_t i = 0; i < c.config->dns.size(); ++i) {
    const auto& target = c.config->dns[i];
    ++c.updates.attempt;
    if (auto ip = io::Address::parse_ip(target.name, 0)) {
      dns_answer(name, i, io::Resolver::Answer{{*ip}, std::chrono::seconds(3600)});
      continue;
    }
    resolver_->resolve(target.name, c.config->dns_family, [this, name, i](base::Result<io::Resolver::Answer> answer) { dns_answer(name, i, std::move(answer)); });
  }
}

void ConfigManager::dns_answer(const std::string& name, size_t target, base::Result<io::Resolver::Answer> answer) {
  auto at = clusters_.find(name);
  if (at == clusters_.end() || target >= at->second->config->dns.size()) return;
  ClusterState& c = *at->second;
  if (!answer) {
    ++c.updates.failure;
    if (c.config->dns_failure_base.count() > 0 && c.dns_timer) {
      // Between nothing and the doubled base, up to the maximum (Envoy's jittered exponential back-off).
      base::Nanos most = c.config->dns_failure_base;
      for (uint32_t i = 0; i < c.dns_failures_in_a_row && most < c.config->dns_failure_max; ++i) most *= 2;
      most = std::min(most, c.config->dns_failure_max);
      c.dns_timer->arm(std::max<base::Nanos>(base::Nanos(static_cast<int64_t>(random() % static_cast<uint64_t>(most.count() + 1))), std::chrono::milliseconds(1)));
      ++c.dns_failures_in_a_row;
    }
    // What was known stays: a resolver that is away must not take endpoints with it. A name that is gone does.
    constexpr base::Nanos kSayAgain = std::chrono::minutes(10);
    auto& unresolved = c.unresolved[target];
    unresolved.now = true;
    if (unresolved.said == base::TimePoint{} || loop_.now() - unresolved.said >= kSayAgain) {
      unresolved.said = loop_.now();
      FL_LOG_WARN("config", "cluster {}: the name {} does not resolve ({}); {}. Check the name and /etc/resolv.conf", name, c.config->dns[target].name,
                  answer.error().text(), c.dns_answers.contains(target) && answer.error().code != Code::kNotFound ? "the addresses known before stay in use" : "it has no endpoints until it does");
    }
    if (answer.error().code != Code::kNotFound || !c.dns_answers.contains(target)) return;
    c.dns_answers.erase(target);
  } else {
    ++c.updates.success;
    if (auto u = c.unresolved.find(target); u != c.unresolved.end() && std::exchange(u->second.now, false))
      FL_LOG_INFO("config", "cluster {}: {} resolves", name, c.config->dns[target].name);
    c.dns_failures_in_a_row = 0;
    if (c.config->respect_dns_ttl && answer->ttl > std::chrono::seconds(0) && c.dns_timer) c.dns_timer->arm(std::max(answer->ttl, std::chrono::seconds(1)));
    auto addresses = order_addresses(c.config->dns_lookup, std::move(answer->addresses));
    if (c.config->type == ClusterConfig::Type::kLogicalDns && addresses.size() > 1) {
      // One at a time; the one in use is kept while it is among the answers, the others are there when it does not answer.
      auto& known = c.dns_answers[target];
      if (!known.empty())
        if (auto stays = std::ranges::find(addresses, known[0]); stays != addresses.end() && known[0].family() == addresses[0].family()) std::iter_swap(addresses.begin(), stays);
    }
    if (auto k = c.dns_answers.find(target); k != c.dns_answers.end() && k->second.size() == addresses.size() && std::ranges::is_permutation(k->second, addresses)) return void(++c.updates.no_rebuild);
    c.dns_answers[target] = std::move(addresses);
  }
  auto set = std::make_shared<EndpointSet>();
  for (auto& [i, addresses] : c.dns_answers) {
    const auto& t = c.config->dns[i];
    auto locality = std::ranges::find_if(set->localities, [&](const auto& l) { return l.name == t.locality && l.priority == t.priority; });
    auto index = static_cast<uint32_t>(locality - set->localities.begin());
    if (locality == set->localities.end()) set->localities.push_back({t.locality, t.priority, t.locality_weight});
    bool logical = c.config->type == ClusterConfig::Type::kLogicalDns;
    size_t hosts = logical ? std::min<size_t>(addresses.size(), 1) : count_hosts(c.config->dns_lookup, addresses);
    for (size_t n = 0; n < hosts; ++n) {
      io::Address a = addresses[n];
      a.set_port(t.port);
      std::vector<io::Address> more;
      for (size_t m = hosts; m < addresses.size(); ++m) more.push_back(addresses[m]), more.back().set_port(t.port);
      HostPtr host;
      if (c.assigned)
        for (const HostPtr& known : c.assigned->hosts)
          if (known->address == a && known->hostname == t.hostname && known->more_addresses == more) host = known;
      // The same address by two names is one host.
      if (host && std::ranges::find(set->hosts, host) != set->hosts.end()) continue;
      if (!host) {
        host = std::make_shared<Host>();
        host->address = a;
        host->more_addresses = std::move(more);
        host->text = a.text();
        host->hostname = t.hostname;
        host->locality = t.locality;
        host->check_hostname = t.check_hostname;
        if (t.check_port) host->check_address = a, host->check_address->set_port(*t.check_port);
      }
      set->hosts.push_back(std::move(host));
      set->entries.push_back({t.weight, t.priority, index, HealthStatus::kHealthy});
    }
  }
  ConfigUpdate out;
  set_endpoints(c, std::move(set), out);
  if (!c.warm && may_warm(c)) warmed(c, out);
  settle(std::move(out));
}

// ------------------------------------------------------------------------------------------------------ health checks

void ConfigManager::start_checks(const std::string& name, ClusterState& c) {
  // Hosts keep what is known of them: a change of the configuration must not take a cluster out.
  bool before = !c.checkers.empty();
  c.checkers.clear();
  if (!hooks_.bind) return;
  if (c.config->health_checks.empty()) {
    if (before && c.endpoints)
      for (const HostPtr& h : c.endpoints->hosts) h->failed_check = false, h->degraded_check = false;
    return;
  }
  for (const HealthCheckConfig& check : c.config->health_checks) {
    HealthChecker::Hooks hooks;
    hooks.changed = [this, name] { check_changed(name); };
    hooks.passed = [this, name](const HostPtr& host) {
      auto at = clusters_.find(name);
      if (at != clusters_.end() && at->second->config->outlier && at->second->config->outlier->check_unejects) uneject(host);
    };
    hooks.has_traffic = [config = c.config] { return config->breakers[0]->used.load(std::memory_order_relaxed); };
    hooks.random = [this] { return random(); };
    hooks.log = [this](const std::string& path, std::string line) {
      if (hooks_.log) hooks_.log(path, std::move(line));
    };
    hooks.prober = [this, config = c.config, &check](const HostPtr& host) { return make_prober(loop_, *config, check, host, hooks_.socket_mark); };
    c.checkers.push_back(std::make_unique<HealthChecker>(loop_, c.config, check, std::move(hooks)));
    if (c.endpoints) c.checkers.back()->adopt(*c.endpoints);
  }
}

void ConfigManager::check_changed(const std::string& name) {
  auto at = clusters_.find(name);
  if (at == clusters_.end()) return;
  ClusterState& c = *at->second;
  ConfigUpdate out;
  // A host that was kept only because it was well may be gone now.
  bool kept = c.endpoints && c.assigned && c.endpoints->hosts.size() != c.assigned->hosts.size();
  if (kept) loop_.post([this, name] {
    auto again = clusters_.find(name);
    if (again == clusters_.end()) return;
    ConfigUpdate later;
    apply_endpoints(*again->second, later);
    send(std::move(later));
  });
  if (!c.warm && may_warm(c)) {
    warmed(c, out);
    settle(std::move(out));
  } else if (c.warm) {
    ++clusters_updated_;
    hooks_.hosts_changed(c.config->id);
  }
}

// -------------------------------------------------------------------------------------------------- outlier detection

void ConfigManager::start_outlier(const std::string& name, ClusterState& c) {
  if (!c.config->outlier) {
    c.outlier_timer.reset();
    if (c.endpoints)
      for (const HostPtr& h : c.endpoints->hosts) uneject(h);
    return;
  }
  if (!c.outlier_timer) c.outlier_timer = std::make_unique<io::Timer>(loop_, [this, name] { outlier_interval(name); });
  if (!c.outlier_timer->armed() && hooks_.bind) c.outlier_timer->arm(std::max<base::Nanos>(c.config->outlier->interval, std::chrono::milliseconds(1)));
}

void ConfigManager::outlier_interval(const std::string& name) {
  auto at = clusters_.find(name);
  if (at == clusters_.end() || !at->second->config->outlier) return;
  ClusterState& c = *at->second;
  c.outlier_timer->arm(std::max<base::Nanos>(c.config->outlier->interval, std::chrono::milliseconds(1)));
  if (!c.endpoints || !hooks_.count_hosts) return;
  // An interval without an ejection makes the next ejection shorter.
  for (const HostPtr& h : c.endpoints->hosts)
    if (uint32_t n = h->ejections.load(std::memory_order_relaxed); n > 0 && !h->ejected.load(std::memory_order_relaxed)) h->ejections.store(n - 1, std::memory_order_relaxed);
  hooks_.count_hosts(c.config->id, [this, name](std::unordered_map<const Host*, HostCounters> counts) {
    auto again = clusters_.find(name);
    if (again == clusters_.end() || !again->second->config->outlier || !again->second->endpoints) return;
    std::vector<OutlierSample> samples;
    for (const HostPtr& h : again->second->endpoints->hosts) {
      auto n = counts.find(h.get());
      if (n == counts.end() || h->ejected.load(std::memory_order_relaxed)) samples.push_back({h, 0, 0, 0, 0});
      else samples.push_back({h, n->second.ok, n->second.answers, n->second.local_ok, n->second.local_total});
    }
    ClusterId id = again->second->config->id;
    for (auto& [host, kind] : find_outliers(*again->second->config->outlier, samples)) eject(id, host, kind);
  });
}

void ConfigManager::arm_uneject() {
  base::TimePoint next = base::TimePoint::max();
  for (const Ejected& e : ejected_) next = std::min(next, e.until);
  if (!ejected_.empty()) uneject_.arm(next - loop_.now());
}

void ConfigManager::uneject(const HostPtr& host) {
  std::set<ClusterId> changed;
  std::erase_if(ejected_, [&](const Ejected& e) {
    if (e.host != host) return false;
    changed.insert(e.cluster);
    return true;
  });
  if (changed.empty()) return;
  host->ejected.store(false, std::memory_order_relaxed);
  host->serving_since_ns.store(loop_.now().time_since_epoch().count(), std::memory_order_relaxed);
  clusters_updated_ += changed.size();
  for (ClusterId id : changed) hooks_.hosts_changed(id);
}

void ConfigManager::eject(ClusterId id, HostPtr host, Ejection kind) {
  auto at = clusters_.find(names_.name(id));
  if (at == clusters_.end() || !at->second->config->outlier || host->ejected.load(std::memory_order_relaxed)) return;
  ClusterState& c = *at->second;
  const OutlierConfig& o = *c.config->outlier;
  ++c.detected[static_cast<size_t>(kind)];
  size_t total = c.endpoints ? c.endpoints->hosts.size() : 0;
  size_t out = 0;
  if (c.endpoints)
    for (const HostPtr& h : c.endpoints->hosts) out += h->ejected.load(std::memory_order_relaxed);
  if (!may_eject(o, out, total)) {
    ++c.ejections_overflow;
    return;
  }
  c.ejections_of_old += kind == Ejection::kConsecutive5xx || kind == Ejection::kSuccessRate;
  uint32_t share = enforcing(o, kind);
  if (share < 100 && random() % 100 >= share) return;
  uint32_t times = host->ejections.fetch_add(1, std::memory_order_relaxed) + 1;
  host->ejected.store(true, std::memory_order_relaxed);
  ++c.ejections_total;
  ++c.enforced[static_cast<size_t>(kind)];
  base::Nanos stay = ejection_time(o, times, random());
  ejected_.push_back({id, host, loop_.now() + stay});
  FL_LOG_INFO("config", "cluster {}: {} ejected for {} ({})", c.config->name, host->text, base::format_duration(stay), to_string(kind));
  arm_uneject();
  ++clusters_updated_;
  hooks_.hosts_changed(id);
}

}  // namespace fairlead::proxy
