#include "node/controllers/endpoints.h"

#include <algorithm>

#include "base/strings.h"
#include "mesh/selector.h"

namespace fairlead::node {

using base::Status;
using base::Value;
using store::ObjectPtr;

namespace {

constexpr const char* kSlices = "endpointslices.discovery.k8s.io";
constexpr const char* kServiceName = "kubernetes.io/service-name";
constexpr const char* kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr const char* kSliceManager = "endpointslice-controller.k8s.io";
constexpr const char* kMirrorManager = "endpointslicemirroring-controller.k8s.io";
constexpr const char* kHeadless = "service.kubernetes.io/headless";

bool selects(const Value& service, const Value& pod) {
  const Value& selector = service["spec"]["selector"];
  return !selector.empty() && mesh::LabelSelector::from_map(selector).matches(pod["metadata"]["labels"]);
}

// Pods that have an address and are not over.
bool addressable(const Value& pod) { return !pod["status"]["podIP"].as_string().empty() && !pod_finished(pod); }

Value slice_port(const Value& service_port, uint16_t number) {
  Value port = Value::object({{"name", service_port["name"].as_string()}, {"port", number}, {"protocol", service_port["protocol"].string_or("TCP")}});
  if (service_port.contains("appProtocol")) port.set("appProtocol", service_port["appProtocol"]);
  return port;
}

Value pod_reference(const Value& pod) {
  const Value& meta = pod["metadata"];
  return Value::object({{"kind", "Pod"}, {"name", meta["name"]}, {"namespace", meta["namespace"]}, {"uid", meta["uid"]}});
}

Value slice_endpoint(const Value& service, const Value& pod) {
  bool serving = pod_ready(pod), terminating = being_deleted(pod);
  bool ready = service["spec"]["publishNotReadyAddresses"].as_bool() || (serving && !terminating);
  Value endpoint = Value::object({{"addresses", Value::array({pod["status"]["podIP"]})},
                                  {"conditions", Value::object({{"ready", ready}, {"serving", serving}, {"terminating", terminating}})},
                                  {"nodeName", pod["spec"]["nodeName"]},
                                  {"targetRef", pod_reference(pod)}});
  if (!pod["spec"]["hostname"].as_string().empty() && pod["spec"]["subdomain"] == service["metadata"]["name"])
    endpoint.set("hostname", pod["spec"]["hostname"]);
  return endpoint;
}

bool headless(const Value& service) { return service["spec"]["clusterIP"].as_string() == "None"; }

}  // namespace

uint16_t target_port(const Value& service_port, const Value& pod) {
  const Value& target = service_port["targetPort"];
  if (target.is_null()) return static_cast<uint16_t>(service_port["port"].as_int());
  if (!target.is_string()) return static_cast<uint16_t>(target.as_int());
  if (auto number = base::to_int(target.as_string())) return static_cast<uint16_t>(*number);
  const std::string protocol = service_port["protocol"].string_or("TCP");
  for (const char* list : {"containers", "initContainers"}) {
    for (auto& container : pod["spec"][list].items()) {
      // Of the init containers only sidecars serve.
      if (list[0] == 'i' && container["restartPolicy"].as_string() != "Always") continue;
      for (auto& port : container["ports"].items())
        if (port["name"] == target && port["protocol"].string_or("TCP") == protocol) return static_cast<uint16_t>(port["containerPort"].as_int());
    }
  }
  return 0;
}

EndpointsController::EndpointsController(io::Loop& loop, store::Store& store, api::Client& client)
    : store_(store), client_(client), queue_(loop, "endpointslice-controller", [this](const ObjectName& n) { return reconcile(n); }) {
  services_ = std::make_unique<Watch>(store, "services", [this](const store::Event& e) { queue_.enqueue({e.key.ns, e.key.name}); });
  pods_ = std::make_unique<Watch>(store, "pods", [this](const store::Event& e) {
    for (auto& service : store_.list("services", e.key.ns))
      if (selects(*service, *e.object) || (e.previous && selects(*service, *e.previous))) queue_.enqueue(name_of(*service));
  });
  endpoints_ = std::make_unique<Watch>(store, "endpoints", [this](const store::Event& e) { queue_.enqueue({e.key.ns, e.key.name}); });
  slices_ = std::make_unique<Watch>(store, kSlices, [this](const store::Event& e) {
    const std::string& service = (*e.object)["metadata"]["labels"][kServiceName].as_string();
    if (e.type == store::EventType::kDeleted && !service.empty()) queue_.enqueue({e.key.ns, service});
  });
}

Status EndpointsController::reconcile(const ObjectName& name) {
  auto found = store_.get({"services", name.ns, name.name});
  if (!found) {
    // The slices go with their owner; Endpoints have none.
    if (auto endpoints = store_.get({"endpoints", name.ns, name.name}); endpoints) (void)client_.remove({"endpoints", name.ns, name.name});
    return {};
  }
  const Value& service = **found;
  if (being_deleted(service)) return {};
  if (service["spec"]["type"].as_string() == "ExternalName") return {};
  if (service["spec"]["selector"].empty()) return mirror(service);

  std::vector<ObjectPtr> pods;
  for (auto& pod : store_.list("pods", name.ns))
    if (selects(service, *pod) && addressable(*pod)) pods.push_back(pod);
  std::vector<Group> groups;
  for (auto& pod : pods) {
    Value ports = Value::array();
    for (auto& port : service["spec"]["ports"].items())
      if (uint16_t number = target_port(port, *pod)) ports.push(slice_port(port, number));
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.ports == ports && g.endpoints.size() < kMaxPerSlice; });
    if (group == groups.end()) {
      groups.push_back({std::move(ports), {}});
      group = groups.end() - 1;
    }
    group->endpoints.push_back(slice_endpoint(service, *pod));
  }
  if (groups.empty()) groups.push_back({});  // one slice without endpoints says that somebody looked
  if (auto ok = write_slices(service, groups, kSliceManager); !ok) return ok;
  return write_endpoints(service, pods);
}

