#include "node/controllers/replicaset.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/strings.h"
#include "mesh/selector.h"

namespace fairlead::node {

using base::Value;
using store::ObjectPtr;

namespace {
constexpr const char* kSets = "replicasets.apps";
constexpr const char* kComponent = "replicaset-controller";

bool active(const Value& pod) { return !being_deleted(pod) && !pod_finished(pod); }

int64_t restarts(const Value& pod) {
  int64_t most = 0;
  for (auto& c : pod["status"]["containerStatuses"].items()) most = std::max(most, c["restartCount"].as_int());
  return most;
}
}  // namespace

// controller.ActivePodsWithRanks: the first to go stand first.
void sort_for_deletion(std::vector<ObjectPtr>& pods) {
  auto key = [](const Value& pod) {
    const std::string& phase = pod["status"]["phase"].as_string();
    int rank = phase == "Pending" ? 0 : phase == "Running" ? 2 : 1;
    bool ready = pod_ready(pod);
    const Value* c = condition(pod, "Ready");
    std::string ready_since = ready && c ? (*c)["lastTransitionTime"].as_string() : "";
    auto cost = base::to_int(pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].as_string());
    return std::tuple(!pod["spec"]["nodeName"].as_string().empty(), rank, ready, cost.value_or(0), ready_since, restarts(pod),
                      pod["metadata"]["creationTimestamp"].as_string(), pod["metadata"]["name"].as_string());
  };
  std::sort(pods.begin(), pods.end(), [&](const ObjectPtr& left, const ObjectPtr& right) {
    auto a = key(*left), b = key(*right);
    if (std::get<0>(a) != std::get<0>(b)) return !std::get<0>(a);
    if (std::get<1>(a) != std::get<1>(b)) return std::get<1>(a) < std::get<1>(b);
    if (std::get<2>(a) != std::get<2>(b)) return !std::get<2>(a);
    if (std::get<3>(a) != std::get<3>(b)) return std::get<3>(a) < std::get<3>(b);
    if (std::get<4>(a) != std::get<4>(b)) return std::get<4>(a) > std::get<4>(b);  // ready for a shorter time
    if (std::get<5>(a) != std::get<5>(b)) return std::get<5>(a) > std::get<5>(b);  // restarted more often
    if (std::get<6>(a) != std::get<6>(b)) return std::get<6>(a) > std::get<6>(b);  // younger
    return std::get<7>(a) < std::get<7>(b);
  });
}

