// EventRecorder: the events that `kubectl describe` and `kubectl events` show.
//
// Repetitions of one event (same object, field, reason and message) within an hour raise the count of the first. From the
// tenth different message about one thing within ten minutes on, they are one event, "(combined from similar events)".
// Source: client-go's event correlator.
// Loop thread only. Owner: the node.
#pragma once

#include <map>
#include <set>
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
  static constexpr size_t kMaxSimilar = 10;
  static constexpr std::chrono::minutes kSimilarWithin{10};
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
  // Events that differ only in what they say.
  struct Similar {
    std::set<std::string, std::less<>> messages;
    base::TimePoint last;
  };
  bool too_many_alike(const std::string& group, std::string_view message);
  void expire();

  io::Loop& loop_;
  store::Store& store_;
  api::Client& client_;
  std::map<std::string, Seen> seen_;
  std::map<std::string, Similar> similar_;
  uint64_t sequence_ = 0;
  io::Timer expiry_;
};

}  // namespace fairlead::node
