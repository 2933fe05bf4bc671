#include "sample/echo_server.h"

#include <array>
#include <list>

namespace fairlead::sample {

namespace {

constexpr size_t kMaxUnanswered = 1 << 20;

class Connection final : io::TransportSink {
 public:
  Connection(std::unique_ptr<io::Transport> transport, const EchoServer::Answer& answer, std::function<void()> gone)
      : transport_(std::move(transport)), answer_(answer), gone_(std::move(gone)) {
    transport_->set_sink(this);
  }
  void start() { on_ready(true, true); }

 private:
  void on_ready(bool, bool) override {
    if (!flush()) return;
    std::array<char, 16384> buffer;
    // Reading waits while answers wait: the peer that does not read is not read from.
    while (out_.empty() && !ended_) {
      auto got = transport_->read(buffer);
      if (got.status == io::IoStatus::kAgain) return;
      if (got.status == io::IoStatus::kError) return leave();
      if (got.status == io::IoStatus::kEof) ended_ = true;
      else in_.append(buffer.data(), got.bytes);
      out_ += answer_(in_);
      if (in_.size() > kMaxUnanswered) return leave();
      if (!flush()) return;
    }
    if (ended_ && out_.empty()) leave();
  }

  void leave() {
    transport_->set_sink(nullptr);  // no event may find this object while it waits for its disposal
    gone_();
  }

  // False when the connection is gone.
  bool flush() {
    while (!out_.empty()) {
      auto put = transport_->write(out_);
      if (put.status == io::IoStatus::kAgain) break;
      if (put.status != io::IoStatus::kOk) {
        leave();
        return false;
      }
      out_.erase(0, put.bytes);
    }
    return true;
  }

  std::unique_ptr<io::Transport> transport_;
  const EchoServer::Answer& answer_;
  std::function<void()> gone_;  // disposes of this object after the current round
  std::string in_, out_;
  bool ended_ = false;
};

}  // namespace

struct EchoServer::Core {
  Core(Service& s, Answer a) : service(s), answer(std::move(a)) {}
  Service& service;
  Answer answer;
  std::list<std::unique_ptr<Connection>> connections;
  std::list<io::Acceptor> acceptors;
};

EchoServer::EchoServer(Service& service, Answer answer) : core_(std::make_unique<Core>(service, std::move(answer))) {}
EchoServer::~EchoServer() = default;

base::Status EchoServer::listen(const Listen& at) {
  auto fd = open_listener(at);
  if (!fd) return std::unexpected(fd.error());
  core_->acceptors.emplace_back(core_->service.loop(), std::move(*fd), [core = core_.get()](io::Fd socket, const io::Address&) {
    auto& loop = core->service.loop();
    auto place = core->connections.emplace(core->connections.end());
    *place = std::make_unique<Connection>(io::make_socket_transport(loop, std::move(socket)), core->answer, [core, &loop, place] {
      loop.dispose(std::move(*place));
      core->connections.erase(place);
    });
    (*place)->start();
  });
  return {};
}

}  // namespace fairlead::sample
