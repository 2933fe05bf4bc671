// The rule paths of sentinel-dashboard 1.8: one rule at a time, by app and id. The original keeps rules by machine; here `ip` and `port`
// are taken and change nothing: rules are the app's, and are stored before they are answered.
#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "console/console.h"
#include "console/original.h"

namespace fairlead::console {

using base::Value;
using store::RuleKey;
using store::RuleKind;

namespace {

// Which members of an entity are the rule's own; the others are the dashboard's (app, ip, port, gmtCreate ...) and are not stored.
constexpr std::string_view kEntity[] = {"app", "ip", "port", "gmtCreate", "gmtModified", "rule", "enabled"};

bool wrapped(RuleKind kind) { return kind == RuleKind::ParamFlow || kind == RuleKind::Authority; }

std::int64_t id_of(const Value& rule, std::size_t index) {
  const Value& id = rule["id"];
  return id.is_int() ? id.as_int() : 1'000'000'000 + static_cast<std::int64_t>(index);  // one that another writer stored without
}

Value rule_of(RuleKind kind, const Value& entity) {
  const Value& from = wrapped(kind) && entity["rule"].is_object() ? entity["rule"] : entity;
  Value rule = Value::object();
  for (const base::Member& member : from.members())
    if (std::ranges::find(kEntity, member.key) == std::end(kEntity) && !member.value.is_null()) rule.set(member.key, member.value);
  rule.erase("id");
  if (kind != RuleKind::GatewayFlow) return rule;
  // The original's page speaks of an interval and its unit: 0 s, 1 min, 2 h, 3 d.
  static constexpr std::int64_t kUnits[] = {1, 60, 3600, 86400};
  if (const Value* interval = rule.find("interval")) {
    const std::int64_t unit = std::clamp<std::int64_t>(std::as_const(rule)["intervalUnit"].as_int(), 0, 3);
    const std::int64_t seconds = interval->as_int() * kUnits[unit];
    rule.set("intervalSec", seconds);
    rule.erase("interval");
    rule.erase("intervalUnit");
  }
  return rule;
}

Value entity_of(RuleKind kind, const std::string& app, const Value& rule, std::size_t index) {
  Value entity = Value::object({{"id", id_of(rule, index)}, {"app", app}, {"ip", nullptr}, {"port", nullptr}, {"gmtCreate", nullptr}, {"gmtModified", nullptr}});
  Value own = rule;
  own.erase("enabled");
  if (wrapped(kind)) {
    entity.set("rule", std::move(own));
    return entity;
  }
  for (base::Member& member : own.mutable_members())
    if (member.key != "id") entity.set(member.key, std::move(member.value));
  if (kind == RuleKind::GatewayFlow) entity.set("interval", std::as_const(own)["intervalSec"].as_int(1)), entity.set("intervalUnit", 0);
  return entity;
}

std::string sentences(const std::vector<flow::RuleFault>& faults) {
  std::string out;
  for (const flow::RuleFault& fault : faults) out += (out.empty() ? "" : "; ") + (fault.field.empty() ? "" : fault.field + ": ") + fault.remedy;
  return out;
}

}  // namespace

void Console::add_original_rule_routes() {
  using original::answer;
  using original::refuse;
  constexpr int kAgain = 3;  // who edits one rule did not see the list's version: a lost race is tried again on the new one

  // Changes the list that is stored; `edit` answers a sentence when it can't.
  using Edit = std::function<std::string(std::vector<Value>& rules)>;
  struct Change {
    RuleKey key;
    Edit edit;
    Value data;   // of the answer
    int left = kAgain;
  };
  auto attempt = std::make_shared<std::function<void(const RequestPtr&, std::shared_ptr<Change>)>>();
  // The router holds this function as long as it lives, so it can name itself by a plain pointer.
  *attempt = [this, again = attempt.get()](const RequestPtr& r, const std::shared_ptr<Change>& change) {
    const Document& document = rulebook_.find(change->key);
    RuleWrite write{.key = change->key, .expected = document.version(), .rules = document.all(), .user = std::string(r->user_name()), .comment = {}};
    if (const std::string problem = change->edit(write.rules); !problem.empty()) return refuse(r, -1, problem);
    rulebook_.write(std::move(write), [this, r, change, again](const WriteOutcome& outcome) {
      const std::string target = change->key.app + " " + std::string(api_name(change->key.kind));
      using What = WriteOutcome::What;
      if (outcome.what == What::Conflict && change->left-- > 0) return (*again)(r, change);
      audit(*r, "write rules", target, outcome.what == What::Done, outcome.error.text());
      switch (outcome.what) {
        case What::Done:
          return answer(r, std::move(change->data));
        case What::Invalid:
          return refuse(r, -1, sentences(outcome.faults));
        case What::Conflict:
          return refuse(r, -1, "others change these rules all the time; try again");
        case What::Garbage:
          return refuse(r, -1, "what is stored can't be read as rules and would be lost; see the rules' page of the console");
        case What::Failed:
          return refuse(r, -1, outcome.error.text());
      }
    });
  };

  const auto key_for = [](const RequestPtr& r, RuleKind kind) -> std::optional<RuleKey> {
    std::string app = std::as_const(r->body)["app"].as_string();
    if (app.empty()) app = r->parameter("app");
    if (!app.empty()) return RuleKey{app, kind};
    refuse(r, -1, "app can't be null or empty");
    return std::nullopt;
  };
  const auto may_edit = [](const RequestPtr& r, const std::string& app) {
    if (r->user->may_edit(app)) return true;
    refuse(r, -1, "you may not change rules of " + app + "; ask an admin for it");
    return false;
  };
  // By id alone: the original's paths for change and removal do not always name the app.
  const auto find_id = [this](RuleKind kind, std::int64_t id, const std::string& app) -> std::optional<RuleKey> {
    for (const std::string& name : app.empty() ? app_names() : std::vector{app}) {
      const auto rules = rulebook_.find({name, kind}).all();
      for (std::size_t i = 0; i < rules.size(); ++i)
        if (id_of(rules[i], i) == id) return RuleKey{name, kind};
    }
    return std::nullopt;
  };

  const auto list = [this, key_for](RuleKind kind) {
    return [this, key_for, kind](const RequestPtr& r) {
      const auto key = key_for(r, kind);
      if (!key) return;
      Value out = Value::array();
      const auto rules = rulebook_.find(*key).all();
      for (std::size_t i = 0; i < rules.size(); ++i)
        if (rules[i]["enabled"].as_bool(true)) out.push(entity_of(kind, key->app, rules[i], i));
      answer(r, std::move(out));
    };
  };
  const auto add = [key_for, may_edit, attempt](RuleKind kind, std::function<Value(const RequestPtr&)> entity) {
    return [key_for, may_edit, attempt, kind, entity = std::move(entity)](const RequestPtr& r) {
      const auto key = key_for(r, kind);
      if (!key || !may_edit(r, key->app)) return;
      Value rule = rule_of(kind, entity(r));
      auto change = std::make_shared<Change>();
      change->key = *key;
      change->data = entity_of(kind, key->app, rule, 0);
      change->edit = [rule = std::move(rule), data = &change->data](std::vector<Value>& rules) {
        std::int64_t id = 1;
        for (std::size_t i = 0; i < rules.size(); ++i) id = std::max(id, rules[i]["id"].as_int() + 1);
        rules.push_back(rule);
        rules.back().set("id", id);
        data->set("id", id);
        return std::string();
      };
      (*attempt)(r, change);
    };
  };
  const auto replace = [find_id, may_edit, attempt](RuleKind kind, std::function<std::int64_t(const RequestPtr&)> id_in, std::function<Value(const RequestPtr&)> entity) {
    return [find_id, may_edit, attempt, kind, id_in = std::move(id_in), entity = std::move(entity)](const RequestPtr& r) {
      const std::int64_t id = id_in(r);
      const Value from = entity(r);
      const auto key = find_id(kind, id, from["app"].as_string());
      if (!key) return refuse(r, -1, "there is no rule with id " + std::to_string(id));
      if (!may_edit(r, key->app)) return;
      auto change = std::make_shared<Change>();
      change->key = *key;
      change->edit = [rule = rule_of(kind, from), id, kind, app = key->app, data = &change->data](std::vector<Value>& rules) -> std::string {
        for (std::size_t i = 0; i < rules.size(); ++i) {
          if (id_of(rules[i], i) != id) continue;
          // Members that the request does not name stay.
          for (const base::Member& member : rule.members()) rules[i].set(member.key, member.value);
          *data = entity_of(kind, app, rules[i], i);
          return {};
        }
        return "there is no rule with id " + std::to_string(id) + " any more";
      };
      (*attempt)(r, change);
    };
  };
  const auto remove = [find_id, may_edit, attempt](RuleKind kind, std::function<std::int64_t(const RequestPtr&)> id_in) {
    return [find_id, may_edit, attempt, kind, id_in = std::move(id_in)](const RequestPtr& r) {
      const std::int64_t id = id_in(r);
      const auto key = find_id(kind, id, r->parameter("app"));
      if (!key) return answer(r, nullptr);  // as the original: what is gone is gone
      if (!may_edit(r, key->app)) return;
      auto change = std::make_shared<Change>();
      change->key = *key;
      change->data = id;
      change->edit = [id](std::vector<Value>& rules) {
        for (std::size_t i = 0; i < rules.size(); ++i)
          if (id_of(rules[i], i) == id) {
            rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(i));
            break;
          }
        return std::string();
      };
      (*attempt)(r, change);
    };
  };

