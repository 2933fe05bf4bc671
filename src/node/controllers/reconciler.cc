#include "node/controllers/reconciler.h"

#include <algorithm>

#include "base/log.h"

namespace fairlead::node {

using base::Value;

ObjectName name_of(const Value& object) {
  const Value& meta = object["metadata"];
  return {meta["namespace"].as_string(), meta["name"].as_string()};
}

Reconciler::Reconciler(io::Loop& loop, std::string controller, Function function)
    : loop_(loop), controller_(std::move(controller)), function_(std::move(function)), timer_(loop, [this] { on_timer(); }),
      alive_(std::make_shared<bool>(true)) {}

Reconciler::~Reconciler() { *alive_ = false; }

void Reconciler::enqueue(const ObjectName& name) {
  queue_.insert(name);
  if (posted_) return;
  posted_ = true;
  loop_.post([this, alive = alive_] {
    if (*alive) work();
  });
}

void Reconciler::enqueue_after(const ObjectName& name, base::Nanos delay) {
  auto at = loop_.now() + delay;
  auto [it, fresh] = later_.try_emplace(name, at);
  if (!fresh) it->second = std::min(it->second, at);
  auto first = std::min_element(later_.begin(), later_.end(), [](auto& a, auto& b) { return a.second < b.second; });
  timer_.arm(first->second - loop_.now());
}

void Reconciler::on_timer() {
  std::optional<base::TimePoint> next;
  for (auto it = later_.begin(); it != later_.end();) {
    if (it->second <= loop_.now()) {
      enqueue(it->first);
      it = later_.erase(it);
    } else {
      next = next ? std::min(*next, it->second) : it->second;
      ++it;
    }
  }
  if (next) timer_.arm(*next - loop_.now());
}

void Reconciler::work() {
  posted_ = false;
  auto batch = std::exchange(queue_, {});
  auto alive = alive_;
  for (const auto& name : batch) {
    auto done = function_(name);
    if (!*alive) return;
    if (done) {
      failures_.erase(name);
      continue;
    }
    int failures = failures_[name]++;
    auto delay = std::min<base::Nanos>(kFirstRetry * (1LL << std::min(failures, 20)), kLastRetry);
    if (done.error().code == base::Code::kConflict)
      FL_LOG_DEBUG(controller_, "{}: {}; again", name.text(), done.error().text());
    else
      FL_LOG_WARN(controller_, "{}: {}; again in {}", name.text(), done.error().text(), base::format_duration(delay));
    enqueue_after(name, delay);
  }
}

Watch::Watch(store::Store& store, std::string resource, std::function<void(const store::Event&)> callback) {
  // Subscribing first and listing then, in one go on the loop: nothing can happen in between.
  auto subscription = store.watch(resource, "", 0, callback);
  if (!subscription) {
    FL_LOG_ERROR("node", "cannot watch {}: {}", resource, subscription.error().text());
    return;
  }
  subscription_ = std::move(*subscription);
  uint64_t revision = store.revision();
  for (auto& object : store.list(resource)) {
    auto name = name_of(*object);
    callback({store::EventType::kAdded, {resource, name.ns, name.name}, object, nullptr, revision});
  }
}

const Value* controller_of(const Value& object) {
  for (auto& reference : object["metadata"]["ownerReferences"].items())
    if (reference["controller"].as_bool()) return &reference;
  return nullptr;
}

bool controlled_by(const Value& object, std::string_view uid) {
  const Value* reference = controller_of(object);
  return reference && (*reference)["uid"].as_string() == uid;
}

Value controller_reference(const Value& owner) {
  const Value& meta = owner["metadata"];
  return Value::object({{"apiVersion", owner["apiVersion"]}, {"kind", owner["kind"]}, {"name", meta["name"]},
                        {"uid", meta["uid"]}, {"controller", true}, {"blockOwnerDeletion", true}});
}

bool being_deleted(const Value& object) { return !object["metadata"]["deletionTimestamp"].is_null(); }

std::string now_rfc3339() { return base::format_rfc3339(std::chrono::system_clock::now()); }

const Value* condition(const Value& object, std::string_view type) {
  for (auto& c : object["status"]["conditions"].items())
    if (c["type"].as_string() == type) return &c;
  return nullptr;
}

bool condition_is_true(const Value& object, std::string_view type) {
  const Value* c = condition(object, type);
  return c && (*c)["status"].as_string() == "True";
}

bool pod_ready(const Value& pod) { return condition_is_true(pod, "Ready"); }

bool pod_finished(const Value& pod) {
  const std::string& phase = pod["status"]["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

bool pod_available(const Value& pod, std::chrono::seconds min_ready, base::WallTime now, base::Nanos* wait) {
  if (wait) *wait = base::Nanos(0);
  if (!pod_ready(pod)) return false;
  if (min_ready.count() == 0) return true;
  auto since = base::parse_rfc3339((*condition(pod, "Ready"))["lastTransitionTime"].as_string());
  if (!since) return false;
  if (*since + min_ready <= now) return true;
  if (wait) *wait = *since + min_ready - now;
  return false;
}

bool set_condition(Value& conditions, Value condition, std::string_view now) {
  const std::string type = condition["type"].as_string();
  for (auto& old : conditions.mutable_items()) {
    if (old["type"].as_string() != type) continue;
    const Value& before = old;
    bool moved = before["status"] != condition["status"];
    if (!moved && before["reason"] == condition["reason"] && before["message"] == condition["message"]) return false;
    condition.set("lastTransitionTime", moved ? Value(now) : before["lastTransitionTime"]);
    old = std::move(condition);
    return true;
  }
  condition.set("lastTransitionTime", now);
  conditions.push(std::move(condition));
  return true;
}

}  // namespace fairlead::node
