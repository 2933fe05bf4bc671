#include "node/controllers/deployment.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/strings.h"
#include "mesh/selector.h"

namespace fairlead::node {

using base::Status;
using base::Value;
using store::ObjectPtr;

namespace {

constexpr const char* kDeployments = "deployments.apps";
constexpr const char* kSets = "replicasets.apps";
constexpr const char* kComponent = "deployment-controller";
constexpr const char* kRevision = "deployment.kubernetes.io/revision";
constexpr const char* kRevisionHistory = "deployment.kubernetes.io/revision-history";
constexpr const char* kDesired = "deployment.kubernetes.io/desired-replicas";
constexpr const char* kMaximum = "deployment.kubernetes.io/max-replicas";
constexpr const char* kHashLabel = "pod-template-hash";

int64_t wanted(const ObjectPtr& set) { return (*set)["spec"]["replicas"].as_int(1); }
int64_t available(const ObjectPtr& set) { return (*set)["status"]["availableReplicas"].as_int(); }
int64_t revision(const Value& object) {
  return base::to_int((object)["metadata"]["annotations"][kRevision].as_string()).value_or(0);
}
int64_t total(const std::vector<ObjectPtr>& sets, int64_t (*of)(const ObjectPtr&)) {
  int64_t sum = 0;
  for (auto& set : sets) sum += of(set);
  return sum;
}
int64_t actual(const ObjectPtr& set) { return (*set)["status"]["replicas"].as_int(); }

Value without_hash(const Value& pod_template) {
  Value copy = pod_template;
  if (Value* labels = copy["metadata"].find("labels")) labels->erase(kHashLabel);
  return copy;
}

bool same_template(const Value& set, const Value& deployment) {
  return without_hash(set["spec"]["template"]) == without_hash(deployment["spec"]["template"]);
}

// Annotations that belong to the Deployment's own object and are not copied to its ReplicaSets.
bool private_annotation(std::string_view key) {
  return key == "kubectl.kubernetes.io/last-applied-configuration" || key == kRevision || key == kRevisionHistory ||
         key == kDesired || key == kMaximum || key == "deprecated.deployment.rollback.to";
}

Value set_key_patch(std::string_view key, Value value) {
  return Value::object({{"metadata", Value::object({{"annotations", Value::object({{std::string(key), std::move(value)}})}})}});
}

}  // namespace

// The same shape as Kubernetes' (a 32-bit FNV sum in decimal, each digit spelled in the safe alphabet); the number
// itself differs, since theirs is over Go's memory layout.
std::string pod_template_hash(const Value& pod_template, int64_t collision_count) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  uint32_t hash = 2166136261u;
  std::string text = pod_template.dump(0, true);
  if (collision_count > 0) text += std::to_string(collision_count);
  for (unsigned char c : text) hash = (hash ^ c) * 16777619u;
  std::string out;
  for (char digit : std::to_string(hash)) out += kAlphabet[static_cast<size_t>(digit) % kAlphabet.size()];
  return out;
}

int64_t scaled_value(const Value& value, int64_t replicas, bool round_up) {
  if (!value.is_string()) return value.as_int();
  std::string_view text = value.as_string();
  if (text.ends_with('%')) text.remove_suffix(1);
  int64_t percent = base::to_int(text).value_or(0);
  return (replicas * percent + (round_up ? 99 : 0)) / 100;
}

std::vector<ObjectPtr> DeploymentController::View::all() const {
  auto sets = old;
  if (current) sets.push_back(current);
  return sets;
}