  const auto body = [](const RequestPtr& r) { return r->body; };
  const auto path_id = [](const RequestPtr& r) { return static_cast<std::int64_t>(base::to_int(r->parts[0]).value_or(0)); };
  const auto parameter_id = [](const RequestPtr& r) { return r->number("id", std::as_const(r->body)["id"].as_int(), 0, INT64_MAX); };
  // Numbers and texts given as parameters.
  const auto from_parameters = [](const RequestPtr& r) {
    Value entity = Value::object();
    for (const auto& [name, text] : r->parameters) {
      if (text.empty()) continue;
      if (const auto whole = base::to_int(text); whole && name != "app" && name != "resource" && name != "limitApp" && name != "refResource") entity.set(name, *whole);
      else if (const auto number = base::to_double(text); number && name != "app" && name != "resource" && name != "limitApp" && name != "refResource") entity.set(name, *number);
      else entity.set(name, text);
    }
    return entity;
  };

  for (std::string_view root : {"/v1/flow", "/v2/flow"}) {
    const std::string at(root);
    router_.add("GET", at + "/rules", Access::Session, list(RuleKind::Flow));
    router_.add("POST", at + "/rule", Access::Session, add(RuleKind::Flow, body));
    router_.add("PUT", at + "/rule/{}", Access::Session, replace(RuleKind::Flow, path_id, body));
    router_.add("DELETE", at + "/rule/{}", Access::Session, remove(RuleKind::Flow, path_id));
  }
  router_.add("PUT", "/v1/flow/save.json", Access::Session, replace(RuleKind::Flow, parameter_id, from_parameters));
  router_.add("DELETE", "/v1/flow/delete.json", Access::Session, remove(RuleKind::Flow, parameter_id));
  router_.add("GET", "/degrade/rules.json", Access::Session, list(RuleKind::Degrade));
  router_.add("GET", "/paramFlow/rules", Access::Session, list(RuleKind::ParamFlow));
  router_.add("GET", "/authority/rules", Access::Session, list(RuleKind::Authority));
  const std::pair<std::string, RuleKind> by_path[] = {{"/degrade/rule", RuleKind::Degrade}, {"/paramFlow/rule", RuleKind::ParamFlow}, {"/authority/rule", RuleKind::Authority}};
  for (const auto& [path, kind] : by_path) {
    router_.add("POST", path, Access::Session, add(kind, body));
    router_.add("PUT", path + "/{}", Access::Session, replace(kind, path_id, body));
    router_.add("DELETE", path + "/{}", Access::Session, remove(kind, path_id));
  }
  // System rules are made and changed by GET in the original; a page elsewhere could then change them, so here by POST alone.
  router_.add("GET", "/system/rules.json", Access::Session, list(RuleKind::System));
  router_.add("POST", "/system/new.json", Access::Session, add(RuleKind::System, from_parameters));
  router_.add("POST", "/system/save.json", Access::Session, replace(RuleKind::System, parameter_id, from_parameters));
  router_.add("POST", "/system/delete.json", Access::Session, remove(RuleKind::System, parameter_id));
  router_.add("GET", "/gateway/flow/list.json", Access::Session, list(RuleKind::GatewayFlow));
  router_.add("GET", "/gateway/api/list.json", Access::Session, list(RuleKind::GatewayApi));
  const std::pair<std::string, RuleKind> gateway[] = {{"/gateway/flow", RuleKind::GatewayFlow}, {"/gateway/api", RuleKind::GatewayApi}};
  for (const auto& [path, kind] : gateway) {
    router_.add("POST", path + "/new.json", Access::Session, add(kind, body));
    router_.add("POST", path + "/save.json", Access::Session, replace(kind, parameter_id, body));
    router_.add("POST", path + "/delete.json", Access::Session, remove(kind, parameter_id));
  }
}

}  // namespace fairlead::console
