#include "node/controllers/controllers.h"

#include <regex>

#include "node/cluster_for_test.h"
#include "node/service_table.h"

namespace fairlead::node {
namespace {

using base::Value;

std::string deployment(int replicas, const std::string& image, const std::string& more = "") {
  return fmt::format(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {{name: reviews-v1}}
spec:
  replicas: {}
  selector: {{matchLabels: {{app: reviews}}}}
{}
  template:
    metadata: {{labels: {{app: reviews}}}}
    spec:
      containers:
      - name: app
        image: {}
        ports: [{{name: web, containerPort: 9080}}]
        readinessProbe: {{httpGet: {{port: web}}, periodSeconds: 1}}
)",
                     replicas, more, image);
}

int available(const TestCluster& c) {
  int n = 0;
  for (auto& pod : c.pods())
    if (pod_ready(*pod) && !being_deleted(*pod)) ++n;
  return n;
}

TEST(Deployment, NamesPodsAsKubernetesDoes) {
  TestCluster c;
  c.create(deployment(2, "v1"));
  ASSERT_TRUE(c.until([&] { return available(c) == 2; }));
  for (auto& pod : c.pods()) {
    std::string name = (*pod)["metadata"]["name"].as_string();
    EXPECT_TRUE(std::regex_match(name, std::regex("reviews-v1-[bcdf4-9]{7,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"))) << name;
  }
  const Value d = c.get("deployments.apps", "reviews-v1");
  ASSERT_TRUE(c.until([&] { return c.get("deployments.apps", "reviews-v1")["status"]["availableReplicas"].as_int() == 2; }));
  const Value now = c.get("deployments.apps", "reviews-v1");
  EXPECT_EQ(now["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_string(), "1");
  EXPECT_EQ(now["status"]["observedGeneration"].as_int(), now["metadata"]["generation"].as_int());
  EXPECT_EQ((*condition(now, "Progressing"))["reason"].as_string(), "NewReplicaSetAvailable");
  EXPECT_TRUE(condition_is_true(now, "Available"));
}

TEST(Deployment, NeverFallsBelowItsAvailabilityWhileRolling) {
  TestCluster c;
  c.create(deployment(4, "v1", "  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}"));
  ASSERT_TRUE(c.until([&] { return available(c) == 4; }));
  ASSERT_TRUE(c.api.client().patch({"deployments.apps", "default", "reviews-v1"},
                                   TestCluster::json("{spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: now}}}}}")));
  int least = 4;
  size_t most = 0;
  ASSERT_TRUE(c.until([&] {
    least = std::min(least, available(c));
    size_t present = 0;
    for (auto& pod : c.pods())
      if (!being_deleted(*pod)) ++present;
    most = std::max(most, present);
    const Value d = c.get("deployments.apps", "reviews-v1");
    return d["status"]["observedGeneration"] == d["metadata"]["generation"] && d["status"]["updatedReplicas"].as_int() == 4 && d["status"]["availableReplicas"].as_int() == 4 && d["status"]["replicas"].as_int() == 4 && c.pods().size() == 4;
  }));
  EXPECT_GE(least, 3);
  EXPECT_LE(most, 5u);
  EXPECT_EQ(c.store.list("replicasets.apps", "default").size(), 2u);
}

TEST(Deployment, StopsAtAVersionThatNeverGetsReady) {
  TestCluster c;
  c.create(deployment(3, "v1"));
  ASSERT_TRUE(c.until([&] { return available(c) == 3; }));
  c.runtime.unready.insert(":9080");
  // Those that run stay ready: only their next probes would find out, and these pods are the old ones' successors.
  c.runtime.unknown_images.insert("v2");
  ASSERT_TRUE(c.api.client().patch({"deployments.apps", "default", "reviews-v1"},
                                   TestCluster::json("{spec: {template: {spec: {containers: [{name: app, image: v2}]}}}}")));
  c.turn(200);
  EXPECT_EQ(available(c), 3);
  const Value d = c.get("deployments.apps", "reviews-v1");
  EXPECT_EQ(d["status"]["updatedReplicas"].as_int(), 1);
  EXPECT_EQ(d["status"]["unavailableReplicas"].as_int(), 1);
}

TEST(Deployment, GoesBackToAnOlderTemplateWithItsReplicaSet) {
  TestCluster c;
  c.create(deployment(1, "v1"));
  ASSERT_TRUE(c.until([&] { return available(c) == 1; }));
  Value d = c.get("deployments.apps", "reviews-v1");
  Value old_template = std::as_const(d)["spec"]["template"];
  d["spec"]["template"]["spec"]["containers"].mutable_items()[0].set("image", "v2");
  d["metadata"].erase("resourceVersion");
  ASSERT_TRUE(c.api.client().update(d));
  ASSERT_TRUE(c.until([&] { return c.pods().size() == 1 && available(c) == 1 && (*c.pods()[0])["spec"]["containers"][0]["image"].as_string() == "v2"; }));
  d["spec"].set("template", old_template);
  ASSERT_TRUE(c.api.client().update(d));
  ASSERT_TRUE(c.until([&] { return c.pods().size() == 1 && available(c) == 1 && (*c.pods()[0])["spec"]["containers"][0]["image"].as_string() == "v1"; }));
  EXPECT_EQ(c.store.list("replicasets.apps", "default").size(), 2u);
  const Value now = c.get("deployments.apps", "reviews-v1");
  EXPECT_EQ(now["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_string(), "3");
}

TEST(Deployment, ScalesBothWays) {
  TestCluster c;
  c.create(deployment(1, "v1"));
  ASSERT_TRUE(c.until([&] { return available(c) == 1; }));
  for (int n : {3, 1, 0}) {
    ASSERT_TRUE(c.api.client().patch({"deployments.apps", "default", "reviews-v1"}, TestCluster::json(fmt::format("{{spec: {{replicas: {}}}}}", n))));
    ASSERT_TRUE(c.until([&] { return available(c) == n && c.pods().size() == static_cast<size_t>(n); })) << n;
  }
}

TEST(Deployment, RecreateEndsTheOldFirst) {
  TestCluster c;
  c.create(deployment(2, "v1", "  strategy: {type: Recreate}"));
  ASSERT_TRUE(c.until([&] { return available(c) == 2; }));
  c.runtime.journal.clear();
  ASSERT_TRUE(c.api.client().patch({"deployments.apps", "default", "reviews-v1"}, TestCluster::json("{spec: {template: {metadata: {labels: {v: two}}}}}")));
  ASSERT_TRUE(c.until([&] {
    const Value d = c.get("deployments.apps", "reviews-v1");
    return d["status"]["observedGeneration"] == d["metadata"]["generation"] && d["status"]["updatedReplicas"].as_int() == 2 && available(c) == 2 && c.pods().size() == 2;
  }));
  size_t first_start = 0, last_gone = 0;
  for (size_t i = 0; i < c.runtime.journal.size(); ++i) {
    if (c.runtime.journal[i].starts_with("start") && first_start == 0) first_start = i;
    if (c.runtime.journal[i].starts_with("gone")) last_gone = i;
  }
  EXPECT_LT(last_gone, first_start);
}

TEST(Deployment, IsGoneWithAllItMade) {
  TestCluster c;
  c.create(deployment(2, "v1"));
  ASSERT_TRUE(c.until([&] { return available(c) == 2; }));
  ASSERT_TRUE(c.api.client().remove({"deployments.apps", "default", "reviews-v1"}));
  EXPECT_TRUE(c.until([&] { return c.pods().empty() && c.store.list("replicasets.apps", "default").empty(); }));
}

TEST(ReplicaSet, GivesUpTheLeastUsefulPodsFirst) {
  auto pod = [](std::string_view name, bool ready, std::string_view born) {
    return std::make_shared<const Value>(TestCluster::json(fmt::format("{{metadata: {{name: {}, creationTimestamp: '{}'}}, spec: {{nodeName: n}}, status: {{phase: {}, conditions: [{{type: Ready, status: '{}'}}]}}}}",
                                                                       name, born, ready ? "Running" : "Pending", ready ? "True" : "False")));
  };
  std::vector<store::ObjectPtr> pods{pod("old", true, "2024-01-01T00:00:00Z"), pod("young", true, "2024-01-02T00:00:00Z"), pod("pending", false, "2023-01-01T00:00:00Z")};
  sort_for_deletion(pods);
  std::vector<std::string> names;
  for (auto& p : pods) names.push_back((*p)["metadata"]["name"].as_string());
  EXPECT_EQ(names, (std::vector<std::string>{"pending", "young", "old"}));
}

TEST(Endpoints, FollowReadiness) {
  TestCluster c;
  c.create("{apiVersion: v1, kind: Service, metadata: {name: reviews}, spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: web}]}}");
  c.runtime.unready.insert(":9080");
  c.create(deployment(1, "v1"));
  auto endpoint = [&]() -> Value {
    for (auto& slice : c.store.list("endpointslices.discovery.k8s.io", "default"))
      if ((*slice)["metadata"]["labels"]["kubernetes.io/service-name"].as_string() == "reviews") {
        Value e = (*slice)["endpoints"][0];
        if (!e.is_null()) e.set("port", (*slice)["ports"][0]["port"]);
        return e;
      }
    return {};
  };
  ASSERT_TRUE(c.until([&] { return !endpoint().is_null(); }));
  const Value before = endpoint();
  EXPECT_FALSE(before["conditions"]["ready"].as_bool(true));
  EXPECT_EQ(before["port"].as_int(), 9080);
  const Value old_endpoints = c.get("endpoints", "reviews");
  EXPECT_EQ(old_endpoints["subsets"][0]["notReadyAddresses"].size(), 1u);
  c.runtime.unready.clear();
  ASSERT_TRUE(c.until([&] {
    const Value e = endpoint();
    return e["conditions"]["ready"].as_bool(false);
  }));
  auto table = build_service_table(c.store);
  for (auto& s : table->services)
    if (s.name == "reviews") {
      ASSERT_EQ(s.ports.size(), 1u);
      EXPECT_EQ(s.ports[0].endpoints.at(0).port, 9080);
    }
  // A pod on its way out serves nobody new, at once.
  c.runtime.stubborn.insert("app");
  c.api.client().remove({"pods", "default", (*c.pods()[0])["metadata"]["name"].as_string()});
  ASSERT_TRUE(c.until([&] {
    const Value e = endpoint();
    return e["conditions"]["terminating"].as_bool(false) && !e["conditions"]["ready"].as_bool(true);
  }));
}

TEST(Service, OfTypeLoadBalancerSaysWhereItIsReached) {
  TestCluster c;
  c.create("{apiVersion: v1, kind: Service, metadata: {name: gate}, spec: {type: LoadBalancer, ports: [{port: 80}]}}");
  c.turn();
  auto ingress = [&] {
    const Value s = c.get("services", "gate");
    return s["status"]["loadBalancer"]["ingress"][0]["ip"].as_string();
  };
  EXPECT_EQ(ingress(), "");
  c.balancers.addresses["gate"] = "127.0.2.1";
  c.balancers.changed("default", "gate");
  c.turn();
  EXPECT_EQ(ingress(), "127.0.2.1");
  EXPECT_EQ(c.reasons("gate"), std::vector<std::string>{"EnsuredLoadBalancer"});
  c.balancers.addresses.clear();
  c.balancers.problems["gate"] = "its ports are root's";
  c.balancers.changed("default", "gate");
  c.turn();
  EXPECT_EQ(ingress(), "");
  EXPECT_EQ(c.reasons("gate").back(), "SyncLoadBalancerFailed");
}

TEST(Namespace, GetsBackWhatItsPodsNeed) {
  TestCluster c;
  c.api.client().remove({"serviceaccounts", "default", "default"});
  c.api.client().remove({"configmaps", "default", "kube-root-ca.crt"});
  c.turn();
  EXPECT_FALSE(c.get("serviceaccounts", "default").is_null());
  const Value map = c.get("configmaps", "kube-root-ca.crt");
  EXPECT_EQ(map["data"]["ca.crt"].as_string(), "CA");
  // Not while the whole namespace goes.
  c.create("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}");
  c.turn();
  c.api.client().remove({"namespaces", "", "shop"});
  ASSERT_TRUE(c.until([&] { return !c.store.get({"namespaces", "", "shop"}); }));
}

TEST(Node, IsReadyAndKnown) {
  TestCluster c;
  const Value n = c.get("nodes", "fairlead", "");
  EXPECT_TRUE(condition_is_true(n, "Ready"));
  EXPECT_EQ(n["status"]["addresses"][0]["address"].as_string(), "127.0.0.1");
}

TEST(Events, CountRepetitionsAndCombineWhatIsAlike) {
  TestCluster c;
  const Value pod = *base::parse_json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"default","uid":"u"}})");
  for (int i = 0; i < 3; ++i) c.events.record(pod, EventLevel::kWarning, "BackOff", "again", "kubelet");
  for (int i = 0; i < 12; ++i) c.events.record(pod, EventLevel::kNormal, "Scaled", fmt::format("to {}", i), "tester");
  std::map<std::string, int64_t> seen;
  for (const auto& e : c.store.list("events", "default"))
    if ((*e)["involvedObject"]["uid"].as_string() == "u") seen[(*e)["message"].as_string()] = (*e)["count"].as_int();
  EXPECT_EQ(seen["again"], 3);
  EXPECT_EQ(seen["to 8"], 1);
  EXPECT_FALSE(seen.contains("to 9"));
  EXPECT_EQ(seen["(combined from similar events): to 11"], 3);
}

TEST(TemplateHash, IsStableAndSafe) {
  const Value t = TestCluster::json("{metadata: {labels: {app: x}}, spec: {containers: [{name: a}]}}");
  const Value same = TestCluster::json("{spec: {containers: [{name: a}]}, metadata: {labels: {app: x}}}");
  EXPECT_EQ(pod_template_hash(t, 0), pod_template_hash(same, 0));
  EXPECT_NE(pod_template_hash(t, 0), pod_template_hash(t, 1));
}

}  // namespace
}  // namespace fairlead::node
