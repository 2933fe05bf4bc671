// fortio: a load generator with the command line and the result text of fortio.org/fortio 1.66, as far as tutorials use
// them: `load`, `curl`, `server`, `version`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "base/value.h"

namespace fairlead::sample {

inline constexpr std::string_view kFortioVersion = "1.66.3";  // whose command line and output this follows

// argv[0] is "fortio".
int fortio_main(int argc, char** argv);

enum class LogLevel : uint8_t { kDebug, kVerbose, kInfo, kWarning, kError, kCritical, kFatal };

struct FortioOptions {
  std::string command;  // load, curl, server, version, help
  std::string url;
  int connections = 4;
  double qps = 8;                    // <= 0: as fast as it goes
  long long calls = 0;               // 0: by duration
  base::Nanos duration = std::chrono::seconds(5);
  base::Nanos timeout = std::chrono::seconds(3);
  bool keep_alive = true;
  bool curl = false;                 // load -curl: once
  bool quiet = false;
  bool allow_initial_errors = false;
  bool log_errors = true;
  bool jitter = false, uniform = false, no_catchup = false;
  bool save_json = false;            // -a
  std::string json_path;             // -json; "-": stdout
  std::string data_dir = ".";
  std::string labels;
  LogLevel level = LogLevel::kInfo;
  std::vector<double> percentiles = {50, 75, 90, 99, 99.9};
  std::vector<std::pair<std::string, std::string>> headers;
  std::string method, payload, content_type, user;
  double resolution = 0.001;
  int abort_on = 0;
  std::string http_port = "8080", tcp_port = "8078";
};

// argv without the program's name. Errors are sentences for the user.
base::Result<FortioOptions> parse_fortio(const std::vector<std::string>& args);

// Go's %g: the shortest text that reads back as the same number; with an exponent below 1e-4 and from 1e6 on.
std::string go_g(double value);

// Count, sum and distribution over fixed buckets.
class Histogram {
 public:
  explicit Histogram(double divider, double offset = 0);
  void record(double value);
  void add(const Histogram& other);  // of the same shape
  uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  double average() const { return count_ ? sum_ / static_cast<double>(count_) : 0; }
  double deviation() const;
  double percentile(double p) const;
  uint64_t at_or_below_offset() const { return buckets_.front(); }  // fell into the lowest bucket

  std::string summary(std::string_view title) const;                                      // one line
  std::string text(std::string_view title, const std::vector<double>& percentiles) const; // with buckets
  std::string percentile_lines(const std::vector<double>& percentiles) const;
  base::Value json(const std::vector<double>& percentiles) const;

 private:
  struct Bucket {
    double start, end, percent;
    uint64_t count;
  };
  std::vector<Bucket> filled() const;

  double divider_, offset_;
  uint64_t count_ = 0;
  double sum_ = 0, squares_ = 0, min_ = 0, max_ = 0;
  std::vector<uint64_t> buckets_;
};

// Structured log to stderr: JSON lines, or one short line each on a terminal.
class FortioLog {
 public:
  explicit FortioLog(LogLevel level);
  bool enabled(LogLevel level) const { return level >= level_; }
  // fields: already JSON, e.g. {"code", "503"}, {"status", "\"HTTP/1.1 503\""}.
  void write(LogLevel level, std::string_view message, const std::vector<std::pair<std::string, std::string>>& fields = {}) const;

 private:
  LogLevel level_;
  bool terminal_;
};

int fortio_load(const FortioOptions& options);
int fortio_curl(const FortioOptions& options);
int fortio_server(const FortioOptions& options);

}  // namespace fairlead::sample
