// Sliding windows of counters (Sentinel's LeapArray, BucketLeapArray and OccupiableBucketLeapArray) and the node that has one of a
// second in 2 buckets and one of a minute in 60. Any thread; no lock on the path but a try-lock when a bucket begins a new window.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "flow/statistics.h"

namespace fairlead::flow {

inline constexpr std::int64_t kMaxRtMs = 5000;         // Sentinel's statistic.max.rt: the smallest RT of an empty bucket
inline constexpr std::int64_t kOccupyTimeoutMs = 500;  // the longest wait for a borrowed place

// One cache line.
struct alignas(64) Bucket {
  std::atomic<std::int64_t> start{-1};  // -1: never used
  std::atomic<std::int64_t> pass{0};
  std::atomic<std::int64_t> block{0};
  std::atomic<std::int64_t> success{0};
  std::atomic<std::int64_t> error{0};
  std::atomic<std::int64_t> rt{0};
  std::atomic<std::int64_t> min_rt{kMaxRtMs};
  std::atomic<std::int64_t> occupied{0};

  void clear() {
    for (auto* each : {&pass, &block, &success, &error, &rt, &occupied}) each->store(0, std::memory_order_relaxed);
    min_rt.store(kMaxRtMs, std::memory_order_relaxed);
  }
};

template <int kCount, std::int64_t kLengthMs>
class Window {
 public:
  static constexpr std::int64_t kIntervalMs = kCount * kLengthMs;

  static std::int64_t start_of(std::int64_t now) { return now - offset_in(now); }

  // The bucket of `now`, emptied if its window is a new one; `refill(bucket, start)` may put something in before it is seen.
  template <class Refill>
  Bucket& current(std::int64_t now, Refill refill) {
    Bucket& bucket = buckets_[place_of(now)];
    const std::int64_t start = start_of(now);
    while (bucket.start.load(std::memory_order_acquire) < start) {
      if (turning_.exchange(true, std::memory_order_acquire)) continue;
      if (bucket.start.load(std::memory_order_relaxed) < start) {
        bucket.clear();
        refill(bucket, start);
        bucket.start.store(start, std::memory_order_release);
      }
      turning_.store(false, std::memory_order_release);
    }
    return bucket;  // A clock that went back counts in the newer window: nothing is lost.
  }
  Bucket& current(std::int64_t now) {
    return current(now, [](Bucket&, std::int64_t) {});
  }

  // The bucket whose window holds `time`, or null.
  const Bucket* at(std::int64_t time) const {
    const Bucket& bucket = buckets_[place_of(time)];
    return bucket.start.load(std::memory_order_acquire) == start_of(time) ? &bucket : nullptr;
  }

  // As LeapArray.getPreviousWindow: the neighbour may be up to the whole interval old as long as it holds now - length.
  const Bucket* previous(std::int64_t now) const {
    const std::int64_t before = now - kLengthMs;
    const Bucket& bucket = buckets_[place_of(before)];
    const std::int64_t start = bucket.start.load(std::memory_order_acquire);
    if (start < 0 || now - start > kIntervalMs || start + kLengthMs < before) return nullptr;
    return &bucket;
  }

  // When the newest bucket began; -1: nothing was ever counted.
  std::int64_t newest() const {
    std::int64_t newest = -1;
    for (const Bucket& bucket : buckets_) newest = std::max(newest, bucket.start.load(std::memory_order_relaxed));
    return newest;
  }

  template <class Visit>
  void each_valid(std::int64_t now, Visit visit) const {
    for (const Bucket& bucket : buckets_) {
      const std::int64_t start = bucket.start.load(std::memory_order_acquire);
      if (start >= 0 && now - start <= kIntervalMs) visit(bucket);
    }
  }

  // Those that count at `now`, without beginning its window: looking is not using.
  template <class Visit>
  void each_live(std::int64_t now, Visit visit) const {
    for (const Bucket& bucket : buckets_)
      if (bucket.start.load(std::memory_order_acquire) > start_of(now) - kIntervalMs) visit(bucket);
  }

