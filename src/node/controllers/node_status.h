// NodeStatus: the Node object `fairlead` and its Lease. Loop thread only. Owner: Controllers.
#pragma once

#include <string>

#include "api/client.h"
#include "io/loop.h"

namespace fairlead::node {

class NodeStatus {
 public:
  static constexpr std::chrono::seconds kLeaseDuration{40};
  static constexpr std::chrono::seconds kRenewEvery{10};

  NodeStatus(io::Loop& loop, store::Store& store, api::Client& client, std::string runtime_version);

 private:
  void report();
  void renew();
  base::Value status() const;

  store::Store& store_;
  api::Client& client_;
  const std::string runtime_version_;
  io::Timer renewal_;
};

}  // namespace fairlead::node
