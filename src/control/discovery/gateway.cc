#include "control/discovery/gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "base/strings.h"
#include "control/discovery/filters.h"
#include "control/discovery/flow.h"
#include "control/discovery/gateway_tls.h"
#include "control/discovery/mutual_tls.h"
#include "control/discovery/proto.h"
#include "control/discovery/route.h"
#include "control/discovery/tcp_route.h"
#include "control/resolve.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace fairlead::control {
namespace {

namespace listener = envoy::config::listener::v3;
using base::Value;

struct Server {
  ConfigPtr gateway;
  const Value* spec;
  Protocol protocol;
  int port;                        // as the Gateway says: the Service's port
  std::string name() const { return gateway->ns + "/" + gateway->name; }
  bool terminates() const { return (*spec)["tls"].is_object() && (*spec)["tls"]["mode"].string_or("SIMPLE") != "PASSTHROUGH" &&
                                   (*spec)["tls"]["mode"].as_string() != "AUTO_PASSTHROUGH"; }
};

// "ns/host" of Server.hosts: which namespaces' VirtualServices may bind, and for which hosts.
struct HostRule {
  std::string ns, host;
};
HostRule host_rule(const std::string& text, const std::string& own_ns, const std::string& domain) {
  size_t slash = text.find('/');
  if (slash == std::string::npos) return {"*", resolve_host(text, own_ns, domain)};
  std::string ns = text.substr(0, slash);
  if (ns == ".") ns = own_ns;
  return {ns, resolve_host(text.substr(slash + 1), own_ns, domain)};
}

// Servers by the port they are bound to: the targetPort of the gateway's Service, as the pod listens there.
std::map<int, std::vector<Server>> servers_of(const Context& context) {
  std::map<int, std::vector<Server>> out;
  auto targets = targets_of(context.snapshot(), context.proxy());
  for (const auto& gateway : context.snapshot().gateways) {
    if (!subset_of(gateway->selector, context.labels())) continue;
    for (const auto& server : gateway->spec["servers"].items()) {
      int port = static_cast<int>(server["port"]["number"].as_int());
      std::set<int> bound;
      for (const auto& target : targets)
        if (target.port->number == port) bound.insert(target.endpoint_port);
      if (bound.empty()) bound.insert(port);
      for (int p : bound)
        out[p].push_back({gateway, &server, parse_protocol(server["port"]["protocol"].as_string()), port});
    }
  }
  return out;
}

bool is_plain_http(const Server& server) { return is_http(server.protocol); }
bool is_https(const Server& server) { return server.protocol == Protocol::kHttps && server.terminates(); }

std::string route_name(const Server& server, int bound_port) {
  if (is_plain_http(server)) return fmt::format("http.{}", bound_port);
  return fmt::format("https.{}.{}.{}.{}", server.port, (*server.spec)["port"]["name"].as_string(), server.gateway->name,
                     server.gateway->ns);
}

bool binds(const Config& config, const Server& server) {
  return std::find(config.gateways.begin(), config.gateways.end(), server.name()) != config.gateways.end();
}

std::vector<std::string> hosts_for(const Config& config, const Server& server, const std::string& domain) {
  std::vector<std::string> out;  // the VirtualService's hosts that the server takes; the narrower of each pair
  for (const auto& entry : (*server.spec)["hosts"].items()) {
    auto rule = host_rule(entry.as_string(), server.gateway->ns, domain);
    if (rule.ns != "*" && rule.ns != config.ns) continue;
    for (const auto& host : config.hosts) {
      if (!hosts_overlap(rule.host, host)) continue;
      const std::string& narrow = host_covers(rule.host, host) ? host : rule.host;
      if (std::find(out.begin(), out.end(), narrow) == out.end()) out.push_back(narrow);
    }
  }
  return out;
}

std::vector<std::string> server_names(const Server& server, const std::string& domain) {
  std::vector<std::string> out;
  for (const auto& entry : (*server.spec)["hosts"].items()) {
    std::string host = host_rule(entry.as_string(), server.gateway->ns, domain).host;
    if (host == "*") return {};
    out.push_back(std::move(host));
  }
  return out;
}

void add_http_chain(const Context& context, listener::Listener& l, const std::string& rds, const Server* tls_server) {
  auto* chain = l.add_filter_chains();
  if (tls_server) {
    for (auto& name : server_names(*tls_server, context.snapshot().mesh.domain))
      chain->mutable_filter_chain_match()->add_server_names(std::move(name));
    gateway_tls(*chain, (*tls_server->spec)["tls"], true);
  }
  auto manager = connection_manager(context, ListenerClass::kGateway, "outbound_" + l.name());
  use_rds(manager, rds);
  add_flow_filter(context, manager, "");
  add_connection_manager(*chain, manager);
}

bool is_auto_passthrough(const Server& server) { return (*server.spec)["tls"]["mode"].as_string() == "AUTO_PASSTHROUGH"; }

// A chain for each cluster by its server name, for mutual TLS of the mesh alone.
void add_auto_passthrough(const Context& context, listener::Listener& l, const Server& server) {
  std::vector<std::string> hosts = server_names(server, context.snapshot().mesh.domain);
  auto add = [&](const std::string& cluster) {
    auto* chain = l.add_filter_chains();
    chain->mutable_filter_chain_match()->add_server_names(cluster);
    for (const char* protocol : {"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"})
      chain->mutable_filter_chain_match()->add_application_protocols(protocol);
    add_tcp_proxy(context, *chain, {{cluster, 1}}, cluster, false);
  };
  for (const auto& service : context.services()) {
    if (service->mesh_external) continue;
    if (!hosts.empty() && std::none_of(hosts.begin(), hosts.end(), [&](const std::string& h) { return host_covers(h, service->host); })) continue;
    Rule rule = rule_of(context.snapshot(), context.proxy(), service->host, service->ns);
    for (const auto& port : service->ports) {
      if (port.protocol == Protocol::kUdp) continue;
      add(sni_of(cluster_name("outbound", port.number, "", service->host)));
      for (const auto* subset : rule.subsets) add(sni_of(cluster_name("outbound", port.number, (*subset)["name"].as_string(), service->host)));
    }
  }
}

// TCP and TLS-passthrough servers: chains of the VirtualServices that bind to them.
bool add_tcp_chains(const Context& context, listener::Listener& l, const Server& server) {
  if (is_auto_passthrough(server)) {
    add_auto_passthrough(context, l, server);
    return true;
  }
  bool names = false;
  for (const auto& config : context.snapshot().virtual_services) {
    if (!binds(*config, server) || !visible(config->export_to, config->ns, context.proxy().ns)) continue;
    auto hosts = hosts_for(*config, server, context.snapshot().mesh.domain);
    if (hosts.empty()) continue;
    bool passthrough = (*server.spec)["tls"].is_object() && !server.terminates();
    auto chains = passthrough ? tls_chains(context, *config, server.port, server.name(), hosts)
                              : tcp_chains(context, *config, server.port, server.name());
    for (const auto& in : chains) {
      auto* chain = l.add_filter_chains();
      for (const auto& name : in.server_names)
        if (name != "*") {
          chain->mutable_filter_chain_match()->add_server_names(name);
          names = true;
        }
      if (server.terminates()) {
        for (auto& name : server_names(server, context.snapshot().mesh.domain))
          chain->mutable_filter_chain_match()->add_server_names(std::move(name));
        gateway_tls(*chain, (*server.spec)["tls"], false);
        names = true;
      }
      add_tcp_proxy(context, *chain, in.clusters, in.stat_prefix);
    }
  }
  return names;
}

}  // namespace

