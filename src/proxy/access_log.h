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

class LogFormat {
 public:
  // Text with %COMMANDS%; "%%" is a percent sign. Errors name the offset and what was not understood.
  static base::Result<LogFormat> parse(std::string_view text);
  // A JSON object whose string leaves are formats; a leaf of one command keeps its type. A line end is added.
  static base::Result<LogFormat> parse_json(const base::Value& object);
  static LogFormat literal(std::string_view text);

  void append(std::string& out, const StreamInfo& info) const;
  bool uses_tls() const;                         // asks for something of a TLS connection
  bool constant() const { return commands_ == 0; }
  const std::string& constant_text() const { return pieces_.empty() ? empty() : pieces_.front().text; }
  bool empty_values_omitted = false;

 private:
  enum class Command : uint8_t {
    kLiteral, kStartTime, kRequestHeader, kResponseHeader, kTrailer, kRequestHeaderBytes, kProtocol, kStatus, kFlags, kFlagsLong,
    kDetails, kTermination, kFailureReason, kBytesReceived, kBytesSent, kDuration, kRequestDuration, kResponseDuration,
    kResponseTxDuration, kUpstreamHost, kUpstreamCluster, kUpstreamClusterRaw, kUpstreamLocal, kDownstreamLocal,
    kDownstreamLocalIp, kDownstreamLocalPort, kDownstreamRemote, kDownstreamRemoteIp, kDownstreamRemotePort,
    kDownstreamDirect, kDownstreamDirectIp, kServerName, kRouteName, kVirtualHost, kAttempts, kHostname, kConnectionId,
    kGrpcStatus, kDash, kTls, kUpstreamIp, kUpstreamPort, kUpstreamLocalIp, kUpstreamLocalPort, kResponseHeaderBytes,
    kStartTimeLocal, kEmitTime, kCommonDuration, kPathArgument, kQueryParameter, kMethod, kPath, kScheme, kEnvironment,
    kLocalReplyBody,
  };
  enum class Shape : uint8_t { kText, kJsonValue, kJsonString };
  struct Piece {
    Command command = Command::kLiteral;
    Shape shape = Shape::kText;
    std::string text;        // literal, header name, time format, environment value
    std::string fallback;    // second header of "A?B"
    size_t max_length = 0;   // 0: no bound
  };
  static base::Result<Piece> parse_command(std::string_view name, std::string_view argument, size_t max_length);
  static base::Status parse_into(std::string_view text, Shape shape, std::vector<Piece>& out);
  static base::Status parse_node(const base::Value& node, std::vector<Piece>& out);
  static bool value_of(const Piece& piece, const StreamInfo& info, std::string& out, bool& number);
  static const std::string& empty();
  void finish();

  std::vector<Piece> pieces_;
  size_t commands_ = 0;
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
