#include "proxy/config/compile_balancing.h"

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/load_balancing_policies/cluster_provided/v3/cluster_provided.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb.h"

namespace fairlead::proxy {

namespace cluster_v3 = envoy::config::cluster::v3;
namespace policies = envoy::extensions::load_balancing_policies;
namespace {

using Balance = ClusterConfig::Balance;

bool is_prime(uint64_t n) {
  for (uint64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return n > 1;
}

// What the fields of both generations say, whose messages differ in name only.
template <class SlowStartConfig>
void slow_start(const CompileContext& at, const SlowStartConfig& from, ClusterConfig& c) {
  c.slow_start = nanos(from.slow_start_window());
  if (from.has_aggression()) c.slow_start_aggression = from.aggression().default_value();
  if (c.slow_start_aggression <= 0) at.at("aggression").refuse("it must be more than 0");
  if (from.has_min_weight_percent()) c.slow_start_min = from.min_weight_percent().value() / 100;
}

template <class LeastRequest>
void least_request(const CompileContext& at, const LeastRequest& from, ClusterConfig& c) {
  c.balance = Balance::kLeastRequest;
  if (from.has_active_request_bias()) c.active_request_bias = from.active_request_bias().default_value();
  if (!(c.active_request_bias >= 0)) at.at("active_request_bias").refuse("it must be 0 or more");
  slow_start(at.at("slow_start_config"), from.slow_start_config(), c);
  if (from.has_choice_count()) c.choices = from.choice_count().value();
  if (c.choices < 2) at.at("choice_count").refuse("{} is less than 2", c.choices);
}

template <class RingHash>
void ring_hash(const CompileContext& at, const RingHash& from, ClusterConfig& c) {
  c.balance = Balance::kRingHash;
  c.murmur_hash = from.hash_function() == RingHash::MURMUR_HASH_2;
  if (from.has_minimum_ring_size()) c.ring_min = from.minimum_ring_size().value();
  if (from.has_maximum_ring_size()) c.ring_max = from.maximum_ring_size().value();
  if (c.ring_min < 1) at.at("minimum_ring_size").refuse("it must be 1 or more");
  if (c.ring_min > c.ring_max) at.refuse("minimum_ring_size {} is more than maximum_ring_size {}", c.ring_min, c.ring_max);
  if (c.ring_max > 8u << 20) at.at("maximum_ring_size").refuse("{} is more than 8388608", c.ring_max);
}

template <class Maglev>
void maglev(const CompileContext& at, const Maglev& from, ClusterConfig& c) {
  c.balance = Balance::kMaglev;
  if (!from.has_table_size()) return;
  uint64_t size = from.table_size().value();
  if (size > 5'000'011 || !is_prime(size)) at.at("table_size").refuse("{} is not a prime number up to 5000011", size);
  c.maglev_size = size;
}

template <class ConsistentHashing>
void consistent_hashing(const CompileContext& at, const ConsistentHashing& from, ClusterConfig& c) {
  c.hash_by_hostname = from.use_hostname_for_hashing();
  if (!from.has_hash_balance_factor()) return;
  c.hash_balance_percent = from.hash_balance_factor().value();
  if (c.hash_balance_percent < 100) at.at("hash_balance_factor").refuse("{} is less than 100", c.hash_balance_percent);
}

void localities(const policies::common::v3::LocalityLbConfig& from, ClusterConfig& c) {
  c.locality_weights = from.has_locality_weighted_lb_config();
  c.panic_fails = from.zone_aware_lb_config().fail_traffic_on_panic();
}

constexpr int kMostPolicies = 8;  // one in the other

// The first policy of the list that is known (Envoy: the same).
void typed_policy(const CompileContext& at, const cluster_v3::LoadBalancingPolicy& from, ClusterConfig& c, int depth = 0) {
  if (depth == kMostPolicies) at.refuse("more than {} policies are nested", kMostPolicies);
  std::string unknown;
  for (int i = 0; i < from.policies_size(); ++i) {
    const auto& any = from.policies(i).typed_extension_config().typed_config();
    CompileContext here = at.at("policies", i).at("typed_extension_config.typed_config");
    if (any_is<policies::round_robin::v3::RoundRobin>(any)) {
      auto policy = unpack<policies::round_robin::v3::RoundRobin>(here, any);
      slow_start(here.at("slow_start_config"), policy.slow_start_config(), c);
      localities(policy.locality_lb_config(), c);
    } else if (any_is<policies::least_request::v3::LeastRequest>(any)) {
      auto policy = unpack<policies::least_request::v3::LeastRequest>(here, any);
      least_request(here, policy, c);
      c.full_scan = policy.selection_method() == policies::least_request::v3::LeastRequest::FULL_SCAN || policy.enable_full_scan().value();
      localities(policy.locality_lb_config(), c);
    } else if (any_is<policies::random::v3::Random>(any)) {
      c.balance = Balance::kRandom;
      localities(unpack<policies::random::v3::Random>(here, any).locality_lb_config(), c);
    } else if (any_is<policies::ring_hash::v3::RingHash>(any)) {
      auto policy = unpack<policies::ring_hash::v3::RingHash>(here, any);
      ring_hash(here, policy, c);
      consistent_hashing(here.at("consistent_hashing_lb_config"), policy.consistent_hashing_lb_config(), c);
      if (!policy.has_consistent_hashing_lb_config()) consistent_hashing(here, policy, c);  // the deprecated fields
      c.locality_weights = policy.has_locality_weighted_lb_config();
    } else if (any_is<policies::maglev::v3::Maglev>(any)) {
      auto policy = unpack<policies::maglev::v3::Maglev>(here, any);
      maglev(here, policy, c);
      consistent_hashing(here.at("consistent_hashing_lb_config"), policy.consistent_hashing_lb_config(), c);
      c.locality_weights = policy.has_locality_weighted_lb_config();
    } else if (any_is<policies::cluster_provided::v3::ClusterProvided>(any)) {
      c.balance = Balance::kClusterProvided;
    } else if (any_is<policies::wrr_locality::v3::WrrLocality>(any)) {
      auto policy = unpack<policies::wrr_locality::v3::WrrLocality>(here, any);
      typed_policy(here.at("endpoint_picking_policy"), policy.endpoint_picking_policy(), c, depth + 1);
      c.locality_weights = true;
    } else {
      if (!unknown.empty()) unknown += ", ";
      unknown += any.type_url().empty() ? from.policies(i).typed_extension_config().name() : std::string(short_type(any));
      continue;
    }
    if (!unknown.empty()) at.warn("load_balancing_policy: the policies before " + std::string(short_type(any)) + " are not known: " + unknown);
    return;
  }
  at.at("policies").refuse("none is known ({}); give round_robin, least_request, random, ring_hash, maglev, wrr_locality or cluster_provided", unknown.empty() ? std::string("there is none") : unknown);
}

void by_name(const CompileContext& at, const cluster_v3::Cluster& from, ClusterConfig& c) {
  using C = cluster_v3::Cluster;
  switch (from.lb_policy()) {
    case C::ROUND_ROBIN: slow_start(at.at("round_robin_lb_config.slow_start_config"), from.round_robin_lb_config().slow_start_config(), c); break;
    case C::LEAST_REQUEST: least_request(at.at("least_request_lb_config"), from.least_request_lb_config(), c); break;
    case C::RANDOM: c.balance = Balance::kRandom; break;
    case C::RING_HASH: ring_hash(at.at("ring_hash_lb_config"), from.ring_hash_lb_config(), c); break;
    case C::MAGLEV: maglev(at.at("maglev_lb_config"), from.maglev_lb_config(), c); break;
    case C::CLUSTER_PROVIDED: c.balance = Balance::kClusterProvided; break;
    default: at.at("lb_policy").refuse("{} is not known; give ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH, MAGLEV or a load_balancing_policy", static_cast<int>(from.lb_policy()));
  }
  const auto& common = from.common_lb_config();
  c.locality_weights = common.has_locality_weighted_lb_config();
  c.panic_fails = common.zone_aware_lb_config().fail_traffic_on_panic();
  consistent_hashing(at.at("common_lb_config.consistent_hashing_lb_config"), common.consistent_hashing_lb_config(), c);
}

}  // namespace

void compile_balancing(const CompileContext& at, const cluster_v3::Cluster& from, ClusterConfig& c) {
  using C = cluster_v3::Cluster;
  const auto& common = from.common_lb_config();
  if (from.has_load_balancing_policy() || from.lb_policy() == C::LOAD_BALANCING_POLICY_CONFIG) {
    if (from.has_lb_subset_config()) at.at("lb_subset_config").refuse("it can't stand beside load_balancing_policy");
    if (common.has_zone_aware_lb_config() || common.has_locality_weighted_lb_config() || common.has_consistent_hashing_lb_config())
      at.at("common_lb_config").refuse("zone_aware_lb_config, locality_weighted_lb_config and consistent_hashing_lb_config can't stand beside load_balancing_policy: give them in the policy");
    typed_policy(at.at("load_balancing_policy"), from.load_balancing_policy(), c);
  } else {
    by_name(at, from, c);
  }
  if (from.has_lb_subset_config() && from.lb_subset_config().subset_selectors_size()) at.at("lb_subset_config").refuse("subset load balancing is not taken");
  if (common.has_healthy_panic_threshold()) {
    double percent = common.healthy_panic_threshold().value();
    if (!(percent >= 0 && percent <= 100)) at.at("common_lb_config.healthy_panic_threshold").refuse("{} is not a percentage from 0 to 100", percent);
    c.panic_percent = static_cast<uint32_t>(percent);
  }
  c.close_on_health_failure = from.close_connections_on_host_health_failure();
  c.ignore_health_on_removal = from.ignore_health_on_host_removal();
  if (from.preconnect_policy().has_per_upstream_preconnect_ratio()) {
    double ratio = from.preconnect_policy().per_upstream_preconnect_ratio().value();
    if (!(ratio >= 1 && ratio <= 3)) at.at("preconnect_policy.per_upstream_preconnect_ratio").refuse("{} is not from 1 to 3", ratio);
    c.preconnect_per_upstream = ratio;
  }
  c.close_on_host_change = common.close_connections_on_host_set_change();
}

}  // namespace fairlead::proxy
