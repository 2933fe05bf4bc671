// A client's HTTP/1.x connection: one exchange at a time, pipelined requests wait in order.
#include "base/log.h"
#include "base/recycled.h"
#include "base/strings.h"
#include "http/h1_codec.h"
#include "io/finish_write.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/overload.h"

namespace fairlead::proxy {
namespace {

using http::BodyFraming;
using Event = http::H1Parser::Event;

constexpr size_t kDirectBytes = 4096;       // body pieces from here on are written from where they are
constexpr size_t kStashBytes = 64 * 1024;   // of pipelined requests read ahead
constexpr size_t kLowWatermark = 64 * 1024;
constexpr base::Nanos kDrainIdle = std::chrono::milliseconds(1500);

// Envoy's details and body for what is no request.
struct Refusal {
  int status;
  std::string_view details, body;
};
Refusal refusal(http::H1Error error) {
  using E = http::H1Error;
  switch (error) {
    case E::kHeadTooLarge:
    case E::kTrailersTooLarge:
      return {431, "http1.headers_too_large", "Request Header Fields Too Large"};
    case E::kTooManyFields:
      return {431, "http1.too_many_headers", "Request Header Fields Too Large"};
    case E::kBadCoding:
      return {501, "http1.invalid_transfer_encoding", "Not Implemented"};
    case E::kBadVersion:
      return {505, "http1.codec_error", "HTTP Version Not Supported"};
    case E::kLengthAndCoding:
      return {400, "http1.content_length_and_chunked_not_allowed", "Bad Request"};
    case E::kBadTarget:
      return {400, "http1.invalid_url", "Bad Request"};
    case E::kBadFieldValue:
    case E::kBadFieldName:
      return {400, "http1.invalid_characters", "Bad Request"};
    default:
      return {400, "http1.codec_error", "Bad Request"};
  }
}

// One member of a Connection list: calls `visit` with each, in lower case, until it returns false.
template <class Visit>
bool each_nominated(std::string_view list, Visit visit) {
  while (true) {
    size_t comma = list.find(',');
    std::string_view token = base::trim(list.substr(0, comma));
    if (!token.empty() && !visit(base::to_lower(token))) return false;
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
  }
}

// What a connection reads and writes with; handed on to the next one, so that a connection for each request does not
// mean buffers for each request.
struct H1Buffers {
  http::H1Parser parser{http::H1Parser::Kind::kRequest};
  Output out;
};

struct SpareBuffers final : WorkerLocal {
  static constexpr size_t kMost = 128, kMostBytes = 8192;
  std::unique_ptr<H1Buffers> take() {
    if (list_.empty()) return std::make_unique<H1Buffers>();
    auto buffers = std::move(list_.back());
    list_.pop_back();
    return buffers;
  }
  void give_back(std::unique_ptr<H1Buffers> buffers) {
    if (list_.size() >= kMost || buffers->parser.buffer_bytes() + buffers->out.bytes().capacity() > kMostBytes) return;
    buffers->out.clear();
    list_.push_back(std::move(buffers));
  }

