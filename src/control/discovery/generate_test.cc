// What the generators make of the walkthrough's resources. The expectations are what Istio's own generators print.
#include "control/discovery/generate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/strings.h"
#include "control/registry.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace fairlead::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;

std::string service(std::string name, std::string ip, std::string ports, std::string ns = "default", std::string app = "") {
  return fmt::format(R"(
---
apiVersion: v1
kind: Service
metadata: {{name: {0}, namespace: {3}}}
spec: {{clusterIP: {1}, selector: {{app: {4}}}, ports: [{2}]}}
)", name, ip, ports, ns, app.empty() ? name : app);
}

std::string pod(std::string name, std::string ip, std::string labels, std::string ns = "default") {
  return fmt::format(R"(
---
apiVersion: v1
kind: Pod
metadata: {{name: {0}, namespace: {3}, labels: {{{2}}}}}
spec: {{containers: [{{name: c}}]}}
status: {{podIP: {1}, phase: Running}}
)", name, ip, labels, ns);
}

std::string slice(std::string svc, std::string port_name, int port, std::string addresses, std::string ns = "default") {
  std::string endpoints;
  for (auto a : base::split(addresses, ' ')) endpoints += fmt::format("{}{{addresses: [{}]}}", endpoints.empty() ? "" : ", ", a);
  return fmt::format(R"(
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {0}-1, namespace: {4}, labels: {{kubernetes.io/service-name: {0}}}}}
addressType: IPv4
endpoints: [{3}]
ports: [{{name: "{1}", port: {2}}}]
)", svc, port_name, port, endpoints, ns);
}

const std::string kMesh = service("reviews", "10.96.0.2", "{name: http, port: 9080, targetPort: 9080}") +
                          service("ratings", "10.96.0.3", "{name: http, port: 9080, targetPort: 9080}") +
                          service("tcp-echo", "10.96.0.4", "{name: tcp, port: 9000}, {name: sniffed, port: 9001}") +
                          service("istio-ingressgateway", "10.96.0.9", "{name: http2, port: 80, targetPort: 8080}", "istio-system") +
                          pod("reviews-v1", "10.244.0.1", "app: reviews, version: v1") +
                          pod("reviews-v2", "10.244.0.2", "app: reviews, version: v2") +
                          pod("gateway", "10.244.0.9", "app: istio-ingressgateway, istio: ingressgateway", "istio-system") +
                          slice("reviews", "http", 9080, "10.244.0.1 10.244.0.2");

struct World {
  explicit World(const std::string& more = "", const std::string& mesh = "accessLogFile: /dev/stdout") {
    std::string config_map = fmt::format(R"(
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: "{}"}}
)", mesh);
    auto objects = base::parse_yaml(kMesh + config_map + more);
    EXPECT_TRUE(objects) << objects.error().text();
    registry.replace(*objects);
  }

  template <class Message>
  Message get(std::string_view type, const std::string& name, bool gateway = false) {
    auto proxy = parse_proxy(gateway ? "router~10.244.0.9~gateway.istio-system~istio-system.svc.cluster.local"
                                     : "sidecar~10.244.0.1~reviews-v1.default~default.svc.cluster.local",
                             base::Value::object());
    Generator generator(registry.snapshot(), *proxy);
    std::set<std::string> names{name};
    auto all = generator.generate(type, &names);
    Message out;
    auto it = all.find(name);
    found = it != all.end();
    if (found) out.ParseFromString(*it->second.bytes);
    return out;
  }
  RouteConfiguration routes(const std::string& name, bool gateway = false) {
    return get<RouteConfiguration>(xds::kRouteType, name, gateway);
  }
  Cluster cluster(const std::string& name) { return get<Cluster>(xds::kClusterType, name); }

  Registry registry;
  bool found = false;
};

const envoy::config::route::v3::VirtualHost* host(const RouteConfiguration& routes, const std::string& name) {
  for (const auto& vh : routes.virtual_hosts())
    if (vh.name() == name) return &vh;
  return nullptr;
}

std::string virtual_service(const std::string& name, const std::string& spec) {
  return fmt::format("\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {}, namespace: default}}\nspec: {}\n",
                     name, spec);
}

std::string config(const std::string& kind, const std::string& name, const std::string& spec) {
  return fmt::format("\n---\napiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}, namespace: default}}\nspec: {}\n", kind,
                     name, spec);
}

