// Balancers: which endpoint gets the next request.
//
// A cluster's balancer chooses a priority (by health, overprovisioning and panic), then a locality where localities have
// weights, then a host by the policy. Built anew when endpoints or their health change; its worker's own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "proxy/config/model.h"

namespace fairlead::proxy {

class Balancer {
 public:
  virtual ~Balancer() = default;
  // hash: for consistent hashing; nothing: random. attempt: from 0; the n-th try for the same request, so that hashing
  // may offer another host. nullptr: none is usable.
  virtual Host* pick(std::optional<uint64_t> hash, uint64_t random, uint32_t attempt) = 0;
};

struct BalancerNeeds {
  std::function<uint64_t(const Host&)> active;    // requests in flight on a host
  std::function<base::TimePoint()> now;           // for slow start
  std::function<uint64_t()> all_active;           // requests in flight on the cluster
  uint64_t* panics = nullptr;                     // lb_healthy_panic
};
std::unique_ptr<Balancer> make_balancer(const ClusterConfig& config, std::shared_ptr<const EndpointSet> endpoints, BalancerNeeds needs);

// What share of the traffic each priority gets, in percent, as Envoy computes it. Exposed for tests and admin.
struct PriorityLoad {
  uint32_t healthy = 0, degraded = 0;
  bool panic = false;
};
struct PriorityHealth {
  size_t total = 0, healthy = 0, degraded = 0;
};
std::vector<PriorityLoad> priority_loads(const std::vector<PriorityHealth>& levels, uint32_t overprovisioning, uint32_t panic_percent);

// XXH64, the hash that Envoy uses for hash policies and for hashing balancers, so that both choose the same endpoint.
uint64_t xxhash64(std::string_view bytes, uint64_t seed = 0);
// MurmurHash2, 64-bit variant with Envoy's seed: hash_function MURMUR_HASH_2.
uint64_t murmur64(std::string_view bytes);

}  // namespace fairlead::proxy
