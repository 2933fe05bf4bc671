#include "mesh/kinds.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "mesh/quantity.h"
#include "mesh/selector.h"
#include "mesh/tables.h"
#include "mesh/validate.h"

namespace fairlead::mesh {
namespace {

base::Value yaml(const char* text) {
  auto docs = base::parse_yaml(text);
  EXPECT_TRUE(docs && docs->size() == 1) << (docs ? "" : docs.error().text());
  return docs && !docs->empty() ? docs->front() : base::Value();
}

std::string all(const Problems& problems) {
  std::string out;
  for (const auto& p : problems) out += p.text() + "\n";
  return out;
}

TEST(Tables, HaveNoMistakes) {
  SchemaSet set;
  for (const char* text : {kMetaTables, kPodTables, kVolumeTables, kCoreTables, kDiscoveryTables, kNetworkingTables, kPolicyTables, kFlowTables}) set.add(text);
  EXPECT_EQ(set.resolve(), std::vector<std::string>{});
}

// What kubectl explain shows of the kinds that tutorials write. EnvoyFilter and the like, whose fields are Envoy's, are left out.
TEST(Tables, ExplainTheFieldsOfTheKindsThatPeopleWrite) {
  std::set<const Schema*> seen;
  std::string missing;
  std::function<void(const Schema&)> look = [&](const Schema& schema) {
    if (!seen.insert(&schema).second) return;
    for (const Field& f : schema.fields) {
      if (f.doc.empty() && f.deprecated.empty()) missing += fmt::format("{}.{} ", schema.name, f.name);
      const Field* inner = &f;
      while (inner->element) inner = inner->element;
      if (inner->object && inner->object->name.find("ObjectMeta") == std::string_view::npos) look(*inner->object);
    }
  };
  for (const char* kind : {"VirtualServiceSpec", "DestinationRuleSpec", "GatewaySpec", "ServiceEntrySpec", "SidecarSpec", "WorkloadEntrySpec", "WorkloadGroupSpec",
                           "PeerAuthenticationSpec", "FlowRuleSpec", "DegradeRuleSpec", "ParamFlowRuleSpec", "SystemRuleSpec", "AuthorityRuleSpec", "GatewayFlowRuleSpec", "ApiDefinitionSpec", "ServiceSpec", "DeploymentStatus"}) {
    const Schema* schema = schema_set().find(kind);
    ASSERT_TRUE(schema) << kind;
    look(*schema);
  }
  EXPECT_EQ(missing, "");
}

TEST(Kinds, EveryKindHasARootWithMetadata) {
  for (const Kind& k : all_kinds()) {
    ASSERT_NE(k.root, nullptr) << k.kind;
    EXPECT_NE(k.root->find("metadata"), nullptr) << k.kind;
    EXPECT_FALSE(k.columns.empty()) << k.kind;
  }
}

TEST(Kinds, FoundByEveryNameAPersonTypes) {
  for (const char* name : {"vs", "virtualservice", "VirtualServices", "virtualservices.networking.istio.io", "virtualservices.v1.networking.istio.io"}) {
    const Kind* k = find_kind_typed(name);
    ASSERT_NE(k, nullptr) << name;
    EXPECT_EQ(k->kind, "VirtualService");
  }
  EXPECT_EQ(find_kind("networking.istio.io", "v1alpha3", "envoyfilters")->kind, "EnvoyFilter");
  EXPECT_EQ(find_kind("networking.istio.io", "v1", "envoyfilters"), nullptr);
}

TEST(Columns, PodLineSaysWhatKubectlSays) {
  base::Value pod = yaml(R"(
metadata: {name: p}
spec:
  initContainers: [{name: istio-init}, {name: istio-proxy, restartPolicy: Always}]
  containers: [{name: app}]
status:
  phase: Running
  initContainerStatuses:
  - {name: istio-init, state: {terminated: {exitCode: 0}}}
  - {name: istio-proxy, ready: true, started: true, state: {running: {}}}
  containerStatuses:
  - {name: app, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}}
)");
  const Kind* k = find_kind_typed("pod");
  auto cell = [&](size_t i) { return table_cell(k->columns[i], pod, {}).as_string(); };
  EXPECT_EQ(cell(1), "1/2");
  EXPECT_EQ(cell(2), "CrashLoopBackOff");
  EXPECT_EQ(cell(3), "3");
}

TEST(Shape, NamesUnknownFieldsWithPathAndSuggestion) {
  base::Value vs = yaml(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - rout: [{destination: {host: reviews}}]
    timeout: 1
)");
  const Kind& k = *find_kind_of(vs);
  auto problems = check_shape(k, vs);
  EXPECT_EQ(all(problems),
            "unknown field \"spec.http[0].rout\" (did you mean \"route\"?)\n"
            "spec.http[0].timeout: Invalid value: \"integer\": spec.http[0].timeout in body must be of type string: \"integer\"\n");
  auto status = shape_status(k, "v1", "reviews", problems);
  EXPECT_EQ(status["code"].as_int(), 400);
  EXPECT_TRUE(status["message"].as_string().find("VirtualService in version \"v1\" cannot be handled as a VirtualService: ") == 0);
}

TEST(Validate, TellsAllProblemsOfADeploymentAtOnce) {
  base::Value d = yaml(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: Bad_Name}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: b}}
    spec:
      containers:
      - name: x
        ports: [{containerPort: 80000}]
        imagePullPolicy: Sometimes
)");
  auto problems = check_document(d);
  std::string text = all(problems);
  for (const char* wanted : {"metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain",
                             "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`",
                             "spec.template.spec.containers[0].image: Required value",
                             "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 80000: must be between 1 and 65535, inclusive",
                             "spec.template.spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
                             "\"IfNotPresent\", \"Never\""})
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\nin\n" << text;
}

