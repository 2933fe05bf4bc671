#include "node/kubelet/kubelet.h"

#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "node/kubelet/log_stream.h"
#include "node/node.h"

namespace fairlead::node {

using base::Value;
using store::ObjectPtr;
namespace fs = std::filesystem;

Kubelet::Kubelet(io::Loop& loop, store::Store& store, api::Client& client, Runtime& runtime, EventRecorder& events, TokenSource tokens, KubeletOptions options)
    : parts_{loop, store, client, runtime, events, std::move(tokens), std::move(options), {}, [this](const std::string& uid) { workers_.erase(uid); },
             [this](const std::string& uid) { restart(uid); }},
      log_check_(loop, [this] { rotate_logs(); }) {}

Kubelet::~Kubelet() { stop(); }

// The one thing here that looks instead of being told: being told of every line of every log would cost more.
void Kubelet::rotate_logs() {
  for (auto& [uid, worker] : workers_)
    for (auto& path : worker->live_logs()) rotate_log(path, kMaxLogBytes);
  log_check_.arm(kLogCheck);
}

void Kubelet::stop() {
  log_check_.cancel();
  pods_.reset();
  config_maps_.reset();
  secrets_.reset();
  workers_.clear();
}

void Kubelet::start() {
  clean_folders();
  log_check_.arm(kLogCheck);
  pods_ = std::make_unique<Watch>(parts_.store, "pods", [this](const store::Event& e) { on_pod(e); });
  auto config_changed = [this](const store::Event& e) {
    for (auto& [uid, worker] : workers_)
      if (name_of(*worker->object()).ns == e.key.ns) worker->config_changed(e.key.resource, e.key.name);
  };
  config_maps_ = std::make_unique<Watch>(parts_.store, "configmaps", config_changed);
  secrets_ = std::make_unique<Watch>(parts_.store, "secrets", config_changed);
}

// What a crash left behind: folders of pods that nobody will run again.
void Kubelet::clean_folders() {
  std::set<std::string> known;
  for (auto& pod : parts_.store.list("pods")) {
    const std::string& uid = (*pod)["metadata"]["uid"].as_string();
    auto name = name_of(*pod);
    known.insert(uid);
    known.insert(fmt::format("{}_{}_{}", name.ns, name.name, uid));
  }
  for (const char* folder : {"/pods", "/logs"}) {
    std::error_code ignored;
    std::string path = parts_.options.data_dir + folder;
    fs::create_directories(path, ignored);
    for (auto& entry : fs::directory_iterator(path, ignored)) {
      // Beside the pods' folders there may be files of the node's own.
      if (entry.is_directory(ignored) && !known.contains(entry.path().filename())) fs::remove_all(entry.path(), ignored);
    }
  }
}

void Kubelet::on_pod(const store::Event& event) {
  const std::string& uid = (*event.object)["metadata"]["uid"].as_string();
  auto it = workers_.find(uid);
  if (event.type == store::EventType::kDeleted) {
    if (it != workers_.end() && it->second->state() != PodState::kGone) it->second->removed();
    return;
  }
  if (it != workers_.end()) {
    it->second->update(event.object);
    return;
  }
  const std::string& node = (*event.object)["spec"]["nodeName"].as_string();
  if (node.empty()) {
    if (!(*event.object)["spec"]["schedulingGates"].empty()) return;
    // Its event brings the pod back here.
    bind(event.object);
    return;
  }
  if (node != kNodeName) return;
  auto worker = std::make_unique<PodWorker>(parts_, event.object);
  PodWorker& ref = *worker;
  workers_[uid] = std::move(worker);
  ref.begin();
}

// As after a restart of the node: what ran is counted as ended, init containers run again.
void Kubelet::restart(const std::string& uid) {
  auto it = workers_.find(uid);
  if (it == workers_.end() || it->second->state() >= PodState::kStopping) return;
  auto name = name_of(*it->second->object());
  auto pod = parts_.store.get({"pods", name.ns, name.name});
  if (!pod || (**pod)["metadata"]["uid"].as_string() != uid) return;
  workers_.erase(it);
  auto worker = std::make_unique<PodWorker>(parts_, *pod);
  PodWorker& ref = *worker;
  workers_[uid] = std::move(worker);
  ref.begin();
}

// Binding is not an update that a client could make: nodeName is set once, by the scheduler, straight in the store.
bool Kubelet::bind(const ObjectPtr& pod) {
  auto name = name_of(*pod);
  auto current = parts_.store.get({"pods", name.ns, name.name});
  if (!current || !(**current)["spec"]["nodeName"].as_string().empty()) return false;
  Value bound = **current;
  bound["spec"].set("nodeName", kNodeName);
  Value& conditions = bound["status"]["conditions"];
  set_condition(conditions, Value::object({{"type", "PodScheduled"}, {"status", "True"}, {"lastProbeTime", nullptr}}), now_rfc3339());
  auto done = parts_.store.update({"pods", name.ns, name.name}, std::move(bound), 0);
  if (!done) {
    FL_LOG_WARN("kubelet", "cannot bind pod {}: {}", name.text(), done.error().text());
    return false;
  }
  parts_.events.record(**done, EventLevel::kNormal, "Scheduled", fmt::format("Successfully assigned {}/{} to {}", name.ns, name.name, kNodeName), "default-scheduler");
  return true;
}

bool Kubelet::is_live(const std::string& ns, const std::string& pod) {
  PodWorker* w = worker(ns, pod);
  return w && w->all_ready();
}

PodWorker* Kubelet::worker(const std::string& ns, const std::string& name) {
  for (auto& [uid, worker] : workers_) {
    auto n = name_of(*worker->object());
    if (n.ns == ns && n.name == name && worker->state() != PodState::kGone) return worker.get();
  }
  return nullptr;
}

}  // namespace fairlead::node