Status EndpointsController::write_slices(const Value& service, const std::vector<Group>& groups, std::string_view manager) {
  const ObjectName name = name_of(service);
  Value labels = service["metadata"]["labels"].is_object() ? service["metadata"]["labels"] : Value::object();
  labels.set(kServiceName, name.name).set(kManagedBy, manager);
  if (headless(service)) labels.set(kHeadless, "");

  std::vector<ObjectPtr> existing;
  for (auto& slice : store_.list(kSlices, name.ns)) {
    const Value& have = (*slice)["metadata"]["labels"];
    if (have[kServiceName].as_string() == name.name && (have[kManagedBy].as_string() == kSliceManager || have[kManagedBy].as_string() == kMirrorManager) && !being_deleted(*slice))
      existing.push_back(slice);
  }
  for (auto& group : groups) {
    // The slice with the same ports is taken over, else any that is left.
    auto slice = std::find_if(existing.begin(), existing.end(), [&](const ObjectPtr& s) { return (*s)["ports"] == group.ports; });
    if (slice == existing.end() && existing.size() > 0 && groups.size() == 1) slice = existing.begin();
    Value endpoints = Value::array();
    for (auto& e : group.endpoints) endpoints.push(e);
    if (slice != existing.end()) {
      const Value& have = **slice;
      bool same = have["endpoints"] == endpoints && have["ports"] == group.ports && have["metadata"]["labels"] == labels;
      if (!same) {
        Value update = have;
        update.set("endpoints", std::move(endpoints)).set("ports", group.ports);
        update["metadata"].set("labels", labels);
        update["metadata"].erase("resourceVersion");
        auto written = client_.update(std::move(update));
        if (!written) return std::unexpected(written.error());
      }
      existing.erase(slice);
      continue;
    }
    auto created = client_.create_now(Value::object(
        {{"apiVersion", "discovery.k8s.io/v1"},
         {"kind", "EndpointSlice"},
         {"metadata", Value::object({{"generateName", name.name + "-"}, {"namespace", name.ns}, {"labels", labels},
                                     {"ownerReferences", Value::array({controller_reference(service)})}})},
         {"addressType", "IPv4"},
         {"endpoints", std::move(endpoints)},
         {"ports", group.ports}}));
    if (!created) return std::unexpected(created.error());
  }
  for (auto& slice : existing) {
    auto old = name_of(*slice);
    auto gone = client_.remove({kSlices, old.ns, old.name});
    if (!gone && gone.error().code != base::Code::kNotFound) return std::unexpected(gone.error());
  }
  return {};
}

