// A served WebSocket by its wire, with short reads and writes.
#include "http/websocket.h"

#include <gtest/gtest.h>

#include "http/server.h"

namespace fairlead::http {
namespace {

struct Peer final : io::TransportSink {
  explicit Peer(std::unique_ptr<io::Transport> t) : transport(std::move(t)) { transport->set_sink(this); }
  void send(std::string_view bytes) {
    out += bytes;
    on_ready(true, true);
  }
  void on_ready(bool, bool) override {
    while (!out.empty()) {
      auto r = transport->write(out);
      if (r.status != io::IoStatus::kOk) break;
      out.erase(0, r.bytes);
    }
    char buffer[1024];
    while (!ended) {
      auto r = transport->read(buffer);
      if (r.status == io::IoStatus::kAgain) break;
      if (r.status == io::IoStatus::kOk) in.append(buffer, r.bytes);
      else ended = true;
    }
  }
  std::unique_ptr<io::Transport> transport;
  std::string out, in;
  bool ended = false;
};

// A client's frame: masked with a fixed key.
std::string frame(uint8_t first, std::string_view payload) {
  std::string out{static_cast<char>(first), static_cast<char>(0x80 | payload.size())};
  out += "abcd";
  for (size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ "abcd"[i & 3]);
  return out;
}

class ServedWebSocket : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    server = std::make_unique<Server>(loop, ServerOptions{}, [this](std::shared_ptr<Exchange> e) {
      socket = accept_websocket(loop, *e, {"v5.k8s", "v4.k8s"}, 1000);
      if (socket) socket->set_callbacks({[this](std::string_view m, bool binary) { on_message(m, binary); }, [this] { closed = true; }});
    });
    auto [a, b] = io::make_memory_pair(loop, GetParam());
    peer = std::make_unique<Peer>(std::move(a));
    server->accept(std::move(b));
  }
  void open(std::string_view protocols = "v4.k8s, v5.k8s", std::string_view early = "") {
    peer->send("GET /exec HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + std::string(protocols) + "\r\n\r\n" + std::string(early));
    turn();
    head = peer->in.substr(0, peer->in.find("\r\n\r\n") + 4);
    peer->in.erase(0, head.size());
  }
  void turn() {
    for (int i = 0; i < 1500; ++i) loop.run_once(base::Nanos(0));
  }

  io::Loop loop;
  std::unique_ptr<Server> server;
  std::unique_ptr<Peer> peer;
  std::unique_ptr<WebSocket> socket;
  std::function<void(std::string_view, bool)> on_message = [this](std::string_view m, bool binary) { log += (binary ? "b:" : "t:") + std::string(m) + ";"; };
  std::string head, log;
  bool closed = false;
};
INSTANTIATE_TEST_SUITE_P(Steps, ServedWebSocket, testing::Values(0, 1, 5));

TEST_P(ServedWebSocket, AgreesOnTheServersFirstChoiceAndReadsFragments) {
  open("v4.k8s, v5.k8s", frame(0x81, "early"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 "));
  EXPECT_TRUE(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));  // RFC 6455 section 1.3
  EXPECT_TRUE(head.contains("sec-websocket-protocol: v5.k8s\r\n"));
  peer->send(frame(0x02, "one ") + frame(0x89, "ping") + frame(0x00, "two ") + frame(0x80, "three"));
  turn();
  EXPECT_EQ(log, "t:early;b:one two three;");
  EXPECT_EQ(peer->in, std::string("\x8a\x04ping"));
}

TEST_P(ServedWebSocket, RefusesOtherSubprotocols) {
  open("nonsense");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 400 "));
  EXPECT_FALSE(socket);
}

TEST_P(ServedWebSocket, ClosesOnFramesThatBreakTheRules) {
  open();
  peer->send(std::string("\x81\x01x", 3));  // not masked
  turn();
  EXPECT_EQ(peer->in, std::string("\x88\x02\x03\xea", 4));
  EXPECT_TRUE(closed);
}

TEST_P(ServedWebSocket, ClosesOnAMessageOverTheLimit) {
  open();
  for (int i = 0; i < 20; ++i) peer->send(frame(i ? 0x00 : 0x02, std::string(100, 'x')));
  turn();
  EXPECT_EQ(peer->in, std::string("\x88\x02\x03\xf1", 4));
}

TEST_P(ServedWebSocket, WhatWasSentBeforeCloseArrivesThoughTheOwnerIsGone) {
  open();
  on_message = [this](std::string_view, bool) {
    socket->send(std::string(500, 's'));
    socket->send("exit status");
    socket->close();
    socket.reset();
  };
  peer->send(frame(0x82, "go") + frame(0x82, "unread") + frame(0x82, "input"));
  turn();
  EXPECT_EQ(peer->in, std::string("\x82\x7e\x01\xf4", 4) + std::string(500, 's') + "\x82\x0b" "exit status" + std::string("\x88\x02\x03\xe8", 4));
  EXPECT_TRUE(peer->ended);
}

}  // namespace
}  // namespace fairlead::http
