#include "store/rules/migrate.h"

#include <gtest/gtest.h>

#include <map>

namespace fairlead::store {
namespace {

// A store whose flat values a test puts there; it can refuse one write.
class FlatStore final : public RuleStore {
 public:
  std::string name() const override { return "flat:"; }
  RuleStoreHealth health() const override { return {}; }
  base::Result<std::vector<RuleKey>> list() override { return std::vector<RuleKey>{}; }
  base::Result<RuleDocument> read(const RuleKey& key) override { return documents[key]; }
  base::Result<std::string> write(const RuleKey& key, std::string_view text, std::string_view expected) override {
    if (documents[key].version != expected) return base::fail(base::Code::kConflict, "changed");
    ++writes;
    documents[key] = {std::string(text), std::to_string(writes)};
    return documents[key].version;
  }
  base::Status remove(const RuleKey&, std::string_view) override { return {}; }
  base::Result<std::unique_ptr<RuleWatch>> watch(std::function<void(const std::optional<RuleKey>&)>) override { return base::fail(base::Code::kUnimplemented, "none"); }
  base::Result<std::vector<FlatRules>> flat() override {
    std::vector<FlatRules> out;
    for (const auto& [app, text] : values) out.push_back({app, {text, text}});
    return out;
  }
  base::Status clear_flat(const std::string& app, std::string_view expected) override {
    if (values[app] != expected) return base::fail(base::Code::kConflict, "changed");
    values[app].clear();
    return {};
  }

  std::map<std::string, std::string> values;
  std::map<RuleKey, RuleDocument> documents;
  int writes = 0;
};

constexpr const char* kFlow = R"({"resource":"/a","grade":1,"count":5,"limitApp":"default","strategy":0,"controlBehavior":0,"clusterMode":false})";
constexpr const char* kDegrade = R"({"resource":"/a","grade":2,"count":5,"timeWindow":10,"minRequestAmount":5,"statIntervalMs":1000})";

TEST(Migrate, FieldsTellTheKind) {
  const std::pair<const char*, RuleKind> rules[] = {
      {kFlow, RuleKind::Flow},
      {kDegrade, RuleKind::Degrade},
      {R"({"resource":"a","count":1})", RuleKind::Flow},
      {R"({"resource":"a","count":1,"refResource":"b","strategy":1})", RuleKind::Flow},
      {R"({"resource":"a","count":0.5,"grade":0,"timeWindow":1})", RuleKind::Degrade},
      {R"({"resource":"a","count":1,"paramIdx":0,"controlBehavior":0})", RuleKind::ParamFlow},
      {R"({"highestSystemLoad":1.5,"qps":-1})", RuleKind::System},
      {R"({"resource":"a","limitApp":"x,y","strategy":1})", RuleKind::Authority},
      {R"({"resource":"a","resourceMode":0,"count":1,"intervalSec":1,"controlBehavior":0})", RuleKind::GatewayFlow},
      {R"({"apiName":"a","predicateItems":[]})", RuleKind::GatewayApi},
  };
  for (const auto& [rule, kind] : rules) {
    std::string why;
    EXPECT_EQ(kind_by_fields(rule, why), kind) << rule << why;
  }
  for (const char* rule : {R"({"resource":"a"})", R"({"resource":"a","warmUpPeriodSec":1,"timeWindow":1})", R"({"resource":"a","count":1,"grade":2})", "[]", "{", "7",
                           R"({"resource":"a","timeWindow":null})"}) {
    std::string why;
    EXPECT_EQ(kind_by_fields(rule, why), std::nullopt) << rule;
    EXPECT_NE(why, "") << rule;
  }
}

TEST(Migrate, MovesEachRuleToItsKindAndKeepsTheOldValue) {
  FlatStore store;
  const std::string old = std::string("[") + kFlow + "," + kDegrade + "]";
  store.values["shop"] = old;
  auto plan = plan_migration(store);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->anything());
  EXPECT_EQ(store.writes, 0);
  const std::string text = to_text(*plan);
  EXPECT_NE(text.find("flow_rule: 1 to add"), std::string::npos) << text;
  EXPECT_NE(text.find("degrade_rule: 1 to add"), std::string::npos) << text;
  ASSERT_TRUE(carry_out(store, *plan, false));
  const std::string flow = store.documents[{"shop", RuleKind::Flow}].text;
  EXPECT_EQ(flow, std::string("[") + kFlow + "]");
  EXPECT_EQ(store.documents[RuleKey({"shop", RuleKind::Degrade})].text, std::string("[") + kDegrade + "]");
  EXPECT_EQ(store.values["shop"], old);
  auto again = plan_migration(store);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->anything());
  ASSERT_TRUE(carry_out(store, *again, true));
  EXPECT_EQ(store.writes, 2);
  EXPECT_EQ(store.values["shop"], "");
}

