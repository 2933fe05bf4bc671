// What the client's pool and its connections share; internal to http/.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/client.h"

namespace fairlead::http {

class ClientConnection;

// One request from start() to its end. Shared by the caller's handle, the pool's queue and the connection.
struct PendingCall {
  RequestHead head;
  bool body_follows = false;
  bool finished = false;        // the body is complete in `body` (as long as it was not streamed)
  bool streamed = false;        // parts of the body went out directly: it cannot be sent again
  std::string body;             // written before a connection was there; kept for a second attempt
  Call::Callbacks callbacks;
  ClientConnection* connection = nullptr;
  int32_t stream = 0;           // HTTP/2
  bool over = false;            // on_end was called, or the call was cancelled
  int attempts = 0;

  bool replayable() const { return !streamed && (!body_follows || finished); }
  bool idempotent() const {
    return head.method == "GET" || head.method == "HEAD" || head.method == "OPTIONS" || head.method == "PUT" || head.method == "DELETE";
  }
  void end(base::Result<Headers> result) {
    if (std::exchange(over, true)) return;
    connection = nullptr;
    auto mine = std::move(callbacks);  // lives until the callback has returned
    callbacks = {};
    if (mine.on_end) mine.on_end(std::move(result));
  }
};
using CallPtr = std::shared_ptr<PendingCall>;

// The pool, as its connections see it. Any of these may come while the pool is gone: then they do nothing.
struct PoolHooks {
  std::function<void(ClientConnection&)> idle;            // HTTP/1.1: takes another call
  std::function<void(ClientConnection&)> closing;         // takes no more calls
  std::function<void(ClientConnection&)> gone;            // delete it from the loop
  std::function<void(ClientConnection&, CallPtr)> again;  // the call was not looked at by the server: try elsewhere
};

class ClientConnection : public io::TransportSink {
 public:
  virtual ~ClientConnection() = default;
  virtual void start(std::string_view first_bytes) = 0;
  virtual void submit(CallPtr call) = 0;
  virtual void write(PendingCall& call, std::string_view bytes) = 0;
  virtual void finish(PendingCall& call) = 0;
  virtual void cancel(PendingCall& call) = 0;
  virtual size_t pending_bytes(const PendingCall& call) const = 0;
  virtual void close() = 0;
  virtual bool multiplexed() const = 0;
  std::string host_key;
};

std::unique_ptr<ClientConnection> make_h1_client_connection(io::Loop& loop, std::unique_ptr<io::Transport> transport,
                                                            const ClientOptions& options, std::shared_ptr<PoolHooks> hooks);
std::unique_ptr<ClientConnection> make_h2_client_connection(io::Loop& loop, std::unique_ptr<io::Transport> transport,
                                                            const ClientOptions& options, std::shared_ptr<PoolHooks> hooks);

}  // namespace fairlead::http