  std::int64_t sum(std::int64_t now, std::atomic<std::int64_t> Bucket::*counter) const {
    std::int64_t total = 0;
    each_valid(now, [&](const Bucket& bucket) { total += (bucket.*counter).load(std::memory_order_relaxed); });
    return total;
  }

  // Places promised in windows that have not begun (FutureBucketLeapArray).
  std::int64_t ahead(std::int64_t now) const {
    std::int64_t total = 0;
    for (const Bucket& bucket : buckets_)
      if (bucket.start.load(std::memory_order_acquire) > now) total += bucket.pass.load(std::memory_order_relaxed);
    return total;
  }

 private:
  // Without a sign a division is a multiplication and nothing more. Times are not negative.
  static std::size_t place_of(std::int64_t time) { return static_cast<std::uint64_t>(time) / kLengthMs % kCount; }
  static std::int64_t offset_in(std::int64_t time) { return static_cast<std::int64_t>(static_cast<std::uint64_t>(time) % kLengthMs); }

  std::array<Bucket, kCount> buckets_;
  std::atomic<bool> turning_{false};
};

// Times are milliseconds of the engine's clock.
class Node {
 public:
  void add_pass(std::int64_t now, int count) {
    second(now).pass.fetch_add(count, std::memory_order_relaxed);
    minute_.current(now).pass.fetch_add(count, std::memory_order_relaxed);
  }
  void add_block(std::int64_t now, int count) {
    second(now).block.fetch_add(count, std::memory_order_relaxed);
    minute_.current(now).block.fetch_add(count, std::memory_order_relaxed);
  }
  void add_done(std::int64_t now, std::int64_t rt, int count, bool failed) {
    const auto add = [=](Bucket& bucket) {
      bucket.success.fetch_add(count, std::memory_order_relaxed);
      if (rt != 0) bucket.rt.fetch_add(rt, std::memory_order_relaxed);  // most calls end within their millisecond
      if (rt < bucket.min_rt.load(std::memory_order_relaxed)) bucket.min_rt.store(rt, std::memory_order_relaxed);
      if (failed) bucket.error.fetch_add(count, std::memory_order_relaxed);
    };
    add(second(now));
    add(minute_.current(now));
  }
  void add_threads(int by) { threads_.fetch_add(by, std::memory_order_relaxed); }
  // The last that a call does with the node: who then sees threads() at 0 sees all that it did.
  void end_thread() { threads_.fetch_sub(1, std::memory_order_release); }

  std::int64_t pass_qps(std::int64_t now) {
    second(now);
    return second_.sum(now, &Bucket::pass);
  }
  std::int64_t block_qps(std::int64_t now) {
    second(now);
    return second_.sum(now, &Bucket::block);
  }
  std::int64_t previous_pass(std::int64_t now) {
    minute_.current(now);
    const Bucket* bucket = minute_.previous(now);
    return bucket != nullptr ? bucket->pass.load(std::memory_order_relaxed) : 0;
  }
  double average_rt(std::int64_t now) {
    second(now);
    const std::int64_t done = second_.sum(now, &Bucket::success);
    return done == 0 ? 0 : static_cast<double>(second_.sum(now, &Bucket::rt)) / static_cast<double>(done);
  }
  // The largest number of finished calls of a bucket, as calls a second, and the smallest RT: Sentinel's estimate of capacity.
  double max_success_qps(std::int64_t now) {
    second(now);
    std::int64_t most = 1;
    second_.each_valid(now, [&](const Bucket& b) { most = std::max(most, b.success.load(std::memory_order_relaxed)); });
    return static_cast<double>(most) * 2;
  }
  std::int64_t min_rt(std::int64_t now) {
    second(now);
    std::int64_t least = kMaxRtMs;
    second_.each_valid(now, [&](const Bucket& b) { least = std::min(least, b.min_rt.load(std::memory_order_relaxed)); });
    return std::max<std::int64_t>(1, least);
  }
  std::int64_t threads() const { return threads_.load(std::memory_order_acquire); }
  std::int64_t last_used() const { return second_.newest(); }

