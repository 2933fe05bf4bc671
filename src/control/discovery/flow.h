// Flow control: the objects of group flow.fairlead.dev that select a proxy's workload, as filters of its listeners. Internal; include
// only in sources.
#pragma once

#include <string>

#include "control/discovery/filters.h"

namespace fairlead::control {

// Before the router. `service`: the name under which the workload's requests are called, beside their paths; of a gateway "", where
// the route's name takes its place. Nothing is added when no rule selects the proxy, or when it does not have the filter.
void add_flow_filter(const Context& context, HttpConnectionManager& manager, const std::string& service);
// For connections; before the TCP proxy is added.
void add_flow_filter(const Context& context, envoy::config::listener::v3::FilterChain& chain, const std::string& service);

}  // namespace fairlead::control
