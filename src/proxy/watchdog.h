// Watchdog: notices loops that are stuck. A thread of its own asks every loop to answer once a second; an answer that is
// late is counted (Envoy's NAME.watchdog_miss, .watchdog_mega_miss), logged, and, where a limit is set, ends the process.
//
// Owner: the Server; outlived by the loops it watches. stats() from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "io/loop.h"
#include "proxy/stats.h"

namespace fairlead::proxy {

class Watchdog {
 public:
  struct Watched {
    io::Loop* loop = nullptr;
    std::string name;                                     // "main_thread", "worker_0"
  };
  struct Limits {                                         // Envoy's Watchdog message and its defaults
    base::Nanos miss = std::chrono::milliseconds(200);
    base::Nanos megamiss = std::chrono::seconds(1);
    base::Nanos kill{0};                                  // 0: never
    base::Nanos every = std::chrono::seconds(1);
  };
  Watchdog(std::vector<Watched> watched, Limits limits);
  ~Watchdog();

  void stats(StatsSnapshot& into) const;

 private:
  struct State {                                          // shared with the posted task, which may run after us
    std::atomic<bool> answered{true};
    std::atomic<uint64_t> misses{0}, mega_misses{0};
  };
  struct One {
    Watched watched;
    std::shared_ptr<State> state;
    base::TimePoint asked;
    bool missed = false, mega_missed = false;
  };
  void run(std::stop_token stop);
  void check(One& one, base::TimePoint now);

  std::vector<One> all_;
  Limits limits_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace fairlead::proxy
