// The circuit breaker of one degrade rule (Sentinel's ResponseTimeCircuitBreaker and ExceptionCircuitBreaker). Any thread.
//
//   Closed --threshold exceeded--> Open --timeWindow over, one call goes--> HalfOpen --it did well--> Closed
//                                   ^---------------- it did badly, or a later rule refused it ---------'
#pragma once

#include <atomic>
#include <cstdint>

#include "flow/engine.h"

namespace fairlead::flow {

class Breaker {
 public:
  Breaker(const DegradeRule& rule, const Engine::BreakerListener* listener) : rule_(rule), listener_(listener) {}

  // Sets `probing` when this very call is the one that half-open lets through.
  bool pass(std::int64_t now, bool& probing);
  void probe_refused();
  void done(std::int64_t now, std::int64_t rt, bool failed);
  const DegradeRule& rule() const { return rule_; }
  BreakerState state() const { return state_.load(std::memory_order_acquire); }

 private:
  bool change(BreakerState from, BreakerState to);
  void turn(std::int64_t now);
  void clear();

  const DegradeRule rule_;
  const Engine::BreakerListener* const listener_;
  std::atomic<BreakerState> state_{BreakerState::Closed};
  std::atomic<std::int64_t> retry_{0};
  // The only window, statIntervalMs long.
  std::atomic<std::int64_t> start_{-1};
  std::atomic<std::int64_t> bad_{0};
  std::atomic<std::int64_t> total_{0};
  std::atomic<bool> turning_{false};
};

}  // namespace fairlead::flow
