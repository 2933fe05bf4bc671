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

}  // namespace fairlead::control
