#include "http/h2_codec.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

namespace fairlead::http {
namespace {

using Fields = std::vector<FieldView>;

// Notes what happens; answers when told to.
struct Peer final : H2Codec::Sink {
  explicit Peer(H2Codec::Side side, H2Options options = {}) : codec(side, *this, options) {}
  void on_head(H2Codec::Stream& s, const H2Head& head, bool end) override {
    log += head.status ? "head " + std::to_string(head.status) : "head " + std::string(head.method) + " " + std::string(head.path);
    for (const FieldView& f : head.fields) log += " " + std::string(f.name) + "=" + std::string(f.value);
    log += end ? " end\n" : "\n";
    if (on_request) on_request(s, head);
  }
  void on_data(H2Codec::Stream& s, std::string_view bytes) override {
    body[s.id] += bytes;
    if (consuming) codec.consume(s, bytes.size());
  }
  void on_trailers(H2Codec::Stream&, std::span<const FieldView> fields, std::string_view) override {
    log += "trailers";
    for (const FieldView& f : fields) log += " " + std::string(f.name) + "=" + std::string(f.value);
    log += "\n";
  }
  void on_end(H2Codec::Stream& s) override {
    log += "end " + std::to_string(s.id) + "\n";
    if (at_end) at_end(s);
  }
  void on_drained(H2Codec::Stream&) override { log += "drained\n"; }
  void on_closed(H2Codec::Stream& s, H2Error error) override {
    log += "closed " + std::to_string(s.id) + " " + std::to_string(static_cast<int>(error)) + "\n";
  }
  void on_goaway(H2Stream last, H2Error error) override {
    log += "goaway " + std::to_string(last) + " " + std::to_string(static_cast<int>(error)) + "\n";
  }
  std::function<void(H2Codec::Stream&, const H2Head&)> on_request;
  std::function<void(H2Codec::Stream&)> at_end;
  std::map<H2Stream, std::string> body;
  std::string log;
  bool consuming = true;
  H2Codec codec;
};

// Everything that either side has for the other, in steps of `step` bytes.
void exchange(Peer& a, Peer& b, size_t step = SIZE_MAX) {
  for (bool moved = true; moved;) {
    moved = false;
    for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      from->codec.settle();
      std::string out(from->codec.output().substr(0, step));
      from->codec.written(out.size());
      if (out.empty()) continue;
      moved = true;
      (void)to->codec.feed(out, base::TimePoint{} + std::chrono::seconds(1));
      to->codec.settle();
    }
  }
}

std::string frame(uint8_t type, uint8_t flags, uint32_t id, std::string_view payload) {
  std::string f;
  for (int shift : {16, 8, 0}) f += static_cast<char>(payload.size() >> shift);
  f += static_cast<char>(type);
  f += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) f += static_cast<char>(id >> shift);
  return f + std::string(payload);
}
const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
std::string opening() { return kPreface + frame(4, 0, 0, ""); }
// :method GET, :scheme http, :path /, :authority a
const std::string kGet("\x82\x86\x84\x41\x01" "a", 6);

// What a server answers to raw bytes, as "type:payload" of the frames behind its own opening.
std::string server_says(std::string_view bytes, Peer& server) {
  (void)server.codec.feed(bytes, base::TimePoint{} + std::chrono::seconds(1));
  server.codec.settle();
  std::string_view out = server.codec.output();
  std::string said;
  while (out.size() >= 9) {
    size_t length = static_cast<unsigned char>(out[0]) << 16 | static_cast<unsigned char>(out[1]) << 8 | static_cast<unsigned char>(out[2]);
    int type = out[3];
    if (type == 3) said += "rst " + std::to_string(static_cast<int>(out[12])) + "\n";
    if (type == 7) said += "goaway " + std::to_string(static_cast<int>(out[16])) + "\n";
    out.remove_prefix(9 + length);
  }
  return said;
}
std::string server_says(std::string_view bytes) {
  Peer server(H2Codec::Side::kServer);
  return server_says(bytes, server);
}