TEST(Defaults, FillADeploymentAsKubernetesDoes) {
  base::Value d = yaml(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [{name: x, image: nginx, ports: [{containerPort: 80}], readinessProbe: {httpGet: {port: 80}}}]}
)");
  EXPECT_EQ(all(check_document(d)), "");
  EXPECT_EQ(d.at("spec.strategy").dump(0, true), R"({"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"})");
  const auto& c = d.at("spec.template.spec.containers.0");
  EXPECT_EQ(c["imagePullPolicy"].as_string(), "Always");
  EXPECT_EQ(c["ports"][0]["protocol"].as_string(), "TCP");
  EXPECT_EQ(c["readinessProbe"].dump(0, true),
            R"({"failureThreshold":3,"httpGet":{"path":"/","port":80,"scheme":"HTTP"},"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1})");
  EXPECT_EQ(d.at("spec.template.spec.restartPolicy").as_string(), "Always");
}

TEST(Quantity, ReadsAndRespells) {
  EXPECT_EQ(quantity_milli("0.1"), 100);
  EXPECT_EQ(quantity_value("128Mi"), 134217728);
  EXPECT_EQ(quantity_value("1.5"), 2);
  EXPECT_EQ(quantity_canonical("0.1"), "100m");
  EXPECT_EQ(quantity_canonical("1024Mi"), "1Gi");
  EXPECT_EQ(quantity_canonical("1500m"), "1500m");
  EXPECT_EQ(quantity_canonical("2000m"), "2");
  EXPECT_EQ(quantity_canonical("1000000"), "1M");
  EXPECT_EQ(quantity_canonical("40Mi"), "40Mi");
  EXPECT_EQ(quantity_milli("1x"), std::nullopt);
  EXPECT_EQ(quantity_milli(""), std::nullopt);
}

TEST(Selectors, MatchAsKubectlMatches) {
  auto s = LabelSelector::parse("app=x, env in (a,b),!canary,tier!=db");
  ASSERT_TRUE(s);
  EXPECT_TRUE(s->matches(yaml("{app: x, env: b}")));
  EXPECT_FALSE(s->matches(yaml("{app: x, env: b, canary: 'yes'}")));
  EXPECT_FALSE(s->matches(yaml("{app: x, env: b, tier: db}")));
  EXPECT_EQ(s->text(), "app=x,env in (a,b),!canary,tier!=db");
  EXPECT_FALSE(LabelSelector::parse("a b").has_value());
  auto f = FieldSelector::parse("status.phase!=Running,metadata.name=x");
  ASSERT_TRUE(f);
  EXPECT_TRUE(f->matches(yaml("{metadata: {name: x}, status: {phase: Pending}}")));
}

}  // namespace
}  // namespace fairlead::mesh
