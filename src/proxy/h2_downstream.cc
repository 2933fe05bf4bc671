// A client's HTTP/2 connection: an exchange for each stream.
#include "base/log.h"
#include "base/strings.h"
#include "http/h2_codec.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"

namespace fairlead::proxy {
namespace {

http::H2Options options_of(const ListenerConfig& listener, const HttpConfig& c, http::H2Counters& counters) {
  http::H2Options o;
  o.counters = &counters;
  o.max_concurrent_streams = c.max_concurrent_streams;
  o.initial_window_bytes = c.stream_window;
  o.connection_window_bytes = c.connection_window;
  o.max_header_list_bytes = static_cast<uint32_t>(c.max_header_bytes);
  o.max_header_count = c.max_header_count;
  o.floods = c.floods;
  o.max_output_bytes = listener.watermark_bytes;
  return o;
}

class H2Downstream final : public DownstreamConnection, http::H2Codec::Sink, io::TransportSink, Flushable {
 public:
  H2Downstream(Worker& worker, Accepted&& accepted)
      : worker_(worker),
        listener_(std::move(accepted.listener)),
        config_(accepted.chain->http),
        info_(std::move(accepted.info)),
        transport_(std::move(accepted.transport)),
        read_ahead_(std::move(accepted.read_ahead)),
        stats_(accepted.stats->http(config_->stat_prefix)),
        listener_stats_(accepted.stats),
        codec_(http::H2Codec::Side::kServer, *this, options_of(*listener_, *config_, worker.http2_stats.counters)),
        timer_(worker.loop(), [this] { on_timer(); }) {
    if (config_->max_connection_duration.count() > 0) {
      life_.emplace(worker.loop(), [this] {
        ++stats_.downstream_cx_max_duration_reached;
        drain();
      });
      life_->arm(config_->max_connection_duration);
    }
    ++stats_.downstream_cx_total;
    ++stats_.downstream_cx_active;
    ++stats_.downstream_cx_http2_total;
    ++stats_.downstream_cx_http2_active;
    if (info_.secure) ++stats_.downstream_cx_ssl_total, ++stats_.downstream_cx_ssl_active;
    if (config_->keep_alive.on())
      keep_alive_ = std::make_unique<http::H2KeepAlive>(
          worker.loop(), config_->keep_alive, worker.random(),
          [this] {
            codec_.ping();
            worker_.mark(*this);
          },
          [this] {
            ++worker_.http2_stats.counters.keepalive_timeout;
            shut(kFlagDownstreamTermination, "downstream_local_disconnect(http2_ping_timeout)");
          });
    transport_->set_sink(this);
    arm_idle();
    read_again_ = true;
    worker_.mark(*this);
  }
  ~H2Downstream() override { worker_.unmark(*this); }

  void drain() override {
    if (closed_ || lingering_ || std::exchange(draining_, true)) return;
    ++stats_.downstream_cx_drain_close;
    // The client hears of it first, and what it has sent meanwhile is served; then no stream is taken any more.
    constexpr base::Nanos kWhenStopping = std::chrono::milliseconds(500);
    base::Nanos wait = worker_.draining() ? std::min(config_->drain_timeout, kWhenStopping) : config_->drain_timeout;
    codec_.announce_goaway();
    if (!drain_) drain_.emplace(worker_.loop(), [this] { last_goaway(); });
    drain_->arm(wait);
    worker_.mark(*this);
  }
  void close() override { shut(kFlagLocalReset, "downstream_local_disconnect"); }
  const ListenerConfig* listener() const override { return listener_.get(); }
  void note_buffered() override {
    stats_.downstream_cx_rx_bytes_buffered += read_ahead_.size() + codec_.unread();
    stats_.downstream_cx_tx_bytes_buffered += codec_.unsent();
    worker_.http2_stats.streams_active += codec_.streams();
    codec_.each([this](const CodecStream& s) { worker_.http2_stats.pending_send_bytes += s.pending(); });
  }

 private:
  using CodecStream = http::H2Codec::Stream;

  struct Stream final : DownstreamStream {
    explicit Stream(H2Downstream& c) : connection(c) {}
    H2Downstream& connection;
    CodecStream* codec = nullptr;
    std::unique_ptr<Exchange> exchange;
    HeaderMap trailers;
    bool has_trailers = false, paused = false;
    size_t held = 0;  // received while paused: its window opens on resuming
    std::optional<io::Timer> window_;