  Statistics read(std::int64_t now) const {
    Statistics all{.threads = threads()};
    std::int64_t rt = 0;
    const auto value = [](const std::atomic<std::int64_t>& counter) { return counter.load(std::memory_order_relaxed); };
    second_.each_live(now, [&](const Bucket& each) {
      all.pass += value(each.pass);
      all.block += value(each.block);
      all.success += value(each.success);
      all.exception += value(each.error);
      rt += value(each.rt);
    });
    if (second_.at(now) == nullptr)
      if (const Bucket* promised = future_.at(now)) all.pass += value(promised->pass);
    minute_.each_live(now, [&](const Bucket& each) {
      all.minute_pass += value(each.pass);
      all.minute_block += value(each.block);
      all.minute_success += value(each.success);
      all.minute_exception += value(each.error);
    });
    if (all.success > 0) all.average_rt_ms = static_cast<double>(rt) / static_cast<double>(all.success);
    return all;
  }

  // Seconds that have ended, began after `after`, and in which something happened; in any order.
  template <class Visit>
  void each_second(std::int64_t now, std::int64_t after, Visit visit) const {
    minute_.each_live(now, [&](const Bucket& each) {
      const auto value = [](const std::atomic<std::int64_t>& counter) { return counter.load(std::memory_order_relaxed); };
      Metric second{.time_ms = each.start.load(std::memory_order_acquire), .resource = {}, .pass = value(each.pass), .block = value(each.block),
                    .success = value(each.success), .exception = value(each.error), .rt_ms = value(each.rt), .occupied = value(each.occupied),
                    .threads = threads()};
      if (second.time_ms <= after || second.time_ms >= now - now % 1000) return;
      if (second.success > 0) second.rt_ms /= second.success;
      if (second.pass > 0 || second.block > 0 || second.success > 0 || second.exception > 0 || second.rt_ms > 0 || second.occupied > 0) visit(std::move(second));
    });
  }

  // How long a prioritized call must wait for a place of the next window; kOccupyTimeoutMs: there is none.
  std::int64_t try_occupy_next(std::int64_t now, int count, double threshold) {
    future_.current(now);
    const std::int64_t borrowed = future_.ahead(now);
    if (static_cast<double>(borrowed) >= threshold) return kOccupyTimeoutMs;
    std::int64_t passed = pass_qps(now);
    std::int64_t earliest = Second::start_of(now) + 500 - Second::kIntervalMs;
    for (std::int64_t index = 0; earliest < now; ++index, earliest += 500) {
      const std::int64_t wait = index * 500 + 500 - now % 500;
      if (wait >= kOccupyTimeoutMs) break;
      const Bucket* bucket = second_.at(earliest);
      const std::int64_t leaving = bucket != nullptr ? bucket->pass.load(std::memory_order_relaxed) : 0;
      if (static_cast<double>(passed + borrowed + count - leaving) <= threshold) return wait;
      passed -= leaving;
    }
    return kOccupyTimeoutMs;
  }
  void occupy(std::int64_t now, std::int64_t wait, int count) {
    future_.current(now + wait).pass.fetch_add(count, std::memory_order_relaxed);
    Bucket& bucket = minute_.current(now);
    bucket.occupied.fetch_add(count, std::memory_order_relaxed);
    bucket.pass.fetch_add(count, std::memory_order_relaxed);
  }

 private:
  using Second = Window<2, 500>;

  Bucket& second(std::int64_t now) {
    return second_.current(now, [this](Bucket& bucket, std::int64_t start) {
      if (const Bucket* promised = future_.at(start)) bucket.pass.store(promised->pass.load(std::memory_order_relaxed), std::memory_order_relaxed);
    });
  }

  Second second_;
  Second future_;
  Window<60, 1000> minute_;
  std::atomic<std::int64_t> threads_{0};
};

}  // namespace fairlead::flow
