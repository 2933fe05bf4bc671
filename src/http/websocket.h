// WebSocket (RFC 6455) over an upgraded connection: kubectl's exec, attach, port-forward and logs.
// Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "http/server.h"

namespace fairlead::http {

class WebSocket {
 public:
  struct Callbacks {
    std::function<void(std::string_view message, bool binary)> on_message;  // whole messages, reassembled
    std::function<void()> on_close;                                         // once; not after close() or destruction
  };
  virtual ~WebSocket() = default;
  virtual void set_callbacks(Callbacks callbacks) = 0;  // nothing is read before the first call
  virtual void send(std::string_view message, bool binary = true) = 0;
  virtual void close(uint16_t code = 1000, std::string_view reason = {}) = 0;  // flushes, then closes
  virtual size_t pending_bytes() const = 0;
  virtual const std::string& protocol() const = 0;                             // the subprotocol agreed on
};

// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);
bool is_websocket_upgrade(const RequestHead& request);
// Picks the first of `protocols` that the client offers ("" in the list: none is fine), answers 101 and takes the
// connection. nullptr after answering 400 when nothing fits.
std::unique_ptr<WebSocket> accept_websocket(io::Loop& loop, Exchange& exchange, const std::vector<std::string>& protocols,
                                            size_t max_message_bytes = 16u << 20);
// Client side over an HTTP/1.1 URL (http, https); for istioctl's exec. done runs once.
void connect_websocket(io::Loop& loop, std::string_view url, Headers headers, const std::vector<std::string>& protocols,
                       std::shared_ptr<const io::TlsContext> tls, std::function<void(base::Result<std::unique_ptr<WebSocket>>)> done);

}  // namespace fairlead::http
