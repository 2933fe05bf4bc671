// What a route says of a request to limits of rates: descriptors made by actions (Envoy: config.route.v3.RateLimit).
//
// Compiled on the main thread, immutable; describe() runs on workers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/config/matchers.h"

namespace fairlead::proxy {

// Keys and values in the order of the actions; "remote_address" -> "192.0.2.1".
using RateDescriptor = std::vector<std::pair<std::string, std::string>>;

struct RateLimitAction {
  enum class Kind : uint8_t { kSourceCluster, kDestinationCluster, kHeader, kAddress, kGeneric, kHeaders, kQuery };
  Kind kind = Kind::kGeneric;
  std::string key, value;                        // of the entry; kHeader: value is the field's name
  bool skip_if_absent = false;                   // kHeader
  bool expected = true;                          // kHeaders, kQuery: the entry is made when all match, or when not
  std::vector<HeaderMatcher> headers;
  std::vector<QueryMatcher> query;
  std::optional<uint32_t> v4_bits, v6_bits;      // kAddress: masked, and written with its length
};

struct RateLimitRule {
  uint32_t stage = 0;
  std::vector<RateLimitAction> actions;
  // Nothing when an action has nothing to say. client: "ip:port"; own_cluster: of this proxy (node.cluster).
  std::optional<RateDescriptor> describe(const RequestHeaders& request, std::string_view own_cluster, std::string_view cluster, std::string_view client) const;
};

}  // namespace fairlead::proxy
