// The admin pages, on Envoy's paths and in Envoy's formats.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <tuple>
#include <unordered_map>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/admin/admin_certs.h"
#include "proxy/admin/admin_pages.h"
#include "proxy/admin/stats_text.h"
#include "proxy/config/matchers.h"
#include "proxy/proto_json.h"
#include "proxy/server.h"
#include "xds/struct_value.h"

namespace fairlead::proxy {
namespace {

using base::Value;
using HttpExchange = std::shared_ptr<http::Exchange>;

constexpr std::string_view kText = "text/plain; charset=UTF-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kHtml = "text/html; charset=UTF-8";
constexpr std::string_view kClusterUrl = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
constexpr std::string_view kListenerUrl = "type.googleapis.com/envoy.config.listener.v3.Listener";
constexpr std::string_view kRouteUrl = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
constexpr std::string_view kSecretUrl = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
constexpr std::string_view kEndpointUrl = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

Value address_json(const io::Address& a) {
  if (!a.is_ip()) return Value::object({{"pipe", Value::object({{"path", a.ip()}})}});
  return Value::object({{"socket_address", Value::object({{"address", a.ip()}, {"port_value", a.port()}})}});
}

Value entry(std::string_view field, std::string_view url, const ConfigManager::Resource& r) {
  Value out = Value::object();
  if (r.dynamic) out.set("version_info", r.version);
  out.set(field, any_to_json(url, r.bytes));
  out.set("last_updated", base::format_rfc3339_milli(r.updated));
  return out;
}

// Whatever stands in place anywhere below.
void redact_sources(Value& v) {
  if (v.is_array())
    for (Value& item : v.mutable_items()) redact_sources(item);
  if (!v.is_object()) return;
  for (auto& m : v.mutable_members())
    if (m.key.starts_with("inline_")) m.value = m.key == "inline_bytes" ? "W3JlZGFjdGVkXQ==" : "[redacted]";
    else redact_sources(m.value);
}

// Private keys, passwords and tokens never leave by the admin port (Envoy's names of sensitive fields, and its word).
void redact(Value& v) {
  if (v.is_array())
    for (Value& item : v.mutable_items()) redact(item);
  if (!v.is_object()) return;
  for (auto& m : v.mutable_members()) {
    bool secret = m.key == "private_key" || m.key == "password" || m.key == "inline_token" || m.key == "session_ticket_keys";
    if (!secret) {
      redact(m.value);
    } else if (m.value.is_object()) {
      redact_sources(m.value);
    } else {
      m.value = "[redacted]";
    }
  }
}

// The name of one entry of a dump: its own, or that of the resource in it.
std::string entry_name(const Value& item) {
  if (item.contains("name")) return item["name"].as_string();
  for (std::string_view field : {"cluster", "listener", "route_config", "secret"})
    if (const Value* inner = item.find(field)) return (*inner)["name"].as_string();
  return item["endpoint_config"]["cluster_name"].as_string();
}

std::string_view element_type(std::string_view resource) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"bootstrap", "config.bootstrap.v3.Bootstrap"}, {"static_clusters", "admin.v3.ClustersConfigDump.StaticCluster"},
      {"dynamic_active_clusters", "admin.v3.ClustersConfigDump.DynamicCluster"}, {"dynamic_warming_clusters", "admin.v3.ClustersConfigDump.DynamicCluster"},
      {"dynamic_endpoint_configs", "admin.v3.EndpointsConfigDump.DynamicEndpointConfig"}, {"static_listeners", "admin.v3.ListenersConfigDump.StaticListener"},
      {"dynamic_listeners", "admin.v3.ListenersConfigDump.DynamicListener"}, {"static_route_configs", "admin.v3.RoutesConfigDump.StaticRouteConfig"},
      {"dynamic_route_configs", "admin.v3.RoutesConfigDump.DynamicRouteConfig"}, {"static_secrets", "admin.v3.SecretsConfigDump.StaticSecret"},
      {"dynamic_active_secrets", "admin.v3.SecretsConfigDump.DynamicSecret"}, {"dynamic_warming_secrets", "admin.v3.SecretsConfigDump.DynamicSecret"}};
  for (auto& [name, type] : kTypes)
    if (name == resource) return type;
  return {};
}

