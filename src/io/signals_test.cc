#include "io/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <vector>

namespace fairlead::io {
namespace {

TEST(Signals, EachIsToldOnTheLoop) {
  Loop loop;
  std::vector<int> seen;
  SignalWatch watch(loop, {SIGUSR1, SIGUSR2}, [&](int signal) {
    seen.push_back(signal);
    if (seen.size() == 2) loop.stop();
  });
  ::kill(::getpid(), SIGUSR2);  // blocked: ends nobody
  ::kill(::getpid(), SIGUSR1);
  Timer guard(loop, [&] { loop.stop(); });
  guard.arm(std::chrono::seconds(30));
  loop.run();
  EXPECT_EQ(seen, (std::vector<int>{SIGUSR1, SIGUSR2}));  // pending signals come by their numbers
}

}  // namespace
}  // namespace fairlead::io
