#include "api/apply.h"

#include <gtest/gtest.h>

namespace fairlead::api {
namespace {

using base::Value;

Value json(std::string_view text) { return *base::parse_json(text); }

struct Managers : testing::Test {
  const mesh::Kind& kind = *mesh::find_kind("", "v1", "configmaps");
  Value fields(const Value& object, std::string_view manager) {
    for (const Value& e : object["metadata"]["managedFields"].items())
      if (e["manager"].as_string() == manager) return e["fieldsV1"];
    return {};
  }
  Value made() {
    Value a = json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v"}})");
    track_update(kind, {}, a, {"maker", "v1", false}, "");
    return a;
  }
};

TEST_F(Managers, OwnWhatTheyMakeAndLoseWhatOthersChange) {
  const Value a = made();
  EXPECT_EQ(fields(a, "maker"), json(R"({"f:data":{".":{},"f:k":{}}})"));
  Value b = a;
  b["data"].set("k", "w").set("z", "1");
  track_update(kind, a, b, {"patcher", "v1", false}, "");
  EXPECT_EQ(fields(b, "maker"), json(R"({"f:data":{}})"));
  EXPECT_EQ(fields(b, "patcher"), json(R"({"f:data":{"f:k":{},"f:z":{}}})"));
  Value c = b;
  c["data"].erase("k");
  track_update(kind, b, c, {"maker", "v1", false}, "");
  EXPECT_EQ(fields(c, "patcher"), json(R"({"f:data":{"f:z":{}}})"));
}

TEST_F(Managers, AreLeftAloneWhenNothingChanges) {
  const Value a = made();
  Value b = a;
  track_update(kind, a, b, {"other", "v1", false}, "");
  EXPECT_EQ(a, b);
}

TEST_F(Managers, StandInTheWayOfAnApplierUnlessTheValueIsTheSame) {
  const Value a = made();
  const Value same = json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v"}})");
  EXPECT_TRUE(server_side_apply(kind, a, same, {"applier", "v1", false}));
  const Value other = json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"x"}})");
  auto refused = server_side_apply(kind, a, other, {"applier", "v1", false});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "Apply failed with 1 conflict: conflict with \"maker\" using v1: .data.k");
  auto forced = server_side_apply(kind, a, other, {"applier", "v1", true});
  ASSERT_TRUE(forced);
  EXPECT_EQ(fields(*forced, "maker"), json(R"({"f:data":{".":{}}})"));
}

TEST_F(Managers, GiveWayWhereKubectlAppliedTheSameBefore) {
  Value a = made();
  a["metadata"]["annotations"].set("kubectl.kubernetes.io/last-applied-configuration",
                                   R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v"}})");
  const Value other = json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"x"}})");
  EXPECT_TRUE(server_side_apply(kind, a, other, {"kubectl", "v1", false}));
  EXPECT_FALSE(server_side_apply(kind, a, other, {"somebody", "v1", false}));
}

}  // namespace
}  // namespace fairlead::api
