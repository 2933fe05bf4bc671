// What `kubectl get` and `kubectl describe` see of a pod: phase, conditions, container statuses.
#include <fmt/format.h>

#include "base/strings.h"
#include "node/controllers/reconciler.h"
#include "node/kubelet/pod_worker.h"

namespace fairlead::node {

using base::Value;

// Kubernetes' getPhase, with what this node knows.
std::string PodWorker::phase() const {
  if (pod_finished(*pod_) && mains_.empty() == false && !mains_[0]->ever_ran()) return (*pod_)["status"]["phase"].as_string();
  if (state_ == PodState::kStopped && !deleting_) {
    bool bad = failed_;
    for (auto& c : mains_) bad = bad || !c->succeeded();
    return bad ? "Failed" : "Succeeded";
  }
  if (state_ < PodState::kRunning) return "Pending";
  bool any_ran = false, any_waiting = false;
  for (auto& c : mains_) {
    any_ran = any_ran || c->ever_ran();
    any_waiting = any_waiting || !c->ever_ran();
  }
  return any_ran && !any_waiting ? "Running" : "Pending";
}

Value PodWorker::build_status() const {
  const Value& before = (*pod_)["status"];
  if (pod_finished(*pod_) && state_ == PodState::kStopped) return before;
  const std::string now = now_rfc3339();
  Value status = Value::object();
  std::string phase_now = phase();
  status.set("phase", phase_now);

  std::vector<std::string> uninitialized, unready;
  bool initialized = true;
  for (auto& c : inits_) {
    bool done = c->role() == ContainerRole::kInit ? c->succeeded() : c->started();
    if (!done && state_ < PodState::kRunning) {
      initialized = false;
      uninitialized.push_back(c->name());
    }
    if (c->role() == ContainerRole::kSidecar && !c->ready()) unready.push_back(c->name());
  }
  for (auto& c : mains_)
    if (!c->ready()) unready.push_back(c->name());
  const bool finished = phase_now == "Succeeded" || phase_now == "Failed";

  Value conditions = Value::array();
  auto add = [&](const char* type, bool on, std::string reason = "", std::string message = "") {
    Value list = Value::array();
    if (const Value* old = condition(*pod_, type)) list.push(*old);
    Value c = Value::object({{"type", type}, {"status", on ? "True" : "False"}, {"lastProbeTime", nullptr}});
    if (!reason.empty()) c.set("reason", reason);
    if (!message.empty()) c.set("message", message);
    set_condition(list, std::move(c), now);
    conditions.push(list.items()[0]);
  };
  add("PodReadyToStartContainers", sandbox_ != nullptr);
  if (initialized)
    add("Initialized", true, finished ? "PodCompleted" : "");
  else
    add("Initialized", false, "ContainersNotInitialized", fmt::format("containers with incomplete status: [{}]", base::join(uninitialized, " ")));
  bool containers_ready = unready.empty() && !finished && state_ == PodState::kRunning;
  if (state_ == PodState::kStopping && unready.empty()) containers_ready = true;
  std::string reason = finished ? "PodCompleted" : "ContainersNotReady";
  std::string message = finished ? "" : fmt::format("containers with unready status: [{}]", base::join(unready, " "));
  if (!containers_ready) {
    add("Ready", false, reason, message);
    add("ContainersReady", false, reason, message);
  } else {
    std::vector<std::string> missing;
    for (auto& gate : (*pod_)["spec"]["readinessGates"].items()) {
      const std::string& type = gate["conditionType"].as_string();
      const Value* c = condition(*pod_, type);
      if (!c)
        missing.push_back(fmt::format("corresponding condition of pod readiness gate \"{}\" does not exist.", type));
      else if ((*c)["status"].as_string() != "True")
        missing.push_back(fmt::format("the status of pod readiness gate \"{}\" is not \"True\", but {}", type, (*c)["status"].as_string()));
    }
    if (missing.empty())
      add("Ready", true);
    else
      add("Ready", false, "ReadinessGatesNotReady", base::join(missing, ", "));
    add("ContainersReady", true);
  }
  add("PodScheduled", true);
  // Conditions of others (readiness gates) stay.
  for (auto& c : before["conditions"].items()) {
    bool ours = false;
    for (const char* type : {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}) ours = ours || c["type"].as_string() == type;
    if (!ours) conditions.push(c);
  }
  status.set("conditions", std::move(conditions));

  status.set("hostIP", parts_.options.host_ip);
  status.set("hostIPs", Value::array({Value::object({{"ip", parts_.options.host_ip}})}));
  // The address is told when it answers: with the network.
  if (!ip_.empty() && (sandbox_ || !before["podIP"].as_string().empty())) {
    status.set("podIP", ip_);
    status.set("podIPs", Value::array({Value::object({{"ip", ip_}})}));
  }
  if (!start_time_.empty()) status.set("startTime", start_time_);
  const char* waiting = inits_.empty() || state_ >= PodState::kRunning ? "ContainerCreating" : "PodInitializing";
  if (!inits_.empty()) {
    Value list = Value::array();
    for (auto& c : inits_) list.push(c->status("PodInitializing"));
    status.set("initContainerStatuses", std::move(list));
  }
  Value list = Value::array();
  for (auto& c : mains_) list.push(c->status(waiting));
  status.set("containerStatuses", std::move(list));
  if (before.contains("qosClass")) status.set("qosClass", before["qosClass"]);
  if (failed_ && finished && (*pod_)["spec"]["activeDeadlineSeconds"].is_int() && mains_[0]->ever_ran() == false) status.set("reason", "DeadlineExceeded");
  return status;
}

}  // namespace fairlead::node
