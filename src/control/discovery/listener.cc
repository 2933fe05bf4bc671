// Listeners of sidecars. Source: Istio's pilot/pkg/networking/core/listener*.go.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "control/discovery/context.h"
#include "control/discovery/filters.h"
#include "control/discovery/flow.h"
#include "control/discovery/gateway.h"
#include "control/discovery/generate.h"
#include "control/discovery/mutual_tls.h"
#include "control/discovery/proto.h"
#include "control/discovery/route.h"
#include "control/discovery/tcp_route.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"

namespace fairlead::control {
namespace {

namespace listener = envoy::config::listener::v3;
constexpr const char* kWildcard = "0.0.0.0";
constexpr int kOutboundPort = 15001, kInboundPort = 15006;

struct Entry {
  std::string bind;
  int port = 0;
  bool http = false, tcp = false;      // what it carries so far
  std::string rds;                     // not empty: sniffed HTTP goes there
  std::vector<TcpChain> chains;        // with a match
  std::optional<TcpChain> fallback;    // what is not HTTP
};

void raw_http(listener::FilterChainMatch& match) {
  match.set_transport_protocol("raw_buffer");
  match.add_application_protocols("http/1.1");
  match.add_application_protocols("h2c");
}

void add_cidrs(listener::FilterChainMatch& match, const std::vector<std::string>& cidrs) {
  for (const auto& cidr : cidrs) {
    auto* range = match.add_prefix_ranges();
    size_t slash = cidr.find('/');
    range->set_address_prefix(cidr.substr(0, slash));
    long long bits = slash == std::string::npos ? (cidr.find(':') == std::string::npos ? 32 : 128)
                                                : base::to_int(cidr.substr(slash + 1)).value_or(32);
    range->mutable_prefix_len()->set_value(static_cast<uint32_t>(bits));
  }
}

void fill_tcp(const Context& context, const TcpChain& in, listener::FilterChain& out) {
  if (!in.server_names.empty() || !in.cidrs.empty()) {
    for (const auto& name : in.server_names)
      if (name != "*") out.mutable_filter_chain_match()->add_server_names(name);
    add_cidrs(*out.mutable_filter_chain_match(), in.cidrs);
  }
  add_tcp_proxy(context, out, in.clusters, in.stat_prefix);
}

std::string unknown_traffic(const Context& context) { return context.registry_only() ? "BlackHoleCluster" : "PassthroughCluster"; }

listener::Listener finish(const Context& context, const Entry& entry) {
  listener::Listener l;
  l.set_name(fmt::format("{}_{}", entry.bind, entry.port));
  set_address(l.mutable_address(), entry.bind, entry.port);
  l.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  l.set_continue_on_listener_filters_timeout(true);
  l.mutable_bind_to_port()->set_value(false);
  bool tls = std::any_of(entry.chains.begin(), entry.chains.end(), [](const TcpChain& c) { return !c.server_names.empty(); });
  if (tls) add_tls_inspector(l);
  if (!entry.rds.empty()) add_http_inspector(l);
  set_duration(l.mutable_listener_filters_timeout(),
               entry.rds.empty() ? base::Nanos(0) : context.snapshot().mesh.protocol_detection_timeout);
  for (const auto& chain : entry.chains) fill_tcp(context, chain, *l.add_filter_chains());
  if (!entry.rds.empty()) {
    auto* chain = l.add_filter_chains();
    raw_http(*chain->mutable_filter_chain_match());
    auto manager = connection_manager(context, ListenerClass::kSidecarOutbound, "outbound_" + l.name());
    use_rds(manager, entry.rds);
    add_connection_manager(*chain, manager);
  }
  listener::FilterChain last;
  if (entry.fallback) {
    fill_tcp(context, *entry.fallback, last);
    last.clear_filter_chain_match();
  } else {
    last.mutable_filter_chain_match();
    last.set_name("PassthroughFilterChain");
    add_tcp_proxy(context, last, unknown_traffic(context));
  }
  if (entry.fallback && l.filter_chains_size() == 0) *l.add_filter_chains() = last;
  else *l.mutable_default_filter_chain() = last;
  limit_handshakes(l, entry.fallback.has_value());
  return l;
}

// Where the bytes of a TCP or sniffed service port go when no VirtualService says otherwise, and what says otherwise.
std::vector<TcpChain> service_chains(const Context& context, const Service& service, const Port& port) {
  std::vector<TcpChain> out;
  bool has_tcp = false;
  for (const auto& config : context.virtual_services()) {
    if (std::none_of(config->hosts.begin(), config->hosts.end(), [&](const std::string& h) { return host_covers(h, service.host); }))
      continue;
    if (port.protocol == Protocol::kTls || port.protocol == Protocol::kHttps || port.protocol == Protocol::kAuto)
      for (auto& chain : tls_chains(context, *config, port.number, "mesh", {"*"})) out.push_back(std::move(chain));
    for (auto& chain : tcp_chains(context, *config, port.number, "mesh")) {
      has_tcp = true;
      out.push_back(std::move(chain));
    }
    if (has_tcp) break;
  }
  if (!has_tcp) {
    bool tls_port = port.protocol == Protocol::kTls || port.protocol == Protocol::kHttps;
    bool own_address = !service.addresses.empty();
    if (tls_port && !own_address && !service.headless) {
      // Without an address of its own the server name is all that tells the service apart.
      bool routed = std::any_of(out.begin(), out.end(), [&](const TcpChain& c) {
        return std::find(c.server_names.begin(), c.server_names.end(), service.host) != c.server_names.end();
      });
      if (!routed) {
        TcpChain chain;
        chain.server_names.push_back(service.host);
        chain.clusters.emplace_back(cluster_name("outbound", port.number, "", service.host), 1);
        chain.stat_prefix = chain.clusters[0].first;
        out.push_back(std::move(chain));
      }
    } else {
      TcpChain chain;
      chain.clusters.emplace_back(cluster_name("outbound", port.number, "", service.host), 1);
      chain.stat_prefix = chain.clusters[0].first;
      out.push_back(std::move(chain));
    }
  }
  return out;
}

class Outbound {
 public:
  explicit Outbound(const Context& context) : context_(context) {}