DeploymentController::DeploymentController(io::Loop& loop, store::Store& store, api::Client& client, EventRecorder& events)
    : store_(store), client_(client), events_(events), queue_(loop, kComponent, [this](const ObjectName& n) { return reconcile(n); }) {
  deployments_ = std::make_unique<Watch>(store, kDeployments, [this](const store::Event& e) { queue_.enqueue({e.key.ns, e.key.name}); });
  sets_ = std::make_unique<Watch>(store, kSets, [this](const store::Event& e) {
    for (auto& state : {e.object, e.previous}) {
      if (!state) continue;
      if (const Value* owner = controller_of(*state)) {
        if ((*owner)["kind"].as_string() == "Deployment") queue_.enqueue({e.key.ns, (*owner)["name"].as_string()});
      } else {
        for (auto& deployment : store_.list(kDeployments, e.key.ns)) queue_.enqueue(name_of(*deployment));
      }
    }
  });
  // Recreate waits for the last old pod to be gone; readiness comes in through the ReplicaSets' status.
  pods_ = std::make_unique<Watch>(store, "pods", [this](const store::Event& e) {
    if (e.type != store::EventType::kDeleted) return;
    const Value* owner = controller_of(*e.object);
    if (!owner || (*owner)["kind"].as_string() != "ReplicaSet") return;
    auto set = store_.get({kSets, e.key.ns, (*owner)["name"].as_string()});
    if (!set) return;
    if (const Value* deployment = controller_of(**set)) queue_.enqueue({e.key.ns, (*deployment)["name"].as_string()});
  });
}

Status DeploymentController::claim(View& view) {
  const Value& deployment = *view.object;
  const std::string& uid = deployment["metadata"]["uid"].as_string();
  auto selector = mesh::LabelSelector::from_object(view.spec()["selector"]);
  if (!selector) return std::unexpected(selector.error());
  std::vector<ObjectPtr> mine;
  for (auto& set : store_.list(kSets, deployment["metadata"]["namespace"].as_string())) {
    if (controlled_by(*set, uid)) {
      mine.push_back(set);
    } else if (!controller_of(*set) && !being_deleted(*set) && selector->matches((*set)["metadata"]["labels"])) {
      auto name = name_of(*set);
      auto adopted = client_.patch({kSets, name.ns, name.name}, Value::object({{"metadata", Value::object({{"ownerReferences", Value::array({controller_reference(deployment)})}})}}));
      if (!adopted) return std::unexpected(adopted.error());
      mine.push_back(*adopted);
    }
  }
  std::stable_sort(mine.begin(), mine.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
    return (*a)["metadata"]["creationTimestamp"].as_string() < (*b)["metadata"]["creationTimestamp"].as_string();
  });
  for (auto& set : mine) {
    if (!view.current && same_template(*set, deployment))
      view.current = set;  // the oldest one that fits, as Kubernetes chooses
    else
      view.old.push_back(set);
  }
  return {};
}

