// PodStreams: the wires of exec, attach and port-forward: WebSocket channels and SPDY/3.1 streams.
//
// Private to api/. Loop thread only. Each session owns itself until its client or its process is gone.
// Source: Kubernetes' remotecommand (v4.channel.k8s.io, v5.channel.k8s.io) and portforward (portforward.k8s.io) protocols.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/handlers.h"

namespace fairlead::api {

// The client's end of an exec or attach, whatever it is carried by. Callbacks come from the loop, never inside a call.
class RemoteConsole {
 public:
  struct Callbacks {
    std::function<void()> on_ready;                         // every stream is open; output may be sent
    std::function<void(std::string_view)> on_stdin;
    std::function<void()> on_stdin_end;
    std::function<void(uint16_t columns, uint16_t rows)> on_resize;
    std::function<void()> on_gone;                          // the client left; once
  };
  virtual ~RemoteConsole() = default;
  virtual void set_callbacks(Callbacks callbacks) = 0;
  virtual void out(bool error_stream, std::string_view bytes) = 0;
  virtual void end(std::string_view status_json) = 0;       // the error channel, then close
  virtual size_t pending_bytes() const = 0;
};

struct ConsoleStreams {
  bool in = false, out = false, err = false, tty = false;
};
// Agrees on a protocol and takes the connection over; nullptr after answering.
std::unique_ptr<RemoteConsole> accept_console(io::Loop& loop, const RequestPtr& request, const ConsoleStreams& streams);

// Takes the connection of a port-forward over; answers by itself when it cannot.
void serve_port_forward(io::Loop& loop, const RequestPtr& request, PodBackend& pods, const PodRef& pod);

}  // namespace fairlead::api