    void send_interim(const ResponseHeaders& head) override {
      connection.codec_.respond(*codec, head.status, head.fields, false);
      connection.worker_.mark(connection);
    }
    void send_head(const ResponseHeaders& head, bool end) override {
      // A tunnel that HTTP/1.1 agrees to with 101 is a 200 here (RFC 8441).
      connection.codec_.respond(*codec, head.status == 101 ? 200 : head.status, head.fields, end);
      connection.worker_.mark(connection);
    }
    void send_data(std::string_view bytes) override {
      connection.codec_.write(*codec, bytes);
      connection.worker_.mark(connection);
    }
    void send_end(const HeaderMap* fields) override {
      if (fields) connection.codec_.finish(*codec, *fields);
      else connection.codec_.finish(*codec);
      connection.worker_.mark(connection);
    }
    void reset() override {
      ++connection.stats_.downstream_rq_tx_reset;
      connection.worker_.give_back(std::move(exchange));
      connection.codec_.reset(*codec, http::H2Error::kInternalError);
      connection.worker_.mark(connection);
    }
    void pause_request() override { paused = true; }
    void resume_request() override {
      paused = false;
      if (size_t n = std::exchange(held, 0)) connection.codec_.consume(*codec, n);
      connection.worker_.mark(connection);
    }
    size_t pending() const override { return codec->pending(); }
    void exchange_done() override {
      if (codec->pending() > 0) wait_for_window(exchange->idle_timeout());
      connection.worker_.give_back(std::move(exchange));
      if (size_t n = std::exchange(held, 0)) connection.codec_.consume(*codec, n);
      paused = false;
    }
    // The exchange is over, and what is left of its answer waits for the client's window: as long as a stream may be idle.
    void wait_for_window(base::Nanos most) {
      if (most.count() <= 0) return;
      if (!window_) window_.emplace(connection.worker_.loop(), [this] {
        ++connection.worker_.http2_stats.counters.tx_flush_timeout;
        connection.codec_.reset(*codec, http::H2Error::kInternalError);
        connection.worker_.mark(connection);
      });
      window_->arm(most);
    }
    void tunnel() override {}
  };

  void last_goaway() {
    if (closed_ || lingering_) return;
    codec_.goaway();
    worker_.mark(*this);
  }

  static Stream* of(CodecStream& stream) { return static_cast<Stream*>(stream.owner); }

  // ---- H2Codec::Sink
  void on_head(CodecStream& codec, const http::H2Head& head, bool end) override {
    timer_.cancel();
    ++stats_.downstream_rq_http2_total;
    std::unique_ptr<Stream> made;
    if (spare_.empty()) {
      made = std::make_unique<Stream>(*this);
    } else {
      made = std::move(spare_.back());
      spare_.pop_back();
    }
    Stream& s = *made.release();  // the codec's stream keeps it until on_closed
    s.codec = &codec;
    s.counts = &codec.bytes;
    codec.owner = &s;
    s.exchange = worker_.take_exchange();
    s.exchange->begin(s, *listener_, *config_, info_, stats_);
    RequestHeaders& r = s.exchange->request();
    const char* copy = r.fields.add_fields(head.fields, head.text);
    auto kept = [&](std::string_view v) { return HeaderMap::moved(v, head.text, copy); };
    r.version = http::Version::kHttp2;
    r.method = kept(head.method);
    r.target = kept(head.path);
    r.authority = kept(head.authority);
    r.scheme = kept(head.scheme);
    bool upgrade = false;
    if (!head.protocol.empty() || head.method == "CONNECT") {
      upgrade = true;  // whether it may is the exchange's to say
      if (!head.protocol.empty()) {
        // Extended CONNECT (RFC 8441) goes on as an HTTP/1.1 upgrade, which needs a key.
        r.method = "GET";
        r.fields.add("upgrade", head.protocol);
        if (head.protocol == "websocket" && !r.fields.has("sec-websocket-key")) {
          uint64_t key[2] = {worker_.random(), worker_.random()};
          r.fields.add("sec-websocket-key", base::base64_encode({reinterpret_cast<const char*>(key), sizeof key}));
        }
      }
    }
    ++served_;
    if (config_->max_requests_per_connection && served_ == config_->max_requests_per_connection) {
      ++stats_.downstream_cx_max_requests_reached;
      drain();
    }
    s.exchange->on_request(end, upgrade);
  }
  void on_data(CodecStream& codec, std::string_view bytes) override {
    Stream* s = of(codec);
    if (s && s->exchange) s->exchange->on_request_data(bytes);
    if (s && s->paused) s->held += bytes.size();
    else codec_.consume(codec, bytes.size());
  }
  void on_trailers(CodecStream& codec, std::span<const http::FieldView> fields, std::string_view text) override {
    Stream* s = of(codec);
    if (!s) return;
    s->has_trailers = true;
    s->trailers.add_fields(fields, text);
  }
  void on_end(CodecStream& codec) override {
    Stream* s = of(codec);
    if (s && s->exchange) s->exchange->on_request_end(s->has_trailers ? &s->trailers : nullptr);
  }
  void on_drained(CodecStream& codec) override {
    Stream* s = of(codec);
    if (s && s->exchange) s->exchange->on_downstream_drained();
  }
  void on_closed(CodecStream& codec, http::H2Error) override {
    std::unique_ptr<Stream> s(of(codec));
    if (!s) return;
    codec.owner = nullptr;
    if (s->exchange) {
      if (!s->exchange->over()) s->exchange->on_downstream_reset(kFlagDownstreamReset, "http2.remote_reset");
      worker_.give_back(std::move(s->exchange));
    }
    s->codec = nullptr;
    if (s->window_) s->window_->cancel();
    if (spare_.size() < kSpareStreams) {
      s->has_trailers = s->paused = false;
      s->held = 0;
      s->trailers.clear();
      spare_.push_back(std::move(s));
    }
    if (codec_.streams() == 0) arm_idle();
  }

