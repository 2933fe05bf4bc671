#include "control/injection.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "control/webhook.h"

namespace fairlead::control {
namespace {

using base::Value;

Value pod() {
  return (*base::parse_yaml(R"(
apiVersion: v1
kind: Pod
metadata:
  generateName: reviews-v1-545db77b95-
  labels: {app: reviews, version: v1, pod-template-hash: 545db77b95}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: reviews-v1-545db77b95}]
spec:
  serviceAccountName: bookinfo-reviews
  containers:
  - name: reviews
    image: docker.io/istio/examples-bookinfo-reviews-v1:1.20.3
    ports: [{containerPort: 9080}]
)"))[0];
}

std::string env_of(const Value& container, std::string_view name) {
  for (const auto& e : container["env"].items())
    if (e["name"].as_string() == name) return e["value"].as_string();
  return "(none)";
}

TEST(Injection, AddsInitAndProxyBehindTheApp) {
  auto out = inject_pod(pod(), "default", {});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->at("spec.initContainers.0.name").as_string(), "istio-init");
  EXPECT_EQ(out->at("spec.containers.0.name").as_string(), "reviews");
  EXPECT_EQ(out->at("spec.containers.1.name").as_string(), "istio-proxy");
  const Value& proxy = out->at("spec.containers.1");
  EXPECT_EQ(env_of(proxy, "ISTIO_META_WORKLOAD_NAME"), "reviews-v1");
  EXPECT_EQ(env_of(proxy, "ISTIO_META_OWNER"), "kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v1");
  EXPECT_EQ(env_of(proxy, "ISTIO_META_APP_CONTAINERS"), "reviews");
  const Value& labels = (*out)["metadata"]["labels"];
  EXPECT_EQ(labels["service.istio.io/canonical-name"].as_string(), "reviews");
  EXPECT_EQ(labels["service.istio.io/canonical-revision"].as_string(), "v1");
  EXPECT_EQ((*out)["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_string(), "reviews");
}

TEST(Injection, ProbesGoByTheAgentThatKnowsWhatTheyWere) {
  Value p = pod();
  Value& c = p["spec"]["containers"].mutable_items()[0];
  c.set("ports", (*base::parse_yaml("[{containerPort: 9080, name: web}]"))[0]);
  c.set("readinessProbe", (*base::parse_yaml("{httpGet: {path: /health, port: web, scheme: HTTPS, httpHeaders: [{name: a, value: b}]}, timeoutSeconds: 2}"))[0]);
  c.set("livenessProbe", (*base::parse_yaml("{tcpSocket: {port: 9080}, periodSeconds: 7}"))[0]);
  c.set("startupProbe", (*base::parse_yaml("{exec: {command: [cat]}}"))[0]);
  c.set("lifecycle", (*base::parse_yaml("{preStop: {httpGet: {path: /bye, port: 9080}}}"))[0]);
  auto out = inject_pod(p, "default", {});
  ASSERT_TRUE(out);
  const Value& app = out->at("spec.containers.0");
  EXPECT_EQ(app["readinessProbe"].dump(), R"({"timeoutSeconds":2,"httpGet":{"path":"/app-health/reviews/readyz","port":15020,"scheme":"HTTP","httpHeaders":[{"name":"a","value":"b"}]}})");
  EXPECT_EQ(app["livenessProbe"].dump(), R"({"periodSeconds":7,"httpGet":{"path":"/app-health/reviews/livez","port":15020}})");
  EXPECT_EQ(app["startupProbe"].dump(), R"({"exec":{"command":["cat"]}})");
  EXPECT_EQ(app["lifecycle"].dump(), R"({"preStop":{"httpGet":{"path":"/app-lifecycle/reviews/prestopz","port":15020}}})");
  EXPECT_EQ(env_of(out->at("spec.containers.1"), "ISTIO_KUBE_APP_PROBERS"),
            R"({"/app-health/reviews/livez":{"tcpSocket":{"port":9080}},)"
            R"("/app-health/reviews/readyz":{"httpGet":{"path":"/health","port":9080,"scheme":"HTTPS","httpHeaders":[{"name":"a","value":"b"}]},"timeoutSeconds":2},)"
            R"("/app-lifecycle/reviews/prestopz":{"httpGet":{"path":"/bye","port":9080}}})");
  p["metadata"]["annotations"].set("sidecar.istio.io/rewriteAppHTTPProbers", "false");
  out = inject_pod(p, "default", {});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->at("spec.containers.0")["livenessProbe"].dump(), R"({"tcpSocket":{"port":9080},"periodSeconds":7})");
  EXPECT_EQ(env_of(out->at("spec.containers.1"), "ISTIO_KUBE_APP_PROBERS"), "(none)");
}

TEST(Injection, LeavesAloneWhatSaysSo) {
  EXPECT_EQ(reason_not_to_inject(pod(), "default"), "");
  EXPECT_NE(reason_not_to_inject(pod(), "kube-system"), "");
  Value p = pod();
  p["metadata"]["labels"].set("sidecar.istio.io/inject", "false");
  EXPECT_NE(reason_not_to_inject(p, "default"), "");
  p["metadata"]["labels"].set("sidecar.istio.io/inject", "true");
  p["metadata"]["annotations"].set("sidecar.istio.io/inject", "false");
  EXPECT_EQ(reason_not_to_inject(p, "default"), "") << "the label wins";
  auto injected = inject_pod(p, "default", {});
  EXPECT_NE(reason_not_to_inject(*injected, "default"), "") << "twice would be once too often";
}

TEST(Injection, PassesTrafficAnnotationsAndRefusesBadOnes) {
  Value p = pod();
  p["metadata"]["annotations"].set("traffic.sidecar.istio.io/excludeOutboundPorts", "3306,6379");
  p["metadata"]["annotations"].set("traffic.sidecar.istio.io/excludeInboundPorts", "9999");
  auto out = inject_pod(p, "default", {});
  ASSERT_TRUE(out);
  std::string args = out->at("spec.initContainers.0.args").dump();
  EXPECT_NE(args.find(R"("-o","3306,6379")"), std::string::npos) << args;
  EXPECT_NE(args.find("15090,15021,15020,15019,9999"), std::string::npos) << args;
  p["metadata"]["annotations"].set("traffic.sidecar.istio.io/excludeOutboundPorts", "http");
  auto bad = inject_pod(p, "default", {});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("excludeOutboundPorts"), std::string::npos);
}