TEST(Routes, NameAServiceByAllItsNames) {
  World world;
  auto routes = world.routes("9080");
  const auto* reviews = host(routes, "reviews.default.svc.cluster.local:9080");
  ASSERT_TRUE(reviews);
  std::vector<std::string> domains(reviews->domains().begin(), reviews->domains().end());
  EXPECT_EQ(domains, (std::vector<std::string>{"reviews.default.svc.cluster.local", "reviews.default.svc.cluster.local.", "reviews",
                                               "reviews.default.svc", "reviews.default", "10.96.0.2"}));
  EXPECT_EQ(reviews->routes(0).route().cluster(), "outbound|9080||reviews.default.svc.cluster.local");
  EXPECT_EQ(reviews->routes(0).route().retry_policy().num_retries().value(), 2u);
  EXPECT_EQ(reviews->routes(0).route().timeout().seconds(), 0);
}

TEST(Routes, EndInAllowAnyOrBlockAll) {
  auto last = [](World world) {
    auto routes = world.routes("9080");
    return routes.virtual_hosts(routes.virtual_hosts_size() - 1);
  };
  EXPECT_EQ(last(World()).routes(0).route().cluster(), "PassthroughCluster");
  auto blocked = last(World("", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"));
  EXPECT_EQ(blocked.name(), "block_all");
  EXPECT_EQ(blocked.routes(0).direct_response().status(), 502u);
}

TEST(Routes, SplitByWeightAndMatchByHeader) {
  World world(virtual_service("reviews", R"({hosts: [reviews], http: [
      {match: [{headers: {end-user: {exact: jason}}}], route: [{destination: {host: reviews, subset: v2}}]},
      {route: [{destination: {host: reviews, subset: v1}, weight: 50}, {destination: {host: reviews, subset: v3}, weight: 50}]}]})"));
  auto routes = world.routes("9080");
  const auto* reviews = host(routes, "reviews.default.svc.cluster.local:9080");
  ASSERT_TRUE(reviews);
  ASSERT_EQ(reviews->routes_size(), 2);
  EXPECT_EQ(reviews->routes(0).match().headers(0).string_match().exact(), "jason");
  EXPECT_EQ(reviews->routes(0).route().cluster(), "outbound|9080|v2|reviews.default.svc.cluster.local");
  EXPECT_EQ(reviews->routes(1).route().weighted_clusters().clusters(1).name(), "outbound|9080|v3|reviews.default.svc.cluster.local");
}

TEST(Routes, ToAMissingHostAreKeptAndBreakAlone) {
  World world(virtual_service("reviews", "{hosts: [reviews], http: [{route: [{destination: {host: nowhere, subset: v9}}]}]}"));
  auto routes = world.routes("9080");
  EXPECT_EQ(host(routes, "reviews.default.svc.cluster.local:9080")->routes(0).route().cluster(),
            "outbound|9080|v9|nowhere.default.svc.cluster.local");
  EXPECT_FALSE(routes.validate_clusters().value());
  EXPECT_EQ(host(routes, "ratings.default.svc.cluster.local:9080")->routes(0).route().cluster(),
            "outbound|9080||ratings.default.svc.cluster.local");
}

TEST(Routes, ReadTheOldSpellingOfFaults) {
  World world(virtual_service("ratings", R"({hosts: [ratings], http: [{fault: {delay: {percent: 100, fixedDelay: 2s}},
      timeout: 1s, retries: {attempts: 2, perTryTimeout: 1s}, route: [{destination: {host: ratings}}]}]})"));
  auto routes = world.routes("9080");
  const auto& route = host(routes, "ratings.default.svc.cluster.local:9080")->routes(0);
  envoy::extensions::filters::http::fault::v3::HTTPFault fault;
  ASSERT_TRUE(route.typed_per_filter_config().at("envoy.filters.http.fault").UnpackTo(&fault));
  EXPECT_EQ(fault.delay().percentage().numerator(), 100u);
  EXPECT_EQ(fault.delay().fixed_delay().seconds(), 2);
  EXPECT_EQ(route.route().timeout().seconds(), 1);
  EXPECT_EQ(route.route().retry_policy().per_try_timeout().seconds(), 1);
}

TEST(Routes, OfASniffedPortAnswerToAnyHost) {
  World world;
  auto routes = world.routes("tcp-echo.default.svc.cluster.local:9001");
  ASSERT_EQ(routes.virtual_hosts_size(), 1);
  EXPECT_EQ(routes.virtual_hosts(0).domains(0), "*");
}

