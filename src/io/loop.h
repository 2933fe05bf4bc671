// Loop: an epoll event loop, one per thread. Timer: a one-shot timer on it.
//
// Owner: whoever runs the thread. Everything here is for the loop's own thread, except post() and stop(), which any
// thread may call.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/fd.h"

namespace fairlead::io {

class Loop;

// Receives the events of one descriptor. `events` is a mask of EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP.
class EventSink {
 public:
  virtual void on_events(uint32_t events) = 0;

 protected:
  ~EventSink() = default;
};

// One-shot timer. Destroying it cancels it. Arming and destroying cost O(log n) over the loop's armed timers; cancelling
// and re-arming to a later time is O(1) (the old heap entry is dropped or put back when it surfaces).
class Timer {
 public:
  using Callback = std::function<void()>;
  Timer(Loop& loop, Callback callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void arm(base::Nanos after);  // from loop.now(); replaces an earlier arm
  void cancel();
  bool armed() const;

 private:
  friend class Loop;
  struct State;
  Loop& loop_;
  State* state_;
};

class Loop {
 public:
  using Task = std::move_only_function<void()>;

  Loop();  // aborts when the kernel gives no epoll or eventfd: nothing can run without them
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();                      // until stop()
  void stop();                     // any thread; run() returns after the current round
  void run_once(base::Nanos wait); // one round: for tests and for loops inside other loops

  // Any thread: runs `task` on the loop's thread, in order of posting.
  void post(Task task);
  // Loop thread: runs `task` at the end of the current round (for what may not be destroyed inside its own callback).
  void defer(Task task);
  // Deferred delete.
  template <class T>
  void dispose(std::unique_ptr<T> object) {
    if (object) defer([o = std::move(object)]() mutable { o.reset(); });
  }
  // Runs `callback` once after the delay; fire-and-forget.
  void after(base::Nanos delay, Task callback);

  // The time at the start of this round; cheap.
  base::TimePoint now() const { return now_; }
  void refresh_now() { now_ = base::Clock::now(); }

  // Watches fd with `events` (EPOLLIN, EPOLLOUT, EPOLLET ... as for epoll_ctl). The sink must outlive the watch;
  // events already fetched in this round for a removed or replaced watch are dropped.
  base::Status watch(int fd, uint32_t events, EventSink& sink);
  base::Status rewatch(int fd, uint32_t events);
  void unwatch(int fd);
  // unwatch() for a descriptor that the caller closes next: closing it ends its watch without a system call more. Only for
  // descriptors that no other process shares.
  void forget(int fd);

 private:
  friend class Timer;
  struct Watch {
    EventSink* sink = nullptr;
    uint32_t generation = 0;
  };
  struct HeapEntry {
    base::TimePoint at;
    uint64_t sequence;
    Timer::State* timer;
    bool before(const HeapEntry& other) const { return at != other.at ? at < other.at : sequence < other.sequence; }
  };

  void round(int timeout_ms);
  int timeout_ms() const;
  void fire_timers();
  void run_posted();
  void run_deferred();
  // The heap of timers; each knows its place, so that one that goes takes its entry along.
  void queue(Timer::State& timer);
  void unqueue(Timer::State& timer);
  void place(size_t at, const HeapEntry& entry);
  void sift_up(size_t at, HeapEntry entry);
  void sift_down(size_t at, HeapEntry entry);

  Fd epoll_;
  Fd wakeup_;
  base::TimePoint now_;
  bool stopping_ = false;                // loop thread
  std::vector<Watch> watches_;           // by fd
  uint32_t generation_ = 0;
  std::vector<HeapEntry> heap_;
  uint64_t timer_sequence_ = 0;
  std::vector<Task> deferred_;
  std::vector<Task> spare_;              // its memory is for the next deferred_
  std::mutex mutex_;                     // guards posted_
  std::vector<Task> posted_;
};

// Watches one descriptor and calls a function: for code where a class of its own would be noise.
class FdWatch final : EventSink {
 public:
  using Callback = std::function<void(uint32_t events)>;
  FdWatch(Loop& loop, int fd, uint32_t events, Callback callback);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;
  void set_events(uint32_t events);

 private:
  void on_events(uint32_t events) override;
  Loop& loop_;
  int fd_;
  Callback callback_;
};

}  // namespace fairlead::io
