// Rules as JSON: a list of objects with Sentinel's names of fields and its defaults, as its datasources and commands have it. Numbers and
// booleans may be written as texts. What a kind of rule does not have (`id`, `app`, ...) is kept and printed again.
// Plain functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flow/rules.h"

namespace fairlead::flow {

struct RuleFault {
  int index = -1;      // of the rule in the document, from 0; -1: the document itself
  std::string field;   // "clusterConfig.flowId", "paramFlowItemList[1].count"; empty: the rule as a whole
  std::string remedy;  // what it must be, and for the document the line and column

  std::string sentence() const;
};

template <class Rule>
struct ListedRule {
  Rule rule;
  int index = 0;       // in the document
  std::string others;  // members of other names: `"id":1,"app":"demo"`
};

template <class Rule>
struct RuleList {
  std::vector<ListedRule<Rule>> rules;  // the valid ones
  std::vector<RuleFault> faults;
  std::vector<RuleFault> notes;  // of members within objects of a rule that are not known: these are not kept

  // What Engine::load() takes.
  std::vector<Rule> plain() const {
    std::vector<Rule> out;
    for (const auto& each : rules) out.push_back(each.rule);
    return out;
  }
};

// For FlowRule, DegradeRule, AuthorityRule, SystemRule, ParamFlowRule, GatewayFlowRule and ApiDefinition. An empty text is an empty list.
template <class Rule>
RuleList<Rule> read_rules(std::string_view json);

// Compact, the fields by name as fastjson prints them, then those kept. Every field is there, but for objects that are not set.
template <class Rule>
std::string print_rules(const std::vector<ListedRule<Rule>>& rules);

}  // namespace fairlead::flow
