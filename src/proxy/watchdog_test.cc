#include "proxy/watchdog.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

using std::chrono::milliseconds;

// The figure of one name, as soon as `wanted` holds for it (or after a time in which anything would have happened).
template <class Wanted>
uint64_t eventually(const Watchdog& dog, const std::string& name, Wanted wanted) {
  auto give_up = base::Clock::now() + std::chrono::seconds(20);
  while (true) {
    StatsSnapshot s;
    dog.stats(s);
    if (wanted(s.counters[name]) || base::Clock::now() > give_up) return s.counters[name];
    std::this_thread::yield();
  }
}

TEST(Watchdog, CountsALoopThatDoesNotRun) {
  io::Loop stuck;
  Watchdog dog({{&stuck, "worker_0"}}, {.miss = milliseconds(1), .megamiss = milliseconds(2), .every = milliseconds(3)});
  EXPECT_EQ(eventually(dog, "server.worker_0.watchdog_mega_miss", [](uint64_t n) { return n == 1; }), 1u);
  EXPECT_EQ(eventually(dog, "workers.watchdog_miss", [](uint64_t n) { return n == 1; }), 1u) << "one stall is one miss, however long it lasts";
}

TEST(Watchdog, CountsTheNextStallAgain) {
  io::Loop loop;
  Watchdog dog({{&loop, "main_thread"}}, {.miss = milliseconds(1), .megamiss = milliseconds(2), .every = milliseconds(3)});
  EXPECT_GE(eventually(dog, "server.main_thread.watchdog_miss", [](uint64_t n) { return n >= 1; }), 1u);
  auto give_up = base::Clock::now() + std::chrono::seconds(20);
  uint64_t misses = 1;
  while (misses < 2 && base::Clock::now() < give_up) {
    loop.run_once(base::Nanos(0));
    misses = eventually(dog, "main_thread.watchdog_miss", [](uint64_t n) { return n >= 2; });
  }
  EXPECT_GE(misses, 2u);
}

}  // namespace
}  // namespace fairlead::proxy