// An error: there is no such resource, or nothing that the mask names.
base::Result<std::string> config_dump(Server& server, std::string_view query, const Regex* names) {
  ConfigManager& c = server.config();
  std::string resource = http::query_param(query, "resource");
  static constexpr std::string_view kResources[] = {"bootstrap", "static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters", "dynamic_endpoint_configs",
                                                    "static_listeners", "dynamic_listeners", "static_route_configs", "dynamic_route_configs", "static_secrets",
                                                    "dynamic_active_secrets", "dynamic_warming_secrets"};
  bool found = resource.empty() || std::ranges::find(kResources, resource) != std::end(kResources);
  Value configs = Value::array();
  auto add = [&](std::string_view type, Value body) {
    Value out = Value::object({{"@type", "type.googleapis.com/envoy.admin.v3." + std::string(type)}});
    for (auto& m : body.mutable_members()) {
      if (names && m.value.is_array()) std::erase_if(m.value.mutable_items(), [&](const Value& item) { return !names->full_match(entry_name(item)); });
      out.set(m.key, std::move(m.value));
    }
    if (resource.empty()) {
      configs.push(std::move(out));
    } else if (const Value* list = out.find(resource)) {
      found = true;
      std::string_view of = element_type(resource);
      auto put = [&](const Value& item) {
        Value typed = Value::object({{"@type", fmt::format("type.googleapis.com/envoy.{}", of)}});
        for (const auto& m : item.members()) typed.set(m.key, m.value);
        configs.push(std::move(typed));
      };
      if (list->is_array())
        for (const Value& item : list->items()) put(item);
      else
        put(*list);
    }
  };
  const auto& o = server.options();
  Value bootstrap = to_json(*o.bootstrap);
  if (!bootstrap.contains("node")) {
    bootstrap.set("node", Value::object({{"id", o.node.id}, {"cluster", o.node.cluster}, {"metadata", o.node.metadata}}));
  }
  add("BootstrapConfigDump", Value::object({{"bootstrap", std::move(bootstrap)}}));

  Value static_clusters = Value::array(), active = Value::array(), warming = Value::array();
  for (auto& [name, s] : c.clusters())
    (!s->source.dynamic ? static_clusters : s->warm ? active : warming).push(entry("cluster", kClusterUrl, s->source));
  // What was left out of the bootstrap has no place of its own; an error_state stands only among dynamic resources.
  auto left_out = [&](bool listener, Value& into) {
    for (const auto& l : c.left_out()) {
      if (l.listener != listener) continue;
      Value failed = entry(listener ? "listener" : "cluster", listener ? kListenerUrl : kClusterUrl, l.source);
      Value state = Value::object({{"failed_configuration", failed[listener ? "listener" : "cluster"]}, {"last_update_attempt", failed["last_updated"]}, {"details", l.error}});
      if (listener) failed = Value::object({{"name", l.name}});
      failed.set("error_state", std::move(state));
      into.push(std::move(failed));
    }
  };
  left_out(false, warming);
  Value clusters = Value::object();
  if (!static_clusters.empty()) clusters.set("static_clusters", std::move(static_clusters));
  if (!active.empty()) clusters.set("dynamic_active_clusters", std::move(active));
  if (!warming.empty()) clusters.set("dynamic_warming_clusters", std::move(warming));
  add("ClustersConfigDump", std::move(clusters));

  if (http::has_query_param(query, "include_eds") || resource == "dynamic_endpoint_configs") {
    Value endpoints = Value::array();
    for (auto& [name, s] : c.endpoint_sources()) endpoints.push(entry("endpoint_config", kEndpointUrl, s));
    add("EndpointsConfigDump", Value::object({{"dynamic_endpoint_configs", std::move(endpoints)}}));
  }

  Value static_listeners = Value::array(), dynamic = Value::array();
  for (auto& [name, l] : c.listeners()) {
    if (!l.source.dynamic) {
      static_listeners.push(entry("listener", kListenerUrl, l.source));
      continue;
    }
    Value one = Value::object({{"name", name}});
    one.set(l.active ? "active_state" : "warming_state", entry("listener", kListenerUrl, l.source));
    if (!l.error.empty()) one.set("error_state", Value::object({{"details", l.error}}));
    dynamic.push(std::move(one));
  }
  left_out(true, dynamic);
  Value listeners = Value::object();
  if (!static_listeners.empty()) listeners.set("static_listeners", std::move(static_listeners));
  if (!dynamic.empty()) listeners.set("dynamic_listeners", std::move(dynamic));
  add("ListenersConfigDump", std::move(listeners));

  Value routes = Value::array();
  for (auto& [name, r] : c.routes()) routes.push(entry("route_config", kRouteUrl, r.source));
  Value route_dump = Value::object();
  if (!routes.empty()) route_dump.set("dynamic_route_configs", std::move(routes));
  add("RoutesConfigDump", std::move(route_dump));
  Value secrets = secrets_dump(c.secrets()), static_secrets = Value::array();
  for (const auto& s : o.bootstrap->static_resources().secrets())
    static_secrets.push(Value::object({{"name", s.name()}, {"secret", any_to_json(kSecretUrl, s.SerializeAsString())}}));
  if (!static_secrets.empty()) secrets.set("static_secrets", std::move(static_secrets));
  add("SecretsConfigDump", std::move(secrets));
  if (!found) return base::fail(base::Code::kNotFound, "{} not found in config dump", resource);
  redact(configs);
  if (std::string mask = http::query_param(query, "mask"); !mask.empty()) {
    bool applied = configs.empty();
    std::erase_if(configs.mutable_items(), [&](Value& one) {
      bool here = apply_mask(one, mask);
      applied |= here;
      return !here;
    });
    if (!applied) return base::fail(base::Code::kInvalidArgument, "FieldMask {} could not be successfully applied to any configs.", mask);
  }
  return Value::object({{"configs", std::move(configs)}}).dump(1) + "\n";
}

