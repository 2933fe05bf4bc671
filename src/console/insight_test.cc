#include "console/insight.h"

#include <gtest/gtest.h>

#include "console/temporary_folder.h"
#include "store/rules/memory_rule_store.h"

namespace fairlead::console {
namespace {

using base::Value;
using store::RuleKind;

std::vector<Value> rules(const char* text) { return base::parse_json(text)->items(); }

std::vector<std::string> codes(RuleKind kind, const char* text, bool anybody = true) {
  std::vector<std::string> out;
  for (const Warning& w : warnings(kind, rules(text), anybody, [](std::string_view r) { return r == "known"; }, Language::English))
    out.push_back(std::to_string(w.index) + " " + std::string(w.code));
  return out;
}

using Codes = std::vector<std::string>;

TEST(Warnings, NameWhatLooksLikeAMistake) {
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"known","count":5}])"), Codes{});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"known","count":0}])"), Codes{"0 zero"});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"knwon","count":5}])"), Codes{"0 unknown_resource"});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"knwon","count":5}])", false), Codes{});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":".*","regex":true,"count":5}])"), Codes{});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"known","count":5},{"resource":"known","count":6}])"), Codes{"1 conflict"});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"known","count":5},{"resource":"known","count":6,"limitApp":"a"}])"), Codes{});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"known","count":5},{"resource":"known","count":5.0}])"), Codes{"1 duplicate"});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"known","count":5},{"enabled":false,"resource":"known","count":0}])"), Codes{});
  EXPECT_EQ(codes(RuleKind::Authority, R"([{"resource":"known","limitApp":"a"},{"resource":"known","limitApp":"b"}])"), Codes{"1 shadowed"});
  EXPECT_EQ(codes(RuleKind::Degrade, R"([{"resource":"known","count":0,"grade":2,"timeWindow":1}])"), Codes{"0 zero"});
  EXPECT_EQ(codes(RuleKind::Degrade, R"([{"resource":"known","count":0,"grade":0,"timeWindow":1}])"), Codes{});
  EXPECT_EQ(codes(RuleKind::Flow, R"([{"resource":"known","count":5,"clusterMode":true,"clusterConfig":{"flowId":1,"fallbackToLocalWhenFail":false}}])"), Codes{"0 cluster"});
}

class InsightTest : public ::testing::Test {
 protected:
  InsightTest() {
    store_->put({"a", RuleKind::Flow}, R"([{"resource":"/x.*","regex":true,"count":1},{"resource":"/x/1","count":2},{"resource":"/y","count":3}])");
    store_->put({"a", RuleKind::System}, R"([{"qps":100}])");
    store_->put({"a", RuleKind::Authority}, R"([{"resource":"/x/1","limitApp":"p"},{"resource":"/x/1","limitApp":"q"}])");
    store_->put({"a", RuleKind::GatewayApi}, R"([{"apiName":"xs","predicateItems":[{"pattern":"/x/**","matchStrategy":1}]}])");
    store_->put({"a", RuleKind::GatewayFlow}, R"([{"resource":"xs","resourceMode":1,"count":9},{"resource":"ys","resourceMode":1,"count":9}])");
    bool ready = false;
    book_.start([&] { ready = true; });
    for (int i = 0; i < 5000 && !ready; ++i) loop_.run_once(std::chrono::milliseconds(2));
  }
  io::Loop loop_;
  std::shared_ptr<store::MemoryRuleStore> store_ = std::make_shared<store::MemoryRuleStore>();
  std::unique_ptr<Database> database_ = *Database::open(":memory:");
  std::int64_t now_ = 7'200'000;
  Rulebook book_{loop_, store_, *database_, [this] { return now_; }};
  TemporaryFolder folder_;
  std::unique_ptr<Metrics> owned_ = *Metrics::open(folder_.path() + "/metrics.db", [this] { return now_; }, {});
  Metrics& metrics_ = *owned_;
};

TEST_F(InsightTest, EffectiveRulesStandInTheOrderOfTheChecks) {
  Codes said;
  for (const EffectiveRule& r : effective(book_, "a", "/x/1", Language::English))
    said.push_back(std::string(api_name(r.kind)) + " " + std::to_string(r.index) + " " + std::string(r.how) + (r.obeyed ? "" : " not"));
  EXPECT_EQ(said, (Codes{"authority 0 exact", "authority 1 exact not", "system 0 default", "gateway-flow 0 prefix", "flow 1 exact", "flow 0 regex"}));
}

TEST_F(InsightTest, ADryRunCountsWhatIsAboveTheThreshold) {
  // 30 calls in each of 10 seconds, 5 in each of 10 others.
  for (int i = 0; i < 20; ++i) metrics_.add("a", "/y", 6'000'000 + i * 1000, {.pass = i < 10 ? 28 : 5, .block = i < 10 ? 2 : 0, .success = 5, .exception = i == 0 ? 4 : 0, .rt_ms = 5 * 10});
  metrics_.flush();
  metrics_.settle();
  const DryRun one = dry_run(RuleKind::Flow, rules(R"([{"resource":"/y","count":20}])")[0], metrics_, "a", now_, 1, Language::English);
  EXPECT_EQ(one.requests, 350);
  EXPECT_EQ(one.blocked, 20);
  EXPECT_EQ(one.would_block, 100);
  EXPECT_EQ(one.by_minute.size(), 60u);
  EXPECT_EQ(one.note, "");
  const DryRun two = dry_run(RuleKind::Flow, rules(R"([{"resource":"/y","count":14}])")[0], metrics_, "a", now_, 2, Language::English);
  EXPECT_EQ(two.would_block, 20);
  EXPECT_NE(two.note, "");
  // An exception ratio above a half opens it for five seconds after the first.
  const DryRun breaker = dry_run(RuleKind::Degrade, rules(R"([{"resource":"/y","grade":1,"count":0.5,"timeWindow":5}])")[0], metrics_, "a", now_, 1, Language::English);
  EXPECT_EQ(breaker.would_block, 150);
  const DryRun none = dry_run(RuleKind::Flow, rules(R"([{"resource":"/z","count":14}])")[0], metrics_, "a", now_, 1, Language::Chinese);
  EXPECT_EQ(none.requests, 0);
  EXPECT_NE(none.note, "");
}

}  // namespace
}  // namespace fairlead::console
