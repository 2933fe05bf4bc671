// Listeners and routes of ingress and egress gateways. Internal to discovery/.
// Source: Istio's pilot/pkg/networking/core/gateway.go, pilot/pkg/model/gateway.go (MergeGateways).
#pragma once

#include <set>
#include <string>

#include "control/discovery/context.h"
#include "xds/server.h"

namespace fairlead::control {

xds::ResourceMap gateway_listeners(const Context& context);
xds::ResourceMap gateway_routes(const Context& context, const std::set<std::string>* names);
// A server of its Gateways is AUTO_PASSTHROUGH: connections of the mesh's own TLS go on by their server name, unopened.
bool passes_mutual_tls_on(const Context& context);

}  // namespace fairlead::control
