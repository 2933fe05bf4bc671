#include <gtest/gtest.h>

#include <algorithm>

#include "io/resolver.h"
#include "io/tls.h"
#include "io/transport.h"

namespace fairlead::io {
namespace {

using namespace std::chrono_literals;

// Reads and writes whenever it may; what a codec's connection does, without the codec.
struct Peer final : TransportSink {
  std::unique_ptr<Transport> transport;
  std::string to_send, received;
  bool eof = false, failed = false;

  explicit Peer(std::unique_ptr<Transport> t) : transport(std::move(t)) { transport->set_sink(this); }
  void on_ready(bool, bool) override { pump(); }
  void pump() {
    char buffer[4096];
    while (true) {
      IoResult r = transport->read(buffer);
      if (r.status == IoStatus::kOk) {
        received.append(buffer, r.bytes);
        continue;
      }
      eof |= r.status == IoStatus::kEof;
      failed |= r.status == IoStatus::kError;
      break;
    }
    while (!to_send.empty()) {
      IoResult r = transport->write(to_send);
      if (r.status != IoStatus::kOk) break;
      to_send.erase(0, r.bytes);
    }
  }
};

void spin(Loop& loop, const std::function<bool()>& until) {
  for (int i = 0; i < 100000 && !until(); ++i) loop.run_once(1ms);
}

TEST(Loop, FiresTimersInOrderAndNotCancelledOnes) {
  Loop loop;
  std::string order;
  Timer a(loop, [&] { order += 'a'; });
  Timer b(loop, [&] { order += 'b'; });
  Timer c(loop, [&] { order += 'c'; });
  a.arm(3ms);
  b.arm(1ms);
  c.arm(2ms);
  c.cancel();
  spin(loop, [&] { return order.size() == 2; });
  EXPECT_EQ(order, "ba");
}

TEST(Loop, RearmedTimerFiresOnceAtTheLaterTime) {
  Loop loop;
  int fired = 0;
  bool probe = false;
  Timer t(loop, [&] { ++fired; });
  t.arm(1ms);
  t.arm(20ms);
  t.arm(5ms);
  Timer end(loop, [&] { probe = true; });
  end.arm(40ms);
  spin(loop, [&] { return probe; });
  EXPECT_EQ(fired, 1);
}

TEST(Loop, TimerMayDestroyItselfInItsCallback) {
  Loop loop;
  std::unique_ptr<Timer> t;
  bool fired = false;
  t = std::make_unique<Timer>(loop, [&] {
    t.reset();
    fired = true;
  });
  t->arm(0ms);
  spin(loop, [&] { return fired; });
  EXPECT_FALSE(t);
}

TEST(Loop, DestroyedTimersLeaveTheOthersInOrder) {
  Loop loop;
  std::vector<int> fired;
  std::vector<std::unique_ptr<Timer>> timers;
  constexpr int kCount = 200;
  for (int i = 0; i < kCount; ++i) {
    int rank = i * 73 % kCount;  // 73 and 200 have no common divisor: every rank once
    timers.push_back(std::make_unique<Timer>(loop, [&fired, rank] { fired.push_back(rank); }));
    timers.back()->arm(rank * 10us);
  }
  for (int i = 0; i < kCount; i += 3) timers[static_cast<size_t>(i)].reset();
  auto left = static_cast<size_t>(std::ranges::count_if(timers, [](const auto& t) { return t != nullptr; }));
  auto begin = base::Clock::now();
  while (fired.size() < left && base::Clock::now() - begin < 5s) loop.run_once(1ms);
  EXPECT_EQ(fired.size(), left);
  EXPECT_TRUE(std::ranges::is_sorted(fired));
}

TEST(Loop, TimerMayOutliveItsLoop) {
  auto loop = std::make_unique<Loop>();
  Timer timer(*loop, [] {});
  timer.arm(1h);
  loop->after(1h, [] {});
  loop.reset();
}

TEST(Transport, MovesBytesOverRealSocketsAndReportsTheEnd) {
  Loop loop;
  auto listening = listen(*Address::parse("127.0.0.1:0"));
  ASSERT_TRUE(listening);
  Address at = *local_address(listening->get());
  std::unique_ptr<Peer> server, client;
  Acceptor acceptor(loop, std::move(*listening), [&](Fd fd, const Address& from) {
    EXPECT_TRUE(from.is_loopback());
    server = std::make_unique<Peer>(make_socket_transport(loop, std::move(fd)));
  });
  auto connecting = connect(loop, at, {}, [&](base::Result<std::unique_ptr<Transport>> t) {
    ASSERT_TRUE(t);
    client = std::make_unique<Peer>(std::move(*t));
    client->to_send = std::string(1 << 20, 'x');
    client->pump();
  });
  spin(loop, [&] { return server && server->received.size() == 1 << 20; });
  ASSERT_TRUE(server);
  EXPECT_EQ(server->received.size(), size_t{1} << 20);
  client->transport->shutdown_write();
  spin(loop, [&] { return server->eof; });
  EXPECT_TRUE(server->eof);
}

TEST(Transport, RefusedConnectionNamesTheAddress) {
  Loop loop;
  Address at;
  {
    auto listening = listen(*Address::parse("127.0.0.1:0"));
    at = *local_address(listening->get());
  }
  std::string message;
  auto connecting = connect(loop, at, {}, [&](auto result) { message = result ? "connected" : result.error().message; });
  EXPECT_TRUE(message.empty()) << "the callback may not run inside connect()";
  spin(loop, [&] { return !message.empty(); });
  EXPECT_EQ(message, "connect to " + at.text() + ": Connection refused");
}

class TlsSteps : public testing::TestWithParam<size_t> {};

TEST_P(TlsSteps, CarriesBytesBothWaysWithAnyFragmentation) {
  Loop loop;
  auto ca = issue_certificate({.common_name = "ca", .is_ca = true}, nullptr);
  ASSERT_TRUE(ca);
  auto server_pair = issue_certificate({.common_name = "server", .dns_names = {"example.test"}}, &*ca);
  auto client_pair = issue_certificate({.common_name = "alice", .organizations = {"system:masters"}}, &*ca);
  ASSERT_TRUE(server_pair && client_pair);
  auto server_context = TlsContext::server({.certificate_pem = server_pair->certificate_pem,
                                            .key_pem = server_pair->key_pem,
                                            .ca_pem = ca->certificate_pem,
                                            .require_client_certificate = true,
                                            .alpn = {"h2", "http/1.1"}});
  auto client_context = TlsContext::client({.certificate_pem = client_pair->certificate_pem,
                                            .key_pem = client_pair->key_pem,
                                            .ca_pem = ca->certificate_pem,
                                            .alpn = {"http/1.1"}});
  ASSERT_TRUE(server_context && client_context);
  auto [a, b] = make_memory_pair(loop, GetParam(), 4096);
  Peer server(make_tls_server(loop, std::move(a), *server_context));
  Peer client(make_tls_client(loop, std::move(b), *client_context, "example.test"));
  client.to_send = std::string(100'000, 'q');
  server.to_send = std::string(100'000, 'r');
  client.pump();
  server.pump();
  spin(loop, [&] { return server.received.size() == 100'000 && client.received.size() == 100'000; });
  EXPECT_EQ(server.received.size(), 100'000u);
  EXPECT_EQ(client.received.size(), 100'000u);
  EXPECT_EQ(server.transport->alpn(), "http/1.1");
  auto info = inspect_certificate(server.transport->peer_certificate_pem());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->common_name, "alice");
  EXPECT_EQ(info->organizations, std::vector<std::string>{"system:masters"});
}
INSTANTIATE_TEST_SUITE_P(Steps, TlsSteps, testing::Values(0, 1, 7, 1000));

TEST(Tls, ClientRefusesACertificateForAnotherName) {
  Loop loop;
  auto ca = issue_certificate({.common_name = "ca", .is_ca = true}, nullptr);
  auto pair = issue_certificate({.common_name = "server", .dns_names = {"example.test"}}, &*ca);
  auto server_context = TlsContext::server({.certificate_pem = pair->certificate_pem, .key_pem = pair->key_pem});
  auto client_context = TlsContext::client({.ca_pem = ca->certificate_pem});
  auto [a, b] = make_memory_pair(loop);
  Peer server(make_tls_server(loop, std::move(a), *server_context));
  Peer client(make_tls_client(loop, std::move(b), *client_context, "other.test"));
  client.to_send = "secret";
  client.pump();
  spin(loop, [&] { return client.failed; });
  EXPECT_TRUE(client.failed);
  EXPECT_NE(client.transport->error().find("hostname mismatch"), std::string::npos) << client.transport->error();
  EXPECT_EQ(server.received, "");
}

TEST(Jwt, SignedTokenVerifiesAndATamperedOneDoesNot) {
  auto pair = issue_certificate({.common_name = "tokens"}, nullptr);
  auto token = sign_jwt_es256(R"({"sub":"system:serviceaccount:default:default"})", pair->key_pem);
  ASSERT_TRUE(token);
  auto claims = verify_jwt_es256(*token, pair->key_pem);
  ASSERT_TRUE(claims);
  EXPECT_EQ(*claims, R"({"sub":"system:serviceaccount:default:default"})");
  std::string tampered = *token;
  tampered[tampered.size() / 2] ^= 1;
  EXPECT_FALSE(verify_jwt_es256(tampered, pair->key_pem));
}

TEST(Address, ParsesAndPrints) {
  EXPECT_EQ(Address::parse("127.0.0.1:80")->text(), "127.0.0.1:80");
  EXPECT_EQ(Address::parse("[::1]:80")->text(), "[::1]:80");
  EXPECT_EQ(Address::parse(":8080")->text(), "0.0.0.0:8080");
  EXPECT_FALSE(Address::parse("localhost"));
  EXPECT_FALSE(Address::parse("1.2.3.4:99999"));
}

TEST(Resolver, AnswersAnAddressWithoutAsking) {
  Loop loop;
  auto resolver = make_resolver(loop, "127.0.0.1:1");
  std::string got;
  resolver->resolve("10.0.0.1", AF_UNSPEC, [&](auto answer) { got = answer ? answer->addresses[0].ip() : answer.error().message; });
  EXPECT_TRUE(got.empty());
  spin(loop, [&] { return !got.empty(); });
  EXPECT_EQ(got, "10.0.0.1");
}

TEST(Address, PrintsEveryOctetAndPort) {
  for (const char* text : {"0.0.0.0:0", "255.255.255.255:65535", "10.20.100.9:80", "[fe80::1]:443"}) EXPECT_EQ(Address::parse(text)->text(), text);
}

// The last bytes of a TLS answer, close_notify and the end of the stream: all of it arrives, in this order.
TEST(Tls, WhatIsWrittenLastArrivesWithTheEnd) {
  Loop loop;
  auto pair = *issue_certificate({.common_name = "localhost", .dns_names = {"localhost"}}, nullptr);
  auto server = *TlsContext::server({.certificate_pem = pair.certificate_pem, .key_pem = pair.key_pem});
  auto client = *TlsContext::client({.ca_pem = pair.certificate_pem});
  auto [a, b] = make_memory_pair(loop, 700);
  Peer s(make_tls_server(loop, std::move(a), server)), c(make_tls_client(loop, std::move(b), client, "localhost"));
  c.to_send = "request";
  c.pump();
  spin(loop, [&] { return s.received == "request"; });
  std::string answer(100'000, 'x');
  s.transport->last_write();
  s.to_send = answer;
  s.pump();
  spin(loop, [&] { return s.to_send.empty(); });
  s.transport->shutdown_write();
  spin(loop, [&] { return c.eof; });
  EXPECT_EQ(c.received, answer);
  EXPECT_TRUE(c.eof);
  EXPECT_FALSE(c.failed);
}

TEST(Address, IsTheSameWhateverLengthTheKernelTold) {
  auto parsed = Address::parse_ip("10.96.0.4", 9000);
  ASSERT_TRUE(parsed);
  sockaddr_storage storage{};
  std::memcpy(&storage, parsed->get(), parsed->length());
  EXPECT_EQ(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), sizeof storage), *parsed);
}

}  // namespace
}  // namespace fairlead::io
