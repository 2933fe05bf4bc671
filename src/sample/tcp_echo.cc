#include <array>
#include <list>

#include "sample/helloworld.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

constexpr size_t kMaxLine = 1 << 20;

class Connection final : io::TransportSink {
 public:
  Connection(std::unique_ptr<io::Transport> transport, const std::string& word, std::function<void()> gone)
      : transport_(std::move(transport)), word_(word), gone_(std::move(gone)) {
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
      answer_lines();
      if (in_.size() > kMaxLine) return leave();
      if (!flush()) return;
    }
    if (ended_ && out_.empty()) leave();
  }

  void leave() {
    transport_->set_sink(nullptr);  // no event may find this object while it waits for its disposal
    gone_();
  }

  void answer_lines() {
    for (size_t end; (end = in_.find('\n')) != std::string::npos; in_.erase(0, end + 1)) {
      std::string line = in_.substr(0, end + 1);
      fmt::print(stdout, "request: {}response: {} {}", line, word_, line);
      out_ += word_ + " " + line;
    }
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
  const std::string& word_;
  std::function<void()> gone_;  // disposes of this object after the current round
  std::string in_, out_;
  bool ended_ = false;
};

}  // namespace

int tcp_echo_main(const std::vector<uint16_t>& ports, const std::string& word) {
  Service service;
  std::list<std::unique_ptr<Connection>> connections;
  std::list<io::Acceptor> acceptors;
  for (uint16_t port : ports) {
    auto fd = open_listener({"", port});
    if (!fd) {
      fmt::print(stderr, "failed to create listener, err: {}\n", fd.error().text());
      return 1;
    }
    fmt::print(stdout, "listening on [::]:{}, prefix: {}\n", port, word);
    acceptors.emplace_back(service.loop(), std::move(*fd), [&](io::Fd connection, const io::Address&) {
      auto place = connections.emplace(connections.end());
      *place = std::make_unique<Connection>(io::make_socket_transport(service.loop(), std::move(connection)), word,
                                            [&service, &connections, place] {
                                              if (!*place) return;
                                              service.loop().dispose(std::move(*place));
                                              connections.erase(place);
                                            });
      (*place)->start();
    });
  }
  int code = service.run_loop();
  acceptors.clear();
  connections.clear();
  return code;
}

}  // namespace fairlead::sample
