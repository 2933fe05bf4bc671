// The types of resources by their URLs.
#pragma once

#include <string>
#include <string_view>

namespace fairlead::xds {

inline constexpr std::string_view kClusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
inline constexpr std::string_view kEndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
inline constexpr std::string_view kListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr std::string_view kRouteType = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
inline constexpr std::string_view kSecretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

// "package.Service/Method" of the stream that carries one type alone. An unknown type has none: "".
inline std::string stream_method(std::string_view type_url, bool delta) {
  struct Service {
    std::string_view type, name, of;
  };
  static constexpr Service kServices[] = {{kClusterType, "envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters"},
                                          {kEndpointType, "envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints"},
                                          {kListenerType, "envoy.service.listener.v3.ListenerDiscoveryService", "Listeners"},
                                          {kRouteType, "envoy.service.route.v3.RouteDiscoveryService", "Routes"},
                                          {kSecretType, "envoy.service.secret.v3.SecretDiscoveryService", "Secrets"}};
  for (const Service& s : kServices)
    if (s.type == type_url) return std::string(s.name) + (delta ? "/Delta" : "/Stream") + std::string(s.of);
  return {};
}

}  // namespace fairlead::xds
