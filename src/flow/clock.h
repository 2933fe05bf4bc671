// The system's time in milliseconds, read twice for every call. On x86 with a time-stamp counter that never stops or changes its pace, the
// kernel is asked once a millisecond and thread; in between the counter says that the millisecond lasts. A clock that is set is
// therefore seen up to a millisecond late. Any thread.
#pragma once

#include <time.h>

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

#include <atomic>
#endif

namespace fairlead::flow {

inline std::int64_t kernel_now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

#if defined(__x86_64__)

class SystemClock {
 public:
  static std::int64_t now_ms() {
    const std::uint64_t ticks = __rdtsc();
    const Seen& seen = seen_;
    // A counter that went back (another machine) is far beyond, too.
    if (ticks - seen.ticks < seen.lasts) return seen.ms;
    return ask(ticks);
  }

 private:
  struct Seen {
    std::uint64_t ticks, lasts;  // when the kernel was asked, and for how long its answer holds
    std::int64_t ms;
  };

  static std::int64_t ask(std::uint64_t ticks) {
    const std::int64_t ns = kernel_now_ns(CLOCK_REALTIME);
    const std::int64_t ms = ns / 1'000'000;
    const double pace = pace_.load(std::memory_order_relaxed);
    if (pace > 0) {
      // The counter was read before the clock, so that the answer never holds too long.
      seen_ = {.ticks = ticks, .lasts = static_cast<std::uint64_t>(static_cast<double>(1'000'000 - ns % 1'000'000) * pace), .ms = ms};
    } else if (pace == 0) {
      learn();
    }
    return ms;
  }

  // The counter's pace: from the first time on that somebody asked until 20 ms later. Whatever comes between a look at the clock and one at
  // the counter makes it slower, so that answers hold too short, never too long.
  static void learn() {
    if (!is_steady()) return pace_.store(-1, std::memory_order_relaxed);
    const std::uint64_t first_ticks = first_ticks_.load(std::memory_order_acquire);
    if (first_ticks == 0) {
      std::int64_t none = 0;
      if (first_ns_.compare_exchange_strong(none, kernel_now_ns(CLOCK_MONOTONIC), std::memory_order_relaxed)) first_ticks_.store(__rdtsc(), std::memory_order_release);
      return;
    }
    const std::uint64_t ticks = __rdtsc();
    const std::int64_t passed = kernel_now_ns(CLOCK_MONOTONIC) - first_ns_.load(std::memory_order_relaxed);
    if (passed >= 20'000'000 && ticks > first_ticks) pace_.store(static_cast<double>(ticks - first_ticks) / static_cast<double>(passed), std::memory_order_relaxed);
  }

  static bool is_steady() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1U << 8) != 0;
  }

  static inline thread_local Seen seen_{0, 0, 0};
  static inline std::atomic<double> pace_{0};  // ticks a nanosecond; 0: not known yet; -1: the counter is of no use
  static inline std::atomic<std::int64_t> first_ns_{0};
  static inline std::atomic<std::uint64_t> first_ticks_{0};
};

#else

class SystemClock {
 public:
  static std::int64_t now_ms() { return kernel_now_ns(CLOCK_REALTIME) / 1'000'000; }
};

#endif

}  // namespace fairlead::flow