bool passes_mutual_tls_on(const Context& context) {
  for (const auto& gateway : context.snapshot().gateways) {
    if (!subset_of(gateway->selector, context.labels())) continue;
    for (const auto& server : gateway->spec["servers"].items())
      if (server["tls"]["mode"].as_string() == "AUTO_PASSTHROUGH") return true;
  }
  return false;
}

xds::ResourceMap gateway_listeners(const Context& context) {
  xds::ResourceMap out;
  for (const auto& [port, servers] : servers_of(context)) {
    listener::Listener l;
    l.set_name(fmt::format("0.0.0.0_{}", port));
    set_address(l.mutable_address(), "0.0.0.0", port);
    l.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
    l.mutable_max_connections_to_accept_per_socket_event()->set_value(1);
    // Plain HTTP servers of one port share a chain; the first server's kind decides for the port.
    bool inspect = false, plain_done = false;
    bool plain = is_plain_http(servers.front());
    for (const auto& server : servers) {
      if (plain != is_plain_http(server)) continue;
      if (plain) {
        if (!plain_done) add_http_chain(context, l, route_name(server, port), nullptr);
        plain_done = true;
      } else if (is_https(server)) {
        inspect = true;
        add_http_chain(context, l, route_name(server, port), &server);
      } else {
        inspect |= add_tcp_chains(context, l, server);
      }
    }
    if (l.filter_chains_size() == 0) continue;  // a port without routes stays closed
    if (inspect) add_tls_inspector(l);
    limit_handshakes(l);
    set_listener_access_log(context, l);
    add_resource(out, l.name(), l);
  }
  return out;
}

