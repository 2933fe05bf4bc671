#include "http/h2_session.h"

#include <gtest/gtest.h>

namespace fairlead::http {
namespace {

struct Recorder final : H2Sink {
  H2Session* session = nullptr;
  bool consume = true;
  std::string log, data;
  H2Stream last = 0;
  size_t drained = 0;
  void on_request(H2Stream s, RequestHead h, bool end) override {
    last = s;
    log += h.method + " " + h.authority + h.target + (end ? " end\n" : "\n");
  }
  void on_response(H2Stream, ResponseHead h, bool end) override { log += std::to_string(h.status) + (end ? " end\n" : "\n"); }
  void on_data(H2Stream s, std::string_view d) override {
    data += d;
    if (consume) session->consume(s, d.size());
  }
  void on_trailers(H2Stream, Headers t) override { log += "trailers grpc-status=" + std::string(t.get("grpc-status")) + "\n"; }
  void on_end(H2Stream) override { log += "end\n"; }
  void on_drained(H2Stream) override { ++drained; }
  void on_closed(H2Stream, H2Error e) override { log += "closed " + std::to_string(static_cast<int>(e)) + "\n"; }
  void on_goaway(H2Stream, H2Error) override { log += "goaway\n"; }
};

struct Pair {
  Recorder server_log, client_log;
  H2Session server{H2Session::Side::kServer, server_log};
  H2Session client{H2Session::Side::kClient, client_log};
  Pair() {
    server_log.session = &server;
    client_log.session = &client;
  }
  // Moves bytes both ways, `step` at a time, until nothing moves.
  void settle(size_t step = 100000) {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto [from, to] : {std::pair{&client, &server}, std::pair{&server, &client}}) {
        std::string bytes = std::exchange(from->output(), {});
        for (size_t i = 0; i < bytes.size(); i += step) {
          ASSERT_TRUE(to->feed(std::string_view(bytes).substr(i, step)));
          moved = true;
        }
      }
    }
  }
};

RequestHead get(std::string target) {
  RequestHead head;
  head.method = "POST";
  head.authority = "a.test";
  head.target = std::move(target);
  return head;
}

TEST(H2Session, CarriesRequestAnswerAndTrailersSplitAtEveryByte) {
  Pair p;
  auto id = p.client.request(get("/x"), false);
  ASSERT_TRUE(id);
  p.client.write(*id, "ping");
  p.client.finish(*id);
  p.settle(1);
  EXPECT_EQ(p.server_log.log, "POST a.test/x\nend\n");
  EXPECT_EQ(p.server_log.data, "ping");
  ResponseHead head;
  p.server.respond(p.server_log.last, head, false);
  p.server.write(p.server_log.last, "pong");
  Headers trailers;
  trailers.add("grpc-status", "0");
  p.server.finish(p.server_log.last, trailers);
  p.settle(1);
  EXPECT_EQ(p.client_log.log, "200\ntrailers grpc-status=0\nend\nclosed 0\n");
  EXPECT_EQ(p.client_log.data, "pong");
  EXPECT_EQ(p.server.streams(), 0u);
}

TEST(H2Session, AConsumerThatDoesNotConsumeStopsItsSenderAtTheWindow) {
  Pair p;
  p.server_log.consume = false;
  auto id = p.client.request(get("/big"), false);
  p.client.write(*id, std::string(1 << 20, 'x'));
  p.settle();
  EXPECT_EQ(p.server_log.data.size(), H2Options().initial_window_bytes);
  EXPECT_EQ(p.client.pending(*id), (1u << 20) - H2Options().initial_window_bytes);
  EXPECT_EQ(p.client_log.drained, 0u);
  p.server.consume(p.server_log.last, p.server_log.data.size());
  p.server_log.consume = true;
  p.settle();
  EXPECT_EQ(p.server_log.data.size(), 1u << 20);
  EXPECT_EQ(p.client_log.drained, 1u);
}

TEST(H2Session, AStreamThatNobodyReadsDoesNotStopAnother) {
  Pair p;
  p.server_log.consume = false;
  for (int i = 0; i < 6; ++i) {
    auto id = p.client.request(get("/stuck"), false);
    p.client.write(*id, std::string(1 << 20, 'x'));
  }
  p.settle();
  p.server_log.data.clear();
  auto id = p.client.request(get("/free"), false);
  p.client.write(*id, std::string(1000, 'y'));
  p.settle();
  EXPECT_EQ(p.server_log.data, std::string(1000, 'y'));
}

TEST(H2Session, ResetReachesThePeerAsItsCode) {
  Pair p;
  auto id = p.client.request(get("/x"), false);
  p.settle();
  p.client.reset(*id, H2Error::kCancel);
  p.settle();
  EXPECT_EQ(p.server_log.log, "POST a.test/x\nclosed 8\n");
}

TEST(H2Session, TooManyHeadersResetTheStreamAlone) {
  Pair p;
  RequestHead head = get("/x");
  for (int i = 0; i < 300; ++i) head.headers.add("h" + std::to_string(i), "v");
  ASSERT_TRUE(p.client.request(head, true));
  ASSERT_TRUE(p.client.request(get("/fine"), true));
  p.settle();
  EXPECT_NE(p.server_log.log.find("/fine"), std::string::npos);
  EXPECT_EQ(p.server_log.log.find("/x"), std::string::npos);
}

TEST(H2Session, GarbageIsAnError) {
  Recorder log;
  H2Session server(H2Session::Side::kServer, log);
  log.session = &server;
  EXPECT_FALSE(server.feed("GET / HTTP/1.1\r\n\r\n"));
}

}  // namespace
}  // namespace fairlead::http
