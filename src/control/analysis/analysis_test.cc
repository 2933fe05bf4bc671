#include "control/analysis/analysis.h"
#include "control/analysis/references.h"

#include <gtest/gtest.h>

namespace fairlead::control {
namespace {

std::string findings(const char* yaml, const AnalysisOptions& options = {"default", "istio-system", {}}) {
  auto docs = base::parse_yaml(yaml);
  EXPECT_TRUE(docs) << (docs ? "" : docs.error().text());
  std::vector<Item> items;
  if (docs)
    for (auto& d : *docs) items.push_back({std::move(d), "", false, {}});
  std::string out;
  for (const auto& m : analyze(items, options)) out += m.line_text() + "\n";
  return out;
}

constexpr const char* kPlainPod = R"(
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: foo, namespace: default}
spec: {containers: [{name: app, image: x}]}
)";

TEST(Analysis, NamesPodsWithoutProxy) {
  EXPECT_EQ(findings(kPlainPod),
            "Warning [IST0103] (Pod default/foo) The pod default/foo is missing the Istio proxy. This can often be resolved by restarting or "
            "redeploying the workload.\n");
  EXPECT_EQ(findings(kPlainPod, {"default", "istio-system", {"IST0103=Pod *.default"}}), "");
  EXPECT_EQ(findings(kPlainPod, {"other", "istio-system", {}}), "");
}

TEST(Analysis, NamesNamespacesThatAreNotInjected) {
  std::string text = findings("apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n");
  EXPECT_TRUE(text.starts_with("Info [IST0102] (Namespace default) The namespace is not enabled for Istio injection. Run 'kubectl label namespace "
                               "default istio-injection=enabled' to enable it"))
      << text;
}

TEST(Analysis, FollowsWhatARouteRefersTo) {
  std::string text = findings(R"(
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs, namespace: default}
spec:
  hosts: [reviews]
  gateways: [nowhere, mesh]
  http:
  - route:
    - {destination: {host: reviews, subset: v9}, weight: 50}
    - {destination: {host: reviewz}, weight: 50}
    mirror: {host: reviews, port: {number: 1}}
)");
  EXPECT_EQ(text,
            "Error [IST0101] (VirtualService default/vs) Referenced gateway not found: \"nowhere\"\n"
            "Error [IST0101] (VirtualService default/vs) Referenced host not found: \"reviewz\"\n"
            "Error [IST0101] (VirtualService default/vs) Referenced host+subset in destinationrule not found: \"reviews+v9\"\n"
            "Error [IST0101] (VirtualService default/vs) Referenced host:port not found: \"reviews:1\"\n"
            "Warning [IST0132] (VirtualService default/vs) one or more host [reviews] defined in VirtualService default/vs not found in Gateway "
            "default/nowhere.\n");
}

TEST(Analysis, AsksGatewaysForAnExposedPort) {
  std::string base = R"(
apiVersion: v1
kind: Pod
metadata: {name: gw, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy, image: x, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: gw, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {selector: {istio: ingressgateway}, ports: [{name: http2, port: 80, targetPort: 8080, protocol: TCP}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{hosts: ['*'], port: {number: PORT, name: http, protocol: HTTP}}]}
)";
  auto with = [&](const char* port) { return findings(std::string(base).replace(base.find("PORT"), 4, port).c_str()); };
  EXPECT_EQ(with("80"), "");
  EXPECT_EQ(with("8080"), "");
  EXPECT_EQ(with("8004"),
            "Warning [IST0104] (Gateway default/g) The gateway refers to a port that is not exposed on the workload (pod selector "
            "istio=ingressgateway; port 8004)\n");
}

TEST(Analysis, FindsTwoVirtualServicesForOneHost) {
  std::string text = findings(R"(
apiVersion: v1
kind: Service
metadata: {name: a, namespace: default}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: default}
spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: two, namespace: default}
spec: {hosts: [a.default.svc.cluster.local], http: [{route: [{destination: {host: a}}]}]}
)");
  EXPECT_NE(text.find("Error [IST0109] (VirtualService default/one) The VirtualServices default/one,default/two associated with mesh gateway define "
                      "the same host */a.default.svc.cluster.local"),
            std::string::npos)
      << text;
}

TEST(Analysis, TellsUnusedRulesAndSchemaErrors) {
  std::string text = findings(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs, namespace: default}
spec:
  hosts: [a]
  http:
  - redirect: {uri: /x}
  - redirect: {uri: /y}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: dr, namespace: default}
spec: {hst: a}
)");
  EXPECT_NE(text.find("Warning [IST0130] (VirtualService default/vs) VirtualService rule #1 not used (only the last rule can have no matches)."),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("Error [IST0106] (DestinationRule default/dr) Schema validation error: unknown field \"spec.hst\" (did you mean \"host\"?)"),
            std::string::npos)
      << text;
}

TEST(References, AreWarnedAboutWhenARouteIsWritten) {
  auto vs = base::parse_yaml("kind: VirtualService\nmetadata: {name: x, namespace: default}\nspec: {hosts: [a], http: [{route: [{destination: {host: a, subset: v1}}]}]}");
  auto service = base::parse_yaml("metadata: {name: a, namespace: default}\nspec: {ports: [{port: 80}]}");
  auto list = [&](std::string_view resource) {
    std::vector<std::shared_ptr<const base::Value>> out;
    if (resource == "services") out.push_back(std::make_shared<const base::Value>(service->front()));
    return out;
  };
  EXPECT_EQ(reference_warnings(vs->front(), list),
            std::vector<std::string>{"[IST0101] Referenced host+subset in destinationrule not found: \"a+v1\" (requests to it are answered 503 until it "
                                     "is there)"});
}

}  // namespace
}  // namespace fairlead::control
