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
