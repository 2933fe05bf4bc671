// A byte stream through an HTTP proxy: the body of a CONNECT, or of a POST, that an endpoint has agreed to (Envoy:
// TcpProxy.TunnelingConfig; RFC 9110 section 9.3.6).
//
// Worker thread only. Owner: the TCP connection, first while the endpoint is asked, then as the transport towards it.
#pragma once

#include <functional>
#include <string>

#include "io/transport.h"
#include "proxy/headers.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {

class Tunnel final : public io::Transport, UpstreamSink, StreamWaiter {
 public:
  // The endpoint's word, once, never inside open(): ready() says whether it agreed, error() why not.
  using Answer = std::move_only_function<void()>;
  // most: bytes of the answer that may wait to be read, and of the request to be written.
  Tunnel(size_t most, Answer answer) : most_(most), answer_(std::move(answer)) {}
  ~Tunnel() override { close(); }

  RequestHeaders& request() { return request_; }  // to be filled before open()
  bool open(HostPool& pool);                      // false: a circuit breaker is open; no answer follows
  bool ready() const { return ready_; }
  const std::string& failure() const { return failure_; }
  const UpstreamStream* stream() const { return stream_; }  // nullptr: none yet, or it ended

  io::IoResult read(std::span<char> into) override;
  io::IoResult write(std::span<const iovec> from) override;
  void shutdown_write() override;
  void close(bool reset = false) override;
  int fd() const override { return -1; }
  std::shared_ptr<const io::TlsInfo> tls_info() const override { return tls_; }

 private:
  void on_stream(UpstreamStream& stream) override;
  void on_stream_failure(ResetReason reason, std::string_view detail) override;
  void on_response(ResponseHeaders& head, bool end) override;
  void on_response_data(std::string_view bytes) override;
  void on_response_end(const HeaderMap* trailers) override;
  void on_reset(ResetReason reason, std::string_view detail, bool reused) override;
  void on_upstream_drained() override;
  void refused(std::string why);
  void wake(bool readable, bool writable);

  size_t most_;
  Answer answer_;
  HostPool* pool_ = nullptr;
  UpstreamStream* stream_ = nullptr;
  RequestHeaders request_;
  std::shared_ptr<const io::TlsInfo> tls_;
  std::string in_, failure_;
  size_t taken_ = 0;                // of in_
  bool ready_ = false, paused_ = false, ended_ = false, broken_ = false;
};

}  // namespace fairlead::proxy
