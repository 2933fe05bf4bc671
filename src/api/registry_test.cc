#include "api/registry.h"

#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace fairlead::api {
namespace {

using base::Code;
using base::Value;

Value json(std::string_view text) {
  auto v = base::parse_json(text);
  EXPECT_TRUE(v) << text;
  return v ? *v : Value();
}

Value pod(std::string_view name, std::string_view ns = "default") {
  Value v = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  v["metadata"].set("name", name).set("namespace", ns);
  return v;
}

struct Api {
  explicit Api(WebhookTransport webhook = {}) : store(loop), kinds(store), registry(loop, store, kinds, {{}, std::move(webhook), "CA"}) {
    EXPECT_TRUE(registry.bootstrap());
    turn();
  }
  void turn() {
    for (int i = 0; i < 8; ++i) loop.run_once(std::chrono::nanoseconds(0));
  }
  Value get(const store::Key& key) {
    auto found = store.get(key);
    return found ? **found : Value();
  }
  io::Loop loop;
  store::MemoryStore store;
  KindTable kinds;
  Registry registry;
};

TEST(Registry, GivesEveryNamespaceItsAccountAndCertificate) {
  Api api;
  ASSERT_TRUE(api.registry.create_now(json(R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}})")));
  EXPECT_FALSE(api.get({"serviceaccounts", "shop", "default"}).is_null());
  EXPECT_EQ(api.get({"configmaps", "shop", "kube-root-ca.crt"})["data"]["ca.crt"].as_string(), "CA");
  EXPECT_EQ(api.get({"namespaces", "", "shop"})["metadata"]["labels"]["kubernetes.io/metadata.name"].as_string(), "shop");
}

TEST(Registry, MountsATokenIntoPods) {
  Api api;
  auto made = api.registry.create_now(pod("p"));
  ASSERT_TRUE(made) << made.error().text();
  const Value& spec = (**made)["spec"];
  EXPECT_EQ(spec["serviceAccountName"].as_string(), "default");
  EXPECT_TRUE(spec["volumes"][0]["name"].as_string().starts_with("kube-api-access-"));
  EXPECT_EQ(spec["containers"][0]["volumeMounts"][0]["mountPath"].as_string(), "/var/run/secrets/kubernetes.io/serviceaccount");
  EXPECT_EQ((**made)["status"]["phase"].as_string(), "Pending");
}

TEST(Registry, AllocatesAndKeepsServiceAddresses) {
  Api api;
  Value service = json(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},
                           "spec":{"type":"NodePort","selector":{"a":"b"},"ports":[{"port":80}]}})");
  auto made = api.registry.create_now(service);
  ASSERT_TRUE(made) << made.error().text();
  const std::string ip = (**made)["spec"]["clusterIP"].as_string();
  const int64_t port = (**made)["spec"]["ports"][0]["nodePort"].as_int();
  EXPECT_TRUE(ip.starts_with("10.96."));
  EXPECT_TRUE(port >= 30000 && port <= 32767);
  auto again = api.registry.update(service);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ((**again)["spec"]["clusterIP"].as_string(), ip);
  EXPECT_EQ((**again)["spec"]["ports"][0]["nodePort"].as_int(), port);
  Value other = json(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"t"},"spec":{"ports":[{"port":80}]}})");
  other["spec"].set("clusterIP", ip);
  EXPECT_EQ(api.registry.create_now(other).error().code, Code::kInvalidArgument);
}

TEST(Registry, CollectsWhatAnOwnerLeavesBehind) {
  Api api;
  auto owner = api.registry.create_now(json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owner"}})"));
  Value child = pod("child");
  Value reference = json(R"({"apiVersion":"v1","kind":"ConfigMap","name":"owner"})");
  reference.set("uid", (**owner)["metadata"]["uid"]);
  child["metadata"].set("ownerReferences", Value::array({reference}));
  ASSERT_TRUE(api.registry.create_now(child));
  ASSERT_TRUE(api.registry.remove({"configmaps", "default", "owner"}, DeleteOptions{}));
  api.turn();
  EXPECT_TRUE(api.get({"pods", "default", "child"}).is_null());
}

