#include "api/patch.h"

#include <gtest/gtest.h>

#include "api/apply.h"

namespace fairlead::api {
namespace {

using base::Value;

Value json(std::string_view text) {
  auto v = base::parse_json(text);
  EXPECT_TRUE(v) << text;
  return v ? *v : Value();
}

const mesh::Schema* pod_schema() { return mesh::find_kind("", "v1", "pods")->root; }

TEST(JsonPatch, AppliesEachOperation) {
  auto out = json_patch(json(R"({"a":{"b":1},"l":[1,2]})"),
                        json(R"([{"op":"add","path":"/a/c","value":2},{"op":"replace","path":"/a/b","value":3},
                                 {"op":"add","path":"/l/0","value":0},{"op":"add","path":"/l/-","value":9},
                                 {"op":"remove","path":"/l/1"},{"op":"copy","from":"/a/b","path":"/d"},
                                 {"op":"move","from":"/a/c","path":"/e"},{"op":"test","path":"/d","value":3}])"));
  ASSERT_TRUE(out) << out.error().text();
  EXPECT_EQ(*out, json(R"({"a":{"b":3},"l":[0,2,9],"d":3,"e":2})"));
}

TEST(JsonPatch, UnescapesPointers) {
  auto out = json_patch(json(R"({"metadata":{"annotations":{}}})"),
                        json(R"([{"op":"add","path":"/metadata/annotations/a.b~1c~0d","value":"x"}])"));
  ASSERT_TRUE(out);
  EXPECT_EQ((*out)["metadata"]["annotations"]["a.b/c~d"].as_string(), "x");
}

TEST(JsonPatch, RefusesWhatDoesNotApply) {
  const Value doc = json(R"({"a":[1]})");
  for (const char* patch : {R"([{"op":"remove","path":"/b"}])", R"([{"op":"replace","path":"/a/1","value":1}])",
                            R"([{"op":"add","path":"/a/3","value":1}])", R"([{"op":"add","path":"/b/c","value":1}])",
                            R"([{"op":"test","path":"/a/0","value":2}])", R"([{"op":"add","path":"/a/01","value":1}])",
                            R"([{"op":"grow","path":"/a"}])", R"([{"op":"add","path":"a","value":1}])", R"({"op":"add"})"})
    EXPECT_FALSE(json_patch(doc, json(patch))) << patch;
}

TEST(MergePatch, RemovesNullsAndReplacesLists) {
  EXPECT_EQ(merge_patch(json(R"({"a":1,"b":{"c":1,"d":2},"l":[1,2]})"), json(R"({"a":null,"b":{"c":null,"e":3},"l":[3],"n":{"x":null,"y":1}})")),
            json(R"({"b":{"d":2,"e":3},"l":[3],"n":{"y":1}})"));
}

TEST(StrategicMerge, MergesContainersByName) {
  auto out = strategic_merge(pod_schema(),
                             json(R"({"spec":{"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"1"}]}})"),
                             json(R"({"spec":{"containers":[{"name":"a","image":"2","env":[{"name":"Y","value":"2"}]},{"name":"c","image":"3"}]}})"));
  ASSERT_TRUE(out) << out.error().text();
  // What is new stands where the patch has it, before what only the server knows: there is no place to compare with.
  EXPECT_EQ(*out, json(R"({"spec":{"containers":[{"name":"a","image":"2","env":[{"name":"Y","value":"2"},{"name":"X","value":"1"}]},
                          {"name":"c","image":"3"},{"name":"b","image":"1"}]}})"));
}

TEST(StrategicMerge, ObeysDirectives) {
  const Value original = json(R"({"metadata":{"finalizers":["a","b"]},"spec":{"containers":[{"name":"a"},{"name":"b"}],"nodeSelector":{"x":"1"}}})");
  auto gone = strategic_merge(pod_schema(), original, json(R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})"));
  ASSERT_TRUE(gone);
  EXPECT_EQ((*gone)["spec"]["containers"], json(R"([{"name":"b"}])"));
  auto replaced = strategic_merge(pod_schema(), original, json(R"({"spec":{"containers":[{"name":"z"},{"$patch":"replace"}],"nodeSelector":{"y":"2","$patch":"replace"}}})"));
  ASSERT_TRUE(replaced);
  EXPECT_EQ((*replaced)["spec"]["containers"], json(R"([{"name":"z"}])"));
  EXPECT_EQ((*replaced)["spec"]["nodeSelector"], json(R"({"y":"2"})"));
  auto fewer = strategic_merge(pod_schema(), original, json(R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}})"));
  ASSERT_TRUE(fewer);
  EXPECT_EQ((*fewer)["metadata"]["finalizers"], json(R"(["b"])"));
}

