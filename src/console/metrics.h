// Metrics: what all instances of an app counted, kept in seconds, minutes and hours.
//
// Seconds are kept for an hour, minutes for two days, hours for a year, and each no more rows than its bound: the oldest go first.
// Loop thread only. Minutes and hours are gathered in memory and written every few seconds: a crash loses those seconds of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
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

  Metrics(Database& database, std::function<std::int64_t()> now_ms, Limits limits);

  // One second of one resource on one machine; those of several machines add up.
  void add(const std::string& app, const std::string& resource, std::int64_t second_ms, const Sums& sums);
  void flush();  // once a second
  void prune();  // once a minute

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
  App& app(const std::string& name);
  std::int64_t resource(App& app, const std::string& name);
  void write(int step, std::map<Cell, Sums>& cells);

  Database& database_;
  std::function<std::int64_t()> now_ms_;
  Limits limits_;
  std::map<std::string, App, std::less<>> apps_;
  std::map<Cell, Sums> seconds_, minutes_, hours_;
  int flushes_ = 0;
  std::uint64_t overflow_ = 0;
};

}  // namespace fairlead::console
