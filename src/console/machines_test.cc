#include "console/machines.h"

#include <gtest/gtest.h>

namespace fairlead::console {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

TEST(Heartbeat, IsJudgedAsTheOriginalDoes) {
  const Parameters good = {{"app", "demo"}, {"app_type", "0"}, {"version", "1700000000000"}, {"v", "1.8.8"}, {"hostname", "h"}, {"ip", "10.0.0.1"}, {"port", "8719"}, {"pid", "42"}};
  const auto beat = read_heartbeat(good, "127.0.0.1");
  ASSERT_TRUE(beat);
  EXPECT_EQ(beat->ip, "10.0.0.1");
  EXPECT_EQ(beat->port, 8719);
  EXPECT_EQ(beat->version, "1.8.8");
  EXPECT_EQ(beat->pid, 42);
  // Without an address: where it came from.
  EXPECT_EQ(read_heartbeat({{"app", "demo"}, {"port", "1"}}, "10.9.9.9")->ip, "10.9.9.9");
  for (const Parameters& bad : {Parameters{{"port", "1"}}, Parameters{{"app", " "}, {"port", "1"}}, Parameters{{"app", "a/b"}, {"port", "1"}}, Parameters{{"app", "a"}},
                                Parameters{{"app", "a"}, {"port", "-1"}}, Parameters{{"app", "a"}, {"port", "70000"}}, Parameters{{"app", "a"}, {"port", "x"}},
                                Parameters{{"app", "a"}, {"port", "1"}, {"ip", "example.com"}}, Parameters{{"app", "a"}, {"port", "1"}, {"ip", "1.2.3.4/evil"}},
                                Parameters{{"app", std::string(300, 'a')}, {"port", "1"}}, Parameters{{"app", "a\nb"}, {"port", "1"}}})
    EXPECT_FALSE(read_heartbeat(bad, "127.0.0.1"));
}

TEST(Machines, AreUnhealthyWithoutHeartbeatsAndForgottenLater) {
  std::int64_t now = 1'000'000;
  Machines machines([&] { return now; });
  Heartbeat beat{.app = "demo", .ip = "10.0.0.1", .port = 8719, .pid = 1};
  EXPECT_EQ(machines.beat(beat), true);
  EXPECT_EQ(machines.beat(beat), false);
  beat.pid = 2;  // another process on the same port
  EXPECT_EQ(machines.beat(beat), true);
  now += Machines::kHealthyMs;
  EXPECT_FALSE(machines.healthy(*machines.of("demo")[0]));
  EXPECT_EQ(machines.beat(beat), true);
  now += Machines::kForgottenMs + 1;
  machines.forget_old();
  EXPECT_EQ(machines.size(), 0u);
}

TEST(Machines, AreByAppAndAddress) {
  Machines machines([] { return std::int64_t{1}; });
  for (const char* app : {"a", "ab", "b"})
    for (int port : {1, 2}) EXPECT_EQ(machines.beat({.app = app, .ip = "10.0.0.1", .port = port}), true);
  EXPECT_EQ(machines.of("a").size(), 2u);
  EXPECT_EQ(machines.apps(), (std::vector<std::string>{"a", "ab", "b"}));
  EXPECT_TRUE(machines.remove("a", "10.0.0.1:1"));
  EXPECT_FALSE(machines.remove("a", "10.0.0.1:1"));
  EXPECT_EQ(machines.find("a", "10.0.0.1:1"), nullptr);
  machines.beat({.app = "a", .ip = "::1", .port = 5}).value();
  EXPECT_NE(machines.find("a", "[::1]:5"), nullptr);
}

}  // namespace
}  // namespace fairlead::console