TEST(Migrate, AddsToWhatIsThereWithoutDuplicates) {
  FlatStore store;
  store.values["shop"] = R"([{"resource":"/a","count":5},{"resource":"/b","count":7,"id":9},{"resource":"/b","count":7.0}])";
  store.documents[{"shop", RuleKind::Flow}] = {R"([{"resource":"/a","grade":"1","count":5.0,"id":3}, {"broken":1}])", "v"};
  auto plan = plan_migration(store);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->apps.size(), 1U);
  EXPECT_EQ(plan->apps[0].moves[0].present, 2);
  ASSERT_TRUE(carry_out(store, *plan, true));
  const std::string merged = store.documents[{"shop", RuleKind::Flow}].text;
  EXPECT_EQ(merged, R"([{"resource":"/a","grade":"1","count":5.0,"id":3},{"broken":1},{"resource":"/b","count":7,"id":9}])");
}

TEST(Migrate, WhatCannotBeToldStaysAndIsNamed) {
  FlatStore store;
  const std::string old = std::string(R"([{"resource":"/x"},{"resource":"/y","timeWindow":-1,"count":1},)") + kFlow + "]";
  store.values["shop"] = old;
  store.values["mess"] = "[{";
  store.values["text"] = "\"rules\"";
  store.values["parent"] = "192.168.0.7";
  auto plan = plan_migration(store);
  ASSERT_TRUE(plan);
  const std::string text = to_text(*plan);
  EXPECT_NE(text.find("stays: rule 1"), std::string::npos) << text;
  EXPECT_NE(text.find("stays: rule 2"), std::string::npos) << text;
  EXPECT_NE(text.find("timeWindow"), std::string::npos) << text;
  EXPECT_NE(text.find("mess:\n  stays: the whole value"), std::string::npos) << text;
  EXPECT_NE(text.find("text:\n  stays: the whole value"), std::string::npos) << text;
  EXPECT_EQ(text.find("parent"), std::string::npos) << text;
  ASSERT_TRUE(carry_out(store, *plan, true));
  EXPECT_EQ(store.values["shop"], old);
  EXPECT_EQ(store.values["mess"], "[{");
  const std::string flow = store.documents[{"shop", RuleKind::Flow}].text;
  EXPECT_EQ(flow, std::string("[") + kFlow + "]");
}

TEST(Migrate, ADocumentThatDoesNotParseIsNotTouched) {
  FlatStore store;
  store.values["shop"] = std::string("[") + kFlow + "," + kDegrade + "]";
  store.documents[{"shop", RuleKind::Flow}] = {"[garbage", "v"};
  auto plan = plan_migration(store);
  ASSERT_TRUE(plan);
  EXPECT_NE(to_text(*plan).find("stays: 1 rule for flow_rule"), std::string::npos) << to_text(*plan);
  ASSERT_TRUE(carry_out(store, *plan, true));
  const std::string flow = store.documents[{"shop", RuleKind::Flow}].text;
  EXPECT_EQ(flow, "[garbage");
  EXPECT_EQ(store.writes, 1);
  EXPECT_NE(store.values["shop"], "");
}

TEST(Migrate, AnEditInBetweenEndsItAndLosesNothing) {
  FlatStore store;
  store.values["shop"] = std::string("[") + kFlow + "," + kDegrade + "]";
  auto plan = plan_migration(store);
  ASSERT_TRUE(plan);
  store.documents[{"shop", RuleKind::Degrade}] = {"[]", "new"};
  auto done = carry_out(store, *plan, true);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::Code::kConflict);
  EXPECT_NE(done.error().message.find("migrate again"), std::string::npos);
  EXPECT_NE(store.values["shop"], "");
  plan = plan_migration(store);
  ASSERT_TRUE(plan);
  ASSERT_TRUE(carry_out(store, *plan, true));
  const std::string degrade = store.documents[{"shop", RuleKind::Degrade}].text;
  EXPECT_EQ(degrade, std::string("[") + kDegrade + "]");
  EXPECT_EQ(store.values["shop"], "");
}

TEST(Migrate, SaysThatThereIsNothing) {
  FlatStore store;
  auto plan = plan_migration(store);
  ASSERT_TRUE(plan);
  EXPECT_EQ(to_text(*plan), "No app has rules in the flat layout.\n");
}

}  // namespace
}  // namespace fairlead::store
