// An HTTP/1.1 connection to an endpoint: one request at a time.
#include "base/strings.h"
#include "http/h1_codec.h"
#include "proxy/output.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {
namespace {

using http::BodyFraming;
using Event = http::H1Parser::Event;

constexpr size_t kDirectBytes = 4096;      // bodies pieces from here on are written from where they are

// Methods whose requests say that they carry nothing (content-length: 0) when they do; the others go without (as in Envoy).
bool has_body(std::string_view method) { return method != "GET" && method != "HEAD" && method != "DELETE" && method != "TRACE" && method != "CONNECT"; }

// Keep-Alive: timeout=5, max=100 (RFC 2068 section 19.7.1.1); zero when there is none.
base::Nanos keep_alive_timeout(std::string_view value) {
  for (std::string_view part : base::split(value, ',')) {
    part = base::trim(part);
    if (!base::iequals(part.substr(0, 8), "timeout=")) continue;
    if (auto n = base::to_int(part.substr(8)); n && *n > 0 && *n < 1'000'000) return std::chrono::seconds(*n);
  }
  return base::Nanos(0);
}

// Where the rest of an answer goes that nobody wants.
struct DiscardSink final : UpstreamSink {
  void on_response(ResponseHeaders&, bool) override {}
  void on_response_data(std::string_view) override {}
  void on_response_end(const HeaderMap*) override {}
  void on_reset(ResetReason, std::string_view, bool) override {}
  void on_upstream_drained() override {}
};

class H1Upstream final : public UpstreamConnection, UpstreamStream, io::TransportSink, Flushable {
 public:
  explicit H1Upstream(HostPool& pool) : UpstreamConnection(pool), parser_(http::H1Parser::Kind::kResponse) {}
  ~H1Upstream() override { worker().unmark(*this); }

  // ---- UpstreamConnection
  UpstreamStream* open(UpstreamSink& sink) override {
    if (sink_ || gone_) return nullptr;
    sink_ = &sink;
    head_seen_ = request_done_ = paused_ = chunked_ = tunnel_ = false;
    started_ = false;
    disarm_idle();
    pool_.stream_opened();
    return this;
  }
  bool has_room() const override { return !sink_; }
  size_t streams() const override { return sink_ ? 1 : 0; }
  void note_buffered() override { stats().upstream_cx_tx_bytes_buffered += out_.size(); }

 private:
  Worker& worker() { return pool_.cluster().worker(); }
  ClusterStats& stats() { return pool_.cluster().stats; }
  const ClusterConfig& config() const { return pool_.cluster().config(); }

  void on_transport() override { transport_->set_sink(this); }

  void on_broken(ResetReason reason, std::string_view detail) override {
    if (gone_) return;
    UpstreamSink* sink = std::exchange(sink_, nullptr);
    bool reused = served > 1 && !started_;
    broken_off(sink != nullptr);
    if (sink) sink->on_reset(reason, detail, reused);
  }

  // ---- UpstreamStream
  void send_head(const RequestHeaders& head, bool end) override {
    std::string& out = out_.bytes();
    size_t began = out.size();
    const HeaderMap::Field* length = head.fields.find("content-length");
    bool upgrade = head.fields.has("upgrade");
    bool connect = head.method == "CONNECT";
    chunked_ = !end && !length && !upgrade && !connect;
    tunnel_request_ = upgrade || connect;
    std::string_view target = connect ? std::string_view(head.authority) : std::string_view(head.target);  // authority-form (RFC 9112 3.2.3)
    bool proper = config().header_case == HeaderCase::kProper;
    if (proper || !head.sent_names.empty()) {
      out.append(head.method).append(" ").append(target).append(" HTTP/1.1\r\n");
      append_name(out, "host", head.sent_names, proper);
      out.append(": ").append(head.authority).append("\r\n");
      for (const HeaderMap::Field& f : head.fields) {
        append_name(out, f.name, head.sent_names, proper);
        out.append(": ").append(f.value).append("\r\n");
      }
    } else {
      size_t old = out.size(), most = head.method.size() + target.size() + head.authority.size() + head.fields.byte_size() + 24;
      out.resize_and_overwrite(old + most, [&](char* begin, size_t) {
        char* p = base::put(begin + old, head.method);
        *p++ = ' ';
        p = base::put(p, target);
        p = base::put(p, " HTTP/1.1\r\nhost: ");
        p = base::put(p, head.authority);
        p = base::put(p, "\r\n");
        return static_cast<size_t>(put_fields(p, head.fields) - begin);
      });
    }
    if (upgrade) out += "connection: Upgrade\r\n";
    if (chunked_) out += "transfer-encoding: chunked\r\n";
    else if (end && !length && !upgrade && has_body(head.method)) out += "content-length: 0\r\n";
    out += "\r\n";
    http::ByteCounts& counts = sink_->upstream_bytes;
    counts.wire_sent += out.size() - began;
    counts.header_sent += out.size() - began - (head.method.size() + target.size() + 14);  // field lines alone
    parser_.expect_response_to(head.method);
    parser_.keep_names(config().header_case == HeaderCase::kPreserve);
    request_done_ = end;
    worker().mark(*this);
  }

