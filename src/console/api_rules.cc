// Rules: reading, checking, writing, history, import and export.
#include <algorithm>

#include "console/console.h"

namespace fairlead::console {

using base::Value;
using store::RuleKey;
using store::RuleKind;

namespace {

Value fault_value(const flow::RuleFault& fault, Language language) {
  return Value::object({{"index", fault.index}, {"field", fault.field}, {"message", fault_text(fault.remedy, language)}});
}

Value fault_list(const std::vector<flow::RuleFault>& faults, Language language) {
  Value list = Value::array();
  for (const flow::RuleFault& fault : faults) list.push(fault_value(fault, language));
  return list;
}

Value list_of(std::vector<Value> rules) {
  Value list = Value::array();
  for (Value& rule : rules) list.push(std::move(rule));
  return list;
}

Value warning_list(const std::vector<Warning>& warnings) {
  Value list = Value::array();
  for (const Warning& w : warnings) list.push(Value::object({{"kind", api_name(w.kind)}, {"index", w.index}, {"code", w.code}, {"message", w.message}}));
  return list;
}

// The rules of a document's text, or the text if it can't be read.
Value side_of(RuleKind kind, const std::string& text) {
  ReadRules read = read_document(kind, text);
  if (std::ranges::any_of(read.faults, [](const auto& f) { return f.index < 0; })) return text;
  return list_of(std::move(read.rules));
}

Value change_value(const Change& change, bool whole) {
  const ChangeCounts counts = count_changes(change.kind, change.before, change.after);
  Value value = Value::object({{"id", change.id}, {"time", change.time_ms}, {"user", change.user}, {"source", change.source}, {"app", change.app}, {"kind", api_name(change.kind)},
                               {"comment", change.comment}, {"version", change.version}, {"added", counts.added}, {"removed", counts.removed}, {"changed", counts.changed}});
  if (whole) {
    value.set("before", side_of(change.kind, change.before));
    value.set("after", side_of(change.kind, change.after));
  }
  return value;
}

const Value* rules_of(const Request& r) {
  const Value* rules = r.body.find("rules");
  if (rules && rules->is_array()) return rules;
  r.refuse(400, "invalid", r.say("rules: must be a list of rules", "rules：须为规则列表"));
  return nullptr;
}

}  // namespace

Value Console::rule_list(const RuleKey& key, Language language) const {
  const Document& document = rulebook_.find(key);
  Value garbage;
  if (!document.faults.empty()) garbage = Value::object({{"text", document.text}, {"faults", fault_list(document.faults, language)}});
  return Value::object({{"app", key.app}, {"kind", api_name(key.kind)}, {"version", document.version()}, {"rules", list_of(document.all())}, {"garbage", std::move(garbage)}});
}

void Console::write_rules(const RequestPtr& r, RuleWrite write, std::string_view action) {
  write.user = r->user_name();
  const RuleKey key = write.key;
  rulebook_.write(std::move(write), [this, r, key, action = std::string(action)](WriteOutcome outcome) {
    const std::string target = key.app + " " + std::string(api_name(key.kind));
    using What = WriteOutcome::What;
    switch (outcome.what) {
      case What::Done:
        audit(*r, action, target, true, "");
        return r->answer(rule_list(key, r->language));
      case What::Invalid:
        return r->refuse(400, "invalid", r->say("nothing was written: some rules are not valid", "未写入：部分规则不合法"), Value::object({{"faults", fault_list(outcome.faults, r->language)}}));
      case What::Conflict:
        audit(*r, action, target, false, "conflict");
        return r->refuse(409, "conflict", r->say("nothing was written: these rules were changed since you read them", "未写入：规则已被其他人修改"), Value::object({{"stored", rule_list(key, r->language)}}));
      case What::Garbage:
        return r->refuse(422, "garbage",
                         r->say("nothing was written: what is stored can't be read as rules and would be lost; write again with overwrite_garbage", "未写入：已存储的内容无法解析，写入会丢失它；确认后请带 overwrite_garbage 重新提交"),
                         Value::object({{"stored", rule_list(key, r->language)}}));
      case What::Failed:
        audit(*r, action, target, false, outcome.error.text());
        return r->refuse(outcome.error.code == base::Code::kResourceExhausted || outcome.error.code == base::Code::kInvalidArgument ? 400 : 503,
                         outcome.error.code == base::Code::kResourceExhausted || outcome.error.code == base::Code::kInvalidArgument ? "invalid" : "unavailable", outcome.error.text());
    }
  });
}

void Console::import_rules(const RequestPtr& r) {
  const Value& document = std::as_const(r->body)["document"];
  const bool replace = std::as_const(r->body)["mode"].as_string() == "replace";
  if (!document["rules"].is_object()) return r->refuse(400, "invalid", r->say("document: must be what export gives: {\"rules\": {\"flow\": [...]}}", "document：须为导出的内容：{\"rules\": {\"flow\": [...]}}"));
  struct Import {
    std::vector<RuleWrite> writes;
    Value changed = Value::array();
  };
  auto import = std::make_shared<Import>();
  // All are judged before the first is written.
  Value faults = Value::array();
  for (const base::Member& member : document["rules"].members()) {
    const auto kind = kind_of_api_name(member.key);
    if (!kind || !member.value.is_array()) {
      faults.push(Value::object({{"index", -1}, {"field", member.key}, {"message", r->say("is no kind of rules with a list", "不是规则类型或不是列表")}}));
      continue;
    }
    RuleWrite write;
    write.key = {r->parts[0], *kind};
    write.expected = rulebook_.find(write.key).version();
    write.comment = std::as_const(r->body)["comment"].as_string();
    write.user = r->user_name();
    if (!replace) write.rules = rulebook_.find(write.key).all();
    for (const Value& rule : member.value.items()) {
      const bool there = std::ranges::any_of(write.rules, [&](const Value& have) {
        const std::string one = Value::array({have}).dump(), other = Value::array({rule}).dump();
        return compare_rules(*kind, one, other).none() && have["enabled"].as_bool(true) == rule["enabled"].as_bool(true);
      });
      if (!there) write.rules.push_back(rule);
    }
    Value all = Value::array();
    for (const Value& rule : write.rules) all.push(rule);
    for (flow::RuleFault fault : read_document(*kind, all.dump()).faults) {
      fault.field = std::string(member.key) + (fault.field.empty() ? "" : "." + fault.field);
      faults.push(fault_value(fault, r->language));
    }
    import->writes.push_back(std::move(write));
  }
  if (!faults.empty()) return r->refuse(400, "invalid", r->say("nothing was imported: some rules are not valid", "未导入：部分规则不合法"), Value::object({{"faults", std::move(faults)}}));
  auto next = std::make_shared<std::function<void()>>();
  *next = [this, r, import, weak = std::weak_ptr(next)] {
    if (import->writes.empty()) return r->answer(Value::object({{"changed", std::move(import->changed)}}));
    RuleWrite write = std::move(import->writes.back());
    import->writes.pop_back();
    const RuleKey key = write.key;
    rulebook_.write(std::move(write), [this, r, import, key, self = weak.lock()](const WriteOutcome& outcome) {
      audit(*r, "import", key.app + " " + std::string(api_name(key.kind)), outcome.what == WriteOutcome::What::Done, outcome.error.text());
      if (outcome.what != WriteOutcome::What::Done)
        return r->refuse(outcome.what == WriteOutcome::What::Failed ? 503 : 409, outcome.what == WriteOutcome::What::Failed ? "unavailable" : "conflict",
                         std::string(api_name(key.kind)) + r->say(" was not imported; those before it were: ", " 未导入；之前的已导入：") + import->changed.dump() + " " + outcome.error.text());
      import->changed.push(api_name(key.kind));
      (*self)();
    });
  };
  (*next)();
}

void Console::add_rule_routes() {
  router_.add("GET", "/api/rule-kinds", Access::Session, [](const RequestPtr& r) { r->answer(rule_kinds()); });
  router_.add("GET", "/api/apps/{}/rules/{}", Access::Session, [this](const RequestPtr& r) {
    if (const auto key = rule_key(*r)) r->answer(rule_list(*key, r->language));
  });
  router_.add("PUT", "/api/apps/{}/rules/{}", Access::Editor, [this](const RequestPtr& r) {
    const auto key = rule_key(*r);
    if (!key) return;
    const Value* rules = rules_of(*r);
    if (!rules) return;
    if (!std::as_const(r->body)["expected"].is_string())
      return r->refuse(400, "invalid", r->say("expected: must be the version that was read (\"\" if nothing is stored)", "expected：须为读取到的版本（未存储时为 \"\"）"));
    RuleWrite write{.key = *key, .expected = std::as_const(r->body)["expected"].as_string(), .rules = rules->items(), .user = {}, .comment = std::as_const(r->body)["comment"].as_string()};
    write.overwrite_garbage = std::as_const(r->body)["overwrite_garbage"].as_bool();
    write_rules(r, std::move(write), "write rules");
  });
  router_.add("POST", "/api/apps/{}/rules/{}/check", Access::Session, [this](const RequestPtr& r) {
    const auto key = rule_key(*r);
    if (!key) return;
    const Value* rules = rules_of(*r);
    if (!rules) return;
    const ReadRules read = read_document(key->kind, rules->dump());
    const bool anybody = !machines_.of(key->app).empty();
    r->answer(Value::object({{"faults", fault_list(read.faults, r->language)}, {"warnings", warning_list(warnings(key->kind, rules->items(), anybody, known_resources(key->app), r->language))}}));
  });
  router_.add("POST", "/api/apps/{}/rules/{}/dry-run", Access::Session, [this](const RequestPtr& r) {
    const auto key = rule_key(*r);
    if (!key) return;
    const Value& rule = std::as_const(r->body)["rule"];
    const ReadRules read = read_document(key->kind, Value::array({rule}).dump());
    if (!read.faults.empty()) return r->refuse(400, "invalid", r->say("the rule is not valid", "规则不合法"), Value::object({{"faults", fault_list(read.faults, r->language)}}));
    const DryRun run = dry_run(key->kind, rule, *metrics_, key->app, now_ms_(), healthy_machines(key->app), r->language);
    Value minutes = Value::array();
    for (const DryRun::Minute& m : run.by_minute) minutes.push(Value::object({{"time", m.time_ms}, {"requests", m.requests}, {"would_block", m.would_block}}));
    r->answer(Value::object({{"resource", run.resource}, {"from", run.from_ms}, {"to", run.to_ms}, {"requests", run.requests}, {"would_block", run.would_block}, {"blocked", run.blocked},
                             {"by_minute", std::move(minutes)}, {"note", run.note}}));
  });
  router_.add("POST", "/api/apps/{}/rules/{}/rollback", Access::Editor, [this](const RequestPtr& r) {
    const auto key = rule_key(*r);
    if (!key) return;
    const auto change = rulebook_.change(std::as_const(r->body)["change"].as_int());
    if (!change || change->app != key->app || change->kind != key->kind) return r->refuse(404, "not_found", r->say("there is no such change of these rules", "没有该变更记录"));
    ReadRules read = read_document(key->kind, change->after);
    if (!read.faults.empty()) return r->refuse(400, "invalid", r->say("what was stored then can't be read as rules", "当时存储的内容无法解析"), Value::object({{"faults", fault_list(read.faults, r->language)}}));
    RuleWrite write{.key = *key, .expected = std::as_const(r->body)["expected"].as_string(), .rules = std::move(read.rules), .user = {}, .comment = "rollback to " + std::to_string(change->id)};
    // The disabled ones stay as they are: they are not part of what was stored.
    for (const auto& [at, rule] : rulebook_.find(*key).disabled) {
      Value kept = rule;
      kept.set("enabled", false);
      write.rules.insert(write.rules.begin() + static_cast<std::ptrdiff_t>(std::min(at, write.rules.size())), std::move(kept));
    }
    write.overwrite_garbage = std::as_const(r->body)["overwrite_garbage"].as_bool();
    write_rules(r, std::move(write), "roll back");
  });
  router_.add("GET", "/api/apps/{}/history", Access::Session, [this](const RequestPtr& r) {
    const auto kind = kind_of_api_name(r->parameter("kind"));
    Value list = Value::array();
    for (const Change& change : rulebook_.history(r->parts[0], kind, r->number("before", 0, 0, INT64_MAX), static_cast<int>(r->number("limit", 50, 1, 500)))) list.push(change_value(change, false));
    r->answer(list);
  });
  router_.add("GET", "/api/apps/{}/history/{}", Access::Session, [this](const RequestPtr& r) {
    const auto change = rulebook_.change(std::atoll(r->parts[1].c_str()));
    if (!change || change->app != r->parts[0]) return r->refuse(404, "not_found", r->say("there is no such change", "没有该变更记录"));
    r->answer(change_value(*change, true));
  });
  router_.add("GET", "/api/apps/{}/warnings", Access::Session, [this](const RequestPtr& r) {
    const std::string& app = r->parts[0];
    const bool anybody = !machines_.of(app).empty();
    Value list = Value::array();
    for (RuleKind kind : store::kRuleKinds) {
      Value some = warning_list(warnings(kind, rulebook_.find({app, kind}).all(), anybody, known_resources(app), r->language));
      for (Value& each : some.mutable_items()) list.push(std::move(each));
    }
    r->answer(list);
  });
  router_.add("GET", "/api/apps/{}/effective", Access::Session, [this](const RequestPtr& r) {
    const std::string resource = r->parameter("resource");
    Value list = Value::array();
    for (EffectiveRule& each : effective(rulebook_, r->parts[0], resource, r->language))
      list.push(Value::object({{"kind", api_name(each.kind)}, {"index", each.index}, {"rule", std::move(each.rule)}, {"how", each.how}, {"obeyed", each.obeyed}, {"note", each.note}}));
    r->answer(Value::object({{"resource", resource}, {"rules", std::move(list)}}));
  });
  router_.add("GET", "/api/apps/{}/export", Access::Session, [this](const RequestPtr& r) {
    Value rules = Value::object();
    for (RuleKind kind : store::kRuleKinds)
      if (auto all = rulebook_.find({r->parts[0], kind}).all(); !all.empty()) rules.set(api_name(kind), list_of(std::move(all)));
    r->answer(Value::object({{"app", r->parts[0]}, {"exported", now_ms_()}, {"rules", std::move(rules)}}));
  });
  router_.add("POST", "/api/apps/{}/import", Access::Editor, [this](const RequestPtr& r) { import_rules(r); });
}

}  // namespace fairlead::console