 private:
  std::vector<std::unique_ptr<H1Buffers>> list_;
};
constexpr char kSpareBuffers = 0;

// With HttpConfig::Codec::kAuto a connection is one of HTTP/1 until its first bytes say otherwise: most clients begin with
// something that is no preface of HTTP/2.
class H1Downstream final : public DownstreamConnection, public base::Recycled<H1Downstream>, DownstreamStream, io::TransportSink, Flushable {
 public:
  H1Downstream(Worker& worker, Accepted&& accepted, bool certain)
      : worker_(worker),
        listener_(std::move(accepted.listener)),
        config_(accepted.chain->http.get()),
        info_(std::move(accepted.info)),
        transport_(std::move(accepted.transport)),
        stash_(std::move(accepted.read_ahead)),
        stats_(accepted.stats->http(config_->stat_prefix)),
        listener_stats_(accepted.stats),
        spare_(worker.local<SpareBuffers>(&kSpareBuffers)),
        buffers_(spare_.take()),
        parser_(buffers_->parser),
        out_(buffers_->out),
        timer_(worker.loop(), [this] { on_timer(); }) {
    chain = accepted.chain;
    counts = &bytes_;
    parser_.reset({config_->max_header_bytes, config_->max_header_count});
    parser_.keep_names(config_->header_case == HeaderCase::kPreserve);
    if (config_->max_connection_duration.count() > 0) {
      life_.emplace(worker.loop(), [this] {
        ++stats_.downstream_cx_max_duration_reached;
        drain();
      });
      life_->arm(config_->max_connection_duration);
    }
    transport_->set_sink(this);
    arm_idle();
    if (certain) become_h1();
    if (accepted.fresh && stash_.empty()) return;
    read_again_ = true;
    worker_.mark(*this);
  }
  ~H1Downstream() override {
    worker_.unmark(*this);
    spare_.give_back(std::move(buffers_));
  }

  void drain() override {
    draining_ = true;
    // An idle connection is not closed at once: the peer may be sending on it this very moment, and would find it gone.
    // The next answer tells it to close; one that stays idle goes a little later.
    if (!closed_ && !exchange_ && ((parser_.idle() && stash_.empty()) || mode_ == Mode::kUndecided)) timer_.arm(kDrainIdle);
  }

  void close() override { shut(0, {}); }
  void note_buffered() override {
    stats_.downstream_cx_rx_bytes_buffered += stash_.size();
    stats_.downstream_cx_tx_bytes_buffered += out_.size();
  }
  const ListenerConfig* listener() const override { return listener_.get(); }

 private:
  enum class Mode : uint8_t { kUndecided, kHttp, kTunnel, kLinger };

  // ---- which HTTP it is
  void become_h1() {
    mode_ = Mode::kHttp;
    ++stats_.downstream_cx_total;
    ++stats_.downstream_cx_active;
    ++stats_.downstream_cx_http1_total;
    ++stats_.downstream_cx_http1_active;
    if (info_.secure) ++stats_.downstream_cx_ssl_total, ++stats_.downstream_cx_ssl_active;
  }
  // By the preface that a client with prior knowledge sends. False when `input` is not for us, now or ever.
  bool decide(std::string_view input) {
    constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if (!input.starts_with(kPreface)) {
      if (kPreface.starts_with(input)) {
        stash_.assign(input);
        arm_headers();
        return false;
      }
      become_h1();
      return true;
    }
    closed_ = true;
    timer_.cancel();
    if (life_) life_->cancel();
    transport_->set_sink(nullptr);
    Accepted as;
    as.transport = std::move(transport_);
    as.listener = listener_;
    as.chain = chain;
    as.info = std::move(info_);
    as.read_ahead = input;
    as.stats = listener_stats_;
    auto next = make_h2_downstream(worker_, std::move(as));
    next->chain = chain;
    DownstreamConnection& h2 = *next;
    worker_.add(std::move(next));
    if (draining_) h2.drain();
    worker_.forget(*this);
    return false;
  }

  // ---- reading
  void on_ready(bool readable, bool writable) override {
    if (writable && !out_.empty()) write();
    if (!readable || closed_) return;
    // What was read before and waits comes first; flush() sees to both.
    if (read_again_) worker_.mark(*this);
    else read();
  }

  void flush() override {
    if (closed_) return;
    write();
    if (!closed_ && std::exchange(read_again_, false)) {
      if (!stash_.empty()) {
        std::string waiting = std::exchange(stash_, {});
        process(waiting);
      }
      if (!closed_) read();
    }
  }

  // What a client sends behind its request waits for the answer, also when that decides whether a tunnel begins.
  bool holding() const { return request_paused_ || (exchange_ && (request_complete_ || upgrading_) && mode_ == Mode::kHttp); }