using HostCounts = std::unordered_map<const Host*, HostCounters>;

// In Envoy's order.
std::vector<std::tuple<std::string_view, uint64_t, bool>> host_stats(const HostCounters& n) {
  return {{"cx_connect_fail", n.cx_connect_fail, false}, {"cx_total", n.cx_total, false}, {"rq_error", n.rq_error, false},
          {"rq_success", n.rq_success, false},           {"rq_timeout", n.rq_timeout, false}, {"rq_total", n.rq_total, false},
          {"cx_active", n.cx_active, true},              {"rq_active", n.rq_active, true}};
}

std::array<std::string, 3> locality_parts(const Host& h) {
  std::array<std::string, 3> out;
  size_t i = 0;
  for (std::string_view part : base::split(h.locality, '/'))
    if (i < out.size()) out[i++] = part;
  return out;
}

std::string health_flags(const Host& h) {
  std::string flags;
  if (h.failed_check.load()) flags += "/failed_active_hc";
  if (h.ejected.load()) flags += "/failed_outlier_check";
  if (h.degraded_check.load()) flags += "/degraded_active_hc";
  if (h.eds_health.load() == HealthStatus::kUnhealthy) flags += "/failed_eds_health";
  if (h.eds_health.load() == HealthStatus::kDegraded) flags += "/degraded_eds_health";
  return flags.empty() ? "healthy" : flags;
}

std::string clusters_text(Server& server, const HostCounts& counts, const Regex* filter) {
  std::string out;
  auto line = [&](const std::string& name, const std::string& rest) { out.append(name).append("::").append(rest).append("\n"); };
  for (auto& [name, c] : server.config().clusters()) {
    if (filter && !filter->full_match(name)) continue;
    line(name, "observability_name::" + c->config->stat_name);
    for (int high = 0; high < 2; ++high) {
      const Thresholds& t = c->config->thresholds[high];
      std::string p = high ? "high_priority::" : "default_priority::";
      line(name, p + "max_connections::" + std::to_string(t.max_connections));
      line(name, p + "max_pending_requests::" + std::to_string(t.max_pending));
      line(name, p + "max_requests::" + std::to_string(t.max_requests));
      line(name, p + "max_retries::" + std::to_string(t.max_retries));
    }
    line(name, fmt::format("added_via_api::{}", c->source.dynamic));
    if (!c->config->eds_name.empty()) line(name, "eds_service_name::" + c->config->eds_name);
    if (!c->endpoints) continue;
    for (const HostPtr& h : c->endpoints->hosts) {
      auto at = counts.find(h.get());
      for (auto& [stat, value, gauge] : host_stats(at == counts.end() ? HostCounters{} : at->second)) line(name, fmt::format("{}::{}::{}", h->text, stat, value));
      line(name, h->text + "::hostname::" + h->hostname);
      line(name, h->text + "::health_flags::" + health_flags(*h));
      line(name, fmt::format("{}::weight::{}", h->text, h->weight.load()));
      auto [region, zone, sub_zone] = locality_parts(*h);
      line(name, h->text + "::region::" + region);
      line(name, h->text + "::zone::" + zone);
      line(name, h->text + "::sub_zone::" + sub_zone);
      line(name, fmt::format("{}::canary::{}", h->text, h->canary));
      line(name, fmt::format("{}::priority::{}", h->text, h->priority.load()));
      line(name, fmt::format("{}::success_rate::{}", h->text, h->success_percent.load()));
      line(name, fmt::format("{}::local_origin_success_rate::{}", h->text, h->local_success_percent.load()));
    }
  }
  return out;
}

