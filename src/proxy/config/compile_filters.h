// Pieces that several compile_*.cc files share. Inside config/ only.
#pragma once

#include "proxy/config/compile_util.h"

namespace fairlead::proxy {

void compile_route_table(const CompileContext& at, const envoy::config::route::v3::RouteConfiguration& from, RouteTable& table);
// Filters of Istio and Envoy that only observe, by the type of their configuration: taken with a warning.
bool is_silent_filter(std::string_view type);

}  // namespace fairlead::proxy