Value pod_from_template(const Value& owner) {
  const Value& pod_template = owner["spec"]["template"];
  const Value& from = pod_template["metadata"];
  const Value& owner_meta = owner["metadata"];
  Value meta = Value::object({{"generateName", owner_meta["name"].as_string() + "-"}, {"namespace", owner_meta["namespace"]}});
  if (!from["labels"].empty()) meta.set("labels", from["labels"]);
  if (!from["annotations"].empty()) meta.set("annotations", from["annotations"]);
  if (!from["finalizers"].empty()) meta.set("finalizers", from["finalizers"]);
  meta.set("ownerReferences", Value::array({controller_reference(owner)}));
  return Value::object({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", std::move(meta)}, {"spec", pod_template["spec"]}});
}

ReplicaSetController::ReplicaSetController(io::Loop& loop, store::Store& store, api::Client& client, EventRecorder& events)
    : store_(store), client_(client), events_(events), queue_(loop, kComponent, [this](const ObjectName& n) { return reconcile(n); }),
      alive_(std::make_shared<bool>(true)) {
  sets_ = std::make_unique<Watch>(store, kSets, [this](const store::Event& e) {
    if (e.type == store::EventType::kDeleted) {
      const std::string& uid = (*e.object)["metadata"]["uid"].as_string();
      creating_.erase(uid);
      failures_.erase(uid);
    }
    queue_.enqueue({e.key.ns, e.key.name});
  });
  pods_ = std::make_unique<Watch>(store, "pods", [this](const store::Event& e) { on_pod(e); });
}

ReplicaSetController::~ReplicaSetController() { *alive_ = false; }

void ReplicaSetController::on_pod(const store::Event& event) {
  for (auto& state : {event.object, event.previous}) {
    if (!state) continue;
    if (const Value* owner = controller_of(*state)) {
      if ((*owner)["kind"].as_string() == "ReplicaSet") queue_.enqueue({event.key.ns, (*owner)["name"].as_string()});
      continue;
    }
    // An orphan: whoever's selector fits may adopt it.
    for (auto& set : store_.list(kSets, event.key.ns)) {
      auto selector = mesh::LabelSelector::from_object((*set)["spec"]["selector"]);
      if (selector && selector->matches((*state)["metadata"]["labels"])) queue_.enqueue(name_of(*set));
    }
  }
}

base::Result<std::vector<ObjectPtr>> ReplicaSetController::claim_pods(const Value& set) {
  const std::string& uid = set["metadata"]["uid"].as_string();
  auto selector = mesh::LabelSelector::from_object(set["spec"]["selector"]);
  if (!selector) return std::unexpected(selector.error());
  std::vector<ObjectPtr> mine;
  for (auto& pod : store_.list("pods", set["metadata"]["namespace"].as_string())) {
    auto name = name_of(*pod);
    bool fits = selector->matches((*pod)["metadata"]["labels"]);
    if (controlled_by(*pod, uid)) {
      if (fits) {
        mine.push_back(pod);
      } else if (!being_deleted(set)) {
        // Relabelled: it is let go and lives on by itself.
        Value rest = Value::array();
        for (auto& reference : (*pod)["metadata"]["ownerReferences"].items())
          if (reference["uid"].as_string() != uid) rest.push(reference);
        auto released = client_.patch({"pods", name.ns, name.name}, Value::object({{"metadata", Value::object({{"ownerReferences", std::move(rest)}})}}));
        if (!released && released.error().code != base::Code::kNotFound) return std::unexpected(released.error());
      }
    } else if (!controller_of(*pod) && fits && active(*pod) && !being_deleted(set)) {
      Value references = (*pod)["metadata"]["ownerReferences"].is_array() ? (*pod)["metadata"]["ownerReferences"] : Value::array();
      references.push(controller_reference(set));
      auto adopted = client_.patch({"pods", name.ns, name.name}, Value::object({{"metadata", Value::object({{"ownerReferences", std::move(references)}})}}));
      if (adopted)
        mine.push_back(*adopted);
      else if (adopted.error().code != base::Code::kNotFound)
        return std::unexpected(adopted.error());
    }
  }
  return mine;
}

base::Status ReplicaSetController::reconcile(const ObjectName& name) {
  auto set = store_.get({kSets, name.ns, name.name});
  if (!set) return {};
  const Value& object = **set;
  auto claimed = claim_pods(object);
  if (!claimed) return std::unexpected(claimed.error());
  std::vector<ObjectPtr> running;
  for (auto& pod : *claimed)
    if (active(*pod)) running.push_back(pod);
  if (!being_deleted(object)) {
    int64_t wanted = object["spec"]["replicas"].as_int(1);
    int64_t have = static_cast<int64_t>(running.size()) + creating_[object["metadata"]["uid"].as_string()];
    if (have < wanted)
      create_pods(object, wanted - have);
    else if (have > wanted)
      delete_pods(object, running, have - wanted);
  }
  // As it is after that: creations without a webhook are in the store already.
  std::vector<ObjectPtr> now;
  const std::string uid = object["metadata"]["uid"].as_string();
  for (auto& pod : store_.list("pods", name.ns))
    if (controlled_by(*pod, uid) && active(*pod)) now.push_back(pod);
  return write_status(*set, now);
}

void ReplicaSetController::create_pods(const Value& set, int64_t count) {
  const std::string uid = set["metadata"]["uid"].as_string();
  const ObjectName name = name_of(set);
  // When the last one was refused, one at a time finds out whether the reason is gone.
  if (failures_.contains(uid)) count = 1;
  for (int64_t i = 0; i < count; ++i) {
    ++creating_[uid];
    client_.create(pod_from_template(set), [this, alive = alive_, uid, name](base::Result<ObjectPtr> created) {
      if (!*alive) return;
      if (auto it = creating_.find(uid); it != creating_.end() && --it->second <= 0) creating_.erase(it);
      auto owner = store_.get({kSets, name.ns, name.name});
      if (created) {
        bool healed = failures_.erase(uid) > 0;
        if (owner) events_.record(**owner, EventLevel::kNormal, "SuccessfulCreate", "Created pod: " + (**created)["metadata"]["name"].as_string(), kComponent);
        if (healed) queue_.enqueue(name);
        return;
      }
      bool first = failures_.insert_or_assign(uid, created.error().text()).second;
      if (owner) events_.record(**owner, EventLevel::kWarning, "FailedCreate", "Error creating: " + created.error().text(), kComponent);
      queue_.enqueue_after(name, first ? base::Millis(200) : base::Millis(2000));
    });
    if (failures_.contains(uid)) break;
  }
}

void ReplicaSetController::delete_pods(const Value& set, std::vector<ObjectPtr> pods, int64_t count) {
  sort_for_deletion(pods);
  for (auto& pod : pods) {
    if (count-- <= 0) break;
    auto name = name_of(*pod);
    api::DeleteOptions options;
    options.uid = (*pod)["metadata"]["uid"].as_string();
    auto gone = client_.remove({"pods", name.ns, name.name}, options);
    if (gone)
      events_.record(set, EventLevel::kNormal, "SuccessfulDelete", "Deleted pod: " + name.name, kComponent);
    else if (gone.error().code != base::Code::kNotFound)
      events_.record(set, EventLevel::kWarning, "FailedDelete", "Error deleting: " + gone.error().text(), kComponent);
  }
}

base::Status ReplicaSetController::write_status(const ObjectPtr& set, const std::vector<ObjectPtr>& pods) {
  const Value& object = *set;
  const Value& before = object["status"];
  std::chrono::seconds min_ready(object["spec"]["minReadySeconds"].as_int());
  auto now = std::chrono::system_clock::now();
  int64_t ready = 0, available = 0, labeled = 0;
  base::Nanos soonest(0);
  auto selector = mesh::LabelSelector::from_map(object["spec"]["template"]["metadata"]["labels"]);
  for (auto& pod : pods) {
    if (selector.matches((*pod)["metadata"]["labels"])) ++labeled;
    if (!pod_ready(*pod)) continue;
    ++ready;
    base::Nanos wait;
    if (pod_available(*pod, min_ready, now, &wait)) ++available;
    if (wait.count() > 0 && (soonest.count() == 0 || wait < soonest)) soonest = wait;
  }
  if (soonest.count() > 0) queue_.enqueue_after(name_of(object), soonest);
  Value status = Value::object({{"replicas", pods.size()}});
  if (labeled) status.set("fullyLabeledReplicas", labeled);
  if (ready) status.set("readyReplicas", ready);
  if (available) status.set("availableReplicas", available);
  status.set("observedGeneration", object["metadata"]["generation"]);
  Value conditions = Value::array();
  for (auto& c : before["conditions"].items())
    if (c["type"].as_string() != "ReplicaFailure") conditions.push(c);
  if (auto it = failures_.find(object["metadata"]["uid"].as_string()); it != failures_.end()) {
    if (const Value* old = condition(object, "ReplicaFailure")) conditions.push(*old);
    set_condition(conditions, Value::object({{"type", "ReplicaFailure"}, {"status", "True"}, {"reason", "FailedCreate"}, {"message", it->second}}), now_rfc3339());
  }
  if (!conditions.empty()) status.set("conditions", std::move(conditions));
  if (status == before) return {};
  Value update = object;
  update.set("status", std::move(status));
  update["metadata"].erase("resourceVersion");
  auto written = client_.update_status(std::move(update));
  if (!written && written.error().code != base::Code::kNotFound) return std::unexpected(written.error());
  return {};
}

}  // namespace fairlead::node
