// Container: one container of a pod through its lives: image, environment, start, hooks, probes, end, back-off.
//
//              start()            started            exit
//   kWaiting ----------> kStarting -------> kRunning -------> kExited ---> (policy says again) kBackOff
//      ^  |                  |                 | stop()          ^             |
//      |  +-- retry timer    | failed          v                 |             | timer
//      +---------------------+             kStopping ------------+         kStarting
//
// kWaiting covers "not its turn yet", and waiting for an image or a ConfigMap (then with a reason).
// Loop thread only. Owner: PodWorker.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/value.h"
#include "io/loop.h"
#include "node/controllers/events.h"
#include "node/kubelet/action.h"
#include "node/kubelet/back_off.h"
#include "node/kubelet/probe.h"
#include "node/runtime.h"

namespace fairlead::node {

enum class ContainerState : unsigned char { kWaiting, kStarting, kRunning, kStopping, kExited, kBackOff };
std::string_view to_string(ContainerState state);

enum class ContainerRole : unsigned char {
  kInit,     // runs to its end before the next begins
  kSidecar,  // init container with restartPolicy Always: started in order, kept running
  kMain,
};

class Container;

// What a container needs of its pod.
class ContainerHost {
 public:
  virtual io::Loop& loop() = 0;
  virtual Runtime& runtime() = 0;
  virtual Sandbox* sandbox() = 0;                     // nullptr when there is none (any more)
  virtual const base::Value& pod() const = 0;
  virtual std::string pod_ip() const = 0;
  virtual bool terminating() const = 0;               // nothing is started again
  virtual BackOffLimits back_off() const = 0;
  // Environment, mounts, log file. NotFound: something that may still come is missing.
  virtual base::Result<ContainerSpec> spec_of(const Container& container) = 0;
  virtual std::string termination_message(const Container& container) = 0;  // what it left behind, at most 4 KiB
  virtual void container_changed(Container& container) = 0;   // state, started or ready
  virtual void event(EventLevel level, std::string_view reason, std::string_view message, const Container& container) = 0;

 protected:
  ~ContainerHost() = default;
};

class Container final : ActionTarget {
 public:
  // A container without a readinessProbe that declares a TCP port becomes ready when the port takes its first
  // connection, so that READY means that it answers; after this time it does so anyway, since a declared port is no
  // promise to listen. Kubernetes would say Ready at once: here it only comes when it is true, or a moment later.
  static constexpr std::chrono::seconds kPortPatience{5};

  Container(ContainerHost& host, const base::Value& spec, ContainerRole role);
  ~Container();

  void start();                       // kWaiting or kExited: now
  void retry();                       // something it may have waited for has changed
  // preStop, SIGTERM, and SIGKILL when `grace` is over. kWaiting and kBackOff end at once.
  void stop(base::Nanos grace, std::string_view message);
  void shorten_grace(base::Nanos grace);
  // The pod's container has another image now (the one thing of it that may change): it is restarted with it.
  void change_image(const std::string& image);
  // The sandbox is gone, and the process with it.
  void lost();

  const std::string& name() const { return name_; }
  const base::Value& spec() const { return spec_; }
  ContainerRole role() const { return role_; }
  ContainerState state() const { return state_; }
  bool up() const { return state_ == ContainerState::kRunning || state_ == ContainerState::kStopping; }
  bool started() const { return started_; }      // its startup probe, if any, has succeeded
  bool launched() const { return launched_; }    // running and its postStart hook is over: the next may start
  bool ready() const { return ready_; }
  bool succeeded() const { return state_ == ContainerState::kExited && exit_ && exit_->code == 0; }
  bool over() const { return state_ == ContainerState::kExited && !will_restart(); }
  bool ever_ran() const { return exit_.has_value() || up() || restarts_ > 0; }
  const std::optional<Exit>& last_exit() const { return exit_; }
  int64_t restarts() const { return restarts_; }
  int64_t log_life() const { return log_life_; }   // number of the log file of the newest life
  const std::string& waiting_reason() const { return waiting_reason_; }

  // An entry of status.containerStatuses. `waiting` is the reason for kWaiting without one of its own.
  base::Value status(std::string_view waiting_reason) const;
  // Restores the restart count after a restart of the node: what ran is counted as ended with it.
  void resume(const base::Value& old_status);

 private:
  void enter(ContainerState state);
  void launch();
  void on_started(base::Result<int> pid, uint64_t life);
  void on_exit(Exit exit, uint64_t life);
  void end(Exit exit, std::string reason, std::string message);
  void wait_and_retry(std::string reason, std::string message, base::Nanos delay);
  void begin_probes();
  void begin_steady_probes();
  void wait_for_port();
  void stop_probes();
  void make_probe(ProbeKind kind, const char* field);
  void probe_verdict(ProbeKind kind, bool healthy);
  void send_term();
  bool will_restart() const;
  base::Value terminated_state() const;
  std::string container_id() const;

  // ActionTarget
  std::string pod_ip() const override { return host_.pod_ip(); }
  uint16_t named_port(const std::string& name) const override;
  void dial(const std::string& ip, uint16_t port, std::function<void(base::Result<io::Fd>)> done) override;
  void exec(const std::vector<std::string>& command, std::function<void(base::Result<ExecResult>)> done) override;

  ContainerHost& host_;
  base::Value spec_;                   // changed by change_image() alone
  const std::string name_;
  const ContainerRole role_;
  ContainerState state_ = ContainerState::kWaiting;
  bool asked_ = false;                 // start() was called and no process is there yet
  bool announced_ = false;             // "Pulling" was told for the image
  bool started_ = false, launched_ = false, ready_ = false;
  bool post_start_failed_ = false;
  std::string waiting_reason_, waiting_message_;
  std::string end_reason_, end_message_;
  std::string config_error_;           // told already
  std::optional<Exit> exit_;           // of the newest life that ended
  base::Value last_state_;             // terminated state of the life before the present one
  int64_t restarts_ = 0;
  int64_t log_life_ = 0;
  uint64_t life_ = 0;                  // counts starts: late callbacks of an older life are dropped
  std::string started_at_, finished_at_;
  base::TimePoint started_time_{};
  BackOff back_off_, pull_back_off_;
  std::unique_ptr<Prober> startup_, liveness_, readiness_;
  std::unique_ptr<Action> hook_;
  io::Timer retry_timer_, kill_timer_, port_timer_;
  std::shared_ptr<bool> alive_;
};

}  // namespace fairlead::node
