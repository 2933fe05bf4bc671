// How one flow rule lets calls through (Sentinel's DefaultController, WarmUpController, ThrottlingController and
// WarmUpRateLimiterController of 1.8.8). Any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "flow/rules.h"
#include "flow/window.h"

namespace fairlead::flow {

class Shaper {
 public:
  enum class Answer : std::uint8_t { Pass, Refuse, Borrowed };
  explicit Shaper(const FlowRule& rule);
  // Adds to wait_ns what the call must wait. Borrowed: the place is counted already, and later rules are not asked.
  Answer ask(Node& node, std::int64_t now, int count, bool prioritized, std::int64_t& wait_ns);

 private:
  Answer reject(Node& node, std::int64_t now, int count, bool prioritized, std::int64_t& wait_ns);
  bool warm_up(Node& node, std::int64_t now, int count);
  bool throttle(std::int64_t now, std::int64_t cost, std::int64_t most, std::int64_t unit_ns, std::int64_t& wait_ns);
  void refill(std::int64_t now, std::int64_t previous);
  double warm_rate(std::int64_t tokens) const;

  const double count_;
  const int grade_;
  const int behavior_;
  const int max_queue_ms_;
  bool nanoseconds_ = false;
  int warning_tokens_ = 0;
  int max_tokens_ = 0;
  double slope_ = 0;
  std::atomic<std::int64_t> tokens_{0};
  std::atomic<std::int64_t> filled_{0};
  std::atomic<std::int64_t> latest_{-1};
};

}  // namespace fairlead::flow
