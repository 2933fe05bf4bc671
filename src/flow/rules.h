// Flow control rules, with the fields, defaults and validity checks of Sentinel 1.8.8's classes of the same names.
// Plain values: no thread owns them; the engine keeps its own copy.
#pragma once

#include <cstdint>
#include <string>

namespace fairlead::flow {

inline constexpr int kGradeThread = 0;
inline constexpr int kGradeQps = 1;
inline constexpr int kStrategyDirect = 0;
inline constexpr int kStrategyRelate = 1;
inline constexpr int kStrategyChain = 2;
inline constexpr int kBehaviorReject = 0;
inline constexpr int kBehaviorWarmUp = 1;
inline constexpr int kBehaviorThrottle = 2;
inline constexpr int kBehaviorWarmUpThrottle = 3;
inline constexpr int kDegradeSlowRatio = 0;
inline constexpr int kDegradeErrorRatio = 1;
inline constexpr int kDegradeErrorCount = 2;
inline constexpr int kAuthorityWhite = 0;
inline constexpr int kAuthorityBlack = 1;

struct FlowRule {
  std::string resource;
  std::string limit_app = "default";  // an origin, "default" (everyone) or "other" (origins that no rule names)
  int grade = kGradeQps;
  double count = 0;
  int strategy = kStrategyDirect;
  std::string ref_resource;  // relate: the other resource; chain: the context
  int control_behavior = kBehaviorReject;
  int warm_up_period_sec = 10;
  int max_queueing_time_ms = 500;

  bool operator==(const FlowRule&) const = default;
};

struct DegradeRule {
  std::string resource;
  int grade = kDegradeSlowRatio;
  double count = 0;     // slow ratio: the RT in ms above which a call is slow; else the threshold
  int time_window = 0;  // seconds that the breaker stays open
  int min_request_amount = 5;
  double slow_ratio_threshold = 1.0;
  int stat_interval_ms = 1000;

  bool operator==(const DegradeRule&) const = default;
};

// A field below 0 is not set. Of several rules the strictest value of each field holds.
struct SystemRule {
  double highest_system_load = -1;
  double highest_cpu_usage = -1;  // 0..1
  double qps = -1;
  std::int64_t avg_rt = -1;
  std::int64_t max_thread = -1;
};

struct AuthorityRule {
  std::string resource;
  std::string limit_app;  // origins, separated by commas
  int strategy = kAuthorityWhite;
};

// Empty if the rule is valid, else a sentence that names the field and the accepted range.
std::string problem(const FlowRule& rule);
std::string problem(const DegradeRule& rule);
std::string problem(const AuthorityRule& rule);

}  // namespace fairlead::flow
