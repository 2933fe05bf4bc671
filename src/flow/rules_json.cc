#include "flow/rules_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "flow/json.h"

namespace fairlead::flow {
namespace {

template <class T, class Rule>
concept Is = std::same_as<std::remove_const_t<T>, Rule>;

// The fields of each kind, by name. One list serves reading and printing.
void fields(Is<ClusterFlowConfig> auto& rule, auto&& field) {
  field("acquireRefuseStrategy", rule.acquire_refuse_strategy);
  field("clientOfflineTime", rule.client_offline_time);
  field("fallbackToLocalWhenFail", rule.fallback_to_local_when_fail);
  field("flowId", rule.flow_id);
  field("resourceTimeout", rule.resource_timeout);
  field("resourceTimeoutStrategy", rule.resource_timeout_strategy);
  field("sampleCount", rule.sample_count);
  field("strategy", rule.strategy);
  field("thresholdType", rule.threshold_type);
  field("windowIntervalMs", rule.window_interval_ms);
}

void fields(Is<ParamFlowClusterConfig> auto& rule, auto&& field) {
  field("fallbackToLocalWhenFail", rule.fallback_to_local_when_fail);
  field("flowId", rule.flow_id);
  field("sampleCount", rule.sample_count);
  field("thresholdType", rule.threshold_type);
  field("windowIntervalMs", rule.window_interval_ms);
}

void fields(Is<FlowRule> auto& rule, auto&& field) {
  field("clusterConfig", rule.cluster_config);
  field("clusterMode", rule.cluster_mode);
  field("controlBehavior", rule.control_behavior);
  field("count", rule.count);
  field("grade", rule.grade);
  field("limitApp", rule.limit_app);
  field("maxQueueingTimeMs", rule.max_queueing_time_ms);
  field("refResource", rule.ref_resource);
  field("regex", rule.regex);
  field("resource", rule.resource);
  field("strategy", rule.strategy);
  field("warmUpPeriodSec", rule.warm_up_period_sec);
}

void fields(Is<DegradeRule> auto& rule, auto&& field) {
  field("count", rule.count);
  field("grade", rule.grade);
  field("limitApp", rule.limit_app);
  field("minRequestAmount", rule.min_request_amount);
  field("regex", rule.regex);
  field("resource", rule.resource);
  field("slowRatioThreshold", rule.slow_ratio_threshold);
  field("statIntervalMs", rule.stat_interval_ms);
  field("timeWindow", rule.time_window);
}

void fields(Is<AuthorityRule> auto& rule, auto&& field) {
  field("limitApp", rule.limit_app);
  field("regex", rule.regex);
  field("resource", rule.resource);
  field("strategy", rule.strategy);
}

void fields(Is<SystemRule> auto& rule, auto&& field) {
  field("avgRt", rule.avg_rt);
  field("highestCpuUsage", rule.highest_cpu_usage);
  field("highestSystemLoad", rule.highest_system_load);
  field("maxThread", rule.max_thread);
  field("qps", rule.qps);
}

void fields(Is<ParamFlowItem> auto& item, auto&& field) {
  field("classType", item.class_type);
  field("count", item.count);
  field("object", item.object);
}

void fields(Is<ParamFlowRule> auto& rule, auto&& field) {
  field("burstCount", rule.burst_count);
  field("clusterConfig", rule.cluster_config);
  field("clusterMode", rule.cluster_mode);
  field("controlBehavior", rule.control_behavior);
  field("count", rule.count);
  field("durationInSec", rule.duration_in_sec);
  field("grade", rule.grade);
  field("limitApp", rule.limit_app);
  field("maxQueueingTimeMs", rule.max_queueing_time_ms);
  field("paramFlowItemList", rule.items);
  field("paramIdx", rule.param_idx);
  field("regex", rule.regex);
  field("resource", rule.resource);
}

void fields(Is<GatewayParamFlowItem> auto& item, auto&& field) {
  field("fieldName", item.field_name);
  field("matchStrategy", item.match_strategy);
  field("parseStrategy", item.parse_strategy);
  field("pattern", item.pattern);
}

void fields(Is<GatewayFlowRule> auto& rule, auto&& field) {
  field("burst", rule.burst);
  field("controlBehavior", rule.control_behavior);
  field("count", rule.count);
  field("grade", rule.grade);
  field("intervalSec", rule.interval_sec);
  field("maxQueueingTimeoutMs", rule.max_queueing_timeout_ms);
  field("paramItem", rule.param_item);
  field("resource", rule.resource);
  field("resourceMode", rule.resource_mode);
}

void fields(Is<ApiPathPredicate> auto& item, auto&& field) {
  field("matchStrategy", item.match_strategy);
  field("pattern", item.pattern);
}

void fields(Is<ApiDefinition> auto& api, auto&& field) {
  field("apiName", api.api_name);
  field("predicateItems", api.predicate_items);
}

// Reads one object; faults are collected, all of them.
class Reader {
 public:
  Reader(int index, std::vector<RuleFault>& faults, std::vector<RuleFault>& notes) : index_(index), faults_(faults), notes_(notes) {}

