#include "node/controllers/service_status.h"

#include "node/node.h"

namespace fairlead::node {

using base::Value;

ServiceStatusController::ServiceStatusController(io::Loop& loop, store::Store& store, api::Client& client, bool enabled)
    : store_(store), client_(client), enabled_(enabled), queue_(loop, "service-controller", [this](const ObjectName& n) { return reconcile(n); }) {
  services_ = std::make_unique<Watch>(store, "services", [this](const store::Event& e) {
    if (e.type != store::EventType::kDeleted) queue_.enqueue({e.key.ns, e.key.name});
  });
}

base::Status ServiceStatusController::reconcile(const ObjectName& name) {
  auto found = store_.get({"services", name.ns, name.name});
  if (!found) return {};
  const Value& service = **found;
  Value balancer = Value::object();
  if (enabled_ && service["spec"]["type"].as_string() == "LoadBalancer")
    balancer.set("ingress", Value::array({Value::object({{"ip", kHostIp}, {"ipMode", "VIP"}})}));
  if (service["status"]["loadBalancer"] == balancer || (balancer.empty() && service["status"]["loadBalancer"].empty())) return {};
  Value update = service;
  update["status"].set("loadBalancer", std::move(balancer));
  update["metadata"].erase("resourceVersion");
  auto written = client_.update_status(std::move(update));
  if (!written && written.error().code != base::Code::kNotFound) return std::unexpected(written.error());
  return {};
}

}  // namespace fairlead::node