std::string clusters_json(Server& server, const HostCounts& counts, const Regex* filter) {
  static constexpr std::string_view kHealth[] = {"HEALTHY", "UNHEALTHY", "DEGRADED"};
  Value list = Value::array();
  for (auto& [name, c] : server.config().clusters()) {
    if (filter && !filter->full_match(name)) continue;
    Value one = Value::object({{"name", name}});
    if (c->source.dynamic) one.set("added_via_api", true);
    Value hosts = Value::array();
    if (c->endpoints) {
      for (const HostPtr& h : c->endpoints->hosts) {
        Value health = Value::object({{"eds_health_status", kHealth[static_cast<size_t>(h->eds_health.load())]}});
        if (h->failed_check.load()) health.set("failed_active_health_check", true);
        if (h->degraded_check.load()) health.set("failed_active_degraded_check", true);
        if (h->ejected.load()) health.set("failed_outlier_check", true);
        Value stats = Value::array();
        auto at = counts.find(h.get());
        for (auto& [stat, value, gauge] : host_stats(at == counts.end() ? HostCounters{} : at->second)) {
          Value v = Value::object({{"name", stat}});
          if (value) v.set("value", std::to_string(value));
          if (gauge) v.set("type", "GAUGE");
          stats.push(std::move(v));
        }
        Value host = Value::object({{"address", address_json(h->address)},
                                    {"stats", std::move(stats)},
                                    {"health_status", std::move(health)},
                                    {"weight", static_cast<long long>(h->weight.load())}});
        if (!h->hostname.empty()) host.set("hostname", h->hostname);
        for (auto [key, rate] : {std::pair("success_rate", h->success_percent.load()), std::pair("local_origin_success_rate", h->local_success_percent.load())})
          if (rate >= 0) host.set(key, Value::object({{"value", static_cast<long long>(rate)}}));
        auto [region, zone, sub_zone] = locality_parts(*h);
        Value locality = Value::object();
        if (!region.empty()) locality.set("region", region);
        if (!zone.empty()) locality.set("zone", zone);
        if (!sub_zone.empty()) locality.set("sub_zone", sub_zone);
        host.set("locality", std::move(locality));
        if (uint32_t p = h->priority.load()) host.set("priority", static_cast<long long>(p));
        hosts.push(std::move(host));
      }
    }
    if (!hosts.empty()) one.set("host_statuses", std::move(hosts));
    Value thresholds = Value::array();
    for (int high = 0; high < 2; ++high) {
      const Thresholds& t = c->config->thresholds[high];
      Value v = Value::object();
      if (high) v.set("priority", "HIGH");
      v.set("max_connections", static_cast<long long>(t.max_connections)).set("max_pending_requests", static_cast<long long>(t.max_pending));
      v.set("max_requests", static_cast<long long>(t.max_requests)).set("max_retries", static_cast<long long>(t.max_retries));
      thresholds.push(std::move(v));
    }
    one.set("circuit_breakers", Value::object({{"thresholds", std::move(thresholds)}}));
    one.set("observability_name", c->config->stat_name);
    if (!c->config->eds_name.empty()) one.set("eds_service_name", c->config->eds_name);
    list.push(std::move(one));
  }
  return Value::object({{"cluster_statuses", std::move(list)}}).dump(1);
}

