// Routes: VirtualService HTTP routes as Envoy's, and the virtual hosts around them. Internal; include only in sources.
// Source: Istio's pilot/pkg/networking/core/route/route.go, httproute.go.
#pragma once

#include <string>
#include <vector>

#include "control/discovery/context.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace fairlead::control {

using Route = envoy::config::route::v3::Route;
using RouteConfiguration = envoy::config::route::v3::RouteConfiguration;

// The routes of a VirtualService on a listener port, as seen from one of `gateways` ("mesh" or "ns/name"). Empty: none apply.
std::vector<Route> virtual_service_routes(const Context& context, const Config& config, int listener_port,
                                          const std::vector<std::string>& gateways, bool tls = false);
// The route of a service port without VirtualService.
Route default_outbound_route(const Context& context, const Service& service, const Port& port);
void fill_inbound_routes(RouteConfiguration& out, const std::string& cluster, const std::string& operation, int port, bool grpc);
// What every outbound and gateway route configuration has.
void fill_common(RouteConfiguration& out, const std::string& name);

// A sidecar's route configuration: "9080", or "host:port" for a sniffed one.
RouteConfiguration sidecar_routes(const Context& context, const std::string& name);

}  // namespace fairlead::control
