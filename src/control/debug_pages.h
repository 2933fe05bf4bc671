// What istiod shows on its ports 8080 and 15014: /ready, /metrics, /debug/syncz, /debug/config_dump ...
// Loop thread of the server; pure but for the answer it gives.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "control/snapshot.h"
#include "http/server.h"
#include "xds/server.h"

namespace fairlead::control {

struct DebugView {
  bool ready = false;
  std::string revision, cluster_id;
  uint64_t pushes = 0, nacks = 0;
  SnapshotPtr snapshot;
  std::vector<xds::AdsServer::View> sessions;
};

using ResourcesOf = std::function<xds::ResourceMap(std::string_view proxy, std::string_view type_url)>;
void answer_debug_page(http::Exchange& exchange, const DebugView& view, const ResourcesOf& resources);

// /debug/syncz, as `istioctl proxy-status` reads it.
base::Value sync_status(const DebugView& view);

}  // namespace fairlead::control
