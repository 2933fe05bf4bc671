#include "node/kubelet/container.h"

#include <csignal>

#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "io/tls.h"
#include "node/controllers/reconciler.h"
#include "node/kubelet/exec_run.h"

namespace fairlead::node {

using base::Code;
using base::Value;

namespace {
constexpr int kStartErrorCode = 128;
constexpr base::Nanos kConfigRetry = std::chrono::seconds(30);  // events of the missing object come first, as a rule

std::string pod_identity(const Value& pod) {
  const Value& meta = pod["metadata"];
  return fmt::format("{}_{}({})", meta["name"].as_string(), meta["namespace"].as_string(), meta["uid"].as_string());
}
}  // namespace

std::string_view to_string(ContainerState state) {
  switch (state) {
    case ContainerState::kWaiting: return "waiting";
    case ContainerState::kStarting: return "starting";
    case ContainerState::kRunning: return "running";
    case ContainerState::kStopping: return "stopping";
    case ContainerState::kExited: return "exited";
    case ContainerState::kBackOff: return "back-off";
  }
  return "";
}

Container::Container(ContainerHost& host, const Value& spec, ContainerRole role)
    : host_(host), spec_(spec), name_(spec["name"].as_string()), role_(role), back_off_(host.back_off()), pull_back_off_(host.back_off()),
      retry_timer_(host.loop(), [this] { launch(); }),
      kill_timer_(host.loop(), [this] {
        if (auto* sandbox = host_.sandbox()) sandbox->signal(name_, SIGKILL);
      }),
      port_timer_(host.loop(), [this] { probe_verdict(ProbeKind::kReadiness, true); }),
      alive_(std::make_shared<bool>(true)) {}

Container::~Container() { *alive_ = false; }

void Container::enter(ContainerState state) {
  FL_LOG_DEBUG("kubelet", "{} {}: {} -> {}", host_.pod()["metadata"]["name"].as_string(), name_, to_string(state_), to_string(state));
  state_ = state;
  host_.container_changed(*this);
}

void Container::start() {
  if (state_ != ContainerState::kWaiting && state_ != ContainerState::kExited) return;
  if (asked_) return;
  asked_ = true;
  launch();
}

void Container::retry() {
  if (state_ == ContainerState::kWaiting && asked_ && retry_timer_.armed()) launch();
}

void Container::wait_and_retry(std::string reason, std::string message, base::Nanos delay) {
  waiting_reason_ = std::move(reason);
  waiting_message_ = std::move(message);
  retry_timer_.arm(delay);
  enter(ContainerState::kWaiting);
}

void Container::launch() {
  retry_timer_.cancel();
  Sandbox* sandbox = host_.sandbox();
  if (!sandbox || host_.terminating()) return;
  const std::string& image = spec()["image"].as_string();
  if (auto found = host_.runtime().image(image); !found) {
    bool known = waiting_reason_ == "ErrImagePull" || waiting_reason_ == "ImagePullBackOff";
    if (!known || waiting_reason_ == "ImagePullBackOff") {
      // A try that fails: ErrImagePull for a moment, then the wait for the next one.
      host_.event(EventLevel::kNormal, "Pulling", fmt::format("Pulling image \"{}\"", image), *this);
      host_.event(EventLevel::kWarning, "Failed", fmt::format("Failed to pull image \"{}\": {}", image, found.error().message), *this);
      host_.event(EventLevel::kWarning, "Failed", "Error: ErrImagePull", *this);
      wait_and_retry("ErrImagePull", found.error().message, std::chrono::seconds(1));
      return;
    }
    auto delay = pull_back_off_.next_failure();
    host_.event(EventLevel::kNormal, "BackOff", fmt::format("Back-off pulling image \"{}\"", image), *this);
    host_.event(EventLevel::kWarning, "Failed", "Error: ImagePullBackOff", *this);
    wait_and_retry("ImagePullBackOff", fmt::format("Back-off pulling image \"{}\": ErrImagePull: {}", image, found.error().message), delay);
    return;
  }
  auto spec = host_.spec_of(*this);
  if (!spec) {
    if (config_error_ != spec.error().message) host_.event(EventLevel::kWarning, "Failed", "Error: " + spec.error().message, *this);
    config_error_ = spec.error().message;
    wait_and_retry("CreateContainerConfigError", spec.error().message, kConfigRetry);
    return;
  }
  config_error_.clear();
  if (!announced_) host_.event(EventLevel::kNormal, "Pulled", fmt::format("Container image \"{}\" already present on machine", image), *this);
  announced_ = true;
  pull_back_off_.reset();
  if (exit_) {
    last_state_ = terminated_state();
    ++restarts_;
  }
  uint64_t life = ++life_;
  log_life_ = restarts_;
  started_ = launched_ = ready_ = post_start_failed_ = false;
  waiting_reason_.clear();
  waiting_message_.clear();
  end_reason_.clear();
  end_message_.clear();
  asked_ = false;
  enter(ContainerState::kStarting);
  sandbox->start(
      *spec,
      [this, alive = alive_, life](base::Result<int> pid) {
        if (*alive) on_started(std::move(pid), life);
      },
      [this, alive = alive_, life](Exit exit) {
        if (*alive) on_exit(exit, life);
      });
}

void Container::on_started(base::Result<int> pid, uint64_t life) {
  if (life != life_) return;
  started_at_ = now_rfc3339();
  started_time_ = host_.loop().now();
  if (!pid) {
    host_.event(EventLevel::kWarning, "Failed", "Error: " + pid.error().message, *this);
    end({kStartErrorCode, 0, false}, "StartError", pid.error().message);
    return;
  }
  host_.event(EventLevel::kNormal, "Created", "Created container: " + name_, *this);
  host_.event(EventLevel::kNormal, "Started", "Started container " + name_, *this);
  exit_.reset();
  if (state_ == ContainerState::kStopping) {
    // Stopped while it was being started: the first signal may have come before there was anyone to take it.
    send_term();
    return host_.container_changed(*this);
  }
  const Value& hook = spec()["lifecycle"]["postStart"];
  state_ = ContainerState::kRunning;
  if (hook.empty()) {
    launched_ = true;
    begin_probes();
    host_.container_changed(*this);
    return;
  }
  begin_probes();
  host_.container_changed(*this);
  // Kubernetes gives the hook all the time it takes; the bound is there for hooks that never answer.
  hook_ = run_action(host_.loop(), *this, hook, std::chrono::minutes(5), [this, life](base::Status result) {
    host_.loop().dispose(std::move(hook_));
    if (life != life_ || state_ != ContainerState::kRunning) return;
    if (result) {
      launched_ = true;
      host_.container_changed(*this);
      return;
    }
    post_start_failed_ = true;
    host_.event(EventLevel::kWarning, "FailedPostStartHook", "PostStartHook failed: " + result.error().message, *this);
    stop(std::chrono::seconds(host_.pod()["spec"]["terminationGracePeriodSeconds"].as_int(30)), "FailedPostStartHook");
  });
}

void Container::on_exit(Exit exit, uint64_t life) {
  if (life != life_ || state_ == ContainerState::kExited || state_ == ContainerState::kBackOff) return;
  std::string reason = exit.oom_killed ? "OOMKilled" : exit.code == 0 ? "Completed" : "Error";
  end(exit, std::move(reason), "");
}

void Container::end(Exit exit, std::string reason, std::string message) {
  stop_probes();
  hook_.reset();
  kill_timer_.cancel();
  exit_ = exit;
  end_reason_ = std::move(reason);
  end_message_ = message.empty() ? host_.termination_message(*this) : std::move(message);
  finished_at_ = now_rfc3339();
  started_ = launched_ = ready_ = false;
  asked_ = false;
  if (!will_restart()) return enter(ContainerState::kExited);
  auto delay = back_off_.next(host_.loop().now() - started_time_);
  if (delay.count() == 0) {
    enter(ContainerState::kExited);
    // Not inside the report of its end: the pod may have decided otherwise by then.
    host_.loop().post([this, alive = alive_, life = life_] {
      if (*alive && life == life_ && state_ == ContainerState::kExited && will_restart()) launch();
    });
    return;
  }
  waiting_reason_ = "CrashLoopBackOff";
  waiting_message_ = fmt::format("back-off {} restarting failed container={} pod={}", base::format_duration(delay), name_, pod_identity(host_.pod()));
  host_.event(EventLevel::kWarning, "BackOff", fmt::format("Back-off restarting failed container {} in pod {}", name_, pod_identity(host_.pod())), *this);
  retry_timer_.arm(delay);
  enter(ContainerState::kBackOff);
}

bool Container::will_restart() const {
  if (host_.terminating() || !exit_) return false;
  if (role_ == ContainerRole::kSidecar) return true;
  const std::string& policy = host_.pod()["spec"]["restartPolicy"].as_string();
  if (role_ == ContainerRole::kInit) return exit_->code != 0 && policy != "Never";
  if (policy == "Never") return false;
  if (policy == "OnFailure") return exit_->code != 0;
  return true;
}

void Container::stop(base::Nanos grace, std::string_view message) {
  if (state_ == ContainerState::kWaiting || state_ == ContainerState::kBackOff) {
    retry_timer_.cancel();
    asked_ = false;
    if (state_ == ContainerState::kBackOff) enter(ContainerState::kExited);
    return;
  }
  if (state_ != ContainerState::kRunning && state_ != ContainerState::kStarting) return;
  if (!message.empty()) host_.event(EventLevel::kNormal, "Killing", message, *this);
  // Readiness goes on being probed while it stops, as in Kubernetes; nothing restarts it for being unhealthy.
  startup_.reset();
  liveness_.reset();
  bool was_running = state_ == ContainerState::kRunning;
  state_ = ContainerState::kStopping;
  kill_timer_.arm(grace);
  const Value& hook = spec()["lifecycle"]["preStop"];
  if (!was_running || hook.empty() || grace.count() == 0) {
    send_term();
  } else {
    uint64_t life = life_;
    hook_ = run_action(host_.loop(), *this, hook, grace, [this, life](base::Status result) {
      host_.loop().dispose(std::move(hook_));
      if (life != life_ || state_ != ContainerState::kStopping) return;
      if (!result) host_.event(EventLevel::kWarning, "FailedPreStopHook", "PreStopHook failed", *this);
      send_term();
    });
  }
  host_.container_changed(*this);
}

void Container::shorten_grace(base::Nanos grace) {
  if (state_ == ContainerState::kStopping) kill_timer_.arm(grace);
}

void Container::change_image(const std::string& image) {
  if (spec()["image"].as_string() == image) return;
  spec_.set("image", image);
  announced_ = false;
  pull_back_off_.reset();
  if (state_ == ContainerState::kRunning)
    stop(std::chrono::seconds(host_.pod()["spec"]["terminationGracePeriodSeconds"].as_int(30)), fmt::format("Container {} definition changed, will be restarted", name_));
  else
    retry();
}

void Container::send_term() {
  if (auto* sandbox = host_.sandbox()) sandbox->signal(name_, SIGTERM);
}

void Container::lost() {
  retry_timer_.cancel();
  if (state_ == ContainerState::kRunning || state_ == ContainerState::kStopping || state_ == ContainerState::kStarting)
    end({128 + SIGKILL, SIGKILL, false}, "Error", "");
}

// ---- probes

void Container::begin_probes() {
  if (!spec()["startupProbe"].empty()) {
    make_probe(ProbeKind::kStartup, "startupProbe");
    return;
  }
  started_ = true;
  begin_steady_probes();
}

void Container::begin_steady_probes() {
  if (!spec()["livenessProbe"].empty()) make_probe(ProbeKind::kLiveness, "livenessProbe");
  if (!spec()["readinessProbe"].empty())
    make_probe(ProbeKind::kReadiness, "readinessProbe");
  else
    wait_for_port();
}

void Container::wait_for_port() {
  int64_t number = 0;
  for (auto& port : spec()["ports"].items())
    if (number == 0 && port["protocol"].string_or("TCP") == "TCP") number = port["containerPort"].as_int();
  if (number == 0) {
    ready_ = true;
    return;
  }
  Value probe = Value::object({{"tcpSocket", Value::object({{"port", number}})}, {"periodSeconds", 1}, {"failureThreshold", 1000000}});
  Prober::Hooks hooks;
  hooks.on_failure = [](const std::string&) {};
  hooks.on_verdict = [this](bool healthy) {
    if (!healthy) return;
    host_.loop().dispose(std::move(readiness_));
    probe_verdict(ProbeKind::kReadiness, true);
  };
  readiness_ = std::make_unique<Prober>(host_.loop(), static_cast<ActionTarget&>(*this), probe, ProbeKind::kReadiness, std::move(hooks));
  port_timer_.arm(kPortPatience);
}

void Container::stop_probes() {
  auto& loop = host_.loop();
  port_timer_.cancel();
  loop.dispose(std::move(startup_));
  loop.dispose(std::move(liveness_));
  loop.dispose(std::move(readiness_));
}

void Container::make_probe(ProbeKind kind, const char* field) {
  Prober::Hooks hooks;
  hooks.on_verdict = [this, kind](bool healthy) { probe_verdict(kind, healthy); };
  hooks.on_failure = [this, kind](const std::string& why) {
    if (state_ != ContainerState::kRunning) return;
    host_.event(EventLevel::kWarning, "Unhealthy", fmt::format("{} probe failed: {}", to_string(kind), why), *this);
  };
  auto& slot = kind == ProbeKind::kStartup ? startup_ : kind == ProbeKind::kLiveness ? liveness_ : readiness_;
  slot = std::make_unique<Prober>(host_.loop(), static_cast<ActionTarget&>(*this), spec()[field], kind, std::move(hooks));
}

void Container::probe_verdict(ProbeKind kind, bool healthy) {
  if (!up()) return;
  if (kind == ProbeKind::kReadiness) {
    if (port_timer_.armed() || spec()["readinessProbe"].empty()) {
      port_timer_.cancel();
      host_.loop().dispose(std::move(readiness_));
    }
    if (ready_ == healthy) return;
    ready_ = healthy;
    host_.container_changed(*this);
    return;
  }
  if (state_ != ContainerState::kRunning) return;
  if (healthy) {
    if (kind != ProbeKind::kStartup) return;
    host_.loop().dispose(std::move(startup_));
    started_ = true;
    begin_steady_probes();
    host_.container_changed(*this);
    return;
  }
  const Value& probe = spec()[kind == ProbeKind::kStartup ? "startupProbe" : "livenessProbe"];
  int64_t grace = probe["terminationGracePeriodSeconds"].as_int(host_.pod()["spec"]["terminationGracePeriodSeconds"].as_int(30));
  std::string message = fmt::format("Container {} failed {} probe, will be restarted", name_, kind == ProbeKind::kStartup ? "startup" : "liveness");
  // The prober that reports this must outlive its own report.
  host_.loop().dispose(std::move(kind == ProbeKind::kStartup ? startup_ : liveness_));
  stop(std::chrono::seconds(grace), message);
}

// ---- ActionTarget

uint16_t Container::named_port(const std::string& name) const {
  for (auto& port : spec()["ports"].items())
    if (port["name"].as_string() == name) return static_cast<uint16_t>(port["containerPort"].as_int());
  return 0;
}

void Container::dial(const std::string& ip, uint16_t port, std::function<void(base::Result<io::Fd>)> done) {
  Sandbox* sandbox = host_.sandbox();
  auto address = io::Address::parse_ip(ip == "localhost" ? "127.0.0.1" : ip, port);
  if (!address || !sandbox) {
    std::string why = sandbox ? address.error().message : "the pod is gone";
    host_.loop().post([done = std::move(done), why] { done(base::fail(Code::kUnavailable, "{}", why)); });
    return;
  }
  sandbox->dial(*address, std::move(done));
}

void Container::exec(const std::vector<std::string>& command, std::function<void(base::Result<ExecResult>)> done) {
  Sandbox* sandbox = host_.sandbox();
  if (!sandbox) {
    host_.loop().post([done = std::move(done)] { done(base::fail(Code::kUnavailable, "the pod is gone")); });
    return;
  }
  exec_to_end(host_.loop(), *sandbox, name_, command, [done = std::move(done)](base::Result<std::pair<int, std::string>> r) {
    if (!r) return done(std::unexpected(r.error()));
    done(ExecResult{r->first, std::move(r->second)});
  });
}

// ---- status

std::string Container::container_id() const {
  std::string seed = fmt::format("{}/{}/{}/{}", host_.pod()["metadata"]["uid"].as_string(), name_, restarts_, started_at_);
  return "fairlead://" + base::hex_encode(io::sha256(seed));
}

Value Container::terminated_state() const {
  Value t = Value::object({{"exitCode", exit_->code}});
  if (!end_reason_.empty()) t.set("reason", end_reason_);
  if (!end_message_.empty()) t.set("message", end_message_);
  t.set("startedAt", started_at_.empty() ? Value(nullptr) : Value(started_at_));
  t.set("finishedAt", finished_at_.empty() ? Value(nullptr) : Value(finished_at_));
  if (life_ > 0) t.set("containerID", container_id());
  return Value::object({{"terminated", std::move(t)}});
}

Value Container::status(std::string_view waiting_reason) const {
  Value state;
  Value last = last_state_.is_null() ? Value::object() : last_state_;
  switch (state_) {
    case ContainerState::kRunning:
    case ContainerState::kStopping: state = Value::object({{"running", Value::object({{"startedAt", started_at_}})}}); break;
    case ContainerState::kExited:
    case ContainerState::kStarting:  // the next life has nothing to tell yet
      if (exit_) {
        state = terminated_state();
        break;
      }
      [[fallthrough]];
    case ContainerState::kWaiting:
    case ContainerState::kBackOff: {
      Value waiting = Value::object({{"reason", waiting_reason_.empty() ? std::string(waiting_reason) : waiting_reason_}});
      if (!waiting_message_.empty()) waiting.set("message", waiting_message_);
      state = Value::object({{"waiting", std::move(waiting)}});
      if (state_ == ContainerState::kBackOff && exit_) last = terminated_state();
      break;
    }
  }
  const std::string& image = spec()["image"].as_string();
  bool ready = role_ == ContainerRole::kInit ? succeeded() : ready_ && up();
  Value out = Value::object({{"name", name_},
                             {"state", std::move(state)},
                             {"lastState", std::move(last)},
                             {"ready", ready},
                             {"restartCount", restarts_},
                             {"image", image},
                             {"imageID", ever_ran() ? fmt::format("{}@sha256:{}", image.substr(0, image.find('@')), base::hex_encode(io::sha256(image))) : std::string()},
                             {"started", role_ == ContainerRole::kInit ? up() : started_}});
  if (life_ > 0 && state_ != ContainerState::kStarting && (exit_ || up())) out.set("containerID", container_id());
  return out;
}

void Container::resume(const Value& old) {
  if (old.is_null()) return;
  restarts_ = old["restartCount"].as_int();
  const Value& state = old["state"];
  if (state.contains("running")) {
    // It ended with the node.
    last_state_ = Value::object({{"terminated", Value::object({{"exitCode", 255}, {"reason", "Unknown"}, {"startedAt", state["running"]["startedAt"]},
                                                               {"finishedAt", now_rfc3339()}, {"containerID", old["containerID"]}})}});
    ++restarts_;
  } else if (state.contains("terminated")) {
    last_state_ = state;
    if (role_ != ContainerRole::kInit) ++restarts_;
  } else {
    last_state_ = old["lastState"];
    if (!last_state_.empty()) ++restarts_;
  }
}

}  // namespace fairlead::node
