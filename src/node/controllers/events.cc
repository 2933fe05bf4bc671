#include "node/controllers/events.h"

#include <fmt/format.h>

#include "base/log.h"
#include "node/controllers/reconciler.h"

namespace fairlead::node {

using base::Value;

EventRecorder::EventRecorder(io::Loop& loop, store::Store& store, api::Client& client)
    : loop_(loop), store_(store), client_(client), expiry_(loop, [this] { expire(); }) {
  expiry_.arm(std::chrono::minutes(5));
}

bool EventRecorder::too_many_alike(const std::string& group, std::string_view message) {
  if (similar_.size() >= kMaxRemembered) similar_.clear();
  Similar& s = similar_[group];
  if (loop_.now() - s.last > kSimilarWithin) s.messages.clear();
  s.last = loop_.now();
  s.messages.emplace(message);
  if (s.messages.size() < kMaxSimilar) return false;
  s.messages.erase(s.messages.begin());
  return true;
}

void EventRecorder::record(const Value& about, EventLevel level, std::string_view reason, std::string_view message,
                           std::string_view component, std::string_view field) {
  std::string combined;
  const Value& meta = about["metadata"];
  std::string ns = meta["namespace"].string_or("default");
  std::string now = now_rfc3339();
  std::string identity = fmt::format("{}\n{}\n{}\n{}\n{}", meta["uid"].as_string(), about["kind"].as_string(), field, reason, component);
  if (too_many_alike(identity, message)) {
    combined = fmt::format("(combined from similar events): {}", message);
    message = combined;
  } else {
    identity += fmt::format("\n{}", message);
  }
  if (auto it = seen_.find(identity); it != seen_.end()) {
    Seen& seen = it->second;
    ++seen.count;
    seen.last = loop_.now();
    store::Key key{"events", seen.ns, seen.name};
    if (client_.patch(key, Value::object({{"count", seen.count}, {"lastTimestamp", now}, {"message", message}}))) return;
    seen_.erase(it);  // somebody deleted it: a new one follows
  }
  if (seen_.size() >= kMaxRemembered) seen_.clear();  // worst case: a repetition is told as a new event
  // The name Kubernetes gives: the object's, and the time in hexadecimal.
  auto stamp = std::chrono::duration_cast<base::Nanos>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string name = fmt::format("{}.{:x}", meta["name"].as_string(), static_cast<uint64_t>(stamp) + sequence_++);
  Value involved = Value::object({{"kind", about["kind"]}, {"namespace", ns}, {"name", meta["name"]}, {"uid", meta["uid"]},
                                  {"apiVersion", about["apiVersion"]}, {"resourceVersion", meta["resourceVersion"]}});
  if (!field.empty()) involved.set("fieldPath", field);
  Value source = Value::object({{"component", component}});
  if (component == "kubelet") source.set("host", "fairlead");
  auto created = client_.create_now(Value::object({
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata", Value::object({{"name", name}, {"namespace", ns}})},
      {"involvedObject", std::move(involved)},
      {"reason", reason},
      {"message", message},
      {"source", std::move(source)},
      {"firstTimestamp", now},
      {"lastTimestamp", now},
      {"count", 1},
      {"type", level == EventLevel::kNormal ? "Normal" : "Warning"},
      {"eventTime", nullptr},
      {"reportingComponent", component},
      {"reportingInstance", component == "kubelet" ? "fairlead" : ""},
  }));
  if (!created) {
    // The namespace may be on its way out; events are a courtesy.
    FL_LOG_DEBUG("events", "{} {}: {}", reason, meta["name"].as_string(), created.error().text());
    return;
  }
  seen_[identity] = {ns, name, 1, loop_.now()};
}

void EventRecorder::expire() {
  std::erase_if(similar_, [&](auto& entry) { return loop_.now() - entry.second.last > kSimilarWithin; });
  std::erase_if(seen_, [&](auto& entry) { return loop_.now() - entry.second.last > kTtl; });
  auto oldest = std::chrono::system_clock::now() - kTtl;
  for (auto& event : store_.list("events")) {
    auto last = base::parse_rfc3339((*event)["lastTimestamp"].as_string());
    if (!last) last = base::parse_rfc3339((*event)["metadata"]["creationTimestamp"].as_string());
    if (last && *last < oldest) {
      auto name = name_of(*event);
      (void)store_.remove({"events", name.ns, name.name});
    }
  }
  expiry_.arm(std::chrono::minutes(5));
}

}  // namespace fairlead::node
