// An HTTP/2 connection to an endpoint: many requests at a time.
#include <unordered_map>

#include "http/h2_session.h"
#include "http/websocket.h"
#include "proxy/output.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {
namespace {

class H2Upstream final : public UpstreamConnection, http::H2Sink, io::TransportSink, Flushable {
 public:
  explicit H2Upstream(HostPool& pool) : UpstreamConnection(pool) {}
  ~H2Upstream() override { worker().unmark(*this); }

  UpstreamStream* open(UpstreamSink& sink) override {
    if (gone_ || !session_ || !has_room()) return nullptr;
    disarm_idle();
    if (keep_alive_) keep_alive_->before_stream();
    auto stream = std::make_unique<Stream>(*this, sink);
    Stream* s = stream.get();
    unsent_.push_back(std::move(stream));
    ++open_;
    pool_.stream_opened();
    return s;
  }
  bool has_room() const override {
    if (close_when_idle_ || gone_) return false;
    uint32_t most = pool_.cluster().config().max_concurrent_streams;
    if (session_) most = std::min(most, session_->peer_max_streams());
    return open_ < most;
  }
  size_t streams() const override { return open_; }
  void note_buffered() override {
    if (!session_) return;
    stats().upstream_cx_tx_bytes_buffered += session_->unsent();
    stats().http2.streams_active += session_->streams();
    stats().http2.pending_send_bytes += session_->waiting();
  }

 private:
  struct Stream final : UpstreamStream {
    Stream(H2Upstream& c, UpstreamSink& s) : connection(c), sink(&s) {}
    H2Upstream& connection;
    UpstreamSink* sink;          // nullptr: nobody listens any more
    http::H2Stream id = 0;       // 0: the head is not sent yet
    bool paused = false, finished = false, started = false, has_trailers = false;
    std::string protocol, websocket_key;  // of an extended CONNECT
    size_t held = 0;
    http::ByteCounts bytes;
    ResponseHeaders response;
    HeaderMap trailers;

    void send_head(const RequestHeaders& from, bool end) override { connection.send_head(*this, from, end); }
    void send_data(std::string_view bytes) override {
      if (!id) return;
      connection.session_->write(id, bytes);
      connection.worker().mark(connection);
    }
    void send_end(const HeaderMap* fields) override {
      if (!id || std::exchange(finished, true)) return;
      http::Headers out;
      if (fields)
        for (const HeaderMap::Field& f : *fields) out.fields().emplace_back(f.name, f.value);
      connection.session_->finish(id, out);
      connection.worker().mark(connection);
    }
    void cancel() override { connection.cancel(*this); }
    void pause() override { paused = true; }
    void resume() override {
      paused = false;
      if (size_t n = std::exchange(held, 0); n && id) connection.session_->consume(id, n);
      connection.worker().mark(connection);
    }
    size_t pending() const override { return id ? connection.session_->pending(id) : 0; }
    bool reused() const override { return connection.served > 1; }
    const UpstreamFacts& facts() const override { return connection.facts_; }
    // The sink hears no more of this stream.
    UpstreamSink* leave() {
      UpstreamSink* left = std::exchange(sink, nullptr);
      if (left) {
        http::ByteCounts& all = left->upstream_bytes;
        all.wire_received += bytes.wire_received;
        all.wire_sent += bytes.wire_sent;
        all.header_received += bytes.header_received;
        all.header_sent += bytes.header_sent;
      }
      return left;
    }
    std::shared_ptr<const io::TlsInfo> tls() const override { return connection.transport_ ? connection.transport_->tls_info() : nullptr; }
  };

  Worker& worker() { return pool_.cluster().worker(); }
  ClusterStats& stats() { return pool_.cluster().stats; }

  void on_transport() override {
    const ClusterConfig& c = pool_.cluster().config();
    http::H2Options o;
    o.counters = &stats().http2.counters;
    o.initial_window_bytes = c.stream_window;
    o.connection_window_bytes = c.connection_window;
    o.max_output_bytes = c.watermark_bytes;
    o.floods.outbound_control_frames = c.max_outbound_control_frames;
    session_ = std::make_unique<http::H2Session>(http::H2Session::Side::kClient, static_cast<http::H2Sink&>(*this), o);
    transport_->set_sink(this);
    if (c.keep_alive.on())
      keep_alive_ = std::make_unique<http::H2KeepAlive>(
          worker().loop(), c.keep_alive, worker().random(),
          [this] {
            session_->ping();
            worker().mark(*this);
          },
          [this] {
            ++stats().http2.counters.keepalive_timeout;
            on_broken(ResetReason::kTermination, {});
          });
    worker().mark(*this);
  }

