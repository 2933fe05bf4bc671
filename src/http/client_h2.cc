// A client's HTTP/2 connection: any number of calls.
#include <unordered_map>

#include "http/client_connection.h"
#include "http/h2_session.h"

namespace fairlead::http {
namespace {

constexpr auto kQuiet = std::chrono::seconds(60);
constexpr auto kPingTimeout = std::chrono::seconds(20);

class H2ClientConnection final : public ClientConnection, H2Sink {
 public:
  H2ClientConnection(io::Loop& loop, std::unique_ptr<io::Transport> transport, const ClientOptions& options, std::shared_ptr<PoolHooks> hooks)
      : loop_(loop), transport_(std::move(transport)), idle_timeout_(options.idle_timeout), hooks_(std::move(hooks)),
        session_(H2Session::Side::kClient, *this), timer_(loop, [this] { on_timer(); }) {
    transport_->set_sink(this);
  }
  ~H2ClientConnection() override { *alive_ = false; }

  void start(std::string_view first_bytes) override {
    first_ = first_bytes;
    timer_.arm(idle_timeout_);
    settle_later();
  }

  void submit(CallPtr call) override {
    if (calls_.empty()) {
      heard_ = true;
      timer_.arm(kQuiet);
    }
    bool end = !call->body_follows || (call->finished && call->body.empty());
    auto id = session_.request(call->head, end);
    if (!id) {
      leave();
      call->connection = nullptr;
      if (hooks_->again) hooks_->again(*this, std::move(call));
      return;
    }
    call->connection = this;
    call->stream = *id;
    ++call->attempts;
    if (!end) {
      session_.write(*id, call->body);
      if (call->finished) session_.finish(*id);
    }
    calls_[*id] = std::move(call);
    settle_later();
  }

  void write(PendingCall& call, std::string_view bytes) override {
    call.streamed = true;
    session_.write(call.stream, bytes);
    settle_later();
  }
  void finish(PendingCall& call) override {
    session_.finish(call.stream);
    settle_later();
  }
  void cancel(PendingCall& call) override {
    session_.reset(call.stream, H2Error::kCancel);
    calls_.erase(call.stream);
    became_idle();
    settle_later();
  }
  size_t pending_bytes(const PendingCall& call) const override { return session_.pending(call.stream); }
  bool multiplexed() const override { return true; }

  void close() override { close_because("connection closed"); }

  void on_ready(bool readable, bool writable) override {
    if (!transport_) return;
    busy_ = true;
    if (writable) write_blocked_ = false;
    if (readable) read();
    busy_ = false;
    settle();
  }

 private:
  // Idle: close. In use and quiet for long: a ping tells a silent server from one that has vanished without a word.
  void on_timer() {
    if (calls_.empty()) return close();
    if (!std::exchange(heard_, false)) {
      if (pinged_) return close_because("the server does not answer any more");
      pinged_ = true;
      session_.ping();
      settle_later();
      return timer_.arm(kPingTimeout);
    }
    pinged_ = false;
    timer_.arm(kQuiet);
  }

  void read() {
    thread_local std::string buffer(64 * 1024, '\0');
    if (!first_.empty()) {
      std::string first = std::exchange(first_, {});
      if (!session_.feed(first)) return close_because("malformed HTTP/2 from the server");
    }
    while (transport_) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status == io::IoStatus::kEof) return close_because("connection closed by the server");
      if (r.status != io::IoStatus::kOk) return close_because(transport_->error());
      heard_ = true;
      if (auto s = session_.feed({buffer.data(), r.bytes}); !s) return close_because(s.error().message);
    }
  }

  void settle() {
    if (!transport_ || busy_) return;
    busy_ = true;
    while (transport_ && !write_blocked_) {
      std::string& out = session_.output();
      if (out.empty()) break;
      size_t sent = 0;
      while (sent < out.size()) {
        io::IoResult r = transport_->write(std::string_view(out).substr(sent));
        if (r.status == io::IoStatus::kAgain) {
          write_blocked_ = true;
          break;
        }
        if (r.status != io::IoStatus::kOk) {
          busy_ = false;
          return close_because(transport_->error());
        }
        sent += r.bytes;
      }
      out.erase(0, sent);
    }
    busy_ = false;
    if (transport_ && session_.over()) close_because("connection ended by the server");
  }

