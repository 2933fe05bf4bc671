// Virtual hosts of a sidecar's outbound routes. Source: Istio's pilot/pkg/networking/core/httproute.go.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "control/discovery/context.h"
#include "control/discovery/gateway.h"
#include "control/discovery/generate.h"
#include "control/discovery/proto.h"
#include "control/discovery/route.h"

namespace fairlead::control {
namespace {

namespace route = envoy::config::route::v3;

// The shorter names by which a host can be reached from the proxy's namespace.
std::vector<std::string> short_names(const std::string& host, const std::string& proxy_domain) {
  std::vector<std::string> out{host + "."};
  size_t svc = host.find(".svc."), proxy_svc = proxy_domain.find(".svc.");
  if (proxy_svc == std::string::npos || svc == std::string::npos || !host.ends_with(std::string_view(proxy_domain).substr(proxy_svc)))
    return out;
  std::string ns(std::string_view(proxy_domain).substr(0, proxy_svc));
  std::string with_ns = host.substr(0, svc);
  size_t dot = with_ns.find('.');
  if (dot == std::string::npos) return out;
  if (with_ns.substr(dot + 1) == ns) {
    out.push_back(with_ns.substr(0, dot));
    out.push_back(with_ns + ".svc");
    out.push_back(with_ns);
  } else {
    out.push_back(with_ns);
    out.push_back(with_ns + ".svc");
  }
  return out;
}

// An IPv6 literal stands in brackets in a Host header.
std::string in_host_header(const std::string& host) {
  return host.find(':') != std::string::npos ? "[" + host + "]" : host;
}

std::vector<std::string> domains_of(const Context& context, const Service& service) {
  std::vector<std::string> out;
  auto add = [&](const std::string& host) {
    out.push_back(host);
    for (auto& name : short_names(host, context.domain())) out.push_back(std::move(name));
  };
  add(service.host);
  for (const auto& alias : service.aliases) add(alias);
  if (service.headless)
    for (size_t i = 0, n = out.size(); i < n; ++i) out.push_back("*." + out[i]);
  for (const auto& address : service.addresses)
    if (address.find('/') == std::string::npos) out.push_back(in_host_header(address));
  return out;
}

class SidecarHosts {
 public:
  SidecarHosts(const Context& context, RouteConfiguration& out) : context_(context), out_(out) {}

  void build(int port) {
    std::vector<const Service*> services;
    for (const auto& service : context_.services())
      if (const Port* p = service->port(port); p && is_http_or_sniffed(p->protocol)) services.push_back(service.get());
    for (const auto* service : services) hosts_.insert(service->host);

    std::set<const Service*> taken;
    for (const auto& config : context_.virtual_services()) {
      std::vector<std::string> plain;  // hosts of no service
      std::vector<const Service*> matching;
      for (const auto& host : config->hosts) {
        bool found = false;
        for (const auto* service : services) {
          bool fits = host.starts_with('*') ? host_covers(host, service->host) && best_wildcard(service->host) == config.get()
                                            : service->host == host;
          if (host_covers(host, service->host)) found = true;
          if (fits && !taken.contains(service) && std::find(matching.begin(), matching.end(), service) == matching.end())
            matching.push_back(service);
        }
        if (!found) plain.push_back(host);
      }
      // Hosts of no service have routes on port 80 alone, unless they go along with a service's.
      if (matching.empty() && port != 80) continue;
      auto routes = virtual_service_routes(context_, *config, port, {"mesh"});
      if (routes.empty()) continue;
      for (const auto& host : plain) add(host, port, {in_host_header(host)}, routes);
      for (const auto* service : matching) {
        taken.insert(service);
        add(service->host, port, domains_of(context_, *service), routes);
      }
    }
    for (const auto* service : services)
      if (!taken.contains(service))
        add(service->host, port, domains_of(context_, *service), {default_outbound_route(context_, *service, *service->port(port))});
  }