  void send_data(std::string_view bytes) override {
    if (gone_ || bytes.empty()) return;
    char chunk[20];
    std::string_view head, tail;
    if (chunked_) {
      head = std::string_view(chunk, http::h1_chunk_header(chunk, bytes.size()));
      tail = "\r\n";
    }
    if (sink_) sink_->upstream_bytes.wire_sent += head.size() + bytes.size() + tail.size();
    if (bytes.size() >= kDirectBytes) {
      // A broken connection is seen by reading, where an early answer may still be found.
      uint64_t before = out_.written();
      (void)out_.write(*transport_, {head, bytes, tail});
      stats().upstream_cx_tx_bytes_total += out_.written() - before;
      return;
    }
    out_.bytes().append(head).append(bytes).append(tail);
    worker().mark(*this);
  }

  void send_end(const HeaderMap* trailers) override {
    if (gone_ || request_done_) return;
    request_done_ = true;
    if (chunked_) {
      std::string& out = out_.bytes();
      size_t began = out.size();
      out += "0\r\n";
      if (trailers && config().http1_trailers)
        for (const HeaderMap::Field& f : *trailers) out.append(f.name).append(": ").append(f.value).append("\r\n");
      out += "\r\n";
      if (sink_) sink_->upstream_bytes.wire_sent += out.size() - began;
      worker().mark(*this);
    } else if (tunnel_request_) {
      half_close_ = true;
      worker().mark(*this);
    }
  }

  void cancel() override {
    if (!sink_) return;
    sink_ = nullptr;
    abandon();
  }

  void discard() override {
    constexpr uint64_t kShortBytes = 64 * 1024;
    if (!sink_) return;
    if (!request_done_ || tunnel_ || parser_.head().framing != BodyFraming::kLength || parser_.head().content_length > kShortBytes) return cancel();
    static thread_local DiscardSink discarded;  // connections count their bytes in it
    sink_ = &discarded;
    paused_ = false;
  }

  void pause() override { paused_ = true; }
  void resume() override {
    if (!paused_) return;
    paused_ = false;
    read_again_ = true;
    worker().mark(*this);
  }
  size_t pending() const override { return out_.size(); }
  bool reused() const override { return served > 1; }
  const UpstreamFacts& facts() const override { return facts_; }
  std::shared_ptr<const io::TlsInfo> tls() const override { return transport_ ? transport_->tls_info() : nullptr; }

  // ---- io
  void on_ready(bool readable, bool writable) override {
    if (writable && !out_.empty()) write();
    if (readable && !gone_) read();
  }

  void flush() override {
    if (gone_) return;
    write();
    if (!gone_ && std::exchange(read_again_, false)) read();
  }

  void write() {
    size_t low = pool_.cluster().low_watermark();
    bool was_high = out_.size() > low;
    uint64_t before = out_.written();
    bool ok = out_.flush(*transport_);
    stats().upstream_cx_tx_bytes_total += out_.written() - before;
    if (!ok) return;  // reading tells
    if (out_.empty() && std::exchange(half_close_, false)) transport_->shutdown_write();
    if (was_high && out_.size() <= low && sink_) sink_->on_upstream_drained();
  }

  void read() {
    std::span<char> buffer = worker().scratch();
    for (int round = 0; !gone_; ++round) {
      if (paused_) return;
      if (round == 8) {  // others have their turn
        read_again_ = true;
        worker().mark(*this);
        return;
      }
      io::IoResult r = transport_->read(buffer);
      switch (r.status) {
        case io::IoStatus::kAgain:
          return;
        case io::IoStatus::kEof:
          return end_of_file();
        case io::IoStatus::kError:
          return on_broken(ResetReason::kTermination, {});
        case io::IoStatus::kOk:
          stats().upstream_cx_rx_bytes_total += r.bytes;
          parse(std::string_view(buffer.data(), r.bytes));
          if (gone_) return;
      }
    }
  }