TEST(H2Codec, CarriesARequestAndItsAnswer) {
  for (size_t step : {size_t{1}, size_t{7}, size_t{1000}, SIZE_MAX}) {
    Peer client(H2Codec::Side::kClient), server(H2Codec::Side::kServer);
    server.at_end = [&](H2Codec::Stream& s) {
      server.codec.respond(s, 200, Fields{{"content-type", "text/plain"}, {"connection", "close"}, {"x-other", std::string_view("v")}}, false);
      server.codec.write(s, "hello ");
      server.codec.write(s, "world");
      server.codec.finish(s, Fields{{"grpc-status", "0"}});
    };
    H2Codec::Stream* s = client.codec.request("POST", "http", "example.org", "/a?b", "", Fields{{"user-agent", "test"}, {"cookie", "a=1"}, {"cookie", "b=2"}}, false);
    ASSERT_NE(s, nullptr);
    client.codec.write(*s, "question");
    client.codec.finish(*s);
    exchange(client, server, step);
    EXPECT_EQ(server.log, "head POST /a?b user-agent=test cookie=a=1; b=2\nend 1\nclosed 1 0\n") << step;
    EXPECT_EQ(server.body[1], "question");
    EXPECT_EQ(client.log, "head 200 content-type=text/plain x-other=v\ntrailers grpc-status=0\nend 1\nclosed 1 0\n") << step;
    EXPECT_EQ(client.body[1], "hello world");
    EXPECT_EQ(client.codec.streams() + server.codec.streams(), 0u);
  }
}

TEST(H2Codec, LargeBodiesWaitForWindowsAndArriveWhole) {
  std::string big;
  for (int i = 0; i < 300'000; ++i) big += std::to_string(i);
  for (size_t step : {size_t{1000}, size_t{65536}, SIZE_MAX}) {
    Peer client(H2Codec::Side::kClient), server(H2Codec::Side::kServer);
    server.on_request = [&](H2Codec::Stream& s, const H2Head&) {
      server.codec.respond(s, 200, Fields{}, false);
      for (size_t at = 0; at < big.size(); at += 65'352) server.codec.write(s, std::string_view(big).substr(at, 65'352));
      server.codec.finish(s);
    };
    for (int i = 0; i < 3; ++i) (void)client.codec.request("GET", "http", "a", "/", "", Fields{}, true);
    exchange(client, server, step);
    for (H2Stream id : {1, 3, 5}) EXPECT_EQ(client.body[id], big) << step;
  }
}

TEST(H2Codec, AStreamThatNobodyReadsStopsItselfOnly) {
  Peer client(H2Codec::Side::kClient), server(H2Codec::Side::kServer);
  std::string big(1'000'000, 'x');
  client.consuming = false;
  server.on_request = [&](H2Codec::Stream& s, const H2Head&) {
    server.codec.respond(s, 200, Fields{}, false);
    server.codec.write(s, big);
    server.codec.finish(s);
  };
  H2Codec::Stream* first = client.codec.request("GET", "http", "a", "/", "", Fields{}, true);
  exchange(client, server);
  EXPECT_EQ(client.body[1].size(), H2Options{}.initial_window_bytes);
  client.consuming = true;
  (void)client.codec.request("GET", "http", "a", "/", "", Fields{}, true);
  exchange(client, server);
  EXPECT_EQ(client.body[3].size(), big.size());
  client.codec.consume(*first, client.body[1].size());
  exchange(client, server);
  EXPECT_EQ(client.body[1].size(), big.size());
}

TEST(H2Codec, HuffmanAndTheDynamicTableAreRead) {
  // RFC 7541 appendix C.4: three requests on one connection.
  Peer server(H2Codec::Side::kServer);
  auto bytes = [](std::initializer_list<int> octets) {
    std::string s;
    for (int o : octets) s += static_cast<char>(o);
    return s;
  };
  std::string first = bytes({0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff});
  std::string second = bytes({0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf});
  std::string third = bytes({0x82, 0x87, 0x85, 0xbf, 0x40, 0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x89, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf});
  std::string authorities;
  server.on_request = [&](H2Codec::Stream&, const H2Head& head) { authorities += std::string(head.authority) + " "; };
  EXPECT_EQ(server_says(opening() + frame(1, 5, 1, first) + frame(1, 5, 3, second) + frame(1, 5, 5, third), server), "");
  EXPECT_EQ(server.log, "head GET / end\nend 1\nhead GET / cache-control=no-cache end\nend 3\nhead GET /index.html custom-key=custom-value end\nend 5\n");
  EXPECT_EQ(authorities, "www.example.com www.example.com www.example.com ");
}

