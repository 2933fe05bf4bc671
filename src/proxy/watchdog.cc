#include "proxy/watchdog.h"

#include <pthread.h>

#include <cstdlib>

#include "base/log.h"

namespace fairlead::proxy {

Watchdog::Watchdog(std::vector<Watched> watched, Limits limits) : limits_(limits) {
  for (Watched& w : watched) all_.push_back({std::move(w), std::make_shared<State>(), {}});
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

Watchdog::~Watchdog() {
  thread_.request_stop();
  thread_.join();
}

void Watchdog::stats(StatsSnapshot& into) const {
  uint64_t misses = 0, mega = 0;
  for (const One& one : all_) {
    into.counters["server." + one.watched.name + ".watchdog_miss"] = one.state->misses;
    into.counters["server." + one.watched.name + ".watchdog_mega_miss"] = one.state->mega_misses;
    bool worker = one.watched.name.starts_with("worker_");
    (worker ? misses : into.counters["main_thread.watchdog_miss"]) += one.state->misses;
    (worker ? mega : into.counters["main_thread.watchdog_mega_miss"]) += one.state->mega_misses;
  }
  into.counters["workers.watchdog_miss"] = misses;
  into.counters["workers.watchdog_mega_miss"] = mega;
}

void Watchdog::check(One& one, base::TimePoint now) {
  State& state = *one.state;
  if (state.answered.load(std::memory_order_acquire)) {
    if (one.mega_missed) FL_LOG_WARN("watchdog", "{} runs again", one.watched.name);
    one.missed = one.mega_missed = false;
    return;
  }
  base::Nanos late = now - one.asked;
  if (late > limits_.miss && !std::exchange(one.missed, true)) ++state.misses;
  if (late > limits_.megamiss && !std::exchange(one.mega_missed, true)) {
    ++state.mega_misses;
    FL_LOG_WARN("watchdog", "{} has not run its loop for {}", one.watched.name, base::format_duration(late));
  }
  if (limits_.kill.count() > 0 && late > limits_.kill) {
    FL_LOG_ERROR("watchdog", "{} has been stuck for longer than kill_timeout; ending the process", one.watched.name);
    std::abort();
  }
}

void Watchdog::run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "watchdog");
  std::unique_lock lock(mutex_);
  auto pause = [&](base::Nanos how_long) {
    wake_.wait_for(lock, stop, how_long, [] { return false; });
    return !stop.stop_requested();
  };
  while (true) {
    for (One& one : all_) {
      if (!one.state->answered) continue;  // still owes the last answer
      one.state->answered = false;
      one.asked = base::Clock::now();
      one.watched.loop->post([state = one.state] { state->answered.store(true, std::memory_order_release); });
    }
    // Looked at when it would be late, and when it would be very late; a healthy process wakes three times a second.
    base::Nanos left = limits_.every;
    for (base::Nanos step : {limits_.miss, limits_.megamiss - limits_.miss}) {
      base::Nanos nap = std::min(step + std::chrono::milliseconds(1), left);
      if (nap.count() <= 0) continue;
      if (!pause(nap)) return;
      left -= nap;
      for (One& one : all_) check(one, base::Clock::now());
    }
    if (left.count() > 0 && !pause(left)) return;
  }
}

}  // namespace fairlead::proxy