  void add(const Service& service, const Port& port) {
    if (port.protocol == Protocol::kUdp) return;
    if (is_http(port.protocol)) return add_http(kWildcard, port.number, std::to_string(port.number));
    bool sniffed = port.protocol == Protocol::kAuto;
    // A headless service's opaque port: one listener for each endpoint.
    if (service.resolution == Resolution::kPassthrough && service.addresses.empty()) {
      const auto& endpoints = context_.snapshot().endpoints_of(service, port.number);
      if (service.kubernetes || !endpoints.empty()) {
        for (const auto& e : endpoints)
          if (e.address != context_.proxy().ip) add_tcp(e.address, service, port, sniffed, {});
        return;
      }
    }
    if (service.addresses.empty()) return add_tcp(kWildcard, service, port, sniffed, {});
    std::vector<std::string> ranges;
    for (const auto& address : service.addresses) {
      if (address.find('/') != std::string::npos) ranges.push_back(address);
      else add_tcp(address, service, port, sniffed, {});
    }
    if (!ranges.empty()) add_tcp(kWildcard, service, port, sniffed, ranges);
  }

  std::map<std::pair<std::string, int>, Entry>& entries() { return entries_; }

 private:
  void add_http(const std::string& bind, int port, const std::string& rds) {
    auto& entry = at(bind, port);
    entry.http = true;
    if (entry.rds.empty()) entry.rds = rds;
  }

  void add_tcp(const std::string& bind, const Service& service, const Port& port, bool sniffed,
               const std::vector<std::string>& ranges) {
    auto& entry = at(bind, port.number);
    if (sniffed) {
      std::string rds = bind == kWildcard ? std::to_string(port.number) : fmt::format("{}:{}", service.host, port.number);
      add_http(bind, port.number, rds);
    }
    for (auto& chain : service_chains(context_, service, port)) {
      if (chain.cidrs.empty()) chain.cidrs = ranges;
      if (chain.server_names.empty() && chain.cidrs.empty()) {
        // The oldest service keeps the listener.
        if (!entry.fallback) entry.fallback = std::move(chain);
        continue;
      }
      bool taken = std::any_of(entry.chains.begin(), entry.chains.end(), [&](const TcpChain& c) {
        return c.server_names == chain.server_names && c.cidrs == chain.cidrs;
      });
      if (!taken) entry.chains.push_back(std::move(chain));
    }
    entry.tcp = true;
  }

