// Flow control rules, with the fields, defaults and validity checks of Sentinel 1.8.8's classes of the same names.
// Plain values: no thread owns them; the engine keeps its own copy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
inline constexpr int kResourceRoute = 0;
inline constexpr int kResourceApi = 1;
inline constexpr int kParseClientIp = 0;
inline constexpr int kParseHost = 1;
inline constexpr int kParseHeader = 2;
inline constexpr int kParseUrlParam = 3;
inline constexpr int kParseCookie = 4;
inline constexpr int kMatchExact = 0;
inline constexpr int kMatchPrefix = 1;
inline constexpr int kMatchRegex = 2;
inline constexpr int kMatchContains = 3;
inline constexpr int kUrlExact = 0;
inline constexpr int kUrlPrefix = 1;
inline constexpr int kUrlRegex = 2;

// Of rules in cluster mode. There is no token server here: such a rule is asked locally if fallback_to_local_when_fail, else never.
struct ClusterFlowConfig {
  std::optional<std::int64_t> flow_id;
  int threshold_type = 0;
  bool fallback_to_local_when_fail = true;
  int strategy = 0;
  int sample_count = 10;
  int window_interval_ms = 1000;
  std::int64_t resource_timeout = 2000;
  int resource_timeout_strategy = 0;
  int acquire_refuse_strategy = 0;
  std::int64_t client_offline_time = 2000;

  bool operator==(const ClusterFlowConfig&) const = default;
};

struct ParamFlowClusterConfig {
  std::optional<std::int64_t> flow_id;
  int threshold_type = 0;
  bool fallback_to_local_when_fail = false;
  int sample_count = 10;
  int window_interval_ms = 1000;

  bool operator==(const ParamFlowClusterConfig&) const = default;
};

// `regex` of a rule: its resource is an expression (flow/regex.h), and the rule holds for each resource whose whole name it matches.
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
  bool cluster_mode = false;
  std::optional<ClusterFlowConfig> cluster_config = {};
  bool regex = false;

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
  std::string limit_app = "default";  // of no effect, as in Sentinel
  bool regex = false;

  bool operator==(const DegradeRule&) const = default;
};

// A field below 0 is not set. Of several rules the strictest value of each field holds.
struct SystemRule {
  double highest_system_load = -1;
  double highest_cpu_usage = -1;  // 0..1
  double qps = -1;
  std::int64_t avg_rt = -1;
  std::int64_t max_thread = -1;

  bool operator==(const SystemRule&) const = default;
};

struct AuthorityRule {
  std::string resource;
  std::string limit_app;  // origins, separated by commas
  int strategy = kAuthorityWhite;
  bool regex = false;

  bool operator==(const AuthorityRule&) const = default;
};

// An exception of a parameter rule: the threshold of one value.
struct ParamFlowItem {
  std::string object;        // the value as text
  std::optional<int> count;  // without one the exception is ignored
  std::string class_type;    // "int", "java.lang.Long", ...; anything else is a text

  bool operator==(const ParamFlowItem&) const = default;
};

// A threshold for each value of one argument.
struct ParamFlowRule {
  std::string resource;
  std::string limit_app = "default";  // of no effect, as in Sentinel
  int grade = kGradeQps;
  std::optional<int> param_idx;  // from 0; negative: from the last (-1) backwards
  double count = 0;              // its whole part; for each duration_in_sec when the grade is QPS
  int control_behavior = kBehaviorReject;  // or kBehaviorThrottle; the others are taken as reject
  int max_queueing_time_ms = 0;
  int burst_count = 0;
  std::int64_t duration_in_sec = 1;
  std::vector<ParamFlowItem> items = {};
  bool cluster_mode = false;
  std::optional<ParamFlowClusterConfig> cluster_config = {};
  bool regex = false;

  bool operator==(const ParamFlowRule&) const = default;
};

// Which value of a request a gateway rule counts.
struct GatewayParamFlowItem {
  int parse_strategy = kParseClientIp;
  std::string field_name;  // of a header, URL parameter or cookie
  std::string pattern;     // if not empty, values that it does not take are not limited
  int match_strategy = kMatchExact;

  bool operator==(const GatewayParamFlowItem&) const = default;
};

struct GatewayFlowRule {
  std::string resource;  // a route's id or an API's name
  int resource_mode = kResourceRoute;
  int grade = kGradeQps;
  double count = 0;
  std::int64_t interval_sec = 1;
  int control_behavior = kBehaviorReject;
  int burst = 0;
  int max_queueing_timeout_ms = 500;
  std::optional<GatewayParamFlowItem> param_item = {};  // without one, all requests count together

  bool operator==(const GatewayFlowRule&) const = default;
};

struct ApiPathPredicate {
  std::string pattern;
  int match_strategy = kUrlExact;

  bool operator==(const ApiPathPredicate&) const = default;
};

// A group of paths; a request belongs to it if one of them takes its path.
struct ApiDefinition {
  std::string api_name;
  std::vector<ApiPathPredicate> predicate_items;

  bool operator==(const ApiDefinition&) const = default;
};

// Empty if the rule is valid, else a sentence that names the field and the accepted range.
std::string problem(const FlowRule& rule);
std::string problem(const DegradeRule& rule);
std::string problem(const AuthorityRule& rule);
std::string problem(const SystemRule& rule);
std::string problem(const ParamFlowRule& rule);
std::string problem(const GatewayFlowRule& rule);
std::string problem(const ApiDefinition& api);
// What of a valid rule is not acted on, a sentence each.
std::vector<std::string> ignored(const FlowRule& rule);
std::vector<std::string> ignored(const ParamFlowRule& rule);
std::vector<std::string> ignored(const GatewayFlowRule& rule);
std::vector<std::string> ignored(const ApiDefinition& api);

}  // namespace fairlead::flow
