#include "node/agent/message.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace fairlead::node {
namespace {

struct Ends {
  io::Loop loop;
  std::vector<Message> got;
  bool closed = false;
  std::unique_ptr<MessageChannel> a, b;
  Ends() {
    auto pair = message_pair();
    a = std::make_unique<MessageChannel>(loop, std::move(pair->first), [](Message) {}, [] {});
    b = std::make_unique<MessageChannel>(loop, std::move(pair->second), [this](Message m) { got.push_back(std::move(m)); }, [this] { closed = true; });
  }
  void run_until(auto condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) loop.run_once(std::chrono::milliseconds(1));
  }
};

TEST(MessageChannel, CarriesDescriptorsWithTheirMessage) {
  Ends ends;
  int p[2];
  ASSERT_EQ(::pipe(p), 0);
  ends.a->send(base::Value::object({{"n", 1}}));
  std::vector<io::Fd> fds;
  fds.emplace_back(p[0]);
  ends.a->send(base::Value::object({{"n", 2}}), std::move(fds));
  ends.a->send(base::Value::object({{"n", 3}}));
  ends.run_until([&] { return ends.got.size() == 3; });
  ASSERT_EQ(ends.got.size(), 3u);
  EXPECT_TRUE(ends.got[0].fds.empty());
  ASSERT_EQ(ends.got[1].fds.size(), 1u);
  EXPECT_TRUE(ends.got[2].fds.empty());
  ASSERT_EQ(::write(p[1], "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(ends.got[1].fds[0].get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  ::close(p[1]);
}

TEST(MessageChannel, QueuesWhatTheKernelDoesNotTakeAtOnce) {
  Ends ends;
  std::string big(1 << 20, 'y');
  ends.a->send(base::Value::object({{"big", big}}));
  ends.a->send(base::Value::object({{"small", true}}));
  ends.run_until([&] { return ends.got.size() == 2; });
  ASSERT_EQ(ends.got.size(), 2u);
  EXPECT_EQ(ends.got[0].body["big"].as_string(), big);
}

TEST(MessageChannel, TellsWhenThePeerIsGone) {
  Ends ends;
  ends.a.reset();
  ends.run_until([&] { return ends.closed; });
  EXPECT_TRUE(ends.closed);
  ends.b->send(base::Value::object());  // into nothing
}

TEST(MessageChannel, CutsAPeerThatTalksNonsense) {
  io::Loop loop;
  auto pair = message_pair();
  bool closed = false;
  MessageChannel channel(loop, std::move(pair->second), [](Message) { FAIL(); }, [&] { closed = true; });
  ASSERT_EQ(::write(pair->first.get(), "GET / HTTP/1.1\r\n\r\n", 18), 18);
  for (int i = 0; i < 100 && !closed; ++i) loop.run_once(std::chrono::milliseconds(1));
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace fairlead::node
