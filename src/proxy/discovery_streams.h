// DiscoveryStreams: one xDS stream for each type and config source that is a gRPC server of its own (api_config_source:
// GRPC, DELTA_GRPC), beside the aggregated one. Each comes back with a back-off of its own, and resumes.
//
// Main thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/config/discovery_source.h"
#include "xds/client.h"

namespace fairlead::proxy {

class DiscoveryStreams {
 public:
  // How a source's gRPC server is reached; nothing: there is no such static cluster.
  using Reach = std::function<std::optional<xds::AdsOptions>(const DiscoverySource& from)>;
  // What a stream brought. An error is its NACK.
  using Take = std::function<base::Status(const DiscoverySource& from, const xds::ReceivedUpdate& update)>;
  DiscoveryStreams(io::Loop& loop, Reach reach, Take take);
  ~DiscoveryStreams();
  DiscoveryStreams(const DiscoveryStreams&) = delete;
  DiscoveryStreams& operator=(const DiscoveryStreams&) = delete;

  // Everything of a type. False: the cluster is not known.
  bool subscribe_all(std::string_view type_url, const DiscoverySource& from);
  // Exactly these names of a type from these sources from now on. A stream that nothing is wanted of any longer ends, at the
  // end of this round of the loop. Returns the sources whose cluster is not known.
  std::set<DiscoverySource> subscribe(std::string_view type_url, const std::map<DiscoverySource, std::set<std::string>>& names);

  struct State {
    size_t streams = 0, connected = 0;
  };
  State state(std::string_view type_url) const;
  // A stream ended, or could not be made.
  std::function<void(std::string_view type_url, const DiscoverySource& from)> failed;

 private:
  struct Stream;
  Stream* open(std::string_view type_url, const DiscoverySource& from);

  io::Loop& loop_;
  Reach reach_;
  Take take_;
  std::map<std::pair<std::string, DiscoverySource>, std::unique_ptr<Stream>> streams_;  // by type and source
};

}  // namespace fairlead::proxy
