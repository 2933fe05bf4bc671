// Action: one httpGet, tcpSocket, grpc or exec against a container, from inside the pod's network: what probes and lifecycle
// hooks do. Loop thread only. Owner: whoever started it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "io/fd.h"
#include "io/loop.h"

namespace fairlead::node {

// The container that actions go to.
class ActionTarget {
 public:
  virtual std::string pod_ip() const = 0;
  virtual uint16_t named_port(const std::string& name) const = 0;  // 0: unknown
  virtual void dial(const std::string& ip, uint16_t port, std::function<void(base::Result<io::Fd>)> done) = 0;
  // Runs to its end; `output` has the beginning of what it printed. Exit code other than 0 is for the caller to judge.
  struct ExecResult {
    int exit_code = 0;
    std::string output;
  };
  virtual void exec(const std::vector<std::string>& command, std::function<void(base::Result<ExecResult>)> done) = 0;

 protected:
  ~ActionTarget() = default;
};

// Destroying it gives up without a word.
class Action {
 public:
  virtual ~Action() = default;
};

// `spec` has one of httpGet, tcpSocket, exec, grpc, sleep. `done` runs once, never inside this call; the error's message is what
// Kubernetes' events say ("HTTP probe failed with statuscode: 503").
std::unique_ptr<Action> run_action(io::Loop& loop, ActionTarget& target, const base::Value& spec, base::Nanos timeout,
                                   std::function<void(base::Status)> done);

}  // namespace fairlead::node
