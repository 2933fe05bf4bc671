// Model: what the control plane knows about services and workloads, whatever they came from.
//
// Immutable once in a Snapshot; any thread. Source of names and meanings: Istio's pilot/pkg/model.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "base/value.h"

namespace fairlead::control {

using Labels = std::map<std::string, std::string>;
Labels labels_of(const base::Value& map);
bool subset_of(const Labels& part, const Labels& whole);  // {} is a subset of everything

enum class Protocol : unsigned char {
  kAuto,  // not declared: sniffed
  kTcp, kUdp, kHttp, kHttp2, kGrpc, kGrpcWeb, kHttps, kTls, kMongo, kRedis, kMysql, kHttpProxy,
};
Protocol parse_protocol(std::string_view name);  // Istio's names, any case; kAuto when unknown
// Kubernetes: appProtocol, else the port name up to its first '-', else a well-known port.
Protocol kubernetes_protocol(int port, std::string_view name, std::string_view transport, std::string_view app_protocol);
bool is_http(Protocol p);
bool is_http2(Protocol p);  // HTTP/2 all the way to the endpoint
bool is_tcp(Protocol p);    // opaque, TLS included
inline bool is_http_or_sniffed(Protocol p) { return is_http(p) || p == Protocol::kAuto; }

struct Port {
  int number = 0;
  std::string name;
  Protocol protocol = Protocol::kAuto;
  std::string target;  // Kubernetes: targetPort, a number or a container port's name; ServiceEntry: targetPort
};

enum class Resolution : unsigned char {
  kEds,            // endpoints are known to the control plane
  kDns,            // STRICT_DNS: the proxy resolves
  kDnsRoundRobin,  // LOGICAL_DNS
  kPassthrough,    // headless, or ServiceEntry NONE: to the original destination
  kAlias,          // ExternalName
};

// Who may see a resource: "*", ".", names of namespaces; empty is the mesh's default, everyone.
using ExportTo = std::vector<std::string>;
bool visible(const ExportTo& to, std::string_view owner_ns, std::string_view viewer_ns);

struct Service {
  std::string host, ns, name;
  bool kubernetes = true;
  std::vector<std::string> addresses;  // cluster IPs, or a ServiceEntry's addresses (CIDRs too); empty: none of its own
  std::vector<Port> ports;
  Resolution resolution = Resolution::kEds;
  bool mesh_external = false;
  bool headless = false;
  std::string external_name;           // kAlias
  std::vector<std::string> aliases;    // hosts of ExternalName services that stand for this one
  Labels selector;                     // empty: no workloads of its own
  Labels labels;
  ExportTo export_to;
  std::string created;

  const Port* port(int number) const;
  const std::string& address() const;  // the first one, "0.0.0.0" when there is none
};
using ServicePtr = std::shared_ptr<const Service>;

struct Endpoint {
  std::string address;  // IP, host name (DNS) or Unix path
  int port = 0;
  Labels labels;
  unsigned weight = 0;  // 0: not given
  bool ready = true;
  std::string locality;  // region/zone/subzone
};
// Of one service: port number of the service -> endpoints.
using EndpointsByPort = std::map<int, std::vector<Endpoint>>;
using EndpointsPtr = std::shared_ptr<const EndpointsByPort>;

struct Pod {
  std::string ns, name, ip;
  Labels labels;
  std::map<std::string, int> ports;  // container ports by name
  std::string service_account, node;
  bool operator==(const Pod&) const = default;
};
using PodPtr = std::shared_ptr<const Pod>;

// An Istio resource, short names and gateway references made whole.
struct Config {
  std::string kind, ns, name, created, version;
  base::Value spec;
  ExportTo export_to;
  std::vector<std::string> hosts;     // VirtualService hosts, DestinationRule host
  std::vector<std::string> gateways;  // VirtualService: "mesh", "ns/name"
  Labels selector;                    // Gateway, Sidecar, DestinationRule: which workloads
};
using ConfigPtr = std::shared_ptr<const Config>;

// A certificate for gateways: kubernetes.io/tls, or Istio's generic form (cert, key, cacert).
struct Credential {
  std::string certificate_pem, key_pem, ca_pem, crl_pem;
  bool operator==(const Credential&) const = default;
};

struct MeshConfig {
  bool registry_only = false;
  std::string access_log_file, access_log_format;
  bool access_log_json = false;
  std::string root_namespace = "istio-system";
  std::string domain = "cluster.local";
  base::Nanos connect_timeout = std::chrono::seconds(10);
  base::Nanos protocol_detection_timeout{0};
  bool auto_mtls = true;      // enableAutoMtls
  std::vector<std::string> trust_domains{"cluster.local"};  // trustDomain, then its aliases
  base::Value default_retry;  // HTTPRetry; null: Istio's own default
  base::Value raw;            // the whole document
};

}  // namespace fairlead::control
