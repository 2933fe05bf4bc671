// DiscoverySource: where a kind of resource comes from (envoy.config.core.v3.ConfigSource). A value; ordered by what makes
// two sources the same one.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/time.h"

namespace fairlead::proxy {

struct DiscoverySource {
  enum class From : uint8_t { kAds, kCluster, kFile };
  From from = From::kAds;
  std::string where;                         // kCluster: the static cluster of the gRPC server; kFile: the path
  bool delta = false;                        // kCluster: DELTA_GRPC
  bool aggregated = false;                   // kCluster: AGGREGATED_*, of secrets only
  std::string authority;                     // kCluster: of the stream's request; empty: the cluster's name
  std::vector<std::pair<std::string, std::string>> metadata;  // kCluster: initial_metadata, header fields of the stream's request
  base::Nanos initial_fetch = std::chrono::seconds(15);  // 0: waited for without end
  auto identity() const { return std::tie(from, where, delta, aggregated, authority, metadata); }
  bool operator<(const DiscoverySource& other) const { return identity() < other.identity(); }
  bool operator==(const DiscoverySource& other) const { return identity() == other.identity(); }
};

}  // namespace fairlead::proxy