Status EndpointsController::write_endpoints(const Value& service, const std::vector<ObjectPtr>& pods) {
  const ObjectName name = name_of(service);
  bool publish = service["spec"]["publishNotReadyAddresses"].as_bool();
  struct Subset {
    Value ports = Value::array(), ready = Value::array(), not_ready = Value::array();
  };
  std::vector<Subset> subsets;
  for (auto& pod : pods) {
    if (being_deleted(*pod) && !publish) continue;
    Value ports = Value::array();
    for (auto& port : service["spec"]["ports"].items())
      if (uint16_t number = target_port(port, *pod)) {
        Value p = slice_port(port, number);
        if (port["name"].as_string().empty()) p.erase("name");
        ports.push(std::move(p));
      }
    if (ports.empty() && !service["spec"]["ports"].empty()) continue;
    auto subset = std::find_if(subsets.begin(), subsets.end(), [&](const Subset& s) { return s.ports == ports; });
    if (subset == subsets.end()) {
      subsets.push_back({std::move(ports), Value::array(), Value::array()});
      subset = subsets.end() - 1;
    }
    Value address = Value::object({{"ip", (*pod)["status"]["podIP"]}, {"nodeName", (*pod)["spec"]["nodeName"]}, {"targetRef", pod_reference(*pod)}});
    if (!(*pod)["spec"]["hostname"].as_string().empty() && (*pod)["spec"]["subdomain"].as_string() == name.name) address.set("hostname", (*pod)["spec"]["hostname"]);
    (publish || pod_ready(*pod) ? subset->ready : subset->not_ready).push(std::move(address));
  }
  Value list = Value::array();
  for (auto& s : subsets) {
    Value subset = Value::object();
    if (!s.ready.empty()) subset.set("addresses", std::move(s.ready));
    if (!s.not_ready.empty()) subset.set("notReadyAddresses", std::move(s.not_ready));
    if (!s.ports.empty()) subset.set("ports", std::move(s.ports));
    list.push(std::move(subset));
  }
  Value labels = service["metadata"]["labels"].is_object() ? service["metadata"]["labels"] : Value::object();
  labels.set("endpoints.kubernetes.io/managed-by", "endpoint-controller");
  if (headless(service)) labels.set(kHeadless, "");
  auto have = store_.get({"endpoints", name.ns, name.name});
  if (!have) {
    Value object = Value::object({{"apiVersion", "v1"}, {"kind", "Endpoints"}, {"metadata", Value::object({{"name", name.name}, {"namespace", name.ns}, {"labels", std::move(labels)}})}});
    if (!list.empty()) object.set("subsets", std::move(list));
    auto created = client_.create_now(std::move(object));
    if (!created && created.error().code != base::Code::kAlreadyExists) return std::unexpected(created.error());
    return {};
  }
  const Value& before = **have;
  bool same_subsets = before["subsets"] == list || (before["subsets"].empty() && list.empty());
  if (same_subsets && before["metadata"]["labels"] == labels) return {};
  Value update = before;
  if (list.empty())
    update.erase("subsets");
  else
    update.set("subsets", std::move(list));
  update["metadata"].set("labels", std::move(labels));
  update["metadata"].erase("resourceVersion");
  auto written = client_.update(std::move(update));
  if (!written) return std::unexpected(written.error());
  return {};
}

Status EndpointsController::mirror(const Value& service) {
  const ObjectName name = name_of(service);
  auto endpoints = store_.get({"endpoints", name.ns, name.name});
  std::vector<Group> groups;
  if (endpoints && (**endpoints)["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"].as_string() != "true") {
    for (auto& subset : (**endpoints)["subsets"].items()) {
      Group group;
      for (auto& port : subset["ports"].items()) group.ports.push(slice_port(port, static_cast<uint16_t>(port["port"].as_int())));
      for (const char* list : {"addresses", "notReadyAddresses"}) {
        for (auto& address : subset[list].items()) {
          Value endpoint = Value::object({{"addresses", Value::array({address["ip"]})}, {"conditions", Value::object({{"ready", list[0] == 'a'}})}});
          for (const char* field : {"hostname", "nodeName", "targetRef"})
            if (address.contains(field)) endpoint.set(field, address[field]);
          group.endpoints.push_back(std::move(endpoint));
        }
      }
      groups.push_back(std::move(group));
    }
  } else if (endpoints) {
    return {};
  }
  return write_slices(service, groups, kMirrorManager);
}

}  // namespace fairlead::node
