#include "io/loop.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/recycled.h"

namespace fairlead::io {

// ---- Timer

constexpr size_t kNotQueued = SIZE_MAX;
constexpr size_t kSpareTasks = 4096;  // deferred in a round; what a larger burst needed goes back

// Of its own in memory, because a callback may destroy the Timer that it belongs to.
struct Timer::State : base::Recycled<Timer::State> {
  Callback callback;
  base::TimePoint deadline;
  base::TimePoint queued_at;      // its entry's time; never later than deadline while armed
  size_t place = kNotQueued;      // of its entry in the heap
  uint32_t references = 1;        // the Timer, and the loop while the callback runs
  bool armed = false;
  bool owned_by_loop = false;     // of after(): there is no Timer

  void release() {
    if (--references == 0) delete this;
  }
};

Timer::Timer(Loop& loop, Callback callback) : loop_(loop), state_(new State) { state_->callback = std::move(callback); }

Timer::~Timer() {
  state_->armed = false;
  // A loop that is gone took its entries along; the place then says so.
  if (state_->place != kNotQueued) loop_.unqueue(*state_);
  state_->release();
}

void Timer::arm(base::Nanos after) {
  State& s = *state_;
  s.deadline = loop_.now_ + std::max(after, base::Nanos(0));
  s.armed = true;
  // An entry that surfaces early is pushed back to the deadline then; only an earlier deadline moves it now.
  if (s.place != kNotQueued && s.queued_at <= s.deadline) return;
  loop_.queue(s);
}

void Timer::cancel() { state_->armed = false; }
bool Timer::armed() const { return state_->armed; }

// ---- Loop

namespace {
[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::abort();
}
}  // namespace

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), now_(base::Clock::now()) {
  if (!epoll_.valid()) die("epoll_create1");
  if (!wakeup_.valid()) die("eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<uint32_t>(wakeup_.get());
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0) die("epoll_ctl");
}

Loop::~Loop() {
  // Objects waiting for deferred deletion may defer more.
  while (!deferred_.empty()) run_deferred();
  for (HeapEntry& e : heap_) {
    e.timer->place = kNotQueued;
    if (e.timer->owned_by_loop) e.timer->release();
  }
}

void Loop::run() {
  stopping_ = false;
  refresh_now();
  while (!stopping_) round(timeout_ms());
}

void Loop::stop() {
  post([this] { stopping_ = true; });
}

void Loop::run_once(base::Nanos wait) {
  refresh_now();
  int bound = static_cast<int>(std::chrono::ceil<base::Millis>(wait).count());
  int timers = timeout_ms();
  round(timers < 0 ? bound : std::min(bound, timers));
}

void Loop::round(int timeout_ms) {
  if (!deferred_.empty()) timeout_ms = 0;
  epoll_event events[256];
  int n = ::epoll_wait(epoll_.get(), events, 256, timeout_ms);
  refresh_now();
  for (int i = 0; i < n; ++i) {
    int fd = static_cast<int>(static_cast<uint32_t>(events[i].data.u64));
    auto generation = static_cast<uint32_t>(events[i].data.u64 >> 32);
    if (fd == wakeup_.get()) {
      uint64_t count;
      while (::read(fd, &count, sizeof count) > 0) {
      }
      continue;
    }
    if (static_cast<size_t>(fd) >= watches_.size()) continue;
    Watch w = watches_[static_cast<size_t>(fd)];
    if (w.sink && w.generation == generation) w.sink->on_events(events[i].events);
  }
  run_posted();
  fire_timers();
  run_deferred();
}

int Loop::timeout_ms() const {
  if (heap_.empty()) return -1;
  auto wait = heap_.front().at - now_;
  if (wait <= base::Nanos(0)) return 0;
  auto ms = std::chrono::ceil<base::Millis>(wait).count();
  return static_cast<int>(std::min<int64_t>(ms, 3'600'000));
}

void Loop::place(size_t at, const HeapEntry& entry) {
  heap_[at] = entry;
  entry.timer->place = at;
}

void Loop::sift_up(size_t at, HeapEntry entry) {
  for (; at > 0; at = (at - 1) / 2) {
    const HeapEntry& parent = heap_[(at - 1) / 2];
    if (!entry.before(parent)) break;
    place(at, parent);
  }
  place(at, entry);
}

void Loop::sift_down(size_t at, HeapEntry entry) {
  while (true) {
    size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
    if (!heap_[child].before(entry)) break;
    place(at, heap_[child]);
    at = child;
  }
  place(at, entry);
}

