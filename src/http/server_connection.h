// Connections of the server, internal to http/. Owned by Server::Core, which deletes them from the loop after gone().
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/server.h"

namespace fairlead::http {

class ServerConnection;

// What all connections of one server share.
struct ServerShared {
  io::Loop& loop;
  ServerOptions options;
  Handler handler;
  bool draining = false;
  std::function<void(ServerConnection&)> gone;  // the connection is over; delete it later
  // A connection learnt its protocol: `next` takes the place of `old`.
  std::function<void(ServerConnection& old, std::unique_ptr<ServerConnection> next)> replace;
};

class ServerConnection : public io::TransportSink {
 public:
  virtual ~ServerConnection() = default;
  virtual void start(std::string_view first_bytes) = 0;  // once, after it is in the server's table
  virtual void drain() = 0;                              // let exchanges end, then close
  virtual void cut() = 0;                                // now; the server may be gone afterwards
};

std::unique_ptr<ServerConnection> make_h1_connection(std::shared_ptr<ServerShared> shared, std::unique_ptr<io::Transport> transport);
std::unique_ptr<ServerConnection> make_h2_connection(std::shared_ptr<ServerShared> shared, std::unique_ptr<io::Transport> transport);

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7) for now; formatted once a second and thread.
std::string_view http_date();

}  // namespace fairlead::http
