#include <gtest/gtest.h>

#include "mesh/validate.h"

namespace fairlead::mesh {
namespace {

std::string refused(const std::string& header, const std::string& spec) {
  auto docs = base::parse_yaml(header + spec);
  EXPECT_TRUE(docs) << (docs ? "" : docs.error().text());
  std::string out;
  if (docs)
    for (const auto& p : check_document(docs->front())) out += p.text() + "\n";
  return out;
}
std::string vs(const std::string& spec) {
  return refused("apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {name: x, namespace: default}\n", spec);
}
std::string dr(const std::string& spec) {
  return refused("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x, namespace: default}\n", spec);
}

TEST(IstioRules, AcceptWhatTutorialsWrite) {
  EXPECT_EQ(vs("spec: {hosts: [ratings], http: [{fault: {delay: {percent: 100, fixedDelay: 2s}}, route: [{destination: {host: ratings, subset: v1}}]}]}"), "");
  EXPECT_EQ(dr("spec: {host: httpbin, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, "
               "maxRequestsPerConnection: 1}}, outlierDetection: {consecutiveErrors: 1, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100}}}"),
            "");
}

TEST(IstioRules, RefuseARouteWithoutDestinationOfAnyKind) {
  EXPECT_EQ(vs("spec: {hosts: [a], http: [{match: [{uri: {prefix: /}}]}]}"), "HTTP route, redirect or direct_response is required\n");
  EXPECT_EQ(vs("spec: {hosts: [a]}"), "http, tcp or tls must be provided in virtual service\n");
}

TEST(IstioRules, RefuseWildcardsOnTheMeshGateway) {
  EXPECT_EQ(vs("spec: {hosts: ['*'], http: [{route: [{destination: {host: a}}]}]}"),
            "wildcard host * is not allowed for virtual services bound to the mesh gateway\n");
  EXPECT_EQ(vs("spec: {hosts: ['*'], gateways: [g], http: [{route: [{destination: {host: a}}]}]}"), "");
}

TEST(IstioRules, RefuseBadWeightsPercentagesAndRegexes) {
  std::string text = vs("spec: {hosts: [a], http: [{match: [{uri: {regex: '('}}], fault: {abort: {percentage: {value: 101}, httpStatus: 700}}, "
                        "route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]}]}");
  EXPECT_NE(text.find("\"uri\": error parsing regexp: missing )"), std::string::npos) << text;
  EXPECT_NE(text.find("percentage 101 is neither 0.0, nor in range [0.0001, 100.0]"), std::string::npos) << text;
  EXPECT_NE(text.find("HTTP status 700 is not in range 200-599"), std::string::npos) << text;
  EXPECT_NE(text.find("total destination weight = 0"), std::string::npos) << text;
}

TEST(IstioRules, RefuseDuplicateSubsetsAndEmptyPolicies) {
  EXPECT_EQ(dr("spec: {host: a, subsets: [{name: v1}, {name: v1}]}"), "duplicate subset names: v1\n");
  EXPECT_EQ(dr("spec: {host: a, trafficPolicy: {}}"), "traffic policy must have at least one field\n");
}

TEST(IstioRules, SchemaComesFirst) {
  EXPECT_EQ(dr("spec: {subsets: []}"), "spec.host: Required value\n");
  EXPECT_EQ(vs("spec: {hosts: [a], http: [{timeout: 1x, route: [{destination: {host: a}}]}]}"),
            "spec.http[0].timeout: Invalid value: \"1x\": must be a valid duration greater than 1ms\n");
  EXPECT_EQ(dr("spec: {host: a, trafficPolicy: {loadBalancer: {simple: ROUNDROBIN}}}"),
            "spec.trafficPolicy.loadBalancer.simple: Unsupported value: \"ROUNDROBIN\": supported values: \"UNSPECIFIED\", \"LEAST_CONN\", \"RANDOM\", "
            "\"PASSTHROUGH\", \"ROUND_ROBIN\", \"LEAST_REQUEST\"\n");
}

TEST(IstioRules, GatewaysNeedServersPortsAndTls) {
  std::string header = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: default}\n";
  EXPECT_EQ(refused(header, "spec: {selector: {istio: ingressgateway}}"), "gateway must have at least one server\n");
  EXPECT_EQ(refused(header, "spec: {servers: [{hosts: ['*'], port: {number: 443, name: https, protocol: HTTPS}}]}"),
            "server must have TLS settings for HTTPS/TLS protocols\n");
}

TEST(IstioRules, ListSeveralRefusalsAsIstioDoes) {
  EXPECT_EQ(refusal_text({"a", "b"}), "2 errors occurred:\n\t* a\n\t* b\n\n");
  EXPECT_EQ(refusal_text({"a"}), "a");
}

TEST(IstioRules, SayWhatIsNotActedOnYet) {
  auto docs = base::parse_yaml(
      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x}\nspec: {host: a, trafficPolicy: {loadBalancer: {simple: RANDOM, "
      "localityLbSetting: {enabled: true}}}}");
  ASSERT_TRUE(docs);
  EXPECT_EQ(warnings(*find_kind_of(docs->front()), docs->front()),
            std::vector<std::string>{"spec.trafficPolicy.loadBalancer.localityLbSetting: accepted, but Fairlead does not act on this field yet"});
}

}  // namespace
}  // namespace fairlead::mesh