  void read() {
    std::span<char> buffer = worker_.scratch();
    for (int round = 0; !closed_; ++round) {
      // While a request is answered, reading on only tells whether the client is still there.
      if (request_paused_ || (holding() && stash_.size() >= kStashBytes)) return;
      if (round == 8) {
        read_again_ = true;
        worker_.mark(*this);
        return;
      }
      io::IoResult r = transport_->read(buffer);
      switch (r.status) {
        case io::IoStatus::kAgain:
          return;
        case io::IoStatus::kEof:
          if (mode_ == Mode::kTunnel && exchange_) {
            // Half-closed: the other direction may go on.
            return exchange_->on_request_end(nullptr);
          }
          [[fallthrough]];
        case io::IoStatus::kError:
          if (mode_ != Mode::kUndecided) ++stats_.downstream_cx_destroy_remote;
          return shut(kFlagDownstreamTermination, "downstream_remote_disconnect");
        case io::IoStatus::kOk:
          stats_.downstream_cx_rx_bytes_total += r.bytes;
          process(std::string_view(buffer.data(), r.bytes));
          if (closed_) return;
      }
    }
  }

  void process(std::string_view input) {
    if (mode_ == Mode::kUndecided) {
      if (stash_.empty()) {
        if (!decide(input)) return;
      } else {
        // A preface in pieces.
        std::string whole = std::exchange(stash_, {});
        whole.append(input);
        if (!decide(whole)) return;
        return process(whole);
      }
    }
    while (!closed_ && !input.empty()) {
      if (mode_ == Mode::kLinger || broken_ || linger_after_) return;  // the last answer was given
      if (mode_ == Mode::kTunnel) {
        if (request_paused_) stash_.append(input);
        else if (exchange_) exchange_->on_request_data(input);
        return;
      }
      if (holding()) {
        stash_.append(input);
        return;
      }
      size_t before = input.size();
      Event event = parser_.next(input);
      bytes_.wire_received += before - input.size();
      switch (event) {
        case Event::kNeedMore:
          if (!exchange_ && !parser_.idle()) arm_headers();
          return;
        case Event::kHead:
          on_head(input);
          break;
        case Event::kData:
          if (exchange_) exchange_->on_request_data(parser_.data());
          // A body of known length ends without another byte.
          if (input.empty() && !closed_ && !broken_ && parser_.next(input) == Event::kEnd) on_end();
          break;
        case Event::kEnd:
          on_end();
          break;
        case Event::kError:
          return on_bad_request();
      }
    }
  }

