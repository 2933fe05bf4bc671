// Lets a writer wait until every reader that may hold an old pointer has left (the idea of RCU). A reader pays two stores on a cache line
// of its own thread; the fence that belongs between the first of them and its look at the pointer is the writer's to make, on all
// threads at once (membarrier(2)). Where the kernel has no such call a reader pays an exchange. Lines are never freed; a thread that ends
// gives its line to the next one.
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace fairlead::flow {

class Epoch {
 public:
  class Reading {
   public:
    Reading() : line_(mine()) {
      const std::uint64_t odd = line_.count.load(std::memory_order_relaxed) + 1;
      if (writers_fence_) {
        line_.count.store(odd, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler keeps the order, the writer makes the processor keep it
      } else {
        line_.count.exchange(odd, std::memory_order_seq_cst);
      }
    }
    ~Reading() { line_.count.store(line_.count.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

   private:
    friend class Epoch;
    struct Lease;
    struct alignas(64) Line {
      std::atomic<std::uint64_t> count{0};  // odd: reading
      std::atomic<bool> used{true};
      Line* next = nullptr;
    };
    struct Lease {
      Line* line = take();
      ~Lease() { line->used.store(false, std::memory_order_release); }
    };
    static Line& mine() {
      thread_local Lease lease;
      return *lease.line;
    }
    static Line* take() {
      for (Line* line = lines_.load(std::memory_order_acquire); line != nullptr; line = line->next)
        if (bool expected = false; line->used.compare_exchange_strong(expected, true, std::memory_order_acq_rel)) return line;
      auto* line = new Line;
      line->next = lines_.load(std::memory_order_relaxed);
      while (!lines_.compare_exchange_weak(line->next, line, std::memory_order_seq_cst)) {}
      return line;
    }
    static inline std::atomic<Line*> lines_{nullptr};
    Line& line_;
  };

  // After the new pointer was stored with seq_cst. Never call it while this thread itself is reading.
  static void wait_for_readers() {
    // After it every reader that had not been seen yet sees the new pointer, and every other one's count is seen below. A child of fork may
    // have to register again; should the call be gone (a sandbox), what processors hold back is out long before the sleep ends.
    if (writers_fence_ && !fence() && !(register_fence() && fence())) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (auto* line = Reading::lines_.load(std::memory_order_seq_cst); line != nullptr; line = line->next) {
      const std::uint64_t seen = line->count.load(std::memory_order_seq_cst);
      if (seen % 2 == 1)
        while (line->count.load(std::memory_order_acquire) == seen) std::this_thread::yield();
    }
  }

 private:
  static bool register_fence() { return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0U, 0) == 0; }
  static bool fence() { return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0U, 0) == 0; }
  // False until it is set before main: who reads earlier makes its own fence, which serves either kind of writer.
  static inline const bool writers_fence_ = register_fence();
};

}  // namespace fairlead::flow
