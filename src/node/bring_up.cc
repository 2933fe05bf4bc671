#include "node/bring_up.h"

#include <fmt/format.h>

#include "control/install/profile.h"
#include "mesh/selector.h"

namespace fairlead::node {

using base::Value;

namespace {
// Remembers that the profile was installed: `istioctl uninstall` is not undone by the next `fairlead up`.
const store::Key kMarker{"configmaps", "kube-system", "fairlead"};
constexpr const char* kMeshNamespace = "istio-system";
}  // namespace

BringUp::BringUp(io::Loop& loop, store::Store& store, api::Client& client, std::string profile, IsLive is_live, Report report)
    : loop_(loop), store_(store), client_(client), profile_(std::move(profile)), is_live_(std::move(is_live)), report_(std::move(report)),
      patience_(loop,
                [this] { fail(whats_wrong()); }),
      patience_for_others_(loop,
                           [this] {
                             others_.clear();
                             schedule_check();
                           }),
      alive_(std::make_shared<bool>(true)) {
  patience_.arm(kPatience);
  patience_for_others_.arm(kPatienceForOthers);
  // What the store says now is of the time before: the kubelet has written nothing yet.
  for (auto& pod : store_.list("pods"))
    if (auto name = name_of(*pod); name.ns != kMeshNamespace && pod_ready(*pod) && !being_deleted(*pod)) others_.insert(name);
  others_count_ = others_.size();
  install();
}

BringUp::~BringUp() { *alive_ = false; }

void BringUp::install() {
  auto marker = store_.get(kMarker);
  if (marker && (**marker)["data"]["profile"].as_string() != profile_)
    report_.progress(fmt::format("profile {} stays as it was installed; to change it: istioctl install --set profile={} -y", (**marker)["data"]["profile"].as_string(), profile_));
  if (!marker) {
    control::InstallOptions options;
    options.profile = profile_;
    auto objects = control::install_objects(options);
    if (!objects) return fail(fmt::format("cannot install the profile: {}", objects.error().text()));
    objects_ = std::move(*objects);
  }
  create_next();
}

void BringUp::create_next() {
  if (next_ >= objects_.size()) return installed();
  Value object = std::move(objects_[next_++]);
  std::string what = fmt::format("{} {}", std::as_const(object)["kind"].as_string(), std::as_const(object)["metadata"]["name"].as_string());
  client_.create(std::move(object), [this, alive = alive_, what](base::Result<store::ObjectPtr> made) {
    if (!*alive) return;
    if (!made && made.error().code != base::Code::kAlreadyExists) {
      fail(fmt::format("cannot install {}: {}", what, made.error().text()));
      return;
    }
    loop_.post([this, alive] {
      if (*alive) create_next();
    });
  });
}

void BringUp::installed() {
  if (!store_.get(kMarker)) {
    auto marked = client_.create_now(Value::object({{"apiVersion", "v1"},
                                                    {"kind", "ConfigMap"},
                                                    {"metadata", Value::object({{"name", kMarker.name}, {"namespace", kMarker.ns}})},
                                                    {"data", Value::object({{"profile", profile_}})}}));
    if (!marked) return fail(fmt::format("cannot store the state of the installation: {}", marked.error().text()));
    report_.progress(fmt::format("profile {} installed", profile_));
  }
  pods_ = std::make_unique<Watch>(store_, "pods", [this](const store::Event&) { schedule_check(); });
  deployments_ = std::make_unique<Watch>(store_, "deployments.apps", [this](const store::Event&) { schedule_check(); });
  schedule_check();
}

void BringUp::fail(const std::string& why) {
  if (done_) return;
  done_ = true;
  patience_.cancel();
  patience_for_others_.cancel();
  report_.failed(why);
}

void BringUp::schedule_check() {
  if (check_posted_ || done_) return;
  check_posted_ = true;
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    check_posted_ = false;
    check();
  });
}

void BringUp::check() {
  if (done_) return;
  bool all = true;
  for (auto& deployment : store_.list("deployments.apps", kMeshNamespace)) {
    auto name = name_of(*deployment);
    auto selector = mesh::LabelSelector::from_object((*deployment)["spec"]["selector"]);
    int64_t wanted = (*deployment)["spec"]["replicas"].as_int(1), ready = 0;
    for (auto& pod : store_.list("pods", name.ns))
      if (selector && selector->matches((*pod)["metadata"]["labels"]) && !being_deleted(*pod) && pod_ready(*pod) && is_live_(name.ns, name_of(*pod).name)) ++ready;
    if (ready < wanted) {
      all = false;
    } else if (told_.insert(name.name).second) {
      report_.progress(fmt::format("{} is ready", name.name));
    }
  }
  if (!all || !others_are_back()) return;
  done_ = true;
  patience_.cancel();
  patience_for_others_.cancel();
  pods_.reset();
  deployments_.reset();
  report_.ready();
}

bool BringUp::others_are_back() {
  std::erase_if(others_, [&](const ObjectName& name) {
    auto pod = store_.get({"pods", name.ns, name.name});
    return !pod || (pod_ready(**pod) && is_live_(name.ns, name.name));
  });
  if (!others_.empty()) return false;
  if (others_count_ > 0 && patience_for_others_.armed()) report_.progress(fmt::format("{} other pod{} ready again", others_count_, others_count_ == 1 ? " is" : "s are"));
  return true;
}

// The first pod that is not Ready, and what it waits for.
std::string BringUp::whats_wrong() const {
  for (auto& pod : store_.list("pods", kMeshNamespace)) {
    auto name = name_of(*pod);
    if (pod_ready(*pod) && is_live_(name.ns, name.name)) continue;
    std::string why;
    for (const char* list : {"initContainerStatuses", "containerStatuses"})
      for (auto& c : (*pod)["status"][list].items()) {
        const Value& waiting = c["state"]["waiting"];
        const Value& last = c["lastState"]["terminated"];
        if (!why.empty()) continue;
        if (!waiting.is_null() && waiting["reason"].as_string() != "PodInitializing")
          why = fmt::format("container {} waits: {} {}", c["name"].as_string(), waiting["reason"].as_string(), waiting["message"].as_string());
        else if (!last.is_null())
          why = fmt::format("container {} ended with {}", c["name"].as_string(), last["exitCode"].as_int());
        else if (!c["ready"].as_bool())
          why = fmt::format("container {} runs but its readiness probe fails", c["name"].as_string());
      }
    std::string event;
    for (auto& e : store_.list("events", name.ns))
      if ((*e)["involvedObject"]["uid"] == (*pod)["metadata"]["uid"] && (*e)["type"].as_string() == "Warning") event = (*e)["message"].as_string();
    return fmt::format("pod {}/{} is not Ready after {} s: {}{}{}. Look at it with: kubectl describe pod -n {} {}", name.ns, name.name, kPatience.count(),
                       why.empty() ? "it waits for its volumes or its network" : why, event.empty() ? "" : "; ", event, name.ns, name.name);
  }
  return fmt::format("the deployments of {} have no pods after {} s. Look at them with: kubectl describe rs -n {}", kMeshNamespace, kPatience.count(), kMeshNamespace);
}

}  // namespace fairlead::node
