// Istio's agent: who a sidecar or gateway is (node id, metadata), as pilot-agent tells istiod. Pure functions over the
// environment and the downward API's files, so that they can be tested.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/value.h"
#include "xds/client.h"

namespace fairlead::proxy {

struct AgentOptions {
  std::string role = "sidecar";                // or "router"
  std::string domain;                          // --domain; default <namespace>.svc.cluster.local
  std::string ip;                              // INSTANCE_IP
  std::string proxy_config;                    // PROXY_CONFIG, YAML
  std::string labels, annotations;             // contents of /etc/istio/pod/{labels,annotations}
  std::function<std::string(const char*)> environment;  // "" when unset
  bool secure = false;                         // istiod's root and a token are mounted
};

struct AgentIdentity {
  xds::NodeIdentity node;
  std::string discovery_host;
  uint16_t discovery_port = 15010;
  unsigned concurrency = 2;
  bool secure = false;                         // discovery and CA by TLS
  std::string ca_host, trust_domain, spiffe_id;
  uint16_t ca_port = 15012;
  std::chrono::seconds secret_ttl{24 * 3600};
  double secret_grace = 0.5;
  base::Nanos drain_time = std::chrono::seconds(5);
};

base::Result<AgentIdentity> make_identity(const AgentOptions& options);
// The downward API's format: key="escaped value" on each line.
base::Value parse_downward(std::string_view text);

}  // namespace fairlead::proxy
