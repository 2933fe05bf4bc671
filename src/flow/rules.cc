#include "flow/rules.h"

#include <algorithm>

#include "flow/gateway.h"
#include "flow/param_check.h"
#include "flow/regex.h"

namespace fairlead::flow {
namespace {

bool blank(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' '; });
}

std::string regex_problem(const std::string& expression, bool regex) {
  if (std::string what; regex && !Regex::compile(expression, what)) return "resource: is not a regular expression that can be used: " + what;
  return {};
}

// Sentinel's conditions for rules that hold for many resources.
template <class Rule>
std::string shared_problem(const Rule& rule) {
  if (std::string text = regex_problem(rule.resource, rule.regex); !text.empty() || !rule.regex) return text;
  if (rule.cluster_mode) return "clusterMode: must be false when regex is true";
  if (rule.control_behavior != kBehaviorReject) return "controlBehavior: must be 0 (reject) when regex is true";
  return {};
}

template <class Rule>
std::string cluster_problem(const Rule& rule) {
  if (!rule.cluster_mode) return {};
  if (!rule.cluster_config) return "clusterConfig: must be set when clusterMode is true";
  const auto& config = *rule.cluster_config;
  if (config.flow_id.value_or(0) <= 0) return "clusterConfig.flowId: must be above 0";
  if (config.sample_count <= 0) return "clusterConfig.sampleCount: must be above 0";
  if (config.window_interval_ms <= 0 || config.window_interval_ms % config.sample_count != 0)
    return "clusterConfig.windowIntervalMs: must be above 0 and a multiple of sampleCount";
  return {};
}

constexpr std::string_view kNotAsked = "clusterMode: there is no token server, and fallbackToLocalWhenFail is false: the rule is not asked; set that to true to have it asked here";

}  // namespace

std::string problem(const FlowRule& rule) {
  if (blank(rule.resource)) return "resource: must not be blank";
  if (!(rule.count >= 0)) return "count: must be 0 or more";
  if (rule.grade != kGradeThread && rule.grade != kGradeQps) return "grade: must be 0 (threads) or 1 (QPS)";
  if (rule.strategy < 0) return "strategy: must be 0 (direct), 1 (relate) or 2 (chain)";
  if (rule.control_behavior < 0) return "controlBehavior: must be 0 (reject), 1 (warm up), 2 (rate limiter) or 3 (both)";
  if (std::string text = shared_problem(rule); !text.empty()) return text;
  if (std::string text = cluster_problem(rule); !text.empty()) return text;
  if (rule.cluster_mode && rule.grade == kGradeThread) {
    const ClusterFlowConfig& config = *rule.cluster_config;
    if (config.client_offline_time <= 0) return "clusterConfig.clientOfflineTime: must be above 0";
    if (config.resource_timeout <= 0) return "clusterConfig.resourceTimeout: must be above 0";
    if (config.acquire_refuse_strategy < 0) return "clusterConfig.acquireRefuseStrategy: must be 0 or more";
    if (config.resource_timeout_strategy < 0) return "clusterConfig.resourceTimeoutStrategy: must be 0 or more";
  } else if (rule.cluster_mode && rule.cluster_config->strategy != 0) {
    return "clusterConfig.strategy: must be 0";
  }
  if (rule.grade == kGradeThread) return {};  // Sentinel looks at the rest only for QPS
  if ((rule.strategy == kStrategyRelate || rule.strategy == kStrategyChain) && blank(rule.ref_resource))
    return "refResource: must not be blank when strategy is 1 (relate) or 2 (chain)";
  const bool warm = rule.control_behavior == kBehaviorWarmUp || rule.control_behavior == kBehaviorWarmUpThrottle;
  const bool queue = rule.control_behavior == kBehaviorThrottle || rule.control_behavior == kBehaviorWarmUpThrottle;
  if (warm && rule.warm_up_period_sec <= 0) return "warmUpPeriodSec: must be above 0";
  if (queue && rule.max_queueing_time_ms <= 0) return "maxQueueingTimeMs: must be above 0";
  return {};
}

std::string problem(const DegradeRule& rule) {
  if (blank(rule.resource)) return "resource: must not be blank";
  if (!(rule.count >= 0)) return "count: must be 0 or more";
  if (rule.time_window <= 0) return "timeWindow: must be above 0 (seconds)";
  if (rule.min_request_amount <= 0) return "minRequestAmount: must be above 0";
  if (rule.stat_interval_ms <= 0) return "statIntervalMs: must be above 0";
  if (std::string text = regex_problem(rule.resource, rule.regex); !text.empty()) return text;
  switch (rule.grade) {
    case kDegradeSlowRatio:
      if (!(rule.slow_ratio_threshold >= 0 && rule.slow_ratio_threshold <= 1)) return "slowRatioThreshold: must be from 0 to 1";
      return {};
    case kDegradeErrorRatio:
      return rule.count <= 1 ? "" : "count: must be from 0 to 1 when grade is 1 (exception ratio)";
    case kDegradeErrorCount:
      return {};
    default:
      return "grade: must be 0 (slow calls), 1 (exception ratio) or 2 (exception count)";
  }
}

std::string problem(const AuthorityRule& rule) {
  if (blank(rule.resource)) return "resource: must not be blank";
  if (blank(rule.limit_app)) return "limitApp: must name at least one origin";
  if (rule.strategy != kAuthorityWhite && rule.strategy != kAuthorityBlack) return "strategy: must be 0 (white list) or 1 (black list)";
  return regex_problem(rule.resource, rule.regex);
}

std::string problem(const SystemRule& rule) { return rule.highest_cpu_usage <= 1 ? "" : "highestCpuUsage: must be from 0 to 1, or -1 for none"; }

