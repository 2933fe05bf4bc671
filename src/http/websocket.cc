// WebSocket framing (RFC 6455 section 5) and both handshakes.
#include "http/websocket.h"

#include <openssl/sha.h>

#include <algorithm>

#include "base/strings.h"
#include "http/client.h"
#include "http/farewell.h"
#include "http/h1_codec.h"

namespace fairlead::http {
namespace {

enum Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

}  // namespace

std::string websocket_accept(std::string_view key) {
  std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // the GUID of section 1.3
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return base::base64_encode({reinterpret_cast<char*>(digest), sizeof digest});
}

namespace {

bool has_token(std::string_view list, std::string_view token) {
  for (std::string_view part : base::split(list, ','))
    if (base::iequals(base::trim(part), token)) return true;
  return false;
}

constexpr size_t kMaxPongBacklog = 256 * 1024;

class Connection final : public WebSocket, io::TransportSink {
 public:
  // client: frames that we send are masked, frames that come must not be (and the other way round).
  Connection(io::Loop& loop, std::unique_ptr<io::Transport> transport, std::string rest, std::string protocol, bool client,
             size_t max_message)
      : loop_(loop), transport_(std::move(transport)), input_(std::move(rest)), protocol_(std::move(protocol)), client_(client),
        max_message_(max_message) {
    transport_->set_sink(this);
  }
  ~Connection() override {
    *alive_ = false;
    if (!transport_) return;
    if (close_sent_ && !broken_) close_gracefully(loop_, std::move(transport_), output_.substr(sent_));
    else transport_->close();
  }

  // Held by pointer: a callback may replace them, or close, while it runs.
  void set_callbacks(Callbacks callbacks) override {
    callbacks_ = std::make_shared<Callbacks>(std::move(callbacks));
    if (std::exchange(heard_, true)) return;
    // Nothing is read before there is somebody to tell; the edge that announced what is there may be past.
    loop_.post([this, alive = alive_] {
      if (*alive) on_ready(true, true);
    });
  }
  void send(std::string_view message, bool binary) override {
    if (state_ == State::kOpen) frame(binary ? kBinary : kText, message);
  }
  void close(uint16_t code, std::string_view reason) override {
    callbacks_ = std::make_shared<Callbacks>();
    send_close(code, reason);
  }
  size_t pending_bytes() const override { return output_.size() - sent_; }
  const std::string& protocol() const override { return protocol_; }

 private:
  enum class State : uint8_t {
    kOpen,
    kClosing,  // our close frame is queued; nothing is sent after it
    kOver,
  };

  void frame(uint8_t opcode, std::string_view payload) {
    output_ += static_cast<char>(0x80 | opcode);
    uint8_t mask_bit = client_ ? 0x80 : 0;
    if (payload.size() < 126) {
      output_ += static_cast<char>(mask_bit | payload.size());
    } else if (payload.size() < 65536) {
      output_ += static_cast<char>(mask_bit | 126);
      output_ += static_cast<char>(payload.size() >> 8);
      output_ += static_cast<char>(payload.size());
    } else {
      output_ += static_cast<char>(mask_bit | 127);
      for (int shift = 56; shift >= 0; shift -= 8) output_ += static_cast<char>(static_cast<uint64_t>(payload.size()) >> shift);
    }
    if (client_) {
      std::string mask = io::random_bytes(4);
      output_ += mask;
      size_t start = output_.size();
      output_ += payload;
      for (size_t i = 0; i < payload.size(); ++i) output_[start + i] ^= mask[i & 3];
    } else {
      output_ += payload;
    }
    flush();
  }

  void send_close(uint16_t code, std::string_view reason) {
    if (state_ != State::kOpen) return;
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code)};
    payload += reason.substr(0, 123);
    state_ = State::kClosing;
    close_sent_ = true;
    frame(kClose, payload);
  }