  void on_head(std::string_view& input) {
    const http::H1Head& head = parser_.head();
    exchange_ = worker_.take_exchange();
    exchange_->begin(*this, *listener_, *config_, info_, stats_);
    ++stats_.downstream_rq_http1_total;
    ++served_;
    RequestHeaders& request = exchange_->request();
    request.version = head.version;
    request.method = head.method;
    request.target = head.target;
    request.authority = head.host;
    // Absolute form: its authority replaces Host (RFC 9112 section 3.2.2).
    if (!head.target.empty() && head.target[0] != '/' && head.method != "CONNECT") {
      if (size_t at = head.target.find("://"); at != std::string_view::npos) {
        std::string_view rest = head.target.substr(at + 3);
        size_t slash = rest.find_first_of("/?#");
        request.scheme = at == 5 ? "https" : "http";
        request.authority = rest.substr(0, slash);
        if (slash == std::string_view::npos) request.target = "/";
        else if (rest[slash] == '/') request.target = rest.substr(slash);
        else request.target = request.fields.store("/" + std::string(rest.substr(slash)));
      }
    }
    connect_ = head.method == "CONNECT";
    // An upgrade with a body has nowhere to put it, and h2c is not offered: plain requests then.
    bool upgrade = connect_ || (!head.upgrade.empty() && head.framing == BodyFraming::kNone && !base::iequals(head.upgrade, "h2c"));
    if (connect_ && head.framing != BodyFraming::kNone) upgrade = false;
    uint64_t header_bytes = 0;
    for (const http::FieldView& f : head.fields) {
      header_bytes += f.name.size() + f.value.size() + 3;  // as Envoy counts them
      if (f.name != "host") request.fields.add_view(f.name, f.value);
    }
    bytes_.header_received = header_bytes;
    if (config_->header_case == HeaderCase::kPreserve)
      for (const http::FieldView& f : head.fields)
        if (std::string_view sent = parser_.sent_name(f); sent != f.name) request.sent_names.emplace_back(f.name, sent);
    if (!upgrade && !head.upgrade.empty()) {
      request.fields.remove("upgrade");
      request.fields.remove("http2-settings");
    }
    bool nominations_ok = remove_nominated(request.fields);
    keep_alive_ = head.keep_alive;
    client_closes_ = !head.keep_alive;
    if (config_->max_requests_per_connection && served_ >= config_->max_requests_per_connection) {
      keep_alive_ = false;
      ++stats_.downstream_cx_max_requests_reached;
    }
    if (keep_alive_ && worker_.options().overload && worker_.options().overload->disable_keepalive()) {
      keep_alive_ = false;
      ++stats_.downstream_cx_overload_disable_keepalive;
    }
    if (draining_ || worker_.draining()) {
      if (keep_alive_) ++stats_.downstream_cx_drain_close;
      keep_alive_ = false;
    }
    head_request_ = head.method == "HEAD";
    http10_ = head.version == http::Version::kHttp10;
    http10_keep_ = http10_ && keep_alive_;
    bool end = !upgrade && (head.framing == BodyFraming::kNone || (head.framing == BodyFraming::kLength && head.content_length == 0));
    request_complete_ = false;
    upgrading_ = upgrade;
    timer_.cancel();
    head_timed_ = false;
    if (end) {
      // The end event belongs to this request; taking it now leaves the parser ready for the next one.
      (void)parser_.next(input);
      request_complete_ = true;
    }
    if (upgrade) (void)parser_.next(input);
    if (!nominations_ok) keep_alive_ = false;
    if (!nominations_ok) return exchange_->refuse(400, "http1.connection_header_rejected", kFlagDownstreamProtocolError, "Bad Request");
    exchange_->on_request(end, upgrade);
  }

  // Fields that Connection names are for this hop (RFC 9110 section 7.6.1). False when it names one whose removal would
  // hide where the request comes from. What frames the message stays whatever is said.
  static bool remove_nominated(HeaderMap& fields) {
    bool ok = true;
    for (size_t i = 0; i < fields.fields().size(); ++i) {
      HeaderMap::Field f = fields.fields()[i];
      if (f.name != "connection" || base::iequals(f.value, "keep-alive") || base::iequals(f.value, "close")) continue;
      ok &= each_nominated(f.value, [&](const std::string& name) {
        if (name == "x-forwarded-for" || name == "x-forwarded-host" || name == "x-forwarded-proto" || name[0] == ':') return false;
        if (name == "close" || name == "keep-alive" || name == "upgrade" || name == "te" || name == "connection" || name == "host" ||
            name == "content-length" || name == "transfer-encoding")
          return true;
        for (size_t k = 0; k < fields.fields().size();) {
          if (fields.fields()[k].name != name) {
            ++k;
            continue;
          }
          fields.fields().erase(fields.fields().begin() + static_cast<std::ptrdiff_t>(k));
          if (k <= i) --i;
        }
        return true;
      });
    }
    return ok;
  }

  void on_end() {
    if (!exchange_) return;
    request_complete_ = true;
    auto fields = parser_.trailers();
    if (fields.empty() || !config_->http1_trailers) return exchange_->on_request_end(nullptr);
    trailers_.clear();
    for (const http::FieldView& f : fields) trailers_.add_view(f.name, f.value);
    exchange_->on_request_end(&trailers_);
  }

