#include "flow/rules.h"

#include <algorithm>

#include "flow/param_check.h"

namespace fairlead::flow {
namespace {

bool blank(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' '; });
}

}  // namespace

std::string problem(const FlowRule& rule) {
  if (blank(rule.resource)) return "resource: must not be blank";
  if (!(rule.count >= 0)) return "count: must be 0 or more";
  if (rule.grade != kGradeThread && rule.grade != kGradeQps) return "grade: must be 0 (threads) or 1 (QPS)";
  if (rule.strategy < 0) return "strategy: must be 0 (direct), 1 (relate) or 2 (chain)";
  if (rule.control_behavior < 0) return "controlBehavior: must be 0 (reject), 1 (warm up), 2 (rate limiter) or 3 (both)";
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
  return {};
}

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
  return {};
}

std::vector<std::string> ignored(const ParamFlowRule& rule) {
  std::vector<std::string> sentences;
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