  void flush() {
    if (!transport_) return;
    while (sent_ < output_.size()) {
      io::IoResult r = transport_->write(std::string_view(output_).substr(sent_));
      if (r.status == io::IoStatus::kOk) {
        sent_ += r.bytes;
        continue;
      }
      if (r.status == io::IoStatus::kError) {
        broken_ = true;
        return end();
      }
      return;
    }
    output_.clear();
    sent_ = 0;
    if (state_ == State::kClosing) transport_->shutdown_write();
  }

  void end() {
    if (state_ == State::kOver) return;
    state_ = State::kOver;
    // The owner may destroy this object in the callback, so it comes from the loop.
    loop_.defer([this, alive = alive_] {
      if (!*alive) return;
      auto held = std::exchange(callbacks_, std::make_shared<Callbacks>());
      if (held->on_close) held->on_close();
    });
  }

  void on_ready(bool readable, bool writable) override {
    auto alive = alive_;
    if (writable) flush();
    if (!readable || !heard_) return;
    if (!parse()) return;
    char buffer[32768];
    while (*alive && state_ != State::kOver) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return end();
      input_.append(buffer, r.bytes);
      if (!parse()) return;
    }
  }

  // Handles every whole frame in input_. False when this object is gone or done.
  bool parse() {
    auto alive = alive_;
    size_t at = 0;
    while (state_ != State::kOver) {
      std::string_view in = std::string_view(input_).substr(at);
      if (in.size() < 2) break;
      auto byte = [&](size_t i) { return static_cast<uint8_t>(in[i]); };
      bool fin = byte(0) & 0x80, masked = byte(1) & 0x80;
      uint8_t opcode = byte(0) & 0x0f;
      uint64_t length = byte(1) & 0x7f;
      size_t header = 2;
      if (length == 126) {
        if (in.size() < 4) break;
        length = static_cast<uint64_t>(byte(2)) << 8 | byte(3);
        header = 4;
      } else if (length == 127) {
        if (in.size() < 10) break;
        length = 0;
        for (size_t i = 2; i < 10; ++i) length = length << 8 | byte(i);
        header = 10;
      }
      bool control = opcode >= 8;
      if ((byte(0) & 0x70) || masked == client_ || (control && (!fin || length > 125))) return violation(1002);
      if (length > max_message_ || message_.size() + length > max_message_) return violation(1009);
      if (in.size() < header + (masked ? 4 : 0) + length) break;
      std::string payload(in.substr(header + (masked ? 4 : 0), length));
      if (masked)
        for (size_t i = 0; i < payload.size(); ++i) payload[i] ^= in[header + (i & 3)];
      at += header + (masked ? 4 : 0) + length;

      switch (opcode) {
        case kPing:
          // A peer that pings and never reads gets no more pongs than fit.
          if (state_ == State::kOpen && pending_bytes() < kMaxPongBacklog) frame(kPong, payload);
          break;
        case kPong: break;
        case kClose:
          send_close(1000, "");
          flush();
          end();
          return false;
        case kContinuation:
        case kText:
        case kBinary: {
          if ((opcode == kContinuation) != in_message_) return violation(1002);
          if (opcode != kContinuation) binary_ = opcode == kBinary;
          in_message_ = !fin;
          message_ += payload;
          if (fin) {
            std::string message = std::exchange(message_, {});
            auto held = callbacks_;
            if (state_ == State::kOpen && held->on_message) held->on_message(message, binary_);
            if (!*alive) return false;
          }
          break;
        }
        default: return violation(1002);
      }
    }
    input_.erase(0, at);
    return state_ != State::kOver;
  }

  bool violation(uint16_t code) {
    send_close(code, "");
    end();
    return false;
  }

  io::Loop& loop_;
  std::unique_ptr<io::Transport> transport_;
  std::string input_;
  std::string protocol_;
  bool client_;
  size_t max_message_;
  State state_ = State::kOpen;
  std::shared_ptr<Callbacks> callbacks_ = std::make_shared<Callbacks>();
  std::string output_;
  size_t sent_ = 0;
  std::string message_;
  bool in_message_ = false, binary_ = false;
  bool heard_ = false;  // callbacks were set
  bool close_sent_ = false, broken_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// A handshake in flight. It owns itself: it ends by calling done, or with the connect timeout.
