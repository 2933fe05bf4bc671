// Statistics as Envoy's admin pages print them: text, JSON, Prometheus. Pure functions.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "proxy/stats.h"

namespace fairlead::proxy {

class Regex;

// The query parameters of /stats (Envoy: usedonly, filter, invert_filter, type, histogram_buckets).
struct StatsQuery {
  enum class Type : uint8_t { kAll, kCounters, kGauges, kHistograms, kTextReadouts };
  enum class Buckets : uint8_t { kSummary, kCumulative, kDisjoint };
  bool used_only = false;
  bool invert_filter = false;
  std::shared_ptr<const Regex> filter;  // found anywhere in the name; nullptr: everything
  Type type = Type::kAll;
  Buckets buckets = Buckets::kSummary;

  // From a URL's query. The error is what Envoy answers with 400.
  static base::Result<StatsQuery> parse(std::string_view query);
  bool takes(std::string_view name) const;
};

std::string stats_text(const StatsSnapshot& stats, const StatsQuery& query);
std::string stats_json(const StatsSnapshot& stats, const StatsQuery& query);
// Text format 0.0.4; each metric family once. Tags as Envoy's default extraction finds them in the names.
std::string stats_prometheus(const StatsSnapshot& stats, const StatsQuery& query);

}  // namespace fairlead::proxy