  Entry& at(const std::string& bind, int port) {
    auto& entry = entries_[{bind, port}];
    entry.bind = bind;
    entry.port = port;
    return entry;
  }

  const Context& context_;
  std::map<std::pair<std::string, int>, Entry> entries_;
};

listener::Listener virtual_outbound(const Context& context) {
  listener::Listener l;
  l.set_name("virtualOutbound");
  set_address(l.mutable_address(), kWildcard, kOutboundPort);
  l.mutable_use_original_dst()->set_value(true);
  l.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  // Traffic addressed to the listener itself would loop.
  auto* hole = l.add_filter_chains();
  hole->mutable_filter_chain_match()->mutable_destination_port()->set_value(kOutboundPort);
  hole->set_name("virtualOutbound-blackhole");
  add_tcp_proxy(context, *hole, "BlackHoleCluster", false);
  auto* rest = l.add_filter_chains();
  rest->set_name("virtualOutbound-catchall-tcp");
  add_tcp_proxy(context, *rest, unknown_traffic(context));
  set_listener_access_log(context, l);
  l.mutable_max_connections_to_accept_per_socket_event()->set_value(1);
  return l;
}

HttpConnectionManager inbound_manager(const Context& context, const std::string& cluster, const std::string& operation, int port,
                                      const std::string& stat_prefix, const std::string& service, bool grpc) {
  auto manager = connection_manager(context, ListenerClass::kSidecarInbound, stat_prefix);
  add_flow_filter(context, manager, service);
  fill_inbound_routes(*manager.mutable_route_config(), cluster, operation, port, grpc);
  return manager;
}

listener::Listener virtual_inbound(const Context& context) {
  listener::Listener l;
  l.set_name("virtualInbound");
  set_address(l.mutable_address(), kWildcard, kInboundPort);
  l.set_traffic_direction(envoy::config::core::v3::INBOUND);
  l.set_continue_on_listener_filters_timeout(true);
  set_duration(l.mutable_listener_filters_timeout(), context.snapshot().mesh.protocol_detection_timeout);
  l.mutable_max_connections_to_accept_per_socket_event()->set_value(1);
  auto* original = l.add_listener_filters();
  original->set_name("envoy.filters.listener.original_dst");
  pack(original->mutable_typed_config(), envoy::extensions::filters::listener::original_dst::v3::OriginalDst());
  auto targets = targets_of(context.snapshot(), context.proxy());
  // Declared protocols need no sniffing; a port without mutual TLS must not wait for its client's first bytes.
  std::set<int> no_http{kInboundPort}, no_tls{kInboundPort};
  std::map<int, Protocol> protocols;  // the first service of a port decides
  for (const auto& target : targets) protocols.try_emplace(target.endpoint_port, target.port->protocol);
  bool strict_rest = mtls_mode(context.snapshot(), context.proxy().ns, context.labels(), 0) == Mtls::kStrict;
  bool http = !strict_rest;
  for (const auto& [port, protocol] : protocols) {
    Mtls mode = mtls_mode(context.snapshot(), context.proxy().ns, context.labels(), port);
    if (protocol != Protocol::kAuto || mode == Mtls::kStrict) no_http.insert(port);
    else http = true;
    if (mode == Mtls::kDisable) no_tls.insert(port);
  }
  add_tls_inspector(l, no_tls);
  if (http) add_http_inspector(l, no_http);
  set_listener_access_log(context, l);

  auto* hole = l.add_filter_chains();
  hole->mutable_filter_chain_match()->mutable_destination_port()->set_value(kInboundPort);
  hole->set_name("virtualInbound-blackhole");
  add_tcp_proxy(context, *hole, "BlackHoleCluster", false);

  enum class Kind { kHttp, kAuto, kTcp };
  auto add = [&](int port, const std::string& name, const std::string& tcp_name, Kind kind, const std::string& cluster, const std::string& service, const auto& manager) {
    // Istio's order and matches of chains for a port by mode (pilot/pkg/networking/core/filterchain_options.go).
    auto chain = [&](bool http, const char* transport, std::initializer_list<const char*> protocols, bool secure) {
      auto* out = l.add_filter_chains();
      out->set_name(http ? name : tcp_name);
      auto& match = *out->mutable_filter_chain_match();
      if (port) match.mutable_destination_port()->set_value(static_cast<uint32_t>(port));
      match.set_transport_protocol(transport);
      for (const char* p : protocols) match.add_application_protocols(p);
      if (secure) inbound_mutual_tls(*out, http, context.snapshot().mesh.trust_domains);
      if (http) return add_connection_manager(*out, manager());
      add_flow_filter(context, *out, service);
      add_tcp_proxy(context, *out, cluster);
    };
    const std::initializer_list<const char*> any_istio = {"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"},
                                             istio_http = {"istio-http/1.0", "istio-http/1.1", "istio-h2"},
                                             istio_tcp = {"istio-peer-exchange", "istio"}, plain_http = {"http/1.1", "h2c"};
    Mtls mode = mtls_mode(context.snapshot(), context.proxy().ns, context.labels(), port);
    if (mode == Mtls::kStrict) {
      if (kind == Kind::kAuto) chain(true, "tls", istio_http, true);
      chain(kind == Kind::kHttp, "tls", {}, true);
      return;
    }
    bool permissive = mode == Mtls::kPermissive;
    switch (kind) {
      case Kind::kHttp:
        if (permissive) chain(true, "tls", any_istio, true);
        chain(true, "raw_buffer", {}, false);
        break;
      case Kind::kAuto:
        if (permissive) chain(true, "tls", istio_http, true);
        chain(true, "raw_buffer", plain_http, false);
        if (permissive) chain(false, "tls", istio_tcp, true);
        chain(false, "raw_buffer", {}, false);
        if (permissive) chain(false, "tls", {}, false);
        break;
      case Kind::kTcp:
        if (permissive) {
          chain(false, "tls", any_istio, true);
          chain(false, "tls", {}, false);
        }
        chain(false, "raw_buffer", {}, false);
        break;
    }
  };

  // Ports of no service.
  const std::string passthrough = "InboundPassthroughCluster";
  add(0, "virtualInbound-catchall-http", "virtualInbound", Kind::kAuto, passthrough, "",
      [&] { return inbound_manager(context, passthrough, ":0/*", 0, passthrough, "", false); });

  std::set<int> done;
  for (const auto& target : targets) {
    if (!done.insert(target.endpoint_port).second) continue;
    Protocol protocol = target.port->protocol;
    std::string cluster = cluster_name("inbound", target.endpoint_port, "", "");
    std::string name = fmt::format("0.0.0.0_{}", target.endpoint_port);
    add(target.endpoint_port, name, name, is_http(protocol) ? Kind::kHttp : protocol == Protocol::kAuto ? Kind::kAuto : Kind::kTcp, cluster, target.service->name, [&] {
      return inbound_manager(context, cluster, fmt::format("{}:{}/*", target.service->host, target.port->number), target.port->number,
                             "inbound_" + name, target.service->name, protocol == Protocol::kGrpc || protocol == Protocol::kGrpcWeb);
    });
  }
  return l;
}

}  // namespace

xds::ResourceMap Generator::listeners() const {
  const Context& context = *context_;
  xds::ResourceMap out;
  if (context.proxy().router) return gateway_listeners(context);
  Outbound outbound(context);
  for (const auto& service : context.services())
    for (const auto& port : service->ports) outbound.add(*service, port);
  for (const auto& [key, entry] : outbound.entries()) {
    auto l = finish(context, entry);
    add_resource(out, l.name(), l);
  }
  add_resource(out, "virtualOutbound", virtual_outbound(context));
  add_resource(out, "virtualInbound", virtual_inbound(context));
  return out;
}

}  // namespace fairlead::control