struct Dialing final : io::TransportSink {
  Dialing(io::Loop& l, Url u, Headers h, std::vector<std::string> p, std::shared_ptr<const io::TlsContext> t,
          std::function<void(base::Result<std::unique_ptr<WebSocket>>)> d)
      : loop(l), url(std::move(u)), headers(std::move(h)), protocols(std::move(p)), tls(std::move(t)), done(std::move(d)),
        resolver(io::make_resolver(l)), deadline(l, [this] { fail(base::Code::kDeadlineExceeded, "timed out"); }) {}

  void start() {
    deadline.arm(std::chrono::seconds(15));
    resolver->resolve(url.host, AF_UNSPEC, [this](base::Result<io::Resolver::Answer> answer) {
      if (!answer || answer->addresses.empty()) return fail(base::Code::kUnavailable, answer ? "no address" : answer.error().message);
      io::Address at = answer->addresses.front();
      at.set_port(url.port);
      connecting = io::connect(loop, at, {}, [this](base::Result<std::unique_ptr<io::Transport>> t) {
        if (!t) return fail(t.error().code, t.error().message);
        transport = std::move(*t);
        if (url.scheme == "https") transport = io::make_tls_client(loop, std::move(transport), tls, url.host);
        transport->set_sink(this);
        key = base::base64_encode(io::random_bytes(16));
        RequestHead head;
        head.method = "GET";
        head.target = url.target;
        head.authority = url.authority();
        head.headers = headers;
        h1_append_request_line(output, head.method, head.target);
        h1_append_field(output, "Host", head.authority);
        h1_append_field(output, "Connection", "Upgrade");
        h1_append_field(output, "Upgrade", "websocket");
        h1_append_field(output, "Sec-WebSocket-Version", "13");
        h1_append_field(output, "Sec-WebSocket-Key", key);
        if (!protocols.empty()) h1_append_field(output, "Sec-WebSocket-Protocol", base::join(protocols, ", "));
        for (const auto& [name, value] : headers) h1_append_field(output, name, value);
        h1_append_end(output);
        on_ready(true, true);
      });
    });
  }

  void on_ready(bool, bool) override {
    if (over) return;
    while (sent < output.size()) {
      io::IoResult r = transport->write(std::string_view(output).substr(sent));
      if (r.status == io::IoStatus::kOk) sent += r.bytes;
      else if (r.status == io::IoStatus::kError) return fail(base::Code::kUnavailable, transport->error());
      else break;
    }
    char buffer[8192];
    while (true) {
      io::IoResult r = transport->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return fail(base::Code::kUnavailable, "the server closed the connection");
      std::string_view in(buffer, r.bytes);
      auto event = parser.next(in);
      if (event == H1Parser::Event::kNeedMore) continue;
      if (event != H1Parser::Event::kHead) return fail(base::Code::kUnavailable, "the answer is not HTTP");
      const H1Head& head = parser.head();
      if (head.status != 101) {
        // The body of a refusal carries the reason; what came with the head is enough for a message.
        std::string body;
        if (parser.next(in) == H1Parser::Event::kData) body = parser.data();
        base::Code code = head.status == 404 ? base::Code::kNotFound : head.status == 403 ? base::Code::kPermissionDenied : base::Code::kUnavailable;
        return fail(code, fmt::format("the server answered {}{}{}", head.status, body.empty() ? "" : ": ", body));
      }
      if (head.get("sec-websocket-accept") != websocket_accept(key)) return fail(base::Code::kUnavailable, "wrong Sec-WebSocket-Accept");
      transport->set_sink(nullptr);
      std::string protocol(head.get("sec-websocket-protocol"));
      finish(std::unique_ptr<WebSocket>(
          std::make_unique<Connection>(loop, std::move(transport), std::string(in), std::move(protocol), true, 16u << 20)));
      return;
    }
  }