  void on_ping_ack() override {
    if (keep_alive_) keep_alive_->on_answer();
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
        if (!lingering_) ++stats_.downstream_cx_destroy_remote;
        return shut(kFlagDownstreamTermination, "downstream_remote_disconnect");
      }
      if (lingering_) continue;
      feed(std::string_view(buffer.data(), r.bytes));
    }
  }
  void feed(std::string_view bytes) {
    if (lingering_) return;
    stats_.downstream_cx_rx_bytes_total += bytes.size();
    if (keep_alive_) keep_alive_->on_bytes();
    if (auto ok = codec_.feed(bytes, worker_.now()); !ok) {
      ++stats_.downstream_cx_protocol_error;
      stats_.downstream_rq_too_many_premature_resets += codec_.reset_flood();
      FL_LOG_DEBUG("http", "{}: {}", info_.peer_text, ok.error().text());
      return linger(kFlagDownstreamProtocolError, "http2.protocol_error");  // the GOAWAY says why
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
    codec_.settle();
    for (std::string_view out = codec_.output(); !out.empty(); out = codec_.output()) {
      io::IoResult r = transport_->write(out);
      if (r.status != io::IoStatus::kOk) break;
      stats_.downstream_cx_tx_bytes_total += r.bytes;
      codec_.written(r.bytes);
    }
    codec_.settle();
    if (codec_.streams() == 0) spare_.clear();  // an idle connection keeps nothing
    if (lingering_) {
      if (codec_.output().empty() && !std::exchange(half_closed_, true)) transport_->shutdown_write();
    } else if (codec_.over()) {
      linger(0, {});
    }
  }

  // The last frames are out, or on their way. Closing at once could throw them away with what the client is still
  // sending, so our side is closed first and the rest is read for a moment (delayed_close_timeout).
  void linger(uint32_t flag, std::string_view details) {
    if (std::exchange(lingering_, true)) return;
    end_streams(flag, details);
    if (life_) life_->cancel();
    if (drain_) drain_->cancel();
    write();
    if (config_->delayed_close_timeout.count() <= 0) return shut(0, {});
    timer_.arm(config_->delayed_close_timeout);
    read_again_ = true;
    worker_.mark(*this);
  }

  void arm_idle() {
    if (config_->idle_timeout.count() > 0) timer_.arm(config_->idle_timeout);
  }
  void on_timer() {
    if (closed_) return;
    if (lingering_) {
      ++stats_.downstream_cx_delayed_close_timeout;
      return shut(0, {});
    }
    if (codec_.streams() > 0) return;
    ++stats_.downstream_cx_idle_timeout;
    drain();
  }
  void end_streams(uint32_t flag, std::string_view details) {
    codec_.settle();
    codec_.each([&](CodecStream& codec) {
      std::unique_ptr<Stream> s(of(codec));
      codec.owner = nullptr;
      if (!s || !s->exchange) return;
      if (!s->exchange->over()) s->exchange->on_downstream_reset(flag, details);
      worker_.give_back(std::move(s->exchange));
    });
    spare_.clear();
  }
  void shut(uint32_t flag, std::string_view details) {
    if (closed_) return;
    closed_ = true;
    if (codec_.streams() > 0) {
      ++stats_.downstream_cx_destroy_active_rq;
      ++(flag == kFlagDownstreamTermination ? stats_.downstream_cx_destroy_remote_active_rq : stats_.downstream_cx_destroy_local_active_rq);
    }
    end_streams(flag, details);
    timer_.cancel();
    if (life_) life_->cancel();
    if (drain_) drain_->cancel();
    if (keep_alive_) keep_alive_->stop();
    transport_->close();
    ++stats_.downstream_cx_destroy;
    --stats_.downstream_cx_active;
    --stats_.downstream_cx_http2_active;
    if (info_.secure) --stats_.downstream_cx_ssl_active;
    double length = std::chrono::duration<double, std::milli>(worker_.now() - info_.accepted).count();
    stats_.cx_length.record(length);
    if (listener_stats_) {
      --listener_stats_->downstream_cx_active;
      ++listener_stats_->downstream_cx_destroy;
      listener_stats_->cx_length.record(length);
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
  static constexpr size_t kSpareStreams = 32;
  std::vector<std::unique_ptr<Stream>> spare_;
  http::H2Codec codec_;                 // its streams own ours
  io::Timer timer_;
  std::optional<io::Timer> life_;       // max_connection_duration
  std::unique_ptr<http::H2KeepAlive> keep_alive_;  // nullptr: nobody asked for it
  std::optional<io::Timer> drain_;      // from the announcement to the last GOAWAY
  uint32_t served_ = 0;
  bool closed_ = false, draining_ = false, read_again_ = false;
  bool lingering_ = false, half_closed_ = false;
};

}  // namespace

std::unique_ptr<DownstreamConnection> make_h2_downstream(Worker& worker, Accepted&& accepted) {
  return std::make_unique<H2Downstream>(worker, std::move(accepted));
}

}  // namespace fairlead::proxy