TEST(H2Codec, RefusesWhatIsMalformed) {
  auto field = [](std::string_view name, std::string_view value) {
    std::string s(1, '\0');
    s += static_cast<char>(name.size());
    s += name;
    s += static_cast<char>(value.size());
    return s + std::string(value);
  };
  auto request = [&](std::string_view section) { return server_says(opening() + frame(1, 5, 1, section)); };
  EXPECT_EQ(request(kGet), "");
  EXPECT_EQ(request(kGet + field("connection", "close")), "rst 1\n");
  EXPECT_EQ(request(kGet + field("te", "gzip")), "rst 1\n");
  EXPECT_EQ(request(kGet + field("te", "trailers")), "");
  EXPECT_EQ(request(kGet + field("transfer-encoding", "chunked")), "rst 1\n");
  EXPECT_EQ(request(kGet + field("Upper", "x")), "rst 1\n");
  EXPECT_EQ(request(kGet + field("a b", "x")), "rst 1\n");
  EXPECT_EQ(request(kGet + field("a", "x\r\ny: z")), "rst 1\n");
  EXPECT_EQ(request(kGet + field("a", " x")), "rst 1\n");
  EXPECT_EQ(request(kGet + field("content-length", "3")), "rst 1\n");  // and no body
  EXPECT_EQ(request(kGet + "\x82"), "rst 1\n");                        // :method twice
  EXPECT_EQ(request(kGet + field(":other", "x")), "rst 1\n");
  EXPECT_EQ(request(field("a", "b") + kGet), "rst 1\n");               // pseudo header fields behind others
  EXPECT_EQ(request(std::string("\x82\x84", 2)), "rst 1\n");           // no :scheme
  EXPECT_EQ(request(std::string("\x82\x86\x04\x00", 4)), "rst 1\n");   // empty :path
  EXPECT_EQ(request(std::string("\x82\x86\x04\x03/ x", 7)), "rst 1\n");
  EXPECT_EQ(request("\xff\xff\xff\xff\xff\xff"), "goaway 9\n");        // an index that is none
}

