#include "flow/statistics.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "flow/engine.h"

namespace fairlead::flow {
namespace {

struct Manual {
  std::int64_t now = 1'700'000'000'000;
  static std::int64_t read(void* self) { return static_cast<Manual*>(self)->now; }
  Engine::Options options() { return {.now_ms = &Manual::read, .clock = this}; }
};

TEST(FlowStatistics, TheTreeHasEntrancesAndWhatTheDefaultOneIsLeft) {
  Manual clock;
  Engine engine(clock.options());
  engine.load({FlowRule{.resource = "named by a rule alone", .count = 1}, FlowRule{.resource = "b", .count = 0}});
  Entry running = engine.enter("a");
  EXPECT_TRUE(engine.enter("a", {.context = "web", .origin = "shop"}));
  EXPECT_TRUE(engine.enter("a", {.context = "web"}));
  EXPECT_FALSE(engine.enter("b", {.context = "web"}));
  EXPECT_TRUE(engine.enter("c"));
  const StatisticsTree tree = engine.tree();
  EXPECT_EQ(tree.name, "machine-root");
  EXPECT_EQ(tree.values.pass, 4);
  ASSERT_EQ(tree.children.size(), 2U);
  const auto& [standard, web] = std::tie(tree.children[0], tree.children[1]);
  EXPECT_EQ(standard.name, "sentinel_default_context");
  ASSERT_EQ(standard.children.size(), 2U);
  EXPECT_EQ(standard.children[0].name, "a");
  EXPECT_EQ(standard.children[0].values.pass, 1);
  EXPECT_EQ(standard.children[0].values.threads, 1);
  EXPECT_EQ(standard.children[1].name, "c");
  EXPECT_EQ(web.name, "web");
  EXPECT_EQ(web.values.pass, 2);
  EXPECT_EQ(web.values.minute_block, 1);
  EXPECT_EQ(web.values.success, 2);
  ASSERT_EQ(engine.origins("a").size(), 1U);
  EXPECT_EQ(engine.origins("a")[0].name, "shop");
  EXPECT_EQ(engine.statistics().size(), 3U);
  EXPECT_FALSE(engine.statistics("unknown"));
  EXPECT_TRUE(engine.contexts("unknown").empty());
}

TEST(FlowStatistics, TheTreeHasCallsWithinCalls) {
  Manual clock;
  Engine engine(clock.options());
  const auto text = [&](std::string_view context) {
    const auto print = [](const auto& self, const StatisticsTree& node) -> std::string {
      std::string out = node.name + ":" + std::to_string(node.values.pass);
      for (const StatisticsTree& child : node.children) out += "(" + self(self, child) + ")";
      return out;
    };
    for (const StatisticsTree& entrance : engine.tree().children)
      if (entrance.name == context) return print(print, entrance);
    return std::string();
  };
  {
    Entry page = engine.enter("page", {.context = "web"});
    Entry orders = engine.enter("orders", {.context = "web", .within = &page});
    Entry stock = engine.enter("stock", {.context = "web", .within = &orders});
    Entry price = engine.enter("price", {.context = "web", .within = &page});
    // The first call gave them their places; and a ring would have none.
    EXPECT_TRUE(engine.enter("stock", {.context = "web", .within = &page}));
    EXPECT_TRUE(engine.enter("page", {.context = "web", .within = &stock}));
    EXPECT_TRUE(engine.enter("page", {.context = "web", .within = &page}));
  }
  EXPECT_EQ(text("web"), "web:3(page:3(orders:1(stock:2))(price:1))");  // an entrance counts its own calls
  // A name may be empty, and is a resource like others.
  {
    Entry nameless = engine.enter("", {.context = "odd"});
    EXPECT_TRUE(engine.enter("x", {.context = "odd", .within = &nameless}));
  }
  EXPECT_EQ(text("odd"), "odd:2(:1)(x:1)");
  // Another context has places of its own, and what was refused or is over is none.
  engine.load({FlowRule{.resource = "closed", .count = 0}});
  Entry refused = engine.enter("closed", {.context = "jobs"}), over = engine.enter("over", {.context = "jobs"});
  over.leave();
  EXPECT_TRUE(engine.enter("stock", {.context = "jobs", .within = &refused}));
  EXPECT_TRUE(engine.enter("price", {.context = "jobs", .within = &over}));
  EXPECT_EQ(text("jobs"), "jobs:3(closed:0)(over:1)(price:1)(stock:1)");
}

TEST(FlowStatistics, MetricsAreOfSecondsThatHaveEndedWithAllThatIsInbound) {
  Manual clock;
  Engine engine(clock.options());
  {
    Entry entry = engine.enter("a", {.inbound = true});
    entry.trace();
    clock.now += 300;
  }
  EXPECT_TRUE(engine.metrics(-1).empty());
  clock.now += 700;
  EXPECT_TRUE(engine.enter("b"));
  const auto metrics = engine.metrics(-1);
  ASSERT_EQ(metrics.size(), 2U);
  EXPECT_EQ(metrics[0].resource, "__total_inbound_traffic__");
  EXPECT_EQ(metrics[1].resource, "a");
  EXPECT_EQ(metrics[1].time_ms, 1'700'000'000'000);
  EXPECT_EQ(metrics[1].exception, 1);
  EXPECT_EQ(metrics[1].rt_ms, 300);
  EXPECT_TRUE(engine.metrics(metrics[1].time_ms).empty());
  clock.now += 1000;
  EXPECT_EQ(engine.metrics(metrics[1].time_ms).size(), 1U);
  clock.now += 61'000;
  EXPECT_TRUE(engine.metrics(-1).empty());
}

// Who looks every second must not keep idle resources alive.
TEST(FlowStatistics, LookingDoesNotMakeAResourceUsed) {
  Manual clock;
  auto options = clock.options();
  options.max_resources = 1;
  Engine engine(options);
  EXPECT_TRUE(engine.enter("a"));
  for (int i = 0; i < 61; ++i) {
    clock.now += 1000;
    static_cast<void>(engine.statistics());
    static_cast<void>(engine.tree());
    static_cast<void>(engine.metrics(-1));
  }
  EXPECT_TRUE(engine.enter("b"));
  EXPECT_EQ(engine.evicted(), 1U);
}

TEST(FlowStatistics, AreReadWhileOthersCheckAndResourcesGo) {
  Engine::Options options;
  options.max_resources = 32;
  options.min_idle_ms = 0;
  Engine engine(options);
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&, i] {
      for (int n = i; !stop.load(); ++n) EXPECT_TRUE(engine.enter(std::to_string(n % 100), {.context = "web", .origin = "shop"}));
    });
  std::size_t most = 0;
  // Until both happened: the others may have begun late, or may have run while this thread did not.
  for (int i = 0; i < 300 || ((engine.evicted() < 100 || most < 2) && i < 1'000'000); ++i) {
    most = std::max({most, engine.statistics().size(), engine.tree().children.size(), engine.metrics(-1).size(), engine.origins("5").size()});
  }
  stop = true;
  threads.clear();
  EXPECT_GT(most, 1U);
}

TEST(FlowStatistics, ShowWhatIsCountedTogether) {
  Manual clock;
  auto options = clock.options();
  options.max_resources = 1;
  options.max_nodes_per_resource = 1;
  Engine engine(options);
  EXPECT_TRUE(engine.enter("a", {.origin = "x"}));
  EXPECT_TRUE(engine.enter("a", {.origin = "y"}));
  EXPECT_TRUE(engine.enter("b"));
  const auto origins = engine.origins("a");
  ASSERT_EQ(origins.size(), 2U);
  EXPECT_EQ(origins[0].name, "(beyond the limit)");
  EXPECT_EQ(origins[0].values.pass, 1);
  EXPECT_EQ(engine.statistics()[0].name, "(beyond the limit)");
}

}  // namespace
}  // namespace fairlead::flow
