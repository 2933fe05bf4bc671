#include "http/h2_keep_alive.h"

#include <gtest/gtest.h>

namespace fairlead::http {
namespace {

using std::chrono::milliseconds;

// Turns the loop until `what` holds; a minute is for machines that stand still.
template <class What>
void until(io::Loop& loop, What what) {
  for (auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1); !what() && std::chrono::steady_clock::now() < end;) loop.run_once(milliseconds(1));
  EXPECT_TRUE(what());
}

TEST(H2KeepAlive, AnAnswerIsFollowedByTheNextPing) {
  io::Loop loop;
  int pings = 0, gone = 0;
  H2KeepAlive alive(loop, {.interval = milliseconds(2), .timeout = std::chrono::hours(1)}, 7, [&] { ++pings; }, [&] { ++gone; });
  until(loop, [&] { return pings == 1; });
  for (auto end = std::chrono::steady_clock::now() + milliseconds(10); std::chrono::steady_clock::now() < end;) loop.run_once(milliseconds(1));
  EXPECT_EQ(pings, 1);  // none while one is on its way
  alive.on_answer();
  until(loop, [&] { return pings == 2; });
  EXPECT_EQ(gone, 0);
}

TEST(H2KeepAlive, SilenceAfterAPingIsTheEnd) {
  io::Loop loop;
  int pings = 0, gone = 0;
  H2KeepAlive alive(loop, {.interval = milliseconds(1), .timeout = milliseconds(1)}, 7, [&] { ++pings; }, [&] { ++gone; });
  until(loop, [&] { return gone == 1; });
  EXPECT_EQ(pings, 1);
}

TEST(H2KeepAlive, AnIdleConnectionIsAskedBeforeItIsUsed) {
  io::Loop loop;
  int pings = 0;
  H2KeepAlive alive(loop, {.timeout = std::chrono::hours(1), .idle = milliseconds(5)}, 7, [&] { ++pings; }, [] {});
  alive.before_stream();
  EXPECT_EQ(pings, 0);  // it has just begun
  until(loop, [&] { alive.before_stream(); return pings == 1; });
  alive.on_answer();
  alive.on_bytes();
  alive.before_stream();
  EXPECT_EQ(pings, 1);
}

}  // namespace
}  // namespace fairlead::http
