// Metrics: what all instances of an app counted, kept in seconds, minutes and hours.
//
// Seconds are kept for an hour, minutes for two days, hours for a year, and each no more rows than its bound: the oldest go first.
// Minutes and hours are gathered in memory and written every few seconds: a crash loses those seconds of them.
// Loop thread only; rows are written by a thread of its own, with a connection of its own, so that no page waits for a disk.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "console/database.h"

namespace fairlead::console {

struct Sums {
  std::int64_t pass = 0, block = 0, success = 0, exception = 0;
  std::int64_t rt_ms = 0;  // of all that succeeded together

  Sums& operator+=(const Sums& other);
  double average_rt() const { return success > 0 ? static_cast<double>(rt_ms) / static_cast<double>(success) : 0; }
};

struct MetricPoint {
  std::int64_t time_ms = 0;
  Sums sums;
};

class Metrics {
 public:
  static constexpr std::string_view kTotalInbound = "__total_inbound_traffic__";
  static constexpr std::size_t kMaxResourcesPerApp = 6'000;  // those beyond are counted as kOthers
  static constexpr std::string_view kOthers = "__others__";
  struct Limits {
    std::int64_t rows[3] = {4'000'000, 4'000'000, 4'000'000};  // of seconds, minutes, hours: 250 MB each at most
  };

  static base::Result<std::unique_ptr<Metrics>> open(const std::string& path, std::function<std::int64_t()> now_ms, Limits limits);
  ~Metrics();  // writes what is left
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // One second of one resource on one machine; those of several machines add up.
  void add(const std::string& app, const std::string& resource, std::int64_t second_ms, const Sums& sums);
  void flush();   // once a second: hands over what came
  void prune();   // once a minute
  void settle();  // waits until all that was handed over is written: for tests

  void forget(std::string_view app);
  std::vector<std::string> apps() const;
  bool knows(std::string_view app, std::string_view resource) const;
  // step: 1, 60 or 3600 seconds. resource "": all but kTotalInbound together. From `from_ms` to before `to_ms`, points without calls are
  // left out.
  std::vector<MetricPoint> series(std::string_view app, std::string_view resource, std::int64_t from_ms, std::int64_t to_ms, int step) const;
  // By resource over that time, most calls first.
  std::vector<std::pair<std::string, Sums>> top(std::string_view app, std::int64_t from_ms, std::int64_t to_ms, std::string_view search, std::size_t limit) const;
  std::optional<Sums> latest(std::string_view app) const;  // of a second, the newest that is complete; none if nothing came lately
  std::uint64_t overflow() const { return overflow_; }      // seconds counted as kOthers

 private:
  struct App {
    std::int64_t id = 0;
    std::unordered_map<std::string, std::int64_t> resources;
    std::map<std::int64_t, Sums> recent;  // by second, the last ten
  };
  struct Cell {
    std::int64_t resource, time_ms;
    auto operator<=>(const Cell&) const = default;
  };
  using Job = std::function<void(Database&)>;
  Metrics(std::unique_ptr<Database> reading, std::unique_ptr<Database> writing, std::function<std::int64_t()> now_ms, Limits limits);
  App& app(const std::string& name);
  std::int64_t resource(App& app, const std::string& name);
  void run(Job job);  // on the writer's thread, in order
  void work(const std::stop_token& stop);

  std::unique_ptr<Database> database_;  // for reading
  std::function<std::int64_t()> now_ms_;
  Limits limits_;
  std::map<std::string, App, std::less<>> apps_;
  std::int64_t last_app_ = 0, last_resource_ = 0;
  std::map<Cell, Sums> seconds_, minutes_, hours_;
  int flushes_ = 0;
  std::uint64_t overflow_ = 0;

  std::unique_ptr<Database> writing_;  // the writer's
  std::mutex mutex_;                   // guards jobs_, busy_
  std::condition_variable_any wake_;
  std::deque<Job> jobs_;
  bool busy_ = false;
  std::jthread writer_;                // last: it uses all of the above
};

}  // namespace fairlead::console
