// Metrics for charts and for Prometheus, and the pages themselves.
#include <algorithm>

#include "base/strings.h"
#include "console/console.h"

namespace fairlead::console {

using base::Value;

namespace {

Value sums_value(std::string_view resource, const Sums& sums, double seconds) {
  return Value::object({{"resource", resource}, {"pass", sums.pass}, {"block", sums.block}, {"success", sums.success}, {"exception", sums.exception}, {"rt", sums.average_rt()},
                        {"pass_qps", static_cast<double>(sums.pass) / seconds}, {"block_qps", static_cast<double>(sums.block) / seconds}});
}

// A second is told by clients three seconds after its begin, asked for within another, and kept within one more; younger ones would
// miss some clients, or all.
constexpr std::int64_t kComplete = 6'000;

// A label's value in Prometheus' text format.
std::string label(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out;
}

}  // namespace

void Console::show_metrics(const RequestPtr& r) {
  const std::int64_t step = r->number("step", 1, 1, 3600);
  if (step != 1 && step != 60 && step != 3600) return r->refuse(400, "invalid", "step: must be 1, 60 or 3600");
  const std::int64_t now = now_ms_(), width = step * 1000;
  const std::int64_t to = r->number("to", now, 0, INT64_MAX / 2) / width * width;
  const std::int64_t from = std::max(r->number("from", to - 300 * width, 0, INT64_MAX / 2) / width * width, to - 20'000 * width);
  const auto points = metrics_->series(r->parts[0], r->parameter("resource"), from, to, static_cast<int>(step));
  Value times = Value::array(), pass = Value::array(), block = Value::array(), success = Value::array(), exception = Value::array(), rt = Value::array();
  auto point = points.begin();
  for (std::int64_t time = from; time < to; time += width) {
    Sums sums;
    while (point != points.end() && point->time_ms < time) ++point;
    if (point != points.end() && point->time_ms == time) sums = point->sums;
    times.push(time);
    pass.push(sums.pass);
    block.push(sums.block);
    success.push(sums.success);
    exception.push(sums.exception);
    rt.push(sums.average_rt());
  }
  r->answer(Value::object({{"step", step}, {"times", std::move(times)}, {"pass", std::move(pass)}, {"block", std::move(block)}, {"success", std::move(success)},
                           {"exception", std::move(exception)}, {"rt", std::move(rt)}}));
}

void Console::prometheus(const RequestPtr& r) {
  std::string out;
  const auto head = [&](std::string_view name, std::string_view type, std::string_view help) {
    out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
  };
  const std::int64_t to = now_ms_() / 1000 * 1000 - kComplete;
  struct Column {
    std::string_view name, help;
    double (*of)(const Sums&);
  };
  // The newest second that is complete, as gauges: the console did not count them itself, and a restart must not look like a reset.
  static constexpr Column kColumns[] = {
      {"sentinel_pass_qps", "Calls that passed, of the last complete second", [](const Sums& s) { return static_cast<double>(s.pass); }},
      {"sentinel_block_qps", "Calls that were blocked", [](const Sums& s) { return static_cast<double>(s.block); }},
      {"sentinel_success_qps", "Calls that ended", [](const Sums& s) { return static_cast<double>(s.success); }},
      {"sentinel_exception_qps", "Calls that failed", [](const Sums& s) { return static_cast<double>(s.exception); }},
      {"sentinel_average_rt_ms", "Average response time in ms", [](const Sums& s) { return s.average_rt(); }},
  };
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, Sums>>>> apps;
  for (const std::string& app : app_names()) apps.emplace_back(app, metrics_->top(app, to - 1000, to, "", Metrics::kMaxResourcesPerApp));
  for (const Column& column : kColumns) {
    head(column.name, "gauge", column.help);
    for (const auto& [app, resources] : apps)
      for (const auto& [resource, sums] : resources) out += std::string(column.name) + "{app=\"" + label(app) + "\",resource=\"" + label(resource) + "\"} " + Value(column.of(sums)).dump() + "\n";
  }
  head("fairlead_console_machines", "gauge", "Instances by app that sent a heartbeat in the last minute");
  for (const auto& [app, resources] : apps) out += "fairlead_console_machines{app=\"" + label(app) + "\"} " + std::to_string(healthy_machines(app)) + "\n";
  const auto single = [&](std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
    head(name, type, help);
    out += std::string(name) + " " + std::to_string(value) + "\n";
  };
  single("fairlead_console_rule_pushes_total", "counter", "Lists of rules told to clients", clients_.counts().pushed);
  single("fairlead_console_rule_push_failures_total", "counter", "Lists of rules that a client could not be told", clients_.counts().push_failures);
  single("fairlead_console_metric_lines_total", "counter", "Lines of clients' metrics taken", clients_.counts().metric_lines);
  single("fairlead_console_bad_metric_lines_total", "counter", "Lines of clients' metrics that are none", clients_.counts().bad_metric_lines);
  single("fairlead_console_metric_overflow_total", "counter", "Seconds counted as __others__, since their app has too many resources", metrics_->overflow());
  single("fairlead_console_store_reachable", "gauge", "Whether the store of rules answers", rulebook_.health().reachable ? 1 : 0);
  r->exchange->respond(200, "text/plain; version=0.0.4; charset=utf-8", out);
}

void Console::add_metric_routes() {
  router_.add("GET", "/api/apps/{}/metrics", Access::Session, [this](const RequestPtr& r) { show_metrics(r); });
  router_.add("GET", "/api/apps/{}/top", Access::Session, [this](const RequestPtr& r) {
    const std::int64_t seconds = r->number("seconds", 60, 1, 3600), to = now_ms_();
    const std::string search = r->parameter("search");
    Value list = Value::array();
    for (const auto& [resource, sums] : metrics_->top(r->parts[0], to - 1000 * seconds, to, search, static_cast<std::size_t>(r->number("limit", 30, 1, 1000))))
      list.push(sums_value(resource, sums, static_cast<double>(seconds)));
    r->answer(list);
  });
  // Without a session, as Prometheus asks: names and figures, no rules.
  router_.add("GET", "/metrics", Access::Open, [this](const RequestPtr& r) { prometheus(r); });
}

}  // namespace fairlead::console