  void send_head(Stream& s, const RequestHeaders& from, bool end) {
    http::RequestHead head;
    head.method = from.method;
    head.target = from.target;
    head.authority = from.authority;
    head.scheme = from.scheme.empty() ? "http" : std::string(from.scheme);
    head.headers.fields().reserve(from.fields.fields().size());
    for (const HeaderMap::Field& f : from.fields) {
      if (f.name == "upgrade") {
        head.method = "CONNECT";
        head.protocol = s.protocol = f.value;
        continue;
      }
      // RFC 8441 has no use for the key; a peer that goes on in HTTP/1.1 may (Envoy makes none of its own).
      if (f.name == "sec-websocket-key") s.websocket_key = f.value;
      head.headers.fields().emplace_back(f.name, f.value);
    }
    s.finished = end;
    auto id = session_->request(head, end);
    std::unique_ptr<Stream> owned = take_unsent(s);
    if (!id) {
      // Later: nobody expects an answer inside the call.
      UpstreamSink* sink = std::exchange(s.sink, nullptr);
      --open_;
      pool_.streams_closed(1);
      worker().loop().defer([sink, keep = std::move(owned)] { sink->on_reset(ResetReason::kRefusedStream, {}, false); });
      return;
    }
    s.id = *id;
    session_->count(s.id, &s.bytes);
    streams_[s.id] = std::move(owned);
    worker().mark(*this);
  }

  std::unique_ptr<Stream> take_unsent(Stream& s) {
    for (auto it = unsent_.begin(); it != unsent_.end(); ++it) {
      if (it->get() != &s) continue;
      auto owned = std::move(*it);
      unsent_.erase(it);
      return owned;
    }
    return nullptr;
  }

  // The stream's owner has all it wanted: room for another.
  void ended() {
    --open_;
    pool_.streams_closed(1);
    if (!gone_) pool_.on_idle(*this);
  }

  void cancel(Stream& s) {
    if (!s.leave()) return;
    ++stats().upstream_rq_tx_reset;
    if (!s.id) {
      worker().loop().dispose(take_unsent(s));
    } else {
      session_->reset(s.id, http::H2Error::kCancel);
      worker().mark(*this);
    }
    ended();
  }

  void on_broken(ResetReason reason, std::string_view detail) override {
    if (gone_) return;
    gone_ = true;
    disarm_idle();
    transport_->close();
    ++stats().upstream_cx_destroy_remote;
    if (open_) ++stats().upstream_cx_destroy_with_active_rq, ++stats().upstream_cx_destroy_remote_with_active_rq;
    std::vector<std::unique_ptr<Stream>> all = std::move(unsent_);
    for (auto& [id, s] : streams_) all.push_back(std::move(s));
    streams_.clear();
    pool_.streams_closed(open_);
    open_ = 0;
    bool reused = served > 1;
    std::string text(detail);
    pool_.on_closed(*this);
    for (auto& s : all)
      if (UpstreamSink* sink = s->leave()) sink->on_reset(reason, text, reused && !s->started);
    for (auto& s : all) worker().loop().dispose(std::move(s));
  }

  Stream* find(http::H2Stream id) {
    auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : at->second.get();
  }

