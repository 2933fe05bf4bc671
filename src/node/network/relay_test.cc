#include "node/network/relay.h"

#include <gtest/gtest.h>

namespace fairlead::node {
namespace {

struct Peer : io::TransportSink {
  std::unique_ptr<io::Transport> transport;
  std::string got;
  bool eof = false, broken = false;
  virtual ~Peer() = default;
  void on_ready(bool, bool) override { read(); }
  void read() {
    char buffer[1024];
    for (;;) {
      auto r = transport->read(std::span<char>(buffer));
      if (r.status == io::IoStatus::kEof) eof = true;
      if (r.status == io::IoStatus::kError) broken = true;
      if (r.status != io::IoStatus::kOk) return;
      got.append(buffer, r.bytes);
    }
  }
};

struct Relayed {
  io::Loop loop;
  RelaySet relays{loop};
  Peer client, server;
  explicit Relayed(size_t step) {
    auto left = io::make_memory_pair(loop, step, 64), right = io::make_memory_pair(loop, step, 64);
    client.transport = std::move(left.first);
    server.transport = std::move(right.first);
    client.transport->set_sink(&client);
    server.transport->set_sink(&server);
    relays.add(std::move(left.second), std::move(right.second));
  }
  void settle() {
    for (int i = 0; i < 300; ++i) loop.run_once(base::Nanos(0));
  }
};

TEST(Relay, PassesBytesBothWaysInSmallSteps) {
  Relayed r(3);
  std::string text = "a request that is longer than one step";
  size_t sent = 0;
  for (int i = 0; i < 50 && sent < text.size(); ++i) {
    auto w = r.client.transport->write(std::string_view(text).substr(sent));
    if (w.status == io::IoStatus::kOk) sent += w.bytes;
    r.settle();
  }
  r.server.read();
  EXPECT_EQ(r.server.got, text);
  EXPECT_EQ(r.server.transport->write("ok").status, io::IoStatus::kOk);
  r.settle();
  r.client.read();
  EXPECT_EQ(r.client.got, "ok");
}

TEST(Relay, AnEndOfOneSideLeavesTheOtherOpen) {
  Relayed r(0);
  r.client.transport->shutdown_write();
  r.settle();
  r.server.read();
  EXPECT_TRUE(r.server.eof);
  EXPECT_EQ(r.relays.size(), 1u);
  EXPECT_EQ(r.server.transport->write("late answer").status, io::IoStatus::kOk);
  r.settle();
  r.client.read();
  EXPECT_EQ(r.client.got, "late answer");
  r.server.transport->shutdown_write();
  r.settle();
  r.client.read();
  EXPECT_TRUE(r.client.eof);
  EXPECT_EQ(r.relays.size(), 0u);
}

TEST(Relay, AResetIsPassedOn) {
  Relayed r(0);
  r.client.transport->close(true);
  r.settle();
  r.server.read();
  EXPECT_TRUE(r.server.broken || r.server.eof);
  EXPECT_EQ(r.relays.size(), 0u);
}

}  // namespace
}  // namespace fairlead::node