std::string listeners(Server& server, bool json) {
  Value list = Value::array();
  std::string text;
  for (auto& [name, l] : server.config().listeners()) {
    if (!l.active) continue;
    text += name + "::" + l.config->address.text() + "\n";
    list.push(Value::object({{"name", name}, {"local_address", address_json(l.config->address)}}));
  }
  return json ? Value::object({{"listener_statuses", std::move(list)}}).dump(1) : text;
}

std::string server_info(Server& server) {
  auto uptime = std::chrono::duration_cast<std::chrono::seconds>(base::Clock::now() - server.started()).count();
  const auto& o = server.options();
  return Value::object({{"version", "fairlead/" + o.version},
                        {"state", server.state()},
                        {"uptime_current_epoch", fmt::format("{}s", uptime)},
                        {"uptime_all_epochs", fmt::format("{}s", uptime)},
                        {"hot_restart_version", "disabled"},
                        {"command_line_options", Value::object({{"concurrency", static_cast<long long>(o.concurrency)},
                                                                {"drain_time", fmt::format("{}s", std::chrono::duration_cast<std::chrono::seconds>(o.drain_time).count())},
                                                                {"log_level", base::to_string(base::log_level())}})},
                        {"node", Value::object({{"id", o.node.id}, {"cluster", o.node.cluster}, {"metadata", o.node.metadata}})}})
      .dump(1);
}

constexpr std::string_view kLoggers[] = {"admin", "config", "connection", "http", "router", "upstream", "xds"};

uint64_t physical_bytes() {
  uint64_t size = 0, resident = 0;
  if (std::ifstream statm("/proc/self/statm"); statm) statm >> size >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

void logging(const HttpExchange& e, std::string_view query) {
  for (auto& [key, value] : http::query_params(query)) {
    if (key != "level" && key != "paths" && key != "group" && !value.empty() && std::ranges::find(kLoggers, key) == std::end(kLoggers))
      return e->respond(400, kText, "error: unknown logger name\n\nusage: /logging?<name>=<level> (change single level)\nusage: /logging?level=<level> (change all levels)\n");
    // One level for everything: ?level=debug, or ?http=debug,router=trace as Istio's tool asks (the lowest wins).
    std::string text = value.empty() ? key : value;
    if (size_t colon = text.find(':'); colon != std::string::npos) text = text.substr(colon + 1);
    auto level = base::parse_log_level(text);
    if (!level) return e->respond(400, kText, "error: invalid logger level \"" + text + "\"\nusage: /logging?level=<trace|debug|info|warning|error|critical|off>\n");
    base::set_log_level(*level);
  }
  std::string out = "active loggers:\n";
  for (std::string_view name : kLoggers)
    out += fmt::format("  {}: {}\n", name, base::to_string(base::log_level()));
  e->respond(200, kText, out);
}

// An expression that may be found anywhere in a name. False: it was none, and the answer is sent.
bool find_regex(const HttpExchange& e, std::string_view query, std::string_view parameter, std::shared_ptr<const Regex>& out) {
  std::string text = http::query_param(query, parameter);
  if (text.empty()) return true;
  std::string error;
  out = Regex::compile("(?s).*(?:" + text + ").*", &error);
  if (!out) e->respond(400, kText, fmt::format("Invalid re2 regex in {}: {}\n", parameter, error));
  return out != nullptr;
}

}  // namespace

