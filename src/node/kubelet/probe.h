// Prober: one probe of one container (startup, readiness or liveness) with its numbers.
//
// Source of the semantics: Kubernetes' prober worker. One liberty: until a startup or readiness probe has succeeded for
// the first time it is tried again after kQuickFirst, growing to the period, so that a pod is Ready as soon as it
// answers and not up to a period later. This is compatible: failures of the tries in between count for nothing
// (failureThreshold counts one failure a period, so the time a container is given stays the same), initialDelaySeconds
// is kept, and successThreshold above 1 counts at the period.
// Loop thread only. Owner: the container's worker.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/value.h"
#include "io/loop.h"
#include "node/kubelet/action.h"

namespace fairlead::node {

enum class ProbeKind : unsigned char { kStartup, kReadiness, kLiveness };
std::string_view to_string(ProbeKind kind);  // "Startup", "Readiness", "Liveness"

class Prober {
 public:
  static constexpr base::Millis kQuickFirst{50};
  // No program answers in its first moment: quick failures before this (or a period, if that is shorter) are not told.
  static constexpr base::Millis kFirstCounted{2000};

  struct Hooks {
    std::function<void(bool healthy)> on_verdict;                 // a threshold was crossed; first verdicts included
    std::function<void(const std::string& why)> on_failure;       // each failure that counts
  };
  Prober(io::Loop& loop, ActionTarget& target, const base::Value& spec, ProbeKind kind, Hooks hooks);

 private:
  void run();
  void finished(base::Status result);

  io::Loop& loop_;
  ActionTarget& target_;
  const base::Value spec_;
  const ProbeKind kind_;
  const Hooks hooks_;
  const base::Nanos period_, timeout_;
  const int64_t success_threshold_, failure_threshold_;
  base::TimePoint first_run_{}, last_counted_{};
  bool counted_ = false;          // last_counted_ is set
  bool ever_succeeded_ = false;
  bool verdict_known_ = false, verdict_ = false;
  int64_t successes_ = 0, failures_ = 0;
  base::Nanos quick_;
  std::unique_ptr<Action> action_;
  io::Timer timer_;
};

}  // namespace fairlead::node
