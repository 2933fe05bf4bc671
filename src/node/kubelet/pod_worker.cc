#include "node/kubelet/pod_worker.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/log.h"
#include "mesh/quantity.h"
#include "node/controllers/reconciler.h"
#include "node/kubelet/log_stream.h"
#include "node/node.h"

namespace fairlead::node {

using base::Value;
using store::ObjectPtr;
namespace fs = std::filesystem;

namespace {
constexpr size_t kMaxMessageBytes = 4096;
std::string termination_path(const std::string& directory, const std::string& container) { return directory + "/termination/" + container; }
// ndots:5 of the cluster's DNS policy, and the pod's own options; one of the same name takes its place.
std::vector<std::string> dns_options(const Value& spec) {
  std::vector<std::string> out;
  if (spec["dnsPolicy"].as_string() != "None") out.emplace_back("ndots:5");
  for (auto& option : spec["dnsConfig"]["options"].items()) {
    const std::string& name = option["name"].as_string();
    std::erase_if(out, [&](const std::string& o) { return o.substr(0, o.find(':')) == name; });
    out.push_back(option["value"].is_null() ? name : name + ":" + option["value"].as_string());
  }
  return out;
}

}  // namespace

std::string_view to_string(PodState state) {
  switch (state) {
    case PodState::kPending: return "pending";
    case PodState::kCreating: return "creating";
    case PodState::kInitializing: return "initializing";
    case PodState::kRunning: return "running";
    case PodState::kStopping: return "stopping";
    case PodState::kStopped: return "stopped";
    case PodState::kGone: return "gone";
  }
  return "";
}

PodWorker::PodWorker(KubeletParts& parts, ObjectPtr pod)
    : parts_(parts), pod_(std::move(pod)), uid_((*pod_)["metadata"]["uid"].as_string()),
      key_{"pods", (*pod_)["metadata"]["namespace"].as_string(), (*pod_)["metadata"]["name"].as_string()},
      directory_(parts.options.data_dir + "/pods/" + uid_),
      log_directory_(fmt::format("{}/logs/{}_{}_{}", parts.options.data_dir, key_.ns, key_.name, uid_)), sandbox_delay_(parts.options.sandbox_retry),
      retry_(parts.loop, [this] { advance(); }), renewal_(parts.loop, [this] { refresh_volumes(); }),
      deadline_(parts.loop,
                [this] {
                  pod_event(EventLevel::kNormal, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
                  failed_ = true;
                  if (state_ < PodState::kStopping) finish();
                }),
      alive_(std::make_shared<bool>(true)) {
  const Value& spec = (*pod_)["spec"];
  for (auto& c : spec["initContainers"].items())
    inits_.push_back(std::make_unique<Container>(*this, c, c["restartPolicy"].as_string() == "Always" ? ContainerRole::kSidecar : ContainerRole::kInit));
  for (auto& c : spec["containers"].items()) mains_.push_back(std::make_unique<Container>(*this, c, ContainerRole::kMain));
  volumes_ = std::make_unique<Volumes>(parts_.store, parts_.tokens, directory_);
  last_written_ = (*pod_)["status"];
}

PodWorker::~PodWorker() {
  *alive_ = false;
  sandbox_.reset();
  release_ip();
}

void PodWorker::release_ip() {
  if (std::exchange(ip_held_, false)) parts_.ips.release(ip_);
}

std::vector<Container*> PodWorker::all_containers() const {
  std::vector<Container*> out;
  for (auto& c : inits_) out.push_back(c.get());
  for (auto& c : mains_) out.push_back(c.get());
  return out;
}

Container* PodWorker::container(const std::string& name) {
  for (auto* c : all_containers())
    if (c->name() == name) return c;
  return nullptr;
}

bool PodWorker::all_ready() const {
  if (state_ != PodState::kRunning) return false;
  for (auto* c : all_containers())
    if (c->role() != ContainerRole::kInit && !c->ready()) return false;
  return true;
}

std::string PodWorker::log_path(const Container& container, int64_t life) const { return fmt::format("{}/{}/{}.log", log_directory_, container.name(), life); }

std::vector<std::string> PodWorker::live_logs() const {
  std::vector<std::string> out;
  for (auto* c : all_containers())
    if (c->up()) out.push_back(log_path(*c, c->log_life()));
  return out;
}

std::shared_ptr<PodWorker::EndCallback> PodWorker::on_container_end(EndCallback callback) {
  auto token = std::make_shared<EndCallback>(std::move(callback));
  std::erase_if(end_callbacks_, [](auto& w) { return w.expired(); });
  end_callbacks_.push_back(token);
  return token;
}

void PodWorker::enter(PodState state) {
  if (state == state_) return;
  FL_LOG_DEBUG("kubelet", "pod {}/{}: {} -> {}", key_.ns, key_.name, to_string(state_), to_string(state));
  state_ = state;
  mark_dirty();
  advance();
}

void PodWorker::begin() {
  const Value& status = (*pod_)["status"];
  if (pod_finished(*pod_)) {
    state_ = PodState::kStopped;
    if (being_deleted(*pod_)) terminate();
    return;
  }
  start_time_ = status["startTime"].string_or(now_rfc3339());
  // Containers that ran when the node ended are counted as restarted: that is what a node's reboot looks like in
  // Kubernetes, and what `kubectl get pods` should tell.
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (auto& old : status[list].items())
      if (auto* c = container(old["name"].as_string())) c->resume(old);
  if (being_deleted(*pod_)) return terminate();
  ip_ = parts_.ips.allocate(status["podIP"].as_string());
  ip_held_ = !ip_.empty();
  if (const Value& limit = (*pod_)["spec"]["activeDeadlineSeconds"]; limit.is_int()) {
    auto since = base::parse_rfc3339(start_time_).value_or(std::chrono::system_clock::now());
    deadline_.arm(since + std::chrono::seconds(limit.as_int()) - std::chrono::system_clock::now());
  }
  mark_dirty();
  advance();
}

void PodWorker::update(ObjectPtr pod) {
  pod_ = std::move(pod);
  if (being_deleted(*pod_)) return terminate();
  if (state_ >= PodState::kStopping) return;
  for (const char* list : {"initContainers", "containers"})
    for (auto& spec : std::as_const(*pod_)["spec"][list].items())
      if (auto* c = container(spec["name"].as_string())) c->change_image(spec["image"].as_string());
  refresh_volumes();  // labels and annotations may be in a downwardAPI volume
  mark_dirty();       // readiness gates are conditions that others write
}

void PodWorker::removed() {
  deleting_ = true;
  state_ = PodState::kGone;
  for (auto* c : all_containers()) c->lost();
  sandbox_.reset();
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
  fs::remove_all(log_directory_, ignored);
  parts_.loop.post([gone = parts_.gone, uid = uid_] { gone(uid); });
}

void PodWorker::config_changed(std::string_view resource, const std::string& name) {
  if (state_ >= PodState::kStopping) return;
  if (state_ == PodState::kPending) return advance();
  if (volumes_->uses(resource, name)) refresh_volumes();
  for (auto* c : all_containers()) c->retry();
}

void PodWorker::refresh_volumes() {
  if (state_ < PodState::kCreating || state_ >= PodState::kStopping) return;
  // What became missing stays as it was.
  if (auto ok = volumes_->prepare(*pod_, facts()); !ok) FL_LOG_DEBUG("kubelet", "volumes of {}/{}: {}", key_.ns, key_.name, ok.error().text());
  if (auto wait = volumes_->renew_in(); wait.count() > 0) renewal_.arm(wait);
}

// ---- the states

void PodWorker::advance() {
  // Containers report changes from inside what is called here: one more pass then, instead of a nested one.
  if (advancing_) {
    advance_again_ = true;
    return;
  }
  advancing_ = true;
  do {
    advance_again_ = false;
    switch (state_) {
      case PodState::kPending: prepare(); break;
      case PodState::kCreating: break;
      case PodState::kInitializing: advance_init(); break;
      case PodState::kRunning: advance_running(); break;
      case PodState::kStopping: advance_stopping(); break;
      case PodState::kStopped:
      case PodState::kGone: break;
    }
  } while (advance_again_);
  advancing_ = false;
}

void PodWorker::prepare() {
  if (retry_.armed()) return;
  if (ip_.empty()) {
    pod_event(EventLevel::kWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: no address is left in 10.244.0.0/16");
    retry_.arm(std::chrono::seconds(10));
    ip_ = parts_.ips.allocate();
    ip_held_ = !ip_.empty();
    return;
  }
  if (auto ok = volumes_->prepare(*pod_, facts()); !ok) {
    // Told once for each cause; an event of the missing object starts the next try.
    if (mount_error_ != ok.error().message)
      pod_event(EventLevel::kWarning, "FailedMount", fmt::format("MountVolume.SetUp failed for volume \"{}\" : {}", ok.error().where, ok.error().message));
    mount_error_ = ok.error().message;
    return;
  }
  mount_error_.clear();
  if (auto wait = volumes_->renew_in(); wait.count() > 0) renewal_.arm(wait);
  create_sandbox();
}

void PodWorker::create_sandbox() {
  const Value& spec = (*pod_)["spec"];
  SandboxSpec sandbox;
  sandbox.ns = key_.ns;
  sandbox.name = key_.name;
  sandbox.uid = uid_;
  sandbox.hostname = spec["hostname"].string_or(key_.name.substr(0, 63));
  while (sandbox.hostname.ends_with('-') || sandbox.hostname.ends_with('.')) sandbox.hostname.pop_back();
  sandbox.service_account = spec["serviceAccountName"].string_or("default");
  sandbox.ip = ip_;
  const auto& domain = parts_.options.cluster_domain;
  if (spec["dnsPolicy"].as_string() != "None") {
    sandbox.dns_search = {fmt::format("{}.svc.{}", key_.ns, domain), "svc." + domain, domain};
    sandbox.dns_server = parts_.options.dns_server;
  } else {
    sandbox.dns_server = spec["dnsConfig"]["nameservers"][0].string_or(parts_.options.dns_server);
  }
  for (auto& s : spec["dnsConfig"]["searches"].items()) sandbox.dns_search.push_back(s.as_string());
  sandbox.dns_options = dns_options(spec);
  for (auto& alias : spec["hostAliases"].items())
    for (auto& name : alias["hostnames"].items()) sandbox.hosts.emplace_back(name.as_string(), alias["ip"].as_string());
  if (!spec["subdomain"].as_string().empty())
    sandbox.fqdn = fmt::format("{}.{}.{}.svc.{}", sandbox.hostname, spec["subdomain"].as_string(), key_.ns, domain);
  sandbox.directory = directory_;
  bool host_port = false;
  for (auto& c : spec["containers"].items())
    for (auto& port : c["ports"].items()) host_port = host_port || port["hostPort"].as_int() != 0;
  if (spec["hostNetwork"].as_bool() || host_port)
    pod_event(EventLevel::kWarning, "HostNetworkUnavailable", "hostNetwork and hostPort are not available: the pod has a network of its own; a Service of type NodePort reaches it from the host");
  std::error_code error;
  fs::create_directories(directory_, error);
  enter(PodState::kCreating);
  parts_.runtime.create(sandbox, [this, alive = alive_](base::Result<std::unique_ptr<Sandbox>> made) {
    if (!*alive) return;
    if (state_ != PodState::kCreating) {
      // Deleted meanwhile: what was made goes at once.
      if (state_ == PodState::kStopping) advance();
      return;
    }
    if (!made) {
      pod_event(EventLevel::kWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: " + made.error().message);
      retry_.arm(sandbox_delay_);
      sandbox_delay_ = std::min<base::Nanos>(sandbox_delay_ * 2, std::chrono::minutes(1));
      state_ = PodState::kPending;
      return;
    }
    sandbox_ = std::move(*made);
    sandbox_->on_lost([this, alive] {
      if (!*alive || state_ >= PodState::kStopping) return;
      pod_event(EventLevel::kNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
      parts_.loop.post([again = parts_.again, uid = uid_] { again(uid); });
    });
    enter(PodState::kInitializing);
  });
}

void PodWorker::advance_init() {
  for (auto& c : inits_) {
    if (c->role() == ContainerRole::kInit) {
      if (c->succeeded()) continue;
      if (c->over()) {
        failed_ = true;
        return finish();
      }
    } else if (c->launched() && c->started()) {
      continue;
    }
    if (c->state() == ContainerState::kWaiting) c->start();
    return;
  }
  enter(PodState::kRunning);
}

void PodWorker::advance_running() {
  bool all_over = true;
  for (auto& c : mains_) {
    if (c->state() == ContainerState::kWaiting) c->start();
    if (!c->over()) all_over = false;
    // In order: the next one begins when this one runs and its postStart hook is over. A container that waits for its
    // image or its back-off holds nobody up.
    bool beginning = c->state() == ContainerState::kStarting || (c->state() == ContainerState::kRunning && !c->launched());
    if (beginning && c->restarts() == 0) return;
  }
  if (all_over) finish();
}

// Succeeded or Failed: sidecars are stopped, the network goes.
void PodWorker::finish() {
  if (state_ >= PodState::kStopping) return;
  stop_deadline_ = parts_.loop.now() + std::chrono::seconds((*pod_)["spec"]["terminationGracePeriodSeconds"].as_int(30));
  retry_.cancel();
  enter(PodState::kStopping);
}

void PodWorker::terminate() {
  std::chrono::seconds grace((*pod_)["metadata"]["deletionGracePeriodSeconds"].as_int(30));
  if (deleting_) {
    auto deadline = parts_.loop.now() + grace;
    if (state_ == PodState::kStopping && deadline < stop_deadline_) {
      stop_deadline_ = deadline;
      for (auto* c : all_containers()) c->shorten_grace(grace);
    }
    return;
  }
  deleting_ = true;
  deadline_.cancel();
  if (state_ == PodState::kStopping) {
    stop_deadline_ = std::min(stop_deadline_, parts_.loop.now() + grace);
    return;
  }
  if (state_ == PodState::kStopped) {
    mark_dirty();
    return;
  }
  stop_deadline_ = parts_.loop.now() + grace;
  retry_.cancel();
  enter(PodState::kStopping);
}

void PodWorker::advance_stopping() {
  auto left = std::max<base::Nanos>(stop_deadline_ - parts_.loop.now(), base::Nanos(0));
  auto stop = [&](Container& c) {
    if (c.state() != ContainerState::kStopping && c.state() != ContainerState::kExited) c.stop(left, fmt::format("Stopping container {}", c.name()));
  };
  auto stopped = [](const Container& c) { return !c.up() && c.state() != ContainerState::kStarting; };
  bool pending = false;
  for (auto* c : all_containers()) {
    if (c->role() == ContainerRole::kSidecar) continue;
    stop(*c);
    pending = pending || !stopped(*c);
  }
  if (pending) return;
  // Sidecars go when those whom they serve are gone, last started first.
  for (auto it = inits_.rbegin(); it != inits_.rend(); ++it) {
    if ((*it)->role() != ContainerRole::kSidecar) continue;
    stop(**it);
    if (!stopped(**it)) return;
  }
  // Whatever is left inside (orphans of containers) goes with it.
  sandbox_.reset();
  renewal_.cancel();
  release_ip();
  enter(PodState::kStopped);
}

void PodWorker::container_changed(Container& c) {
  mark_dirty();
  if (!c.up() && c.state() != ContainerState::kStarting) {
    auto callbacks = end_callbacks_;
    for (auto& weak : callbacks)
      if (auto callback = weak.lock()) (*callback)(c.name());
  }
  // A sidecar that ended while the containers run restarts by itself; here only the pod's own course is looked at.
  advance();
}

// ---- what a container needs

base::Result<ContainerSpec> PodWorker::spec_of(const Container& container) {
  const Value& c = container.spec();
  const Value& pod_security = (*pod_)["spec"]["securityContext"];
  const Value& security = c["securityContext"];
  auto environment = container_environment(parts_.store, *pod_, c, facts());
  if (!environment) return std::unexpected(environment.error());
  auto mounts = volumes_->mounts(c, *environment);
  if (!mounts) return std::unexpected(mounts.error());
  ContainerSpec out;
  out.name = container.name();
  out.image = c["image"].as_string();
  for (auto& word : c["command"].items()) out.command.push_back(expand_variables(word.as_string(), *environment));
  for (auto& word : c["args"].items()) out.args.push_back(expand_variables(word.as_string(), *environment));
  out.working_dir = c["workingDir"].as_string();
  out.env = std::move(*environment);
  bool has_hostname = std::any_of(out.env.begin(), out.env.end(), [](auto& e) { return e.first == "HOSTNAME"; });
  if (!has_hostname) out.env.insert(out.env.begin(), {"HOSTNAME", (*pod_)["spec"]["hostname"].string_or(key_.name)});
  out.mounts = std::move(*mounts);
  auto id = [&](const char* field) -> std::optional<int64_t> {
    if (security[field].is_int()) return security[field].as_int();
    if (pod_security[field].is_int()) return pod_security[field].as_int();
    return std::nullopt;
  };
  out.run_as_user = id("runAsUser");
  out.run_as_group = id("runAsGroup");
  const Value& limit = c["resources"]["limits"]["memory"];
  if (auto bytes = mesh::quantity_value(limit.is_int() ? std::to_string(limit.as_int()) : limit.as_string())) out.memory_limit_bytes = *bytes;
  out.tty = c["tty"].as_bool();
  out.stdin_open = c["stdin"].as_bool();
  out.stdin_once = out.stdin_open && c["stdinOnce"].as_bool();
  for (auto& capability : security["capabilities"]["add"].items()) {
    const std::string& name = capability.as_string();
    if (name == "NET_ADMIN" || name == "CAP_NET_ADMIN" || name == "ALL") out.net_admin = true;
    out.add_capabilities.push_back(name);
  }
  for (auto& capability : security["capabilities"]["drop"].items()) out.drop_capabilities.push_back(capability.as_string());
  out.net_admin = out.net_admin || security["privileged"].as_bool();

  // The log of this life and of the one before are kept.
  std::string folder = log_directory_ + "/" + out.name;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return base::fail(base::Code::kInternal, "cannot make {}: {}", folder, error.message());
  int64_t life = container.restarts() + (container.last_exit() ? 1 : 0);
  if (life >= 2) {
    for (const char* suffix : {"", ".1"}) fs::remove(fmt::format("{}/{}.log{}", folder, life - 2, suffix), error);
  }
  out.log_path = log_path(container, life);

  // A file for its last words.
  std::string message_path = termination_path(directory_, out.name);
  fs::create_directories(fs::path(message_path).parent_path(), error);
  if (io::Fd file(::open(message_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)); file.valid()) {
    (void)::fchmod(file.get(), 0666);
    out.mounts.push_back({c["terminationMessagePath"].string_or("/dev/termination-log"), message_path, false});
  }
  return out;
}

std::string PodWorker::termination_message(const Container& container) {
  std::ifstream in(termination_path(directory_, container.name()), std::ios::binary);
  std::string text(kMaxMessageBytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.empty() && container.spec()["terminationMessagePolicy"].as_string() == "FallbackToLogsOnError" && container.last_exit() && container.last_exit()->code != 0)
    text = log_tail(log_path(container, container.log_life()), 80, 2048);
  return text;
}

void PodWorker::event(EventLevel level, std::string_view reason, std::string_view message, const Container& c) {
  const char* list = c.role() == ContainerRole::kMain ? "containers" : "initContainers";
  parts_.events.record(*pod_, level, reason, message, "kubelet", fmt::format("spec.{}{{{}}}", list, c.name()));
}

void PodWorker::pod_event(EventLevel level, std::string_view reason, std::string_view message) {
  parts_.events.record(*pod_, level, reason, message, "kubelet");
}

// ---- status

void PodWorker::mark_dirty() {
  if (dirty_) return;
  dirty_ = true;
  parts_.loop.post([this, alive = alive_] {
    if (!*alive) return;
    dirty_ = false;
    write_status();
  });
}

void PodWorker::write_status() {
  if (state_ == PodState::kGone) return;
  if (state_ == PodState::kStopped && deleting_) {
    api::DeleteOptions options;
    options.grace_seconds = 0;
    options.uid = uid_;
    auto removed_object = parts_.client.remove(key_, options);
    if (!removed_object && removed_object.error().code != base::Code::kNotFound && removed_object.error().code != base::Code::kConflict) {
      FL_LOG_WARN("kubelet", "cannot remove pod {}/{}: {}", key_.ns, key_.name, removed_object.error().text());
      parts_.loop.after(std::chrono::seconds(1), [this, alive = alive_] {
        if (*alive) mark_dirty();
      });
      return;
    }
    return removed();
  }
  Value status = build_status();
  if (status == last_written_) return;
  Value update = *pod_;
  update.set("status", status);
  update["metadata"].erase("resourceVersion");
  auto written = parts_.client.update_status(std::move(update));
  if (!written) {
    if (written.error().code != base::Code::kNotFound) FL_LOG_WARN("kubelet", "status of pod {}/{}: {}", key_.ns, key_.name, written.error().text());
    return;
  }
  last_written_ = std::move(status);
}

}  // namespace fairlead::node
