#include "proxy/upstream/health_checker.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "base/value.h"

namespace fairlead::proxy {

HealthChecker::HealthChecker(io::Loop& loop, std::shared_ptr<const ClusterConfig> cluster, const HealthCheckConfig& check, Hooks hooks)
    : loop_(loop), cluster_(std::move(cluster)), check_(check), hooks_(std::move(hooks)) {}

HealthChecker::~HealthChecker() = default;

void HealthChecker::add(const HostPtr& h, bool known) {
  if (h->check_disabled || hosts_.contains(h.get())) return;
  auto owned = std::make_unique<Checked>(
      loop_, [this, key = h.get()] { start(*hosts_.at(key)); }, [this, key = h.get()] { finish(*hosts_.at(key), {CheckResult::Kind::kNetwork, false}); });
  Checked& c = *owned;
  c.host = h;
  c.first = !known;
  if (!known) h->failed_check.store(true, std::memory_order_relaxed);
  hosts_[h.get()] = std::move(owned);
  c.prober = hooks_.prober(h);
  Nanos wait(0);
  if (check_.initial_jitter.count() > 0) wait = Nanos(static_cast<int64_t>(hooks_.random() % static_cast<uint64_t>(check_.initial_jitter.count())));
  c.next.arm(wait);
}

void HealthChecker::adopt(const EndpointSet& endpoints) {
  for (const HostPtr& h : endpoints.hosts) add(h, true);
}

void HealthChecker::update(const EndpointSet& endpoints) {
  std::set<const Host*> present;
  for (const HostPtr& h : endpoints.hosts) {
    present.insert(h.get());
    add(h, false);
  }
  std::erase_if(hosts_, [&](const auto& entry) { return !present.contains(entry.first); });
}

bool HealthChecker::all_checked() const {
  return std::ranges::none_of(hosts_, [](const auto& entry) { return entry.second->first; });
}

void HealthChecker::start(Checked& c) {
  ++counts_.attempt;
  c.timeout.arm(check_.timeout);
  c.probe = c.prober->check([this, key = c.host.get()](CheckResult result) {
    // Not when the time-out has decided already.
    if (auto at = hosts_.find(key); at != hosts_.end() && at->second->probe) finish(*at->second, result);
  });
}

void HealthChecker::finish(Checked& c, CheckResult result) {
  c.timeout.cancel();
  loop_.dispose(std::move(c.probe));
  using K = CheckResult::Kind;
  counts_.verify_cluster += result.verified;
  bool first = std::exchange(c.first, false), flipped = false;
  Host& host = *c.host;
  if (result.kind == K::kPassed) {
    ++counts_.success;
    c.bad = 0;
    if (host.failed_check.load(std::memory_order_relaxed) && (first || ++c.good >= check_.healthy_threshold)) {
      host.failed_check.store(false, std::memory_order_relaxed);
      host.serving_since_ns.store(loop_.now().time_since_epoch().count(), std::memory_order_relaxed);
      flipped = true;
      log(host, "add_healthy_event");
    }
    if (host.degraded_check.exchange(result.degraded, std::memory_order_relaxed) != result.degraded) flipped = true;
    if (check_.log_successes && !flipped) log(host, "successful_health_check_event");
    if (host.ejected.load(std::memory_order_relaxed) && hooks_.passed) hooks_.passed(c.host);
  } else {
    ++counts_.failure;
    if (result.kind == K::kNetwork) ++counts_.network_failure;
    c.good = 0;
    if (!host.failed_check.load(std::memory_order_relaxed)) {
      if (result.kind == K::kFailed || ++c.bad >= check_.unhealthy_threshold) {
        host.failed_check.store(true, std::memory_order_relaxed);
        flipped = true;
        log(host, "eject_unhealthy_event");
      }
    }
    if ((first || check_.log_failures) && !flipped) log(host, "health_check_failure_event");
  }
  c.next.arm(interval(c, flipped));
  // The first result may end the cluster's warming, even when it changes nothing.
  if ((flipped || first) && hooks_.changed) hooks_.changed();
}

Nanos HealthChecker::interval(const Checked& c, bool changed) {
  bool out = c.host->failed_check.load(std::memory_order_relaxed);
  Nanos base;
  if (!hooks_.has_traffic || hooks_.has_traffic()) {
    base = out ? check_.unhealthy_interval.value_or(check_.interval) : check_.interval;
    if (changed) base = out ? check_.unhealthy_edge_interval.value_or(base) : check_.healthy_edge_interval.value_or(base);
  } else {
    base = out ? check_.no_traffic_interval : check_.no_traffic_healthy_interval.value_or(check_.no_traffic_interval);
  }
  auto jitter = [&](int64_t most) {
    if (most > 0) base += Nanos(static_cast<int64_t>(hooks_.random() % static_cast<uint64_t>(most)));
  };
  jitter(base.count() / 100 * check_.interval_jitter_percent);
  jitter(check_.interval_jitter.count());
  return std::max<Nanos>(base, std::chrono::milliseconds(1));
}

// envoy.data.core.v3.HealthCheckEvent as one line of JSON.
void HealthChecker::log(const Host& host, std::string_view event) {
  FL_LOG_DEBUG("health", "cluster {}: {}: {}", cluster_->name, host.text, event);
  if (check_.event_log.empty() || !hooks_.log) return;
  using V = base::Value;
  static constexpr std::string_view kTypes[] = {"HTTP", "TCP", "GRPC"};
  V address = V::object({{"socket_address", V::object({{"address", host.address.ip()}, {"port_value", static_cast<long long>(host.address.port())}})}});
  V line = V::object({{"health_checker_type", kTypes[static_cast<size_t>(check_.kind)]}, {"host", std::move(address)}, {"cluster_name", cluster_->name}});
  line.set(std::string(event), V::object());
  line.set("timestamp", base::format_rfc3339(std::chrono::system_clock::now()));
  hooks_.log(check_.event_log, line.dump() + "\n");
}

}  // namespace fairlead::proxy