void Loop::queue(Timer::State& timer) {
  if (timer.place == kNotQueued) {
    timer.place = heap_.size();
    heap_.emplace_back();
  }
  timer.queued_at = timer.deadline;
  sift_up(timer.place, {timer.deadline, ++timer_sequence_, &timer});
}

void Loop::unqueue(Timer::State& timer) {
  size_t at = timer.place;
  timer.place = kNotQueued;
  HeapEntry last = heap_.back();
  heap_.pop_back();
  if (at == heap_.size()) return;
  if (at > 0 && last.before(heap_[(at - 1) / 2])) sift_up(at, last);
  else sift_down(at, last);
}

void Loop::fire_timers() {
  // Timers armed by callbacks of this round wait for the next one, so a re-arming timer cannot starve the loop.
  uint64_t last = timer_sequence_;
  while (!heap_.empty() && heap_.front().at <= now_ && heap_.front().sequence <= last) {
    base::TimePoint due = heap_.front().at;
    Timer::State& s = *heap_.front().timer;
    unqueue(s);
    if (!s.armed) continue;
    if (s.deadline > due) {
      queue(s);
      continue;
    }
    s.armed = false;
    if (!s.owned_by_loop) ++s.references;  // for as long as the callback runs, which may destroy its Timer
    s.callback();
    s.release();
  }
}

void Loop::post(Task task) {
  bool first;
  {
    std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) {
    uint64_t one = 1;
    (void)!::write(wakeup_.get(), &one, sizeof one);
  }
}

void Loop::run_posted() {
  std::vector<Task> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

void Loop::defer(Task task) { deferred_.push_back(std::move(task)); }

void Loop::run_deferred() {
  if (deferred_.empty()) return;
  std::vector<Task> tasks = std::move(deferred_);
  deferred_ = std::move(spare_);
  for (auto& task : tasks) task();
  tasks.clear();
  if (tasks.capacity() <= kSpareTasks) spare_ = std::move(tasks);
}

void Loop::after(base::Nanos delay, Task callback) {
  auto* state = new Timer::State;
  // std::function must be copyable; the task is kept by pointer.
  state->callback = [task = std::make_shared<Task>(std::move(callback))] { (*task)(); };
  state->deadline = now_ + delay;
  state->armed = state->owned_by_loop = true;
  queue(*state);
}

base::Status Loop::watch(int fd, uint32_t events, EventSink& sink) {
  auto index = static_cast<size_t>(fd);
  if (watches_.size() <= index) watches_.resize(std::max(index + 1, watches_.size() * 2));
  Watch& w = watches_[index];
  epoll_event event{};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(++generation_) << 32 | static_cast<uint32_t>(fd);
  if (::epoll_ctl(epoll_.get(), w.sink ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
    // The descriptor may have been closed without unwatch and its number used again.
    int op = errno == ENOENT ? EPOLL_CTL_ADD : errno == EEXIST ? EPOLL_CTL_MOD : 0;
    if (op == 0 || ::epoll_ctl(epoll_.get(), op, fd, &event) != 0) return base::fail_errno("epoll_ctl");
  }
  w = {&sink, generation_};
  return {};
}

base::Status Loop::rewatch(int fd, uint32_t events) {
  auto index = static_cast<size_t>(fd);
  if (index >= watches_.size() || !watches_[index].sink) return base::fail(base::Code::kNotFound, "descriptor {} is not watched", fd);
  epoll_event event{};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(watches_[index].generation) << 32 | static_cast<uint32_t>(fd);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) return base::fail_errno("epoll_ctl");
  return {};
}

void Loop::unwatch(int fd) {
  auto index = static_cast<size_t>(fd);
  if (fd < 0 || index >= watches_.size() || !watches_[index].sink) return;
  watches_[index] = {};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::forget(int fd) {
  if (auto index = static_cast<size_t>(fd); fd >= 0 && index < watches_.size()) watches_[index] = {};
}

// ---- FdWatch

FdWatch::FdWatch(Loop& loop, int fd, uint32_t events, Callback callback) : loop_(loop), fd_(fd), callback_(std::move(callback)) {
  (void)loop_.watch(fd_, events, *this);
}
FdWatch::~FdWatch() { loop_.unwatch(fd_); }
void FdWatch::set_events(uint32_t events) { (void)loop_.rewatch(fd_, events); }
void FdWatch::on_events(uint32_t events) {
  auto callback = callback_;  // the callback may destroy this watch
  callback(events);
}

}  // namespace fairlead::io
