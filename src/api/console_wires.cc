#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "api/pod_streams.h"
#include "base/strings.h"
#include "base/value.h"
#include "http/spdy.h"
#include "http/websocket.h"

namespace fairlead::api {

namespace {

enum Channel : char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };
constexpr char kCloseChannel = static_cast<char>(255);  // v5: the next byte names the channel that ended

void resize_from(std::string_view json, const RemoteConsole::Callbacks& callbacks) {
  auto size = base::parse_json(json);
  if (size && callbacks.on_resize)
    callbacks.on_resize(static_cast<uint16_t>((*size)["Width"].as_int()), static_cast<uint16_t>((*size)["Height"].as_int()));
}

// One binary message per piece; its first byte is the channel.
class WebSocketConsole final : public RemoteConsole {
 public:
  WebSocketConsole(io::Loop& loop, std::unique_ptr<http::WebSocket> socket) : loop_(loop), socket_(std::move(socket)) {}
  ~WebSocketConsole() override { *alive_ = false; }

  void set_callbacks(Callbacks callbacks) override {
    callbacks_ = std::move(callbacks);
    socket_->set_callbacks({[this](std::string_view message, bool) { on_message(message); },
                            [this] {
                              if (callbacks_.on_gone) callbacks_.on_gone();
                            }});
    loop_.post([this, alive = alive_] {
      if (*alive && callbacks_.on_ready) callbacks_.on_ready();
    });
  }
  void out(bool error_stream, std::string_view bytes) override { send(error_stream ? kStderr : kStdout, bytes); }
  void end(std::string_view status_json) override {
    send(kError, status_json);
    socket_->close(1000);
  }
  size_t pending_bytes() const override { return socket_->pending_bytes(); }

 private:
  void send(char channel, std::string_view bytes) {
    std::string message;
    message.reserve(bytes.size() + 1);
    message += channel;
    message += bytes;
    socket_->send(message, true);
  }
  void on_message(std::string_view message) {
    if (message.empty()) return;
    const auto rest = message.substr(1);
    if (message[0] == kStdin) {
      if (callbacks_.on_stdin && !rest.empty()) callbacks_.on_stdin(rest);
    } else if (message[0] == kResize) {
      resize_from(rest, callbacks_);
    } else if (message[0] == kCloseChannel && !rest.empty() && rest[0] == kStdin) {
      if (callbacks_.on_stdin_end) callbacks_.on_stdin_end();
    }
  }

  io::Loop& loop_;
  std::unique_ptr<http::WebSocket> socket_;
  Callbacks callbacks_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// One SPDY stream per channel, named by its header "streamtype".
class SpdyConsole final : public RemoteConsole {
 public:
  SpdyConsole(std::unique_ptr<http::SpdyConnection> connection, size_t expected) : connection_(std::move(connection)), expected_(expected) {}

  void set_callbacks(Callbacks callbacks) override {
    callbacks_ = std::move(callbacks);
    http::SpdyCallbacks c;
    c.on_stream = [this](http::SpdyStreamId id, const http::Headers& headers) {
      connection_->reply(id);
      types_[id] = std::string(headers.get("streamtype"));
      ids_[types_[id]] = id;
      if (ids_.size() == expected_ && callbacks_.on_ready) callbacks_.on_ready();
    };
    c.on_data = [this](http::SpdyStreamId id, std::string_view bytes) {
      const std::string& type = types_[id];
      if (type == "stdin" && callbacks_.on_stdin) callbacks_.on_stdin(bytes);
      if (type == "resize") {
        // Each size is one JSON object; they may arrive glued together.
        resize_text_ += bytes;
        size_t end;
        while ((end = resize_text_.find('}')) != std::string::npos) {
          resize_from(std::string_view(resize_text_).substr(0, end + 1), callbacks_);
          resize_text_.erase(0, end + 1);
        }
        if (resize_text_.size() > 1024) resize_text_.clear();
      }
    };
    auto ended = [this](http::SpdyStreamId id) {
      if (types_[id] == "stdin" && callbacks_.on_stdin_end) callbacks_.on_stdin_end();
    };
    c.on_end = ended;
    c.on_reset = ended;
    c.on_close = [this] {
      if (callbacks_.on_gone) callbacks_.on_gone();
    };
    connection_->set_callbacks(std::move(c));
  }
  void out(bool error_stream, std::string_view bytes) override {
    if (auto it = ids_.find(error_stream ? "stderr" : "stdout"); it != ids_.end()) connection_->write(it->second, bytes);
  }
  void end(std::string_view status_json) override {
    if (auto it = ids_.find("error"); it != ids_.end()) connection_->write(it->second, status_json);
    for (const auto& [type, id] : ids_) connection_->finish(id);
    connection_->close();
  }
  size_t pending_bytes() const override { return connection_->pending_bytes(); }

