// Transport: a byte stream to a peer, plain or TLS or in memory. The seam under every codec.
//
// Pull model: the owner reads and writes when it wants to; the transport only says when trying again makes sense.
// Readiness is edge-triggered: after a read or write that returned kAgain, one on_ready call follows when the state
// changes. An owner that stopped reading for back-pressure simply calls read() again later.
// Loop thread only. Owner: the connection object above it.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/address.h"
#include "io/loop.h"

namespace fairlead::io {

struct TlsInfo;  // io/tls.h

enum class IoStatus : unsigned char {
  kOk,     // bytes > 0 were moved
  kAgain,  // nothing now; on_ready follows
  kEof,    // read only: the peer ended its side
  kError,  // the connection is broken; error() says how
};

struct IoResult {
  IoStatus status;
  size_t bytes = 0;
};

class TransportSink {
 public:
  // Reading and/or writing may be tried (again). Errors and end of file surface as readable.
  virtual void on_ready(bool readable, bool writable) = 0;

 protected:
  ~TransportSink() = default;
};

class Transport {
 public:
  virtual ~Transport() = default;

  void set_sink(TransportSink* sink) { sink_ = sink; }  // nullptr: events are dropped (remembered by the kernel state)

  virtual IoResult read(std::span<char> into) = 0;
  virtual IoResult write(std::span<const iovec> from) = 0;
  IoResult write(std::string_view bytes) {
    iovec v{const_cast<char*>(bytes.data()), bytes.size()};
    return write(std::span<const iovec>(&v, 1));
  }
  // What is written next is the last before shutdown_write() or close(), which follow at once: it may wait for them and
  // leave together with the end of the stream.
  virtual void last_write() {}
  virtual void shutdown_write() = 0;  // half-close (TLS: close_notify first)
  virtual void close(bool reset = false) = 0;  // reset: RST instead of FIN where the transport has it. No events follow.

  virtual int fd() const = 0;  // -1 when there is none
  virtual std::string_view alpn() const { return {}; }           // negotiated protocol, TLS only
  virtual std::string_view sni() const { return {}; }            // server name asked for, TLS server side only
  virtual std::string peer_certificate_pem() const { return {}; }
  virtual bool secure() const { return false; }
  // What the handshake settled; nullptr before its end and without TLS. Outlives the transport.
  virtual std::shared_ptr<const TlsInfo> tls_info() const { return nullptr; }
  const Address& peer() const { return peer_; }
  const Address& local() const { return local_; }
  const std::string& error() const { return error_; }

 protected:
  TransportSink* sink_ = nullptr;
  Address peer_;
  Address local_;
  std::string error_;
};

// A connected TCP or Unix socket (non-blocking). Takes the descriptor.
std::unique_ptr<Transport> make_socket_transport(Loop& loop, Fd fd);

// Two ends of a connection in memory, for tests; bytes written to one are read from the other, at most `step` a call
// (0: no bound), so that short reads and writes can be provoked. Buffers hold `capacity` bytes each way.
std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> make_memory_pair(Loop& loop, size_t step = 0, size_t capacity = 65536);

struct SocketOption {
  int level = 0, name = 0;
  std::string value;                // bytes as for setsockopt
  bool operator==(const SocketOption&) const = default;
};
// What a socket is given before it connects. What can't be set fails the connection.
struct SocketSetup {
  std::vector<Address> bind;        // source addresses: the first of the family it connects to, or else the first
  bool freebind = false;            // IP_FREEBIND: a source address need not be this machine's yet
  std::vector<SocketOption> options;
  bool operator==(const SocketSetup&) const = default;
};
struct ConnectOptions {
  base::Nanos timeout = std::chrono::seconds(10);
  int mark = 0;                     // SO_MARK when not 0 and allowed
  std::shared_ptr<const SocketSetup> setup;  // nullptr: nothing
};
using ConnectCallback = std::move_only_function<void(base::Result<std::unique_ptr<Transport>>)>;

// Starts a connection; the callback runs once, never inside this call. Destroying the handle cancels it silently.
class Connecting {
 public:
  virtual ~Connecting() = default;
};
std::unique_ptr<Connecting> connect(Loop& loop, const Address& to, const ConnectOptions& options, ConnectCallback done);

// Opens a non-blocking listening socket. reuse_port for one socket per worker. Port 0 picks one.
struct ListenOptions {
  bool reuse_port = false;
  bool transparent = false;  // IP_TRANSPARENT (needs CAP_NET_ADMIN)
  bool freebind = false;     // IP_FREEBIND: the address need not be this machine's yet
  int backlog = 1024;
};
base::Result<Fd> listen(const Address& at, const ListenOptions& options = {});
base::Result<Address> local_address(int fd);
base::Result<Address> peer_address(int fd);
// SO_ORIGINAL_DST: where a redirected connection was going.
base::Result<Address> original_destination(int fd);

// Accepts on a listening socket (taken) and hands each connected descriptor, non-blocking, to the callback.
// Pauses accepting for a moment when the process is out of descriptors.
class Acceptor final : EventSink {
 public:
  using Callback = std::function<void(Fd connection, const Address& peer)>;
  Acceptor(Loop& loop, Fd listening, Callback callback);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  int fd() const { return listening_.get(); }

 private:
  void on_events(uint32_t events) override;
  Loop& loop_;
  Fd listening_;
  Callback callback_;
  Timer resume_;
  int batch_ = 1, full_batches_ = 0;  // connections asked for at a time; times that all were there
};

}  // namespace fairlead::io
