#include "store/rules/rule_store.h"

#include "store/rules/backend.h"

namespace fairlead::store {

using base::Code;
using base::fail;

static constexpr std::array<std::string_view, kRuleKinds.size()> kNames = {
    "flow_rule", "degrade_rule", "param_flow_rule", "system_rule", "authority_rule", "gateway_flow_rule", "gateway_api_definition"};

std::string_view to_string(RuleKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::optional<RuleKind> rule_kind(std::string_view text) {
  for (RuleKind kind : kRuleKinds)
    if (to_string(kind) == text) return kind;
  return std::nullopt;
}

base::Status RuleStore::clear_flat(const std::string& app, std::string_view) {
  return fail(Code::kFailedPrecondition, "{} has no value of the flat layout for {}; there is nothing to clear", name(), app);
}

base::Result<std::unique_ptr<RuleStore>> open_rule_store(std::string_view where, const RuleStoreOptions& options) {
  const std::size_t colon = where.find(':');
  const std::string_view scheme = where.substr(0, colon);
  const std::string rest(colon == std::string_view::npos ? std::string_view() : where.substr(colon + 1));
  if (rest.empty() && (scheme == "sqlite" || scheme == "dir")) return fail(Code::kInvalidArgument, "\"{}\" lacks a path; say {}:PATH", where, scheme);
  if (scheme == "sqlite") return open_sqlite_rules(rest, options);
  if (scheme == "dir") return open_directory_rules(rest, options);
  if (scheme == "zk") return open_zookeeper_rules(rest, options);
  return fail(Code::kInvalidArgument, "\"{}\" is no store of rules; say sqlite:PATH, dir:PATH or zk:HOST:PORT,HOST:PORT/CHROOT", where);
}

}  // namespace fairlead::store
