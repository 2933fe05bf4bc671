// Lets a writer wait until every reader that may hold an old pointer has left (the idea of RCU). A reader pays one exchange and one
// store on a cache line of its own thread. Lines are never freed; a thread that ends gives its line to the next one.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace fairlead::flow {

class Epoch {
 public:
  class Reading {
   public:
    Reading() : line_(mine()) { line_.count.exchange(line_.count.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst); }
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
    for (auto* line = Reading::lines_.load(std::memory_order_seq_cst); line != nullptr; line = line->next) {
      const std::uint64_t seen = line->count.load(std::memory_order_seq_cst);
      if (seen % 2 == 1)
        while (line->count.load(std::memory_order_acquire) == seen) std::this_thread::yield();
    }
  }
};

}  // namespace fairlead::flow