  // ---- H2Sink
  void on_response(http::H2Stream id, http::ResponseHead head, bool end) override {
    Stream* s = find(id);
    if (!s || !s->sink) return;
    s->started = true;
    s->response.clear();
    s->response.status = head.status;
    s->response.version = http::Version::kHttp2;
    for (const auto& [name, value] : head.headers) s->response.fields.add_view(name, value);
    if (head.status / 100 == 1) return s->sink->on_interim(s->response);
    if (!s->protocol.empty() && head.status == 200) {
      // What agrees to an extended CONNECT (RFC 8441), as the exchange knows it from HTTP/1.1.
      s->response.status = 101;
      s->response.fields.add("upgrade", s->protocol);
      if (!s->websocket_key.empty() && !s->response.fields.has("sec-websocket-accept"))
        s->response.fields.set("sec-websocket-accept", http::websocket_accept(s->websocket_key));
    }
    s->sink->on_response(s->response, end);
  }
  void on_data(http::H2Stream id, std::string_view bytes) override {
    Stream* s = find(id);
    if (s && s->sink) s->sink->on_response_data(bytes);
    if (s && s->sink && s->paused) s->held += bytes.size();
    else session_->consume(id, bytes.size());
  }
  void on_trailers(http::H2Stream id, http::Headers trailers) override {
    Stream* s = find(id);
    if (!s) return;
    s->has_trailers = true;
    for (const auto& [name, value] : trailers) s->trailers.add_copy(name, value);
  }
  void on_end(http::H2Stream id) override {
    Stream* s = find(id);
    if (!s || !s->sink) return;
    UpstreamSink* sink = s->leave();
    if (!s->finished) session_->reset(id, http::H2Error::kNoError);  // answered before the request was complete
    ended();
    sink->on_response_end(s->has_trailers ? &s->trailers : nullptr);
  }
  void on_drained(http::H2Stream id) override {
    Stream* s = find(id);
    if (s && s->sink) s->sink->on_upstream_drained();
  }
  void on_closed(http::H2Stream id, http::H2Error error) override {
    auto at = streams_.find(id);
    if (at == streams_.end()) return;
    std::unique_ptr<Stream> s = std::move(at->second);
    streams_.erase(at);
    if (UpstreamSink* sink = s->leave()) {
      ended();
      sink->on_reset(error == http::H2Error::kRefusedStream ? ResetReason::kRefusedStream : ResetReason::kRemoteReset, {}, false);
    }
    worker().loop().dispose(std::move(s));
  }
  void on_goaway(http::H2Stream, http::H2Error) override {
    // What runs may end; nothing new.
    ++stats().upstream_cx_close_notify;
    close_when_idle_ = true;
    worker().mark(*this);
  }

  void on_ping_ack() override {
    if (keep_alive_) keep_alive_->on_answer();
  }

  // ---- io
  void on_ready(bool readable, bool) override {
    worker().mark(*this);
    if (readable && !gone_) read();
  }
  void read() {
    std::span<char> buffer = worker().scratch();
    for (int round = 0; !gone_; ++round) {
      if (round == 8) {
        read_again_ = true;
        worker().mark(*this);
        return;
      }
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return on_broken(ResetReason::kTermination, {});
      stats().upstream_cx_rx_bytes_total += r.bytes;
      if (keep_alive_) keep_alive_->on_bytes();
      if (auto ok = session_->feed(std::string_view(buffer.data(), r.bytes)); !ok) return protocol_error(ok.error().message);
      worker().mark(*this);
    }
  }
  void protocol_error(std::string_view detail) {
    ++stats().upstream_cx_protocol_error;
    on_broken(ResetReason::kProtocolError, detail);
  }
  void flush() override {
    if (gone_) return;
    if (std::exchange(read_again_, false)) read();
    while (!gone_ && session_->wants_write()) {
      std::string& out = session_->output();
      if (out.empty()) break;
      io::IoResult r = transport_->write(out);
      if (r.status != io::IoStatus::kOk) break;
      stats().upstream_cx_tx_bytes_total += r.bytes;
      out.erase(0, r.bytes);  // a short write is no reason to stop: the loop tells of room only to who was refused
    }
    if (gone_) return;
    bool over = session_->over();
    // A session that ended under streams that still wait has said GOAWAY to an error of the peer.
    if (over && open_ > 0) protocol_error({});
    else if (over || (close_when_idle_ && open_ == 0)) close();
  }

  std::unique_ptr<http::H2Session> session_;
  std::vector<std::unique_ptr<Stream>> unsent_;
  std::unordered_map<http::H2Stream, std::unique_ptr<Stream>> streams_;
  size_t open_ = 0;             // streams whose owner still waits
  bool read_again_ = false;
  std::unique_ptr<http::H2KeepAlive> keep_alive_;  // nullptr: nobody asked for it
};

}  // namespace

std::unique_ptr<UpstreamConnection> make_h2_upstream(HostPool& pool) { return std::make_unique<H2Upstream>(pool); }

}  // namespace fairlead::proxy
