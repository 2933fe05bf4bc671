#include "flow/gateway.h"

#include <algorithm>

#include "flow/regex.h"

namespace fairlead::flow {
namespace {

constexpr std::string_view kNoMatch = "$NM";   // stands for all values that a pattern does not take
constexpr std::string_view kNoParam = "$D";    // the argument of rules without a parameter
constexpr int kNoMatchThreshold = 10'000'000;  // Sentinel's: as good as no limit

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) out.push_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

}  // namespace

std::vector<std::pair<int, ParamFlowRule>> to_param_rules(const std::vector<GatewayFlowRule>& rules) {
  std::vector<std::pair<int, ParamFlowRule>> out;
  std::unordered_map<std::string, int> arguments;
  // Rules without a parameter come last: they have the argument after all others.
  for (const bool with_param : {true, false})
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const GatewayFlowRule& rule = rules[i];
      const auto end = rules.begin() + static_cast<std::ptrdiff_t>(i);
      if (rule.param_item.has_value() != with_param || !problem(rule).empty() || std::find(rules.begin(), end, rule) != end) continue;
      int& next = arguments[rule.resource];
      ParamFlowRule made{.resource = rule.resource,
                         .grade = rule.grade,
                         .param_idx = next,
                         .count = rule.count,
                         .control_behavior = rule.control_behavior,
                         .max_queueing_time_ms = rule.max_queueing_timeout_ms,
                         .burst_count = rule.burst,
                         .duration_in_sec = rule.interval_sec};
      if (with_param) {
        ++next;
        if (!rule.param_item->pattern.empty())
          made.items.push_back({.object = std::string(kNoMatch), .count = kNoMatchThreshold, .class_type = "java.lang.String"});
      }
      out.emplace_back(static_cast<int>(i), std::move(made));
    }
  return out;
}

// One argument of a resource's calls; without an item it is that of the rules without a parameter.
struct Gateway::Argument {
  int mode;
  std::optional<GatewayParamFlowItem> item;
  std::optional<Regex> expression;

  Param of(const GatewayRequest& request) const {
    const GatewayRequest::Value value = find(request);
    if (!value) return {};
    return item->pattern.empty() || takes(*value) ? Param(*value) : Param(kNoMatch);
  }

 private:
  GatewayRequest::Value find(const GatewayRequest& request) const {
    switch (item->parse_strategy) {
      case kParseClientIp:
        return request.remote_address();
      case kParseHost:
        return request.header("Host");
      case kParseHeader:
        return request.header(item->field_name);
      case kParseUrlParam:
        return request.url_param(item->field_name);
      case kParseCookie:
        return request.cookie(item->field_name);
      default:
        return {};
    }
  }
  bool takes(std::string_view value) const {
    switch (item->match_strategy) {
      case kMatchExact:
        return value == item->pattern;
      case kMatchContains:
        return value.find(item->pattern) != std::string_view::npos;
      case kMatchRegex:
        return !expression || expression->matches(value);
      default:
        return true;  // as Sentinel; problem() and ignored() tell
    }
  }
};

struct Gateway::Api {
  struct Path {
    std::string exact;
    std::optional<PathPattern> pattern;
    std::optional<Regex> expression;
  };
  std::string name;
  std::vector<Path> paths;
};

Gateway::~Gateway() = default;

Gateway::Gateway(const std::vector<GatewayFlowRule>& rules, const std::vector<ApiDefinition>& apis) {
  for (const auto& [index, made] : to_param_rules(rules)) {
    const GatewayFlowRule& rule = rules[static_cast<std::size_t>(index)];
    auto& arguments = arguments_[rule.resource];
    // The rules without a parameter share one.
    if (static_cast<std::size_t>(*made.param_idx) < arguments.size()) continue;
    Argument& argument = arguments.emplace_back(Argument{.mode = rule.resource_mode, .item = rule.param_item, .expression = {}});
    if (std::string problem; rule.param_item && rule.param_item->match_strategy == kMatchRegex) argument.expression = Regex::compile(rule.param_item->pattern, problem);
  }
  for (const ApiDefinition& api : apis) {
    if (!problem(api).empty()) continue;
    Api& made = apis_.emplace_back(Api{.name = api.api_name, .paths = {}});
    for (const ApiPathPredicate& item : api.predicate_items) {
      if (item.pattern.find_first_not_of(' ') == std::string::npos) continue;
      Api::Path path;
      std::string problem;
      if (item.match_strategy == kUrlRegex) path.expression = Regex::compile(item.pattern, problem);
      else if (item.match_strategy == kUrlPrefix && PathPattern::has_wildcard(item.pattern)) path.pattern = PathPattern::compile(item.pattern, problem);
      else if (item.match_strategy != kUrlPrefix) path.exact = item.pattern;
      made.paths.push_back(std::move(path));
    }
  }
}

