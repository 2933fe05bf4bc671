// The agent's side of rewritten probes: /app-health/CONTAINER/readyz and others are asked of the application, from the
// address from which the sidecar calls it. Source: Istio's pilot/cmd/pilot-agent/status. Loop thread only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/value.h"
#include "http/server.h"
#include "io/loop.h"
#include "node/kubelet/action.h"

namespace fairlead::cli {

class AgentProbes final : node::ActionTarget {
 public:
  // probers: ISTIO_KUBE_APP_PROBERS; what is no such document is told in the log, and no probe is known.
  AgentProbes(io::Loop& loop, const std::string& probers, std::string pod_ip, int socket_mark);
  ~AgentProbes();

  // False: the path is none of a probe.
  bool serve(const std::string& path, const std::shared_ptr<http::Exchange>& exchange);

 private:
  std::string pod_ip() const override { return pod_ip_; }
  uint16_t named_port(const std::string&) const override { return 0; }
  void dial(const std::string& ip, uint16_t port, std::function<void(base::Result<io::Fd>)> done) override;
  void exec(const std::vector<std::string>& command, std::function<void(base::Result<ExecResult>)> done) override;

  io::Loop& loop_;
  base::Value probers_;
  std::string pod_ip_;
  int mark_;
  uint64_t next_ = 0;
  std::map<uint64_t, std::unique_ptr<node::Action>> running_;
};

}  // namespace fairlead::cli
