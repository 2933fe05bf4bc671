// Client: HTTP/1.1 and HTTP/2 requests with pooled connections, for everything but the proxy's data path.
//
// Loop thread only. Callbacks never run inside the call that caused them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "io/resolver.h"
#include "io/tls.h"
#include "io/transport.h"

namespace fairlead::http {

struct ClientOptions {
  std::shared_ptr<const io::TlsContext> tls;  // for https; nullptr: https is refused
  std::string tls_server_name;                // when it is not the URL's host
  bool http2 = false;                         // prior knowledge over plain text; with TLS, ALPN h2 is offered
  base::Nanos connect_timeout = std::chrono::seconds(5);
  size_t max_connections_per_host = 100;      // HTTP/1.1
  base::Nanos idle_timeout = std::chrono::seconds(60);
  bool keep_alive = true;
  int socket_mark = 0;                        // SO_MARK on its connections when not 0
  std::shared_ptr<const io::SocketSetup> socket_setup;
  // Makes every connection, https or not, what it is to be: TLS of the caller's own kind; nullptr fails it. Then http2 says
  // which protocol is spoken, not ALPN.
  std::function<std::unique_ptr<io::Transport>(std::unique_ptr<io::Transport>)> wrap;
  std::string unix_path;                      // every connection goes to this Unix socket; URLs keep their names
  io::Resolver* resolver = nullptr;           // nullptr: one of its own
};

// The client's side of a request in flight. Destroying it cancels the request; no callback follows.
class Call {
 public:
  struct Callbacks {
    std::function<void(const ResponseHead&)> on_head;      // final response head (1xx are dropped)
    std::function<void(std::string_view)> on_data;
    std::function<void(base::Result<Headers>)> on_end;     // trailers, or why it broke
  };
  virtual ~Call() = default;
  virtual void write(std::string_view bytes) = 0;          // request body, streaming
  virtual void finish() = 0;
  virtual size_t pending_bytes() const = 0;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;
  Headers trailers;
};

class Client {
 public:
  Client(io::Loop& loop, ClientOptions options);
  ~Client();  // cancels what is in flight
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // url: "http://host:port/path?query" or "https://...". More header fields and the method come from `head`
  // (its target, authority and scheme are filled from the url when empty).
  // body_follows: write() and finish() come later; false: no body.
  std::unique_ptr<Call> start(std::string_view url, RequestHead head, bool body_follows, Call::Callbacks callbacks);

  // Whole request and response. timeout covers everything.
  void fetch(std::string_view method, std::string_view url, Headers headers, std::string body, base::Nanos timeout,
             std::function<void(base::Result<Response>)> done);

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

// Blocking, on a loop of its own: for the command line.
base::Result<Response> fetch_blocking(std::string_view method, std::string_view url, Headers headers, std::string body,
                                      base::Nanos timeout, ClientOptions options = {});

struct Url {
  std::string scheme, host, target;
  uint16_t port = 0;
  std::string authority() const;  // host, with the port unless it is the scheme's default
};
base::Result<Url> parse_url(std::string_view text);

}  // namespace fairlead::http
