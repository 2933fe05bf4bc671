// ServiceTable: Services with their endpoints in the form that service rules, DNS and NodePort relays need.
//
// An immutable value, made from the store's Services, EndpointSlices and Endpoints; any thread may read it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::store {
class Store;
}

namespace fairlead::node {

struct ServiceEndpoint {
  std::string ip;
  uint16_t port = 0;
  std::string hostname;       // of a pod with spec.hostname and subdomain, for headless DNS; may be empty
  bool ready = true;          // receives traffic
  bool operator==(const ServiceEndpoint&) const = default;
};

struct ServicePort {
  std::string name;           // may be empty when there is one
  std::string protocol;       // "TCP", "UDP"
  uint16_t port = 0;
  uint16_t node_port = 0;     // 0: none
  std::vector<ServiceEndpoint> endpoints;  // by ip, port; all of them: look at `ready`
  bool operator==(const ServicePort&) const = default;
};

struct ServiceEntry {
  std::string ns, name;
  std::string type;           // "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
  std::string cluster_ip;     // "" when headless or ExternalName
  bool headless = false;
  std::string external_name;  // ExternalName
  bool publish_not_ready = false;
  bool client_ip_affinity = false;
  std::vector<std::string> external_ips;
  std::vector<std::string> balancer_ips;  // LoadBalancer: the one asked for, the one that it had
  std::vector<ServicePort> ports;
  // Headless with no ports still has addresses.
  std::vector<ServiceEndpoint> addresses;  // port 0; what DNS answers for a headless Service
  bool operator==(const ServiceEntry&) const = default;
};

struct ServiceTable {
  std::vector<ServiceEntry> services;      // by namespace, name
  bool operator==(const ServiceTable&) const = default;
};

std::shared_ptr<const ServiceTable> build_service_table(const store::Store& store);

}  // namespace fairlead::node
