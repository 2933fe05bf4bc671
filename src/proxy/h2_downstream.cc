// A client's HTTP/2 connection: an exchange for each stream.
#include <unordered_map>

#include "base/log.h"
#include "http/h2_session.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"

namespace fairlead::proxy {
namespace {

http::H2Options options_of(const HttpConfig& c) {
  http::H2Options o;
  o.max_concurrent_streams = c.max_concurrent_streams;
  o.initial_window_bytes = c.stream_window;
  o.connection_window_bytes = c.connection_window;
  o.max_header_list_bytes = static_cast<uint32_t>(c.max_header_bytes);
  o.max_header_count = c.max_header_count;
  return o;
}

class H2Downstream final : public DownstreamConnection, http::H2Sink, io::TransportSink, Flushable {
 public:
  H2Downstream(Worker& worker, Accepted accepted)
      : worker_(worker),
        listener_(std::move(accepted.listener)),
        config_(accepted.chain->http),
        info_(std::move(accepted.info)),
        transport_(std::move(accepted.transport)),
        read_ahead_(std::move(accepted.read_ahead)),
        stats_(worker.http_stats(config_->stat_prefix)),
        listener_stats_(accepted.stats),
        session_(http::H2Session::Side::kServer, *this, options_of(*config_)),
        timer_(worker.loop(), [this] { on_timer(); }) {
    ++stats_.downstream_cx_total;
    ++stats_.downstream_cx_active;
    ++stats_.downstream_cx_http2_total;
    ++stats_.downstream_cx_http2_active;
    transport_->set_sink(this);
    arm_idle();
    read_again_ = true;
    worker_.mark(*this);
  }
  ~H2Downstream() override { worker_.unmark(*this); }

  void drain() override {
    if (closed_ || std::exchange(draining_, true)) return;
    ++stats_.downstream_cx_drain_close;
    session_.goaway();
    worker_.mark(*this);
  }
  void close() override { shut(kFlagLocalReset, "downstream_local_disconnect"); }
  const ListenerConfig* listener() const override { return listener_.get(); }

 private:
  struct Stream final : DownstreamStream {
    Stream(H2Downstream& c, http::H2Stream i) : connection(c), id(i) {}
    H2Downstream& connection;
    http::H2Stream id;
    std::unique_ptr<Exchange> exchange;
    HeaderMap trailers;
    bool has_trailers = false, paused = false, finished = false;
    size_t held = 0;  // received while paused: its window opens on resuming

    http::ResponseHead convert(const ResponseHeaders& from) {
      http::ResponseHead to;
      to.status = from.status;
      to.headers.fields().reserve(from.fields.fields().size());
      for (const HeaderMap::Field& f : from.fields)
        if (f.name != "connection" && f.name != "keep-alive" && f.name != "transfer-encoding" && f.name != "upgrade")
          to.headers.fields().emplace_back(f.name, f.value);
      return to;
    }
    void send_interim(const ResponseHeaders& head) override {
      connection.session_.respond(id, convert(head), false);
      connection.worker_.mark(connection);
    }
    void send_head(const ResponseHeaders& head, bool end) override {
      finished = end;
      connection.session_.respond(id, convert(head), end);
      connection.worker_.mark(connection);
    }
    void send_data(std::string_view bytes) override {
      connection.session_.write(id, bytes);
      connection.worker_.mark(connection);
    }
    void send_end(const HeaderMap* fields) override {
      if (std::exchange(finished, true)) return;
      http::Headers out;
      if (fields)
        for (const HeaderMap::Field& f : *fields) out.fields().emplace_back(f.name, f.value);
      connection.session_.finish(id, out);
      connection.worker_.mark(connection);
    }
    void reset() override {
      ++connection.stats_.downstream_rq_tx_reset;
      connection.worker_.give_back(std::move(exchange));
      connection.session_.reset(id, http::H2Error::kInternalError);
      connection.worker_.mark(connection);
    }
    void pause_request() override { paused = true; }
    void resume_request() override {
      paused = false;
      if (size_t n = std::exchange(held, 0)) connection.session_.consume(id, n);
      connection.worker_.mark(connection);
    }
    size_t pending() const override { return connection.session_.pending(id); }
    void exchange_done() override {
      connection.worker_.give_back(std::move(exchange));
      if (size_t n = std::exchange(held, 0)) connection.session_.consume(id, n);
      paused = false;
    }
    void tunnel() override {}
  };

  Stream* find(http::H2Stream id) {
    auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : at->second.get();
  }

