// Snapshot: everything the generators read, at one moment. Immutable; any thread. Registry (control/registry.h) makes it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control/model.h"

namespace fairlead::control {

// The Service that is labelled flow.fairlead.dev/console=true, in the root namespace or kube-system: proxies of this project are clients of
// the console behind it.
struct FlowConsole {
  std::string address;             // host:port for heartbeats
  std::vector<std::string> peers;  // addresses that its commands come from
};

struct Snapshot {
  uint64_t version = 0;
  MeshConfig mesh;
  std::vector<ServicePtr> services;                                   // oldest first, then by name
  std::unordered_map<std::string, std::vector<ServicePtr>> by_host;   // one a namespace
  std::unordered_map<std::string, EndpointsPtr> endpoints;            // by "ns/host"
  std::unordered_map<std::string, std::vector<std::string>> accounts;  // by "ns/host": names that its endpoints' certificates may have
  std::unordered_map<std::string, PodPtr> pods_by_ip, pods_by_name;   // name: "ns/name"
  std::vector<ConfigPtr> virtual_services, gateways, sidecars;        // oldest first
  std::vector<ConfigPtr> peer_authentications;                        // oldest first
  std::vector<ConfigPtr> flow_rules;                                  // of group flow.fairlead.dev, all kinds; oldest first
  std::optional<FlowConsole> flow_console;
  std::unordered_map<std::string, std::vector<ConfigPtr>> destination_rules;  // by host (wildcards too)
  std::vector<std::string> wildcard_rules;                            // hosts of destination_rules with '*', longest first
  std::map<std::string, Labels> namespaces;
  std::map<std::string, std::shared_ptr<const Credential>> credentials;  // by "ns/name"

  const std::vector<Endpoint>& endpoints_of(const Service& service, int port) const;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// "*.example.com" covers "a.example.com" and "*.a.example.com"; "*" covers everything.
bool host_covers(std::string_view pattern, std::string_view host);
// Either covers the other.
bool hosts_overlap(std::string_view a, std::string_view b);

// Who asks: the node of an xDS request.
struct Proxy {
  bool router = false;  // a gateway
  std::string id;       // "reviews-v1-545db77b95-24lq4.default"
  std::string ip, ns, dns_domain;
  Labels labels;        // from node metadata; the pod's own are preferred
  base::Value metadata;
  std::string verified_ns;  // of the identity that it has shown; empty: none
};
// From "sidecar~10.1.2.3~pod.ns~ns.svc.cluster.local" and the node's metadata. InvalidArgument when it is not of that form.
base::Result<Proxy> parse_proxy(std::string_view node_id, base::Value metadata);

// Whether the workload that has shown the SPIFFE id `caller` may say that it is this proxy: its namespace and, when the proxy
// names one, its ServiceAccount. Sets verified_ns. Source: Istio's pilot/pkg/xds/auth.go (checkConnectionIdentity).
base::Status verify_proxy(Proxy& proxy, std::string_view caller);

// The pod behind a proxy, if it is known; its labels as the snapshot has them.
const Pod* pod_of(const Snapshot& snapshot, const Proxy& proxy);
const Labels& labels_of(const Snapshot& snapshot, const Proxy& proxy);

// What a proxy listens for on behalf of its workload: one service port each.
struct Target {
  ServicePtr service;
  const Port* port;
  int endpoint_port;
};
std::vector<Target> targets_of(const Snapshot& snapshot, const Proxy& proxy);

// The DestinationRules that apply to a service for this proxy, merged: trafficPolicy and all subsets.
struct Rule {
  const base::Value* policy = nullptr;      // nullptr: none
  std::vector<const base::Value*> subsets;
  ConfigPtr config;                         // the first of them; nullptr: none
};
Rule rule_of(const Snapshot& snapshot, const Proxy& proxy, std::string_view host, std::string_view service_ns);

}  // namespace fairlead::control
