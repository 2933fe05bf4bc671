#include <gtest/gtest.h>

#include "sample/fortio_client.h"

namespace fairlead::sample {
namespace {

// The texts below are what fortio 1.66.3 prints for the same numbers.
TEST(FortioHistogram, PrintsAsFortioDoes) {
  Histogram h(0.001);
  for (double v : {0.000404447, 0.0007, 0.0009, 0.002161554}) h.record(v);
  std::string text = h.text("Aggregated Function Time", {50, 75, 99.9});
  EXPECT_NE(text.find("Aggregated Function Time : count 4 avg 0.00104150"), std::string::npos) << text;
  EXPECT_NE(text.find("# range, mid point, percentile, count\n>= 0.000404447 <= 0.001 , 0.000702224 , 75.00, 3\n"
                      "> 0.002 <= 0.00216155 , 0.00208078 , 100.00, 1\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# target 50% 0.000702224\n# target 75% 0.001\n# target 99.9% 0.00216091\n"), std::string::npos) << text;
}

TEST(FortioHistogram, SaysWhenThereIsNothing) {
  EXPECT_EQ(Histogram(0.001).text("Error cases", {50}), "Error cases : no data\n");
  EXPECT_EQ(Histogram(0.001).summary("Error cases"), "Error cases : count 0 avg 0 +/- 0 min 0 max 0 sum 0\n");
}

TEST(FortioHistogram, PutsABoundIntoTheBucketBelow) {
  Histogram h(1);
  h.record(10);
  h.record(10.5);
  EXPECT_NE(h.text("x", {}).find(">= 10 <= 10 , 10 , 50.00, 1\n> 10 <= 10.5 , 10.25 , 100.00, 1\n"), std::string::npos);
}

TEST(FortioHistogram, AddsUp) {
  Histogram a(5), b(5);
  a.record(75);
  b.record(0);
  a.add(b);
  EXPECT_EQ(a.summary("Response Header Sizes"), "Response Header Sizes : count 2 avg 37.5 +/- 37.5 min 0 max 75 sum 75\n");
}

TEST(GoNumber, IsPrintedAsGoDoes) {
  EXPECT_EQ(go_g(5.2899e-05), "5.2899e-05");
  EXPECT_EQ(go_g(0.000849574), "0.000849574");
  EXPECT_EQ(go_g(99.9), "99.9");
  EXPECT_EQ(go_g(75), "75");
  EXPECT_EQ(go_g(1234567), "1.234567e+06");
  EXPECT_EQ(go_g(0), "0");
}

TEST(FortioFlags, AreThoseOfTheTutorials) {
  auto o = parse_fortio({"load", "-c", "3", "-qps", "0", "-n", "30", "-loglevel", "Warning", "-H", "a: b", "http://httpbin:8000/get"});
  ASSERT_TRUE(o) << o.error().text();
  EXPECT_EQ(o->connections, 3);
  EXPECT_EQ(o->calls, 30);
  EXPECT_EQ(o->level, LogLevel::kWarning);
  EXPECT_EQ(o->headers[0].second, "b");
  EXPECT_EQ(parse_fortio({"load", "-curl", "-quiet", "http://x/"})->command, "curl");
  EXPECT_FALSE(parse_fortio({"load", "-keepalive=false", "http://x/"})->keep_alive);
  EXPECT_EQ(parse_fortio({"load", "-t", "1m", "x:80/a"})->url, "http://x:80/a");
}

TEST(FortioFlags, AreRefusedWithTheReason) {
  EXPECT_NE(parse_fortio({"load", "-nope", "1", "http://x/"}).error().message.find("-nope"), std::string::npos);
  EXPECT_NE(parse_fortio({"load", "-c", "many", "http://x/"}).error().message.find("many"), std::string::npos);
  EXPECT_FALSE(parse_fortio({"load"}));
  EXPECT_FALSE(parse_fortio({}));
}

ResponseEnd::State scan_split(std::string_view bytes, ResponseEnd& end) {
  auto state = ResponseEnd::State::kMore;
  for (size_t n = 1; n <= bytes.size() && state == ResponseEnd::State::kMore; ++n) state = end.scan(bytes.substr(0, n));
  return state;
}

TEST(ResponseEnd, IsFoundByteByByte) {
  std::string_view responses[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\na: b\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
  };
  for (auto bytes : responses) {
    ResponseEnd end;
    EXPECT_EQ(scan_split(bytes, end), ResponseEnd::State::kDone) << bytes;
    EXPECT_EQ(end.end(), bytes.size()) << bytes;
    EXPECT_TRUE(end.keep_alive());
  }
}

TEST(ResponseEnd, MayBeTheEndOfTheConnection) {
  ResponseEnd end;
  EXPECT_EQ(scan_split("HTTP/1.0 200 OK\r\n\r\n", end), ResponseEnd::State::kUntilClose);
  ResponseEnd broken;
  EXPECT_EQ(broken.scan("SSH-2.0-x\r\n\r\n"), ResponseEnd::State::kBroken);
}

}  // namespace
}  // namespace fairlead::sample
