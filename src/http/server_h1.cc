// A server's HTTP/1.1 connection. One exchange at a time; pipelined requests wait in input_.
#include "http/farewell.h"
#include "http/h1_codec.h"
#include "http/prefixed_transport.h"
#include "http/server_connection.h"
#include "http/server_exchange.h"

namespace fairlead::http {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kMaxBuffered = 64 * 1024;       // unread body, or pipelined requests: above it we stop reading
constexpr size_t kMaxUnsent = 256 * 1024;        // no further request begins above it
constexpr size_t kMaxDiscardedBody = 256 * 1024; // of a request answered early; above it the connection is closed
constexpr auto kLinger = std::chrono::seconds(1);

class H1Connection final : public ServerConnection, ExchangePort {
 public:
  H1Connection(std::shared_ptr<ServerShared> shared, std::unique_ptr<io::Transport> transport)
      : shared_(std::move(shared)), transport_(std::move(transport)), secure_(transport_->secure()),
        parser_(H1Parser::Kind::kRequest, {shared_->options.max_header_bytes, shared_->options.max_header_count}),
        timer_(shared_->loop, [this] { on_timer(); }) {
    transport_->set_sink(this);
  }

  ~H1Connection() override {
    *alive_ = false;
    end_exchange(false);
  }

  void start(std::string_view first_bytes) override {
    timer_.arm(shared_->options.header_timeout);
    busy_ = true;
    input_ = first_bytes;
    process();
    if (wants_read()) read();
    busy_ = false;
    settle();
  }

  void drain() override {
    last_ = true;
    keep_alive_ = false;
    if (!exchange_ && parser_.idle() && input_.empty()) close_after_flush();
    settle_later();
  }

  void cut() override { close(); }

  void on_ready(bool readable, bool writable) override {
    if (!transport_) return;
    busy_ = true;
    if (writable) {
      write_blocked_ = false;
      flush();
    }
    if (readable) {
      readable_ = true;
      if (wants_read()) read();
    }
    busy_ = false;
    settle();
  }

 private:
  // ---- reading

  bool wants_read() const {
    if (!transport_ || eof_) return false;
    if (lingering_) return true;
    if (closing_) return false;
    if (input_.size() >= kMaxBuffered) return false;
    if (exchange_ && !exchange_->finished() && exchange_->buffered() >= kMaxBuffered && !collecting_) return false;
    return exchange_ || unsent() < kMaxUnsent;
  }

