#include "flow/engine.h"

#include <gtest/gtest.h>

#include <thread>

namespace fairlead::flow {
namespace {

struct Manual {
  std::int64_t now = 1'700'000'000'000;
  static std::int64_t read(void* self) { return static_cast<Manual*>(self)->now; }
  Engine::Options options() { return {.now_ms = &Manual::read, .clock = this}; }
};

TEST(FlowEngine, ReportsInvalidRulesAndKeepsTheOthersWithTheirPositions) {
  Manual clock;
  Engine engine(clock.options());
  const auto problems = engine.load({FlowRule{.resource = "a", .count = -1}, FlowRule{.resource = "a", .count = 0}});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0], "rule 0: count: must be 0 or more");
  EXPECT_EQ(engine.enter("a").rule(), 1);
}

TEST(FlowEngine, ChecksResourcesWithRulesBeyondTheLimit) {
  Manual clock;
  auto options = clock.options();
  options.max_resources = 2;
  Engine engine(options);
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_TRUE(engine.enter(name));
  EXPECT_EQ(engine.resources(), 2U);
  EXPECT_EQ(engine.overflow(), 2U);
  engine.load({FlowRule{.resource = "d", .count = 0}});
  EXPECT_FALSE(engine.enter("d"));
}

TEST(FlowEngine, RulesForManyResourcesHoldForOldAndNewOnesAndBeyondTheLimit) {
  Manual clock;
  auto options = clock.options();
  options.max_resources = 2;
  Engine engine(options);
  EXPECT_TRUE(engine.enter("/a/1"));
  EXPECT_TRUE(engine.enter("/b"));
  EXPECT_EQ(engine.load({FlowRule{.resource = "/a/.*", .count = 0, .regex = true}, FlowRule{.resource = "[", .count = 0, .regex = true}}),
            (std::vector<std::string>{"rule 1: resource: is not a regular expression that can be used: at character 2: '[' without ']'"}));
  for (const char* name : {"/a/1", "/a/2", "/a/3"}) EXPECT_FALSE(engine.enter(name)) << name;
  EXPECT_TRUE(engine.enter("/c"));
  EXPECT_EQ(engine.limit_hits(Limit::Resources), 1U);
  engine.load(std::vector<FlowRule>{});
  EXPECT_TRUE(engine.enter("/a/3"));
}

TEST(FlowEngine, SwitchedOffItPassesAndCountsNothing) {
  Manual clock;
  Engine engine(clock.options());
  engine.load({FlowRule{.resource = "a", .grade = kGradeThread, .count = 1}});
  auto before = engine.enter("a");
  EXPECT_FALSE(engine.enter("a"));
  engine.set_on(false);
  EXPECT_TRUE(engine.enter("a"));
  EXPECT_TRUE(engine.enter(engine.resource("a")));
  before.leave();
  EXPECT_EQ(engine.statistics("a")->threads, 0);
  EXPECT_EQ(engine.statistics("a")->pass, 1);
  engine.set_on(true);
  auto after = engine.enter("a");
  EXPECT_FALSE(engine.enter("a"));
}

TEST(FlowEngine, AnswersTheRulesThatItHolds) {
  Engine engine;
  const FlowRule good{.resource = "a", .count = 1};
  engine.load({good, FlowRule{.resource = "a", .count = -1}, good});
  EXPECT_EQ(engine.rules<FlowRule>(), std::vector{good});
  const std::vector<SystemRule> system{{.qps = 5}, {.qps = 7}};
  engine.load(system);
  EXPECT_EQ(engine.rules<SystemRule>(), system);
  const std::vector<GatewayFlowRule> gateway{{.resource = "route", .count = 3}};
  engine.load(gateway);
  EXPECT_EQ(engine.rules<GatewayFlowRule>(), gateway);
  EXPECT_TRUE(engine.rules<DegradeRule>().empty());
}

TEST(FlowEngine, RelatesRulesForManyResourcesThatMatchEachOthersReference) {
  Manual clock;
  Engine engine(clock.options());
  engine.load({FlowRule{.resource = "a.*|b.*", .count = 0, .strategy = kStrategyRelate, .ref_resource = "b1", .regex = true},
               FlowRule{.resource = "b.*", .count = 0, .strategy = kStrategyRelate, .ref_resource = "a1", .regex = true}});
  for (const char* name : {"a0", "a1", "b0", "b1"}) EXPECT_FALSE(engine.enter(name)) << name;
}

TEST(FlowEngine, TellsWhatOfValidRulesIsNotActedOn) {
  Engine engine;
  ClusterFlowConfig alone;
  alone.flow_id = 1;
  ClusterFlowConfig remote = alone;
  remote.fallback_to_local_when_fail = false;
  const auto notes = engine.load({FlowRule{.resource = "a", .count = 0, .cluster_mode = true, .cluster_config = remote},
                                  FlowRule{.resource = "b", .count = 0, .cluster_mode = true, .cluster_config = alone}});
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_TRUE(notes[0].starts_with("rule 0: clusterMode: there is no token server")) << notes[0];
  EXPECT_TRUE(engine.enter("a"));
  EXPECT_FALSE(engine.enter("b"));
  EXPECT_EQ(engine.load(std::vector<AuthorityRule>{{.resource = "c", .limit_app = "x"}, {.resource = "c", .limit_app = "y"}}),
            (std::vector<std::string>{"rule 1: resource: has an authority rule already, rule 0; put the origins into that one"}));
  EXPECT_EQ(engine.load(std::vector<SystemRule>{{.highest_cpu_usage = 2, .qps = 0}}),
            (std::vector<std::string>{"rule 0: highestCpuUsage: must be from 0 to 1, or -1 for none; the other fields hold"}));
  EXPECT_EQ(engine.enter("d", {.inbound = true}).verdict(), Verdict::SystemQps);
}

