// ServiceSync: keeps the service sinks (rules, DNS, node ports) up to date with the store. Loop thread only.
// Owner: the node.
#pragma once

#include <memory>
#include <vector>

#include "node/controllers/reconciler.h"
#include "node/node.h"

namespace fairlead::node {

class ServiceSync {
 public:
  ServiceSync(io::Loop& loop, store::Store& store, std::vector<std::unique_ptr<ServiceSink>>& sinks)
      : store_(store), sinks_(sinks), queue_(loop, "service-sync", [this](const ObjectName&) { return sync(); }),
        services_(store, "services", [this](const store::Event&) { queue_.enqueue({}); }),
        slices_(store, "endpointslices.discovery.k8s.io", [this](const store::Event&) { queue_.enqueue({}); }) {
    queue_.enqueue({});
  }

 private:
  base::Status sync() {
    auto table = build_service_table(store_);
    if (last_ && *last_ == *table) return {};
    last_ = table;
    for (auto& sink : sinks_) sink->apply(table);
    return {};
  }
  store::Store& store_;
  std::vector<std::unique_ptr<ServiceSink>>& sinks_;
  std::shared_ptr<const ServiceTable> last_;
  Reconciler queue_;
  Watch services_, slices_;
};

}  // namespace fairlead::node