// The ReplicaSet of the template exists, carries the newest revision and the Deployment's annotations.
Status DeploymentController::ensure_current(View& view) {
  const Value& deployment = *view.object;
  int64_t newest_old = 0;
  for (auto& set : view.old) newest_old = std::max(newest_old, revision(*set));
  const std::string next = std::to_string(newest_old + 1);
  const Value& meta = deployment["metadata"];

  if (view.current) {
    const Value& have = (*view.current)["metadata"]["annotations"];
    Value annotations = Value::object();
    for (auto& m : meta["annotations"].members())
      if (!private_annotation(m.key) && !(have[m.key] == m.value)) annotations.set(m.key, m.value);
    if (revision(*view.current) <= newest_old) {
      std::string old_revision = have[kRevision].as_string();
      annotations.set(kRevision, next);
      if (!old_revision.empty()) {
        const std::string& history = have[kRevisionHistory].as_string();
        annotations.set(kRevisionHistory, history.empty() ? old_revision : history + "," + old_revision);
      }
    }
    if (std::string n = std::to_string(view.replicas); have[kDesired].as_string() != n) annotations.set(kDesired, n);
    if (std::string n = std::to_string(view.replicas + view.surge); have[kMaximum].as_string() != n) annotations.set(kMaximum, n);
    if (!annotations.empty()) {
      auto name = name_of(*view.current);
      auto patched = client_.patch({kSets, name.ns, name.name}, Value::object({{"metadata", Value::object({{"annotations", std::move(annotations)}})}}));
      if (!patched) return std::unexpected(patched.error());
      view.current = *patched;
    }
    return annotate(view);
  }

  // A new ReplicaSet. Its size is what rolling out allows at once.
  int64_t size = view.replicas;
  if (!view.recreate) size = std::clamp<int64_t>(view.replicas + view.surge - total(view.old, wanted), 0, view.replicas);
  for (;; ++view.collisions) {
    std::string hash = pod_template_hash(view.spec()["template"], view.collisions);
    Value labels = view.spec()["template"]["metadata"]["labels"];
    labels.set(kHashLabel, hash);
    Value annotations = Value::object();
    for (auto& m : meta["annotations"].members())
      if (!private_annotation(m.key)) annotations.set(m.key, m.value);
    annotations.set(kRevision, next);
    annotations.set(kDesired, std::to_string(view.replicas));
    annotations.set(kMaximum, std::to_string(view.replicas + view.surge));
    Value pod_template = view.spec()["template"];
    pod_template["metadata"].set("labels", labels);
    Value selector = view.spec()["selector"];
    selector["matchLabels"].set(kHashLabel, hash);
    Value spec = Value::object({{"replicas", size}, {"selector", std::move(selector)}, {"template", std::move(pod_template)}});
    if (view.spec().contains("minReadySeconds")) spec.set("minReadySeconds", view.spec()["minReadySeconds"]);
    std::string name = meta["name"].as_string() + "-" + hash;
    auto created = client_.create_now(Value::object(
        {{"apiVersion", "apps/v1"},
         {"kind", "ReplicaSet"},
         {"metadata", Value::object({{"name", name}, {"namespace", meta["namespace"]}, {"labels", labels}, {"annotations", std::move(annotations)},
                                     {"ownerReferences", Value::array({controller_reference(deployment)})}})},
         {"spec", std::move(spec)}}));
    if (!created && created.error().code == base::Code::kAlreadyExists) continue;  // the hash of another template
    if (!created) {
      events_.record(deployment, EventLevel::kWarning, "ReplicaSetCreateError",
                     fmt::format("Failed to create new replica set \"{}\": {}", name, created.error().text()), kComponent);
      return std::unexpected(created.error());
    }
    view.current = *created;
    view.created = true;
    if (size > 0)
      events_.record(deployment, EventLevel::kNormal, "ScalingReplicaSet", fmt::format("Scaled up replica set {} from 0 to {}", name, size), kComponent);
    return annotate(view);
  }
}

// The Deployment's own revision annotation follows its ReplicaSet's.
Status DeploymentController::annotate(View& view) {
  std::string number = std::to_string(revision(*view.current));
  if ((*view.object)["metadata"]["annotations"][kRevision].as_string() == number) return {};
  auto name = name_of(*view.object);
  auto patched = client_.patch({kDeployments, name.ns, name.name}, set_key_patch(kRevision, number));
  if (!patched) return std::unexpected(patched.error());
  view.object = *patched;
  return {};
}

Status DeploymentController::scale(View& view, ObjectPtr& set, int64_t to) {
  int64_t from = wanted(set);
  auto name = name_of(*set);
  std::string desired = std::to_string(view.replicas), maximum = std::to_string(view.replicas + view.surge);
  const Value& annotations = (*set)["metadata"]["annotations"];
  if (from == to && annotations[kDesired].as_string() == desired && annotations[kMaximum].as_string() == maximum) return {};
  Value patch = Value::object({{"metadata", Value::object({{"annotations", Value::object({{kDesired, desired}, {kMaximum, maximum}})}})}});
  if (from != to) patch.set("spec", Value::object({{"replicas", to}}));
  auto patched = client_.patch({kSets, name.ns, name.name}, patch);
  if (!patched) return std::unexpected(patched.error());
  set = *patched;
  if (from != to)
    events_.record(*view.object, EventLevel::kNormal, "ScalingReplicaSet",
                   fmt::format("Scaled {} replica set {} from {} to {}", to > from ? "up" : "down", name.name, from, to), kComponent);
  return {};
}

