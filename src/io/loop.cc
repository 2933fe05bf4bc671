#include "io/loop.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace fairlead::io {

// ---- Timer

// Shared with the loop's heap: an entry may outlive its timer, and is dropped when it surfaces.
struct Timer::State {
  Callback callback;
  base::TimePoint deadline;
  bool armed = false;
  bool queued = false;            // a heap entry exists
  base::TimePoint queued_at;      // its time; never later than deadline while armed
};

Timer::Timer(Loop& loop, Callback callback) : loop_(loop), state_(std::make_shared<State>()) {
  state_->callback = std::move(callback);
}

Timer::~Timer() { state_->armed = false; }

void Timer::arm(base::Nanos after) {
  State& s = *state_;
  s.deadline = loop_.now_ + std::max(after, base::Nanos(0));
  s.armed = true;
  // An entry that surfaces early is pushed back to the deadline then; only an earlier deadline needs a new one.
  if (s.queued && s.queued_at <= s.deadline) return;
  s.queued = true;
  s.queued_at = s.deadline;
  loop_.push_heap({s.deadline, ++loop_.timer_sequence_, state_});
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

void Loop::push_heap(HeapEntry entry) {
  heap_.push_back(std::move(entry));
  std::push_heap(heap_.begin(), heap_.end(), [](const HeapEntry& a, const HeapEntry& b) {
    return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
  });
}

void Loop::fire_timers() {
  auto later = [](const HeapEntry& a, const HeapEntry& b) { return a.at != b.at ? a.at > b.at : a.sequence > b.sequence; };
  // Timers armed by callbacks of this round wait for the next one, so a re-arming timer cannot starve the loop.
  uint64_t last = timer_sequence_;
  while (!heap_.empty() && heap_.front().at <= now_ && heap_.front().sequence <= last) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    HeapEntry entry = std::move(heap_.back());
    heap_.pop_back();
    Timer::State& s = *entry.timer;
    if (s.queued_at != entry.at) continue;  // superseded by an earlier entry
    s.queued = false;
    if (!s.armed) continue;
    if (s.deadline > entry.at) {
      s.queued = true;
      s.queued_at = s.deadline;
      push_heap({s.deadline, ++timer_sequence_, entry.timer});
      continue;
    }
    s.armed = false;
    s.callback();  // entry.timer keeps State alive when the callback destroys its Timer
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
  std::vector<Task> tasks;
  tasks.swap(deferred_);
  for (auto& task : tasks) task();
}

void Loop::after(base::Nanos delay, Task callback) {
  auto state = std::make_shared<Timer::State>();
  // std::function must be copyable; the task is kept by pointer.
  state->callback = [task = std::make_shared<Task>(std::move(callback))] { (*task)(); };
  state->deadline = state->queued_at = now_ + delay;
  state->armed = state->queued = true;
  push_heap({state->deadline, ++timer_sequence_, state});
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
