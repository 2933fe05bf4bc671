// Handshake: drives a TLS transport to the end of its handshake, so that what comes after it starts with a peer that is
// known. Worker thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/loop.h"
#include "io/transport.h"

namespace fairlead::proxy {

class Handshake final : io::TransportSink {
 public:
  // The transport is whole again in done, with an empty error when the handshake succeeded. Called once, also inside
  // start(); the handshake may be disposed there, not destroyed.
  using Done = std::move_only_function<void(std::unique_ptr<io::Transport>, const std::string& error)>;
  Handshake(io::Loop& loop, std::unique_ptr<io::Transport> transport, base::Nanos timeout, Done done);
  ~Handshake();
  void start();
  void hurry(base::Nanos most);  // no longer than this from now on

 private:
  void on_ready(bool readable, bool writable) override;
  void end(const std::string& error);
  std::unique_ptr<io::Transport> transport_;
  base::Nanos timeout_;
  io::Timer timer_;
  Done done_;
};

}  // namespace fairlead::proxy
