#include "console/rule_documents.h"

#include <algorithm>
#include <map>
#include <set>

#include "console/rule_kinds.h"

namespace fairlead::console {

using base::Value;
using store::RuleKind;

namespace {

template <class Rule>
struct Typed {
  std::vector<Rule> rules;
  std::vector<Value> objects;  // of the same positions
};

template <class Rule>
Typed<Rule> typed(std::string_view text) {
  Typed<Rule> out;
  const auto list = flow::read_rules<Rule>(text);
  const auto document = base::parse_json(text);
  for (const auto& each : list.rules) {
    out.rules.push_back(each.rule);
    out.objects.push_back(document ? (*document)[each.index] : Value());
  }
  return out;
}

}  // namespace

ReadRules read_document(RuleKind kind, std::string_view text) {
  ReadRules out;
  const auto document = base::parse_json(text);
  with_rule_type(kind, [&]<class Rule>(std::type_identity<Rule>) {
    auto list = flow::read_rules<Rule>(text);
    for (const auto& each : list.rules)
      if (document) out.rules.push_back((*document)[each.index]);
    out.faults = std::move(list.faults);
  });
  return out;
}

std::string print_document(const std::vector<Value>& rules, std::int64_t& next_id) {
  Value list = Value::array();
  std::set<std::int64_t> taken;
  for (const Value& rule : rules) {
    Value& stored = list.push(rule);
    stored.erase("enabled");
    // Of two with the same number (a copy) the later one gets another.
    const Value* id = std::as_const(stored).find("id");
    if (!id || !id->is_int() || !taken.insert(id->as_int()).second) {
      while (!taken.insert(next_id).second) ++next_id;
      stored.set("id", next_id++);
    }
  }
  return list.dump();
}

Difference compare_rules(RuleKind kind, std::string_view stored, std::string_view loaded) {
  Difference out;
  with_rule_type(kind, [&]<class Rule>(std::type_identity<Rule>) {
    const Typed<Rule> want = typed<Rule>(stored);
    Typed<Rule> have = typed<Rule>(loaded);
    std::vector<Rule> seen;
    for (std::size_t i = 0; i < want.rules.size(); ++i) {
      // Clients take equal rules once.
      if (std::ranges::find(seen, want.rules[i]) != seen.end()) continue;
      seen.push_back(want.rules[i]);
      const auto found = std::ranges::find(have.rules, want.rules[i]);
      if (found == have.rules.end()) {
        out.missing.push_back(want.objects[i]);
        continue;
      }
      have.objects.erase(have.objects.begin() + (found - have.rules.begin()));
      have.rules.erase(found);
    }
    for (std::size_t i = 0; i < have.rules.size(); ++i)
      if (std::ranges::find(seen, have.rules[i]) == seen.end()) out.extra.push_back(std::move(have.objects[i]));
  });
  return out;
}

ChangeCounts count_changes(RuleKind kind, std::string_view before, std::string_view after) {
  const Difference difference = compare_rules(kind, before, after);
  ChangeCounts counts;
  // A rule that went and one of the same name that came is one change.
  std::map<std::string, int> gone;
  const std::string_view key = key_field(kind);
  for (const Value& rule : difference.missing) ++gone[rule[key].as_string()];
  for (const Value& rule : difference.extra) {
    const auto found = gone.find(rule[key].as_string());
    if (found != gone.end() && found->second > 0) --found->second, ++counts.changed;
    else ++counts.added;
  }
  for (const auto& [name, left] : gone) counts.removed += left;
  return counts;
}

}  // namespace fairlead::console
