// The paths of sentinel-dashboard 1.8, for scripts and gateways that know it: log-in, apps, machines, resources, metrics.
// Answers are its Result: {"success", "code", "msg", "data"}, always with status 200 but for a missing session (401).
#include "console/original.h"

#include <algorithm>

#include "base/strings.h"
#include "console/console.h"

namespace fairlead::console {

using base::Value;

namespace original {

void answer(const RequestPtr& r, Value data) { r->answer(Value::object({{"success", true}, {"code", 0}, {"msg", "success"}, {"data", std::move(data)}})); }

void refuse(const RequestPtr& r, int code, std::string_view message) {
  r->answer(Value::object({{"success", false}, {"code", code}, {"msg", message}, {"data", nullptr}}));
}

}  // namespace original

namespace {

Value user_value(const User& user) {
  return Value::object({{"loginName", user.name}, {"nickName", user.name}, {"superUser", user.role == Role::Admin}, {"id", user.name}});
}

// VersionUtils' shape is what the original's pages compare; the text is enough for programs.
Value machine_value(const Machine& machine, bool healthy) {
  return Value::object({{"app", machine.app}, {"appType", machine.app_type}, {"hostname", machine.hostname}, {"ip", machine.ip}, {"port", machine.port}, {"lastHeartbeat", machine.heartbeat_ms},
                        {"heartbeatVersion", machine.heartbeat_ms}, {"version", machine.version}, {"healthy", healthy}, {"dead", !healthy}});
}

Value metric_value(std::string_view app, std::string_view resource, std::int64_t time, const Sums& sums) {
  return Value::object({{"app", app}, {"resource", resource}, {"timestamp", time}, {"gmtCreate", time}, {"passQps", sums.pass}, {"blockQps", sums.block}, {"successQps", sums.success},
                        {"exceptionQps", sums.exception}, {"rt", sums.average_rt()}, {"count", 1}});
}

}  // namespace

void Console::add_original_routes() {
  using original::answer;
  using original::refuse;
  router_.add("POST", "/auth/login", Access::Open, [this](const RequestPtr& r) {
    const std::string name = r->parameter("username");
    const auto token = accounts_.log_in(name, r->parameter("password"), r->address);
    audit(*r, "log in", name.substr(0, 64), token.has_value(), token ? "" : token.error().message);
    if (!token) return refuse(r, -1, token.error().code == base::Code::kUnauthenticated ? "Invalid username or password" : token.error().message);
    http::Headers headers;
    headers.add("set-cookie", std::string(router_.cookie_name()) + "=" + *token + "; Path=/; HttpOnly; SameSite=Strict" + (options_.secure_cookies ? "; Secure" : ""));
    r->answer(200, Value::object({{"success", true}, {"code", 0}, {"msg", "success"}, {"data", user_value(*accounts_.find(name))}}), std::move(headers));
  });
  for (std::string_view method : {"GET", "POST"})
    router_.add(method, "/auth/check", Access::Open, [](const RequestPtr& r) { return r->user ? answer(r, user_value(*r->user)) : refuse(r, -1, "Not logged in"); });
  router_.add("POST", "/auth/logout", Access::Open, [this](const RequestPtr& r) {
    accounts_.log_out(cookie(r->exchange->request().headers.get("cookie"), router_.cookie_name()));
    answer(r, nullptr);
  });
  router_.add("GET", "/version", Access::Open, [this](const RequestPtr& r) { answer(r, options_.version); });
  router_.add("GET", "/app/names.json", Access::Session, [this](const RequestPtr& r) {
    Value list = Value::array();
    for (const std::string& name : app_names()) list.push(name);
    answer(r, std::move(list));
  });
  router_.add("GET", "/app/briefinfos.json", Access::Session, [this](const RequestPtr& r) {
    Value list = Value::array();
    for (const std::string& name : app_names()) {
      Value machines = Value::array();
      int type = 0;
      for (const Machine* machine : machines_.of(name)) {
        type = std::max(type, machine->app_type);
        machines.push(machine_value(*machine, machines_.healthy(*machine)));
      }
      list.push(Value::object({{"app", name}, {"appType", type}, {"machines", std::move(machines)}, {"dead", healthy_machines(name) == 0}, {"shown", true}}));
    }
    answer(r, std::move(list));
  });
  router_.add("GET", "/app/{}/machines.json", Access::Session, [this](const RequestPtr& r) {
    Value list = Value::array();
    for (const Machine* machine : machines_.of(r->parts[0])) list.push(machine_value(*machine, machines_.healthy(*machine)));
    answer(r, std::move(list));
  });
  router_.add("POST", "/app/{}/machine/remove.json", Access::Editor, [this](const RequestPtr& r) {
    Machine named;
    named.ip = r->parameter("ip");
    named.port = static_cast<int>(r->number("port", 0, 0, 65535));
    if (!machines_.remove(r->parts[0], named.id())) return refuse(r, 1, "remove failed");
    answer(r, nullptr);
  });
  router_.add("GET", "/resource/machineResource.json", Access::Session, [this](const RequestPtr& r) {
    Machine named;
    named.ip = r->parameter("ip");
    named.port = static_cast<int>(r->number("port", 0, 0, 65535));
    std::string app = r->parameter("app");
    if (app.empty())
      for (const Machine* machine : machines_.all())
        if (machine->id() == named.id()) app = machine->app;
    const Machine* machine = machines_.find(app, named.id());
    if (!machine) return refuse(r, -1, "no such machine: give ip and port of one that sends heartbeats");
    const bool tree = r->parameter("type").empty() || r->parameter("type") == "root";
    clients_.command(*machine, tree ? "/jsonTree" : "/clusterNode", "", [r, search = base::to_lower(r->parameter("searchKey"))](base::Result<std::string> said) {
      const auto nodes = said ? base::parse_json(*said) : base::Result<Value>(std::unexpected(said.error()));
      if (!nodes) return refuse(r, -1, nodes.error().message);
      Value list = Value::array();
      for (const Value& node : nodes->items())
        if (search.empty() || base::to_lower(node["resource"].as_string()).find(search) != std::string::npos) list.push(node);
      answer(r, std::move(list));
    });
  });
  router_.add("GET", "/metric/queryTopResourceMetric.json", Access::Session, [this](const RequestPtr& r) {
    const std::string app = r->parameter("app"), search = r->parameter("searchKey");
    if (app.empty()) return refuse(r, -1, "app can't be null or empty");
    const std::int64_t to = r->number("endTime", now_ms_(), 0, INT64_MAX / 2), from = r->number("startTime", to - 60'000 * 5, 0, INT64_MAX / 2);
    if (to - from > 3'600'000) return refuse(r, -1, "time intervals is too big, must <= 1h");
    const std::int64_t size = r->number("pageSize", 6, 1, 20), page = r->number("pageIndex", 1, 1, 1'000'000);
    auto top = metrics_->top(app, from, to, search, Metrics::kMaxResourcesPerApp);
    if (r->parameter("desc") == "false") std::ranges::reverse(top);
    Value metric = Value::object();
    for (std::size_t i = static_cast<std::size_t>((page - 1) * size); i < std::min(top.size(), static_cast<std::size_t>(page * size)); ++i) {
      Value points = Value::array();
      for (const MetricPoint& point : metrics_->series(app, top[i].first, from, to, 1)) points.push(metric_value(app, top[i].first, point.time_ms, point.sums));
      metric.set(top[i].first, std::move(points));
    }
    answer(r, Value::object({{"totalCount", top.size()}, {"totalPage", (top.size() + static_cast<std::size_t>(size) - 1) / static_cast<std::size_t>(size)}, {"pageIndex", page}, {"pageSize", size}, {"metric", std::move(metric)}}));
  });
  router_.add("GET", "/metric/queryByAppAndResource.json", Access::Session, [this](const RequestPtr& r) {
    const std::string app = r->parameter("app"), resource = r->parameter("identity");
    if (app.empty() || resource.empty()) return refuse(r, -1, "app and identity can't be null or empty");
    const std::int64_t to = r->number("endTime", now_ms_(), 0, INT64_MAX / 2), from = r->number("startTime", to - 60'000, 0, INT64_MAX / 2);
    if (to - from > 3'600'000) return refuse(r, -1, "time intervals is too big, must <= 1h");
    Value points = Value::array();
    for (const MetricPoint& point : metrics_->series(app, resource, from, to, 1)) points.push(metric_value(app, resource, point.time_ms, point.sums));
    answer(r, std::move(points));
  });
}

}  // namespace fairlead::console