  void on_bad_request() {
    ++stats_.downstream_cx_protocol_error;
    FL_LOG_DEBUG("http", "{}: {}", info_.peer_text, http::to_string(parser_.error()));
    refuse(refusal(parser_.error()));
  }

  // Answers what can't be served, unless an answer is on its way already, and ends the connection.
  void refuse(Refusal why, uint32_t flag = kFlagDownstreamProtocolError) {
    keep_alive_ = http10_keep_ = false;
    broken_ = true;
    timer_.cancel();
    if (exchange_) {
      if (exchange_->response_begun()) return shut(flag, why.details);
      return exchange_->break_off(why.status, why.details, flag, why.body);
    }
    exchange_ = worker_.take_exchange();
    exchange_->begin(*this, *listener_, *config_, info_, stats_);
    http10_ = head_request_ = upgrading_ = connect_ = false;
    request_complete_ = true;
    exchange_->refuse(why.status, why.details, flag, why.body);
  }

  // ---- DownstreamStream
  void send_interim(const ResponseHeaders& head) override {
    if (http10_) return;
    std::string& out = out_.bytes();
    http::h1_append_status_line(out, head.status);
    for (const HeaderMap::Field& f : head.fields) out.append(f.name).append(": ").append(f.value).append("\r\n");
    out += "\r\n";
    worker_.mark(*this);
  }

  void send_head(const ResponseHeaders& head, bool end) override {
    if (keep_alive_ && (draining_ || worker_.draining())) {  // draining began while the request was under way
      ++stats_.downstream_cx_drain_close;
      keep_alive_ = http10_keep_ = false;
    }
    std::string& out = out_.bytes();
    int status = head.status;
    bool switching = upgrading_ && (connect_ ? status / 100 == 2 : status == 101);
    // Not switched: the request that asked for it was one without a body.
    // What may stand behind it was meant for the other protocol.
    if (upgrading_ && !switching) upgrading_ = keep_alive_ = false, request_complete_ = true;
    size_t start = out.size();
    http::h1_append_status_line(out, status);
    size_t line = out.size() - start;
    if (http10_ && config_->accept_http10) out[start + 7] = '0';  // "HTTP/1.0", as Envoy answers such clients
    bool proper = config_->header_case == HeaderCase::kProper, cased = proper || !head.sent_names.empty();
    bool length = false;
    bool no_body = status == 204 || status == 304 || switching;
    if (head.close) keep_alive_ = http10_keep_ = false;
    if (status == 204 || switching || cased) {
      for (const HeaderMap::Field& f : head.fields) {
        if (f.name == "content-length") {
          if (status == 204 || switching) continue;
          length = true;
        }
        append_name(out, f.name, head.sent_names, proper);
        out.append(": ").append(f.value).append("\r\n");
      }
    } else {
      size_t old = out.size();
      out.resize_and_overwrite(old + head.fields.byte_size(),
                               [&](char* begin, size_t) { return static_cast<size_t>(put_fields(begin + old, head.fields) - begin); });
      length = head.fields.has("content-length");
    }
    chunked_ = false;
    if (!request_complete_ && !switching && end) keep_alive_ = false;  // the rest of the request would be in the way
    if (switching) {
      if (!connect_) out += "connection: Upgrade\r\n";
    } else {
      if (!length && !no_body) {
        if (end) {
          if (!head_request_) out += "content-length: 0\r\n";
        } else if (http10_) {
          keep_alive_ = http10_keep_ = false;  // the end of the connection is the end of the body
        } else {
          out += "transfer-encoding: chunked\r\n";
          chunked_ = !head_request_;
        }
      }
      if (!keep_alive_) out += "connection: close\r\n";
      else if (http10_keep_) out += "connection: keep-alive\r\n";
    }
    out += "\r\n";
    bytes_.wire_sent += out.size() - start;
    bytes_.header_sent += out.size() - start - line - 2;
    worker_.mark(*this);
  }