 private:
  std::unique_ptr<http::SpdyConnection> connection_;
  const size_t expected_;
  Callbacks callbacks_;
  std::map<http::SpdyStreamId, std::string> types_;
  std::map<std::string, http::SpdyStreamId, std::less<>> ids_;
  std::string resize_text_;
};

bool offers(const http::RequestHead& head, std::string_view wanted) {
  for (const auto& [name, value] : head.headers) {
    if (name != "x-stream-protocol-version") continue;
    for (auto offered : base::split(value, ','))
      if (base::trim(offered) == wanted) return true;
  }
  return false;
}

}  // namespace

static std::unique_ptr<http::SpdyConnection> upgrade_to_spdy(io::Loop& loop, const RequestPtr& request, std::string_view protocol) {
  http::Headers headers;
  headers.add("connection", "Upgrade");
  headers.add("upgrade", "SPDY/3.1");
  headers.add("x-stream-protocol-version", protocol);
  std::string rest;
  auto transport = request->exchange().upgrade(std::move(headers), rest);
  if (!transport) {
    request->answer(bad_request("Upgrade request required"));
    return nullptr;
  }
  return http::serve_spdy(loop, std::move(transport), std::move(rest));
}

static bool wants_spdy(const http::RequestHead& head) { return base::iequals(head.headers.get("upgrade"), "SPDY/3.1"); }

std::unique_ptr<RemoteConsole> accept_console(io::Loop& loop, const RequestPtr& request, const ConsoleStreams& streams) {
  const auto& head = request->head();
  if (http::is_websocket_upgrade(head)) {
    auto socket = http::accept_websocket(loop, request->exchange(), {"v5.channel.k8s.io", "v4.channel.k8s.io"});
    if (!socket) return nullptr;
    return std::make_unique<WebSocketConsole>(loop, std::move(socket));
  }
  if (!wants_spdy(head)) {
    request->answer(bad_request("Upgrade request required"));
    return nullptr;
  }
  if (!offers(head, "v4.channel.k8s.io")) {
    request->answer(failure(403, "Forbidden", "unable to upgrade: unable to negotiate protocol: the server supports v4.channel.k8s.io"));
    return nullptr;
  }
  auto connection = upgrade_to_spdy(loop, request, "v4.channel.k8s.io");
  if (!connection) return nullptr;
  const size_t expected = 1 + (streams.in ? 1 : 0) + (streams.out ? 1 : 0) + (streams.err && !streams.tty ? 1 : 0) + (streams.tty ? 1 : 0);
  return std::make_unique<SpdyConsole>(std::move(connection), expected);
}

// --- port-forward

namespace {

constexpr size_t kForwardBufferBytes = 256u << 10;

// One forwarded connection: SPDY data stream <-> a socket in the pod.
class Forwarded final : public io::TransportSink {
 public:
  // `over` runs when both sides have ended; it has to put off destroying this.
  Forwarded(io::Loop& loop, http::SpdyConnection& client, http::SpdyStreamId data, std::function<void()> over)
      : client_(client), data_(data), over_(std::move(over)), resume_(loop, [this] { pump(); }) {}
  ~Forwarded() {
    if (transport_) transport_->set_sink(nullptr);
  }

  void connected(std::unique_ptr<io::Transport> transport) {
    transport_ = std::move(transport);
    transport_->set_sink(this);
    pump();
  }
  void from_client(std::string_view bytes) {
    to_pod_ += bytes;
    if (transport_) pump();
  }
  void client_ended() {
    client_ended_ = true;
    if (transport_) pump();
  }

 private:
  void on_ready(bool, bool) override { pump(); }
  void pump() {
    while (!to_pod_.empty()) {
      auto sent = transport_->write(to_pod_);
      if (sent.status == io::IoStatus::kError) to_pod_.clear();  // nobody there to take it; reading tells the rest
      if (sent.status != io::IoStatus::kOk) break;
      to_pod_.erase(0, sent.bytes);
    }
    if (to_pod_.empty() && client_ended_ && !shut_) {
      shut_ = true;
      transport_->shutdown_write();
    }
    char buffer[16384];
    while (!finished_) {
      // The connection has no drain event: look again a little later.
      if (client_.pending_bytes() > kForwardBufferBytes) return resume_.arm(std::chrono::milliseconds(5));
      auto got = transport_->read(buffer);
      if (got.status == io::IoStatus::kAgain) break;
      if (got.status != io::IoStatus::kOk) {
        finished_ = true;
        client_.finish(data_);
        break;
      }
      client_.write(data_, std::string_view(buffer, got.bytes));
    }
    if (finished_ && client_ended_ && to_pod_.empty()) over_();
  }

