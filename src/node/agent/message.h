// Messages between Fairlead's own processes over a Unix stream socket: a JSON object and some file descriptors.
//
// On the wire: body length and number of descriptors (two little-endian uint32), then the body; the descriptors travel
// by SCM_RIGHTS with the first byte. Both ends are the same binary, so there is no version.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/value.h"
#include "io/fd.h"
#include "io/loop.h"

namespace fairlead::node {

inline constexpr size_t kMaxMessageBytes = 16u << 20;
inline constexpr size_t kMaxMessageFds = 16;

struct Message {
  base::Value body;
  std::vector<io::Fd> fds;
};

// A connected pair, close-on-exec, blocking.
base::Result<std::pair<io::Fd, io::Fd>> message_pair();

// Loop thread only; owned by whoever speaks. on_closed runs at most once, never inside a call, and not after
// destruction. Messages and descriptors are sent in order; what the kernel does not take at once is queued.
class MessageChannel {
 public:
  using OnMessage = std::function<void(Message)>;
  MessageChannel(io::Loop& loop, io::Fd socket, OnMessage on_message, std::function<void()> on_closed);
  ~MessageChannel();
  MessageChannel(const MessageChannel&) = delete;
  MessageChannel& operator=(const MessageChannel&) = delete;

  void send(const base::Value& body, std::vector<io::Fd> fds = {});
  bool open() const { return socket_.valid(); }

 private:
  struct Outgoing {
    std::string bytes;
    size_t sent = 0;
    std::vector<io::Fd> fds;  // with the first byte
  };
  void on_events(uint32_t events);
  void flush();
  bool receive();
  void shut();

  io::Loop& loop_;
  io::Fd socket_;
  OnMessage on_message_;
  std::function<void()> on_closed_;
  std::unique_ptr<io::FdWatch> watch_;
  std::deque<Outgoing> out_;
  std::string in_;
  std::deque<io::Fd> in_fds_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::node
