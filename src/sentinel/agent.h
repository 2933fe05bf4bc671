// The agent that makes a program with a flow engine a client of Sentinel: answers the commands of dashboards over HTTP, tells them that
// it is there (heartbeats to /registry/machine), writes the metric log, and measures load and CPU for system rules. As
// sentinel-transport-simple-http 1.8.8 does.
//
//   flow::Engine engine;
//   sentinel::AgentOptions options = sentinel::AgentOptions::from_environment();
//   options.app = "orders";
//   options.dashboards = {"console:8080"};
//   sentinel::Agent agent(engine, options);
//
// It has one thread of its own. What goes wrong there is logged to standard error and tried again; the program never waits for it.
// Construct and destroy it where you like, from one thread; the engine must outlive it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "flow/engine.h"

namespace fairlead::sentinel {

// In brackets: Sentinel's property. from_environment() reads it from the variable of that name, from the one in upper case with
// underscores (CSP_SENTINEL_DASHBOARD_SERVER), or from the file that CSP_SENTINEL_CONFIG_FILE names (lines of name=value), in this order.
struct AgentOptions {
  std::string app;                       // [csp.sentinel.app.name, project.name]; empty: the name of the program's file
  int app_type = 0;                      // [csp.sentinel.app.type] 1: a gateway
  std::vector<std::string> dashboards;   // [csp.sentinel.dashboard.server] host:port, or http:// or https:// before it; empty: no heartbeats
  std::string dashboard_ca;              // [csp.sentinel.dashboard.ca] PEM file that https dashboards are checked against; empty: the system's
  std::string heartbeat_ip;              // [csp.sentinel.heartbeat.client.ip] where dashboards shall reach this; empty: its own address
  std::string heartbeat_path = "/registry/machine";         // [csp.sentinel.heartbeat.api.path]
  std::chrono::milliseconds heartbeat_interval{10'000};      // [csp.sentinel.heartbeat.interval.ms]

  // Commands. Whoever may reach them may read and change all rules: on machines that others can reach, name the interface or the peers.
  bool commands = true;
  std::string address;                   // [csp.sentinel.api.address] of the interface; empty: all, as Sentinel
  int port = 8719;                       // [csp.sentinel.api.port] or the next that is free; 0: any
  std::vector<std::string> peers;        // [csp.sentinel.api.peers] addresses that may ask; empty: all that reach the interface

  bool metric_log = true;                // false: dashboards are told the last minute, from memory
  std::string log_folder;                // [csp.sentinel.log.dir]; empty: ~/logs/csp
  bool log_name_has_pid = false;         // [csp.sentinel.log.use.pid]
  std::size_t log_file_bytes = 50 * 1024 * 1024;  // [csp.sentinel.metric.file.single.size]
  int log_files = 6;                     // [csp.sentinel.metric.file.total.count]

  // On the agent's thread, after a command has changed gateway rules or API definitions; for programs that have a flow::Gateway.
  std::function<void(const std::vector<flow::GatewayFlowRule>&, const std::vector<flow::ApiDefinition>&)> on_gateway = nullptr;

  // On the agent's thread, when a dashboard wants to set rules of a kind ("flow", "degrade", "authority", "system", "parameter flow",
  // "gateway", "gateway API definition"): why it may not and what to do instead; empty: it may.
  std::function<std::string(std::string_view kind)> refuse_rules = nullptr;

  // The defaults, changed by what is set outside. Values that can't be used are logged and left out.
  static AgentOptions from_environment();
};

class Agent {
 public:
  Agent(flow::Engine& engine, AgentOptions options);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  int port() const;                      // of the commands; 0: they are not served
  const std::string& problem() const;    // why not; empty if they are
  std::uint64_t heartbeats() const;      // that a dashboard has accepted

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace fairlead::sentinel
