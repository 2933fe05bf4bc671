// A client's HTTP/1.1 connection: one call at a time.
#include "base/strings.h"
#include "http/client_connection.h"
#include "http/h1_codec.h"

namespace fairlead::http {
namespace {

class H1ClientConnection final : public ClientConnection {
 public:
  H1ClientConnection(io::Loop& loop, std::unique_ptr<io::Transport> transport, const ClientOptions& options, std::shared_ptr<PoolHooks> hooks)
      : loop_(loop), transport_(std::move(transport)), keep_(options.keep_alive), idle_timeout_(options.idle_timeout), hooks_(std::move(hooks)),
        parser_(H1Parser::Kind::kResponse), timer_(loop, [this] { close(); }) {
    transport_->set_sink(this);
  }
  ~H1ClientConnection() override { *alive_ = false; }

  void start(std::string_view first_bytes) override {
    if (!first_bytes.empty()) return close();  // an answer before any question
    timer_.arm(idle_timeout_);
    settle_later();
  }

  void submit(CallPtr call) override {
    timer_.cancel();
    call_ = std::move(call);
    call_->connection = this;
    ++call_->attempts;
    answered_any_ = false;
    request_done_ = false;
    parser_.expect_response_to(call_->head.method);
    BodyFraming framing = BodyFraming::kNone;
    uint64_t length = 0;
    const std::string& method = call_->head.method;
    if (call_->body_follows) {
      auto given = base::to_int(call_->head.headers.get("content-length"));
      if (call_->finished) {
        framing = BodyFraming::kLength;
        length = call_->body.size();
      } else if (given && *given >= 0) {
        framing = BodyFraming::kLength;
        length = static_cast<uint64_t>(*given);
      } else {
        framing = BodyFraming::kChunked;
      }
    } else if (method == "POST" || method == "PUT" || method == "PATCH") {
      framing = BodyFraming::kLength;
    }
    chunked_ = framing == BodyFraming::kChunked;
    h1_append_request_head(output_, call_->head, framing, length, keep_);
    if (!call_->body.empty()) append_body(call_->body);
    if (!call_->body_follows || call_->finished) append_end();
    settle_later();
  }

  void write(PendingCall& call, std::string_view bytes) override {
    if (!call_ || &call != call_.get() || request_done_) return;
    call.streamed = true;
    append_body(bytes);
    settle_later();
  }
  void finish(PendingCall& call) override {
    if (!call_ || &call != call_.get() || request_done_) return;
    append_end();
    settle_later();
  }
  void cancel(PendingCall& call) override {
    if (!call_ || &call != call_.get()) return;
    call_ = nullptr;
    close();
  }
  size_t pending_bytes(const PendingCall&) const override { return output_.size() - sent_; }
  bool multiplexed() const override { return false; }

  void close() override {
    if (!transport_) return;
    timer_.cancel();
    transport_->close();
    transport_.reset();
    if (hooks_->closing) hooks_->closing(*this);
    if (hooks_->gone) hooks_->gone(*this);
  }

  void on_ready(bool readable, bool writable) override {
    if (!transport_) return;
    auto alive = alive_;
    if (writable) flush();
    if (readable) read();
  }

 private:
  void append_body(std::string_view bytes) {
    if (chunked_) h1_append_chunk(output_, bytes);
    else output_ += bytes;
  }
  void append_end() {
    if (chunked_) h1_append_last_chunk(output_);
    request_done_ = true;
  }

  void flush() {
    while (transport_ && sent_ < output_.size()) {
      io::IoResult r = transport_->write(std::string_view(output_).substr(sent_));
      if (r.status == io::IoStatus::kAgain) return;
      // The server may have answered before it closed: what can be read decides, in read().
      if (r.status != io::IoStatus::kOk) {
        output_.clear();
        sent_ = 0;
        write_failed_ = true;
        return;
      }
      sent_ += r.bytes;
    }
    output_.clear();
    sent_ = 0;
  }

  void settle_later() {
    if (settling_) return;
    settling_ = true;
    loop_.defer([this, alive = alive_] {
      if (!*alive) return;
      settling_ = false;
      if (!transport_) return;
      flush();
      read();  // the edge that announced data, or the end, may have passed before there was a call
    });
  }