void serve_admin(Server& server, HttpExchange e) {
  const http::RequestHead& request = e->request();
  std::string path(request.path());
  std::string query(request.query());
  bool post = request.method == "POST";
  // A page that changes something is not for a browser's stray GET.
  auto changes = [&] {
    if (!post) e->respond(405, kText, fmt::format("Method {} not allowed, POST required.", request.method));
    return post;
  };
  std::string format = http::query_param(query, "format");
  bool json = format == "json";
  if (path == "/stats" || path == "/stats/prometheus") {
    auto wanted = StatsQuery::parse(query);
    if (!wanted) return e->respond(400, kText, wanted.error().message);
    bool prometheus = path == "/stats/prometheus" || format == "prometheus", html = format == "html" || format == "active-html";
    if (!format.empty() && !prometheus && !html && !json && format != "text")
      return e->respond(400, kText, "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n");
    return server.collect([e, prometheus, json, html, query, wanted = *wanted](StatsSnapshot s) {
      if (html) e->respond(200, kHtml, stats_html(query, stats_text(s, wanted)));
      else if (prometheus) e->respond(200, kText, stats_prometheus(s, wanted));
      else if (json) e->respond(200, kJson, stats_json(s, wanted));
      else e->respond(200, kText, stats_text(s, wanted));
    });
  }
  if (path == "/ready") {
    std::string state(server.state());
    return e->respond(server.ready() ? 200 : 503, kText, state + "\n");
  }
  if (path == "/config_dump") {
    std::shared_ptr<const Regex> names;
    if (!find_regex(e, query, "name_regex", names)) return;
    auto dump = config_dump(server, query, names.get());
    if (dump) return e->respond(200, kJson, *dump);
    return e->respond(dump.error().code == base::Code::kNotFound ? 404 : 400, "text/plain", dump.error().message);
  }
  if (path == "/config_warnings") {
    Value out = Value::object();
    for (auto& [field, count] : server.config().warnings()) out.set(field, static_cast<long long>(count));
    return e->respond(200, kJson, out.dump(1));
  }
  if (path == "/clusters") {
    std::shared_ptr<const Regex> filter;
    if (!find_regex(e, query, "filter", filter)) return;
    return server.count_hosts(kNoCluster, false, [&server, e, json, filter](HostCounts counts) {
      json ? e->respond(200, kJson, clusters_json(server, counts, filter.get())) : e->respond(200, kText, clusters_text(server, counts, filter.get()));
    });
  }
  if (path == "/listeners") return e->respond(200, json ? kJson : kText, listeners(server, json));
  if (path == "/server_info") return e->respond(200, kJson, server_info(server));
  if (path == "/logging") return changes() ? logging(e, query) : void();
  if (path == "/memory") {
    struct mallinfo2 m = ::mallinfo2();
    return e->respond(200, kJson, Value::object({{"allocated", std::to_string(m.uordblks)}, {"heap_size", std::to_string(m.arena + m.hblkhd)},
                                                        {"pageheap_unmapped", "0"},
                                                        {"pageheap_free", std::to_string(m.fordblks)},
                                                        {"total_thread_cache", "0"},
                                                        {"total_physical_bytes", std::to_string(physical_bytes())}})
                                             .dump(1) + "\n");
  }
  if (path == "/certs") return e->respond(200, kJson, certificates_in_use(server.config().secrets()).dump(1) + "\n");
  if (path == "/runtime") return e->respond(200, kJson, Value::object({{"entries", Value::object()}, {"layers", Value::array()}}).dump(1) + "\n");
  if (path == "/init_dump") return e->respond(200, kJson, init_dump(server, http::query_param(query, "mask")).dump(1) + "\n");
  if (path == "/quitquitquit" && changes()) {
    e->respond(200, kText, "OK\n");
    return server.loop().after(std::chrono::milliseconds(50), [&server] { server.quit(); });
  }
  if (path == "/drain_listeners" && changes()) {
    server.drain_listeners();
    return e->respond(200, kText, "OK\n");
  }
  if (path == "/reset_counters" && changes()) return server.reset_counters([e] { e->respond(200, kText, "OK\n"); });
  if (path == "/reopen_logs" && changes()) {
    server.log_files().reopen();
    return e->respond(200, kText, "OK\n");
  }
  if (path == "/hot_restart_version") return e->respond(200, kText, "disabled");
  if (path == "/healthcheck/fail" && changes()) {
    server.fail_health(true);
    return e->respond(200, kText, "OK\n");
  }
  if (path == "/healthcheck/ok" && changes()) {
    server.fail_health(false);
    return e->respond(200, kText, "OK\n");
  }
  if (path == "/") return e->respond(200, kHtml, admin_home());
  if (path == "/help") return e->respond(200, kText, admin_help());
  if (serve_small_page(server, e, path, query)) return;
  for (std::string_view changing : {"/quitquitquit", "/drain_listeners", "/reset_counters", "/reopen_logs", "/healthcheck/fail", "/healthcheck/ok", "/logging"})
    if (path == changing) return;  // changes() has refused it
  e->respond(404, kText, "invalid path. " + std::string(admin_help()));
}

void Server::handle_admin(HttpExchange exchange) { serve_admin(*this, counted(std::move(exchange), admin_stats_)); }

}  // namespace fairlead::proxy
