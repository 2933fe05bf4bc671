// The server by its wire: raw HTTP/1.1 over a memory pair, with short reads and writes.
#include "http/server.h"

#include <gtest/gtest.h>

#include "http/h1_codec.h"

namespace fairlead::http {
namespace {

// The client's end of a memory pair: sends bytes, collects what comes.
struct Peer final : io::TransportSink {
  explicit Peer(std::unique_ptr<io::Transport> t) : transport(std::move(t)) { transport->set_sink(this); }
  ~Peer() { transport->set_sink(nullptr); }
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
    while (reading && !ended) {
      auto r = transport->read(buffer);
      if (r.status == io::IoStatus::kAgain) break;
      if (r.status == io::IoStatus::kOk) in.append(buffer, r.bytes);
      else ended = true;
    }
  }
  std::unique_ptr<io::Transport> transport;
  std::string out, in;
  bool ended = false, reading = true;
};

// The answer with its date taken out.
std::string undated(std::string text) {
  while (true) {
    size_t at = text.find("date: ");
    if (at == std::string::npos) return text;
    text.erase(at, text.find("\r\n", at) + 2 - at);
  }
}

class ServerOverMemory : public testing::TestWithParam<size_t> {
 protected:
  void serve(Handler handler, ServerOptions options = {}) {
    server = std::make_unique<Server>(loop, options, std::move(handler));
    auto [a, b] = io::make_memory_pair(loop, GetParam());
    peer = std::make_unique<Peer>(std::move(a));
    server->accept(std::move(b));
  }
  void turn(int rounds = 3000) {
    for (int i = 0; i < rounds; ++i) loop.run_once(base::Nanos(0));
  }
  io::Loop loop;
  std::unique_ptr<Server> server;
  std::unique_ptr<Peer> peer;
};
INSTANTIATE_TEST_SUITE_P(Steps, ServerOverMemory, testing::Values(0, 1, 7, 100));

TEST_P(ServerOverMemory, AnswersPipelinedRequestsInOrder) {
  serve([](std::shared_ptr<Exchange> e) {
    e->read_body(100, [e](std::string body) { e->respond(200, "text/plain", e->request().method + e->request().target + body); });
  });
  peer->send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
             "HEAD /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  turn();
  EXPECT_EQ(undated(peer->in),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nGET/a"
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nPOST/bxyz"
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\nconnection: close\r\n\r\n");
  EXPECT_TRUE(peer->ended);
  EXPECT_EQ(server->connections(), 0u);
}

TEST_P(ServerOverMemory, StreamsBothWaysAndTellsOfTheEnd) {
  std::string got, events;
  serve([&](std::shared_ptr<Exchange> e) {
    e->on_close([&](bool ok) { events += ok ? "closed ok" : "broken"; });
    e->start(200, {});
    e->write("begin;");
    e->stream_body([&, e](std::string_view d) { got += d; },
                   [&, e] {
                     e->write("end");
                     e->finish();
                   });
  });
  peer->send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
  turn();
  peer->send("0123456789");
  turn();
  EXPECT_EQ(got, "0123456789");
  EXPECT_EQ(undated(peer->in), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nbegin;\r\n3\r\nend\r\n0\r\n\r\n");
  EXPECT_EQ(events, "closed ok");
}

TEST_P(ServerOverMemory, AsksForTheBodyOnlyWhenTheHandlerWantsIt) {
  serve([](std::shared_ptr<Exchange> e) {
    if (e->request().path() == "/no") return e->respond(403, "text/plain", "no");
    e->read_body(4, [e](std::string body) { e->respond(200, "text/plain", body); });
  });
  peer->send("POST /yes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  turn();
  EXPECT_EQ(peer->in, "HTTP/1.1 100 Continue\r\n\r\n");
  peer->send("ok");
  turn();
  peer->in.clear();
  peer->send("POST /yes HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
  turn();
  EXPECT_TRUE(peer->in.starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(peer->ended);
}

TEST_P(ServerOverMemory, RefusesMalformedRequestsAndCloses) {
  serve([](std::shared_ptr<Exchange>) { FAIL(); });
  peer->send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
  turn();
  EXPECT_TRUE(peer->in.starts_with("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_TRUE(peer->in.contains("Content-Length beside") || peer->in.contains("both Content-Length"));
  EXPECT_TRUE(peer->ended);
}

TEST_P(ServerOverMemory, ASlowReaderBoundsWhatItsHandlerWrites) {
  std::shared_ptr<Exchange> exchange;
  serve([&](std::shared_ptr<Exchange> e) {
    exchange = e;
    e->start(200, {});
  });
  peer->reading = false;
  peer->send("GET /watch HTTP/1.1\r\nHost: x\r\n\r\n");
  turn(20);
  ASSERT_TRUE(exchange);
  int drained = 0;
  exchange->on_drain([&] { ++drained; });
  exchange->write(std::string(100000, 'x'));
  turn(20);
  EXPECT_GT(exchange->pending_bytes(), 0u);
  EXPECT_EQ(drained, 0);
  peer->reading = true;
  for (int i = 0; i < 300000 && exchange->pending_bytes(); ++i) {
    peer->on_ready(true, true);
    loop.run_once(base::Nanos(0));
  }
  EXPECT_EQ(exchange->pending_bytes(), 0u);
  EXPECT_EQ(drained, 1);
}

TEST_P(ServerOverMemory, AVanishedClientEndsItsExchange) {
  bool over = false, ok = true;
  std::shared_ptr<Exchange> held;
  serve([&](std::shared_ptr<Exchange> e) {
    held = e;
    e->start(200, {});
    e->on_close([&](bool how) {
      over = true;
      ok = how;
    });
  });
  peer->send("GET /watch HTTP/1.1\r\nHost: x\r\n\r\n");
  turn();
  peer->transport->close();
  turn();
  EXPECT_TRUE(over);
  EXPECT_FALSE(ok);
  EXPECT_TRUE(held->closed());
  held->write("nobody listens");
  held->finish();
}

TEST_P(ServerOverMemory, HandsTheConnectionOverOnUpgrade) {
  std::unique_ptr<io::Transport> tunnel;
  std::string rest;
  serve([&](std::shared_ptr<Exchange> e) {
    Headers h;
    h.add("connection", "Upgrade");
    h.add("upgrade", "echo");
    tunnel = e->upgrade(std::move(h), rest);
  });
  peer->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly");
  turn();
  ASSERT_TRUE(tunnel);
  EXPECT_EQ(server->connections(), 0u);
  Peer end(std::move(tunnel));
  end.send("hello");
  turn();
  peer->send(" late");
  turn();
  EXPECT_EQ(peer->in, "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nhello");
  EXPECT_EQ(rest + end.in, "early late");
}

TEST(Server, ASlowTlsClientGetsAllOfALastAnswer) {
  io::Loop loop;
  io::CertificateRequest request;
  request.common_name = "test";
  auto pair = io::issue_certificate(request, nullptr);
  ASSERT_TRUE(pair);
  ServerOptions options;
  io::TlsOptions tls;
  tls.certificate_pem = pair->certificate_pem;
  tls.key_pem = pair->key_pem;
  options.tls = *io::TlsContext::server(tls);
  Server server(loop, options, [](std::shared_ptr<Exchange> e) { e->respond(200, "text/plain", std::string(200000, 'x')); });
  auto [a, b] = io::make_memory_pair(loop, 0, 4096);
  server.accept(std::move(b));
  Peer peer(io::make_tls_client(loop, std::move(a), *io::TlsContext::client({}), ""));
  peer.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    loop.run_once(base::Nanos(0));
    peer.on_ready(true, true);
    peer.reading = i < 8;  // after the handshake the client takes its time
  }
  peer.reading = true;
  for (int i = 0; i < 2000 && !peer.ended; ++i) {
    peer.on_ready(true, true);
    loop.run_once(base::Nanos(0));
  }
  EXPECT_TRUE(peer.in.ends_with(std::string(200000, 'x'))) << peer.in.size();
  EXPECT_TRUE(peer.ended);
}

TEST_P(ServerOverMemory, AnsweringEarlyDoesNotStallTheNextRequest) {
  std::shared_ptr<Exchange> first;
  serve([&](std::shared_ptr<Exchange> e) {
    if (e->request().path() == "/first") first = e;
    else e->respond(200, "text/plain", "second");
  });
  peer->send("POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n" + std::string(150000, 'b'));
  peer->send("GET /second HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int i = 0; i < 200000 && !first; ++i) loop.run_once(base::Nanos(0));
  turn();
  first->respond(200, "text/plain", "first");
  for (int i = 0; i < 400000 && !peer->in.ends_with("second"); ++i) loop.run_once(base::Nanos(0));
  EXPECT_TRUE(peer->in.contains("\r\n\r\nfirst"));
  EXPECT_TRUE(peer->in.ends_with("second"));
}

TEST_P(ServerOverMemory, DrainLetsTheRunningExchangeEndAndClosesTheConnection) {
  std::shared_ptr<Exchange> running;
  serve([&](std::shared_ptr<Exchange> e) { running = e; });
  peer->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  turn();
  bool drained = false;
  server->drain(std::chrono::seconds(5), [&] { drained = true; });
  turn();
  EXPECT_FALSE(drained);
  running->respond(200, "text/plain", "last");
  turn();
  EXPECT_TRUE(drained);
  EXPECT_TRUE(peer->in.contains("connection: close"));
  EXPECT_TRUE(peer->in.ends_with("last"));
}

}  // namespace
}  // namespace fairlead::http
