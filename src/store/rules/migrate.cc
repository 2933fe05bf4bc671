#include "store/rules/migrate.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "flow/json.h"
#include "flow/rules_json.h"

namespace fairlead::store {

using flow::Json;

namespace {

// Fields that rules of one kind alone have.
struct Mark {
  RuleKind kind;
  std::string_view field;
};
constexpr Mark kMarks[] = {
    {RuleKind::Flow, "refResource"},           {RuleKind::Flow, "warmUpPeriodSec"},
    {RuleKind::Degrade, "timeWindow"},         {RuleKind::Degrade, "minRequestAmount"},
    {RuleKind::Degrade, "slowRatioThreshold"}, {RuleKind::Degrade, "statIntervalMs"},
    {RuleKind::ParamFlow, "paramIdx"},         {RuleKind::ParamFlow, "paramFlowItemList"},
    {RuleKind::ParamFlow, "durationInSec"},    {RuleKind::ParamFlow, "burstCount"},
    {RuleKind::System, "highestSystemLoad"},   {RuleKind::System, "highestCpuUsage"},
    {RuleKind::System, "qps"},                 {RuleKind::System, "avgRt"},
    {RuleKind::System, "maxThread"},           {RuleKind::GatewayFlow, "resourceMode"},
    {RuleKind::GatewayFlow, "intervalSec"},    {RuleKind::GatewayFlow, "paramItem"},
    {RuleKind::GatewayFlow, "burst"},          {RuleKind::GatewayFlow, "maxQueueingTimeoutMs"},
    {RuleKind::GatewayApi, "apiName"},         {RuleKind::GatewayApi, "predicateItems"},
};
// A flow rule and a parameter rule have these; the latter is none without paramIdx.
constexpr std::string_view kFlowsToo[] = {"controlBehavior", "maxQueueingTimeMs", "clusterMode", "clusterConfig"};

bool has(const Json& rule, std::string_view field) {
  const Json* value = rule.find(field);
  return value && value->type != Json::Type::Null;
}

std::string printed(const Json& value) {
  std::string out;
  flow::append_json(out, value);
  return out;
}

std::optional<RuleKind> kind_of(const Json& rule, std::string& why) {
  if (rule.type != Json::Type::Object) {
    why = "it is no object";
    return std::nullopt;
  }
  std::optional<Mark> found;
  for (const Mark& mark : kMarks) {
    if (!has(rule, mark.field)) continue;
    if (found && found->kind != mark.kind) {
      why = fmt::format("{} speaks for {}, but {} for {}", found->field, to_string(found->kind), mark.field, to_string(mark.kind));
      return std::nullopt;
    }
    found = mark;
  }
  if (found) return found->kind;
  if (std::ranges::any_of(kFlowsToo, [&](std::string_view field) { return has(rule, field); })) return RuleKind::Flow;
  // A breaker is none without timeWindow, so a bare threshold is a flow rule's; but its grade 2, exceptions, is a breaker's alone.
  if (has(rule, "count") || has(rule, "grade")) {
    if (const Json* grade = rule.find("grade"); grade && grade->text == "2") {
      why = "grade 2 is a degrade rule's, but there is no timeWindow";
      return std::nullopt;
    }
    return RuleKind::Flow;
  }
  if (has(rule, "limitApp") && has(rule, "resource")) return RuleKind::Authority;
  why = "no field tells its kind";
  return std::nullopt;
}

// Each rule as it is meant, for comparing, or what is wrong with it.
struct Meaning {
  std::string canonical;
  std::string fault;
};
template <class Rule>
Meaning meaning_as(const Json& rule) {
  auto read = flow::read_rules<Rule>("[" + printed(rule) + "]");
  if (!read.faults.empty()) return {{}, read.faults.front().sentence()};
  if (read.rules.size() != 1) return {{}, "it is no rule"};
  read.rules.front().others.clear();  // ids and dates differ between copies of one rule
  return {flow::print_rules(read.rules), {}};
}
Meaning meaning_of(RuleKind kind, const Json& rule) {
  switch (kind) {
    case RuleKind::Flow: return meaning_as<flow::FlowRule>(rule);
    case RuleKind::Degrade: return meaning_as<flow::DegradeRule>(rule);
    case RuleKind::ParamFlow: return meaning_as<flow::ParamFlowRule>(rule);
    case RuleKind::System: return meaning_as<flow::SystemRule>(rule);
    case RuleKind::Authority: return meaning_as<flow::AuthorityRule>(rule);
    case RuleKind::GatewayFlow: return meaning_as<flow::GatewayFlowRule>(rule);
    case RuleKind::GatewayApi: return meaning_as<flow::ApiDefinition>(rule);
  }
  return {{}, "it is of no kind"};
}

// Curator writes the address of its machine into nodes that it makes on the way to another.
bool is_address(std::string_view text) {
  return text.find_first_not_of("0123456789abcdefABCDEF.:%") == std::string_view::npos && text.find_first_of(".:") != std::string_view::npos;
}

base::Result<RuleMove> plan_move(RuleStore& store, const RuleKey& key, const std::vector<Json>& rules, std::vector<std::string>& left) {
  RuleMove move;
  move.to = key;
  auto stored = store.read(key);
  if (!stored) return std::unexpected(stored.error());
  move.expected = stored->version;
  Json document;
  std::string problem;
  const bool empty = base::trim(stored->text).empty();
  if (!empty && (!flow::read_json(stored->text, document, problem) || document.type != Json::Type::Array)) {
    left.push_back(fmt::format("{} rule{} for {}: what is stored there is no list of rules ({}); correct it first", rules.size(), rules.size() == 1 ? "" : "s",
                               to_string(key.kind), problem.empty() ? "it begins with something else" : problem));
    move.text = stored->text;
    return move;
  }
  document.type = Json::Type::Array;
  std::vector<std::string> known;
  for (const Json& rule : document.items) known.push_back(meaning_of(key.kind, rule).canonical);
  for (const Json& rule : rules) {
    auto meaning = meaning_of(key.kind, rule).canonical;
    if (std::ranges::find(known, meaning) != known.end()) {
      ++move.present;
      continue;
    }
    known.push_back(std::move(meaning));
    move.added.push_back(printed(rule));
    document.items.push_back(rule);
  }
  move.text = move.added.empty() ? stored->text : printed(document);
  return move;
}

base::Result<AppMigration> plan_app(RuleStore& store, FlatRules flat) {
  AppMigration out;
  out.from = std::move(flat);
  Json list;
  std::string problem;
  if (!flow::read_json(out.from.document.text, list, problem) || list.type != Json::Type::Array) {
    out.left.push_back("the whole value: it is no list of rules" + (problem.empty() ? std::string() : " (" + problem + ")") + "; correct or remove it");
    return out;
  }
  std::array<std::vector<Json>, kRuleKinds.size()> kinds;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const Json& rule = list.items[i];
    std::string why;
    auto kind = kind_of(rule, why);
    if (kind)
      if (auto fault = meaning_of(*kind, rule).fault; !fault.empty()) {
        why = fmt::format("it looks like one for {}, but {}", to_string(*kind), fault);
        kind.reset();
      }
    if (kind)
      kinds[static_cast<std::size_t>(*kind)].push_back(rule);
    else
      out.left.push_back(fmt::format("rule {}, {}: {}; write it into the document of its kind yourself", i + 1, printed(rule), why));
  }
  for (RuleKind kind : kRuleKinds) {
    const auto& rules = kinds[static_cast<std::size_t>(kind)];
    if (rules.empty()) continue;
    auto move = plan_move(store, {out.from.app, kind}, rules, out.left);
    if (!move) return std::unexpected(move.error());
    out.moves.push_back(std::move(*move));
  }
  return out;
}

}  // namespace

