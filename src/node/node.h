// Node: the process in which the machine inside the machine lives: API server, controllers, kubelet, DNS, service
// rules and relays, all on one loop.
//
// `fairlead up` starts the host agent; the agent makes the node's namespaces and calls run_node inside them (PID 1 of
// its own PID namespace, in the node's user, mount and network namespaces, all capabilities inside).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/fd.h"
#include "io/loop.h"
#include "node/runtime.h"
#include "node/service_table.h"

namespace fairlead::node {

// Where things are inside the node; docs/plan.md has the table.
inline constexpr const char* kNodeName = "fairlead";
inline constexpr const char* kNodeIp = "10.244.0.1";
inline constexpr const char* kApiServiceIp = "10.96.0.1";
inline constexpr const char* kDnsServiceIp = "10.96.0.10";
inline constexpr const char* kHostIp = "127.0.0.1";       // status.hostIP, ingress IP
inline constexpr const char* kClusterDomain = "cluster.local";

struct NodeConfig {
  std::string name = "fairlead";            // of the mesh
  std::string data_dir;                     // absolute; state.db, pki/, pods/, logs/ live in it
  std::string profile = "demo";             // "demo", "default", "minimal"
  bool rootful = false;                     // real root outside: more than one user id inside
  std::string executable;                   // path of the fairlead binary, valid inside the node's mount namespace
  io::Fd api_listener;                      // listening on the host's 127.0.0.1:api_port
  uint16_t api_port = 6443;
  uint16_t console_port = 0;                // --with console: on the host's 127.0.0.1 and on the node's address; 0: none
  io::Fd agent;                             // the node's end of the socket pair with the host agent
  io::Fd report;                            // pipe: one JSON object a line (Report below); may be invalid
  std::vector<std::pair<std::string, std::string>> outside;  // --outside HOST=SAMPLE
};

// What the node writes on NodeConfig::report, as {"event": ..., "message": ...}:
//   progress  a step is done; message is the line for the person
//   ready     everything of the profile is Ready; the pipe is closed after it
//   failed    message says what is wrong and what to do; the process ends with 1, unless the API server is up already
//             (then it goes on, so that kubectl can tell more)
// Events other than these are to be ignored by the reader.

// Sockets of the host's namespace, opened on request by the host agent (node/agent_client.h).
class HostSockets {
 public:
  virtual ~HostSockets() = default;
  // A non-blocking listening TCP socket on the host. Fails with a sentence when the address is taken.
  virtual void listen_tcp(const io::Address& at, std::function<void(base::Result<io::Fd>)> done) = 0;
};

// Where Services of type LoadBalancer are reached from the host.
class BalancerAddresses {
 public:
  virtual ~BalancerAddresses() = default;
  virtual const std::string& address_of(const std::string& ns, const std::string& name) const = 0;  // "" while there is none
  virtual const std::string& problem_of(const std::string& ns, const std::string& name) const = 0;  // why not; "" while it is looked for
  virtual void on_change(std::function<void(const std::string& ns, const std::string& name)> changed) = 0;
};

// Wants to know the Services and their endpoints: the service rules and DNS.
class ServiceSink {
 public:
  virtual ~ServiceSink() = default;
  // The newest table; called once per change of it (several changes in one round of the loop make one call).
  virtual void apply(std::shared_ptr<const ServiceTable> table) = 0;
};

// The kernel half of the node.
struct NodeParts {
  std::unique_ptr<HostSockets> host;
  std::unique_ptr<Runtime> runtime;
  std::vector<std::unique_ptr<ServiceSink>> service_sinks;
  BalancerAddresses* balancers = nullptr;  // one of the sinks
};
// Sets up the node's network (lo, addresses, outside relay, DNS socket ...) and makes its parts (node/parts.cc).
// May take what it needs out of `config` (agent).
base::Result<NodeParts> make_node_parts(io::Loop& loop, NodeConfig& config);

// Runs the node until SIGTERM (pods are stopped then, within a few seconds) or a fatal error. Returns the exit code.
int run_node(NodeConfig config);

// The certificates of a mesh, under <data_dir>/pki: made by the first caller, read by later ones.
//   ca.crt ca.key           signs the others; kubeconfig's certificate-authority, pods' ca.crt
//   server.crt server.key   the API server: 127.0.0.1, localhost, 10.96.0.1, kubernetes.default.svc...
//   admin.crt admin.key     the owner's client certificate (O=system:masters, CN=fairlead-admin)
//   sa.key                  signs service account tokens
struct Pki {
  std::string ca_certificate, ca_key;
  std::string server_certificate, server_key;
  std::string admin_certificate, admin_key;
  std::string service_account_key;
};
base::Result<Pki> ensure_pki(const std::string& data_dir);

}  // namespace fairlead::node