// Old ReplicaSets shrink by what availability allows: first pods that are not available anyway, then good ones.
base::Result<bool> DeploymentController::scale_old(View& view) {
  if (total(view.old, wanted) == 0) return false;
  auto all = view.all();
  int64_t min_available = view.replicas - view.unavailable;
  int64_t new_unavailable = wanted(view.current) - available(view.current);
  int64_t budget = total(all, wanted) - min_available - new_unavailable;
  bool changed = false;
  for (auto& set : view.old) {
    if (budget <= 0) break;
    int64_t unhealthy = wanted(set) - available(set);
    // A pod the set has not made or dropped yet is not an unhealthy one: look again when its status is up to date.
    if (unhealthy <= 0 || (*set)["status"]["observedGeneration"].as_int() < (*set)["metadata"]["generation"].as_int()) continue;
    int64_t cut = std::min(budget, unhealthy);
    if (auto ok = scale(view, set, wanted(set) - cut); !ok) return std::unexpected(ok.error());
    budget -= cut;
    changed = true;
  }
  // Pods that are available, counted only in sets whose status reflects their size: one that is being scaled down
  // still shows pods that are about to go.
  int64_t have = 0;
  for (auto& set : view.all()) have += std::min(available(set), wanted(set));
  int64_t spare = have - min_available;
  for (auto& set : view.old) {
    if (spare <= 0) break;
    int64_t cut = std::min(spare, wanted(set));
    if (cut <= 0) continue;
    if (auto ok = scale(view, set, wanted(set) - cut); !ok) return std::unexpected(ok.error());
    spare -= cut;
    changed = true;
  }
  return changed;
}

Status DeploymentController::roll(View& view) {
  if (auto ok = ensure_current(view); !ok) return ok;
  int64_t size = wanted(view.current);
  if (size > view.replicas) {
    if (auto ok = scale(view, view.current, view.replicas); !ok) return ok;
  } else if (size < view.replicas) {
    int64_t room = view.replicas + view.surge - total(view.all(), wanted);
    if (room > 0)
      if (auto ok = scale(view, view.current, size + std::min(room, view.replicas - size)); !ok) return ok;
  }
  auto shrunk = scale_old(view);
  if (!shrunk) return std::unexpected(shrunk.error());
  if (*shrunk && wanted(view.current) < view.replicas) queue_.enqueue(name_of(*view.object));
  return {};
}

Status DeploymentController::roll_recreate(View& view) {
  for (auto& set : view.old)
    if (wanted(set) > 0)
      if (auto ok = scale(view, set, 0); !ok) return ok;
  for (auto& set : view.old) {
    const std::string& uid = (*set)["metadata"]["uid"].as_string();
    for (auto& pod : store_.list("pods", name_of(*set).ns))
      if (controlled_by(*pod, uid) && !pod_finished(*pod)) return {};  // the old must be gone before the new begin
  }
  if (auto ok = ensure_current(view); !ok) return ok;
  return scale(view, view.current, view.replicas);
}

bool DeploymentController::resized(const View& view) const {
  for (auto& set : view.all()) {
    if (wanted(set) == 0) continue;
    const std::string& desired = (*set)["metadata"]["annotations"][kDesired].as_string();
    if (!desired.empty() && desired != std::to_string(view.replicas)) return true;
  }
  return false;
}

// A new size for a Deployment, without rolling: spread over the ReplicaSets in proportion when several are active.
Status DeploymentController::scale_only(View& view) {
  std::vector<ObjectPtr*> active;
  for (auto& set : view.old)
    if (wanted(set) > 0) active.push_back(&set);
  if (view.current && wanted(view.current) > 0) active.push_back(&view.current);
  if (active.size() <= 1) {
    ObjectPtr* target = !active.empty() ? active[0] : view.current ? &view.current : view.old.empty() ? nullptr : &view.old.back();
    return target ? scale(view, *target, view.replicas) : Status{};
  }
  if (view.recreate) return {};
  int64_t allowed = view.replicas > 0 ? view.replicas + view.surge : 0;
  int64_t sum = 0;
  for (auto* set : active) sum += wanted(*set);
  int64_t to_add = allowed - sum;
  // Bigger ones first, so that the remainder goes to them.
  std::stable_sort(active.begin(), active.end(), [](ObjectPtr* a, ObjectPtr* b) { return wanted(*a) > wanted(*b); });
  std::vector<int64_t> target;
  int64_t added = 0;
  for (auto* set : active) {
    int64_t size = wanted(*set);
    int64_t was = base::to_int((**set)["metadata"]["annotations"][kMaximum].as_string()).value_or(sum);
    // The share that this set has of the old maximum, rounded to the nearest.
    int64_t share = was > 0 ? (2 * size * allowed + was) / (2 * was) - size : 0;
    share = to_add > 0 ? std::clamp<int64_t>(share, 0, to_add - added) : std::clamp<int64_t>(share, to_add - added, 0);
    target.push_back(size + share);
    added += share;
  }
  target[0] = std::max<int64_t>(0, target[0] + to_add - added);
  for (size_t i = 0; i < active.size(); ++i)
    if (auto ok = scale(view, *active[i], target[i]); !ok) return ok;
  return {};
}