  void fail(base::Code code, std::string_view why) { finish(base::fail(code, "WebSocket to {}: {}", url.authority(), why)); }

  void finish(base::Result<std::unique_ptr<WebSocket>> result) {
    if (std::exchange(over, true)) return;
    deadline.cancel();
    loop.defer([this, result = std::make_shared<base::Result<std::unique_ptr<WebSocket>>>(std::move(result))]() mutable {
      auto callback = std::move(done);
      delete this;
      callback(std::move(*result));
    });
  }

  io::Loop& loop;
  Url url;
  Headers headers;
  std::vector<std::string> protocols;
  std::shared_ptr<const io::TlsContext> tls;
  std::function<void(base::Result<std::unique_ptr<WebSocket>>)> done;
  std::unique_ptr<io::Resolver> resolver;
  io::Timer deadline;
  std::unique_ptr<io::Connecting> connecting;
  std::unique_ptr<io::Transport> transport;
  H1Parser parser{H1Parser::Kind::kResponse};
  std::string key, output;
  size_t sent = 0;
  bool over = false;
};

}  // namespace

bool is_websocket_upgrade(const RequestHead& request) {
  return request.version == Version::kHttp11 && has_token(request.headers.get("upgrade"), "websocket") &&
         has_token(request.headers.get("connection"), "upgrade");
}

std::unique_ptr<WebSocket> accept_websocket(io::Loop& loop, Exchange& exchange, const std::vector<std::string>& protocols,
                                            size_t max_message_bytes) {
  const RequestHead& request = exchange.request();
  std::string_view key = request.headers.get("sec-websocket-key");
  auto raw_key = base::base64_decode(key);
  if (!is_websocket_upgrade(request) || request.headers.get("sec-websocket-version") != "13" || !raw_key || raw_key->size() != 16) {
    exchange.respond(400, "text/plain", "expected a WebSocket handshake (RFC 6455), version 13\n");
    return nullptr;
  }
  // Offers may come as one list or as repeated fields.
  std::vector<std::string> offered;
  for (const auto& [name, value] : request.headers)
    if (name == "sec-websocket-protocol")
      for (std::string_view part : base::split(value, ',')) offered.emplace_back(base::trim(part));
  std::string chosen;
  bool found = false;
  for (const auto& protocol : protocols) {
    bool fits = protocol.empty() ? offered.empty() : std::ranges::find(offered, protocol) != offered.end();
    if (!fits) continue;
    chosen = protocol;
    found = true;
    break;
  }
  if (!found) {
    exchange.respond(400, "text/plain",
                     fmt::format("none of the subprotocols [{}] is spoken here; one of [{}] is\n", base::join(offered, ", "), base::join(protocols, ", ")));
    return nullptr;
  }
  Headers headers;
  headers.add("connection", "Upgrade");
  headers.add("upgrade", "websocket");
  headers.add("sec-websocket-accept", websocket_accept(key));
  if (!chosen.empty()) headers.add("sec-websocket-protocol", chosen);
  std::string rest;
  auto transport = exchange.upgrade(std::move(headers), rest);
  if (!transport) return nullptr;
  return std::make_unique<Connection>(loop, std::move(transport), std::move(rest), std::move(chosen), false, max_message_bytes);
}

void connect_websocket(io::Loop& loop, std::string_view url, Headers headers, const std::vector<std::string>& protocols,
                       std::shared_ptr<const io::TlsContext> tls, std::function<void(base::Result<std::unique_ptr<WebSocket>>)> done) {
  auto parsed = parse_url(url);
  if (!parsed) {
    loop.defer([done = std::move(done), error = parsed.error()] { done(std::unexpected(error)); });
    return;
  }
  auto* dialing = new Dialing(loop, std::move(*parsed), std::move(headers), protocols, std::move(tls), std::move(done));
  dialing->start();  // deletes itself
}

}  // namespace fairlead::http
