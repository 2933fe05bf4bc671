// SPDY/3.1, server side: what kubectl's exec, attach and port-forward speak by HTTP upgrade ("Upgrade: SPDY/3.1") and,
// in newer clients, inside a WebSocket ("SPDY/3.1+portforward.k8s.io").
// Source: draft-mbelshe-httpbis-spdy-00 (framing of version 3). Flow control is not applied: the clients that still speak
// SPDY (client-go on moby/spdystream) neither send nor obey window updates; pending_bytes() bounds what is queued.
//
// Loop thread only. SpdySession does no I/O; SpdyConnection drives one over a transport or a WebSocket.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "io/transport.h"

namespace fairlead::http {

class WebSocket;
using SpdyStreamId = uint32_t;

// RST_STREAM status codes (section 2.6.3 of the draft).
enum class SpdyReset : uint32_t { kProtocolError = 1, kInvalidStream = 2, kRefusedStream = 3, kCancel = 5, kInternalError = 6 };

struct SpdyCallbacks {
  std::function<void(SpdyStreamId, const Headers&)> on_stream;       // SYN_STREAM: answer with reply() or reset()
  std::function<void(SpdyStreamId, std::string_view)> on_data;
  std::function<void(SpdyStreamId)> on_end;                          // the peer ended its side
  std::function<void(SpdyStreamId)> on_reset;
  std::function<void()> on_close;                                    // SpdyConnection only: the connection is gone; once
};

class SpdySession {
 public:
  explicit SpdySession(SpdyCallbacks callbacks);
  ~SpdySession();
  SpdySession(const SpdySession&) = delete;
  SpdySession& operator=(const SpdySession&) = delete;

  // Takes any number of bytes; callbacks run inside and may destroy the session. An error means the connection has to be closed.
  base::Status feed(std::string_view bytes);

  void reply(SpdyStreamId stream, const Headers& headers = {});
  void write(SpdyStreamId stream, std::string_view bytes);
  void finish(SpdyStreamId stream);  // our side of the stream is done
  void reset(SpdyStreamId stream, SpdyReset status);
  void goaway();

  std::string& output() { return output_; }  // bytes for the peer; the caller takes them out

  static constexpr size_t kMaxFrameBytes = 1u << 20;        // of control frames; data frames are streamed through
  static constexpr size_t kMaxHeaderBlockBytes = 64u << 10; // after decompression

 private:
  struct Zlib;
  base::Status control_frame(uint16_t type, std::string_view payload);
  base::Result<Headers> inflate_headers(std::string_view block);
  std::string deflate_headers(const Headers& headers);
  void control_header(uint16_t type, uint8_t flags, size_t length);

  SpdyCallbacks callbacks_;
  std::unique_ptr<Zlib> zlib_;
  std::string input_;
  std::string output_;
  SpdyStreamId data_stream_ = 0;  // data frame being streamed through
  size_t data_left_ = 0;
  bool data_fin_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // a callback may destroy the session
};

class SpdyConnection {
 public:
  virtual ~SpdyConnection() = default;  // closes
  virtual void set_callbacks(SpdyCallbacks callbacks) = 0;
  virtual void reply(SpdyStreamId stream, const Headers& headers = {}) = 0;
  virtual void write(SpdyStreamId stream, std::string_view bytes) = 0;
  virtual void finish(SpdyStreamId stream) = 0;
  virtual void reset(SpdyStreamId stream, SpdyReset status) = 0;
  virtual void close() = 0;  // flushes, then closes; no callback follows
  virtual size_t pending_bytes() const = 0;
};

// Serves an upgraded connection; `rest` is what the peer had already sent. Set callbacks before the loop turns.
std::unique_ptr<SpdyConnection> serve_spdy(io::Loop& loop, std::unique_ptr<io::Transport> transport, std::string rest);
// Serves SPDY frames carried in binary WebSocket messages.
std::unique_ptr<SpdyConnection> serve_spdy(io::Loop& loop, std::unique_ptr<WebSocket> socket);

}  // namespace fairlead::http