  void settle_later() {
    if (busy_ || settling_) return;
    settling_ = true;
    loop_.defer([this, alive = alive_] {
      if (!*alive) return;
      settling_ = false;
      if (!transport_) return;
      if (!read_once_) {
        read_once_ = true;
        busy_ = true;
        read();
        busy_ = false;
      }
      settle();
    });
  }

  void leave() {
    if (std::exchange(left_, true)) return;
    if (hooks_->closing) hooks_->closing(*this);
  }

  void became_idle() {
    if (!calls_.empty()) return;
    // Not at once: this may be inside the session's own call.
    timer_.arm(left_ ? base::Nanos(0) : idle_timeout_);
  }

  void close_because(std::string_view why) {
    if (!transport_) return;
    timer_.cancel();
    std::string reason(why.empty() ? "connection broken" : why);
    transport_->close();
    transport_.reset();
    leave();
    auto calls = std::exchange(calls_, {});
    if (hooks_->gone) hooks_->gone(*this);
    for (auto& [id, call] : calls) call->end(base::fail(base::Code::kUnavailable, "{}", reason));
  }

  CallPtr find(H2Stream stream) const {
    auto it = calls_.find(stream);
    return it == calls_.end() ? nullptr : it->second;
  }

  // ---- H2Sink
  void on_response(H2Stream stream, ResponseHead head, bool) override {
    if (head.status < 200) return;
    if (auto call = find(stream); call && !call->over && call->callbacks.on_head) call->callbacks.on_head(head);
  }
  void on_data(H2Stream stream, std::string_view bytes) override {
    if (auto call = find(stream); call && !call->over && call->callbacks.on_data) call->callbacks.on_data(bytes);
    session_.consume(stream, bytes.size());
  }
  void on_trailers(H2Stream stream, Headers trailers) override { trailers_[stream] = std::move(trailers); }
  void on_end(H2Stream stream) override {
    auto node = trailers_.extract(stream);
    CallPtr call = find(stream);
    if (!call) return;
    calls_.erase(stream);
    // The answer is whole; a body still being sent has no reader any more.
    if ((call->body_follows && !call->finished) || session_.pending(stream) > 0) session_.reset(stream, H2Error::kNoError);
    became_idle();
    call->end(node ? std::move(node.mapped()) : Headers());
  }
  void on_drained(H2Stream) override {}
  void on_closed(H2Stream stream, H2Error error) override {
    trailers_.erase(stream);
    CallPtr call = find(stream);
    if (!call) return;
    calls_.erase(stream);
    became_idle();
    if (error == H2Error::kRefusedStream && call->replayable() && call->attempts < 4 && hooks_->again) {
      call->connection = nullptr;
      leave();
      return hooks_->again(*this, std::move(call));
    }
    call->end(base::fail(base::Code::kUnavailable, "stream reset by the server (HTTP/2 error {})", static_cast<uint32_t>(error)));
  }
  void on_goaway(H2Stream, H2Error) override {
    leave();
    became_idle();
  }

  io::Loop& loop_;
  std::unique_ptr<io::Transport> transport_;
  base::Nanos idle_timeout_;
  std::shared_ptr<PoolHooks> hooks_;
  H2Session session_;
  io::Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unordered_map<H2Stream, CallPtr> calls_;
  std::unordered_map<H2Stream, Headers> trailers_;
  std::string first_;
  bool busy_ = false, settling_ = false, write_blocked_ = false, read_once_ = false;
  bool heard_ = true, pinged_ = false;
  bool left_ = false;  // the pool gives us no more calls
};

}  // namespace

std::unique_ptr<ClientConnection> make_h2_client_connection(io::Loop& loop, std::unique_ptr<io::Transport> transport,
                                                            const ClientOptions& options, std::shared_ptr<PoolHooks> hooks) {
  return std::make_unique<H2ClientConnection>(loop, std::move(transport), options, std::move(hooks));
}

}  // namespace fairlead::http