TEST(Registry, ForegroundDeletionWaitsForDependents) {
  Api api;
  auto owner = api.registry.create_now(json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owner"}})"));
  Value child = json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"child","finalizers":["example.com/hold"]}})");
  Value reference = json(R"({"apiVersion":"v1","kind":"ConfigMap","name":"owner","blockOwnerDeletion":true})");
  reference.set("uid", (**owner)["metadata"]["uid"]);
  child["metadata"].set("ownerReferences", Value::array({reference}));
  ASSERT_TRUE(api.registry.create_now(child));
  DeleteOptions foreground;
  foreground.propagation = Propagation::kForeground;
  ASSERT_TRUE(api.registry.remove({"configmaps", "default", "owner"}, foreground));
  api.turn();
  EXPECT_TRUE(api.get({"configmaps", "default", "owner"})["metadata"].contains("deletionTimestamp"));
  ASSERT_TRUE(api.registry.patch({"configmaps", "default", "child"}, json(R"({"metadata":{"finalizers":null}})")));
  api.turn();
  EXPECT_TRUE(api.get({"configmaps", "default", "child"}).is_null());
  EXPECT_TRUE(api.get({"configmaps", "default", "owner"}).is_null());
}

TEST(Registry, ANamespaceEmptiesItselfAndWaitsForItsPods) {
  Api api;
  ASSERT_TRUE(api.registry.create_now(json(R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}})")));
  Value running = pod("p", "shop");
  running["spec"].set("nodeName", "n");
  ASSERT_TRUE(api.registry.create_now(running));
  ASSERT_TRUE(api.registry.remove({"namespaces", "", "shop"}, DeleteOptions{}));
  api.turn();
  EXPECT_EQ(api.get({"namespaces", "", "shop"})["status"]["phase"].as_string(), "Terminating");
  EXPECT_TRUE(api.get({"pods", "shop", "p"})["metadata"].contains("deletionTimestamp"));
  EXPECT_EQ(api.registry.create_now(pod("q", "shop")).error().code, Code::kPermissionDenied);
  DeleteOptions now;
  now.grace_seconds = 0;
  ASSERT_TRUE(api.registry.remove({"pods", "shop", "p"}, now));
  api.turn();
  EXPECT_TRUE(api.get({"namespaces", "", "shop"}).is_null());
  EXPECT_TRUE(api.store.list("configmaps", "shop").empty());
}

TEST(Registry, StatusAndSpecDoNotTouchEachOther) {
  Api api;
  ASSERT_TRUE(api.registry.create_now(pod("p")));
  ASSERT_TRUE(api.registry.patch_status({"pods", "default", "p"}, json(R"({"metadata":{"labels":{"x":"y"}},"status":{"phase":"Running"}})")));
  Value now = api.get({"pods", "default", "p"});
  EXPECT_EQ(now["status"]["phase"].as_string(), "Running");
  EXPECT_FALSE(now["metadata"].contains("labels"));
  ASSERT_TRUE(api.registry.patch({"pods", "default", "p"}, json(R"({"metadata":{"labels":{"x":"y"}},"status":{"phase":"Failed"}})")));
  now = api.get({"pods", "default", "p"});
  EXPECT_EQ(now["status"]["phase"].as_string(), "Running");
  EXPECT_EQ(now["metadata"]["labels"]["x"].as_string(), "y");
}

const char* kHook = R"({"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"h"},
  "webhooks":[{"name":"h.example.com","clientConfig":{"service":{"namespace":"default","name":"s","path":"/inject"}},
  "rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}],
  "failurePolicy":"Fail","sideEffects":"None","admissionReviewVersions":["v1"],"objectSelector":{"matchLabels":{"inject":"yes"}}}]})";

