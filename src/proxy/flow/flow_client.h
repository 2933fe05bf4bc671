// Makes the engine of an app a client of Sentinel's dashboards: heartbeats, commands, and the rules that they set.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/loop.h"
#include "proxy/flow/flow_app.h"
#include "sentinel/agent.h"

namespace fairlead::proxy {

struct FlowDashboards {
  std::vector<std::string> addresses;  // host:port, http://... or https://...
  int port = 0;                        // of the commands; 0: 8719 or the next that is free
  std::string interface;               // they are served on; empty: 127.0.0.1 if all dashboards are on this host, else all
  std::vector<std::string> peers;      // that may send them; none: all
  bool gateway = false;
  bool metric_log = true;              // Sentinel's files; false: the last minute from memory

  bool operator==(const FlowDashboards&) const = default;
};

// For as long as it lives. Main thread; the loop is its.
class FlowClient {
 public:
  FlowClient(io::Loop& loop, FlowApp& app, const FlowDashboards& dashboards);
  ~FlowClient();

 private:
  void follow();

  FlowApp& app_;
  io::Timer timer_;
  std::optional<sentinel::Agent> agent_;
};

}  // namespace fairlead::proxy
