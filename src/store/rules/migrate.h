// From the flat layout of Sentinel's sample, where an app has one value for all its rules, to a document for each kind.
//
// Which kind a rule is shows in its fields. A rule that could be of two kinds, or is not valid as what it seems to be, stays where it is
// and is named. Documents that are there already get what they lack; one that does not parse is left alone and named. The old value is
// kept until every document is written, and then as well unless told otherwise: clients of the old layout may still read it. A second
// migration finds nothing to do.
// Plain functions; any thread; they block as the store does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/rules/rule_store.h"

namespace fairlead::store {

struct RuleMove {
  RuleKey to;
  std::vector<std::string> added;  // the rules as JSON
  int present = 0;                 // of the old value's rules that are there already
  std::string text;                // what will be stored
  std::string expected;            // the version that this was made from
};

struct AppMigration {
  FlatRules from;
  std::vector<RuleMove> moves;     // also those that add nothing
  std::vector<std::string> left;   // sentences: which rule, or which document, and why
};

struct Migration {
  std::vector<AppMigration> apps;
  bool anything() const;  // to write
};

base::Result<Migration> plan_migration(RuleStore& store);

// For a person to read before it is done.
std::string to_text(const Migration& migration);

// Writes what was planned; the first refusal ends it, with everything that was not written still in the old value. With `clear_old` the old
// value of each app of which nothing is left is emptied, after its documents are written.
base::Status carry_out(RuleStore& store, const Migration& migration, bool clear_old);

// What a rule is by its fields; with nothing, `why` has a sentence.
std::optional<RuleKind> kind_by_fields(std::string_view rule, std::string& why);

}  // namespace fairlead::store
