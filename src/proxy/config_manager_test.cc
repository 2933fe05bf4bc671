#include "proxy/config_manager.h"

#include <gtest/gtest.h>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "proxy/fuzz_world.h"

namespace fairlead::proxy {
namespace {

constexpr const char* kBootstrap = R"(
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: e}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - {name: e, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}
)";

std::string endpoints(std::initializer_list<const char*> addresses) {
  envoy::config::endpoint::v3::ClusterLoadAssignment set;
  set.set_cluster_name("e");
  for (const char* a : addresses) {
    auto* socket = set.add_endpoints()->add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_socket_address();
    socket->set_address(a);
    socket->set_port_value(80);
  }
  return set.SerializeAsString();
}

TEST(ConfigManager, EndpointsThatAreTakenAwayGoOnServing) {
  FuzzWorld world(*FuzzWorld::load(kBootstrap));
  const std::string request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  ASSERT_TRUE(world.push(xds::kEndpointType, {{"e", {}, endpoints({"10.0.0.1"})}}));
  EXPECT_TRUE(world.say("l", request).starts_with("HTTP/1.1 200 "));
  xds::ReceivedUpdate gone;
  gone.type_url = xds::kEndpointType;
  gone.version = "gone";
  gone.removed = {"e"};
  ASSERT_TRUE(world.manager().on_update(gone));
  world.turn();
  EXPECT_TRUE(world.say("l", request).starts_with("HTTP/1.1 200 "));
  // An assignment without endpoints is another matter.
  ASSERT_TRUE(world.push(xds::kEndpointType, {{"e", {}, endpoints({})}}));
  EXPECT_TRUE(world.say("l", request).starts_with("HTTP/1.1 503 "));
}

}  // namespace
}  // namespace fairlead::proxy
