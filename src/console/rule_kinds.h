// The kinds of rules described once, for people: names, help and ranges of every field in English and Chinese. The pages' forms and
// columns, the API's document and the Chinese sentences about faults come from here. A test compares it with what flow/rules_json.h
// reads, so that no field is missing.
//
// Plain constants and functions; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "store/rules/rule_store.h"

namespace fairlead::console {

enum class Language : std::uint8_t { English, Chinese };
// The one that an Accept-Language field prefers; English if it names neither.
Language language_of(std::string_view accept_language);

struct Text {
  std::string_view en, zh;
  std::string_view in(Language language) const { return language == Language::Chinese ? zh : en; }
};

// "flow", "degrade", "param-flow", "system", "authority", "gateway-flow", "gateway-api": the kind in paths of the API.
std::string_view api_name(store::RuleKind kind);
std::optional<store::RuleKind> kind_of_api_name(std::string_view name);
// The field that names what a rule is for: "resource", "apiName"; "" for system rules.
std::string_view key_field(store::RuleKind kind);

const base::Value& rule_kinds();  // RuleKindDescription[] of web/src/api/types.ts

// A fault of flow/rules_json.h in the reader's language; `remedy` as it stands in English.
std::string fault_text(std::string_view remedy, Language language);
// Every remedy there is a Chinese sentence for, for the test.
std::vector<std::string_view> known_remedies();

}  // namespace fairlead::console
