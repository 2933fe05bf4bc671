// Filters: the connection manager, TCP proxy and access logs that listeners are made of. Internal; include only in sources.
#pragma once

#include <set>
#include <string>

#include "control/discovery/context.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace fairlead::control {

enum class ListenerClass : unsigned char { kSidecarOutbound, kSidecarInbound, kGateway };

using HttpConnectionManager = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// Everything but where the routes come from.
HttpConnectionManager connection_manager(const Context& context, ListenerClass which, const std::string& stat_prefix);
void add_connection_manager(envoy::config::listener::v3::FilterChain& chain, const HttpConnectionManager& manager);
void use_rds(HttpConnectionManager& manager, const std::string& route_name);
void add_tcp_proxy(const Context& context, envoy::config::listener::v3::FilterChain& chain, const std::string& cluster,
                   bool with_access_log = true);
// Over (cluster, weight) pairs; one pair is the plain form. tunnels: a DestinationRule's tunnel applies.
void add_tcp_proxy(const Context& context, envoy::config::listener::v3::FilterChain& chain,
                   const std::vector<std::pair<std::string, uint32_t>>& clusters, const std::string& stat_prefix,
                   bool tunnels = true);
// Connections that match no filter chain (NR).
void set_listener_access_log(const Context& context, envoy::config::listener::v3::Listener& listener);

// Not run for connections to the disabled ports (original destination).
void add_tls_inspector(envoy::config::listener::v3::Listener& listener, const std::set<int>& disabled_ports = {});
void add_http_inspector(envoy::config::listener::v3::Listener& listener, const std::set<int>& disabled_ports = {});
// A peer that stops in the middle of its TLS handshake is let go of after 15 s (PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT).
// The chains that are there by now.
void limit_handshakes(envoy::config::listener::v3::Listener& listener, bool default_chain_too = false);

}  // namespace fairlead::control
