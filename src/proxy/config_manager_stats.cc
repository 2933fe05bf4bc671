// ConfigManager: the statistics of configuration and of clusters, in Envoy's names.
#include "proxy/config_manager.h"
#include "proxy/upstream/balancer.h"
#include "xds/types.h"

namespace fairlead::proxy {

void ConfigManager::Updates::taken(const std::string& said) {
  ++attempt, ++success;
  version = said;
  at = std::chrono::system_clock::now();
}

void ConfigManager::Updates::add(StatsSnapshot& into, const std::string& prefix) const {
  into.counters[prefix + "update_attempt"] += attempt;
  into.counters[prefix + "update_success"] += success;
  into.counters[prefix + "update_failure"] += failure;
}

void ConfigManager::Updates::add_discovery(StatsSnapshot& into, const std::string& prefix) const {
  add(into, prefix);
  into.counters[prefix + "update_rejected"] += rejected;
  into.counters[prefix + "init_fetch_timeout"] += fetch_timeout;
  into.gauges[prefix + "update_time"] = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count());
  into.gauges[prefix + "version"] = success ? xxhash64(version) : 0;
  into.texts[prefix + "version_text"] = version;
}

void ConfigManager::stats(StatsSnapshot& into) const {
  updates_[0].add_discovery(into, "cluster_manager.cds.");
  updates_[2].add_discovery(into, "listener_manager.lds.");
  for (auto [i, name] : {std::pair(1, "cluster_manager.eds."), std::pair(3, "http.rds.")}) {
    into.counters[std::string(name) + "update_success"] += updates_[i].success;
    into.counters[std::string(name) + "update_rejected"] += updates_[i].rejected;
  }
  secrets_.stats(into);
  into.counters["cluster_manager.cluster_updated"] += clusters_updated_;
  into.counters["listener_manager.listener_in_place_updated"] += listeners_in_place_;
  into.counters["cluster_manager.cluster_added"] += cluster_changes_.added;
  into.counters["cluster_manager.cluster_modified"] += cluster_changes_.modified;
  into.counters["cluster_manager.cluster_removed"] += cluster_changes_.removed;
  into.counters["listener_manager.listener_added"] += listener_changes_.added;
  into.counters["listener_manager.listener_modified"] += listener_changes_.modified;
  into.counters["listener_manager.listener_removed"] += listener_changes_.removed;
  into.counters["listener_manager.listener_create_success"] += listener_changes_.added + listener_changes_.modified;
  into.counters["listener_manager.listener_create_failure"] += listeners_refused_;
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
    into.gauges[p + "warming_state"] = !c->warm;
    uint32_t heaviest = 0;
    if (c->endpoints)
      for (const HostPtr& h : c->endpoints->hosts) heaviest = std::max(heaviest, h->weight.load(std::memory_order_relaxed));
    into.gauges[p + "max_host_weight"] = heaviest;
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
      // Deprecated, and still on dashboards: what is detected, and the ejections that came of it, enforced or not.
      into.counters[q + "ejections_consecutive_5xx"] += c->detected[static_cast<size_t>(Ejection::kConsecutive5xx)];
      into.counters[q + "ejections_success_rate"] += c->detected[static_cast<size_t>(Ejection::kSuccessRate)];
      into.counters[q + "ejections_total"] += c->ejections_of_old;
    }
    if (!c->checkers.empty()) {
      std::string q = p + "health_check.";
      for (const auto& checker : c->checkers) {
        into.counters[q + "attempt"] += checker->counts().attempt;
        into.counters[q + "success"] += checker->counts().success;
        into.counters[q + "failure"] += checker->counts().failure;
        into.counters[q + "network_failure"] += checker->counts().network_failure;
        into.counters[q + "verify_cluster"] += checker->counts().verify_cluster;
      }
      into.gauges[q + "healthy"] = healthy;
      into.gauges[q + "degraded"] = degraded;
    }
    if (c->config->type == ClusterConfig::Type::kEds) c->updates.add_discovery(into, p);
    else c->updates.add(into, p), into.gauges[p + "version"] = 0;
    into.counters[p + "update_empty"] += c->updates.empty;
    into.counters[p + "update_no_rebuild"] += c->updates.no_rebuild;
  }
  into.gauges["cluster_manager.active_clusters"] = active;
  into.gauges["cluster_manager.warming_clusters"] = warming;
  size_t listening = 0;
  for (auto& [name, l] : listeners_) listening += l.active;
  into.gauges["listener_manager.total_listeners_active"] = listening;
  into.gauges["listener_manager.total_listeners_warming"] = listeners_.size() - listening;
  into.counters["config.left_out"] += left_out_.size();
  uint64_t warned = 0;
  for (auto& [field, n] : compiler_.warnings()) warned += n;
  into.counters["config.unsupported_fields"] += warned;
  if (ads_) into.gauges["control_plane.connected_state"] = ads_->connected();
  for (auto [url, name] : {std::pair(xds::kClusterType, "cluster_manager.cds"), std::pair(xds::kListenerType, "listener_manager.lds"),
                           std::pair(xds::kEndpointType, "cluster_manager.eds"), std::pair(xds::kRouteType, "http.rds"), std::pair(xds::kSecretType, "sds")})
    if (auto state = streams_.state(url); state.streams > 0) into.gauges[std::string(name) + ".control_plane.connected_state"] = state.connected == state.streams;
}

}  // namespace fairlead::proxy