  void read() {
    thread_local std::string buffer(64 * 1024, '\0');
    while (transport_) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) {
        if (write_failed_) lost(transport_->error());
        return;
      }
      if (r.status == io::IoStatus::kEof) return on_eof();
      if (r.status != io::IoStatus::kOk) return lost(transport_->error());
      // A callback may run a nested client on this thread's buffer only through the loop, never inside.
      if (!parse({buffer.data(), r.bytes})) return;
    }
  }

  // False when the connection is over.
  bool parse(std::string_view bytes) {
    if (!call_) {
      close();  // bytes that answer nothing
      return false;
    }
    answered_any_ = true;
    while (transport_) {
      auto event = parser_.next(bytes);
      CallPtr call = call_;
      switch (event) {
        case H1Parser::Event::kNeedMore: return true;
        case H1Parser::Event::kHead:
          if (parser_.head().interim()) break;
          if (parser_.head().framing == BodyFraming::kTunnel && call->head.method != "CONNECT") {
            fail("the server switched protocols unasked");
            return false;
          }
          keep_ = keep_ && parser_.head().keep_alive;
          if (!call->over && call->callbacks.on_head) call->callbacks.on_head(to_response_head(parser_.head()));
          break;
        case H1Parser::Event::kData:
          if (!call->over && call->callbacks.on_data) call->callbacks.on_data(parser_.data());
          break;
        case H1Parser::Event::kEnd: {
          Headers trailers;
          for (const auto& f : parser_.trailers()) trailers.add(f.name, f.value);
          complete(std::move(trailers), bytes.empty());
          return transport_ != nullptr;
        }
        case H1Parser::Event::kError: fail(std::string(to_string(parser_.error()))); return false;
      }
    }
    return false;
  }

  // The answer is whole. The connection is offered to the pool before the caller hears of it, so that a request made
  // in the callback may use it.
  void complete(Headers trailers, bool clean) {
    CallPtr call = std::exchange(call_, nullptr);
    if (keep_ && clean && request_done_ && !write_failed_) {
      timer_.arm(idle_timeout_);
      reused_ = true;
      if (hooks_->idle) hooks_->idle(*this);
    } else {
      close();
    }
    call->end(std::move(trailers));
  }

  void on_eof() {
    if (call_ && parser_.finish() == H1Parser::Event::kEnd) {
      keep_ = false;
      return complete({}, true);
    }
    lost("connection closed by the server");
  }

  // By value: the text may belong to the transport that close() destroys.
  void lost(std::string why) {
    CallPtr call = std::exchange(call_, nullptr);
    bool stale = reused_ && !answered_any_;
    close();
    if (!call || call->over) return;
    // A kept-alive connection that the server closed while our request was on its way.
    if (stale && call->replayable() && call->idempotent() && call->attempts < 4 && hooks_->again) {
      call->connection = nullptr;
      return hooks_->again(*this, std::move(call));
    }
    call->end(base::fail(base::Code::kUnavailable, "{}{}", why, answered_any_ ? " inside the response" : " before the response"));
  }

  void fail(std::string why) {
    CallPtr call = std::exchange(call_, nullptr);
    close();
    if (call) call->end(base::fail(base::Code::kUnavailable, "bad response: {}", why));
  }

  io::Loop& loop_;
  std::unique_ptr<io::Transport> transport_;
  bool keep_;
  base::Nanos idle_timeout_;
  std::shared_ptr<PoolHooks> hooks_;
  H1Parser parser_;
  io::Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  CallPtr call_;
  std::string output_;
  size_t sent_ = 0;
  bool chunked_ = false, request_done_ = false, answered_any_ = false, reused_ = false, settling_ = false, write_failed_ = false;
};

}  // namespace

std::unique_ptr<ClientConnection> make_h1_client_connection(io::Loop& loop, std::unique_ptr<io::Transport> transport,
                                                            const ClientOptions& options, std::shared_ptr<PoolHooks> hooks) {
  return std::make_unique<H1ClientConnection>(loop, std::move(transport), options, std::move(hooks));
}

}  // namespace fairlead::http
