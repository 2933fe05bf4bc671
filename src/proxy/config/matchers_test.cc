#include <gtest/gtest.h>

#include "proxy/config/model.h"

namespace fairlead::proxy {
namespace {

RequestHeaders request(std::string_view target, std::string_view authority = "a") {
  RequestHeaders r;
  r.method = "GET";
  r.target = target;
  r.authority = authority;
  return r;
}

HeaderMatcher exact(std::string name, std::string value) {
  HeaderMatcher m;
  m.kind = HeaderMatcher::Kind::kString;
  m.name = std::move(name);
  m.string.text = std::move(value);
  return m;
}

TEST(HeaderMatcher, MatchesExactValue) {
  auto r = request("/");
  r.fields.add("end-user", "jason");
  EXPECT_TRUE(exact("end-user", "jason").matches(r));
  EXPECT_FALSE(exact("end-user", "james").matches(r));
}

TEST(HeaderMatcher, InvertedMatchesAMissingHeader) {
  auto m = exact("end-user", "jason");
  m.invert = true;
  EXPECT_TRUE(m.matches(request("/")));
}

TEST(HeaderMatcher, JoinsRepeatedHeadersByComma) {
  auto r = request("/");
  r.fields.add("x", "a");
  r.fields.add("x", "b");
  EXPECT_TRUE(exact("x", "a,b").matches(r));
}

TEST(HeaderMatcher, KnowsPseudoHeaders) {
  EXPECT_TRUE(exact(":method", "GET").matches(request("/")));
  EXPECT_TRUE(exact(":path", "/x?y").matches(request("/x?y")));
  EXPECT_TRUE(exact(":authority", "a").matches(request("/")));
}

TEST(PathMatch, SeparatedPrefixEndsAtASlash) {
  PathMatch m;
  m.kind = PathMatch::Kind::kSeparatedPrefix;
  m.text = "/api";
  EXPECT_TRUE(m.matches("/api", "GET"));
  EXPECT_TRUE(m.matches("/api/v1", "GET"));
  EXPECT_FALSE(m.matches("/apis", "GET"));
}

TEST(RouteTable, PrefersExactThenLongestSuffixThenPrefixThenStar) {
  RouteTable t;
  t.hosts.resize(5);
  t.exact["www.example.com"] = 0;
  t.suffixes = {{12, {{".example.com", 1}}}, {4, {{".com", 2}}}};
  t.prefixes = {{4, {{"www.", 3}}}};
  t.any = 4;
  auto at = [&](std::string_view name) { return t.find_host(name) - t.hosts.data(); };
  EXPECT_EQ(at("www.example.com"), 0);
  EXPECT_EQ(at("WWW.Example.com"), 0);
  EXPECT_EQ(at("api.example.com"), 1);
  EXPECT_EQ(at("other.com"), 2);
  EXPECT_EQ(at("www.example.org"), 3);
  EXPECT_EQ(at("localhost"), 4);
}

TEST(RouteTable, IgnoresThePortWhenAskedTo) {
  RouteTable t;
  t.hosts.resize(2);
  t.exact["a.b"] = 1;
  t.ignore_port = true;
  EXPECT_EQ(t.find_host("a.b:8080"), &t.hosts[1]);
  t.ignore_port = false;
  EXPECT_EQ(t.find_host("a.b:8080"), nullptr);
}

TEST(RetryOn, ReadsWordsAndIgnoresUnknownOnes) {
  EXPECT_EQ(parse_retry_on("5xx, connect-failure,nonsense"), uint32_t{kRetry5xx} | kRetryConnectFailure);
}

FilterChain chain(std::string name, std::optional<uint16_t> port, std::string transport, std::vector<std::string> alpn) {
  FilterChain c;
  c.name = std::move(name);
  c.match.destination_port = port;
  c.match.transport_protocol = std::move(transport);
  c.match.application_protocols = std::move(alpn);
  return c;
}

TEST(FilterChains, TheMoreSpecificWinsWithoutBacktracking) {
  ListenerConfig l;
  l.chains.push_back(chain("port-http", 80, "raw_buffer", {"http/1.1", "h2c"}));
  l.chains.push_back(chain("port-tcp", 80, "raw_buffer", {}));
  l.chains.push_back(chain("any-tls", std::nullopt, "tls", {}));
  l.chains.push_back(chain("any", std::nullopt, "", {}));
  ConnectionFacts f;
  f.source = *io::Address::parse_ip("10.0.0.1", 999);
  f.destination = *io::Address::parse_ip("10.0.0.2", 80);
  f.application_protocols = {"http/1.1"};
  EXPECT_EQ(find_chain(l, f)->name, "port-http");
  f.application_protocols = {};
  EXPECT_EQ(find_chain(l, f)->name, "port-tcp");
  f.destination.set_port(81);
  EXPECT_EQ(find_chain(l, f)->name, "any");
  f.transport_protocol = "tls";
  EXPECT_EQ(find_chain(l, f)->name, "any-tls");
  // The port decided first: nothing for TLS there, and no way back to chains of any port.
  f.destination.set_port(80);
  EXPECT_EQ(find_chain(l, f), nullptr);
}

}  // namespace
}  // namespace fairlead::proxy