std::optional<RuleKind> kind_by_fields(std::string_view rule, std::string& why) {
  Json parsed;
  if (!flow::read_json(rule, parsed, why)) return std::nullopt;
  return kind_of(parsed, why);
}

bool Migration::anything() const {
  return std::ranges::any_of(apps, [](const AppMigration& app) { return std::ranges::any_of(app.moves, [](const RuleMove& move) { return !move.added.empty(); }); });
}

base::Result<Migration> plan_migration(RuleStore& store) {
  auto flat = store.flat();
  if (!flat) return std::unexpected(flat.error());
  Migration out;
  for (FlatRules& each : *flat) {
    const std::string_view text = base::trim(each.document.text);
    if (text.empty() || is_address(text)) continue;
    auto app = plan_app(store, std::move(each));
    if (!app) return std::unexpected(app.error());
    out.apps.push_back(std::move(*app));
  }
  return out;
}

std::string to_text(const Migration& migration) {
  std::string out;
  for (const AppMigration& app : migration.apps) {
    out += app.from.app + ":\n";
    for (const RuleMove& move : app.moves) {
      out += fmt::format("  {}: {} to add, {} there already\n", to_string(move.to.kind), move.added.size(), move.present);
      for (const std::string& rule : move.added) out += "    + " + rule + "\n";
    }
    for (const std::string& sentence : app.left) out += "  stays: " + sentence + "\n";
    if (app.moves.empty() && app.left.empty()) out += "  an empty list: nothing to move\n";
  }
  return out.empty() ? "No app has rules in the flat layout.\n" : out;
}

base::Status carry_out(RuleStore& store, const Migration& migration, bool clear_old) {
  for (const AppMigration& app : migration.apps) {
    for (const RuleMove& move : app.moves) {
      if (move.added.empty()) continue;
      if (auto written = store.write(move.to, move.text, move.expected); !written) {
        base::Error error = written.error();
        error.message += "; nothing is lost, the old value of " + app.from.app + " is as it was: migrate again";
        return std::unexpected(std::move(error));
      }
    }
    if (clear_old && app.left.empty())
      if (auto cleared = store.clear_flat(app.from.app, app.from.document.version); !cleared) return cleared;
  }
  return {};
}

}  // namespace fairlead::store
