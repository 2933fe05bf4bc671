// Insight: what a list of rules means before anybody obeys it: which rules a resource has, which look like mistakes, and what a rule
// would have done in the last hour.
//
// Plain functions over what is known; loop thread (they read the console's tables).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "console/metrics.h"
#include "console/rule_kinds.h"
#include "console/rulebook.h"

namespace fairlead::console {

struct Warning {
  store::RuleKind kind;
  int index;  // in Document::all()
  std::string_view code;  // "zero", "unknown_resource", "conflict", "duplicate", "shadowed", "cluster"
  std::string message;
};

// `known`: has anybody seen this resource; asked only when `anybody` (some instance has reported at all).
std::vector<Warning> warnings(store::RuleKind kind, const std::vector<base::Value>& rules, bool anybody, const std::function<bool(std::string_view)>& known,
                              Language language);

struct EffectiveRule {
  store::RuleKind kind;
  int index;
  base::Value rule;
  std::string_view how;  // "exact", "prefix", "regex", "default"
  bool obeyed;
  std::string note;
};
// Rules that concern a resource, in the order in which a client asks them.
std::vector<EffectiveRule> effective(const Rulebook& rulebook, const std::string& app, std::string_view resource, Language language);

struct DryRun {
  std::string resource;
  std::int64_t from_ms = 0, to_ms = 0;
  std::int64_t requests = 0, would_block = 0, blocked = 0;
  struct Minute {
    std::int64_t time_ms = 0, requests = 0, would_block = 0;
  };
  std::vector<Minute> by_minute;
  std::string note;
};
// What the rule would have done with the seconds of the last hour, spread evenly over `instances`.
DryRun dry_run(store::RuleKind kind, const base::Value& rule, const Metrics& metrics, std::string_view app, std::int64_t now_ms, int instances, Language language);

}  // namespace fairlead::console