TEST(Gateway, BindsToTheTargetPortAndRoutesByHost) {
  World world(config("Gateway", "httpbin-gateway",
                     "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [httpbin.example.com]}]}") +
              virtual_service("httpbin", R"({hosts: [httpbin.example.com], gateways: [httpbin-gateway], http: [
                  {match: [{uri: {prefix: /status}}], route: [{destination: {host: reviews, port: {number: 9080}}}]}]})"));
  auto listener = world.get<Listener>(xds::kListenerType, "0.0.0.0_8080", true);
  ASSERT_TRUE(world.found);
  auto routes = world.routes("http.8080", true);
  ASSERT_EQ(routes.virtual_hosts_size(), 1);
  EXPECT_EQ(routes.virtual_hosts(0).name(), "httpbin.example.com:80");
  EXPECT_EQ(routes.virtual_hosts(0).routes(0).match().prefix(), "/status");
  EXPECT_TRUE(host(world.routes("9080"), "httpbin.example.com:9080") == nullptr) << "a sidecar does not see a gateway's hosts";
}

TEST(Gateway, TwoHopsAreToldApartByTheMatchsGateways) {
  World world(config("ServiceEntry", "ext",
                     "{hosts: [httpbin.org], resolution: DNS, location: MESH_EXTERNAL, ports: [{number: 80, name: http, protocol: HTTP}]}") +
              config("Gateway", "my-egress",
                     "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [httpbin.org]}]}") +
              virtual_service("hops", R"({hosts: [httpbin.org], gateways: [my-egress, mesh], http: [
                  {match: [{gateways: [mesh], port: 80}], route: [{destination: {host: istio-ingressgateway.istio-system.svc.cluster.local, subset: x, port: {number: 80}}}]},
                  {match: [{gateways: [my-egress], port: 80}], route: [{destination: {host: httpbin.org, port: {number: 80}}}]}]})"));
  auto sidecar = world.routes("80");
  const auto* from_sidecar = host(sidecar, "httpbin.org:80");
  ASSERT_TRUE(from_sidecar);
  EXPECT_EQ(from_sidecar->routes(0).route().cluster(), "outbound|80|x|istio-ingressgateway.istio-system.svc.cluster.local");
  auto gateway = world.routes("http.8080", true);
  EXPECT_EQ(host(gateway, "httpbin.org:80")->routes(0).route().cluster(), "outbound|80||httpbin.org");
}

TEST(Clusters, TakeSubsetsAndPoliciesFromTheDestinationRule) {
  World world(config("DestinationRule", "reviews", R"({host: reviews, trafficPolicy: {
      connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}},
      outlierDetection: {consecutiveErrors: 1, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100}},
      subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}]})"));
  auto whole = world.cluster("outbound|9080||reviews.default.svc.cluster.local");
  EXPECT_EQ(whole.circuit_breakers().thresholds(0).max_connections().value(), 1u);
  EXPECT_EQ(whole.circuit_breakers().thresholds(0).max_pending_requests().value(), 1u);
  EXPECT_EQ(whole.outlier_detection().consecutive_gateway_failure().value(), 1u);
  EXPECT_EQ(whole.lb_policy(), Cluster::LEAST_REQUEST);
  auto v1 = world.cluster("outbound|9080|v1|reviews.default.svc.cluster.local");
  ASSERT_TRUE(world.found);
  EXPECT_EQ(v1.lb_policy(), Cluster::ROUND_ROBIN);
  EXPECT_EQ(v1.circuit_breakers().thresholds(0).max_connections().value(), 1u) << "subsets inherit";
  auto load = world.get<ClusterLoadAssignment>(xds::kEndpointType, "outbound|9080|v1|reviews.default.svc.cluster.local");
  ASSERT_EQ(load.endpoints_size(), 1);
  ASSERT_EQ(load.endpoints(0).lb_endpoints_size(), 1);
  EXPECT_EQ(load.endpoints(0).lb_endpoints(0).endpoint().address().socket_address().address(), "10.244.0.1");
}

