#include "node/service_table.h"

#include <algorithm>
#include <map>

#include "base/value.h"
#include "store/store.h"

namespace fairlead::node {
namespace {

using base::Value;

// The slices of a namespace's services, by "namespace/service".
std::map<std::string, std::vector<store::ObjectPtr>> slices_by_service(const store::Store& store) {
  std::map<std::string, std::vector<store::ObjectPtr>> out;
  for (auto& slice : store.list("endpointslices.discovery.k8s.io")) {
    const Value& meta = (*slice)["metadata"];
    const std::string& service = meta["labels"]["kubernetes.io/service-name"].as_string();
    if (!service.empty()) out[meta["namespace"].as_string() + "/" + service].push_back(slice);
  }
  return out;
}

ServiceEndpoint endpoint_of(const Value& endpoint, const Value& address, uint16_t port) {
  ServiceEndpoint e;
  e.ip = address.as_string();
  e.port = port;
  e.hostname = endpoint["hostname"].as_string();
  e.ready = endpoint["conditions"]["ready"].as_bool(true);  // absent means ready (discovery.k8s.io/v1)
  return e;
}

void sort_unique(std::vector<ServiceEndpoint>& list) {
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return std::tie(a.ip, a.port) < std::tie(b.ip, b.port); });
  list.erase(std::unique(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.ip == b.ip && a.port == b.port; }),
             list.end());
}

}  // namespace

std::shared_ptr<const ServiceTable> build_service_table(const store::Store& store) {
  auto table = std::make_shared<ServiceTable>();
  auto slices = slices_by_service(store);
  for (auto& object : store.list("services")) {
    const Value& meta = (*object)["metadata"];
    const Value& spec = (*object)["spec"];
    ServiceEntry s;
    s.ns = meta["namespace"].as_string();
    s.name = meta["name"].as_string();
    s.type = spec["type"].string_or("ClusterIP");
    if (s.type == "ExternalName") {
      s.external_name = spec["externalName"].as_string();
    } else {
      s.headless = spec["clusterIP"].as_string() == "None";
      if (!s.headless) s.cluster_ip = spec["clusterIP"].as_string();
    }
    s.publish_not_ready = spec["publishNotReadyAddresses"].as_bool();
    s.client_ip_affinity = spec["sessionAffinity"].as_string() == "ClientIP";
    for (auto& ip : spec["externalIPs"].items()) s.external_ips.push_back(ip.as_string());
    if (s.type == "LoadBalancer")
      for (const Value* ip : {&spec["loadBalancerIP"], &(*object)["status"]["loadBalancer"]["ingress"][0]["ip"]})
        if (!ip->as_string().empty()) s.balancer_ips.push_back(ip->as_string());
    for (auto& p : spec["ports"].items()) {
      ServicePort port;
      port.name = p["name"].as_string();
      port.protocol = p["protocol"].string_or("TCP");
      port.port = static_cast<uint16_t>(p["port"].as_int());
      port.node_port = static_cast<uint16_t>(p["nodePort"].as_int());
      s.ports.push_back(std::move(port));
    }
    if (auto it = slices.find(s.ns + "/" + s.name); it != slices.end()) {
      for (auto& slice : it->second) {
        for (auto& endpoint : (*slice)["endpoints"].items()) {
          for (auto& address : endpoint["addresses"].items()) {
            s.addresses.push_back(endpoint_of(endpoint, address, 0));
            for (auto& slice_port : (*slice)["ports"].items())
              for (auto& port : s.ports)
                if (port.name == slice_port["name"].as_string() && port.protocol == slice_port["protocol"].string_or("TCP"))
                  port.endpoints.push_back(endpoint_of(endpoint, address, static_cast<uint16_t>(slice_port["port"].as_int())));
          }
        }
      }
    }
    sort_unique(s.addresses);
    for (auto& port : s.ports) sort_unique(port.endpoints);
    table->services.push_back(std::move(s));
  }
  return table;
}

}  // namespace fairlead::node
