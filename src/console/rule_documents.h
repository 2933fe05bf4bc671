// A stored list of rules as the console reads it: which rules of a text are good, what is wrong with the others, and how a list that a
// person edited becomes the text that is stored.
//
// Plain functions and values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "flow/rules_json.h"
#include "store/rules/rule_store.h"

namespace fairlead::console {

// Calls f with a std::type_identity of the rule's type: flow::FlowRule for Flow, and so on.
template <class F>
auto with_rule_type(store::RuleKind kind, F f) {
  switch (kind) {
    case store::RuleKind::Flow:
      return f(std::type_identity<flow::FlowRule>{});
    case store::RuleKind::Degrade:
      return f(std::type_identity<flow::DegradeRule>{});
    case store::RuleKind::ParamFlow:
      return f(std::type_identity<flow::ParamFlowRule>{});
    case store::RuleKind::System:
      return f(std::type_identity<flow::SystemRule>{});
    case store::RuleKind::Authority:
      return f(std::type_identity<flow::AuthorityRule>{});
    case store::RuleKind::GatewayFlow:
      return f(std::type_identity<flow::GatewayFlowRule>{});
    case store::RuleKind::GatewayApi:
      break;
  }
  return f(std::type_identity<flow::ApiDefinition>{});
}

struct ReadRules {
  std::vector<base::Value> rules;       // the good ones, as objects with all their members
  std::vector<flow::RuleFault> faults;  // index: in the text's list
};
ReadRules read_document(store::RuleKind kind, std::string_view text);

// The text to be stored: rules without "enabled", each with an "id" (numbers from next_id on for those that have none).
std::string print_document(const std::vector<base::Value>& rules, std::int64_t& next_id);

// The same rules, in whatever order and with whatever else in them: for the question what a client has really loaded.
struct Difference {
  std::vector<base::Value> missing, extra;
  bool none() const { return missing.empty() && extra.empty(); }
};
Difference compare_rules(store::RuleKind kind, std::string_view stored, std::string_view loaded);

struct ChangeCounts {
  int added = 0, removed = 0, changed = 0;
};
ChangeCounts count_changes(store::RuleKind kind, std::string_view before, std::string_view after);

}  // namespace fairlead::console