xds::ResourceMap gateway_routes(const Context& context, const std::set<std::string>* names) {
  xds::ResourceMap out;
  const std::string& domain = context.snapshot().mesh.domain;
  std::map<std::string, RouteConfiguration> built;
  for (const auto& [port, servers] : servers_of(context)) {
    for (const auto& server : servers) {
      if (!is_plain_http(server) && !is_https(server)) continue;
      std::string name = route_name(server, port);
      if (names && !names->contains(name)) continue;
      auto& config = built[name];
      if (config.name().empty()) fill_common(config, name);
      bool tls = is_https(server);
      auto host_of = [&](const std::string& host) -> envoy::config::route::v3::VirtualHost& {
        std::string vhost = fmt::format("{}:{}", host, host == "*" ? port : server.port);
        for (auto& vh : *config.mutable_virtual_hosts())
          if (vh.domains(0) == host) return vh;
        auto& vh = *config.add_virtual_hosts();
        vh.set_name(vhost);
        vh.add_domains(host);
        vh.set_include_request_attempt_count(true);
        if ((*server.spec)["tls"]["httpsRedirect"].as_bool() && !tls)
          vh.set_require_tls(envoy::config::route::v3::VirtualHost::ALL);
        return vh;
      };
      for (const auto& vs : context.snapshot().virtual_services) {
        if (!binds(*vs, server) || !visible(vs->export_to, vs->ns, context.proxy().ns)) continue;
        auto hosts = hosts_for(*vs, server, domain);
        if (hosts.empty()) continue;
        auto routes = virtual_service_routes(context, *vs, server.port, {server.name()}, tls);
        // Several VirtualServices may share a host: their routes follow each other, the oldest's first.
        for (const auto& host : hosts) {
          auto& vh = host_of(host);
          for (const auto& r : routes) *vh.add_routes() = r;
        }
      }
      if ((*server.spec)["tls"]["httpsRedirect"].as_bool() && !tls)
        for (const auto& entry : (*server.spec)["hosts"].items()) host_of(host_rule(entry.as_string(), server.gateway->ns, domain).host);
    }
  }
  auto finish = [&](RouteConfiguration& config) {
    // The same VirtualService may come through several servers of a port; routes after a catch-all are never reached.
    for (auto& vh : *config.mutable_virtual_hosts())
      for (int i = 0; i + 1 < vh.routes_size(); ++i) {
        const auto& m = vh.routes(i).match();
        if (m.prefix() == "/" && m.headers().empty() && m.query_parameters().empty()) {
          vh.mutable_routes()->DeleteSubrange(i + 1, vh.routes_size() - i - 1);
          break;
        }
      }
    if (config.virtual_hosts_size() == 0) {
      auto& vh = *config.add_virtual_hosts();
      vh.set_name("blackhole:" + config.name().substr(config.name().find('.') + 1));
      vh.add_domains(std::string("*"));
    }
    auto& list = *config.mutable_virtual_hosts();
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name() < b.name(); });
  };
  for (auto& [name, config] : built) {
    finish(config);
    add_resource(out, name, config);
  }
  // A listener that is going away may still ask for its routes.
  if (names)
    for (const auto& name : *names)
      if (!built.contains(name)) {
        RouteConfiguration empty;
        fill_common(empty, name);
        finish(empty);
        add_resource(out, name, empty);
      }
  return out;
}

}  // namespace fairlead::control
