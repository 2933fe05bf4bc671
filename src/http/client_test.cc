// Client and server together over loopback sockets: both versions, plain and TLS.
#include "http/client.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>

#include "http/grpc.h"
#include "http/server.h"
#include "http/websocket.h"

namespace fairlead::http {
namespace {

struct Mode {
  const char* name;
  bool http2, tls;
};

class Both : public testing::TestWithParam<Mode> {
 protected:
  void SetUp() override {
    ServerOptions server_options;
    if (GetParam().tls) {
      io::CertificateRequest request;
      request.common_name = "test";
      request.ips = {"127.0.0.1"};
      auto pair = io::issue_certificate(request, nullptr);
      ASSERT_TRUE(pair);
      io::TlsOptions s;
      s.certificate_pem = pair->certificate_pem;
      s.key_pem = pair->key_pem;
      s.alpn = {"h2", "http/1.1"};
      server_options.tls = *io::TlsContext::server(s);
      io::TlsOptions c;
      c.ca_pem = pair->certificate_pem;
      client_options.tls = *io::TlsContext::client(c);
    }
    client_options.http2 = GetParam().http2;
    server = std::make_unique<Server>(loop, server_options, [this](std::shared_ptr<Exchange> e) {
      versions += e->request().version == Version::kHttp2 ? '2' : '1';
      handler(e);
    });
    auto at = server->listen(*io::Address::parse_ip("127.0.0.1", 0));
    ASSERT_TRUE(at);
    base_url = std::string(GetParam().tls ? "https" : "http") + "://" + at->text();
    client = std::make_unique<Client>(loop, client_options);
  }
  // Runs the loop until the condition holds; a generous bound keeps a broken build from hanging.
  template <class F>
  bool until(F condition) {
    auto give_up = base::Clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (base::Clock::now() > give_up) return false;
      loop.run_once(std::chrono::milliseconds(50));
    }
    return true;
  }
  base::Result<Response> fetch(std::string_view method, std::string path, std::string body = {}) {
    std::optional<base::Result<Response>> result;
    client->fetch(method, base_url + path, {}, std::move(body), std::chrono::seconds(10), [&](base::Result<Response> r) { result = std::move(r); });
    EXPECT_FALSE(result.has_value());
    EXPECT_TRUE(until([&] { return result.has_value(); }));
    return *result;
  }