TEST(Listeners, AreNamedAndShapedByProtocol) {
  World world;
  auto http = world.get<Listener>(xds::kListenerType, "0.0.0.0_9080");
  ASSERT_TRUE(world.found);
  EXPECT_EQ(http.filter_chains(0).filter_chain_match().application_protocols(0), "http/1.1");
  EXPECT_EQ(http.default_filter_chain().name(), "PassthroughFilterChain");
  auto tcp = world.get<Listener>(xds::kListenerType, "10.96.0.4_9000");
  ASSERT_TRUE(world.found);
  EXPECT_EQ(tcp.listener_filters_size(), 0) << "a declared TCP port is not sniffed";
  auto sniffed = world.get<Listener>(xds::kListenerType, "10.96.0.4_9001");
  ASSERT_TRUE(world.found);
  EXPECT_EQ(sniffed.listener_filters(0).name(), "envoy.filters.listener.http_inspector");
  auto inbound = world.get<Listener>(xds::kListenerType, "virtualInbound");
  EXPECT_TRUE(std::any_of(inbound.filter_chains().begin(), inbound.filter_chains().end(), [](const auto& c) {
    return c.name() == "0.0.0.0_9080" && c.filter_chain_match().destination_port().value() == 9080;
  }));
}

// Transport protocols of the chains for a port, "+" where mutual TLS is asked for.
std::vector<std::string> inbound_chains(World& world, uint32_t port) {
  std::vector<std::string> out;
  auto inbound = world.get<Listener>(xds::kListenerType, "virtualInbound");
  for (const auto& c : inbound.filter_chains())
    if (c.filter_chain_match().destination_port().value() == port)
      out.push_back(c.filter_chain_match().transport_protocol() + (c.has_transport_socket() ? "+" : ""));
  return out;
}

std::string peer_authentication(std::string name, std::string ns, std::string spec) {
  return fmt::format("\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {}, namespace: {}}}\nspec: {}\n", name, ns, spec);
}

TEST(MutualTls, IsPermissiveUnlessAPolicySaysOtherwise) {
  World world;
  EXPECT_EQ(inbound_chains(world, 9080), (std::vector<std::string>{"tls+", "raw_buffer"}));
  World strict(peer_authentication("default", "istio-system", "{mtls: {mode: STRICT}}"));
  EXPECT_EQ(inbound_chains(strict, 9080), (std::vector<std::string>{"tls+"}));
  World ns(peer_authentication("default", "istio-system", "{mtls: {mode: STRICT}}") + peer_authentication("own", "default", "{mtls: {mode: DISABLE}}"));
  EXPECT_EQ(inbound_chains(ns, 9080), (std::vector<std::string>{"raw_buffer"})) << "the namespace's policy is nearer than the mesh's";
}

TEST(MutualTls, IsChosenByTheEndpointsLabel) {
  World world;
  auto cluster = world.get<Cluster>(xds::kClusterType, "outbound|9080||reviews.default.svc.cluster.local");
  ASSERT_EQ(cluster.transport_socket_matches_size(), 2);
  EXPECT_EQ(cluster.transport_socket_matches(0).name(), "tlsMode-istio");
  EXPECT_EQ(cluster.transport_socket_matches(1).name(), "tlsMode-disabled");
  World off("\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: off, namespace: default}\n"
            "spec: {host: reviews, trafficPolicy: {tls: {mode: DISABLE}}}\n");
  EXPECT_EQ(off.get<Cluster>(xds::kClusterType, "outbound|9080||reviews.default.svc.cluster.local").transport_socket_matches_size(), 0);
}

std::string pod_as(std::string name, std::string ip, std::string labels, std::string account) {
  std::string text = pod(name, ip, labels);
  return base::replace_all(text, "spec: {", fmt::format("spec: {{serviceAccountName: {}, ", account));
}

std::vector<std::string> names_wanted(World& world, const std::string& cluster) {
  envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext context;
  auto c = world.get<Cluster>(xds::kClusterType, cluster);
  if (c.transport_socket_matches_size() == 0) return {"(none)"};
  c.transport_socket_matches(0).transport_socket().typed_config().UnpackTo(&context);
  std::vector<std::string> out;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  for (const auto& m : context.common_tls_context().combined_validation_context().default_validation_context().match_subject_alt_names()) out.push_back(m.exact());
#pragma GCC diagnostic pop
  return out;
}

