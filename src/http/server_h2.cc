// A server's HTTP/2 connection: many exchanges over one H2Session.
#include <unordered_map>

#include "http/farewell.h"
#include "http/h2_session.h"
#include "http/server_connection.h"
#include "http/server_exchange.h"

namespace fairlead::http {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kMaxUnsent = 256 * 1024;  // frames made ahead of the socket; the rest waits in the session by stream
constexpr auto kGoawayPause = std::chrono::milliseconds(50);

class H2Connection final : public ServerConnection, ExchangePort, H2Sink {
 public:
  H2Connection(std::shared_ptr<ServerShared> shared, std::unique_ptr<io::Transport> transport)
      : shared_(std::move(shared)), transport_(std::move(transport)), session_(H2Session::Side::kServer, *this, session_options(shared_->options)),
        timer_(shared_->loop, [this] { on_timer(); }) {
    transport_->set_sink(this);
  }

  ~H2Connection() override {
    *alive_ = false;
    end_all();
  }

  void start(std::string_view first_bytes) override {
    timer_.arm(shared_->options.idle_timeout);
    busy_ = true;
    if (feed(first_bytes)) read();
    busy_ = false;
    settle();
  }

  void drain() override {
    if (draining_) return;
    draining_ = true;
    // Two steps (RFC 9113 section 6.8), so that requests already under way to us are served.
    session_.shutdown_notice();
    timer_.arm(kGoawayPause);
    settle_later();
  }

  void cut() override { close(); }

  void on_ready(bool readable, bool writable) override {
    if (!transport_) return;
    busy_ = true;
    if (writable) write_blocked_ = false;
    if (readable) read();
    busy_ = false;
    settle();
  }

 private:
  static H2Options session_options(const ServerOptions& options) {
    H2Options out;
    out.max_concurrent_streams = options.max_streams;
    out.max_header_list_bytes = static_cast<uint32_t>(options.max_header_bytes);
    out.max_header_count = static_cast<uint32_t>(options.max_header_count);
    return out;
  }

  bool feed(std::string_view bytes) {
    if (auto s = session_.feed(bytes); !s) {
      failed_ = true;  // settle() sends the GOAWAY and closes
      return false;
    }
    return true;
  }

  void read() {
    thread_local std::string buffer(kReadBytes, '\0');
    while (transport_ && !failed_) {
      // A peer that sends and never reads (pings, resets) must not grow our output.
      if (write_blocked_ && session_.output(0).size() > 4 * kMaxUnsent) {
        read_paused_ = true;
        return;
      }
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return close();
      if (!feed({buffer.data(), r.bytes})) return;
    }
  }

  void flush() {
    while (transport_ && !write_blocked_) {
      std::string& out = session_.output(kMaxUnsent);
      if (out.empty()) break;
      size_t sent = 0;
      while (sent < out.size()) {
        io::IoResult r = transport_->write(std::string_view(out).substr(sent));
        if (r.status == io::IoStatus::kAgain) {
          write_blocked_ = true;
          break;
        }
        if (r.status != io::IoStatus::kOk) return close();
        sent += r.bytes;
      }
      out.erase(0, sent);
    }
    // Callbacks wait until the session is out of its own calls.
    auto drained = std::exchange(drained_, {});
    for (H2Stream id : drained)
      if (auto it = exchanges_.find(id); it != exchanges_.end()) {
        auto keep = it->second;
        keep->drained();
      }
  }

  void settle() {
    if (!transport_ || busy_) return;
    busy_ = true;
    flush();
    if (transport_ && read_paused_ && !write_blocked_) {
      read_paused_ = false;
      read();
      flush();
    }
    busy_ = false;
    if (!transport_) return;
    if (failed_ || session_.over()) {
      if (!transport_->secure()) return close();
      // TLS may hold bytes that the socket has not taken: the loop sees them out.
      end_all();
      timer_.cancel();
      close_gracefully(shared_->loop, std::move(transport_));
      return shared_->gone(*this);
    }
    if (session_.wants_write() && !write_blocked_) settle_later();
  }

  void settle_later() {
    if (busy_ || settling_) return;
    settling_ = true;
    shared_->loop.defer([this, alive = alive_] {
      if (!*alive) return;
      settling_ = false;
      settle();
    });
  }

  void on_timer() {
    if (!transport_) return;
    if (draining_ && !goaway_sent_) {
      goaway_sent_ = true;
      session_.goaway();
    } else if (exchanges_.empty() && !goaway_sent_) {
      goaway_sent_ = true;
      session_.goaway();  // idle
    }
    settle();
  }

  void end_all() {
    auto all = std::exchange(exchanges_, {});
    for (auto& [id, exchange] : all) exchange->detach(false);
  }

