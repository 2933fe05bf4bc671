#include "node/rules/service_rules.h"

#include <gtest/gtest.h>

namespace fairlead::node {
namespace {

ServiceTable table(size_t endpoints) {
  ServiceEntry s{.ns = "default", .name = "reviews", .type = "ClusterIP", .cluster_ip = "10.96.1.2"};
  ServicePort p{.name = "http", .protocol = "TCP", .port = 9080};
  for (size_t i = 0; i < endpoints; ++i) p.endpoints.push_back({"10.244.0." + std::to_string(5 + i), 9080, "", true});
  p.endpoints.push_back({"10.244.0.99", 9080, "", false});
  s.ports = {p};
  return {{s}};
}

size_t count(const std::string& text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(ServiceRules, SpreadEvenlyOverReadyEndpoints) {
  std::string text = service_rules(table(3), {}).text;
  EXPECT_EQ(count(text, "-d 10.96.1.2/32 -p tcp -m tcp --dport 9080"), 1u);
  EXPECT_EQ(count(text, "--probability 0.3333333333"), 1u);
  EXPECT_EQ(count(text, "--probability 0.5000000000"), 1u);
  EXPECT_EQ(count(text, "DNAT --to-destination"), 3u);
  EXPECT_EQ(count(text, "10.244.0.99"), 0u) << "not ready";
  EXPECT_EQ(count(text, "-s 10.244.0.5/32"), 1u) << "hairpin";
}

TEST(ServiceRules, RefuseServicesWithoutEndpoints) {
  std::string text = service_rules(table(0), {}).text;
  EXPECT_EQ(count(text, "REJECT"), 1u);
  EXPECT_EQ(count(text, "DNAT"), 0u);
}

TEST(ServiceRules, RemoveChainsThatAreNoLongerNeeded) {
  RuleSet before = service_rules(table(2), {});
  RuleSet after = service_rules(table(1), before.nat_chains);
  EXPECT_EQ(before.nat_chains.size(), 3u);
  EXPECT_EQ(after.nat_chains.size(), 2u);
  EXPECT_EQ(count(after.text, "\n-X KUBE-SEP-"), 1u);
}

TEST(ServiceRules, ChainNamesAreKubeProxysLength) {
  ServiceTable t = table(1);
  EXPECT_EQ(service_chain(t.services[0], t.services[0].ports[0]).size(), 25u);
}

}  // namespace
}  // namespace fairlead::node
