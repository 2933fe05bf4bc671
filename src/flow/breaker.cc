#include "flow/breaker.h"

#include <cmath>

namespace fairlead::flow {

bool Breaker::change(BreakerState from, BreakerState to) {
  if (BreakerState expected = from; !state_.compare_exchange_strong(expected, to, std::memory_order_acq_rel)) return false;
  if (to == BreakerState::Closed) clear();
  if (*listener_) (*listener_)(rule_, from, to);
  return true;
}

void Breaker::clear() {
  bad_.store(0, std::memory_order_relaxed);
  total_.store(0, std::memory_order_relaxed);
}

void Breaker::turn(std::int64_t now) {
  const std::int64_t start = now - now % rule_.stat_interval_ms;
  while (start_.load(std::memory_order_acquire) < start) {
    if (turning_.exchange(true, std::memory_order_acquire)) continue;
    if (start_.load(std::memory_order_relaxed) < start) {
      clear();
      start_.store(start, std::memory_order_release);
    }
    turning_.store(false, std::memory_order_release);
  }
}

bool Breaker::pass(std::int64_t now, bool& probing) {
  const BreakerState state = state_.load(std::memory_order_acquire);
  if (state == BreakerState::Closed) return true;
  if (state == BreakerState::HalfOpen || now < retry_.load(std::memory_order_acquire)) return false;
  return probing = change(BreakerState::Open, BreakerState::HalfOpen);
}

void Breaker::probe_refused() { change(BreakerState::HalfOpen, BreakerState::Open); }

void Breaker::done(std::int64_t now, std::int64_t rt, bool failed) {
  turn(now);
  const bool by_rt = rule_.grade == kDegradeSlowRatio;
  const bool bad = by_rt ? rt > static_cast<std::int64_t>(std::floor(rule_.count + 0.5)) : failed;
  const std::int64_t bads = bad_.fetch_add(bad ? 1 : 0, std::memory_order_relaxed) + (bad ? 1 : 0);
  const std::int64_t total = total_.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::int64_t retry = now + std::int64_t{rule_.time_window} * 1000;

  const BreakerState state = state_.load(std::memory_order_acquire);
  if (state == BreakerState::Open) return;
  if (state == BreakerState::HalfOpen) {
    // The time is set first: another thread that sees Open must not find the old one over.
    if (bad) retry_.store(retry, std::memory_order_release);
    change(BreakerState::HalfOpen, bad ? BreakerState::Open : BreakerState::Closed);
    return;
  }
  if (total < rule_.min_request_amount) return;
  const double ratio = static_cast<double>(bads) / static_cast<double>(total);
  bool open = false;
  if (by_rt) {
    // A ratio can't exceed 1, so there being equal is enough.
    open = ratio > rule_.slow_ratio_threshold || (ratio == rule_.slow_ratio_threshold && ratio == 1.0);
  } else {
    open = (rule_.grade == kDegradeErrorRatio ? ratio : static_cast<double>(bads)) > rule_.count;
  }
  if (!open) return;
  retry_.store(retry, std::memory_order_release);
  change(BreakerState::Closed, BreakerState::Open);
}

}  // namespace fairlead::flow
