#include "proxy/admin/admin_pages.h"

#include "base/strings.h"
#include "proxy/config_manager.h"
#include "proxy/server.h"
#include "proxy/stats.h"

namespace fairlead::proxy {
namespace {

using base::Value;
using HttpExchange = std::shared_ptr<http::Exchange>;

constexpr std::string_view kText = "text/plain; charset=UTF-8";

constexpr std::string_view kHelpText =
    "admin commands are:\n"
    "  /: Admin home page\n"
    "  /allocprofiler (POST): not built in\n"
    "  /certs: print certs on machine\n"
    "  /clusters: upstream cluster status\n"
    "      filter: Regular expression (Google re2) for filtering clusters by name\n"
    "      format: Format to use; One of (text, json)\n"
    "  /config_dump: dump current configuration\n"
    "      resource: The resource to dump\n"
    "      mask: The fields to keep, comma-separated; of the resources, or of whole dumps without resource\n"
    "      name_regex: Only what has a name that matches this expression (Google re2)\n"
    "      include_eds: Endpoints too\n"
    "  /config_warnings: print fields of the configuration that are set and not acted on\n"
    "  /contention: dump current mutex contention stats (not built in)\n"
    "  /cpuprofiler (POST): not built in\n"
    "  /drain_listeners (POST): drain listeners\n"
    "  /healthcheck/fail (POST): cause the server to fail health checks\n"
    "  /healthcheck/ok (POST): cause the server to pass health checks\n"
    "  /heap_dump: not built in\n"
    "  /heapprofiler (POST): not built in\n"
    "  /help: print out list of admin commands\n"
    "  /hot_restart_version: print the hot restart compatibility version\n"
    "  /init_dump: what the server still waits for before it is LIVE\n"
    "      mask: listener: listeners alone\n"
    "  /listeners: print listener info\n"
    "      format: Format to use; One of (text, json)\n"
    "  /logging (POST): query/change logging levels\n"
    "      level: desired logging level; One of (trace, debug, info, warning, error, critical, off)\n"
    "      paths: NAME:LEVEL,...; here all loggers share one level\n"
    "  /memory: print current allocation/heap usage\n"
    "  /peak_heap_dump: not built in\n"
    "  /quitquitquit (POST): exit the server\n"
    "  /ready: print server state, return 200 if LIVE, otherwise return 503\n"
    "  /reopen_logs (POST): reopen access logs\n"
    "  /reset_counters (POST): reset all counters to zero\n"
    "  /runtime: print runtime values\n"
    "  /runtime_modify (POST): add or modify runtime values (there is no admin layer here)\n"
    "  /server_info: print server version/status information\n"
    "  /stats: print server stats\n"
    "      usedonly: Only what has counted since the start\n"
    "      filter: Regular expression (Google re2) for filtering stats\n"
    "      invert_filter: Invert the filter\n"
    "      format: Format to use; One of (html, active-html, text, json, prometheus)\n"
    "      type: Stat types to include; One of (All, Counters, Histograms, Gauges, TextReadouts)\n"
    "      histogram_buckets: Histogram bucket display mode; One of (cumulative, disjoint, summary)\n"
    "  /stats/prometheus: print server stats in prometheus format\n"
    "      usedonly, filter, invert_filter: as /stats\n"
    "  /stats/recentlookups: show recent names of stats looked up; here none are looked up by name\n"
    "  /stats/recentlookups/clear (POST): clear list of stats looked up\n"
    "  /stats/recentlookups/disable (POST): disable recording of looked up names\n"
    "  /stats/recentlookups/enable (POST): enable recording of looked up names\n";

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

std::string page(std::string_view title, std::string_view body) {
  return fmt::format("<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>{}</title>\n<style>body {{ font-family: sans-serif }} td {{ padding: "
                     "0.1em 1em 0.1em 0 }}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
                     title, body);
}

// Copies what `path` names from one message to another, through lists, too.
bool copy_path(const Value& from, Value& to, std::string_view path) {
  size_t dot = path.find('.');
  std::string_view field = path.substr(0, dot);
  const Value* found = from.find(field);
  if (!found) return false;
  if (dot == std::string_view::npos) {
    to.set(field, *found);
    return true;
  }
  std::string_view rest = path.substr(dot + 1);
  auto object = [](const Value& one) {
    Value out = Value::object();
    if (const Value* type = one.find("@type")) out.set("@type", *type);
    return out;
  };
  if (found->is_object()) {
    Value inner = to.find(field) ? *to.find(field) : object(*found);
    bool any = copy_path(*found, inner, rest);
    if (any) to.set(field, std::move(inner));
    return any;
  }
  if (!found->is_array()) return false;
  Value list = to.find(field) ? *to.find(field) : Value::array();
  bool any = false, fresh = list.empty();
  size_t i = 0;
  for (const Value& item : found->items()) {
    if (fresh) list.push(object(item));
    any |= copy_path(item, list.mutable_items()[i++], rest);
  }
  if (any) to.set(field, std::move(list));
  return any;
}

// An exchange whose answer is counted.
class Counted final : public http::Exchange {
 public:
  Counted(HttpExchange inner, HttpStats& stats) : inner_(std::move(inner)), stats_(stats) {
    ++stats_.downstream_rq_total;
    ++(inner_->request().version == http::Version::kHttp2 ? stats_.downstream_rq_http2_total : stats_.downstream_rq_http1_total);
    ++stats_.downstream_rq_active;
    inner_->on_close([&stats](bool ok) {
      --stats.downstream_rq_active;
      ++(ok ? stats.downstream_rq_completed : stats.downstream_rq_rx_reset);
    });
  }
  const http::RequestHead& request() const override { return inner_->request(); }
  const io::Address& peer() const override { return inner_->peer(); }
  const io::Address& local() const override { return inner_->local(); }
  std::string peer_certificate_pem() const override { return inner_->peer_certificate_pem(); }
  void read_body(size_t max_bytes, std::function<void(std::string body)> done) override { inner_->read_body(max_bytes, std::move(done)); }
  void stream_body(std::function<void(std::string_view)> on_data, std::function<void()> on_end) override { inner_->stream_body(std::move(on_data), std::move(on_end)); }
  using http::Exchange::respond;
  void respond(int status, http::Headers headers, std::string_view body) override {
    stats_.codes.count(status);
    inner_->respond(status, std::move(headers), body);
  }
  void start(int status, http::Headers headers) override {
    stats_.codes.count(status);
    inner_->start(status, std::move(headers));
  }
  void write(std::string_view bytes) override { inner_->write(bytes); }
  void finish(http::Headers trailers) override { inner_->finish(std::move(trailers)); }
  void abort() override { inner_->abort(); }
  size_t pending_bytes() const override { return inner_->pending_bytes(); }
  void on_drain(std::function<void()> callback) override { inner_->on_drain(std::move(callback)); }
  void on_close(std::function<void(bool ok)> callback) override { inner_->on_close(std::move(callback)); }
  bool closed() const override { return inner_->closed(); }
  std::unique_ptr<io::Transport> upgrade(http::Headers headers, std::string& rest) override { return inner_->upgrade(std::move(headers), rest); }