  // ---- H2Sink
  void on_request(http::H2Stream id, http::RequestHead head, bool end) override {
    timer_.cancel();
    ++stats_.downstream_rq_http2_total;
    auto& slot = streams_[id];
    slot = std::make_unique<Stream>(*this, id);
    Stream& s = *slot;
    s.exchange = worker_.take_exchange();
    s.exchange->begin(s, *listener_, *config_, info_, stats_);
    RequestHeaders& r = s.exchange->request();
    r.version = http::Version::kHttp2;
    r.method = r.fields.store(head.method);
    r.target = r.fields.store(head.target);
    r.authority = r.fields.store(head.authority);
    r.scheme = r.fields.store(head.scheme);
    bool upgrade = false;
    if (!head.protocol.empty() || head.method == "CONNECT") {
      auto at = config_->upgrades.find(head.protocol.empty() ? "connect" : head.protocol);
      upgrade = at != config_->upgrades.end() && at->second;
      if (upgrade && !head.protocol.empty()) {
        // Extended CONNECT (RFC 8441) goes on as an HTTP/1.1 upgrade.
        r.method = "GET";
        r.fields.add("upgrade", head.protocol);
      }
    }
    for (const auto& [name, value] : head.headers) r.fields.add_copy(name, value);
    s.exchange->on_request(end, upgrade);
  }
  void on_data(http::H2Stream id, std::string_view bytes) override {
    stats_.downstream_cx_rx_bytes_total += bytes.size();
    Stream* s = find(id);
    if (s && s->exchange) s->exchange->on_request_data(bytes);
    if (s && s->paused) s->held += bytes.size();
    else session_.consume(id, bytes.size());
  }
  void on_trailers(http::H2Stream id, http::Headers trailers) override {
    Stream* s = find(id);
    if (!s) return;
    s->has_trailers = true;
    for (const auto& [name, value] : trailers) s->trailers.add_copy(name, value);
  }
  void on_end(http::H2Stream id) override {
    Stream* s = find(id);
    if (s && s->exchange) s->exchange->on_request_end(s->has_trailers ? &s->trailers : nullptr);
  }
  void on_drained(http::H2Stream id) override {
    Stream* s = find(id);
    if (s && s->exchange) s->exchange->on_downstream_drained();
  }
  void on_closed(http::H2Stream id, http::H2Error) override {
    auto at = streams_.find(id);
    if (at == streams_.end()) return;
    std::unique_ptr<Stream> s = std::move(at->second);
    streams_.erase(at);
    if (s->exchange) {
      if (!s->exchange->over()) s->exchange->on_downstream_reset(kFlagDownstreamReset, "http2.remote_reset");
      worker_.give_back(std::move(s->exchange));
    }
    worker_.loop().dispose(std::move(s));
    if (streams_.empty()) arm_idle();
  }

  // ---- io
  void on_ready(bool readable, bool) override {
    worker_.mark(*this);
    // What was read ahead comes first; flush() sees to both.
    if (readable && !closed_ && !read_again_) read();
  }
  void read() {
    std::span<char> buffer = worker_.scratch();
    for (int round = 0; !closed_; ++round) {
      if (round == 8) {
        read_again_ = true;
        worker_.mark(*this);
        return;
      }
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) {
        ++stats_.downstream_cx_destroy_remote;
        return shut(kFlagDownstreamTermination, "downstream_remote_disconnect");
      }
      feed(std::string_view(buffer.data(), r.bytes));
    }
  }
  void feed(std::string_view bytes) {
    if (auto ok = session_.feed(bytes); !ok) {
      ++stats_.downstream_cx_protocol_error;
      FL_LOG_DEBUG("http", "{}: {}", info_.peer_text, ok.error().text());
      write();  // the GOAWAY says why
      return shut(kFlagDownstreamProtocolError, "http2.protocol_error");
    }
    worker_.mark(*this);
  }
  void flush() override {
    if (closed_) return;
    if (std::exchange(read_again_, false)) {
      if (!read_ahead_.empty()) feed(std::exchange(read_ahead_, {}));
      if (!closed_) read();
    }
    if (!closed_) write();
  }
  void write() {
    while (session_.wants_write()) {
      std::string& out = session_.output();
      if (out.empty()) break;
      io::IoResult r = transport_->write(out);
      if (r.status != io::IoStatus::kOk) break;
      stats_.downstream_cx_tx_bytes_total += r.bytes;
      bool all = r.bytes == out.size();
      out.erase(0, r.bytes);
      if (!all) break;
    }
    if (session_.over() || (draining_ && streams_.empty() && !session_.wants_write())) shut(0, {});
  }

  void arm_idle() {
    if (config_->idle_timeout.count() > 0) timer_.arm(config_->idle_timeout);
  }
  void on_timer() {
    if (closed_ || !streams_.empty()) return;
    ++stats_.downstream_cx_idle_timeout;
    drain();
  }
  void shut(uint32_t flag, std::string_view details) {
    if (closed_) return;
    closed_ = true;
    for (auto& [id, s] : streams_) {
      if (!s->exchange) continue;
      if (!s->exchange->over()) s->exchange->on_downstream_reset(flag, details);
      worker_.give_back(std::move(s->exchange));
    }
    timer_.cancel();
    transport_->close();
    ++stats_.downstream_cx_destroy;
    --stats_.downstream_cx_active;
    --stats_.downstream_cx_http2_active;
    if (listener_stats_) {
      --listener_stats_->downstream_cx_active;
      ++listener_stats_->downstream_cx_destroy;
    }
    worker_.forget(*this);
  }

  Worker& worker_;
  std::shared_ptr<const ListenerConfig> listener_;
  std::shared_ptr<const HttpConfig> config_;
  ConnectionInfo info_;
  std::unique_ptr<io::Transport> transport_;
  std::string read_ahead_;
  HttpStats& stats_;
  ListenerStats* listener_stats_;
  std::unordered_map<http::H2Stream, std::unique_ptr<Stream>> streams_;
  http::H2Session session_;
  io::Timer timer_;
  bool closed_ = false, draining_ = false, read_again_ = false;
};

}  // namespace

std::unique_ptr<DownstreamConnection> make_h2_downstream(Worker& worker, Accepted accepted) {
  return std::make_unique<H2Downstream>(worker, std::move(accepted));
}

}  // namespace fairlead::proxy