  http::SpdyConnection& client_;
  const http::SpdyStreamId data_;
  const std::function<void()> over_;
  io::Timer resume_;
  std::unique_ptr<io::Transport> transport_;
  std::string to_pod_;
  bool client_ended_ = false, shut_ = false, finished_ = false;
};

class PortForward : public std::enable_shared_from_this<PortForward> {
 public:
  PortForward(io::Loop& loop, PodBackend& pods, PodRef pod, std::unique_ptr<http::SpdyConnection> connection)
      : loop_(loop), pods_(pods), pod_(std::move(pod)), connection_(std::move(connection)) {}

  void begin() {
    self_ = shared_from_this();
    http::SpdyCallbacks c;
    c.on_stream = [this](http::SpdyStreamId id, const http::Headers& headers) { on_stream(id, headers); };
    c.on_data = [this](http::SpdyStreamId id, std::string_view bytes) {
      if (auto it = forwards_.find(id); it != forwards_.end()) it->second->from_client(bytes);
    };
    c.on_end = [this](http::SpdyStreamId id) {
      if (auto it = forwards_.find(id); it != forwards_.end()) it->second->client_ended();
    };
    c.on_reset = [this](http::SpdyStreamId id) {
      if (auto it = forwards_.find(id); it != forwards_.end()) {
        loop_.dispose(std::move(it->second));
        forwards_.erase(it);
      }
    };
    c.on_close = [this] {
      auto keep = self_;
      loop_.defer([keep]() mutable { keep->forwards_.clear(); });
      self_.reset();
    };
    connection_->set_callbacks(std::move(c));
  }

 private:
  // A pair of streams with one requestid: "error" (for a sentence, else empty) and "data".
  void on_stream(http::SpdyStreamId id, const http::Headers& headers) {
    connection_->reply(id);
    const std::string request(headers.get("requestid"));
    const auto port = base::to_int(headers.get("port"));
    if (headers.get("streamtype") == "error") {
      errors_[request] = id;
      return;
    }
    if (!port || *port < 1 || *port > 65535) return connection_->reset(id, http::SpdyReset::kProtocolError);
    auto forward = std::make_unique<Forwarded>(loop_, *connection_, id, [weak = weak_from_this(), id] {
      auto self = weak.lock();
      if (!self) return;
      if (auto it = self->forwards_.find(id); it != self->forwards_.end()) {
        self->loop_.dispose(std::move(it->second));
        self->forwards_.erase(it);
      }
    });
    forwards_[id] = std::move(forward);
    pods_.dial(pod_, static_cast<uint16_t>(*port), [weak = weak_from_this(), id, request, port = *port](base::Result<std::unique_ptr<io::Transport>> dialed) {
      auto self = weak.lock();
      if (!self || !self->self_) return;
      auto it = self->forwards_.find(id);
      if (it == self->forwards_.end()) return;
      if (auto error = self->errors_.find(request); error != self->errors_.end()) {
        if (!dialed)
          self->connection_->write(error->second, fmt::format("an error occurred forwarding {} -> {}: error forwarding port {} to pod {}, {}", port, port, port,
                                                              self->pod_.name, dialed.error().text()));
        // Ended without a word: the forwarding works.
        self->connection_->finish(error->second);
        self->errors_.erase(error);
      }
      if (!dialed) {
        self->connection_->finish(id);
        self->loop_.dispose(std::move(it->second));
        self->forwards_.erase(it);
        return;
      }
      it->second->connected(std::move(*dialed));
    });
  }

  io::Loop& loop_;
  PodBackend& pods_;
  const PodRef pod_;
  std::unique_ptr<http::SpdyConnection> connection_;
  std::map<http::SpdyStreamId, std::unique_ptr<Forwarded>> forwards_;
  std::map<std::string, http::SpdyStreamId> errors_;
  std::shared_ptr<PortForward> self_;  // until the client is gone
};

}  // namespace

void serve_port_forward(io::Loop& loop, const RequestPtr& request, PodBackend& pods, const PodRef& pod) {
  const auto& head = request->head();
  std::unique_ptr<http::SpdyConnection> connection;
  if (http::is_websocket_upgrade(head)) {
    auto socket = http::accept_websocket(loop, request->exchange(), {"SPDY/3.1+portforward.k8s.io"});
    if (!socket) return;
    connection = http::serve_spdy(loop, std::move(socket));
  } else if (wants_spdy(head) && offers(head, "portforward.k8s.io")) {
    connection = upgrade_to_spdy(loop, request, "portforward.k8s.io");
  } else {
    return request->answer(bad_request("Upgrade request required"));
  }
  if (!connection) return;
  std::make_shared<PortForward>(loop, pods, pod, std::move(connection))->begin();
}

}  // namespace fairlead::api
