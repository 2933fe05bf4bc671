#include "proxy/upstream/outlier.h"

#include <algorithm>
#include <cmath>

namespace fairlead::proxy {

std::string_view to_string(Ejection kind) {
  static constexpr std::string_view kNames[] = {"consecutive_5xx",           "consecutive_gateway_failure", "consecutive_local_origin_failure",
                                                "success_rate",              "local_origin_success_rate",   "failure_percentage",
                                                "local_origin_failure_percentage"};
  return kNames[static_cast<size_t>(kind)];
}

uint32_t enforcing(const OutlierConfig& c, Ejection kind) {
  switch (kind) {
    case Ejection::kConsecutive5xx:
      return c.enforcing_5xx;
    case Ejection::kConsecutiveGateway:
      return c.enforcing_gateway;
    case Ejection::kConsecutiveLocal:
      return c.enforcing_local;
    case Ejection::kSuccessRate:
      return c.enforcing_success_rate;
    case Ejection::kLocalSuccessRate:
      return c.enforcing_local_success_rate;
    case Ejection::kFailurePercentage:
      return c.enforcing_failure;
    case Ejection::kLocalFailurePercentage:
      return c.enforcing_local_failure;
  }
  return 0;
}

namespace {

struct Rated {
  const HostPtr* host;
  double percent;
};

// Hosts with enough requests, with their success rates.
std::vector<Rated> rated(const std::vector<OutlierSample>& samples, uint64_t volume, bool local) {
  std::vector<Rated> out;
  for (const OutlierSample& s : samples) {
    uint64_t total = local ? s.local_total : s.total;
    if (total > 0 && total >= volume) out.push_back({&s.host, 100.0 * static_cast<double>(local ? s.local_ok : s.ok) / static_cast<double>(total)});
  }
  return out;
}

}  // namespace

std::vector<std::pair<HostPtr, Ejection>> find_outliers(const OutlierConfig& config, const std::vector<OutlierSample>& samples) {
  std::vector<std::pair<HostPtr, Ejection>> out;
  for (bool local : {false, true}) {
    if (local && !config.split_local) break;
    for (const OutlierSample& s : samples) (local ? s.host->local_success_percent : s.host->success_percent).store(-1, std::memory_order_relaxed);
    std::vector<Rated> by_rate = rated(samples, config.success_rate_volume, local);
    for (const Rated& r : by_rate)
      (local ? (*r.host)->local_success_percent : (*r.host)->success_percent).store(static_cast<int32_t>(std::lround(r.percent)), std::memory_order_relaxed);
    if (!by_rate.empty() && by_rate.size() >= config.success_rate_hosts) {
      double mean = 0, variance = 0;
      for (const Rated& r : by_rate) mean += r.percent;
      mean /= static_cast<double>(by_rate.size());
      for (const Rated& r : by_rate) variance += (r.percent - mean) * (r.percent - mean);
      variance /= static_cast<double>(by_rate.size());
      // The factor is in thousandths of a standard deviation.
      double threshold = mean - std::sqrt(variance) * config.success_rate_factor / 1000.0;
      for (const Rated& r : by_rate)
        if (r.percent < threshold) out.emplace_back(*r.host, local ? Ejection::kLocalSuccessRate : Ejection::kSuccessRate);
    }
    std::vector<Rated> by_failures = rated(samples, config.failure_volume, local);
    if (!by_failures.empty() && by_failures.size() >= config.failure_hosts)
      for (const Rated& r : by_failures)
        if (100.0 - r.percent >= config.failure_threshold) out.emplace_back(*r.host, local ? Ejection::kLocalFailurePercentage : Ejection::kFailurePercentage);
  }
  return out;
}

bool may_eject(const OutlierConfig& config, size_t ejected, size_t total) {
  if (total == 0) return false;
  if (ejected == 0 && config.always_eject_one) return true;
  return (ejected + 1) * 100 <= total * std::min(config.max_ejection_percent, 100u);
}

Nanos ejection_time(const OutlierConfig& config, uint32_t ejections, uint64_t random) {
  Nanos stay = std::min(config.base_ejection * std::max(ejections, 1u), config.max_ejection);
  if (config.max_ejection_jitter.count() > 0) stay += Nanos(static_cast<int64_t>(random % static_cast<uint64_t>(config.max_ejection_jitter.count())));
  return stay;
}

}  // namespace fairlead::proxy
