#include "flow/shaper.h"

#include <cmath>
#include <limits>

namespace fairlead::flow {
namespace {

constexpr int kColdFactor = 3;  // Sentinel's default of csp.sentinel.flow.cold.factor
constexpr std::int64_t kMsInNs = 1'000'000;

// Java's casts from double saturate and take NaN as 0; the curve of a rule with count 0 has both.
template <class T>
T cast(double value) {
  if (std::isnan(value)) return 0;
  if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  if (value <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  return static_cast<T>(value);
}

std::int64_t round(double value) { return cast<std::int64_t>(std::floor(value + 0.5)); }

// A sum that stays at the ends: a cost of "never" must not turn around.
std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

}  // namespace

Shaper::Shaper(const FlowRule& rule)
    : count_(rule.count),
      grade_(rule.grade),
      behavior_(rule.grade == kGradeQps ? rule.control_behavior : kBehaviorReject),
      max_queue_ms_(rule.max_queueing_time_ms) {
  if (behavior_ == kBehaviorThrottle && count_ > 0) {
    const std::int64_t rounded = round(count_);
    nanoseconds_ = rounded == 0 || 1000 % rounded != 0 || count_ > 1000;
  }
  if (behavior_ == kBehaviorWarmUp || behavior_ == kBehaviorWarmUpThrottle) {
    warning_tokens_ = cast<int>(rule.warm_up_period_sec * count_) / (kColdFactor - 1);
    max_tokens_ = cast<int>(warning_tokens_ + static_cast<double>(cast<int>(2 * rule.warm_up_period_sec * count_ / (1.0 + kColdFactor))));
    slope_ = (kColdFactor - 1.0) / count_ / (max_tokens_ - warning_tokens_);
  }
}

Shaper::Answer Shaper::ask(Node& node, std::int64_t now, int count, bool prioritized, std::int64_t& wait_ns) {
  bool pass = false;
  switch (behavior_) {
    case kBehaviorWarmUp:
      pass = warm_up(node, now, count);
      break;
    case kBehaviorThrottle:
      if (count <= 0) return Answer::Pass;
      if (count_ <= 0) return Answer::Refuse;
      pass = nanoseconds_ ? throttle(now * kMsInNs, round(1e9 * count / count_), max_queue_ms_ * kMsInNs, 1, wait_ns)
                          : throttle(now, round(1000.0 * count / count_), max_queue_ms_, kMsInNs, wait_ns);
      break;
    case kBehaviorWarmUpThrottle: {
      refill(now, node.previous_pass(now));
      const std::int64_t tokens = tokens_.load(std::memory_order_relaxed);
      const double rate = tokens >= warning_tokens_ ? warm_rate(tokens) : count_;
      pass = throttle(now, round(1.0 * count / rate * 1000), max_queue_ms_, kMsInNs, wait_ns);
      break;
    }
    default:
      return reject(node, now, count, prioritized, wait_ns);
  }
  return pass ? Answer::Pass : Answer::Refuse;
}

Shaper::Answer Shaper::reject(Node& node, std::int64_t now, int count, bool prioritized, std::int64_t& wait_ns) {
  const std::int64_t used = grade_ == kGradeThread ? node.threads() : node.pass_qps(now);
  if (static_cast<double>(used + count) <= count_) return Answer::Pass;
  if (!prioritized || grade_ != kGradeQps) return Answer::Refuse;
  const std::int64_t wait = node.try_occupy_next(now, count, count_);
  if (wait >= kOccupyTimeoutMs) return Answer::Refuse;
  node.occupy(now, wait, count);
  wait_ns += wait * kMsInNs;
  return Answer::Borrowed;
}

double Shaper::warm_rate(std::int64_t tokens) const {
  const double above = static_cast<double>(tokens - warning_tokens_);
  return std::nextafter(1.0 / (above * slope_ + 1.0 / count_), std::numeric_limits<double>::infinity());
}

bool Shaper::warm_up(Node& node, std::int64_t now, int count) {
  const std::int64_t passed = node.pass_qps(now);
  refill(now, node.previous_pass(now));
  const std::int64_t tokens = tokens_.load(std::memory_order_relaxed);
  return static_cast<double>(passed + count) <= (tokens >= warning_tokens_ ? warm_rate(tokens) : count_);
}

// Once a second: tokens come in unless the resource is busy, and go out with the calls of the second before.
void Shaper::refill(std::int64_t now, std::int64_t previous) {
  now -= now % 1000;
  const std::int64_t filled = filled_.load(std::memory_order_relaxed);
  if (now <= filled) return;
  std::int64_t old = tokens_.load(std::memory_order_relaxed);
  std::int64_t fresh = old;
  const bool fill = old < warning_tokens_ || (old > warning_tokens_ && previous < cast<int>(count_) / kColdFactor);
  if (fill) fresh = cast<std::int64_t>(static_cast<double>(old) + static_cast<double>(now - filled) * count_ / 1000);
  fresh = std::min<std::int64_t>(fresh, max_tokens_);
  if (!tokens_.compare_exchange_strong(old, fresh, std::memory_order_relaxed)) return;
  if (tokens_.fetch_sub(previous, std::memory_order_relaxed) - previous < 0) tokens_.store(0, std::memory_order_relaxed);
  filled_.store(now, std::memory_order_relaxed);
}

// Calls leave one after another, `cost` apart; times in units of unit_ns.
bool Shaper::throttle(std::int64_t now, std::int64_t cost, std::int64_t most, std::int64_t unit_ns, std::int64_t& wait_ns) {
  std::int64_t latest = latest_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t mine = add(cost, latest);
    if (mine > now && mine - now > most) return false;
    // One exchange takes the place: of two calls at once the second sees the first one's (the Java engine may let both pass here).
    if (!latest_.compare_exchange_weak(latest, mine <= now ? now : mine, std::memory_order_relaxed)) continue;
    if (mine > now) wait_ns += (mine - now) * unit_ns;
    return true;
  }
}

}  // namespace fairlead::flow
