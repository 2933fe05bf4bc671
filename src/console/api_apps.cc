// Apps, machines and what their clients see.
#include <algorithm>

#include "base/strings.h"
#include "console/console.h"

namespace fairlead::console {

using base::Value;
using store::RuleKind;

namespace {

constexpr std::size_t kMostAsked = 10;  // machines for one page of resources

Value machine_value(const Machine& machine, bool healthy) {
  Value state = Value::object(), loaded = Value::object();
  for (RuleKind kind : store::kRuleKinds) {
    const auto at = static_cast<std::size_t>(kind);
    state.set(api_name(kind), to_string(machine.state[at]));
    loaded.set(api_name(kind), machine.loaded[at] ? Value(*machine.loaded[at]) : Value());
  }
  Value value = Value::object({{"id", machine.id()}, {"ip", machine.ip}, {"port", machine.port}, {"hostname", machine.hostname}, {"version", machine.version}});
  value.set("pid", machine.pid ? Value(*machine.pid) : Value());
  value.set("heartbeat", machine.heartbeat_ms);
  value.set("healthy", healthy);
  value.set("state", std::move(state));
  value.set("loaded", std::move(loaded));
  value.set("problem", machine.trouble());
  return value;
}

// The answers of several machines to jsonTree and clusterNode, added up.
struct Gathered {
  RequestPtr request;
  std::string app;
  int waiting = 1;
  Value tree = Value::array(), list = Value::array(), problems = Value::array();
};

Value node_value(const Value& from) {
  const auto number = [&](const char* name) { return from[name].is_number() ? from[name] : Value(0); };
  return Value::object({{"resource", from["resource"].as_string()}, {"type", number("classification")}, {"threads", number("threadNum")}, {"pass_qps", number("passQps")},
                        {"block_qps", number("blockQps")}, {"success_qps", number("successQps")}, {"exception_qps", number("exceptionQps")}, {"rt", number("averageRt")},
                        {"minute_pass", number("oneMinutePass")}, {"minute_block", number("oneMinuteBlock")}});
}

void add_up(Value& to, const Value& from) {
  const double before = to["success_qps"].as_double(), more = from["success_qps"].as_double();
  const double rt = before + more > 0 ? (to["rt"].as_double() * before + from["rt"].as_double() * more) / (before + more) : std::max(to["rt"].as_double(), from["rt"].as_double());
  for (const char* name : {"threads", "pass_qps", "block_qps", "success_qps", "exception_qps", "minute_pass", "minute_block"})
    to.set(name, to[name].as_double() + from[name].as_double());
  to.set("rt", rt);
}

Value* named(Value& nodes, std::string_view resource) {
  for (Value& node : nodes.mutable_items())
    if (std::as_const(node)["resource"].as_string() == resource) return &node;
  return nullptr;
}

Value& merge(Value& nodes, Value node) {
  if (Value* found = named(nodes, std::as_const(node)["resource"].as_string())) {
    add_up(*found, node);
    return *found;
  }
  return nodes.push(std::move(node));
}

constexpr int kDeepest = 50;  // a client may send a circle

// jsonTree is a flat list whose members name their parents.
void merge_children(Value& into, const base::Array& nodes, std::string_view parent, int depth) {
  if (depth > kDeepest) return;
  for (const Value& node : nodes) {
    if (node["parentId"].as_string() != parent || node["id"].as_string() == parent) continue;
    Value& merged = merge(into, node_value(node));
    if (!merged.find("children")) merged.set("children", Value::array());
    merge_children(merged["children"], nodes, node["id"].as_string(), depth + 1);
  }
}

void merge_tree(Gathered& all, const base::Result<std::string>& answer) {
  const auto nodes = answer ? base::parse_json(*answer) : base::Result<Value>(std::unexpected(answer.error()));
  if (!nodes) {
    all.problems.push(nodes.error().message);
    return;
  }
  for (const Value& node : nodes->items())
    if (!node["parentId"].is_string() || node["parentId"].as_string().empty()) {
      // The root itself (machine-root) says nothing.
      merge_children(all.tree, nodes->items(), node["id"].as_string(), 0);
    }
}

void merge_list(Gathered& all, const base::Result<std::string>& answer) {
  const auto nodes = answer ? base::parse_json(*answer) : base::Result<Value>(std::unexpected(answer.error()));
  if (!nodes) return;  // said for the tree already
  for (const Value& node : nodes->items()) merge(all.list, node_value(node));
}

}  // namespace

void Console::register_machine(const RequestPtr& r) {
  const auto said = [&](bool success, int code, std::string_view message) {
    r->answer(Value::object({{"success", success}, {"code", code}, {"msg", message}, {"data", nullptr}}));
  };
  if (!options_.registration_secret.empty()) {
    const std::string_view header = r->exchange->request().headers.get("x-registration-secret");
    if (header != options_.registration_secret && r->parameter("secret") != options_.registration_secret)
      return said(false, -1, "this console takes clients with its registration secret alone: add secret=... to the heartbeat's path (csp.sentinel.heartbeat.api.path)");
  }
  const auto beat = read_heartbeat(r->parameters, r->exchange->peer().is_ip() ? r->exchange->peer().ip() : "127.0.0.1");
  if (!beat) return said(false, -1, beat.error().text());
  const auto added = machines_.beat(*beat);
  if (!added) return said(false, -1, added.error().text());
  said(true, 0, "success");
  if (!*added) return;
  Machine named;
  named.ip = beat->ip;
  named.port = beat->port;
  clients_.came(beat->app, named.id());
}

void Console::list_apps(const RequestPtr& r) {
  Value list = Value::array();
  for (const std::string& name : app_names()) {
    Value rules = Value::object(), garbage = Value::array();
    for (RuleKind kind : store::kRuleKinds) {
      const Document& document = rulebook_.find({name, kind});
      rules.set(api_name(kind), document.rules.size() + document.disabled.size());
      if (!document.faults.empty()) garbage.push(api_name(kind));
    }
    int healthy = 0, drift = 0, type = 0;
    const auto machines = machines_.of(name);
    for (const Machine* machine : machines) {
      type = std::max(type, machine->app_type);
      if (!machines_.healthy(*machine)) continue;
      ++healthy;
      if (std::ranges::find(machine->state, RuleState::Differs) != machine->state.end()) ++drift;
    }
    const Sums now = metrics_->latest(name).value_or(Sums{});
    list.push(Value::object({{"name", name}, {"app_type", type}, {"machines", machines.size()}, {"healthy", healthy}, {"rules", std::move(rules)}, {"garbage", std::move(garbage)},
                             {"drift", drift}, {"pass_qps", now.pass}, {"block_qps", now.block}}));
  }
  r->answer(list);
}

void Console::show_resources(const RequestPtr& r) {
  const std::string& app = r->parts[0];
  auto all = std::make_shared<Gathered>();
  all->request = r;
  all->app = app;
  const auto finished = [this, all] {
    if (--all->waiting > 0) return;
    const auto name_rules = [&](auto& self, Value& node) -> void {
      Value counts = Value::object();
      for (RuleKind kind : {RuleKind::Flow, RuleKind::Degrade, RuleKind::ParamFlow, RuleKind::Authority, RuleKind::GatewayFlow}) {
        const auto rules = rulebook_.find({all->app, kind}).all();
        const auto naming = std::ranges::count_if(rules, [&](const Value& rule) { return rule["resource"].as_string() == std::as_const(node)["resource"].as_string(); });
        if (naming > 0) counts.set(api_name(kind), naming);
      }
      node.set("rules", std::move(counts));
      if (!node.find("children")) node.set("children", Value::array());
      for (Value& child : node["children"].mutable_items()) self(self, child);
    };
    for (Value& node : all->tree.mutable_items()) name_rules(name_rules, node);
    for (Value& node : all->list.mutable_items()) name_rules(name_rules, node);
    std::ranges::stable_sort(all->list.mutable_items(), std::greater{}, [](const Value& n) { return n["minute_pass"].as_double() + n["minute_block"].as_double(); });
    all->request->answer(Value::object({{"time", now_ms_()}, {"tree", std::move(all->tree)}, {"list", std::move(all->list)}, {"problems", std::move(all->problems)}}));
  };
  std::size_t asked = 0;
  const std::string only = r->parameter("machine");
  for (const Machine* machine : machines_.of(app)) {
    if (!machines_.healthy(*machine) || (!only.empty() && machine->id() != only)) continue;
    if (++asked > kMostAsked) {
      all->problems.push(r->say("only the first 10 machines were asked; choose one to see it alone", "仅统计前 10 台机器，可选择单台机器查看"));
      break;
    }
    all->waiting += 2;
    clients_.command(*machine, "/jsonTree", "", [all, finished](base::Result<std::string> answer) {
      merge_tree(*all, answer);
      finished();
    });
    clients_.command(*machine, "/clusterNode", "", [all, finished](base::Result<std::string> answer) {
      merge_list(*all, answer);
      finished();
    });
  }
  finished();
}

void Console::add_app_routes() {
  router_.add("GET", "/registry/machine", Access::Open, [this](const RequestPtr& r) { register_machine(r); });
  router_.add("POST", "/registry/machine", Access::Open, [this](const RequestPtr& r) { register_machine(r); });
  router_.add("GET", "/api/about", Access::Open, [this](const RequestPtr& r) {
    Value about = Value::object({{"version", options_.version}});
    if (r->user) about.set("store", health()), about.set("registration_secret", !options_.registration_secret.empty());
    r->answer(about);
  });
  router_.add("GET", "/api/events", Access::Session, [this](const RequestPtr& r) { events_.listen(r->exchange); });
  router_.add("GET", "/api/apps", Access::Session, [this](const RequestPtr& r) { list_apps(r); });
  router_.add("DELETE", "/api/apps/{}", Access::Editor, [this](const RequestPtr& r) {
    const std::string& app = r->parts[0];
    if (healthy_machines(app) > 0) return r->refuse(400, "invalid", r->say("some of its machines live; they would come again", "仍有健康机器，会再次注册"));
    for (RuleKind kind : store::kRuleKinds)
      if (const Document& d = rulebook_.find({app, kind}); !d.all().empty() || !d.faults.empty())
        return r->refuse(400, "invalid", r->say("it has rules of kind ", "仍有规则：") + std::string(api_name(kind)) + r->say("; delete them first", "，请先删除"));
    std::vector<std::string> ids;
    for (const Machine* machine : machines_.of(app)) ids.push_back(machine->id());
    for (const std::string& id : ids) machines_.remove(app, id);
    metrics_->forget(app);
    rulebook_.remove_empty(app, [this, r, app](const base::Status& removed) {
      audit(*r, "forget app", app, removed.has_value(), removed ? "" : removed.error().text());
      if (!removed) return r->refuse(removed.error());
      r->answer(Value::object());
    });
  });
  router_.add("GET", "/api/apps/{}/machines", Access::Session, [this](const RequestPtr& r) {
    Value list = Value::array();
    for (const Machine* machine : machines_.of(r->parts[0])) list.push(machine_value(*machine, machines_.healthy(*machine)));
    r->answer(list);
  });
  router_.add("DELETE", "/api/apps/{}/machines/{}", Access::Editor, [this](const RequestPtr& r) {
    if (!machines_.remove(r->parts[0], r->parts[1])) return r->refuse(404, "not_found", r->say("there is no such machine", "没有该机器"));
    audit(*r, "forget machine", r->parts[0] + " " + r->parts[1], true, "");
    r->answer(Value::object());
  });
  router_.add("GET", "/api/apps/{}/machines/{}/rules/{}", Access::Session, [this](const RequestPtr& r) {
    const Machine* machine = machines_.find(r->parts[0], r->parts[1]);
    const auto kind = kind_of_api_name(r->parts[2]);
    if (!machine || !kind) return r->refuse(404, "not_found", r->say("there is no such machine or kind of rules", "没有该机器或规则类型"));
    clients_.loaded_rules(*machine, *kind, [this, r, kind = *kind](base::Result<std::string> answer) {
      if (!answer) return r->refuse(503, "unavailable", answer.error().text());
      const auto values = [](std::vector<Value> rules) {
        Value list = Value::array();
        for (Value& rule : rules) list.push(std::move(rule));
        return list;
      };
      Difference difference = compare_rules(kind, rulebook_.find({r->parts[0], kind}).good, *answer);
      r->answer(Value::object({{"rules", values(read_document(kind, *answer).rules)},
                               {"difference", Value::object({{"missing", values(std::move(difference.missing))}, {"extra", values(std::move(difference.extra))}})}}));
    });
  });
  router_.add("GET", "/api/apps/{}/resources", Access::Session, [this](const RequestPtr& r) { show_resources(r); });
}

}  // namespace fairlead::console
