// Traffic interception in a pod: what `pilot-agent istio-iptables` (istio-init) sets up.
//
// Source of the rules: Istio's tools/istio-iptables (chains ISTIO_INBOUND, ISTIO_REDIRECT, ISTIO_IN_REDIRECT,
// ISTIO_OUTPUT). One addition: connections carrying socket mark 1337 leave unredirected, because rootless there is only one user id
// inside and the sidecar cannot be told from the application by uid.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::node {

struct InterceptionOptions {
  uint16_t outbound_port = 15001;                      // -p, --envoy-port
  uint16_t inbound_port = 15006;                       // -z, --inbound-capture-port
  std::vector<std::string> proxy_uids{"1337"};         // -u, --proxy-uid
  std::vector<std::string> proxy_gids{"1337"};         // -g, --proxy-gid
  std::string mode = "REDIRECT";                       // -m, --istio-inbound-interception-mode
  std::vector<std::string> outbound_cidrs{"*"};        // -i, --istio-service-cidr
  std::vector<std::string> excluded_cidrs;             // -x, --istio-service-exclude-cidr
  std::string inbound_ports = "*";                     // -b, --istio-inbound-ports ("" : none)
  std::vector<std::string> excluded_inbound_ports;     // -d, --istio-local-exclude-ports
  std::vector<std::string> outbound_ports;             // -q, --istio-outbound-ports
  std::vector<std::string> excluded_outbound_ports;    // -o, --istio-local-outbound-ports-exclude
  std::vector<std::string> excluded_interfaces;        // -c, --istio-exclude-interfaces
  bool dry_run = false;                                // -n: print only
  bool clean = false;                                  // remove our chains
};

base::Result<InterceptionOptions> parse_interception_options(std::span<const std::string_view> args);
// Text for iptables-restore --noflush. uid/gid owner rules are left out when `owner_match` is false.
std::string interception_rules(const InterceptionOptions& options, bool owner_match = true);

// `pilot-agent istio-iptables ARGS`: applies the rules in the current network namespace; returns the exit code.
int run_istio_iptables(std::span<const std::string_view> args);

}  // namespace fairlead::node