  io::Loop loop;
  ClientOptions client_options;
  Handler handler = [](std::shared_ptr<Exchange> e) {
    e->read_body(64 << 20, [e](std::string body) { e->respond(200, "text/plain", e->request().method + " " + e->request().target + " " + body); });
  };
  std::string versions;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
  std::string base_url;
};
INSTANTIATE_TEST_SUITE_P(Modes, Both, testing::Values(Mode{"h1", false, false}, Mode{"h2", true, false}, Mode{"h1tls", false, true}, Mode{"h2tls", true, true}),
                         [](const auto& info) { return info.param.name; });
class Http1 : public Both {};
INSTANTIATE_TEST_SUITE_P(Modes, Http1, testing::Values(Mode{"h1", false, false}, Mode{"h1tls", false, true}), [](const auto& info) { return info.param.name; });

TEST_P(Both, FetchesManyInARowAndAtOnce) {
  for (int i = 0; i < 5; ++i) {
    auto r = fetch("GET", "/a?b=" + std::to_string(i));
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(r->status, 200);
    EXPECT_EQ(r->body, "GET /a?b=" + std::to_string(i) + " ");
  }
  EXPECT_EQ(versions, GetParam().http2 ? "22222" : "11111");
  EXPECT_EQ(server->connections(), 1u);
  int done = 0;
  for (int i = 0; i < 50; ++i)
    client->fetch("POST", base_url + "/p", {}, std::to_string(i), std::chrono::seconds(10), [&, i](base::Result<Response> r) {
      ASSERT_TRUE(r) << r.error().text();
      EXPECT_EQ(r->body, "POST /p " + std::to_string(i));
      ++done;
    });
  EXPECT_TRUE(until([&] { return done == 50; }));
}

TEST_P(Both, CarriesBigBodiesThroughTheWindows) {
  std::string big(5 << 20, 'b');
  for (size_t i = 0; i < big.size(); i += 1000) big[i] = static_cast<char>('a' + i / 1000 % 26);
  auto r = fetch("POST", "/big", big);
  ASSERT_TRUE(r) << r.error().text();
  EXPECT_TRUE(r->body == "POST /big " + big);
}

TEST_P(Both, BidirectionalStreamAnswersEachMessageAsItComes) {
  handler = [](std::shared_ptr<Exchange> e) {
    Headers h;
    h.add("content-type", "application/grpc");
    e->start(200, h);
    auto reader = std::make_shared<GrpcReader>();
    e->stream_body(
        [e, reader](std::string_view d) {
          reader->feed(d);
          while (true) {
            auto m = reader->next();
            if (!m || !*m) break;
            e->write(grpc_frame("re:" + **m));
          }
        },
        [e] { e->finish(grpc_trailers(0)); });
  };
  GrpcReader reader;
  std::vector<std::string> messages;
  std::optional<base::Result<Headers>> end;
  RequestHead head;
  head.method = "POST";
  head.headers.add("te", "trailers");
  auto call = client->start(base_url + "/svc/Stream", head, true,
                            {nullptr,
                             [&](std::string_view d) {
                               reader.feed(d);
                               while (true) {
                                 auto m = reader.next();
                                 if (!m || !*m) break;
                                 messages.push_back(**m);
                               }
                             },
                             [&](base::Result<Headers> r) { end = std::move(r); }});
  for (size_t i = 1; i <= 5; ++i) {
    call->write(grpc_frame(std::to_string(i)));
    ASSERT_TRUE(until([&] { return messages.size() == i; }));
    EXPECT_EQ(messages.back(), "re:" + std::to_string(i));
  }
  call->finish();
  ASSERT_TRUE(until([&] { return end.has_value(); }));
  ASSERT_TRUE(*end) << end->error().text();
  EXPECT_EQ((*end)->get("grpc-status"), "0");
}

TEST_P(Both, CancellingReachesTheServer) {
  bool closed = false, ok = true;
  std::shared_ptr<Exchange> held;
  handler = [&](std::shared_ptr<Exchange> e) {
    held = e;
    e->start(200, {});
    e->write("x");
    e->on_close([&](bool how) {
      closed = true;
      ok = how;
    });
  };
  std::unique_ptr<Call> call;
  bool data = false;
  call = client->start(base_url + "/", {}, false, {nullptr, [&](std::string_view) {
                         data = true;
                         call.reset();  // inside its own callback
                       }, [&](base::Result<Headers>) { FAIL(); }});
  ASSERT_TRUE(until([&] { return closed; }));
  EXPECT_TRUE(data);
  EXPECT_FALSE(ok);
}

TEST_P(Both, AnAbortedAnswerIsAnErrorNotAnEnd) {
  handler = [](std::shared_ptr<Exchange> e) {
    e->start(200, {});
    e->write("half");
    e->abort();
  };
  auto r = fetch("GET", "/");
  EXPECT_FALSE(r);
}

TEST_P(Both, DestroyingClientOrServerInACallbackIsSafe) {
  handler = [&](std::shared_ptr<Exchange> e) {
    server.reset();
    e->respond(200, "text/plain", "nobody");
  };
  auto r = fetch("GET", "/");
  EXPECT_FALSE(r);
  bool called = false;
  client->fetch("GET", base_url, {}, {}, std::chrono::seconds(5), [&](base::Result<Response> refused) {
    called = true;
    EXPECT_FALSE(refused);
    client.reset();
  });
  EXPECT_TRUE(until([&] { return called; }));
  loop.run_once(base::Nanos(0));
}

TEST_P(Both, TimesOutByItself) {
  std::shared_ptr<Exchange> held;
  handler = [&](std::shared_ptr<Exchange> e) { held = e; };
  std::optional<base::Result<Response>> result;
  client->fetch("GET", base_url, {}, {}, std::chrono::milliseconds(30), [&](base::Result<Response> r) { result = std::move(r); });
  ASSERT_TRUE(until([&] { return result.has_value(); }));
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().code, base::Code::kDeadlineExceeded);
  EXPECT_TRUE(until([&] { return !held || held->closed(); }));
}

TEST_P(Http1, WhatAWebSocketServerSaysWithItsHandshakeIsHeard) {
  std::unique_ptr<WebSocket> served, socket;
  handler = [&](std::shared_ptr<Exchange> e) {
    served = accept_websocket(loop, *e, {"v4.channel.k8s.io"});
    ASSERT_TRUE(served);
    served->set_callbacks({});
    served->send("first");
    served->close();
  };
  std::string got;
  bool closed = false;
  connect_websocket(loop, base_url + "/exec", {}, {"v4.channel.k8s.io"}, client_options.tls, [&](base::Result<std::unique_ptr<WebSocket>> w) {
    ASSERT_TRUE(w) << w.error().text();
    socket = std::move(*w);
    socket->set_callbacks({[&](std::string_view m, bool) { got += m; }, [&] { closed = true; }});
  });
  ASSERT_TRUE(until([&] { return closed; }));
  EXPECT_EQ(got, "first");
}