TEST(FlowEngine, ResourcesIdleLongestGoFirst) {
  Manual clock;
  auto options = clock.options();
  options.max_resources = 4;
  Engine engine(options);
  Resource& handle = engine.resource("handle");
  engine.load({FlowRule{.resource = "rule", .count = 0}});
  EXPECT_TRUE(engine.enter("old"));
  clock.now += 30'000;
  Entry busy = engine.enter("busy");
  clock.now += 30'000;
  EXPECT_TRUE(engine.enter("new")) << "in the place of `old`";
  EXPECT_EQ(engine.evicted(), 1U);
  EXPECT_EQ(engine.resources(), 4U);
  clock.now += 500;
  EXPECT_TRUE(engine.enter("more"));
  EXPECT_EQ(engine.limit_hits(Limit::Resources), 1U) << "nothing was idle for long enough: counted together";
  clock.now += 100'000;
  EXPECT_TRUE(engine.enter("more"));
  EXPECT_EQ(engine.evicted(), 2U) << "`new` went, not the busy one, that with a handle nor that with a rule";
  EXPECT_EQ(&engine.resource("handle"), &handle);
  EXPECT_FALSE(engine.enter("rule"));
  engine.load(std::vector<FlowRule>{});
  clock.now += 100'000;
  EXPECT_TRUE(engine.enter("another"));
  EXPECT_EQ(engine.evicted(), 3U);
}

TEST(FlowEngine, ResourcesComeAndGoWhileOthersCheck) {
  Manual clock;
  auto options = clock.options();
  options.max_resources = 64;
  options.min_idle_ms = 0;
  Engine engine(options);
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> entered{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&, i] {
      std::vector<Entry> running;
      for (int n = i; !stop.load(); ++n) {
        running.push_back(engine.enter(std::to_string(n * 7 % 1000), {.context = "c", .origin = "o"}));
        EXPECT_TRUE(running.back());
        entered.fetch_add(1);
        if (running.size() > 20) running.erase(running.begin(), running.begin() + 10);
      }
    });
  // Resources that a rule names never go: the expression is there only half of the time, or its hundred would be all there is.
  // Calls go on between two loads, whatever the scheduler thinks: it is they who make room.
  for (int i = 0; i < 200 || (engine.evicted() < 1000 && i < 100'000); ++i) {
    for (const std::int64_t before = entered.load(); entered.load() < before + 100;) std::this_thread::yield();
    std::vector<FlowRule> rules{{.resource = std::to_string(i % 1000), .count = 1e9}};
    if (i % 2 == 0) rules.push_back({.resource = "5.*", .count = 1e9, .regex = true});
    engine.load(std::move(rules));
  }
  stop = true;
  threads.clear();
  EXPECT_GE(engine.evicted(), 1000U);
}

TEST(FlowEngine, ChecksOriginsBeyondTheLimitTogether) {
  Manual clock;
  auto options = clock.options();
  options.max_nodes_per_resource = 1;
  Engine engine(options);
  engine.load({FlowRule{.resource = "a", .limit_app = "other", .count = 1}});
  EXPECT_TRUE(engine.enter("a", {.origin = "one"}));
  EXPECT_TRUE(engine.enter("a", {.origin = "two"}));
  EXPECT_FALSE(engine.enter("a", {.origin = "three"}));
}

TEST(FlowEngine, AnEntryMayEndElsewhereAndEndsOnce) {
  Manual clock;
  Engine engine(clock.options());
  Entry kept;
  {
    Entry entry = engine.enter("a");
    kept = std::move(entry);
  }
  Node& node = engine.node(engine.resource("a"));
  EXPECT_EQ(node.threads(), 1);
  std::thread([moved = std::move(kept)]() mutable { moved.leave(); }).join();
  EXPECT_EQ(node.threads(), 0);
}

TEST(FlowEngine, TellsBreakerChangesAndKeepsTheStateOfAnEqualRule) {
  Manual clock;
  Engine engine(clock.options());
  std::vector<BreakerState> seen;
  engine.on_breaker_change([&](const DegradeRule&, BreakerState, BreakerState to) { seen.push_back(to); });
  const std::vector<DegradeRule> rules{{.resource = "a", .grade = kDegradeErrorCount, .count = 0, .time_window = 1, .min_request_amount = 1}};
  engine.load(rules);
  engine.enter("a").trace();
  engine.load(rules);
  EXPECT_EQ(engine.enter("a").verdict(), Verdict::Degrade);
  clock.now += 1000;
  EXPECT_TRUE(engine.enter("a"));
  EXPECT_EQ(seen, (std::vector{BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed}));
}

TEST(FlowEngine, SwapsRulesWhileOthersCheck) {
  Manual clock;
  Engine engine(clock.options());
  std::atomic<bool> stop{false};
  std::atomic<int> refused{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      do {
        Entry entry = engine.enter("a", {.context = "c", .origin = "o", .inbound = true});
        if (!entry) refused.fetch_add(1);
      } while (!stop.load());
    });
  for (int i = 0; i < 300; ++i) {
    engine.load({FlowRule{.resource = "a", .count = 1e9}, FlowRule{.resource = "a", .limit_app = "o", .count = 1e9}});
    engine.load({DegradeRule{.resource = "a", .count = 1e6, .time_window = 1 + i % 2}});
    engine.load(std::vector<AuthorityRule>{{.resource = "a", .limit_app = "x,o"}});
  }
  stop = true;
  threads.clear();
  EXPECT_EQ(refused.load(), 0);
  EXPECT_EQ(engine.node(engine.resource("a")).threads(), 0);
}

}  // namespace
}  // namespace fairlead::flow