  void close() {
    if (!transport_) return;
    end_all();
    timer_.cancel();
    transport_->close();
    transport_.reset();
    shared_->gone(*this);
  }

  std::shared_ptr<ServerExchange> find(H2Stream id) const {
    auto it = exchanges_.find(id);
    return it == exchanges_.end() ? nullptr : it->second;
  }

  // ---- H2Sink

  void on_request(H2Stream stream, RequestHead head, bool) override {
    if (!transport_) return;  // closed by a handler of the same read
    timer_.cancel();
    if (draining_) timer_.arm(kGoawayPause);
    auto exchange = std::make_shared<ServerExchange>(shared_->loop, static_cast<ExchangePort&>(*this), stream, std::move(head), transport_->peer(), transport_->local());
    exchanges_[stream] = exchange;
    shared_->handler(exchange);
  }
  void on_data(H2Stream stream, std::string_view bytes) override {
    auto exchange = find(stream);
    if (exchange && !exchange->finished()) exchange->body_data(bytes);
    else session_.consume(stream, bytes.size());
  }
  void on_trailers(H2Stream, Headers) override {}
  void on_end(H2Stream stream) override {
    if (auto exchange = find(stream)) exchange->body_end();
  }
  void on_drained(H2Stream stream) override { drained_.push_back(stream); }
  void on_closed(H2Stream stream, H2Error error) override {
    if (auto exchange = find(stream)) {
      exchanges_.erase(stream);
      exchange->detach(error == H2Error::kNoError && exchange->finished());
    }
    if (exchanges_.empty() && !draining_) timer_.arm(shared_->options.idle_timeout);
  }

  // ---- ExchangePort

  ResponseHead head_of(int status, Headers headers) {
    ResponseHead head;
    head.status = status;
    head.headers = std::move(headers);
    if (!head.headers.has("date")) head.headers.add("date", http_date());
    return head;
  }
  void send_whole(ServerExchange& exchange, int status, Headers headers, std::string_view body) override {
    bool silent = exchange.request().method == "HEAD" || status == 204 || status == 304;
    ResponseHead head = head_of(status, std::move(headers));
    if (status != 204 && !(silent && (body.empty() || head.headers.has("content-length"))))
      head.headers.set("content-length", std::to_string(body.size()));
    if (silent) body = {};
    session_.respond(exchange.id(), head, body.empty());
    if (!body.empty()) {
      session_.write(exchange.id(), body);
      session_.finish(exchange.id());
    }
    settle_later();
  }
  void send_head(ServerExchange& exchange, int status, Headers headers) override {
    session_.respond(exchange.id(), head_of(status, std::move(headers)), false);
    settle_later();
  }
  void send_data(ServerExchange& exchange, std::string_view bytes) override {
    if (exchange.request().method == "HEAD") return;
    session_.write(exchange.id(), bytes);
    settle_later();
  }
  void send_end(ServerExchange& exchange, const Headers& trailers) override {
    session_.finish(exchange.id(), trailers);
    settle_later();
  }
  void cut(ServerExchange& exchange) override {
    session_.reset(exchange.id(), exchange.started() ? H2Error::kInternalError : H2Error::kCancel);
    if (auto keep = find(exchange.id())) {
      exchanges_.erase(exchange.id());
      keep->detach(false);
    }
    settle_later();
  }
  void body_wanted(ServerExchange& exchange) override {
    if (exchange.request().headers.get("expect") == "100-continue" && !exchange.started() && !exchange.body_ended()) {
      ResponseHead interim;
      interim.status = 100;
      session_.respond(exchange.id(), interim, false);
      settle_later();
    }
  }
  void body_consumed(ServerExchange& exchange, size_t bytes) override {
    session_.consume(exchange.id(), bytes);
    settle_later();
  }
  size_t pending_bytes(const ServerExchange& exchange) const override { return session_.pending(exchange.id()); }
  std::string peer_certificate_pem() const override { return transport_ ? transport_->peer_certificate_pem() : std::string(); }
  std::unique_ptr<io::Transport> upgrade(ServerExchange&, Headers, std::string&) override { return nullptr; }

  std::shared_ptr<ServerShared> shared_;
  std::unique_ptr<io::Transport> transport_;
  H2Session session_;
  io::Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unordered_map<H2Stream, std::shared_ptr<ServerExchange>> exchanges_;
  std::vector<H2Stream> drained_;
  bool busy_ = false, settling_ = false, write_blocked_ = false, read_paused_ = false;
  bool failed_ = false, draining_ = false, goaway_sent_ = false;
};

}  // namespace

std::unique_ptr<ServerConnection> make_h2_connection(std::shared_ptr<ServerShared> shared, std::unique_ptr<io::Transport> transport) {
  return std::make_unique<H2Connection>(std::move(shared), std::move(transport));
}

}  // namespace fairlead::http
