// BackOff: how long a container that ended waits for its next start. Kubernetes' numbers: at once the first time, then
// 10 s, doubling to 5 min; forgotten after 10 min of running. A value.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace fairlead::node {

struct BackOffLimits {
  base::Nanos first = std::chrono::seconds(10);
  base::Nanos last = std::chrono::minutes(5);
  base::Nanos forget_after = std::chrono::minutes(10);
};

class BackOff {
 public:
  explicit BackOff(BackOffLimits limits = {}) : limits_(limits) {}

  // The thing that was started at `started` failed or ended: the delay until it may start again.
  base::Nanos next(base::Nanos ran_for) {
    if (ran_for >= limits_.forget_after) delay_ = base::Nanos(-1);
    if (delay_.count() < 0) {
      delay_ = base::Nanos(0);
    } else {
      delay_ = delay_.count() == 0 ? limits_.first : std::min(delay_ * 2, limits_.last);
    }
    return delay_;
  }
  // As next(), but the first one waits too (image pulls).
  base::Nanos next_failure() {
    delay_ = delay_.count() <= 0 ? limits_.first : std::min(delay_ * 2, limits_.last);
    return delay_;
  }
  void reset() { delay_ = base::Nanos(-1); }

 private:
  BackOffLimits limits_;
  base::Nanos delay_{-1};
};

}  // namespace fairlead::node