TEST(H2Codec, ConnectionErrorsSayWhich) {
  EXPECT_EQ(server_says("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "goaway 1\n");
  EXPECT_EQ(server_says(kPreface + frame(6, 0, 0, "12345678")), "goaway 1\n");            // not SETTINGS first
  EXPECT_EQ(server_says(opening() + frame(6, 0, 0, "1234567")), "goaway 6\n");
  EXPECT_EQ(server_says(opening() + frame(0, 0, 1, "x")), "goaway 1\n");                  // DATA on an idle stream
  EXPECT_EQ(server_says(opening() + frame(1, 5, 2, kGet)), "goaway 1\n");                 // an even id
  EXPECT_EQ(server_says(opening() + frame(1, 1, 1, kGet) + frame(0, 0, 1, "")), "goaway 1\n");  // inside a header section
  EXPECT_EQ(server_says(opening() + frame(8, 0, 0, std::string(4, '\0'))), "goaway 1\n");
  EXPECT_EQ(server_says(opening() + frame(8, 0, 0, "\x7f\xff\xff\xff")), "goaway 3\n");
  EXPECT_EQ(server_says(opening() + frame(5, 4, 1, std::string(4, '\0'))), "goaway 1\n"); // PUSH_PROMISE
  EXPECT_EQ(server_says(opening() + frame(4, 0, 0, std::string("\0\4\x80\0\0\0", 6))), "goaway 3\n");
}

TEST(H2Codec, FloodsAreAnsweredWithCalm) {
  std::string resets = opening(), pings = opening(), empty = opening() + frame(1, 4, 1, kGet), settings = opening();
  for (uint32_t i = 0; i < 3000; ++i) {
    resets += frame(1, 5, 2 * i + 1, kGet) + frame(3, 0, 2 * i + 1, std::string("\0\0\0\x8", 4));
    pings += frame(6, 0, 0, "12345678");
    empty += frame(0, 0, 1, "");
    settings += frame(4, 0, 0, "");
  }
  for (const std::string* flood : {&resets, &pings, &empty, &settings}) EXPECT_EQ(server_says(*flood), "goaway 11\n");
  std::string section = opening() + frame(1, 1, 1, kGet);
  for (int i = 0; i < 3000; ++i) section += frame(9, 0, 1, "");
  EXPECT_EQ(server_says(section), "goaway 11\n");
}

TEST(H2Codec, FloodLimitsThatAreSetAreKeptToTheFrame) {
  std::string pings, priorities, updates, empties;
  for (int i = 0; i < 2000; ++i) {
    pings += frame(6, 0, 0, "12345678");
    priorities += frame(2, 0, 1, std::string("\0\0\0\0\x10", 5));
    updates += frame(8, 0, 0, std::string("\0\0\0\1", 4));
    empties += frame(0, 0, 1, "");
  }
  auto says = [](H2Floods floods, std::string_view flood, size_t frames) {
    H2Options options;
    options.floods = floods;
    Peer server(H2Codec::Side::kServer, options);
    server.codec.written(server.codec.output().size());
    std::string stream = opening() + frame(1, 4, 1, kGet);
    size_t each = flood.size() / 2000;
    return server_says(stream + std::string(frames < 2000 ? flood.substr(0, each * frames) : flood), server);
  };
  // The answer to the first SETTINGS waits, too; the check comes with the frame behind the one that was too many.
  EXPECT_EQ(says({.outbound_control_frames = 10}, pings, 9), "");
  EXPECT_EQ(says({.outbound_control_frames = 10}, pings, 12), "goaway 11\n");
  EXPECT_EQ(says({.outbound_control_frames = 5000}, pings, 2000), "");  // more than the budget would allow
  EXPECT_EQ(says({.outbound_frames = 10}, pings, 12), "goaway 11\n");
  EXPECT_EQ(says({.priority_frames = 3}, priorities, 6), "");           // (1 + 1 stream) * 3
  EXPECT_EQ(says({.priority_frames = 3}, priorities, 7), "goaway 11\n");
  EXPECT_EQ(says({.window_updates = 1}, updates, 7), "");               // 5 + 2 * (1 stream + 1 * 0)
  EXPECT_EQ(says({.window_updates = 1}, updates, 8), "goaway 11\n");
  EXPECT_EQ(says({.empty_frames = 3}, empties, 3), "");
  EXPECT_EQ(says({.empty_frames = 3}, empties, 4), "goaway 11\n");
  EXPECT_EQ(says({.empty_frames = 3}, empties.substr(0, 27) + frame(0, 0, 1, "x") + empties.substr(0, 27), 2000), "");  // not in a row
}

TEST(H2Codec, CountsWhatIsRare) {
  H2Counters counted;
  auto hear = [&](std::string_view frames, H2Options options = {}) {
    counted = {};
    options.counters = &counted;
    Peer server(H2Codec::Side::kServer, options);
    server.codec.written(server.codec.output().size());
    (void)server_says(opening() + std::string(frames), server);
  };
  auto flood = [&](H2Floods floods, const std::string& piece) {
    H2Options options;
    options.floods = floods;
    std::string all = frame(1, 4, 1, kGet);
    for (int i = 0; i < 40; ++i) all += piece;
    hear(all, options);
    EXPECT_EQ(counted.goaway_sent, 1u);
  };
  flood({.empty_frames = 2}, frame(0, 0, 1, ""));
  EXPECT_EQ(counted.inbound_empty_frames_flood, 1u);
  flood({.priority_frames = 2}, frame(2, 0, 1, std::string("\0\0\0\0\x10", 5)));
  EXPECT_EQ(counted.inbound_priority_frames_flood, 1u);
  flood({.window_updates = 2}, frame(8, 0, 0, std::string("\0\0\0\1", 4)));
  EXPECT_EQ(counted.inbound_window_update_frames_flood, 1u);
  flood({.outbound_control_frames = 2}, frame(6, 0, 0, "12345678"));
  EXPECT_EQ(counted.outbound_control_flood, 1u);
  flood({.outbound_frames = 2}, frame(6, 0, 0, "12345678"));
  EXPECT_EQ(counted.outbound_flood, 1u);
  EXPECT_EQ(counted.outbound_control_flood, 0u);

  H2Options one;
  one.max_concurrent_streams = 1;
  hear(frame(1, 5, 1, kGet) + frame(1, 5, 3, kGet), one);
  EXPECT_EQ(counted.stream_refused_errors, 1u);
  EXPECT_EQ(counted.tx_reset, 1u);
  hear(frame(1, 5, 1, kGet) + frame(3, 0, 1, std::string("\0\0\0\x8", 4)));
  EXPECT_EQ(counted.rx_reset, 1u);
  EXPECT_EQ(counted.tx_reset, 0u);
  hear(frame(1, 5, 1, "\x82\x86"));  // no :path
  EXPECT_EQ(counted.rx_messaging_error, 1u);
  EXPECT_EQ(counted.tx_reset, 1u);
  H2Options narrow;
  narrow.max_header_list_bytes = 40;
  hear(frame(1, 5, 1, kGet), narrow);
  EXPECT_EQ(counted.header_overflow, 1u);
  EXPECT_EQ(counted.rx_messaging_error, 0u);
  hear(frame(1, 4, 1, kGet) + frame(1, 5, 1, std::string("\0\1a\1b", 5)));
  EXPECT_EQ(counted.trailers, 1u);
  hear(frame(1, 5, 3, kGet) + frame(1, 5, 1, kGet));  // 1 went by unused
  EXPECT_EQ(counted.headers_cb_no_stream, 1u);
}

TEST(H2Codec, TellsResetsFromOtherFloods) {
  std::string resets = opening(), pings = opening();
  for (uint32_t i = 0; i < 3000; ++i) {
    resets += frame(1, 5, 2 * i + 1, kGet) + frame(3, 0, 2 * i + 1, std::string("\0\0\0\x8", 4));
    pings += frame(6, 0, 0, "12345678");
  }
  Peer reset(H2Codec::Side::kServer), pinged(H2Codec::Side::kServer);
  EXPECT_FALSE(reset.codec.feed(resets, base::TimePoint{} + std::chrono::seconds(1)));
  EXPECT_FALSE(pinged.codec.feed(pings, base::TimePoint{} + std::chrono::seconds(1)));
  EXPECT_TRUE(reset.codec.reset_flood());
  EXPECT_FALSE(pinged.codec.reset_flood());
}

// HEADERS that are nothing but padding are as empty as DATA that is; here they open streams and go on in CONTINUATION.
TEST(H2Codec, PaddingIsNoContent) {
  H2Options options;
  options.floods.empty_frames = 2;
  auto says = [&](std::string_view head, std::string_view after) {
    Peer server(H2Codec::Side::kServer, options);
    return server_says(opening() + std::string(head) + std::string(after), server);
  };
  std::string padded = frame(1, 8, 1, std::string("\4\0\0\0\0", 5));  // PADDED, not END_HEADERS
  EXPECT_EQ(says(padded, frame(9, 0, 1, "")), "");
  EXPECT_EQ(says(padded, frame(9, 0, 1, "") + frame(9, 0, 1, "")), "goaway 11\n");
  std::string data = frame(1, 4, 1, kGet), empty = frame(0, 8, 1, std::string("\2\0\0", 3));
  EXPECT_EQ(says(data, empty + empty), "");
  EXPECT_EQ(says(data, empty + empty + empty), "goaway 11\n");
  EXPECT_EQ(says(frame(1, 12, 1, std::string("\1") + kGet + '\0'), empty + empty), "");  // padded and with content
}

// Envoy's formula: 5 + 2 * (streams opened + limit * DATA frames sent).
TEST(H2Codec, WindowUpdatesAreMeasuredByTheDataThatWasSent) {
  auto says = [](int updates) {
    H2Options options;
    options.floods.window_updates = 2;
    Peer server(H2Codec::Side::kServer, options);
    server.on_request = [&](H2Codec::Stream& s, const H2Head&) {
      server.codec.respond(s, 200, Fields{}, false);
      server.codec.write(s, "one");
      server.codec.write(s, "two");
    };
    EXPECT_EQ(server_says(opening() + frame(1, 5, 1, kGet), server).find("goaway"), std::string::npos);
    std::string flood;
    for (int i = 0; i < updates; ++i) flood += frame(8, 0, 0, std::string("\0\0\0\1", 4));
    return server.codec.feed(flood, base::TimePoint{} + std::chrono::seconds(1)).has_value();
  };
  EXPECT_TRUE(says(5 + 2 * (1 + 2 * 2)));
  EXPECT_FALSE(says(5 + 2 * (1 + 2 * 2) + 1));
}

TEST(H2Codec, FramesOfManyStreamsThatWaitCountTogether) {
  auto ends = [](uint32_t limit) {
    H2Options options;
    options.floods.outbound_frames = limit;
    Peer server(H2Codec::Side::kServer, options);
    server.on_request = [&](H2Codec::Stream& s, const H2Head&) { server.codec.respond(s, 204, Fields{}, true); };
    std::string stream = opening();
    for (uint32_t id = 1; id < 40; id += 2) stream += frame(1, 5, id, kGet);
    return !server.codec.feed(stream, base::TimePoint{} + std::chrono::seconds(1)).has_value();
  };
  EXPECT_TRUE(ends(10));
  EXPECT_FALSE(ends(30));  // SETTINGS, its acknowledgement, WINDOW_UPDATE, 20 answers
}

TEST(H2Codec, OutputStaysNearItsLimitAndTheRestWithItsStream) {
  H2Options options;
  options.max_output_bytes = 20'000;
  Peer server(H2Codec::Side::kServer, options), client(H2Codec::Side::kClient);
  H2Codec::Stream* asked = nullptr;
  server.on_request = [&](H2Codec::Stream& s, const H2Head&) { asked = &s; };
  (void)client.codec.request("GET", "http", "a", "/", "", Fields{}, true);
  exchange(client, server);
  ASSERT_NE(asked, nullptr);
  server.codec.respond(*asked, 200, Fields{}, false);
  for (int i = 0; i < 60; ++i) server.codec.write(*asked, std::string(1000, 'x'));
  EXPECT_LT(server.codec.output().size(), 20'000u + 16'384 + 100);
  EXPECT_GT(asked->pending(), 20'000u);
  server.codec.finish(*asked);
  exchange(client, server, 777);
  EXPECT_EQ(client.body[1].size(), 60'000u);
  EXPECT_TRUE(client.log.ends_with("end 1\nclosed 1 0\n")) << client.log;
}

TEST(H2Codec, MoreStreamsThanAgreedAreRefused) {
  H2Options options;
  options.max_concurrent_streams = 2;
  Peer server(H2Codec::Side::kServer, options);
  EXPECT_EQ(server_says(opening() + frame(1, 5, 1, kGet) + frame(1, 5, 3, kGet) + frame(1, 5, 5, kGet), server), "rst 7\n");
}

TEST(H2Codec, AGoawayLetsStreamsEnd) {
  Peer client(H2Codec::Side::kClient), server(H2Codec::Side::kServer);
  H2Codec::Stream* asked = nullptr;
  server.on_request = [&](H2Codec::Stream& s, const H2Head&) { asked = &s; };
  (void)client.codec.request("GET", "http", "a", "/", "", Fields{}, true);
  exchange(client, server);
  server.codec.goaway();
  exchange(client, server);
  EXPECT_FALSE(server.codec.over());
  EXPECT_EQ(client.codec.request("GET", "http", "a", "/", "", Fields{}, true), nullptr);
  server.codec.respond(*asked, 204, Fields{}, true);
  exchange(client, server);
  EXPECT_TRUE(server.codec.over());
  EXPECT_EQ(client.log, "goaway 1 0\nhead 204 end\nend 1\nclosed 1 0\n");
}

}  // namespace
}  // namespace fairlead::http