TEST(Registry, AsksWebhooksAndAppliesTheirPatch) {
  std::vector<WebhookCall> calls;
  Api api([&](WebhookCall call, std::function<void(base::Result<std::string>)> done) {
    Value review = json(call.body);
    calls.push_back(std::move(call));
    // [{"op":"add","path":"/metadata/annotations","value":{"seen":"1"}}]
    Value response = json(R"({"allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL21ldGFkYXRhL2Fubm90YXRpb25zIiwidmFsdWUiOnsic2VlbiI6IjEifX1d"})");
    response.set("uid", review["request"]["uid"]);
    done(Value::object({{"response", response}}).dump());
  });
  ASSERT_TRUE(api.registry.create_now(json(kHook)));
  Value labelled = pod("a");
  labelled["metadata"].set("labels", json(R"({"inject":"yes"})"));
  base::Result<store::ObjectPtr> made = base::fail(Code::kInternal, "not called");
  api.registry.create(labelled, [&](auto result) { made = std::move(result); });
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ((**made)["metadata"]["annotations"]["seen"].as_string(), "1");
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].path, "/inject?timeout=10s");
  api.registry.create(pod("b"), [&](auto result) { made = std::move(result); });
  EXPECT_TRUE(made);
  EXPECT_EQ(calls.size(), 1u) << "not selected";
}

TEST(Registry, AFailingWebhookRefusesThePod) {
  Api api([](WebhookCall, std::function<void(base::Result<std::string>)> done) { done(base::fail(Code::kUnavailable, "connection refused")); });
  ASSERT_TRUE(api.registry.create_now(json(kHook)));
  Value labelled = pod("a");
  labelled["metadata"].set("labels", json(R"({"inject":"yes"})"));
  base::Result<store::ObjectPtr> made = base::fail(Code::kInternal, "not called");
  api.registry.create(labelled, [&](auto result) { made = std::move(result); });
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("failed calling webhook \"h.example.com\": failed to call webhook: connection refused"), std::string::npos);
}

TEST(Registry, AValidatingWebhookMayRefuseAnUpdate) {
  Api api([](WebhookCall call, std::function<void(base::Result<std::string>)> done) {
    Value review = json(call.body);
    Value response = json(R"({"allowed":false,"status":{"message":"not today"}})");
    if (review["request"]["object"]["data"]["a"].as_string() != "bad") response = json(R"({"allowed":true})");
    response.set("uid", review["request"]["uid"]);
    done(Value::object({{"response", response}}).dump());
  });
  ASSERT_TRUE(api.registry.create_now(json(R"({"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"v"},
    "webhooks":[{"name":"v.example.com","clientConfig":{"service":{"namespace":"default","name":"s"}},"sideEffects":"None","admissionReviewVersions":["v1"],
    "rules":[{"operations":["CREATE","UPDATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]}]})")));
  base::Result<store::ObjectPtr> made = base::fail(Code::kInternal, "not called");
  api.registry.create(json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"good"}})"), [&](auto result) { made = std::move(result); });
  ASSERT_TRUE(made) << made.error().text();
  Outcome<Written> written = refuse(bad_request("not called"));
  api.registry.modify(*mesh::find_kind("", "v1", "configmaps"), {"configmaps", "default", "c"}, Part::kMain,
                      [](const Value& current) -> Outcome<Value> {
                        Value next = current;
                        next["data"].set("a", "bad");
                        return next;
                      },
                      WriteOptions{}, [&](Outcome<Written> result) { written = std::move(result); });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message(), "admission webhook \"v.example.com\" denied the request: not today");
  EXPECT_EQ(api.get({"configmaps", "default", "c"})["data"]["a"].as_string(), "good");
}

TEST(Registry, ServesKindsThatUsersDefine) {
  Api api;
  auto crd = api.registry.create_now(json(R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},
    "spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},
    "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer"}}}}}}}]}})"));
  ASSERT_TRUE(crd) << crd.error().text();
  auto made = api.registry.create_now(json(R"({"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"size":3}})"));
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_FALSE(api.registry.create_now(json(R"({"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"x"},"spec":{"size":"big"}})")));
  ASSERT_TRUE(api.registry.remove({std::string(kCrdResource), "", "widgets.example.com"}, DeleteOptions{}));
  EXPECT_EQ(api.kinds.find_by_name("example.com/v1", "Widget"), nullptr);
  EXPECT_TRUE(api.store.list("widgets.example.com", "").empty());
}

}  // namespace
}  // namespace fairlead::api
