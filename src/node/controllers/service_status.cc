#include "node/controllers/service_status.h"

namespace fairlead::node {

using base::Value;

ServiceStatusController::ServiceStatusController(io::Loop& loop, store::Store& store, api::Client& client, EventRecorder& events, BalancerAddresses* balancers)
    : store_(store), client_(client), events_(events), balancers_(balancers), queue_(loop, "service-controller", [this](const ObjectName& n) { return reconcile(n); }) {
  services_ = std::make_unique<Watch>(store, "services", [this](const store::Event& e) {
    if (e.type != store::EventType::kDeleted) queue_.enqueue({e.key.ns, e.key.name});
  });
  if (!balancers_) return;
  balancers_->on_change([this](const std::string& ns, const std::string& name) {
    queue_.enqueue({ns, name});
    auto service = store_.get({"services", ns, name});
    if (!service) return;
    if (const std::string& why = balancers_->problem_of(ns, name); !why.empty())
      events_.record(**service, EventLevel::kWarning, "SyncLoadBalancerFailed", "Error syncing load balancer: " + why, "service-controller");
    else events_.record(**service, EventLevel::kNormal, "EnsuredLoadBalancer", "Ensured load balancer at " + balancers_->address_of(ns, name), "service-controller");
  });
}

base::Status ServiceStatusController::reconcile(const ObjectName& name) {
  auto found = store_.get({"services", name.ns, name.name});
  if (!found) return {};
  const Value& service = **found;
  Value balancer = Value::object();
  if (service["spec"]["type"].as_string() == "LoadBalancer" && balancers_) {
    const std::string& ip = balancers_->address_of(name.ns, name.name);
    // Still looked for: what was written before the node ended holds until it is known better.
    if (ip.empty() && balancers_->problem_of(name.ns, name.name).empty()) return {};
    if (!ip.empty()) balancer.set("ingress", Value::array({Value::object({{"ip", ip}, {"ipMode", "VIP"}})}));
  }
  if (service["status"]["loadBalancer"] == balancer || (balancer.empty() && service["status"]["loadBalancer"].empty())) return {};
  Value update = service;
  update["status"].set("loadBalancer", std::move(balancer));
  update["metadata"].erase("resourceVersion");
  auto written = client_.update_status(std::move(update));
  if (!written && written.error().code != base::Code::kNotFound) return std::unexpected(written.error());
  return {};
}

}  // namespace fairlead::node