TEST(StrategicMerge, PutsListsInTheClientsOrder) {
  auto out = strategic_merge(pod_schema(), json(R"({"spec":{"containers":[{"name":"a"},{"name":"sidecar"},{"name":"b"}]}})"),
                             json(R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"c"},{"name":"a"}],
                                     "containers":[{"name":"c"}]}})"));
  ASSERT_TRUE(out);
  std::string names;
  for (const auto& c : (*out)["spec"]["containers"].items()) names += c["name"].as_string() + " ";
  EXPECT_EQ(names, "sidecar b c a ");
}

TEST(StrategicMerge, RetainsOnlyTheKeysNamed) {
  const auto* deployment = mesh::find_kind("apps", "v1", "deployments")->root;
  auto out = strategic_merge(deployment, json(R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})"),
                             json(R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})"));
  ASSERT_TRUE(out);
  EXPECT_EQ((*out)["spec"]["strategy"], json(R"({"type":"Recreate"})"));
}

TEST(StrategicMerge, RefusesAnElementWithoutItsKey) {
  EXPECT_FALSE(strategic_merge(pod_schema(), json(R"({"spec":{"containers":[{"name":"a"}]}})"), json(R"({"spec":{"containers":[{"image":"x"}]}})")));
}

TEST(Apply, MergesMapListsAndReplacesAtomicOnes) {
  Value live = json(R"({"spec":{"containers":[{"name":"a","image":"1","args":["x"]},{"name":"b"}]}})");
  Value out = apply_merge(pod_schema(), live, json(R"({"spec":{"containers":[{"name":"a","args":["y"]}]}})"));
  EXPECT_EQ(out, json(R"({"spec":{"containers":[{"name":"a","image":"1","args":["y"]},{"name":"b"}]}})"));
}

const mesh::Kind& deployments() { return *mesh::find_kind("apps", "v1", "deployments"); }

TEST(ServerSideApply, RemovesWhatItsApplierNoLongerSets) {
  Value live = json(R"({"metadata":{"name":"d"}})");
  auto first = server_side_apply(deployments(), live, json(R"({"metadata":{"name":"d","labels":{"a":"1","b":"2"}},
      "spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"x","image":"1"},{"name":"y"}]}}}})"), {"me", "apps/v1", false});
  ASSERT_TRUE(first) << first.error().message();
  (*first)["metadata"]["labels"].set("foreign", "kept");
  auto second = server_side_apply(deployments(), *first, json(R"({"metadata":{"name":"d","labels":{"a":"1"}},
      "spec":{"template":{"spec":{"containers":[{"name":"x","image":"2"}]}}}})"), {"me", "apps/v1", false});
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ((*second)["metadata"]["labels"], json(R"({"a":"1","foreign":"kept"})"));
  EXPECT_EQ((*second)["spec"], json(R"({"template":{"spec":{"containers":[{"name":"x","image":"2"}]}}})"));
}

TEST(ServerSideApply, RefusesAnotherAppliersFieldUnlessForced) {
  auto mine = server_side_apply(deployments(), json(R"({"metadata":{"name":"d"}})"), json(R"({"spec":{"replicas":3}})"), {"me", "apps/v1", false});
  ASSERT_TRUE(mine);
  auto same = server_side_apply(deployments(), *mine, json(R"({"spec":{"replicas":3}})"), {"you", "apps/v1", false});
  EXPECT_TRUE(same) << "sharing a value is no conflict";
  auto yours = server_side_apply(deployments(), *mine, json(R"({"spec":{"replicas":5}})"), {"you", "apps/v1", false});
  ASSERT_FALSE(yours);
  EXPECT_EQ(yours.error().code(), 409);
  EXPECT_EQ(yours.error().message(), "Apply failed with 1 conflict: conflict with \"me\": .spec.replicas");
  auto forced = server_side_apply(deployments(), *mine, json(R"({"spec":{"replicas":5}})"), {"you", "apps/v1", true});
  ASSERT_TRUE(forced);
  EXPECT_EQ((*forced)["spec"]["replicas"].as_int(), 5);
}

TEST(ServerSideApply, ChangesNothingTheSecondTime) {
  const Value config = json(R"({"metadata":{"name":"d"},"spec":{"replicas":3}})");
  auto first = server_side_apply(deployments(), json(R"({"metadata":{"name":"d"}})"), config, {"me", "apps/v1", false});
  ASSERT_TRUE(first);
  auto second = server_side_apply(deployments(), *first, config, {"me", "apps/v1", false});
  ASSERT_TRUE(second);
  EXPECT_EQ(*first, *second);
}

}  // namespace
}  // namespace fairlead::api