  void send_data(std::string_view bytes) override {
    if (bytes.empty() || head_request_) return;
    char chunk[20];
    std::string_view head, tail;
    if (chunked_) {
      head = std::string_view(chunk, http::h1_chunk_header(chunk, bytes.size()));
      tail = "\r\n";
    }
    bytes_.wire_sent += head.size() + bytes.size() + tail.size();
    if (bytes.size() >= kDirectBytes) {
      uint64_t before = out_.written();
      (void)out_.write(*transport_, {head, bytes, tail});
      stats_.downstream_cx_tx_bytes_total += out_.written() - before;
      return;
    }
    out_.bytes().append(head).append(bytes).append(tail);
    worker_.mark(*this);
  }

  void send_end(const HeaderMap* trailers) override {
    if (mode_ == Mode::kTunnel) {
      keep_alive_ = false;
    } else if (chunked_) {
      std::string& out = out_.bytes();
      size_t began = out.size();
      out += "0\r\n";
      if (trailers && config_->http1_trailers)
        for (const HeaderMap::Field& f : *trailers) out.append(f.name).append(": ").append(f.value).append("\r\n");
      out += "\r\n";
      bytes_.wire_sent += out.size() - began;
    }
    worker_.mark(*this);
  }

  void reset() override {
    ++stats_.downstream_rq_tx_reset;
    write();  // what was answered before it broke off
    if (!closed_) shut(0, {});
  }
  void pause_request() override { request_paused_ = true; }
  void resume_request() override {
    if (!std::exchange(request_paused_, false)) return;
    read_again_ = true;
    worker_.mark(*this);
  }
  size_t pending() const override { return out_.size(); }
  void tunnel() override {
    mode_ = Mode::kTunnel;
    upgrading_ = false;
    read_again_ = true;  // what the client sent behind its request
    worker_.mark(*this);
  }

  void exchange_done() override {
    worker_.give_back(std::move(exchange_));
    bytes_ = {};
    request_paused_ = false;
    bool whole = request_complete_;
    request_complete_ = upgrading_ = false;
    if (!whole || mode_ == Mode::kTunnel || !keep_alive_) {
      linger_after_ = true;
      nothing_under_way_ = whole && client_closes_ && mode_ == Mode::kHttp && stash_.empty();
      worker_.mark(*this);
      return;
    }
    if (draining_) timer_.arm(kDrainIdle);  // the head went out before; the peer does not know yet
    else arm_idle();
    if (!stash_.empty()) {
      read_again_ = true;
      worker_.mark(*this);
    }
  }

  // ---- writing
  void write() {
    size_t low = std::min(kLowWatermark, listener_->watermark_bytes / 2);
    bool was_high = out_.size() > low;
    uint64_t before = out_.written();
    if (linger_after_ && !exchange_) transport_->last_write();
    bool ok = out_.flush(*transport_);
    stats_.downstream_cx_tx_bytes_total += out_.written() - before;
    if (!ok) return;  // reading tells
    if (was_high && out_.size() <= low && exchange_) exchange_->on_downstream_drained();
    if (out_.empty() && linger_after_ && !exchange_) linger();
  }

  // The answer is out. Closing at once could throw it away with what the client is still sending (RFC 9112 section
  // 9.6), so our side is closed first and the rest is read for a moment. A client that asked for the end and was read to
  // the end of its request sends nothing more.
  void linger() {
    linger_after_ = false;
    if (mode_ == Mode::kLinger) return;
    mode_ = Mode::kLinger;
    stash_.clear();
    if (config_->delayed_close_timeout.count() <= 0 || (nothing_under_way_ && (!info_.secure || io::finish_write(*transport_)))) return close();
    transport_->shutdown_write();
    timer_.arm(config_->delayed_close_timeout);
    read_again_ = true;
    worker_.mark(*this);
  }

