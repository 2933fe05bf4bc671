// Resolve: short host names, gateway references and delegates of Istio's resources made whole. Pure functions.
// Source: Istio's pilot/pkg/model (ResolveShortnameToFQDN, resolveGatewayName, mergeVirtualServicesIfNeeded).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/model.h"

namespace fairlead::control {

// "reviews" -> "reviews.NS.svc.DOMAIN"; names with a dot and "*" stay as they are. Lower case.
std::string resolve_host(std::string_view host, std::string_view ns, std::string_view domain);
// "my-gateway" -> "NS/my-gateway"; "./x" -> "NS/x"; "mesh" stays.
std::string resolve_gateway(std::string_view name, std::string_view ns);
// Fills hosts, gateways and selector of a Config and rewrites the names inside its spec.
void make_whole(Config& config, std::string_view domain);
// Replaces routes that delegate by the delegates' routes; delegates (without hosts) leave the list.
void merge_delegates(std::vector<ConfigPtr>& virtual_services);

}  // namespace fairlead::control