void Gateway::params(std::string_view resource, int mode, const GatewayRequest& request, std::vector<Param>& out) const {
  out.clear();
  if (arguments_.empty()) return;
  const auto found = arguments_.find(std::string(resource));
  if (found == arguments_.end()) return;
  for (const Argument& argument : found->second) out.push_back(!argument.item ? Param(kNoParam) : argument.mode == mode ? argument.of(request) : Param());
}

void Gateway::apis(std::string_view path, std::vector<std::string_view>& out) const {
  out.clear();
  for (const Api& api : apis_) {
    const auto holds = [path](const Api::Path& each) {
      if (each.expression) return each.expression->matches(path);
      if (each.pattern) return each.pattern->matches(path);
      return !each.exact.empty() && each.exact == path;
    };
    if (std::any_of(api.paths.begin(), api.paths.end(), holds)) out.push_back(api.name);
  }
}

struct PathPattern::Segment {
  bool any = false;   // **
  bool star = false;  // * alone
  std::optional<Regex> expression;
};

bool PathPattern::has_wildcard(std::string_view pattern) {
  const std::size_t open = pattern.find('{');
  return pattern.find_first_of("*?") != std::string_view::npos || (open != std::string_view::npos && pattern.find('}', open) != std::string_view::npos);
}

std::optional<PathPattern> PathPattern::compile(std::string_view pattern, std::string& problem) {
  PathPattern made;
  made.begins_with_slash_ = pattern.starts_with('/');
  made.ends_with_slash_ = pattern.ends_with('/');
  for (std::string_view text : segments_of(pattern)) {
    const bool any = text == "**", star = text == "*";
    std::string expression;
    while (!text.empty()) {
      const char c = text[0];
      const std::size_t close = c == '{' ? text.find('}') : std::string_view::npos;
      if (close != std::string_view::npos) {
        const std::string_view name = text.substr(1, close - 1);
        const std::size_t colon = name.find(':');
        expression += colon == std::string_view::npos ? "(?:.*)" : "(?:" + std::string(name.substr(colon + 1)) + ")";
        text.remove_prefix(close + 1);
        continue;
      }
      if (c == '*') expression += ".*";
      else if (c == '?') expression += '.';
      else if (std::string_view("\\^$.|+()[]{}").find(c) != std::string_view::npos) expression += std::string("\\") + c;
      else expression += c;
      text.remove_prefix(1);
    }
    auto compiled = Regex::compile(expression, problem);
    if (!compiled) return std::nullopt;
    made.segments_.push_back(std::make_shared<const Segment>(Segment{.any = any, .star = star, .expression = std::move(compiled)}));
  }
  return made;
}

bool PathPattern::matches(std::string_view path) const {
  if (path.starts_with('/') != begins_with_slash_) return false;
  const std::vector<std::string_view> parts = segments_of(path);
  // The last ** takes one more segment whenever what follows it does not fit.
  std::size_t at = 0, part = 0, last_any = segments_.size(), taken = 0;
  while (part < parts.size()) {
    if (at < segments_.size() && segments_[at]->any) {
      last_any = at++;
      taken = part;
    } else if (at < segments_.size() && segments_[at]->expression->matches(parts[part])) {
      ++at;
      ++part;
    } else if (last_any < segments_.size()) {
      at = last_any + 1;
      part = ++taken;
    } else {
      return false;
    }
  }
  // Spring looks at the slash at the end only when no ** was met, and lets a last * take the nothing behind it.
  const bool slash = path.ends_with('/');
  if (at == segments_.size()) return last_any < segments_.size() ? true : ends_with_slash_ == slash;
  if (at + 1 == segments_.size() && segments_[at]->star && slash && last_any == segments_.size()) return true;
  return std::all_of(segments_.begin() + static_cast<std::ptrdiff_t>(at), segments_.end(), [](const auto& each) { return each->any; });
}

}  // namespace fairlead::flow
