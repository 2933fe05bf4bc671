#include "http/spdy.h"

#include <gtest/gtest.h>

namespace fairlead::http {
namespace {

std::string word(uint32_t v) { return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)}; }

// A SYN_STREAM whose header block was made by another session's compressor: sessions of both sides use one dictionary.
std::string syn_stream(SpdySession& client, uint32_t id, const Headers& headers) {
  client.reply(id, headers);
  std::string reply = std::exchange(client.output(), {});
  std::string block = reply.substr(12);
  return word(0x80030001) + word(static_cast<uint32_t>(10 + block.size())) + word(id) + word(0) + std::string(2, '\0') + block;
}

struct Record {
  std::string log;
  SpdyCallbacks callbacks() {
    return {.on_stream = [this](SpdyStreamId s, const Headers& h) { log += "stream " + std::to_string(s) + " " + std::string(h.get("streamtype")) + "\n"; },
            .on_data = [this](SpdyStreamId s, std::string_view d) { data += "[" + std::to_string(s) + "]" + std::string(d); },
            .on_end = [this](SpdyStreamId s) { log += "end " + std::to_string(s) + "\n"; },
            .on_reset = [this](SpdyStreamId s) { log += "reset " + std::to_string(s) + "\n"; },
            .on_close = {}};
  }
  std::string data;
};

TEST(Spdy, ReadsStreamsAndDataSplitAtEveryByte) {
  SpdySession peer({});
  Headers stdin_headers, error_headers;
  stdin_headers.add("streamtype", "stdin");
  error_headers.add("streamtype", "error");
  std::string wire = syn_stream(peer, 1, stdin_headers);  // in order: the blocks share one compressor
  wire += syn_stream(peer, 3, error_headers);
  peer.write(1, "hello");
  peer.finish(1);
  peer.reset(3, SpdyReset::kCancel);
  wire += std::exchange(peer.output(), {});
  for (size_t step : {size_t{1}, size_t{3}, wire.size()}) {
    Record record;
    SpdySession session(record.callbacks());
    for (size_t i = 0; i < wire.size(); i += step) {
      auto fed = session.feed(std::string_view(wire).substr(i, step));
      ASSERT_TRUE(fed) << fed.error().message;
    }
    EXPECT_EQ(record.log, "stream 1 stdin\nstream 3 error\nend 1\nreset 3\n");
    std::string bytes;
    for (size_t i = 0; i < record.data.size(); ++i)
      if (record.data[i] == '[') i += 2;
      else bytes += record.data[i];
    EXPECT_EQ(bytes, "hello");
  }
}

TEST(Spdy, AnswersPings) {
  SpdySession session({});
  ASSERT_TRUE(session.feed(word(0x80030006) + word(4) + word(7)));
  EXPECT_EQ(session.output(), word(0x80030006) + word(4) + word(7));
}

TEST(Spdy, RefusesOtherVersionsOversizeAndGarbage) {
  EXPECT_FALSE(SpdySession({}).feed(word(0x80020001) + word(4)));
  EXPECT_FALSE(SpdySession({}).feed(word(0x80030001) + word(0xffffff)));
  EXPECT_FALSE(SpdySession({}).feed(word(0x80030001) + word(14) + word(1) + word(0) + "xxxxxx"));
}

}  // namespace
}  // namespace fairlead::http
