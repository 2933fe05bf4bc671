// The metric log of a Sentinel client (MetricWriter, MetricSearcher of 1.8.8): fat metric lines in files of a day, each with an index of
// its seconds. Files: APP-metrics.log[.pidPID].YYYY-MM-DD[.N] and the same with .idx; in APP, '.' and '/' become '-'. The index holds, for
// each second, the second and the offset of its first line, 8 bytes each, the highest first. Java's searcher reads what is written
// here, and the other way round.
//
// One thread; it blocks on the disk.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/fd.h"
#include "sentinel/commands.h"
#include "sentinel/metric_line.h"

namespace fairlead::sentinel {

inline constexpr std::size_t kMaxMetricLinesFound = 100'000;
inline constexpr std::size_t kMaxMetricBytesSearched = 64 * 1024 * 1024;

class MetricLog {
 public:
  struct Options {
    std::string folder;
    std::string app;
    int pid = 0;  // 0: not in the name
    std::size_t max_file_bytes = 50 * 1024 * 1024;  // a file that has reached them is the last of its second
    int max_files = 6;                              // the oldest go
  };

  explicit MetricLog(Options options);

  // Whole seconds in the order of their time, as Engine::metrics() answers them; those before what was written are left out.
  base::Status write(std::span<const flow::Metric> lines);
  // Lines that can't be read are left out.
  std::vector<MetricLine> find(const MetricQuery& query) const;

  const std::string& name() const { return name_; }

 private:
  base::Status write_second(std::span<const flow::Metric> lines);
  base::Status open(const std::string& date);
  bool still_there() const;
  std::vector<std::string> files() const;

  const Options options_;
  const std::string name_;
  std::string path_, date_;
  io::Fd lines_, index_;
  std::size_t size_ = 0;
  std::int64_t last_second_ = -1;
};

}  // namespace fairlead::sentinel
