#include "proxy/proxy_protocol.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

using V = ProxyHeader::Verdict;
using namespace std::string_view_literals;

constexpr std::string_view kTcp4 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\x01\x02\x03\x04\x7f\0\0\x01\x11\x22\x01\xbb\x03\0\0rest"sv;

TEST(ProxyHeader, ReadsVersion1) {
  ProxyHeader h = parse_proxy_header("PROXY TCP4 1.2.3.4 5.6.7.8 1111 80\r\nGET /");
  ASSERT_EQ(h.verdict, V::kFound);
  EXPECT_EQ(h.length, 36u);
  EXPECT_EQ(h.source->text(), "1.2.3.4:1111");
  EXPECT_EQ(h.destination->text(), "5.6.7.8:80");
  EXPECT_EQ(parse_proxy_header("PROXY TCP6 ::1 fe80::2 1 2\r\n").destination->text(), "[fe80::2]:2");
}

TEST(ProxyHeader, TakesUnknownWithoutAddresses) {
  ProxyHeader h = parse_proxy_header("PROXY UNKNOWN whatever\r\n");
  EXPECT_EQ(h.verdict, V::kFound);
  EXPECT_FALSE(h.source);
}

TEST(ProxyHeader, RefusesWhatIsMalformed) {
  for (std::string_view bad : {"PROXY TCP4 1.2.3.4 5.6.7.8 1111\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 70000 1\r\n",
                               "PROXY TCP4 1.2.3.4  5.6.7.8 1 1\r\n", "PROXY UDP4 1.2.3.4 5.6.7.8 1 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 01 1\r\n",
                               "PROXY \r\n"})
    EXPECT_EQ(parse_proxy_header(bad).verdict, V::kBad) << bad;
  EXPECT_EQ(parse_proxy_header("PROXY UNKNOWN " + std::string(200, 'a')).verdict, V::kBad);
  EXPECT_EQ(parse_proxy_header("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"sv).verdict, V::kBad);      // version 3
  EXPECT_EQ(parse_proxy_header("\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c"sv).verdict, V::kBad);      // UDP
  EXPECT_EQ(parse_proxy_header("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b"sv).verdict, V::kBad);      // too short for its family
}

TEST(ProxyHeader, ReadsVersion2AndSkipsWhatFollowsTheAddresses) {
  ProxyHeader h = parse_proxy_header(kTcp4);
  ASSERT_EQ(h.verdict, V::kFound);
  EXPECT_EQ(h.length, 31u);
  EXPECT_EQ(h.source->text(), "1.2.3.4:4386");
  EXPECT_EQ(h.destination->text(), "127.0.0.1:443");
}

TEST(ProxyHeader, WaitsForTheRestAtEverySplit) {
  for (std::string_view whole : {"PROXY TCP4 1.2.3.4 5.6.7.8 1111 80\r\n"sv, kTcp4.substr(0, 31)}) {
    for (size_t n = 1; n < whole.size(); ++n) EXPECT_EQ(parse_proxy_header(whole.substr(0, n)).verdict, V::kNeedMore) << n;
    EXPECT_EQ(parse_proxy_header(whole).verdict, V::kFound);
  }
}

TEST(ProxyHeader, SeesThatThereIsNone) {
  EXPECT_EQ(parse_proxy_header("GET / HTTP/1.1\r\n").verdict, V::kAbsent);
  EXPECT_EQ(parse_proxy_header("PROPFIND").verdict, V::kAbsent);
  EXPECT_EQ(parse_proxy_header("\r\nGET").verdict, V::kAbsent);
}

TEST(ProxyHeader, IsWrittenAsItIsRead) {
  auto at = [](std::string_view text) { return *io::Address::parse(text); };
  for (int version : {1, 2}) {
    for (auto [source, destination] : {std::pair("1.2.3.4:5678", "127.0.0.1:80"), std::pair("[2001:db8::1]:5678", "[::1]:80")}) {
      std::string bytes = write_proxy_header(version, at(source), at(destination));
      ProxyHeader h = parse_proxy_header(bytes + "GET /");
      ASSERT_EQ(h.verdict, V::kFound) << bytes;
      EXPECT_EQ(h.version, version);
      EXPECT_EQ(h.length, bytes.size());
      EXPECT_EQ(h.source->text(), source);
      EXPECT_EQ(h.destination->text(), destination);
    }
  }
  EXPECT_EQ(write_proxy_header(1, at("1.2.3.4:5678"), at("127.0.0.1:80")), "PROXY TCP4 1.2.3.4 127.0.0.1 5678 80\r\n");
}

TEST(ProxyHeader, MixedFamiliesBecomeOne) {
  auto v4 = *io::Address::parse("1.2.3.4:5"), v6 = *io::Address::parse("[::1]:80");
  EXPECT_EQ(write_proxy_header(1, v4, v6), "PROXY TCP6 ::ffff:1.2.3.4 ::1 5 80\r\n");
  std::string bytes = write_proxy_header(2, v4, v6);
  EXPECT_EQ(bytes.substr(12, 2), "\x21\x21");
  ProxyHeader h = parse_proxy_header(bytes);
  ASSERT_EQ(h.verdict, V::kFound);
  EXPECT_EQ(h.source->text(), "1.2.3.4:5");
  EXPECT_EQ(h.destination->text(), "[::1]:80");
}

TEST(ProxyHeader, WithoutAnAddressSaysSo) {
  auto pipe = io::Address::unix_path("/tmp/x"), v4 = *io::Address::parse("1.2.3.4:5");
  EXPECT_EQ(write_proxy_header(1, pipe, v4), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(write_proxy_header(2, {}, {}), "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"sv);
  EXPECT_FALSE(parse_proxy_header(write_proxy_header(2, {}, {})).source);
}

TEST(ProxyHeader, CarriesTheTlvsThatArePicked) {
  std::string_view tlvs = "\x01\0\x02h2\xe0\0\x01x\x05\0\x09short"sv;  // the last says more than there is
  EXPECT_EQ(pick_tlvs(tlvs, true, {}), tlvs.substr(0, 9));
  EXPECT_EQ(pick_tlvs(tlvs, false, std::vector<uint8_t>{0xe0}), "\xe0\0\x01x"sv);
  EXPECT_EQ(pick_tlvs(tlvs, false, {}), "");
  auto a = *io::Address::parse("1.2.3.4:5");
  std::string bytes = write_proxy_header(2, a, a, "\xe0\0\x01x"sv);
  EXPECT_EQ(parse_proxy_header(bytes).tlvs, "\xe0\0\x01x"sv);
  // What does not fit in its length is left out.
  EXPECT_EQ(parse_proxy_header(write_proxy_header(2, a, a, std::string(65536, 'x'))).tlvs, "");
}

}  // namespace
}  // namespace fairlead::proxy
