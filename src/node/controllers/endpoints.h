// EndpointsController: Endpoints and EndpointSlices of Services with a selector follow their pods' readiness; Endpoints
// that somebody wrote for a Service without one are mirrored into slices. Loop thread only. Owner: Controllers.
// Source: Kubernetes' endpoint, endpointslice and endpointslicemirroring controllers.
#pragma once

#include <memory>
#include <vector>

#include "api/client.h"
#include "node/controllers/reconciler.h"

namespace fairlead::node {

class EndpointsController {
 public:
  static constexpr size_t kMaxPerSlice = 100;

  EndpointsController(io::Loop& loop, store::Store& store, api::Client& client);

 private:
  // Endpoints that share their port numbers.
  struct Group {
    base::Value ports = base::Value::array();
    std::vector<base::Value> endpoints;
    bool operator==(const Group&) const = default;
  };
  base::Status reconcile(const ObjectName& name);
  base::Status write_slices(const base::Value& service, const std::vector<Group>& groups, std::string_view manager);
  base::Status write_endpoints(const base::Value& service, const std::vector<store::ObjectPtr>& pods);
  base::Status mirror(const base::Value& service);

  store::Store& store_;
  api::Client& client_;
  Reconciler queue_;
  std::unique_ptr<Watch> services_, pods_, endpoints_, slices_;
};

// The number of a Service port's targetPort in this pod; 0 when the pod has no port of that name.
uint16_t target_port(const base::Value& service_port, const base::Value& pod);

}  // namespace fairlead::node
