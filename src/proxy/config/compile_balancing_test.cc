#include <gtest/gtest.h>

#include "base/value.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "io/transport.h"
#include "proxy/config/compile.h"
#include "proxy/config/document.h"

namespace fairlead::proxy {
namespace {

constexpr const char* kTypes = "type.googleapis.com/envoy.extensions.load_balancing_policies.";

class BalancingTest : public ::testing::Test {
 protected:
  base::Result<std::shared_ptr<const ClusterConfig>> compile(const std::string& fields) {
    envoy::config::cluster::v3::Cluster c;
    auto documents = base::parse_yaml("name: c\n" + fields);
    if (!documents) throw std::runtime_error(documents.error().text());
    if (auto problems = to_message((*documents)[0], c); !problems.empty()) throw std::runtime_error(problems[0].path + ": " + problems[0].message);
    return compiler_.cluster(c, "1", nullptr);
  }
  std::shared_ptr<const ClusterConfig> made(const std::string& fields) {
    auto c = compile(fields);
    EXPECT_TRUE(c) << c.error().text();
    return c ? *c : std::make_shared<ClusterConfig>();
  }
  std::string refused(const std::string& fields) {
    auto c = compile(fields);
    return c ? "" : c.error().text();
  }
  // A list of policies, "name.v3.Type: {fields}" each.
  static std::string policies(std::initializer_list<std::pair<std::string, std::string>> list) {
    std::string out = "load_balancing_policy:\n  policies:\n";
    for (const auto& [type, fields] : list) out += "  - typed_extension_config: {name: x, typed_config: " + any(type, fields) + "}\n";
    return out;
  }
  static std::string any(const std::string& type, const std::string& fields) { return "{\"@type\": \"" + (kTypes + type) + "\"" + (fields.empty() ? "" : ", " + fields) + "}"; }