  void end_of_file() {
    if (!sink_) return on_broken(ResetReason::kTermination, {});
    if (tunnel_) {
      close_when_idle_ = sink_->tunnel_cut = true;
      return finish();
    }
    if (parser_.finish() == Event::kEnd) {
      close_when_idle_ = true;
      return finish();
    }
    // Inside an answer the end of the connection is a malformed answer.
    on_broken(started_ ? ResetReason::kProtocolError : ResetReason::kTermination, {});
  }

  void parse(std::string_view input) {
    while (!gone_) {
      if (tunnel_) {
        if (!input.empty() && sink_) sink_->on_response_data(input);
        return;
      }
      if (!sink_) {
        // Nothing was asked: an upstream that talks out of turn can't be trusted with the next request.
        if (!input.empty()) {
          ++stats().upstream_cx_protocol_error;
          close();
        }
        return;
      }
      size_t before = input.size();
      Event event = parser_.next(input);
      sink_->upstream_bytes.wire_received += before - input.size();
      switch (event) {
        case Event::kNeedMore:
          return;
        case Event::kError:
          ++stats().upstream_cx_protocol_error;
          return on_broken(ResetReason::kProtocolError, http::to_string(parser_.error()));
        case Event::kHead:
          on_head();
          break;
        case Event::kData:
          sink_->on_response_data(parser_.data());
          break;
        case Event::kEnd:
          finish();
          break;
      }
    }
  }

  void on_head() {
    const http::H1Head& head = parser_.head();
    started_ = true;
    response_.clear();
    response_.status = head.status;
    response_.version = head.version;
    response_.block = head.block;
    const std::string_view* keep_alive = nullptr;
    uint64_t header_bytes = 0;
    for (const http::FieldView& f : head.fields) {
      header_bytes += f.name.size() + f.value.size() + 3;  // as Envoy counts them
      if (f.name == "keep-alive") keep_alive = &f.value;
      else if (f.name == "upgrade" ? head.status == 101 : f.name != "te" && !is_hop_by_hop(f.name)) response_.fields.add_view(f.name, f.value);
    }
    sink_->upstream_bytes.header_received += header_bytes;
    if (config().header_case == HeaderCase::kPreserve)
      for (const http::FieldView& f : head.fields)
        if (std::string_view sent = parser_.sent_name(f); sent != f.name) response_.sent_names.emplace_back(f.name, sent);
    if (head.interim()) return sink_->on_interim(response_);
    keep_alive_ = head.keep_alive;
    stats().upstream_cx_close_notify += !keep_alive_;
    if (keep_alive) server_idle_ = keep_alive_timeout(*keep_alive);
    tunnel_ = head.framing == BodyFraming::kTunnel;
    bool end = head.framing == BodyFraming::kNone || (head.framing == BodyFraming::kLength && head.content_length == 0);
    sink_->on_response(response_, end && !tunnel_);
  }

  void finish() {
    UpstreamSink* sink = std::exchange(sink_, nullptr);
    pool_.streams_closed(1);
    std::span<const http::FieldView> fields = parser_.trailers();
    bool with_trailers = !tunnel_ && !fields.empty() && config().http1_trailers;
    if (with_trailers) {
      trailers_.clear();
      for (const http::FieldView& f : fields) trailers_.add_view(f.name, f.value);
    }
    // Back into the pool first: what the sink starts next may use this connection.
    if (!keep_alive_ || !request_done_ || tunnel_ || close_when_idle_) {
      close();
    } else {
      pool_.on_idle(*this);
    }
    sink->on_response_end(with_trailers ? &trailers_ : nullptr);
  }

  http::H1Parser parser_;
  Output out_;
  UpstreamSink* sink_ = nullptr;
  ResponseHeaders response_;
  HeaderMap trailers_;
  bool head_seen_ = false, request_done_ = false, paused_ = false, chunked_ = false, tunnel_ = false, keep_alive_ = true;
  bool tunnel_request_ = false, half_close_ = false, read_again_ = false;
  bool started_ = false;  // something of the answer was read
};

}  // namespace

std::unique_ptr<UpstreamConnection> make_h1_upstream(HostPool& pool) { return std::make_unique<H1Upstream>(pool); }

}  // namespace fairlead::proxy