TEST(MutualTls, ClientsKnowWhoAServicesEndpointsAre) {
  World world(service("cart", "10.96.0.20", "{name: http, port: 80}") + pod_as("cart-1", "10.244.0.21", "app: cart", "cart") +
              pod_as("cart-2", "10.244.0.22", "app: cart", "cart-canary") + slice("cart", "http", 80, "10.244.0.21 10.244.0.22"));
  EXPECT_EQ(names_wanted(world, "outbound|80||cart.default.svc.cluster.local"),
            (std::vector<std::string>{"spiffe://cluster.local/ns/default/sa/cart", "spiffe://cluster.local/ns/default/sa/cart-canary"}));
  World other(service("cart", "10.96.0.20", "{name: http, port: 80}") + pod_as("cart-1", "10.244.0.21", "app: cart", "cart") +
                  slice("cart", "http", 80, "10.244.0.21"),
              "{trustDomain: new.example, trustDomainAliases: [old.example]}");
  EXPECT_EQ(names_wanted(other, "outbound|80||cart.default.svc.cluster.local"),
            (std::vector<std::string>{"spiffe://new.example/ns/default/sa/cart", "spiffe://old.example/ns/default/sa/cart"}));
}

TEST(MutualTls, IsNotForANamespaceThatDisablesIt) {
  World world(peer_authentication("default", "default", "{mtls: {mode: DISABLE}}"));
  EXPECT_EQ(names_wanted(world, "outbound|9080||reviews.default.svc.cluster.local"), (std::vector<std::string>{"(none)"}));
}

TEST(Identity, AProxyIsWhatItsCertificateOrTokenSays) {
  auto proxy = [](std::string metadata) { return *parse_proxy("sidecar~10.0.0.1~cart-1.default~default.svc.cluster.local", (*base::parse_yaml(metadata))[0]); };
  auto own = proxy("{NAMESPACE: default, SERVICE_ACCOUNT: cart}");
  EXPECT_TRUE(verify_proxy(own, "spiffe://cluster.local/ns/default/sa/cart"));
  EXPECT_EQ(own.verified_ns, "default");
  for (std::string_view caller : {"spiffe://cluster.local/ns/other/sa/cart", "spiffe://cluster.local/ns/default/sa/other", "cart.default", ""}) {
    auto p = proxy("{NAMESPACE: default, SERVICE_ACCOUNT: cart}");
    EXPECT_FALSE(verify_proxy(p, caller)) << caller;
    EXPECT_EQ(p.verified_ns, "");
  }
  auto borrowed = proxy("{NAMESPACE: other}");
  EXPECT_FALSE(verify_proxy(borrowed, "spiffe://cluster.local/ns/other/sa/cart")) << "the id is of another namespace than the metadata";
}

TEST(Secrets, AreForGatewaysThatHaveShownWhoTheyAre) {
  World world("\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: istio-system}\ntype: kubernetes.io/tls\n"
              "data: {tls.crt: Y2VydA==, tls.key: a2V5, ca.crt: Y2E=}\n");
  auto got = [&](std::string ns, bool router, std::string name) {
    auto proxy = *parse_proxy(router ? "router~10.244.0.9~gateway.istio-system~d" : "sidecar~10.244.0.1~x.istio-system~d", base::Value::object());
    proxy.verified_ns = ns;
    std::set<std::string> names{name};
    return Generator(world.registry.snapshot(), proxy).generate(xds::kSecretType, &names).size();
  };
  EXPECT_EQ(got("istio-system", true, "kubernetes://web"), 1u);
  EXPECT_EQ(got("istio-system", true, "kubernetes://web-cacert"), 1u);
  EXPECT_EQ(got("istio-system", true, "kubernetes://istio-system/web"), 1u);
  EXPECT_EQ(got("istio-system", true, "kubernetes://missing"), 0u);
  EXPECT_EQ(got("", true, "kubernetes://web"), 0u) << "no identity";
  EXPECT_EQ(got("other", true, "kubernetes://istio-system/web"), 0u) << "of another namespace";
  EXPECT_EQ(got("istio-system", false, "kubernetes://web"), 0u) << "a sidecar";
}

TEST(Registry, TellsEndpointChangesFromOthers) {
  World world;
  auto before = world.registry.snapshot();
  auto object = base::parse_yaml(slice("reviews", "http", 9080, "10.244.0.2"));
  EXPECT_EQ(world.registry.apply("endpointslices.discovery.k8s.io", store::EventType::kModified,
                                 std::make_shared<const base::Value>((*object)[0])),
            Scope::kEndpoints);
  auto after = world.registry.snapshot();
  EXPECT_EQ(before->endpoints.at("default/reviews.default.svc.cluster.local")->at(9080).size(), 2u) << "snapshots do not change";
  EXPECT_EQ(after->endpoints.at("default/reviews.default.svc.cluster.local")->at(9080).size(), 1u);
  EXPECT_EQ(world.registry.snapshot(), after) << "nothing changed, nothing made";
}

}  // namespace
}  // namespace fairlead::control