TEST_P(Http1, WebSocketEchoesThroughARealServer) {
  std::unique_ptr<WebSocket> served, socket;
  handler = [&](std::shared_ptr<Exchange> e) {
    served = accept_websocket(loop, *e, {"v5.channel.k8s.io", "v4.channel.k8s.io"});
    ASSERT_TRUE(served);
    served->set_callbacks({[&](std::string_view m, bool binary) { served->send(m, binary); }, nullptr});
  };
  std::string got;
  connect_websocket(loop, base_url + "/exec", {}, {"v4.channel.k8s.io"}, client_options.tls, [&](base::Result<std::unique_ptr<WebSocket>> w) {
    ASSERT_TRUE(w) << w.error().text();
    socket = std::move(*w);
    socket->set_callbacks({[&](std::string_view m, bool) { got += m; }, nullptr});
    socket->send("hello ");
    socket->send(std::string(200000, 'w'));
  });
  ASSERT_TRUE(until([&] { return got.size() == 200006; }));
  EXPECT_EQ(socket->protocol(), "v4.channel.k8s.io");
}

// Any mix of cancelling, aborting, late answers and servers that go away: every call ends once, or is cancelled.
TEST_P(Both, EveryCallEndsOnceWhateverHappensAround) {
  std::mt19937 random(7);
  auto below = [&](unsigned n) { return random() % n; };
  std::vector<std::shared_ptr<Exchange>> held;
  handler = [&](std::shared_ptr<Exchange> e) {
    switch (below(6)) {
      case 0: e->abort(); break;
      case 1: held.push_back(e); break;
      case 2:
        e->start(200, {});
        e->write(std::string(below(200000), 'b'));
        if (below(2)) e->abort();
        else e->finish();
        break;
      case 3:
        e->start(200, {});
        e->stream_body([e](std::string_view d) { e->write(d); }, [e] { e->finish(); });
        break;
      default: e->read_body(100000, [e](std::string body) { e->respond(200, "text/plain", body); });
    }
  };
  constexpr int kCalls = 150;
  std::map<int, std::unique_ptr<Call>> calls;
  int started = 0, ended = 0, cancelled = 0, rounds = 0;
  ASSERT_TRUE(until([&] {
    while (started < kCalls && calls.size() < 12) {
      int id = started++;
      RequestHead head;
      head.method = id % 2 ? "POST" : "GET";
      calls[id] = client->start(base_url + "/", head, id % 2, {nullptr,
                                [&, id](std::string_view) {
                                  if (below(30) == 0) cancelled += static_cast<int>(calls.erase(id));
                                },
                                [&, id](base::Result<Headers>) {
                                  ++ended;
                                  EXPECT_EQ(calls.erase(id), 1u);
                                }});
      if (id % 2) {
        calls[id]->write(std::string(below(150000), 'p'));
        calls[id]->finish();
      }
    }
    for (auto& e : std::exchange(held, {})) {
      if (below(2)) e->respond(200, "text/plain", "late");
      else e->abort();
    }
    if (!calls.empty() && rounds < 80 && rounds++ % 8 == 7) {
      calls.erase(calls.begin());
      ++cancelled;
    }
    return calls.empty() && started == kCalls;
  }));
  EXPECT_EQ(ended + cancelled, kCalls);
}

TEST(Client, NamesAResetConnection) {
  io::Loop loop;
  auto listening = io::listen(*io::Address::parse_ip("127.0.0.1", 0));
  ASSERT_TRUE(listening);
  std::string url = "http://" + io::local_address(listening->get())->text();
  std::unique_ptr<io::Transport> accepted;
  io::Acceptor acceptor(loop, std::move(*listening), [&](io::Fd fd, const io::Address&) { accepted = io::make_socket_transport(loop, std::move(fd)); });
  Client client(loop, {});
  std::optional<base::Result<Response>> result;
  client.fetch("GET", url, {}, {}, std::chrono::seconds(10), [&](base::Result<Response> r) { result = std::move(r); });
  for (int i = 0; i < 2000 && !result; ++i) {
    char byte;
    if (accepted && accepted->read({&byte, 1}).status == io::IoStatus::kOk) accepted->close(true);
    loop.run_once(std::chrono::milliseconds(10));
  }
  ASSERT_TRUE(result.has_value());
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().message, "Connection reset by peer before the response");
}

TEST(Url, ParsesWhatPeopleWrite) {
  auto u = parse_url("https://[::1]:8443?x=1#frag");
  ASSERT_TRUE(u);
  EXPECT_EQ(u->host, "::1");
  EXPECT_EQ(u->port, 8443);
  EXPECT_EQ(u->target, "/?x=1");
  EXPECT_EQ(u->authority(), "[::1]:8443");
  EXPECT_EQ(parse_url("http://a/")->authority(), "a");
  EXPECT_FALSE(parse_url("a.b/c"));
  EXPECT_FALSE(parse_url("ftp://a"));
  EXPECT_FALSE(parse_url("http://:80"));
  EXPECT_FALSE(parse_url("http://a:99999"));
}

}  // namespace
}  // namespace fairlead::http
