#include "flow/rules.h"

#include <algorithm>

#include "flow/param_check.h"
#include "flow/regex.h"

namespace fairlead::flow {
namespace {

bool blank(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' '; });
}

std::string regex_problem(const std::string& resource, bool regex) {
  if (std::string what; regex && !Regex::compile(resource, what)) return "resource: is not a regular expression that can be used: " + what;
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

}  // namespace fairlead::flow
