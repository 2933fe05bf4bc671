#include "http/h1_codec.h"

#include <gtest/gtest.h>

namespace fairlead::http {
namespace {

using Event = H1Parser::Event;
using Kind = H1Parser::Kind;

// What a parser makes of bytes, as text; pieces of data joined so that splitting does not show.
std::string transcript(Kind kind, std::string_view bytes, size_t step, std::string_view answers = "GET", bool eof = false, H1Limits limits = {}) {
  H1Parser parser(kind, limits);
  parser.expect_response_to(answers);
  std::string out, body;
  auto show = [&](Event e) {
    if (e == Event::kHead) {
      const H1Head& h = parser.head();
      out += kind == Kind::kRequest ? std::string(h.method) + " " + std::string(h.target) : std::to_string(h.status);
      for (const auto& f : h.fields) out += fmt::format("|{}={}", f.name, f.value);
      static constexpr const char* kNames[] = {"none", "length", "chunked", "close", "tunnel"};
      out += fmt::format("|{}{}\n", kNames[static_cast<int>(h.framing)], h.keep_alive ? "" : " last");
    } else if (e == Event::kData) {
      body += parser.data();
    } else if (e == Event::kEnd) {
      out += "body:" + body;
      for (const auto& f : parser.trailers()) out += fmt::format("|{}={}", f.name, f.value);
      out += "\n";
      body.clear();
    } else if (e == Event::kError) {
      out += "error: " + std::string(to_string(parser.error()));
    }
  };
  std::string pending;
  for (size_t at = 0; at < bytes.size(); at += step) {
    // A copy on the heap of just these bytes, so that a sanitizer sees any read outside of them.
    std::string piece(bytes.substr(at, step));
    std::string_view input = piece;
    while (true) {
      Event e = parser.next(input);
      if (e == Event::kNeedMore) break;
      show(e);
      if (e == Event::kError) return out;
    }
    EXPECT_TRUE(input.empty());
  }
  if (eof) {
    Event e = parser.finish();
    if (e != Event::kNeedMore) show(e);
  }
  return out;
}

void expect_both(Kind kind, std::string_view bytes, std::string_view expected, std::string_view answers = "GET", bool eof = false) {
  for (size_t step = 1; step <= bytes.size(); ++step)
    EXPECT_EQ(transcript(kind, bytes, step, answers, eof), expected) << "step " << step << " of:\n" << bytes;
}

TEST(H1Parser, ReadsRequestsSplitAnywhere) {
  expect_both(Kind::kRequest,
              "\r\nGET /a?b=c HTTP/1.1\r\nHost: x.example\r\nAccept:  text/html \t\r\nX-Empty:\r\n\r\n"
              "POST / HTTP/1.1\r\nhost: y\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"
              "PUT /c HTTP/1.1\r\nHost: z\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00A ;x=\"y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"
              "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
              "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n",
              "GET /a?b=c|host=x.example|accept=text/html|x-empty=|none\nbody:\n"
              "POST /|host=y|content-length=5|length\nbody:hello\n"
              "PUT /c|host=z|transfer-encoding=Chunked|chunked\nbody:abc0123456789|x-sum=1\n"
              "GET /|connection=keep-alive|none\nbody:\n"
              "GET /|host=a|connection=foo, Close|none last\nbody:\n");
}

TEST(H1Parser, ReadsResponsesSplitAnywhere) {
  expect_both(Kind::kResponse,
              "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
              "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\nHTTP/1.1 304 \r\nContent-Length: 7\r\n\r\n"
              "HTTP/1.0 200 OK\r\n\r\nuntil the end",
              "100|none\n103|link=a|none\n200|content-length=2|length\nbody:ok\n204|content-length=7|none\nbody:\n"
              "304|content-length=7|none\nbody:\n200|close last\nbody:until the end\n",
              "GET", true);
  expect_both(Kind::kResponse, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "200|content-length=100|none\nbody:\n", "HEAD");
  EXPECT_EQ(transcript(Kind::kResponse, "HTTP/1.1 200 OK\r\n\r\n", 99, "CONNECT"), "200|tunnel last\nbody:\n");
}

TEST(H1Parser, LeavesBytesBehindAnUpgradeAlone) {
  H1Parser parser(Kind::kResponse);
  std::string_view input = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: spdy\r\n\r\n\x80\x01raw";
  EXPECT_EQ(parser.next(input), Event::kHead);
  EXPECT_EQ(parser.head().upgrade, "spdy");
  EXPECT_EQ(parser.next(input), Event::kEnd);
  EXPECT_EQ(input, "\x80\x01raw");
}

TEST(H1Parser, RefusesWhatCouldBeReadTwoWays) {
  auto request = [](std::string_view fields, std::string_view body = "") {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n" + std::string(body);
  };
  struct Case {
    std::string bytes;
    H1Error error;
  } cases[] = {
      {request("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), H1Error::kLengthAndCoding},
      {request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), H1Error::kBadCoding},
      {request("Transfer-Encoding: gzip, chunked\r\n"), H1Error::kBadCoding},
      {request("Transfer-Encoding: xchunked\r\n"), H1Error::kBadCoding},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", H1Error::kBadCoding},
      {request("Content-Length: 3\r\nContent-Length: 4\r\n"), H1Error::kBadContentLength},
      {request("Content-Length: 3, 3\r\n"), H1Error::kBadContentLength},
      {request("Content-Length: +3\r\n"), H1Error::kBadContentLength},
      {request("Content-Length: \r\n"), H1Error::kBadContentLength},
      {request("Content-Length: 99999999999999999999\r\n"), H1Error::kBadContentLength},
      {request("Content-Length : 3\r\n"), H1Error::kBadFieldName},
      {request(": 3\r\n"), H1Error::kBadFieldName},
      {request("nothing\r\n"), H1Error::kBadFieldName},
      {request("X: a\r\n b\r\n"), H1Error::kFoldedLine},
      {request("X: a\nY: b\r\n"), H1Error::kBadLineEnd},
      {request("X: a\rY: b\r\n"), H1Error::kBadFieldValue},
      {request(std::string("X: a\0b\r\n", 8)), H1Error::kBadFieldValue},
      {request("X: 12345678901234\x7f\r\n"), H1Error::kBadFieldValue},
      {request("Host: b\r\n"), H1Error::kBadHost},
      {"GET / HTTP/1.1\r\n\r\n", H1Error::kBadHost},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", H1Error::kBadHost},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::kBadTarget},
      {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::kBadTarget},
      {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::kBadTarget},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", H1Error::kBadVersion},
      {"GET /\r\n\r\n", H1Error::kBadStartLine},
      {"G@T / HTTP/1.1\r\n\r\n", H1Error::kBadStartLine},
      {"\x16\x03\x01", H1Error::kBadStartLine},
      {request("Transfer-Encoding: chunked\r\n", "g\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "-1\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "0x1\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "1 \r\na\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "1\na\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "1;a\nb\r\na\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "10000000000000000\r\n"), H1Error::kBadChunk},
      {request("Transfer-Encoding: chunked\r\n", "0\r\nX : a\r\n\r\n"), H1Error::kBadFieldName},
  };
  for (const auto& c : cases)
    for (size_t step : {size_t(1), size_t(2), size_t(7), c.bytes.size()}) {
      std::string got = transcript(Kind::kRequest, c.bytes, step);
      EXPECT_TRUE(got.ends_with("error: " + std::string(to_string(c.error)))) << c.bytes << "\ngot " << got;
    }
}

TEST(H1Parser, HoldsItsLimits) {
  H1Limits limits{100, 3};
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n";
  EXPECT_EQ(transcript(Kind::kRequest, many + "\r\n", 5, "", false, limits), "GET /|host=a|b=c|d=e|none\nbody:\n");
  EXPECT_TRUE(transcript(Kind::kRequest, many + "F: g\r\n\r\n", 5, "", false, limits).contains("too many"));
  EXPECT_TRUE(transcript(Kind::kRequest, "GET /" + std::string(200, 'a'), 5, "", false, limits).contains("too large"));
}

TEST(H1Parser, TellsACleanEndFromATruncatedMessage) {
  EXPECT_EQ(transcript(Kind::kRequest, "GET / HTTP/1.0\r\n\r\n", 99, "", true), "GET /|none last\nbody:\n");
  EXPECT_TRUE(transcript(Kind::kRequest, "GET / HT", 99, "", true).contains("closed inside"));
  EXPECT_TRUE(transcript(Kind::kResponse, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 99, "GET", true).contains("closed inside"));
  EXPECT_TRUE(transcript(Kind::kResponse, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 99, "GET", true).contains("closed inside"));
}

TEST(H1Writer, NeverLetsAValueBeginALine) {
  ResponseHead head;
  head.status = 200;
  head.headers.add("X-Echo", "a\r\nset-cookie: b");
  head.headers.add("x-long", "0123456789abcdef\n\xc3\xa4\r0123456789");
  head.headers.add("content-length", "9");
  std::string out;
  h1_append_response_head(out, head, BodyFraming::kLength, 2, false);
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nx-echo: a  set-cookie: b\r\nx-long: 0123456789abcdef \xc3\xa4 0123456789\r\ncontent-length: 2\r\nconnection: close\r\n\r\n");
}

TEST(H1Writer, WritesChunksThatTheParserReads) {
  RequestHead head;
  head.method = "POST";
  head.target = "/x";
  head.authority = "h:1";
  std::string out;
  h1_append_request_head(out, head, BodyFraming::kChunked, 0);
  h1_append_chunk(out, "");
  h1_append_chunk(out, std::string(17, 'z'));
  Headers trailers;
  trailers.add("Grpc-Status", "0");
  h1_append_last_chunk(out, trailers);
  EXPECT_EQ(transcript(Kind::kRequest, out, 3), "POST /x|host=h:1|transfer-encoding=chunked|chunked\nbody:zzzzzzzzzzzzzzzzz|grpc-status=0\n");
}

TEST(H1Head, AbsoluteFormWinsOverHost) {
  H1Parser parser(Kind::kRequest);
  std::string_view input = "GET http://real.example:8080?q=1 HTTP/1.1\r\nHost: other\r\nA: b\r\n\r\n";
  ASSERT_EQ(parser.next(input), Event::kHead);
  RequestHead head = to_request_head(parser.head(), true);
  EXPECT_EQ(head.authority, "real.example:8080");
  EXPECT_EQ(head.target, "/?q=1");
  EXPECT_EQ(head.scheme, "https");
  EXPECT_FALSE(head.headers.has("host"));
}

}  // namespace
}  // namespace fairlead::http
