#include "flow/clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace fairlead::flow {
namespace {

std::int64_t kernel_ms() { return kernel_now_ns(CLOCK_REALTIME) / 1'000'000; }

// Between two looks at the kernel's clock; if that is set meanwhile, once more.
void agrees() {
  for (int tries = 0; tries < 3; ++tries) {
    const std::int64_t before = kernel_ms(), now = SystemClock::now_ms(), after = kernel_ms();
    if (before - 1 <= now && now <= after) return;
  }
  ADD_FAILURE() << "the clock is not the kernel's";
}

TEST(FlowClock, IsTheKernelsOnEveryThreadAlsoAfterSleep) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([] {
      for (int round = 0; round < 30; ++round) {
        for (int j = 0; j < 2000; ++j) agrees();
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(FlowClock, DoesNotGoBackWithinAThread) {
  std::int64_t last = SystemClock::now_ms();
  int steps = 0, back = 0;
  for (int i = 0; steps < 50 && i < 100'000'000; ++i) {
    const std::int64_t now = SystemClock::now_ms();
    if (now > last) ++steps;
    if (now < last) ++back;
    last = now;
  }
  EXPECT_EQ(steps, 50);
  EXPECT_LE(back, 1);  // the kernel's may be set back
}

}  // namespace
}  // namespace fairlead::flow
