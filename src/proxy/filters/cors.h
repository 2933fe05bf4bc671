// The policy of envoy.filters.http.cors, which routes and virtual hosts may also carry in their own field `cors`.
#pragma once

#include <memory>

#include "proxy/config/compile_util.h"
#include "proxy/filters/filter.h"

namespace fairlead::proxy {

inline constexpr std::string_view kCorsName = "envoy.filters.http.cors";
std::shared_ptr<const RouteFilter> compile_cors(const CompileContext& at, const envoy::config::route::v3::CorsPolicy& from);

}  // namespace fairlead::proxy
