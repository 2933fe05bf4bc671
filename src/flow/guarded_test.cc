#include "flow/guarded.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace fairlead::flow {
namespace {

TEST(FlowGuarded, CallsOrFallsBack) {
  Engine engine;
  engine.load({FlowRule{.resource = "closed", .count = 0}});
  const auto name = [&](const char* resource) {
    return guarded(engine, resource, {}, [] { return std::string("called"); }, [](const Entry& refused) { return std::string(to_string(refused.verdict())); });
  };
  EXPECT_EQ(name("open"), "called");
  EXPECT_EQ(name("closed"), "flow");
  EXPECT_EQ(guarded(engine, "closed", {}, [] { return 1; }, [] { return 2; }), 2);
  EXPECT_EQ(engine.statistics("open")->threads, 0);
}

TEST(FlowGuarded, CountsWhatIsThrownAndThrowsItOn) {
  Engine engine;
  EXPECT_THROW(guarded(engine, "a", {}, [] { throw std::runtime_error("failed"); }, [] {}), std::runtime_error);
  guarded(engine, "a", {}, [](Entry& entry) { entry.trace(); }, [] {});
  guarded(engine, "a", {}, [] {}, [] {});
  EXPECT_EQ(engine.statistics("a")->minute_exception, 2);
  EXPECT_EQ(engine.statistics("a")->minute_success, 3);
}

TEST(FlowGuarded, WaitsAsTheRateLimiterSays) {
  Engine engine;
  engine.load({FlowRule{.resource = "a", .count = 50, .control_behavior = kBehaviorThrottle, .max_queueing_time_ms = 1000}});
  const auto begin = std::chrono::steady_clock::now();
  int calls = 0;
  for (int i = 0; i < 4; ++i) guarded(engine, "a", {}, [&] { ++calls; }, [] {});
  EXPECT_EQ(calls, 4);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(50));  // three places of 20 ms, but for the clock's steps
}

}  // namespace
}  // namespace fairlead::flow