  void read() {
    thread_local std::string buffer(kReadBytes, '\0');
    while (wants_read()) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) {
        readable_ = false;
        return;
      }
      if (r.status == io::IoStatus::kError) return broken();
      if (r.status == io::IoStatus::kEof) {
        eof_ = true;
        return on_eof();
      }
      if (lingering_) {
        lingered_ += r.bytes;
        if (lingered_ > kMaxDiscardedBody) return close();
        continue;
      }
      std::string_view bytes(buffer.data(), r.bytes);
      if (input_.empty()) {
        parse(bytes);
        if (transport_) input_.append(bytes);
      } else {
        input_.append(bytes);
        process();
      }
    }
  }

  void process() {
    if (input_.empty()) return;
    std::string held = std::exchange(input_, {});
    std::string_view bytes = held;
    parse(bytes);
    if (transport_) input_.insert(0, bytes);
  }

  void parse(std::string_view& bytes) {
    while (transport_ && !closing_) {
      if (request_done_) return;  // the next request waits until this one is answered
      if (!exchange_ && unsent() >= kMaxUnsent) return;
      rest_ = &bytes;
      auto event = parser_.next(bytes);
      switch (event) {
        case H1Parser::Event::kNeedMore:
          if (!exchange_ && !parser_.idle() && !timing_head_) {
            timing_head_ = true;
            timer_.arm(shared_->options.header_timeout);
          }
          rest_ = nullptr;
          return;
        case H1Parser::Event::kHead: begin_exchange(); break;
        case H1Parser::Event::kData:
          if (exchange_ && !exchange_->finished()) {
            expects_continue_ = false;
            auto keep = exchange_;
            keep->body_data(parser_.data());
          } else if ((discarded_ += parser_.data().size()) > kMaxDiscardedBody) {
            close_lingering();
          }
          break;
        case H1Parser::Event::kEnd:
          request_done_ = true;
          if (exchange_) {
            auto keep = exchange_;
            keep->body_end();
          }
          maybe_complete();
          break;
        case H1Parser::Event::kError: refuse(parser_.error()); break;
      }
      rest_ = nullptr;
    }
  }

  void begin_exchange() {
    const H1Head& head = parser_.head();
    timing_head_ = false;
    timer_.cancel();
    keep_alive_ = head.keep_alive && !last_ && !shared_->draining;
    http10_ = head.version == Version::kHttp10;
    to_head_ = head.method == "HEAD";
    no_request_body_ = head.framing == BodyFraming::kNone;
    expects_continue_ = head.expect_continue && !no_request_body_;
    request_done_ = response_done_ = chunked_ = false;
    discarded_ = 0;
    collecting_ = false;
    exchange_ = std::make_shared<ServerExchange>(shared_->loop, static_cast<ExchangePort&>(*this), 0, to_request_head(head, secure_), transport_->peer(), transport_->local());
    auto keep = exchange_;
    shared_->handler(keep);
  }

  void refuse(H1Error error) {
    if (exchange_) {
      // Inside a body: the handler must not take it for complete.
      bool answered = exchange_->started();
      end_exchange(false);
      if (answered) return close();
    }
    std::string body = std::string(to_string(error)) + "\n";
    h1_append_status_line(output_, status_for(error));
    h1_append_field(output_, "content-type", "text/plain");
    h1_append_field(output_, "content-length", body.size());
    output_ += "connection: close\r\n\r\n";
    output_ += body;
    close_lingering();
  }

  void on_eof() {
    if (exchange_ && !response_done_) return broken();  // the client is gone: nobody waits for the answer
    if (parser_.finish() == H1Parser::Event::kError || unsent() == 0) return close();
    close_after_flush();
  }

  // ---- ending

  void maybe_complete() {
    if (!exchange_ || !response_done_) return;
    if (!request_done_) {
      // Answered early. The client may be waiting for 100-continue and send nothing, or send all: both are cut short.
      // (Without a body, the end of the request is the parser's next event.)
      if (!no_request_body_ && (expects_continue_ || !keep_alive_)) {
        end_exchange(true);
        close_lingering();
      }
      return;
    }
    end_exchange(true);
    request_done_ = false;
    if (!keep_alive_ || last_ || eof_) return close_after_flush();
    timer_.arm(shared_->options.idle_timeout);
    if (!input_.empty() || !busy_) settle_later();
  }

  void end_exchange(bool ok) {
    if (!exchange_) return;
    auto over = std::move(exchange_);
    exchange_ = nullptr;
    over->detach(ok);
  }

  void close_after_flush() {
    closing_ = true;
    settle_later();
  }
  // Closing with unread input would reset the connection and take the answer away from the client: end our side,
  // and read on for a moment.
  void close_lingering() {
    closing_ = true;
    linger_ = true;
    input_.clear();
    settle_later();
  }

  void broken() {
    end_exchange(false);
    close();
  }

  void close() {
    if (!transport_) return;
    end_exchange(false);
    timer_.cancel();
    transport_->close();
    transport_.reset();
    gone();
  }

  // TLS may hold bytes that the socket has not taken: the loop sees them out.
  void close_orderly() {
    if (!transport_ || !secure_ || eof_) return close();
    end_exchange(false);
    timer_.cancel();
    close_gracefully(shared_->loop, std::move(transport_));
    gone();
  }

  void gone() {
    if (std::exchange(gone_, true)) return;
    shared_->gone(*this);
  }

  void on_timer() {
    if (exchange_) return;
    if (timing_head_ && !closing_ && !parser_.idle()) {
      output_ += "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
      return close_lingering();
    }
    close();
  }

  // ---- writing

  size_t unsent() const { return output_.size() - sent_; }

  void flush() {
    while (transport_ && unsent() > 0) {
      io::IoResult r = transport_->write(std::string_view(output_).substr(sent_));
      if (r.status == io::IoStatus::kAgain) {
        write_blocked_ = true;
        if (sent_ > kMaxUnsent) {
          output_.erase(0, sent_);
          sent_ = 0;
        }
        return;
      }
      if (r.status != io::IoStatus::kOk) return broken();
      sent_ += r.bytes;
    }
    if (sent_ == 0) return;
    sent_ = 0;
    output_.clear();
    if (output_.capacity() > 4 * kMaxUnsent) output_.shrink_to_fit();
    if (exchange_ && transport_) {
      auto keep = exchange_;
      keep->drained();
    }
  }

  // What follows any activity: write, go on with input that waited, close when it is time.
  void settle() {
    if (!transport_ || busy_) return;
    busy_ = true;
    flush();
    if (transport_ && !closing_ && !request_done_ && !input_.empty()) {
      process();
      flush();
    }
    if (transport_ && readable_ && wants_read()) {
      read();
      flush();
    }
    busy_ = false;
    if (!transport_) return;
    if (unsent() > 0) {
      // A drain callback wrote more: another round, so that other connections get their turn.
      if (!write_blocked_) settle_later();
      return;
    }
    if (!closing_ || lingering_) return;
    if (!linger_ || eof_) return close_orderly();
    lingering_ = true;
    transport_->shutdown_write();
    timer_.arm(kLinger);
    readable_ = true;
    settle_later();
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

  // ---- ExchangePort

  bool bodyless(int status) const { return to_head_ || status == 204 || status == 304; }

  void append_head(int status, const Headers& headers, bool whole, size_t body_size) {
    h1_append_status_line(output_, status);
    bool dated = false;
    const std::string* length = nullptr;
    for (const auto& [name, value] : headers) {
      if (name == "content-length") {
        length = &value;
        continue;
      }
      if (name == "transfer-encoding") continue;
      if (name == "connection") {
        if (value == "close") keep_alive_ = false;
        continue;
      }
      if (name == "date") dated = true;
      h1_append_field(output_, name, value);
    }
    if (!dated) h1_append_field(output_, "date", http_date());
    chunked_ = false;
    if (status == 204) {
    } else if (whole && !(bodyless(status) && (length || body_size == 0))) {
      h1_append_field(output_, "content-length", body_size);
    } else if (length) {
      h1_append_field(output_, "content-length", *length);
    } else if (!whole && status != 304) {
      if (http10_) keep_alive_ = false;  // the end of the connection ends the body
      else {
        chunked_ = true;
        output_ += "transfer-encoding: chunked\r\n";
      }
    } else if (whole && status != 304 && !to_head_) {
      output_ += "content-length: 0\r\n";
    }
    if (!keep_alive_) output_ += "connection: close\r\n";
    else if (http10_) output_ += "connection: keep-alive\r\n";
    output_ += "\r\n";
    silent_ = bodyless(status);
  }

  void send_whole(ServerExchange&, int status, Headers headers, std::string_view body) override {
    append_head(status, headers, true, body.size());
    if (!silent_) output_ += body;
    answered();
  }
  void send_head(ServerExchange&, int status, Headers headers) override {
    append_head(status, headers, false, 0);
    settle_later();
  }
  void send_data(ServerExchange&, std::string_view bytes) override {
    if (silent_) return;
    if (chunked_) h1_append_chunk(output_, bytes);
    else output_ += bytes;
    settle_later();
  }
  void send_end(ServerExchange&, const Headers& trailers) override {
    if (chunked_ && !silent_) h1_append_last_chunk(output_, trailers);
    answered();
  }
  void answered() {
    response_done_ = true;
    maybe_complete();
    settle_later();
  }
  void cut(ServerExchange&) override {
    // Not inside a call on the exchange: its owner still uses it.
    end_exchange(false);
    closing_ = true;
    output_.clear();
    sent_ = 0;
    settle_later();
  }
  void body_wanted(ServerExchange& exchange) override {
    collecting_ = true;
    if (expects_continue_ && !exchange.started()) {
      expects_continue_ = false;
      output_ += "HTTP/1.1 100 Continue\r\n\r\n";
    }
    settle_later();
  }
  void body_consumed(ServerExchange&, size_t) override {
    if (readable_) settle_later();
  }
  size_t pending_bytes(const ServerExchange&) const override { return unsent(); }
  std::string peer_certificate_pem() const override { return transport_ ? transport_->peer_certificate_pem() : std::string(); }

  std::unique_ptr<io::Transport> upgrade(ServerExchange& exchange, Headers headers, std::string& rest) override {
    if (!no_request_body_ || http10_ || !transport_) return nullptr;
    h1_append_status_line(output_, exchange.request().method == "CONNECT" ? 200 : 101);
    for (const auto& [name, value] : headers) h1_append_field(output_, name, value);
    h1_append_end(output_);
    // Inside the handler what follows the head is still in the buffer being parsed; later it waits in input_.
    rest = rest_ ? std::string(*rest_) : std::move(input_);
    if (rest_) *rest_ = {};
    input_.clear();
    exchange_ = nullptr;
    timer_.cancel();
    auto transport = std::move(transport_);
    transport->set_sink(nullptr);
    size_t sent = sent_;
    while (sent < output_.size()) {
      io::IoResult r = transport->write(std::string_view(output_).substr(sent));
      if (r.status != io::IoStatus::kOk) break;
      sent += r.bytes;
    }
    if (sent < output_.size()) transport = std::make_unique<PrefixedTransport>(std::move(transport), output_.substr(sent));
    gone();
    return transport;
  }

  std::shared_ptr<ServerShared> shared_;
  std::unique_ptr<io::Transport> transport_;  // nullptr: closed or upgraded
  const bool secure_;
  H1Parser parser_;
  io::Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<ServerExchange> exchange_;  // the one being read or answered

  std::string input_;                  // read and not parsed yet
  std::string_view* rest_ = nullptr;   // while parse() runs a handler: what follows the event
  std::string output_;
  size_t sent_ = 0;                    // of output_
  size_t discarded_ = 0, lingered_ = 0;

  // Of the current exchange.
  bool request_done_ = false, response_done_ = false, keep_alive_ = true, http10_ = false, to_head_ = false;
  bool no_request_body_ = true, expects_continue_ = false, chunked_ = false, silent_ = false;
  bool collecting_ = false;            // someone takes the body
  // Of the connection.
  bool busy_ = false, settling_ = false, timing_head_ = true, last_ = false, gone_ = false;
  bool readable_ = true;               // a read has not said kAgain since the last edge
  bool eof_ = false, closing_ = false, linger_ = false, lingering_ = false, write_blocked_ = false;
};

}  // namespace

std::unique_ptr<ServerConnection> make_h1_connection(std::shared_ptr<ServerShared> shared, std::unique_ptr<io::Transport> transport) {
  return std::make_unique<H1Connection>(std::move(shared), std::move(transport));
}

}  // namespace fairlead::http