std::string problem(const ParamFlowRule& rule) {
  if (blank(rule.resource)) return "resource: must not be blank";
  if (!(rule.count >= 0)) return "count: must be 0 or more";
  // Sentinel takes other grades and then never checks.
  if (rule.grade != kGradeThread && rule.grade != kGradeQps) return "grade: must be 0 (threads) or 1 (QPS)";
  if (!rule.param_idx) return "paramIdx: must be set, to the argument's position from 0 (or from -1 backwards)";
  if (rule.burst_count < 0) return "burstCount: must be 0 or more";
  if (rule.control_behavior < 0) return "controlBehavior: must be 0 (reject) or 2 (rate limiter)";
  if (rule.duration_in_sec <= 0) return "durationInSec: must be above 0";
  if (rule.max_queueing_time_ms < 0) return "maxQueueingTimeMs: must be 0 or more";
  if (std::string text = cluster_problem(rule); !text.empty()) return text;
  return shared_problem(rule);
}

std::vector<std::string> ignored(const FlowRule& rule) {
  std::vector<std::string> sentences;
  if (rule.cluster_mode && !rule.cluster_config->fallback_to_local_when_fail) sentences.emplace_back(kNotAsked);
  return sentences;
}

std::vector<std::string> ignored(const ParamFlowRule& rule) {
  std::vector<std::string> sentences;
  if (rule.cluster_mode && rule.grade == kGradeQps && !rule.cluster_config->fallback_to_local_when_fail) sentences.emplace_back(kNotAsked);
  for (std::size_t i = 0; i < rule.items.size(); ++i) {
    const ParamFlowItem& item = rule.items[i];
    const std::string at = "paramFlowItemList[" + std::to_string(i) + "].";
    std::string text;
    read_param(item.object, item.class_type, text);
    if (!text.empty()) sentences.push_back(at + "object: " + text + ", as classType " + item.class_type + " says; the exception is ignored");
    else if (!item.count) sentences.push_back(at + "count: must be set; the exception is ignored");
    else if (*item.count < 0) sentences.push_back(at + "count: must be 0 or more; the exception is ignored");
  }
  return sentences;
}

std::string problem(const GatewayFlowRule& rule) {
  if (blank(rule.resource)) return "resource: must not be blank";
  if (rule.resource_mode < 0) return "resourceMode: must be 0 (route) or 1 (API)";
  if (rule.grade != kGradeThread && rule.grade != kGradeQps) return "grade: must be 0 (threads) or 1 (QPS)";
  if (!(rule.count >= 0)) return "count: must be 0 or more";
  if (rule.burst < 0) return "burst: must be 0 or more";
  if (rule.control_behavior < 0) return "controlBehavior: must be 0 (reject) or 2 (rate limiter)";
  if (rule.control_behavior == kBehaviorThrottle && rule.max_queueing_timeout_ms < 0) return "maxQueueingTimeoutMs: must be 0 or more";
  if (rule.interval_sec <= 0) return "intervalSec: must be above 0";
  if (!rule.param_item) return {};
  const GatewayParamFlowItem& item = *rule.param_item;
  if (item.parse_strategy < 0) return "paramItem.parseStrategy: must be 0 (client IP), 1 (host), 2 (header), 3 (URL parameter) or 4 (cookie)";
  if (item.parse_strategy >= kParseHeader && item.parse_strategy <= kParseCookie && blank(item.field_name))
    return "paramItem.fieldName: must be set for a header, a URL parameter or a cookie";
  if (!item.pattern.empty() && item.match_strategy < 0) return "paramItem.matchStrategy: must be 0 (exact), 2 (regex) or 3 (contains)";
  return {};
}

std::string problem(const ApiDefinition& api) { return blank(api.api_name) ? "apiName: must not be blank" : ""; }

std::vector<std::string> ignored(const GatewayFlowRule& rule) {
  std::vector<std::string> sentences;
  if (!rule.param_item) return sentences;
  const GatewayParamFlowItem& item = *rule.param_item;
  if (item.parse_strategy > kParseCookie) sentences.emplace_back("paramItem.parseStrategy: is not known, so no request has the value; the rule is not asked");
  if (item.pattern.empty()) return sentences;
  const bool regex = item.match_strategy == kMatchRegex;
  if (!regex && item.match_strategy != kMatchExact && item.match_strategy != kMatchContains)
    sentences.emplace_back("paramItem.matchStrategy: is not acted on (nor is it in Sentinel): every value counts; write 2 and a regular expression");
  if (const std::string text = regex_problem(item.pattern, regex); !text.empty())
    sentences.push_back("paramItem.pattern: " + text.substr(text.find(": ") + 2) + "; every value counts");
  return sentences;
}

std::vector<std::string> ignored(const ApiDefinition& api) {
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < api.predicate_items.size(); ++i) {
    const ApiPathPredicate& item = api.predicate_items[i];
    const std::string at = "predicateItems[" + std::to_string(i) + "].pattern: ";
    std::string text;
    if (blank(item.pattern)) sentences.push_back(at + "must not be blank; it takes no path");
    else if (item.match_strategy == kUrlRegex && !Regex::compile(item.pattern, text)) sentences.push_back(at + text + "; it takes no path");
    else if (item.match_strategy == kUrlPrefix && !PathPattern::has_wildcard(item.pattern)) sentences.push_back(at + "has no wildcard, so it takes no path; write " + item.pattern + "/**");
    else if (item.match_strategy == kUrlPrefix && !PathPattern::compile(item.pattern, text)) sentences.push_back(at + text + "; it takes no path");
  }
  return sentences;
}

}  // namespace fairlead::flow