bool DeploymentController::complete(const View& view) const {
  if (!view.current) return false;
  return actual(view.current) == view.replicas && available(view.current) == view.replicas && total(view.all(), actual) == view.replicas &&
         (*view.object)["status"]["observedGeneration"].as_int() >= (*view.object)["metadata"]["generation"].as_int();
}

Status DeploymentController::clean_history(View& view) {
  int64_t limit = view.spec()["revisionHistoryLimit"].as_int(10);
  std::vector<ObjectPtr> idle;
  for (auto& set : view.old)
    if (wanted(set) == 0 && actual(set) == 0 && !being_deleted(*set)) idle.push_back(set);
  std::stable_sort(idle.begin(), idle.end(), [](auto& a, auto& b) { return revision(*a) < revision(*b); });
  for (int64_t i = 0; i < static_cast<int64_t>(idle.size()) - limit; ++i) {
    auto name = name_of(*idle[static_cast<size_t>(i)]);
    auto gone = client_.remove({kSets, name.ns, name.name});
    if (!gone && gone.error().code != base::Code::kNotFound) return std::unexpected(gone.error());
  }
  return {};
}

Status DeploymentController::reconcile(const ObjectName& name) {
  auto found = store_.get({kDeployments, name.ns, name.name});
  if (!found) return {};
  View view;
  view.object = *found;
  view.replicas = view.spec()["replicas"].as_int(1);
  view.recreate = view.spec()["strategy"]["type"].as_string() == "Recreate";
  view.collisions = (**found)["status"]["collisionCount"].as_int();
  if (!view.recreate) {
    const Value& rolling = view.spec()["strategy"]["rollingUpdate"];
    view.surge = scaled_value(rolling.contains("maxSurge") ? rolling["maxSurge"] : Value("25%"), view.replicas, true);
    view.unavailable = scaled_value(rolling.contains("maxUnavailable") ? rolling["maxUnavailable"] : Value("25%"), view.replicas, false);
    // Both 0 would never get anywhere.
    if (view.surge == 0 && view.unavailable == 0) view.unavailable = 1;
    view.unavailable = std::min(view.unavailable, view.replicas);
  }
  if (auto ok = claim(view); !ok) return ok;
  if (being_deleted(*view.object)) return write_status(view);
  bool only_size = view.spec()["paused"].as_bool() || resized(view);
  if (auto ok = only_size ? scale_only(view) : view.recreate ? roll_recreate(view) : roll(view); !ok) return ok;
  if (auto ok = write_status(view); !ok) return ok;
  if (complete(view)) return clean_history(view);
  return {};
}

