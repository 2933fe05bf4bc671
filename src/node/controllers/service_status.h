// ServiceStatusController: a Service of type LoadBalancer is reached at 127.0.0.1, by its node ports (there is no
// balancer in front of one machine). Loop thread only. Owner: Controllers.
#pragma once

#include <memory>

#include "api/client.h"
#include "node/controllers/reconciler.h"

namespace fairlead::node {

class ServiceStatusController {
 public:
  ServiceStatusController(io::Loop& loop, store::Store& store, api::Client& client, bool enabled);

 private:
  base::Status reconcile(const ObjectName& name);

  store::Store& store_;
  api::Client& client_;
  const bool enabled_;
  Reconciler queue_;
  std::unique_ptr<Watch> services_;
};

}  // namespace fairlead::node
