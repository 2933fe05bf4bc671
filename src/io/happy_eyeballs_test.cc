#include "io/happy_eyeballs.h"

#include <gtest/gtest.h>

namespace fairlead::io {
namespace {

// Attempts that end when the test says so.
struct HappyEyeballs : testing::Test {
  struct Attempt final : Connecting {
    explicit Attempt(int& a) : alive(a) { ++alive; }
    ~Attempt() override { --alive; }
    int& alive;
  };

  std::unique_ptr<Connecting> race(size_t addresses, base::Nanos head_start = std::chrono::hours(1)) {
    std::vector<Address> all;
    for (size_t i = 0; i < addresses; ++i) all.push_back(*Address::parse_ip("10.0.0." + std::to_string(i + 1), 80));
    return connect_any(loop, std::move(all), head_start,
                       [this](const Address& to, ConnectCallback done) {
                         tried.push_back(to.ip());
                         ends.push_back(std::move(done));
                         return std::make_unique<Attempt>(alive);
                       },
                       [this](base::Result<std::unique_ptr<Transport>> result) {
                         ++told;
                         outcome = result ? "connected" : result.error().message;
                       });
  }
  // Moved out first: an end may begin another attempt.
  void end(size_t i, base::Result<std::unique_ptr<Transport>> result) {
    ConnectCallback done = std::move(ends[i]);
    done(std::move(result));
  }
  void fail(size_t i, const std::string& why) { end(i, base::fail(base::Code::kUnavailable, "{}", why)); }
  void succeed(size_t i) { end(i, std::move(make_memory_pair(loop).first)); }
  void run_until(auto&& condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) loop.run_once(std::chrono::milliseconds(1));
  }

  Loop loop;
  std::vector<std::string> tried;
  std::vector<ConnectCallback> ends;
  int alive = 0, told = 0;
  std::string outcome;
};

TEST_F(HappyEyeballs, TheFirstAddressIsTakenWhenItAnswers) {
  auto handle = race(3);
  EXPECT_EQ(tried, std::vector<std::string>({"10.0.0.1"}));
  succeed(0);
  EXPECT_EQ(outcome, "connected");
  EXPECT_EQ(tried.size(), 1u);
}

TEST_F(HappyEyeballs, AFailureIsFollowedByTheNextAddressAtOnce) {
  auto handle = race(3);
  fail(0, "a");
  EXPECT_EQ(tried.size(), 2u);
  fail(1, "b");
  EXPECT_EQ(tried.size(), 3u);
  EXPECT_EQ(told, 0);
  succeed(2);
  EXPECT_EQ(outcome, "connected");
}

TEST_F(HappyEyeballs, AtOnceAlsoWhileAnotherAttemptIsUnderWay) {
  auto handle = race(4, std::chrono::milliseconds(1));
  run_until([&] { return tried.size() >= 2; });
  size_t before = tried.size();
  fail(before - 1, "refused");
  EXPECT_EQ(tried.size(), before + 1);
  succeed(before);
  EXPECT_EQ(outcome, "connected");
  run_until([&] { return alive == 0; });
  EXPECT_EQ(alive, 0);  // the ones that hung were dropped
  EXPECT_EQ(told, 1);
}

TEST_F(HappyEyeballs, AnAddressThatHangsIsOvertakenAndMayStillWin) {
  auto handle = race(2, std::chrono::milliseconds(1));
  run_until([&] { return tried.size() == 2; });
  fail(1, "refused");
  EXPECT_EQ(told, 0);
  succeed(0);
  EXPECT_EQ(outcome, "connected");
}

TEST_F(HappyEyeballs, WhenAllFailTheLastErrorIsTold) {
  auto handle = race(2);
  fail(0, "first");
  fail(1, "last");
  EXPECT_EQ(outcome, "last");
  EXPECT_EQ(told, 1);
}

TEST_F(HappyEyeballs, DroppingTheHandleCancelsEverything) {
  auto handle = race(2);
  fail(0, "first");
  handle.reset();
  run_until([&] { return alive == 0; });
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(told, 0);
}

}  // namespace
}  // namespace fairlead::io
