#include "node/kubelet/probe.h"

#include <algorithm>

namespace fairlead::node {

std::string_view to_string(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup: return "Startup";
    case ProbeKind::kReadiness: return "Readiness";
    case ProbeKind::kLiveness: return "Liveness";
  }
  return "";
}

Prober::Prober(io::Loop& loop, ActionTarget& target, const base::Value& spec, ProbeKind kind, Hooks hooks)
    : loop_(loop), target_(target), spec_(spec), kind_(kind), hooks_(std::move(hooks)),
      period_(std::chrono::seconds(std::max<int64_t>(1, spec["periodSeconds"].as_int(10)))),
      timeout_(std::chrono::seconds(std::max<int64_t>(1, spec["timeoutSeconds"].as_int(1)))),
      success_threshold_(std::max<int64_t>(1, spec["successThreshold"].as_int(1))),
      failure_threshold_(std::max<int64_t>(1, spec["failureThreshold"].as_int(3))), quick_(kQuickFirst), timer_(loop, [this] { run(); }) {
  timer_.arm(std::chrono::seconds(spec["initialDelaySeconds"].as_int()));
}

void Prober::run() {
  if (first_run_ == base::TimePoint{}) first_run_ = loop_.now();
  action_ = run_action(loop_, target_, spec_, timeout_, [this](base::Status result) { finished(std::move(result)); });
}

void Prober::finished(base::Status result) {
  loop_.dispose(std::move(action_));
  const bool quick = !ever_succeeded_ && kind_ != ProbeKind::kLiveness;
  if (result) {
    ever_succeeded_ = true;
    failures_ = 0;
    timer_.arm(period_);
    if (++successes_ >= success_threshold_ && !(verdict_known_ && verdict_)) {
      verdict_known_ = verdict_ = true;
      // A startup probe is over once it succeeded.
      if (kind_ == ProbeKind::kStartup) timer_.cancel();
      hooks_.on_verdict(true);  // may destroy this
    }
    return;
  }
  successes_ = 0;
  if (quick) {
    timer_.arm(quick_);
    quick_ = std::min(quick_ * 3 / 2, period_);
  } else {
    timer_.arm(period_);
  }
  // A quarter of a period of slack: quick tries do not fall on the period exactly.
  bool counts = !quick || (counted_ ? loop_.now() - last_counted_ >= period_ * 3 / 4 : loop_.now() - first_run_ >= std::min<base::Nanos>(period_, kFirstCounted));
  if (!counts) return;
  // While it is quick, the next failure counts a period after this one, not a period after it was late.
  last_counted_ = counted_ && quick ? std::max(last_counted_ + period_, loop_.now() - period_ / 4) : loop_.now();
  counted_ = true;
  ++failures_;
  bool fell = failures_ >= failure_threshold_ && !(verdict_known_ && !verdict_);
  auto hooks = hooks_;
  hooks.on_failure(result.error().message);
  if (!fell) return;
  verdict_known_ = true;
  verdict_ = false;
  hooks.on_verdict(false);  // may destroy this
}

}  // namespace fairlead::node
