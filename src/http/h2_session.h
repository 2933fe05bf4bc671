// HTTP/2 (RFC 9113) without I/O, on nghttp2: bytes in, events out, bytes out. Server, client and proxy share it.
//
// Flow control is the consumer's: received data opens no window until consume() says that it was used up, so a slow
// upstream slows its own stream and nothing else. What is written is queued by stream; pending() tells how much waits
// for the peer's window or the socket, on_drained that it fell to zero.
// One thread at a time. No call of the sink runs inside a submitting call; all run inside feed() or output().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/byte_counts.h"
#include "http/h2_counters.h"
#include "http/h2_floods.h"
#include "http/message.h"

struct nghttp2_session;

namespace fairlead::http {

using H2Stream = int32_t;

// Error codes of RFC 9113 section 7.
enum class H2Error : uint32_t {
  kNoError = 0, kProtocolError = 1, kInternalError = 2, kFlowControlError = 3, kStreamClosed = 5, kFrameSizeError = 6,
  kRefusedStream = 7, kCancel = 8, kCompressionError = 9, kConnectError = 10, kEnhanceYourCalm = 11,
};

class H2Sink {
 public:
  virtual void on_request(H2Stream stream, RequestHead head, bool end_stream) { (void)stream, (void)head, (void)end_stream; }
  // Client; 1xx heads come here too, each followed by another.
  virtual void on_response(H2Stream stream, ResponseHead head, bool end_stream) { (void)stream, (void)head, (void)end_stream; }
  virtual void on_data(H2Stream stream, std::string_view bytes) = 0;
  virtual void on_trailers(H2Stream stream, Headers trailers) = 0;
  virtual void on_end(H2Stream stream) = 0;                          // the peer sent END_STREAM, after everything else
  virtual void on_drained(H2Stream stream) = 0;                      // pending(stream) fell to 0
  virtual void on_closed(H2Stream stream, H2Error error) = 0;        // last call for a stream; kNoError: both sides ended
  virtual void on_goaway(H2Stream last_stream, H2Error error) { (void)last_stream, (void)error; }
  virtual void on_ping_ack() {}                                      // to ping()

 protected:
  ~H2Sink() = default;
};

struct H2Options {
  uint32_t max_concurrent_streams = 250;           // of the peer's (a server's limit)
  uint32_t initial_window_bytes = 256 * 1024;      // receive window of each stream
  uint32_t connection_window_bytes = 1024 * 1024;  // receive window of the connection
  uint32_t max_header_list_bytes = 64 * 1024;
  uint32_t max_header_count = 200;
  bool extended_connect = true;                    // RFC 8441, server
  size_t max_output_bytes = 256 * 1024;            // more than that waits with its stream; a frame or two may go beyond
  H2Floods floods;                                 // of these H2Session knows outbound_control_frames
  H2Counters* counters = nullptr;                  // where to count; outlives the connection
};

class H2Session {
 public:
  enum class Side : uint8_t { kServer, kClient };
  H2Session(Side side, H2Sink& sink, const H2Options& options = {});
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // Bytes from the peer, any number. An error ends the connection; output() then still holds the GOAWAY.
  base::Status feed(std::string_view bytes);

  // Bytes for the peer: everything that may be sent now, up to about max_bytes. The caller removes what it wrote.
  std::string& output(size_t max_bytes);
  std::string& output() { return output(options_.max_output_bytes); }
  bool wants_write() const;  // output() would produce or holds bytes
  bool over() const;         // nothing more to read or write: close the connection

  // Client. The stream's id, or an error when the peer takes no more (RefusedStream: safe to retry elsewhere).
  base::Result<H2Stream> request(const RequestHead& head, bool end_stream);
  // Server. An interim (1xx) head may come before; end_stream: no body follows.
  void respond(H2Stream stream, const ResponseHead& head, bool end_stream);
  void write(H2Stream stream, std::string_view bytes);
  void finish(H2Stream stream, const Headers& trailers = {});  // END_STREAM once what was written is sent
  void reset(H2Stream stream, H2Error error);
  void consume(H2Stream stream, size_t bytes);                 // received bytes used up: the stream's window opens again
  size_t pending(H2Stream stream) const;
  void count(H2Stream stream, ByteCounts* into);               // its frames from now on; nullptr: no more. Outlives on_closed

  void goaway(H2Error error = H2Error::kNoError);  // no new streams from the peer; those it has go on
  void shutdown_notice();                          // graceful: GOAWAY with the highest id first (RFC 9113 section 6.8)
  void ping();
  size_t streams() const { return streams_.size(); }
  size_t unsent() const { return output_.size(); }             // bytes that the socket did not take
  size_t waiting() const;                                      // pending() of all streams
  uint32_t peer_max_streams() const;
  bool peer_allows_connect_protocol() const;

 private:
  struct Stream;
  struct Callbacks;
  friend struct Callbacks;
  Stream* find(H2Stream stream) const;
  void count(uint64_t H2Counters::*what) {
    if (options_.counters) ++(options_.counters->*what);
  }

  Side side_;
  H2Sink& sink_;
  H2Options options_;
  nghttp2_session* session_ = nullptr;
  std::map<H2Stream, std::unique_ptr<Stream>> streams_;
  std::string output_;
  H2Stream highest_ = 0;                               // stream that the peer opened
  std::vector<std::pair<H2Stream, H2Stream>> skipped_;  // ranges of ids under it that the peer left out, [from, to]
};

}  // namespace fairlead::http