  template <class T>
  void object(const Json& from, T& to, const std::string& path, std::string* others) {
    if (from.type != Json::Type::Object) return fault(path, "must be an object");
    std::vector<std::string_view> known;
    fields(to, [&](std::string_view name, auto& value) {
      known.push_back(name);
      const Json* found = from.find(name);
      if (found != nullptr && found->type != Json::Type::Null) read(*found, value, path.empty() ? std::string(name) : path + "." + std::string(name));
    });
    for (std::size_t i = 0; i < from.keys.size(); ++i) {
      if (std::find(known.begin(), known.end(), from.keys[i]) != known.end()) continue;
      if (others == nullptr) {
        notes_.push_back({.index = index_, .field = path + "." + from.keys[i], .remedy = "is not known and not kept"});
        continue;
      }
      if (!others->empty()) *others += ',';
      append_json_text(*others, from.keys[i]);
      *others += ':';
      append_json(*others, from.items[i]);
    }
  }

 private:
  void fault(const std::string& path, std::string remedy) { faults_.push_back({.index = index_, .field = path, .remedy = std::move(remedy)}); }

  void read(const Json& from, std::string& to, const std::string& path) {
    if (from.type == Json::Type::Array || from.type == Json::Type::Object) return fault(path, "must be a text");
    to = from.text;
  }

  void read(const Json& from, bool& to, const std::string& path) {
    const bool word = from.type == Json::Type::Bool || from.type == Json::Type::String;
    if (!word || (from.text != "true" && from.text != "false")) return fault(path, "must be true or false");
    to = from.text == "true";
  }

  static bool number(const Json& from, double& value) {
    if (from.type != Json::Type::Number && from.type != Json::Type::String) return false;
    const char* end = from.text.data() + from.text.size();
    const auto [stop, error] = std::from_chars(from.text.data(), end, value);
    return error == std::errc() && stop == end && std::isfinite(value);
  }

  void read(const Json& from, double& to, const std::string& path) {
    if (double value = 0; number(from, value)) to = value;
    else fault(path, "must be a number");
  }

  template <std::signed_integral T>
  void read(const Json& from, T& to, const std::string& path) {
    const char* end = from.text.data() + from.text.size();
    T whole{};
    double value = 0;
    if (number(from, value)) {
      const auto [stop, error] = std::from_chars(from.text.data(), end, whole);
      if (error == std::errc() && stop == end) {
        to = whole;
        return;
      }
      // 5.0 is whole too.
      if (value == std::floor(value) && std::fabs(value) < 9e15 && value >= static_cast<double>(std::numeric_limits<T>::min()) &&
          value <= static_cast<double>(std::numeric_limits<T>::max())) {
        to = static_cast<T>(value);
        return;
      }
    }
    fault(path, "must be a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " + std::to_string(std::numeric_limits<T>::max()));
  }

  template <class T>
  void read(const Json& from, std::optional<T>& to, const std::string& path) {
    T value{};
    if constexpr (std::is_class_v<T>) object(from, value, path, nullptr);
    else read(from, value, path);
    to = value;
  }

  template <class T>
  void read(const Json& from, std::vector<T>& to, const std::string& path) {
    if (from.type != Json::Type::Array) return fault(path, "must be a list");
    to.clear();
    for (std::size_t i = 0; i < from.items.size(); ++i) object(from.items[i], to.emplace_back(), path + "[" + std::to_string(i) + "]", nullptr);
  }

