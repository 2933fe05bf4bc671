// Server: HTTP/1.1 and HTTP/2 (prior knowledge, ALPN) for the API server, xDS, admin pages, the console and samples.
// The proxy's data path uses the codecs directly instead.
//
// Loop thread only. The owner of a Server keeps it until after its loop stopped running exchanges.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "io/tls.h"
#include "io/transport.h"

namespace fairlead::http {

// One request and the way to answer it. Owned by shared_ptr: a handler keeps it as long as it wants to answer later.
// All calls are valid after the peer has gone; they then do nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // --- the request
  virtual const RequestHead& request() const = 0;
  virtual const io::Address& peer() const = 0;
  virtual const io::Address& local() const = 0;
  virtual std::string peer_certificate_pem() const = 0;  // "" without a (verified) client certificate

  // Collects the whole body, then calls done. Over max_bytes: answers 413 by itself and never calls done.
  virtual void read_body(size_t max_bytes, std::function<void(std::string body)> done) = 0;
  // Streams the body: on_data for each piece, on_end once. Set both inside the handler or a later call; what came
  // before is buffered up to the flow-control window.
  virtual void stream_body(std::function<void(std::string_view)> on_data, std::function<void()> on_end) = 0;

  // --- the response
  // Whole: adds content-length and date.
  virtual void respond(int status, Headers headers, std::string_view body) = 0;
  void respond(int status, std::string_view content_type, std::string_view body) {
    Headers h;
    h.add("content-type", content_type);
    respond(status, std::move(h), body);
  }
  // Streaming: start, write any number of times, finish. HTTP/1.1 uses chunked unless content-length was given.
  virtual void start(int status, Headers headers) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void finish(Headers trailers = {}) = 0;
  // Cuts the stream (RST_STREAM, or closes an HTTP/1.1 connection).
  virtual void abort() = 0;
  // Bytes written here and not yet taken by the peer. on_drain runs each time this falls to 0.
  virtual size_t pending_bytes() const = 0;
  virtual void on_drain(std::function<void()> callback) = 0;
  // Runs once when the exchange is over: finished or broken off (ok false). Never inside another call on it.
  virtual void on_close(std::function<void(bool ok)> callback) = 0;
  virtual bool closed() const = 0;

  // HTTP/1.1 only: answers 101 with these headers and hands the connection over; `rest` is what the peer already sent.
  // nullptr on HTTP/2. The exchange is over afterwards.
  virtual std::unique_ptr<io::Transport> upgrade(Headers headers, std::string& rest) = 0;
};

using Handler = std::function<void(std::shared_ptr<Exchange>)>;

struct ServerOptions {
  std::shared_ptr<const io::TlsContext> tls;  // nullptr: plain text
  size_t max_header_bytes = 64 * 1024;
  size_t max_header_count = 200;
  base::Nanos idle_timeout = std::chrono::minutes(5);
  base::Nanos header_timeout = std::chrono::seconds(10);
  uint32_t max_streams = 250;                 // HTTP/2 concurrent streams per connection
};

class Server {
 public:
  Server(io::Loop& loop, ServerOptions options, Handler handler);
  ~Server();  // closes everything at once
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void listen(io::Fd listening);                           // may be called more than once
  base::Result<io::Address> listen(const io::Address& at); // opens the socket; returns where it listens
  void accept(io::Fd connection);                          // serves a connected socket from elsewhere
  void accept(std::unique_ptr<io::Transport> transport);
  // Stops accepting, lets exchanges end (GOAWAY, connection: close), then calls done. Cuts what is left after timeout.
  void drain(base::Nanos timeout, std::function<void()> done);
  size_t connections() const;

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace fairlead::http
