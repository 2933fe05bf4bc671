// Access log formats (Envoy's command operators, "%REQ(:METHOD)%") and the writer of log lines.
//
// LogFormat: immutable once parsed; any thread. LogFiles: see below.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"

namespace fairlead::base {
class Value;
}

namespace fairlead::proxy {

struct StreamInfo;
struct LogPiece;
struct LogTree;
enum class LogShape : uint8_t { kText, kJsonValue, kJsonString };

class LogFormat {
 public:
  // What has to be kept of requests for a format, beyond what is there anyway.
  enum Need : uint8_t { kTls = 1, kConnection = 2, kAttempts = 4, kMetadata = 8 };

  LogFormat();
  ~LogFormat();
  LogFormat(const LogFormat&);
  LogFormat(LogFormat&&) noexcept;
  LogFormat& operator=(const LogFormat&);
  LogFormat& operator=(LogFormat&&) noexcept;

  // Text with %COMMANDS%; "%%" is a percent sign. Errors name the offset and what was not understood.
  static base::Result<LogFormat> parse(std::string_view text);
  // A JSON object whose string leaves are formats; a leaf of one command keeps its type. A line end is added. omit_empty:
  // keys and items without a value are left out, and so are objects without a key.
  static base::Result<LogFormat> parse_json(const base::Value& object, bool omit_empty = false);
  static LogFormat literal(std::string_view text);

  void append(std::string& out, const StreamInfo& info) const;
  uint8_t needs() const { return needs_; }
  // Commands that are taken and print nothing here, where Envoy may have something to print.
  const std::vector<std::string>& unfilled() const { return unfilled_; }
  bool constant() const;
  const std::string& constant_text() const { return tail_; }
  bool empty_values_omitted = false;

 private:
  void finish();
  void append_json(const LogPiece& piece, std::string& out, const StreamInfo& info) const;
  static base::Result<LogTree> make_tree(const base::Value& node);
  static bool append_tree(const LogTree& tree, std::string& out, const StreamInfo& info);

  std::vector<LogPiece> pieces_;    // commands
  std::string tail_;                // text behind the last
  std::shared_ptr<const LogTree> tree_;  // JSON with empty values left out: in place of pieces
  uint8_t needs_ = 0;
  std::vector<std::string> unfilled_;
};

// Istio's default text format (mesh.accessLogFormat empty), ending in a newline.
extern const std::string_view kIstioLogFormat;
// Envoy's own default format.
extern const std::string_view kEnvoyLogFormat;

// Lines of one worker, gathered here and handed on in batches (to LogFiles): a slow reader of stdout never holds up a
// worker. Worker thread only.
class LogBuffer {
 public:
  using Flush = std::function<void(std::map<std::string, std::string>)>;  // path -> bytes
  explicit LogBuffer(Flush flush) : flush_(std::move(flush)) {}
  std::string& lines(const std::string& path) { return pending_[path]; }
  void flush();
  bool empty() const;
  size_t bytes() const;

 private:
  Flush flush_;
  std::map<std::string, std::string> pending_;
};

// Open log files and the one thread that writes them, started with the first line: neither workers nor the main thread
// wait for a slow disk or a full pipe. What waits is bounded; lines beyond that are dropped and counted. Any thread.
class LogFiles {
 public:
  LogFiles() = default;
  ~LogFiles();                             // writes what waits, for no longer than a second
  void write(std::map<std::string, std::string> lines);
  void reopen();                           // SIGUSR1, /reopen_logs

  struct Figures {                         // Envoy's filesystem.*, and what was dropped
    uint64_t write_buffered = 0, write_completed = 0, write_failed = 0, reopen_failed = 0, dropped_bytes = 0, total_buffered = 0;
  };
  Figures figures() const;

 private:
  static constexpr size_t kMostWaiting = 64 * 1024 * 1024;
  void run(std::stop_token stop);
  struct File {
    int fd = -1;
    bool regular = false;                  // writing never waits for a reader
  };
  static File open(const std::string& path);
  bool write_all(const File& file, std::string_view text);

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::string> waiting_;
  size_t waiting_bytes_ = 0;
  bool reopen_ = false, giving_up_ = false;
  Figures figures_;
  std::map<std::string, File> files_;      // the writer's own
  std::jthread writer_;
};

}  // namespace fairlead::proxy