  const int index_;
  std::vector<RuleFault>& faults_;
  std::vector<RuleFault>& notes_;
};

class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  template <class T>
  void object(const T& from, const std::string& others) {
    out_ += '{';
    bool first = true;
    const auto name = [&](std::string_view key) {
      if (!std::exchange(first, false)) out_ += ',';
      if (!key.empty()) {
        append_json_text(out_, key);
        out_ += ':';
      }
    };
    fields(from, [&](std::string_view key, const auto& value) {
      if (!set(value)) return;
      name(key);
      print(value);
    });
    if (!others.empty()) {
      name({});
      out_ += others;
    }
    out_ += '}';
  }

 private:
  template <class T>
  static bool set(const std::optional<T>& value) { return value.has_value(); }
  static bool set(const std::string& value) { return !value.empty(); }
  template <class T>
  static bool set(const T&) { return true; }

  void print(bool value) { out_ += value ? "true" : "false"; }
  void print(double value) { append_json_number(out_, value); }
  void print(const std::string& value) { append_json_text(out_, value); }
  template <std::signed_integral T>
  void print(T value) { out_ += std::to_string(value); }
  template <class T>
  void print(const std::optional<T>& value) {
    if constexpr (std::is_class_v<T>) object(*value, {});
    else print(*value);
  }
  template <class T>
  void print(const std::vector<T>& value) {
    out_ += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out_ += ',';
      object(value[i], {});
    }
    out_ += ']';
  }

  std::string& out_;
};

}  // namespace

std::string RuleFault::sentence() const {
  std::string text = index < 0 ? "" : "rule " + std::to_string(index) + ": ";
  if (!field.empty()) text += field + ": ";
  return text + remedy;
}

template <class Rule>
RuleList<Rule> read_rules(std::string_view json) {
  RuleList<Rule> list;
  Json document;
  std::string text;
  if (!read_json(json, document, text)) {
    list.faults.push_back({.field = {}, .remedy = std::move(text)});
    return list;
  }
  if (document.type == Json::Type::Null) return list;
  if (document.type != Json::Type::Array) {
    list.faults.push_back({.field = {}, .remedy = "the document must be a list of rules: [{...}, {...}]"});
    return list;
  }
  for (std::size_t i = 0; i < document.items.size(); ++i) {
    ListedRule<Rule> listed{.rule = {}, .index = static_cast<int>(i), .others = {}};
    const std::size_t before = list.faults.size();
    Reader(listed.index, list.faults, list.notes).object(document.items[i], listed.rule, {}, &listed.others);
    if (list.faults.size() > before) continue;
    if constexpr (requires { listed.rule.limit_app; } && !std::same_as<Rule, AuthorityRule>)
      if (listed.rule.limit_app.find_first_not_of(' ') == std::string::npos) listed.rule.limit_app = "default";
    if (text = problem(listed.rule); text.empty()) {
      list.rules.push_back(std::move(listed));
      continue;
    }
    const std::size_t colon = text.find(": ");
    list.faults.push_back({.index = listed.index, .field = text.substr(0, colon), .remedy = text.substr(colon + 2)});
  }
  return list;
}

template <class Rule>
std::string print_rules(const std::vector<ListedRule<Rule>>& rules) {
  std::string out = "[";
  for (const auto& each : rules) {
    if (out.size() > 1) out += ',';
    Printer(out).object(each.rule, each.others);
  }
  return out += ']';
}

#define FAIRLEAD_RULE(Rule)                                   \
  template RuleList<Rule> read_rules<Rule>(std::string_view); \
  template std::string print_rules<Rule>(const std::vector<ListedRule<Rule>>&)
FAIRLEAD_RULE(FlowRule);
FAIRLEAD_RULE(DegradeRule);
FAIRLEAD_RULE(AuthorityRule);
FAIRLEAD_RULE(SystemRule);
FAIRLEAD_RULE(ParamFlowRule);
FAIRLEAD_RULE(GatewayFlowRule);
FAIRLEAD_RULE(ApiDefinition);
#undef FAIRLEAD_RULE

}  // namespace fairlead::flow
