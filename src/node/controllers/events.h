// EventRecorder: the events that `kubectl describe` and `kubectl events` show.
//
// Repetitions of one event (same object, field, reason and message) within an hour raise the count of the first.
// Loop thread only. Owner: the node.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/client.h"
#include "base/value.h"
#include "io/loop.h"

namespace fairlead::node {

enum class EventLevel : unsigned char { kNormal, kWarning };

class EventRecorder {
 public:
  static constexpr size_t kMaxRemembered = 4096;
  static constexpr std::chrono::hours kTtl{1};  // --event-ttl of kube-apiserver

  EventRecorder(io::Loop& loop, store::Store& store, api::Client& client);

  // component: "kubelet", "deployment-controller", "default-scheduler" ... field: "spec.containers{app}" or "".
  void record(const base::Value& about, EventLevel level, std::string_view reason, std::string_view message,
              std::string_view component, std::string_view field = {});

 private:
  struct Seen {
    std::string ns, name;
    int64_t count = 1;
    base::TimePoint last;
  };
  void expire();

  io::Loop& loop_;
  store::Store& store_;
  api::Client& client_;
  std::map<std::string, Seen> seen_;
  uint64_t sequence_ = 0;
  io::Timer expiry_;
};

}  // namespace fairlead::node