  ClusterNames names_;
  Compiler compiler_{names_};
};

using Balance = ClusterConfig::Balance;

TEST_F(BalancingTest, EachPolicyByTypeIsThatByName) {
  auto least = made(policies({{"least_request.v3.LeastRequest", "choice_count: 5, active_request_bias: {default_value: 2, runtime_key: k}, slow_start_config: {slow_start_window: 3s}, locality_lb_config: {locality_weighted_lb_config: {}}"}}));
  EXPECT_EQ(least->balance, Balance::kLeastRequest);
  EXPECT_EQ(least->choices, 5u);
  EXPECT_EQ(least->active_request_bias, 2);
  EXPECT_EQ(least->slow_start, std::chrono::seconds(3));
  EXPECT_TRUE(least->locality_weights);
  EXPECT_FALSE(least->full_scan);
  EXPECT_TRUE(made(policies({{"least_request.v3.LeastRequest", "selection_method: FULL_SCAN"}}))->full_scan);

  auto ring = made(policies({{"ring_hash.v3.RingHash", "hash_function: MURMUR_HASH_2, minimum_ring_size: 8, maximum_ring_size: 16, consistent_hashing_lb_config: {use_hostname_for_hashing: true, hash_balance_factor: 120}"}}));
  EXPECT_EQ(ring->balance, Balance::kRingHash);
  EXPECT_TRUE(ring->murmur_hash && ring->hash_by_hostname && !ring->locality_weights);
  EXPECT_EQ(ring->ring_min, 8u);
  EXPECT_EQ(ring->ring_max, 16u);
  EXPECT_EQ(ring->hash_balance_percent, 120u);

  auto maglev = made(policies({{"maglev.v3.Maglev", "table_size: 251, locality_weighted_lb_config: {}"}}));
  EXPECT_EQ(maglev->balance, Balance::kMaglev);
  EXPECT_EQ(maglev->maglev_size, 251u);
  EXPECT_TRUE(maglev->locality_weights);

  EXPECT_EQ(made(policies({{"random.v3.Random", ""}}))->balance, Balance::kRandom);
  EXPECT_EQ(made(policies({{"cluster_provided.v3.ClusterProvided", ""}}) + "type: ORIGINAL_DST\n")->balance, Balance::kClusterProvided);
  EXPECT_EQ(made(policies({{"round_robin.v3.RoundRobin", "slow_start_config: {slow_start_window: 1s}"}}))->slow_start, std::chrono::seconds(1));
}

TEST_F(BalancingTest, ThePolicyByTypeCountsNotTheName) {
  EXPECT_EQ(made("lb_policy: MAGLEV\n" + policies({{"random.v3.Random", ""}}))->balance, Balance::kRandom);
  EXPECT_EQ(made("lb_policy: LOAD_BALANCING_POLICY_CONFIG\n" + policies({{"random.v3.Random", ""}}))->balance, Balance::kRandom);
}

TEST_F(BalancingTest, TheFirstKnownPolicyIsTaken) {
  EXPECT_EQ(made("load_balancing_policy: {policies: [{typed_extension_config: {name: mine}}, {typed_extension_config: {name: r, typed_config: " + any("random.v3.Random", "") + "}}]}")->balance, Balance::kRandom);
  EXPECT_EQ(made(policies({{"maglev.v3.Maglev", ""}, {"random.v3.Random", ""}}))->balance, Balance::kMaglev);
}

TEST_F(BalancingTest, LocalitiesByWeightHaveAPolicyInside) {
  auto c = made(policies({{"wrr_locality.v3.WrrLocality", "endpoint_picking_policy: {policies: [{typed_extension_config: {name: x, typed_config: " + any("least_request.v3.LeastRequest", "") + "}}]}"}}));
  EXPECT_EQ(c->balance, Balance::kLeastRequest);
  EXPECT_TRUE(c->locality_weights);
}

TEST_F(BalancingTest, WhatCanNotBeIsRefusedWithItsPath) {
  EXPECT_EQ(refused("lb_policy: LOAD_BALANCING_POLICY_CONFIG"),
            "load_balancing_policy.policies: none is known (there is none); give round_robin, least_request, random, ring_hash, maglev, wrr_locality or cluster_provided");
  EXPECT_TRUE(refused("load_balancing_policy: {policies: [{typed_extension_config: {name: mine}}]}").starts_with("load_balancing_policy.policies: none is known (mine)"));
  const std::string inside = "load_balancing_policy.policies[0].typed_extension_config.typed_config.";
  EXPECT_EQ(refused(policies({{"maglev.v3.Maglev", "table_size: 252"}})), inside + "table_size: 252 is not a prime number up to 5000011");
  EXPECT_EQ(refused(policies({{"maglev.v3.Maglev", "table_size: \"18446744073709551557\""}})), inside + "table_size: 18446744073709551557 is not a prime number up to 5000011");
  EXPECT_EQ(refused(policies({{"least_request.v3.LeastRequest", "choice_count: 1"}})), inside + "choice_count: 1 is less than 2");
  EXPECT_EQ(refused(policies({{"ring_hash.v3.RingHash", "hash_balance_factor: 99"}})), inside + "hash_balance_factor: 99 is less than 100");
  EXPECT_TRUE(refused("common_lb_config: {locality_weighted_lb_config: {}}\n" + policies({{"random.v3.Random", ""}})).starts_with("common_lb_config: "));
  EXPECT_TRUE(refused("lb_subset_config: {}\n" + policies({{"random.v3.Random", ""}})).starts_with("lb_subset_config: "));
  std::string deep = any("random.v3.Random", "");
  for (int i = 0; i < 9; ++i) deep = any("wrr_locality.v3.WrrLocality", "endpoint_picking_policy: {policies: [{typed_extension_config: {name: x, typed_config: " + deep + "}}]}");
  EXPECT_TRUE(refused("load_balancing_policy: {policies: [{typed_extension_config: {name: x, typed_config: " + deep + "}}]}").ends_with("more than 8 policies are nested"));
}

TEST_F(BalancingTest, SourceAddressesAreOneOfEachFamily) {
  auto c = made("upstream_bind_config: {source_address: {address: 127.0.0.2, port_value: 0}, extra_source_addresses: [{address: {address: \"::1\", port_value: 0}}], freebind: true}\nupstream_connection_options: {tcp_keepalive: {keepalive_time: 10}}");
  ASSERT_TRUE(c->socket);
  EXPECT_EQ(c->socket->bind.size(), 2u);
  EXPECT_TRUE(c->socket->freebind);
  EXPECT_EQ(c->socket->options.size(), 2u);  // keepalive, and its time
  EXPECT_FALSE(made("")->socket);
  EXPECT_EQ(refused("upstream_bind_config: {source_address: {address: 127.0.0.2, port_value: 0}, extra_source_addresses: [{address: {address: 127.0.0.3, port_value: 0}}]}"),
            "upstream_bind_config: both source addresses (127.0.0.2:0, 127.0.0.3:0) are of the same family");
}

}  // namespace
}  // namespace fairlead::proxy
