// Drives a SpdySession over a transport or a WebSocket.
#include "http/farewell.h"
#include "http/spdy.h"
#include "http/websocket.h"

namespace fairlead::http {
namespace {

class ConnectionBase : public SpdyConnection {
 public:
  explicit ConnectionBase(io::Loop& loop) : loop_(loop), session_(forward()) {}
  ~ConnectionBase() override { *alive_ = false; }

  void set_callbacks(SpdyCallbacks callbacks) override { callbacks_ = std::move(callbacks); }
  void reply(SpdyStreamId stream, const Headers& headers) override {
    session_.reply(stream, headers);
    flush();
  }
  void write(SpdyStreamId stream, std::string_view bytes) override {
    session_.write(stream, bytes);
    flush();
  }
  void finish(SpdyStreamId stream) override {
    session_.finish(stream);
    flush();
  }
  void reset(SpdyStreamId stream, SpdyReset status) override {
    session_.reset(stream, status);
    flush();
  }

 protected:
  virtual void flush() = 0;

  // Feeds bytes; false when the connection has ended meanwhile (this object may be gone then).
  bool take(std::string_view bytes) {
    auto alive = alive_;
    bool ok = session_.feed(bytes).has_value();
    if (!*alive) return false;
    if (!ok) {
      ended();
      return false;
    }
    flush();  // answers to pings
    return *alive;
  }

  // Tells the owner, who may destroy this object in the callback.
  void ended() {
    if (std::exchange(over_, true)) return;
    loop_.defer([this, alive = alive_] {
      if (*alive && callbacks_.on_close) std::exchange(callbacks_.on_close, nullptr)();
    });
  }

  io::Loop& loop_;
  SpdyCallbacks callbacks_;
  SpdySession session_;
  bool over_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

 private:
  // Callbacks are set later than the session is made, and may replace this object's state: call through copies.
  SpdyCallbacks forward() {
    return {.on_stream = [this](SpdyStreamId s, const Headers& h) { if (callbacks_.on_stream) callbacks_.on_stream(s, h); },
            .on_data = [this](SpdyStreamId s, std::string_view d) { if (callbacks_.on_data) callbacks_.on_data(s, d); },
            .on_end = [this](SpdyStreamId s) { if (callbacks_.on_end) callbacks_.on_end(s); },
            .on_reset = [this](SpdyStreamId s) { if (callbacks_.on_reset) callbacks_.on_reset(s); },
            .on_close = {}};
  }
};

class TransportConnection final : public ConnectionBase, io::TransportSink {
 public:
  TransportConnection(io::Loop& loop, std::unique_ptr<io::Transport> transport, std::string rest)
      : ConnectionBase(loop), transport_(std::move(transport)) {
    transport_->set_sink(this);
    // The first read waits until callbacks are set; the kernel's edge may already have passed.
    loop_.post([this, alive = alive_, rest = std::move(rest)] {
      if (*alive && (rest.empty() || take(rest))) on_ready(true, false);
    });
  }

  void close() override {
    if (std::exchange(over_, true)) return;
    session_.goaway();
    close_gracefully(loop_, std::move(transport_), std::move(session_.output()));
  }
  size_t pending_bytes() const override { return const_cast<TransportConnection*>(this)->session_.output().size(); }

 private:
  void on_ready(bool readable, bool writable) override {
    auto alive = alive_;
    if (writable) flush();
    char buffer[32768];
    while (readable && *alive && !over_) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return ended();
      if (!take({buffer, r.bytes})) return;
    }
  }

  void flush() override {
    if (!transport_) return;
    std::string& out = session_.output();
    size_t done = 0;
    while (done < out.size()) {
      io::IoResult r = transport_->write(std::string_view(out).substr(done));
      if (r.status == io::IoStatus::kOk) {
        done += r.bytes;
      } else if (r.status == io::IoStatus::kAgain) {
        break;
      } else {
        out.clear();
        return ended();
      }
    }
    out.erase(0, done);
  }

  std::unique_ptr<io::Transport> transport_;  // nullptr after close()
};

class TunnelConnection final : public ConnectionBase {
 public:
  TunnelConnection(io::Loop& loop, std::unique_ptr<WebSocket> socket) : ConnectionBase(loop), socket_(std::move(socket)) {
    socket_->set_callbacks({.on_message = [this](std::string_view message, bool) { take(message); }, .on_close = [this] { ended(); }});
  }
  void close() override {
    if (std::exchange(over_, true)) return;
    socket_->close();
  }
  size_t pending_bytes() const override { return socket_->pending_bytes(); }

 private:
  void flush() override {
    std::string out = std::exchange(session_.output(), {});
    if (!out.empty()) socket_->send(out, true);
  }
  std::unique_ptr<WebSocket> socket_;
};

}  // namespace

std::unique_ptr<SpdyConnection> serve_spdy(io::Loop& loop, std::unique_ptr<io::Transport> transport, std::string rest) {
  return std::make_unique<TransportConnection>(loop, std::move(transport), std::move(rest));
}

std::unique_ptr<SpdyConnection> serve_spdy(io::Loop& loop, std::unique_ptr<WebSocket> socket) {
  return std::make_unique<TunnelConnection>(loop, std::move(socket));
}

}  // namespace fairlead::http
