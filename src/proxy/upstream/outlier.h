// Outlier detection over an interval: success rates and failure percentages. Pure functions; the ConfigManager gathers
// the counts from the workers and ejects. (envoy.config.cluster.v3.OutlierDetection)
#pragma once

#include <utility>
#include <vector>

#include "proxy/config/model.h"

namespace fairlead::proxy {

enum class Ejection : uint8_t { kConsecutive5xx, kConsecutiveGateway, kConsecutiveLocal, kSuccessRate, kLocalSuccessRate, kFailurePercentage, kLocalFailurePercentage };
inline constexpr size_t kEjectionKinds = 7;
std::string_view to_string(Ejection kind);  // as in statistics: "consecutive_5xx"
uint32_t enforcing(const OutlierConfig& config, Ejection kind);  // percent

// What one host did in an interval, all workers together.
struct OutlierSample {
  HostPtr host;
  uint64_t ok = 0, total = 0;              // answers; without split_local, failures to connect too
  uint64_t local_ok = 0, local_total = 0;  // with split_local: connecting, resets, time-outs
};

// Hosts that stand out. Notes each host's rate in success_percent, for the admin page.
std::vector<std::pair<HostPtr, Ejection>> find_outliers(const OutlierConfig& config, const std::vector<OutlierSample>& samples);

// May one more of `total` hosts go, when `ejected` are gone?
bool may_eject(const OutlierConfig& config, size_t ejected, size_t total);
// How long the n-th ejection in a row lasts. random: for the jitter.
Nanos ejection_time(const OutlierConfig& config, uint32_t ejections, uint64_t random);

}  // namespace fairlead::proxy
