#include "console/insight.h"

#include <algorithm>
#include <cmath>

#include "flow/gateway.h"
#include "flow/regex.h"

namespace fairlead::console {

using base::Value;
using store::RuleKind;

namespace {

std::string say(Language language, std::string_view en, std::string_view zh) { return std::string(language == Language::Chinese ? zh : en); }

// The rule as the engine takes it; false: it is not valid, which is said elsewhere.
template <class Rule>
bool as_rule(const Value& value, Rule& rule) {
  const auto list = flow::read_rules<Rule>(Value::array({value}).dump());
  if (list.rules.size() != 1) return false;
  rule = list.rules[0].rule;
  return true;
}

bool matches(const std::string& expression, std::string_view text) {
  std::string problem;
  const auto compiled = flow::Regex::compile(expression, problem);
  return compiled && compiled->matches(text);
}

template <class Rule>
bool refuses_all(const Rule& rule) {
  if constexpr (std::same_as<Rule, flow::DegradeRule>) return rule.grade != flow::kDegradeSlowRatio && rule.count == 0;
  else if constexpr (requires { rule.count; }) return rule.count == 0;
  else return false;
}

// Both can't be meant: the same calls, counted in the same way, with other thresholds.
bool conflict(const flow::FlowRule& a, const flow::FlowRule& b) {
  return a.resource == b.resource && a.regex == b.regex && a.limit_app == b.limit_app && a.grade == b.grade && a.strategy == b.strategy && a.ref_resource == b.ref_resource;
}
bool conflict(const flow::DegradeRule& a, const flow::DegradeRule& b) { return a.resource == b.resource && a.regex == b.regex && a.grade == b.grade; }
bool conflict(const flow::AuthorityRule& a, const flow::AuthorityRule& b) { return a.resource == b.resource && a.regex == b.regex; }
bool conflict(const flow::SystemRule&, const flow::SystemRule&) { return false; }  // the strictest of each field holds, by design
bool conflict(const flow::ParamFlowRule& a, const flow::ParamFlowRule& b) {
  return a.resource == b.resource && a.regex == b.regex && a.param_idx == b.param_idx && a.grade == b.grade && a.duration_in_sec == b.duration_in_sec;
}
bool conflict(const flow::GatewayFlowRule& a, const flow::GatewayFlowRule& b) {
  return a.resource == b.resource && a.resource_mode == b.resource_mode && a.param_item == b.param_item && a.grade == b.grade && a.interval_sec == b.interval_sec;
}
bool conflict(const flow::ApiDefinition& a, const flow::ApiDefinition& b) { return a.api_name == b.api_name; }

template <class Rule>
void warn_about(RuleKind kind, const std::vector<Value>& rules, bool anybody, const std::function<bool(std::string_view)>& known, Language language, std::vector<Warning>& out) {
  std::vector<std::pair<int, Rule>> earlier;
  for (int i = 0; i < static_cast<int>(rules.size()); ++i) {
    const Value& value = rules[static_cast<std::size_t>(i)];
    Rule rule;
    if (!value["enabled"].as_bool(true) || !as_rule(value, rule)) continue;
    const auto add = [&](std::string_view code, std::string message) { out.push_back({kind, i, code, std::move(message)}); };
    if (refuses_all(rule)) add("zero", say(language, "the threshold is 0: every call is refused", "阈值为 0，所有请求都会被拒绝"));
    if constexpr (requires { rule.resource; }) {
      bool plain = true;
      if constexpr (requires { rule.regex; }) plain = !rule.regex;
      if constexpr (requires { rule.resource_mode; }) plain = rule.resource_mode == flow::kResourceRoute;
      if (plain && anybody && !known(rule.resource))
        add("unknown_resource", say(language, "no instance has reported this resource yet; look for another spelling on the resources page", "尚无实例上报过该资源，请在簇点链路页核对名称"));
    }
    for (const auto& [other, before] : earlier) {
      const std::string place = std::to_string(other + 1);
      if (before == rule) add("duplicate", say(language, "is the same as rule ", "与第 ") + place + say(language, "", " 条规则相同"));
      else if (conflict(before, rule)) {
        if constexpr (std::same_as<Rule, flow::AuthorityRule>)
          add("shadowed", say(language, "a resource has one authority rule: only rule " + place + " is asked", "一个资源只有一条授权规则生效：仅第 " + place + " 条会被检查"));
        else add("conflict", say(language, "counts the same calls as rule " + place + " with another threshold: the stricter one holds", "与第 " + place + " 条统计相同的请求但阈值不同：较严格的生效"));
      } else continue;
      break;
    }
    if constexpr (requires { flow::ignored(rule); })
      for (const std::string& sentence : flow::ignored(rule)) add("cluster", sentence);
    earlier.emplace_back(i, std::move(rule));
  }
}

}  // namespace

std::vector<Warning> warnings(RuleKind kind, const std::vector<Value>& rules, bool anybody, const std::function<bool(std::string_view)>& known, Language language) {
  std::vector<Warning> out;
  with_rule_type(kind, [&]<class Rule>(std::type_identity<Rule>) { warn_about<Rule>(kind, rules, anybody, known, language, out); });
  return out;
}

std::vector<EffectiveRule> effective(const Rulebook& rulebook, const std::string& app, std::string_view resource, Language language) {
  // Groups of paths that the resource, read as a path, belongs to; with how they take it.
  std::vector<std::pair<std::string, std::string_view>> apis;
  for (const Value& value : rulebook.find({app, RuleKind::GatewayApi}).rules) {
    flow::ApiDefinition api;
    if (!as_rule(value, api)) continue;
    for (const flow::ApiPathPredicate& item : api.predicate_items) {
      std::string problem;
      std::string_view how;
      if (item.match_strategy == flow::kUrlExact && item.pattern == resource) how = "exact";
      else if (item.match_strategy == flow::kUrlRegex && matches(item.pattern, resource)) how = "regex";
      else if (item.match_strategy == flow::kUrlPrefix)
        if (const auto path = flow::PathPattern::compile(item.pattern, problem); path && path->matches(resource)) how = "prefix";
      if (how.empty()) continue;
      apis.emplace_back(api.api_name, how);
      break;
    }
  }
  std::vector<EffectiveRule> out;
  // The order of Sentinel's slots.
  for (RuleKind kind : {RuleKind::Authority, RuleKind::System, RuleKind::GatewayFlow, RuleKind::ParamFlow, RuleKind::Flow, RuleKind::Degrade}) {
    const std::vector<Value> rules = rulebook.find({app, kind}).all();
    std::vector<EffectiveRule> found;
    for (int i = 0; i < static_cast<int>(rules.size()); ++i) {
      const Value& rule = rules[static_cast<std::size_t>(i)];
      std::string_view how;
      const std::string& named = rule["resource"].as_string();
      if (kind == RuleKind::System) how = "default";
      else if (kind == RuleKind::GatewayFlow && rule["resourceMode"].as_int() == flow::kResourceApi) {
        const auto api = std::ranges::find(apis, named, [](const auto& each) { return each.first; });
        if (api != apis.end()) how = api->second;
        else if (named == resource) how = "exact";
      } else if (rule["regex"].as_bool()) how = matches(named, resource) ? "regex" : "";
      else if (named == resource) how = "exact";
      if (how.empty()) continue;
      const bool enabled = rule["enabled"].as_bool(true);
      std::string note;
      if (!enabled) note = say(language, "disabled", "已停用");
      else if (kind == RuleKind::System) note = say(language, "holds for all inbound calls of an instance", "对实例的所有入口流量生效");
      else if (const std::string& origin = rule["limitApp"].as_string(); kind == RuleKind::Flow && !origin.empty() && origin != "default")
        note = origin == "other" ? say(language, "for origins without a rule of their own", "对没有单独规则的来源生效") : say(language, "for calls from " + origin, "仅对来源 " + origin + " 生效");
      found.push_back({kind, i, rule, how, enabled, std::move(note)});
    }
    const auto rank = [](const EffectiveRule& r) { return r.how == "exact" ? 0 : r.how == "prefix" ? 1 : r.how == "regex" ? 2 : 3; };
    std::ranges::stable_sort(found, {}, rank);
    // A client takes the first authority rule that fits and asks no other.
    if (kind == RuleKind::Authority) {
      bool taken = false;
      for (EffectiveRule& each : found) {
        if (each.obeyed && taken) each.obeyed = false, each.note = say(language, "another authority rule comes first", "已有其他授权规则生效");
        taken = taken || each.obeyed;
      }
    }
    std::ranges::move(found, std::back_inserter(out));
  }
  return out;
}

DryRun dry_run(RuleKind kind, const Value& value, const Metrics& metrics, std::string_view app, std::int64_t now_ms, int instances, Language language) {
  DryRun out;
  out.to_ms = now_ms / 60'000 * 60'000;
  out.from_ms = out.to_ms - 3'600'000;
  out.resource = kind == RuleKind::System ? std::string(Metrics::kTotalInbound) : value["resource"].as_string();
  const auto points = metrics.series(app, out.resource, out.from_ms, out.to_ms, 1);
  for (std::int64_t t = out.from_ms; t < out.to_ms; t += 60'000) out.by_minute.push_back({t, 0, 0});

  // How many calls of a window of so many seconds all instances together would let through; below 0: no limit that is known here.
  double allowed = -1;
  std::int64_t window_s = 1;
  std::string note;
  const double many = std::max(instances, 1);
  flow::FlowRule flow_rule;
  flow::GatewayFlowRule gateway;
  flow::SystemRule system;
  flow::DegradeRule breaker;
  bool breaks = false;
  if (kind == RuleKind::Flow && as_rule(value, flow_rule)) {
    if (flow_rule.grade == flow::kGradeQps) allowed = flow_rule.count * many;
    else note = say(language, "how many calls ran at once is not kept, so threads can't be estimated", "未保存并发数，无法估算线程数规则");
    if (flow_rule.limit_app != "default") note = say(language, "counts calls of all origins, since metrics don't tell them apart", "指标不区分来源，按全部来源估算");
    else if (flow_rule.strategy != flow::kStrategyDirect) note = say(language, "estimated as if the resource itself were counted", "按直接模式估算");
    else if (flow_rule.control_behavior != flow::kBehaviorReject) note = say(language, "estimated without warm-up and queueing", "未计入预热与排队效果");
    if (flow_rule.strategy == flow::kStrategyRelate && flow_rule.grade == flow::kGradeQps) allowed = -1;
  } else if (kind == RuleKind::GatewayFlow && as_rule(value, gateway)) {
    window_s = gateway.interval_sec;
    if (gateway.grade == flow::kGradeQps && !gateway.param_item) allowed = (gateway.count + gateway.burst) * many;
    else note = say(language, "values of requests are not kept, so this can't be estimated", "未保存请求属性，无法估算");
  } else if (kind == RuleKind::System && as_rule(value, system)) {
    if (system.qps >= 0) allowed = system.qps * many;
    note = say(language, "only the inbound QPS can be estimated", "只能估算入口 QPS");
  } else if (kind == RuleKind::Degrade && as_rule(value, breaker)) {
    breaks = true;
    window_s = std::max<std::int64_t>(1, breaker.stat_interval_ms / 1000);
    if (breaker.grade == flow::kDegradeSlowRatio) note = say(language, "estimated by the average RT of each second", "按每秒平均 RT 估算");
  } else {
    note = say(language, "arguments and origins are not kept, so this can't be estimated", "未保存参数与来源，无法估算");
  }
  if (points.empty()) note = say(language, "nothing was reported for this resource in the last hour", "最近一小时没有该资源的数据");

  std::int64_t window = -1, open_until = 0;
  double in_window = 0;
  Sums counted;
  for (const MetricPoint& point : points) {
    const std::int64_t requests = point.sums.pass + point.sums.block;
    std::int64_t refused = 0;
    if (const std::int64_t at = point.time_ms / (1000 * window_s); at != window) window = at, in_window = 0, counted = {};
    if (breaks) {
      if (point.time_ms < open_until) refused = requests;
      else {
        counted += point.sums;
        const double calls = static_cast<double>(counted.success), limit = breaker.count;
        const bool enough = calls >= breaker.min_request_amount * many;
        const bool slow = breaker.grade == flow::kDegradeSlowRatio && counted.average_rt() > limit;
        const bool ratio = breaker.grade == flow::kDegradeErrorRatio && calls > 0 && static_cast<double>(counted.exception) / calls > limit;
        const bool number = breaker.grade == flow::kDegradeErrorCount && static_cast<double>(counted.exception) > limit * many;
        if (enough && (slow || ratio || number)) open_until = point.time_ms + 1000 + 1000LL * breaker.time_window;
      }
    } else if (allowed >= 0) {
      const double before = std::max(0.0, in_window - allowed);
      in_window += static_cast<double>(requests);
      refused = static_cast<std::int64_t>(std::llround(std::max(0.0, in_window - allowed) - before));
    }
    out.requests += requests;
    out.blocked += point.sums.block;
    out.would_block += refused;
    DryRun::Minute& minute = out.by_minute[static_cast<std::size_t>((point.time_ms - out.from_ms) / 60'000)];
    minute.requests += requests;
    minute.would_block += refused;
  }
  if (instances > 1 && (allowed >= 0 || breaks)) {
    if (!note.empty()) note += say(language, "; ", "；");
    note += say(language, "as if calls were spread evenly over " + std::to_string(instances) + " instances", "按 " + std::to_string(instances) + " 个实例均匀分布估算");
  }
  out.note = std::move(note);
  return out;
}

}  // namespace fairlead::console