TEST(Injection, ReviewAnswersWithAPatchThatChangesOnlyWhatChanged) {
  Value review = Value::object({{"apiVersion", "admission.k8s.io/v1"}, {"request", Value::object({{"uid", "u-1"}, {"namespace", "default"}, {"object", pod()}})}});
  Value answer = review_injection(review, {});
  EXPECT_EQ(answer.at("response.uid").as_string(), "u-1");
  EXPECT_TRUE(answer.at("response.allowed").as_bool());
  auto patch = base::parse_json(*base::base64_decode(answer.at("response.patch").as_string()));
  ASSERT_TRUE(patch);
  std::string paths;
  for (const auto& op : patch->items()) paths += op["op"].as_string() + " " + op["path"].as_string() + "\n";
  EXPECT_EQ(paths,
            "replace /metadata/labels\nadd /metadata/annotations\nreplace /spec/containers\nadd /spec/initContainers\nadd /spec/volumes\n");
}

TEST(Injection, WorkloadsAreInjectedInTheirTemplate) {
  Value p = pod();
  Value deployment = Value::object({{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"metadata", Value::object({{"name", "reviews-v1"}})},
                                    {"spec", Value::object({{"template", Value::object({{"metadata", Value::object({{"labels", Value::object({{"app", "reviews"}})}})},
                                                                                        {"spec", p["spec"]}})}})}});
  auto out = inject_object(deployment, {});
  ASSERT_TRUE(out);
  EXPECT_EQ(env_of(out->at("spec.template.spec.containers.1"), "ISTIO_META_WORKLOAD_NAME"), "reviews-v1");
  EXPECT_FALSE(out->at("spec.template.metadata").contains("ownerReferences"));
  Value service = Value::object({{"kind", "Service"}});
  EXPECT_EQ(*inject_object(service, {}), service);
}

}  // namespace
}  // namespace fairlead::control