Status DeploymentController::write_status(View& view) {
  // What was just read may have been replaced by annotate().
  const Value& object = *view.object;
  const Value& before = object["status"];
  auto all = view.all();
  int64_t ready = 0;
  for (auto& set : all) ready += (*set)["status"]["readyReplicas"].as_int();
  int64_t replicas = total(all, actual), updated = view.current ? actual(view.current) : 0, usable = total(all, available);
  int64_t missing = std::max<int64_t>(0, total(all, wanted) - usable);
  const std::string now = now_rfc3339();

  Value status = Value::object();
  status.set("observedGeneration", object["metadata"]["generation"]);
  if (replicas) status.set("replicas", replicas);
  if (updated) status.set("updatedReplicas", updated);
  if (ready) status.set("readyReplicas", ready);
  if (usable) status.set("availableReplicas", usable);
  if (missing) status.set("unavailableReplicas", missing);
  if (view.collisions) status.set("collisionCount", view.collisions);

  Value conditions = before["conditions"].is_array() ? before["conditions"] : Value::array();
  bool enough = usable >= view.replicas - view.unavailable;
  set_condition(conditions,
                Value::object({{"type", "Available"},
                               {"status", enough ? "True" : "False"},
                               {"reason", enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable"},
                               {"message", enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability."}}),
                now);
  const Value* progressing = condition(object, "Progressing");
  const std::string& reason_before = progressing ? (*progressing)["reason"].as_string() : std::string();
  std::string set_name = view.current ? (*view.current)["metadata"]["name"].as_string() : std::string();
  auto progress = [&](std::string_view state, std::string_view reason, const std::string& message) {
    Value c = Value::object({{"type", "Progressing"}, {"status", state}, {"reason", reason}, {"message", message}, {"lastUpdateTime", now}});
    set_condition(conditions, std::move(c), now);
  };
  bool done = view.current && updated == view.replicas && usable == view.replicas && replicas == view.replicas;
  bool moved = updated > before["updatedReplicas"].as_int() || ready > before["readyReplicas"].as_int() || usable > before["availableReplicas"].as_int() ||
               replicas - updated < before["replicas"].as_int() - before["updatedReplicas"].as_int();
  if (view.spec()["paused"].as_bool()) {
    if (reason_before != "DeploymentPaused") progress("Unknown", "DeploymentPaused", "Deployment is paused");
  } else if (done) {
    if (reason_before != "NewReplicaSetAvailable" || (*progressing)["message"].as_string().find(set_name) == std::string::npos)
      progress("True", "NewReplicaSetAvailable", fmt::format("ReplicaSet \"{}\" has successfully progressed.", set_name));
  } else if (view.created) {
    progress("True", "NewReplicaSetCreated", fmt::format("Created new replica set \"{}\"", set_name));
  } else if (reason_before == "DeploymentPaused") {
    progress("Unknown", "DeploymentResumed", "Deployment is resumed");
  } else if (!progressing && view.current) {
    progress("True", "FoundNewReplicaSet", fmt::format("Found new replica set \"{}\"", set_name));
  } else if (moved && view.current) {
    // Each step forward starts the progress deadline again.
    for (auto& c : conditions.mutable_items())
      if (std::as_const(c)["type"].as_string() == "Progressing") c.set("lastUpdateTime", now);
    progress("True", "ReplicaSetUpdated", fmt::format("ReplicaSet \"{}\" is progressing.", set_name));
  } else if (progressing && reason_before != "NewReplicaSetAvailable" && reason_before != "ProgressDeadlineExceeded") {
    std::chrono::seconds deadline(view.spec()["progressDeadlineSeconds"].as_int(600));
    auto since = base::parse_rfc3339((*progressing)["lastUpdateTime"].as_string());
    auto late = since ? *since + deadline - std::chrono::system_clock::now() : std::chrono::system_clock::duration(0);
    if (late.count() <= 0)
      progress("False", "ProgressDeadlineExceeded", fmt::format("ReplicaSet \"{}\" has timed out progressing.", set_name));
    else if (deadline.count() < 2147483647)
      queue_.enqueue_after(name_of(object), late + std::chrono::seconds(1));
  } else if (reason_before == "NewReplicaSetAvailable" && view.current && updated < view.replicas) {
    progress("True", "ReplicaSetUpdated", fmt::format("ReplicaSet \"{}\" is progressing.", set_name));
  }
  for (auto& c : conditions.mutable_items())
    if (!c.contains("lastUpdateTime")) c.set("lastUpdateTime", now);
  // A set that cannot make its pods says so here too.
  std::erase_if(conditions.mutable_items(), [](const Value& c) { return c["type"].as_string() == "ReplicaFailure"; });
  for (auto& set : all)
    if (const Value* failure = condition(*set, "ReplicaFailure"); failure) {
      Value copy = *failure;
      copy.set("lastUpdateTime", copy["lastTransitionTime"]);
      conditions.push(std::move(copy));
      break;
    }
  status.set("conditions", std::move(conditions));
  if (status == before) return {};
  Value update = object;
  update.set("status", std::move(status));
  update["metadata"].erase("resourceVersion");
  auto written = client_.update_status(std::move(update));
  if (!written && written.error().code != base::Code::kNotFound) return std::unexpected(written.error());
  if (written) view.object = *written;
  return {};
}

}  // namespace fairlead::node
