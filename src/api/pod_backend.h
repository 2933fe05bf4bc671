// PodBackend: what the API server asks of whoever runs pods (the node): logs, exec, attach, port-forward.
//
// Loop thread only; implemented in node/, tests have a fake.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/transport.h"

namespace fairlead::api {

struct PodRef {
  std::string ns, name, container;  // container is always filled in
};

struct LogOptions {
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<int64_t> tail_lines;
  std::optional<base::WallTime> since;
  std::optional<int64_t> limit_bytes;
};

// A running log stream; destroying it stops it.
class LogStream {
 public:
  virtual ~LogStream() = default;
  // Back-pressure: a reader that does not keep up asks for a pause. Without an override output piles up in memory.
  virtual void pause(bool paused) { (void)paused; }
};
struct LogSink {
  std::function<void(std::string_view)> on_data;
  std::function<void()> on_end;                 // all was delivered (follow: the container ended)
};

struct ExecOptions {
  std::vector<std::string> command;
  bool stdin_open = false, stdout_open = true, stderr_open = true, tty = false;
};
// A process started by exec. Destroying it ends the process.
class ExecSession {
 public:
  struct Callbacks {
    std::function<void(std::string_view)> on_stdout;
    std::function<void(std::string_view)> on_stderr;  // with tty everything comes on stdout
    std::function<void(int exit_code)> on_exit;       // after the last output; 128 + signal when killed
  };
  virtual ~ExecSession() = default;
  virtual void write_stdin(std::string_view bytes) = 0;
  virtual void close_stdin() = 0;
  virtual void resize(uint16_t columns, uint16_t rows) = 0;
  virtual void pause(bool paused) { (void)paused; }  // as for LogStream
};

class PodBackend {
 public:
  virtual ~PodBackend() = default;
  virtual base::Result<std::unique_ptr<LogStream>> logs(const PodRef& pod, const LogOptions& options, LogSink sink) = 0;
  virtual base::Result<std::unique_ptr<ExecSession>> exec(const PodRef& pod, const ExecOptions& options,
                                                          ExecSession::Callbacks callbacks) = 0;
  // A running container's own input and its output from now on; over (with 0) when the container ends.
  virtual base::Result<std::unique_ptr<ExecSession>> attach(const PodRef& pod, const ExecOptions& options, ExecSession::Callbacks callbacks) {
    (void)pod, (void)options, (void)callbacks;
    return base::fail(base::Code::kUnavailable, "attach is not served here");
  }
  // Connects to 127.0.0.1:port inside the pod's network namespace.
  virtual void dial(const PodRef& pod, uint16_t port,
                    std::function<void(base::Result<std::unique_ptr<io::Transport>>)> done) = 0;
};

}  // namespace fairlead::api