  void arm_idle() {
    if (config_->idle_timeout.count() > 0) timer_.arm(config_->idle_timeout);
  }
  // From the first byte of a head to its last; bytes in between win no time.
  void arm_headers() {
    if (std::exchange(head_timed_, true)) return;
    if (config_->request_headers_timeout.count() > 0) timer_.arm(config_->request_headers_timeout);
  }
  void on_timer() {
    if (closed_ || exchange_) return;
    stats_.downstream_cx_delayed_close_timeout += mode_ == Mode::kLinger;
    if (mode_ == Mode::kLinger || mode_ == Mode::kUndecided) return close();
    if (!parser_.idle() && head_timed_ && config_->request_headers_timeout.count() > 0) {
      ++stats_.downstream_rq_header_timeout;
      return refuse({408, "request_header_timeout", "request header timeout"}, 0);
    }
    ++(draining_ ? stats_.downstream_cx_drain_close : stats_.downstream_cx_idle_timeout);
    close();
  }

  void shut(uint32_t flag, std::string_view details) {
    if (closed_) return;
    closed_ = true;
    if (exchange_ && !exchange_->over()) {
      ++stats_.downstream_cx_destroy_active_rq;
      ++(flag == kFlagDownstreamTermination ? stats_.downstream_cx_destroy_remote_active_rq : stats_.downstream_cx_destroy_local_active_rq);
    }
    if (exchange_) {
      if (!exchange_->over()) exchange_->on_downstream_reset(flag ? flag : uint32_t{kFlagDownstreamTermination}, details.empty() ? "downstream_local_disconnect" : details);
      worker_.give_back(std::move(exchange_));
    }
    timer_.cancel();
    if (life_) life_->cancel();
    transport_->close();
    double length = std::chrono::duration<double, std::milli>(worker_.now() - info_.accepted).count();
    if (mode_ != Mode::kUndecided) {
      ++stats_.downstream_cx_destroy;
      --stats_.downstream_cx_active;
      --stats_.downstream_cx_http1_active;
      if (info_.secure) --stats_.downstream_cx_ssl_active;
      stats_.cx_length.record(length);
    }
    if (listener_stats_) {
      --listener_stats_->downstream_cx_active;
      ++listener_stats_->downstream_cx_destroy;
      listener_stats_->cx_length.record(length);
    }
    worker_.forget(*this);
  }

  Worker& worker_;
  std::shared_ptr<const ListenerConfig> listener_;
  const HttpConfig* config_;            // of listener_
  ConnectionInfo info_;
  std::unique_ptr<io::Transport> transport_;
  std::string stash_;                   // read, not parsed yet
  HttpStats& stats_;
  ListenerStats* listener_stats_;
  SpareBuffers& spare_;
  std::unique_ptr<H1Buffers> buffers_;
  http::H1Parser& parser_;              // of buffers_, as out_
  Output& out_;
  io::Timer timer_;                     // idle, header and linger time-outs
  std::optional<io::Timer> life_;       // max_connection_duration
  std::unique_ptr<Exchange> exchange_;
  HeaderMap trailers_;
  http::ByteCounts bytes_;              // of the exchange under way, or of the head that is coming
  uint32_t served_ = 0;
  Mode mode_ = Mode::kUndecided;
  bool closed_ = false, draining_ = false, keep_alive_ = true, request_complete_ = false, request_paused_ = false;
  bool head_request_ = false, http10_ = false, http10_keep_ = false, chunked_ = false, upgrading_ = false;
  bool linger_after_ = false, read_again_ = false, client_closes_ = false, nothing_under_way_ = false;
  bool connect_ = false;                // the request is a CONNECT
  bool head_timed_ = false;             // the time of a head that is not complete runs
  bool broken_ = false;                 // what still comes can't be understood
};

}  // namespace

std::unique_ptr<DownstreamConnection> make_h1_downstream(Worker& worker, Accepted&& accepted) {
  bool certain = accepted.chain->http->codec == HttpConfig::Codec::kHttp1;
  return std::make_unique<H1Downstream>(worker, std::move(accepted), certain);
}

}  // namespace fairlead::proxy