 private:
  // The VirtualService whose host is the most specific for a service: an exact one, else the longest wildcard.
  const Config* best_wildcard(const std::string& host) const {
    const Config* best = nullptr;
    size_t length = 0;
    for (const auto& config : context_.virtual_services())
      for (const auto& pattern : config->hosts) {
        if (pattern == host) return config.get();
        if (host_covers(pattern, host) && pattern.size() > length) {
          best = config.get();
          length = pattern.size();
        }
      }
    return best;
  }

  void add(const std::string& host, int port, std::vector<std::string> domains, const std::vector<Route>& routes) {
    std::string name = fmt::format("{}:{}", in_host_header(host), port);
    if (!names_.insert(name).second) return;  // the oldest resource has the host
    std::erase_if(domains, [&](const std::string& d) {
      // A short name must not shadow a service whose full name it is.
      return (d != host && hosts_.contains(d)) || !domains_.insert(base::to_lower(d)).second;
    });
    if (domains.empty()) return;
    auto& out = *out_.add_virtual_hosts();
    out.set_name(name);
    for (auto& d : domains) out.add_domains(std::move(d));
    for (const auto& r : routes) *out.add_routes() = r;
    out.set_include_request_attempt_count(true);
  }

  const Context& context_;
  RouteConfiguration& out_;
  std::set<std::string> names_, domains_, hosts_;
};

void add_catch_all(const Context& context, RouteConfiguration& out) {
  auto& host = *out.add_virtual_hosts();
  bool block = context.registry_only();
  host.set_name(block ? "block_all" : "allow_any");
  host.add_domains(std::string("*"));
  host.set_include_request_attempt_count(true);
  auto& r = *host.add_routes();
  r.set_name(host.name());
  r.mutable_match()->set_prefix("/");
  if (block) {
    r.mutable_direct_response()->set_status(502);
  } else {
    r.mutable_route()->set_cluster("PassthroughCluster");
    r.mutable_route()->mutable_timeout();
    max_grpc_timeout(*r.mutable_route());
  }
}

}  // namespace

RouteConfiguration sidecar_routes(const Context& context, const std::string& name) {
  RouteConfiguration out;
  fill_common(out, name);
  size_t colon = name.rfind(':');
  auto port = base::to_int(colon == std::string::npos ? std::string_view(name) : std::string_view(name).substr(colon + 1));
  if (!port) return out;
  SidecarHosts hosts(context, out);
  hosts.build(static_cast<int>(*port));
  if (colon != std::string::npos) {
    // A sniffed service has a listener of its own: only its virtual host, for whatever Host the client sends.
    std::string host = name.substr(0, colon);
    RouteConfiguration one;
    fill_common(one, name);
    for (auto& vh : *out.mutable_virtual_hosts())
      if (std::find(vh.domains().begin(), vh.domains().end(), host) != vh.domains().end()) {
        vh.clear_domains();
        vh.add_domains(std::string("*"));
        *one.add_virtual_hosts() = vh;
        break;
      }
    return one;
  }
  auto& list = *out.mutable_virtual_hosts();
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name() < b.name(); });
  add_catch_all(context, out);
  return out;
}

xds::ResourceMap Generator::routes(const std::set<std::string>* names) const {
  const Context& context = *context_;
  xds::ResourceMap out;
  if (context.proxy().router) return gateway_routes(context, names);
  std::set<std::string> all;
  if (!names) {
    for (const auto& service : context.services())
      for (const auto& port : service->ports)
        if (is_http(port.protocol) || (port.protocol == Protocol::kAuto && service->addresses.empty() && !service->headless)) {
          all.insert(std::to_string(port.number));
        } else if (port.protocol == Protocol::kAuto) {
          all.insert(fmt::format("{}:{}", service->host, port.number));
        }
    names = &all;
  }
  for (const auto& name : *names) add_resource(out, name, sidecar_routes(context, name));
  return out;
}

}  // namespace fairlead::control
