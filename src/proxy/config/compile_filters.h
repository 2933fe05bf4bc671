// Pieces that several compile_*.cc files share. Inside config/ only.
#pragma once

#include "proxy/config/compile_util.h"

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}
namespace envoy::config::accesslog::v3 {
class AccessLogFilter;
}
namespace envoy::config::core::v3 {
class SubstitutionFormatString;
class Http1ProtocolOptions;
}

namespace fairlead::proxy {

void compile_route_table(const CompileContext& at, const envoy::config::route::v3::RouteConfiguration& from, RouteTable& table);
void compile_hcm(const CompileContext& at, const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager& from,
                 HttpConfig& config);
HeaderCase compile_header_case(const CompileContext& at, const envoy::config::core::v3::Http1ProtocolOptions& from);
AccessLogConfig::Filter compile_log_filter(const CompileContext& at, const envoy::config::accesslog::v3::AccessLogFilter& from);
LogFormat compile_substitution(const CompileContext& at, const envoy::config::core::v3::SubstitutionFormatString& from);
Cidr compile_cidr(const CompileContext& at, const envoy::config::core::v3::CidrRange& from);
// A list of HeaderValueOption; `field` names it in errors.
void compile_header_options(const CompileContext& at, std::string_view field,
                            const google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>& from,
                            std::vector<HeaderMutation::Add>& to);
// Rules whose actions are all taken; the others are left out with a warning.
std::vector<RateLimitRule> compile_rate_limits(const CompileContext& at, std::string_view field,
                                               const google::protobuf::RepeatedPtrField<envoy::config::route::v3::RateLimit>& from);
// Filters of Istio and Envoy that only observe, by the type of their configuration: taken with a warning.
bool is_silent_filter(std::string_view type);

}  // namespace fairlead::proxy
