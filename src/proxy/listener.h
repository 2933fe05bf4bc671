// Listener: one worker's end of a listening socket: accepts, restores the original destination, looks at the first
// bytes (TLS, HTTP), chooses the filter chain and hands the connection to it.
//
// Worker thread only; owned by the Worker.
#pragma once

#include <memory>

#include "io/transport.h"
#include "proxy/downstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {

class Listener {
 public:
  // fds: taken; none for a listener that is only reached through another one's original destination.
  Listener(Worker& worker, std::shared_ptr<const ListenerConfig> config, const std::vector<int>& fds);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void update(std::shared_ptr<const ListenerConfig> config);
  const ListenerConfig& config() const { return *config_; }
  const std::shared_ptr<const ListenerConfig>& config_ptr() const { return config_; }
  void stop_accepting() { sockets_.clear(); }
  // A connection from a socket (accepted or handed over) or, in tests, from anywhere. fresh: its sink will be told of what
  // it can read; nothing has been read.
  void accept(std::unique_ptr<io::Transport> transport, bool fresh = false) { accept(std::move(transport), fresh, nullptr); }
  // After another listener restored the destination.
  void take(Accepted&& accepted);

 private:
  struct Socket;
  void accept(std::unique_ptr<io::Transport> transport, bool fresh, const Socket* socket);

  Worker& worker_;
  std::shared_ptr<const ListenerConfig> config_;
  ListenerStats* stats_ = nullptr;
  struct Socket {
    io::Address local;              // of all connections, when they all have the same one
    std::string local_text;
    std::unique_ptr<io::Acceptor> acceptor;
  };
  std::vector<std::unique_ptr<Socket>> sockets_;
};

// What the first bytes of a connection say. Pure function; needs more bytes while nothing is decided.
struct Sniffed {
  enum class Verdict : uint8_t { kNeedMore, kTls, kHttp10, kHttp11, kHttp2, kOther };
  Verdict verdict = Verdict::kNeedMore;
  std::string server_name;
  std::vector<std::string> alpn;
};
Sniffed sniff(std::string_view bytes, bool look_for_tls, bool look_for_http);

}  // namespace fairlead::proxy
