#include "control/debug_pages.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace fairlead::control {
namespace {

using base::Value;

// Node ids are "type~ip~pod.ns~domain".
std::string node_part(const std::string& id, size_t index) {
  auto parts = base::split(id, '~');
  return index < parts.size() ? std::string(parts[index]) : std::string();
}

std::string metrics(const DebugView& view) {
  std::string out;
  auto metric = [&](std::string_view name, std::string_view type, std::string_view help, auto value) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n{} {}\n", name, help, name, type, name, value);
  };
  metric("pilot_xds", "gauge", "Number of endpoints connected to this pilot using XDS.", view.sessions.size());
  metric("pilot_services", "gauge", "Total services known to pilot.", view.snapshot ? view.snapshot->services.size() : 0);
  metric("pilot_virt_services", "gauge", "Total virtual services known to pilot.", view.snapshot ? view.snapshot->virtual_services.size() : 0);
  metric("pilot_push_triggers", "counter", "Total number of times a push was triggered.", view.pushes);
  metric("pilot_total_xds_rejects", "counter", "Total number of XDS responses from pilot rejected by proxy.", view.nacks);
  out += "# HELP pilot_xds_pushes Pilot build and send errors for lds, rds, cds and eds.\n# TYPE pilot_xds_pushes counter\n";
  std::map<std::string, uint64_t> pushes;
  for (const auto& s : view.sessions)
    for (const auto& [type, status] : s.types) pushes[base::to_lower(xds::short_type(type))] += status.pushes;
  for (const auto& [type, count] : pushes) out += fmt::format("pilot_xds_pushes{{type=\"{}\"}} {}\n", type, count);
  return out;
}

}  // namespace

Value sync_status(const DebugView& view) {
  Value out = Value::array();
  for (const auto& s : view.sessions) {
    Value row = Value::object({{"cluster_id", s.node.metadata["CLUSTER_ID"].string_or(view.cluster_id)},
                               {"proxy", node_part(s.node.id, 2)},
                               {"proxy_type", node_part(s.node.id, 0)},
                               {"proxy_version", s.node.metadata["ISTIO_VERSION"].as_string()},
                               {"istio_version", s.node.metadata["ISTIO_VERSION"].as_string()}});
    for (auto [type, name] : {std::pair{xds::kClusterType, "cluster"}, std::pair{xds::kListenerType, "listener"},
                              std::pair{xds::kRouteType, "route"}, std::pair{xds::kEndpointType, "endpoint"}}) {
      auto it = s.types.find(type);
      if (it == s.types.end()) continue;
      row.set(std::string(name) + "_sent", it->second.version_sent);
      row.set(std::string(name) + "_acked", it->second.version_acked);
      if (!it->second.nack_message.empty()) row.set(std::string(name) + "_nack", it->second.nack_message);
    }
    out.push(std::move(row));
  }
  return out;
}

void answer_debug_page(http::Exchange& exchange, const DebugView& view, const ResourcesOf& resources) {
  std::string_view path = exchange.request().path();
  auto json = [&](const Value& v) { exchange.respond(200, "application/json", v.dump(4) + "\n"); };
  if (path == "/ready") {
    exchange.respond(view.ready ? 200 : 503, "text/plain", view.ready ? "" : "not ready: the API has not been listed, or the webhook has no CA yet\n");
  } else if (path == "/metrics") {
    exchange.respond(200, "text/plain; version=0.0.4", metrics(view));
  } else if (path == "/version") {
    json(Value::object({{"revision", view.revision}}));
  } else if (path == "/debug/syncz") {
    json(sync_status(view));
  } else if (path == "/debug/connections") {
    Value clients = Value::array();
    for (const auto& s : view.sessions)
      clients.push(Value::object({{"connectionId", fmt::format("{}-{}", node_part(s.node.id, 2), s.id)}, {"address", s.peer.text()}}));
    json(Value::object({{"totalClients", view.sessions.size()}, {"clients", clients}}));
  } else if (path == "/debug/registryz") {
    Value services = Value::array();
    if (view.snapshot)
      for (const auto& [host, list] : view.snapshot->by_host) services.push(Value(host));
    json(services);
  } else if (path == "/debug/config_dump") {
    // The names and versions of what a proxy is told; the proxy's own admin page has the contents.
    std::string proxy = http::query_param(exchange.request().query(), "proxyID");
    if (proxy.empty()) return exchange.respond(400, "text/plain", "expected ?proxyID=POD.NAMESPACE\n");
    Value out = Value::object();
    for (std::string_view type : xds::kPushOrder) {
      if (type == xds::kSecretType) continue;
      Value names = Value::object();
      for (const auto& [name, resource] : resources(proxy, type)) names.set(name, resource.version);
      out.set(xds::short_type(type), std::move(names));
    }
    json(out);
  } else {
    exchange.respond(404, "text/plain",
                     "expected /ready, /metrics, /version, /debug/syncz, /debug/connections, /debug/registryz or /debug/config_dump?proxyID=\n");
  }
}

}  // namespace fairlead::control
