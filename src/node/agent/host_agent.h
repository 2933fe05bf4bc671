// The host agent: the process of `fairlead up` that stays in the background, in the host's namespaces. It starts the
// node, opens sockets on the host for it, answers `fairlead status` and `fairlead down` on <data_dir>/control.sock, and ends with the
// node.
//
// What it holds: the mesh's lock (<data_dir>/lock, flock: gone with the process, so never stale).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "io/fd.h"

namespace fairlead::node {

struct AgentConfig {
  std::string name, data_dir, profile, executable;
  bool rootful = false;
  uint16_t api_port = 6443;
  uint16_t console_port = 0;  // 0: no console
  std::vector<std::pair<std::string, std::string>> outside;
};
base::Value to_value(const AgentConfig& config);
AgentConfig agent_config_from_value(const base::Value& v);

// Descriptors that `fairlead up` hands to the hidden `agent` command, by number.
inline constexpr int kAgentConfigFd = 3;   // AgentConfig as JSON
inline constexpr int kAgentLockFd = 4;
inline constexpr int kAgentNodeLockFd = 5; // held by the node: free again only when every process of it is gone
inline constexpr int kAgentApiFd = 6;      // listening on 127.0.0.1:api_port
inline constexpr int kAgentReportFd = 7;   // lines for `fairlead up`, as NodeConfig::report has them

// Body of the hidden `agent` command.
int run_host_agent();

// Asks the agent of a running mesh ("status", "down") and waits for its answer. Unavailable when none answers.
base::Result<base::Value> ask_agent(const std::string& data_dir, const std::string& op, int timeout_seconds);

// Body of the hidden `node` command: descriptors as the agent passes them.
int run_node_command();

}  // namespace fairlead::node
