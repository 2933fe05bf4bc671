#include <gtest/gtest.h>

#include "node/dns/server.h"

namespace fairlead::node {
namespace {

std::shared_ptr<const ServiceTable> table() {
  auto t = std::make_shared<ServiceTable>();
  ServiceEntry reviews{.ns = "default", .name = "reviews", .type = "ClusterIP", .cluster_ip = "10.96.1.2"};
  reviews.ports = {{.name = "http", .protocol = "TCP", .port = 9080}};
  ServiceEntry db{.ns = "data", .name = "db", .type = "ClusterIP", .headless = true};
  db.ports = {{.name = "sql", .protocol = "TCP", .port = 5432, .endpoints = {{"10.244.0.5", 5432, "db-0", true}, {"10.244.0.6", 5432, "", true}, {"10.244.0.7", 5432, "", false}}}};
  db.addresses = {{"10.244.0.5", 0, "db-0", true}, {"10.244.0.6", 0, "", true}, {"10.244.0.7", 0, "", false}};
  ServiceEntry alias{.ns = "default", .name = "alias", .type = "ExternalName", .external_name = "reviews.default.svc.cluster.local"};
  ServiceEntry far{.ns = "default", .name = "far", .type = "ExternalName", .external_name = "example.com"};
  t->services = {reviews, db, alias, far};
  return t;
}

// What dig would show, one record a line, after the code.
std::string ask(const std::string& name, DnsType type) {
  DnsZone zone(table(), "cluster.local", {{"httpbin.org", "198.51.100.2"}});
  auto found = zone.look_up({name, static_cast<uint16_t>(type)});
  if (!found.ours) return "forward";
  std::string out = found.reply.code == DnsCode::kOk ? "ok" : found.reply.code == DnsCode::kNxDomain ? "nxdomain" : "other";
  for (const auto& r : found.reply.answers) {
    if (r.type == DnsType::kA) {
      out += " A";
      for (size_t i = 0; i < 4; ++i) out += (i ? "." : " ") + std::to_string(static_cast<unsigned char>(r.data[i]));
    } else if (r.type == DnsType::kSrv) {
      out += " SRV " + std::to_string(r.port) + " " + r.data;
    } else {
      out += (r.type == DnsType::kPtr ? " PTR " : " CNAME ") + r.data;
    }
  }
  if (!found.chase.empty()) out += " chase " + found.chase;
  return out;
}

TEST(DnsZone, AnswersAsTheKubernetesSpecificationSays) {
  EXPECT_EQ(ask("reviews.default.svc.cluster.local", DnsType::kA), "ok A 10.96.1.2");
  EXPECT_EQ(ask("reviews.default.svc.cluster.local", DnsType::kAaaa), "ok");
  EXPECT_EQ(ask("_http._tcp.reviews.default.svc.cluster.local", DnsType::kSrv), "ok SRV 9080 reviews.default.svc.cluster.local");
  EXPECT_EQ(ask("db.data.svc.cluster.local", DnsType::kA), "ok A 10.244.0.5 A 10.244.0.6");
  EXPECT_EQ(ask("db-0.db.data.svc.cluster.local", DnsType::kA), "ok A 10.244.0.5");
  EXPECT_EQ(ask("10-244-0-6.db.data.svc.cluster.local", DnsType::kA), "ok A 10.244.0.6");
  EXPECT_EQ(ask("_sql._tcp.db.data.svc.cluster.local", DnsType::kSrv),
            "ok SRV 5432 db-0.db.data.svc.cluster.local SRV 5432 10-244-0-6.db.data.svc.cluster.local");
  EXPECT_EQ(ask("2.1.96.10.in-addr.arpa", DnsType::kPtr), "ok PTR reviews.default.svc.cluster.local");
  EXPECT_EQ(ask("10-1-2-3.default.pod.cluster.local", DnsType::kA), "ok A 10.1.2.3");
}

TEST(DnsZone, TellsNoDataFromNoName) {
  EXPECT_EQ(ask("default.svc.cluster.local", DnsType::kA), "ok");
  EXPECT_EQ(ask("nowhere.svc.cluster.local", DnsType::kA), "nxdomain");
  EXPECT_EQ(ask("nothing.default.svc.cluster.local", DnsType::kA), "nxdomain");
  EXPECT_EQ(ask("httpbin.org.default.svc.cluster.local", DnsType::kA), "nxdomain");
  EXPECT_EQ(ask("_smtp._tcp.reviews.default.svc.cluster.local", DnsType::kSrv), "nxdomain");
}

TEST(DnsZone, FollowsExternalNamesOneStep) {
  EXPECT_EQ(ask("alias.default.svc.cluster.local", DnsType::kA), "ok CNAME reviews.default.svc.cluster.local A 10.96.1.2");
  EXPECT_EQ(ask("far.default.svc.cluster.local", DnsType::kA), "ok CNAME example.com chase example.com");
}

TEST(DnsZone, AnswersOutsideNamesItWasGivenAndForwardsOthers) {
  EXPECT_EQ(ask("httpbin.org", DnsType::kA), "ok A 198.51.100.2");
  EXPECT_EQ(ask("httpbin.org", DnsType::kAaaa), "ok");
  EXPECT_EQ(ask("example.com", DnsType::kA), "forward");
  EXPECT_EQ(ask("8.8.8.8.in-addr.arpa", DnsType::kPtr), "forward");
}

TEST(DnsMessage, ReadsBackWhatItBuilds) {
  auto query = parse_dns_query(build_dns_query(77, "Reviews.Default", DnsType::kA));
  ASSERT_TRUE(query);
  EXPECT_EQ(query->id, 77);
  EXPECT_EQ(query->question.name, "reviews.default");
  DnsReply reply;
  reply.answers = {{"reviews.default", DnsType::kCname, 5, "x.reviews.default"}, {"x.reviews.default", DnsType::kA, 9, "\x0a\x60\x01\x02"}};
  auto answer = parse_dns_answer(build_dns_reply(*query, reply, 512));
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->addresses.size(), 1u);
  EXPECT_EQ(answer->addresses[0].name, "x.reviews.default");
  EXPECT_EQ(answer->addresses[0].ttl, 9u);
}

TEST(DnsMessage, CutsWhatUdpCannotCarryAndSaysSo) {
  auto query = *parse_dns_query(build_dns_query(1, "many.test", DnsType::kA));
  DnsReply reply;
  reply.answers.assign(100, {"many.test", DnsType::kA, 5, "\x01\x02\x03\x04"});
  std::string cut = build_dns_reply(query, reply, 512);
  EXPECT_LE(cut.size(), 512u);
  EXPECT_TRUE(cut[2] & 0x02);
  EXPECT_GT(build_dns_reply(query, reply, 0).size(), 512u);
}

TEST(DnsMessage, RefusesPointersThatGoInCircles) {
  std::string packet = build_dns_query(1, "", DnsType::kA).substr(0, 12);
  packet += "\xc0\x0c";
  packet += std::string("\0\1\0\1", 4);
  EXPECT_FALSE(parse_dns_query(packet));
}

TEST(DnsServer, AnswersGarbageWithFormatErrorAndSilenceToReplies) {
  io::Loop loop;
  auto server = DnsServer::open(loop, *io::Address::parse("127.0.0.1:0"), {}, {});
  ASSERT_TRUE(server);
  std::string got;
  (*server)->answer(std::string("\x00\x07\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00", 12), true, [&](std::string r) { got = r; });
  ASSERT_GE(got.size(), 12u);
  EXPECT_EQ(got[3] & 0xf, 1);
  got.clear();
  (*server)->answer(std::string("\x00\x07\x80\x00\x00\x05\x00\x00\x00\x00\x00\x00", 12), true, [&](std::string r) { got = r; });
  EXPECT_EQ(got, "");
}

}  // namespace
}  // namespace fairlead::node
