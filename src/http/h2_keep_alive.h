// Asks the peer of an HTTP/2 connection by PING whether it is still there (Envoy: Http2ProtocolOptions.connection_keepalive).
// The connection's thread and owner.
#pragma once

#include <cstdint>
#include <functional>

#include "base/time.h"
#include "io/loop.h"

namespace fairlead::http {

struct H2KeepAliveOptions {
  base::Nanos interval{0};      // from an answer to the next PING; 0: none by time
  base::Nanos timeout{0};       // without a byte from the peer after a PING: it is gone
  base::Nanos idle{0};          // nothing heard for so long: a PING goes ahead of the next stream; 0: none
  double jitter_percent = 15;   // of the interval, added by chance
  bool on() const { return interval.count() > 0 || idle.count() > 0; }
  bool operator==(const H2KeepAliveOptions&) const = default;
};

class H2KeepAlive {
 public:
  // ping: sends one. gone: the peer is silent; it may close the connection, not destroy this.
  H2KeepAlive(io::Loop& loop, const H2KeepAliveOptions& options, uint64_t random, std::function<void()> ping, std::function<void()> gone);

  void on_bytes();       // from the peer, whatever they say
  void on_answer();      // a PING of ours came back
  void before_stream();  // the connection is about to be used
  void stop();           // it is closed

 private:
  void send();
  void next();

  io::Loop& loop_;
  const H2KeepAliveOptions options_;
  uint64_t random_;
  std::function<void()> ping_;
  base::TimePoint heard_;
  io::Timer interval_, timeout_;
};

}  // namespace fairlead::http