 private:
  HttpExchange inner_;
  HttpStats& stats_;
};

}  // namespace

std::string_view admin_help() { return kHelpText; }

std::string admin_home() {
  std::string rows = "<table>\n<thead><tr><th>Command</th><th>Description</th></tr></thead>\n<tbody>\n";
  for (std::string_view line : base::split(kHelpText, '\n')) {
    if (!line.starts_with("  /")) continue;
    size_t colon = line.find(": ");
    std::string_view command = line.substr(2, colon - 2), path = command.substr(0, command.find_first_of(" ,"));
    std::string about = escaped(line.substr(colon + 2));
    if (command.find("(POST)") != std::string_view::npos)
      rows += fmt::format("<tr><td><form method='post' action='{0}'><button>{0}</button></form></td><td>{1}</td></tr>\n", path.substr(1), about);
    else
      rows += fmt::format("<tr><td><a href='{}'>{}</a></td><td>{}</td></tr>\n", path.substr(1), path, about);
  }
  return page("Admin", rows + "</tbody>\n</table>\n");
}

std::string stats_html(std::string_view query, std::string_view text) {
  auto value = [&](std::string_view name) { return escaped(http::query_param(query, name)); };
  std::string form = fmt::format("<form action='stats' method='get'>\n<input type='hidden' name='format' value='html'>\n<label>filter <input name='filter' value=\"{}\"></label>\n"
                                 "<label><input type='checkbox' name='usedonly'{}> usedonly</label>\n<label>type <select name='type'>",
                                 value("filter"), http::has_query_param(query, "usedonly") ? " checked" : "");
  for (std::string_view type : {"All", "Counters", "Gauges", "Histograms", "TextReadouts"})
    form += fmt::format("<option{}>{}</option>", value("type") == type ? " selected" : "", type);
  return page("Statistics", form + "</select></label>\n<button>show</button>\n</form>\n<pre>\n" + escaped(text) + "</pre>\n");
}

bool serve_small_page(Server& server, const HttpExchange& e, std::string_view path, std::string_view query) {
  bool post = e->request().method == "POST";
  auto only_post = [&](int status, std::string_view answer) {
    if (post) e->respond(status, kText, answer);
    else e->respond(405, kText, fmt::format("Method {} not allowed, POST required.", e->request().method));
    return true;
  };
  auto answer = [&](int status, std::string_view text) {
    e->respond(status, kText, text);
    return true;
  };
  if (path == "/contention") return answer(200, "Mutex contention tracing is not enabled.");
  if (path == "/cpuprofiler" || path == "/allocprofiler" || path == "/heapprofiler") {
    std::string_view what = path == "/cpuprofiler" ? "cpu" : path == "/allocprofiler" ? "allocation" : "heap";
    return only_post(501, fmt::format("The current build does not support {} profiler", what));
  }
  if (path == "/heap_dump" || path == "/peak_heap_dump") return answer(501, "The current build does not support heap dumps");
  if (path == "/runtime_modify") {
    if (http::query_params(query).empty())
      return only_post(400, "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       or send the parameters as form values\n"
                            "use an empty value to remove a previously added override");
    return only_post(503, "No admin layer specified");
  }
  if (path == "/stats/recentlookups") {
    return answer(200, server.lookups_recorded() ? "   Count Lookup\n\ntotal: 0\n"
                                                 : "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n");
  }
  if (path == "/stats/recentlookups/enable" || path == "/stats/recentlookups/disable" || path == "/stats/recentlookups/clear") {
    if (post && !path.ends_with("clear")) server.record_lookups(path.ends_with("enable"));
    return only_post(200, "OK\n");
  }
  return false;
}

Value init_dump(Server& server, std::string_view mask) {
  Value dumps = Value::array();
  ConfigManager& config = server.config();
  auto add = [&](std::string name, Value targets) { dumps.push(Value::object({{"name", std::move(name)}, {"target_names", std::move(targets)}})); };
  if (mask != "listener") {
    Value targets = Value::array();
    if (!config.clusters_received()) targets.push("target CDS");
    if (!config.listeners_received()) targets.push("target LDS");
    for (auto& [name, c] : config.clusters())
      if (!c->warm) targets.push("target Cluster " + name);
    if (!targets.empty()) add("init manager Server", std::move(targets));
  }
  for (auto& [name, l] : config.listeners()) {
    if (l.active) continue;
    Value targets = Value::array();
    auto wait_for = [&](const FilterChain& chain) {
      if (chain.http && !chain.http->rds_name.empty() && !config.routes().contains(chain.http->rds_name))
        targets.push("target RdsRouteConfigSubscription RDS init " + chain.http->rds_name);
      if (chain.tls && !chain.tls->context()) targets.push("target SdsApi of filter chain " + chain.name);
    };
    for (const FilterChain& chain : l.config->chains) wait_for(chain);
    if (l.config->default_chain) wait_for(*l.config->default_chain);
    add("init manager Listener-local-init-manager " + name, std::move(targets));
  }
  Value out = Value::object();
  if (!dumps.empty()) out.set("unready_targets_dumps", std::move(dumps));
  return out;
}

bool apply_mask(Value& message, std::string_view mask) {
  Value kept = Value::object();
  if (const Value* type = message.find("@type")) kept.set("@type", *type);
  bool all = true;
  for (std::string_view path : base::split(mask, ',')) all &= copy_path(message, kept, base::trim(path));
  if (all) message = std::move(kept);
  return all;
}

HttpExchange counted(HttpExchange exchange, HttpStats& stats) { return std::make_shared<Counted>(std::move(exchange), stats); }

}  // namespace fairlead::proxy
