// Traffic interception in a pod: what `pilot-agent istio-iptables` (the istio-init container) sets up.
//
// Source of flags and rules: Istio's tools/istio-iptables (chains ISTIO_INBOUND, ISTIO_REDIRECT, ISTIO_IN_REDIRECT,
// ISTIO_OUTPUT). One addition: connections with socket mark 1337 are the sidecar's too, because rootless there is
// only one user id inside, and the sidecar cannot be told from the application by it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace fairlead::node {

inline constexpr uint32_t kSidecarMark = 1337;
inline constexpr int64_t kSidecarUid = 1337;

struct InterceptionOptions {
  uint16_t outbound_port = 15001;                    // -p --envoy-port
  uint16_t inbound_port = 15006;                     // -z --inbound-capture-port
  uint16_t tunnel_port = 15008;                      // -e --inbound-tunnel-port
  std::vector<std::string> proxy_uids{"1337"};       // -u --proxy-uid
  std::vector<std::string> proxy_gids{"1337"};       // -g --proxy-gid; Istio's default is the uid
  std::string outbound_cidrs = "*";                  // -i --istio-service-cidr
  std::string excluded_cidrs;                        // -x --istio-service-exclude-cidr
  std::string inbound_ports;                         // -b --istio-inbound-ports ("*": all, "": none)
  std::string excluded_inbound_ports;                // -d --istio-local-exclude-ports
  std::string outbound_ports;                        // -q --istio-outbound-ports
  std::string excluded_outbound_ports;               // -o --istio-local-outbound-ports-exclude
  std::string excluded_interfaces;                   // -c --istio-exclude-interfaces
  bool dry_run = false;                              // -n --dry-run: print, change nothing
  bool cleanup_only = false;                         // --cleanup-only: remove what was set
  bool skip_apply = false;                           // --skip-rule-apply
};

// args: what follows "istio-iptables". Unknown flags, ports and networks that do not parse are errors.
base::Result<InterceptionOptions> parse_interception(const std::vector<std::string>& args);

// Input for iptables-restore --noflush. owner_match false leaves out the rules by user id: the kernel refuses ids that
// are not mapped in its user namespace.
std::string interception_rules(const InterceptionOptions& options, bool owner_match);
// Takes them out again; for a namespace that has them.
std::string interception_removal(const InterceptionOptions& options);

// `pilot-agent istio-iptables ARGS`: sets the rules in the current network namespace; setting them twice leaves them once.
// Returns the exit code; explains itself on stderr.
int run_istio_iptables(const std::vector<std::string>& args);

}  // namespace fairlead::node
