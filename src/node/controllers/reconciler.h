// Reconciler: a work queue of object names. Whatever happens to an object (or to something it depends on) enqueues its
// name; the function then looks at the store and does what is missing. Names queued twice are worked on once.
//
// Loop thread only. Owner: one controller each.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/loop.h"
#include "store/store.h"

namespace fairlead::node {

struct ObjectName {
  std::string ns, name;
  auto operator<=>(const ObjectName&) const = default;
  std::string text() const { return ns.empty() ? name : ns + "/" + name; }
};
ObjectName name_of(const base::Value& object);

class Reconciler {
 public:
  // Ok: done until the next event. An error is logged (conflicts quietly) and tried again after a delay that doubles from kFirstRetry.
  using Function = std::function<base::Status(const ObjectName&)>;
  static constexpr base::Millis kFirstRetry{5};
  static constexpr base::Millis kLastRetry{30'000};

  Reconciler(io::Loop& loop, std::string controller, Function function);
  ~Reconciler();
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;

  void enqueue(const ObjectName& name);                     // worked on in the next round of the loop
  void enqueue_after(const ObjectName& name, base::Nanos delay);  // also at that time; the earliest of several wins

 private:
  void work();
  void on_timer();

  io::Loop& loop_;
  const std::string controller_;
  Function function_;
  std::set<ObjectName> queue_;
  bool posted_ = false;
  std::map<ObjectName, base::TimePoint> later_;
  std::map<ObjectName, int> failures_;
  io::Timer timer_;
  std::shared_ptr<bool> alive_;
};

// Tells a function of everything there is of a resource, then of every change.
// The first calls (kAdded for what is there) run inside the constructor.
class Watch {
 public:
  Watch(store::Store& store, std::string resource, std::function<void(const store::Event&)> callback);

 private:
  std::unique_ptr<store::Subscription> subscription_;
};

// --- helpers that every controller needs

// metadata.ownerReferences' entry with controller: true; nullptr without one.
const base::Value* controller_of(const base::Value& object);
bool controlled_by(const base::Value& object, std::string_view uid);
base::Value controller_reference(const base::Value& owner);  // an ownerReferences entry, blockOwnerDeletion too
bool being_deleted(const base::Value& object);
std::string now_rfc3339();

// status.conditions' entry of a type; nullptr without one.
const base::Value* condition(const base::Value& object, std::string_view type);
bool condition_is_true(const base::Value& object, std::string_view type);
bool pod_ready(const base::Value& pod);
bool pod_finished(const base::Value& pod);      // phase Succeeded or Failed
// Ready for at least min_ready; `wait`, when given, gets the time that is missing (0 when not ready at all).
bool pod_available(const base::Value& pod, std::chrono::seconds min_ready, base::WallTime now, base::Nanos* wait = nullptr);

// Sets a condition in a list of conditions; lastTransitionTime moves only when status does. Returns true on a change
// of status, reason or message.
bool set_condition(base::Value& conditions, base::Value condition, std::string_view now);

}  // namespace fairlead::node
