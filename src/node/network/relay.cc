#include "node/network/relay.h"

#include <array>

namespace fairlead::node {

// One direction: reads from `from` until its buffer is full, writes to `to`. A full buffer is the back-pressure.
class RelaySet::Relay {
 public:
  Relay(RelaySet& set, std::unique_ptr<io::Transport> a, std::unique_ptr<io::Transport> b)
      : set_(set), ends_{End{*this, std::move(a)}, End{*this, std::move(b)}} {
    for (auto& e : ends_) e.transport->set_sink(&e);
  }
  void start() { move_both(); }

 private:
  struct End final : io::TransportSink {
    End(Relay& r, std::unique_ptr<io::Transport> t) : relay(&r), transport(std::move(t)) {}
    void on_ready(bool, bool) override { relay->move_both(); }
    Relay* relay;
    std::unique_ptr<io::Transport> transport;
  };
  static constexpr size_t kBufferBytes = 64 * 1024;
  struct Direction {
    std::unique_ptr<char[]> buffer;  // only while bytes wait: an idle connection costs none
    size_t begin = 0, end = 0;
    bool eof = false, done = false;
  };

  void move_both() {
    if (over_) return;
    if (!move(0) || !move(1)) return finish(true);
    if (directions_[0].done && directions_[1].done) finish(false);
  }

  // False when the connection broke.
  bool move(int i) {
    Direction& d = directions_[i];
    io::Transport& from = *ends_[i].transport;
    io::Transport& to = *ends_[1 - i].transport;
    static thread_local std::array<char, kBufferBytes> scratch;
    while (!d.done) {
      while (d.begin < d.end) {
        io::IoResult w = to.write(std::string_view(d.buffer.get() + d.begin, d.end - d.begin));
        if (w.status == io::IoStatus::kAgain) return true;
        if (w.status != io::IoStatus::kOk) return false;
        d.begin += w.bytes;
      }
      d.buffer.reset();
      if (d.eof) {
        to.shutdown_write();
        d.done = true;
        return true;
      }
      io::IoResult r = from.read(std::span<char>(scratch));
      if (r.status == io::IoStatus::kAgain) return true;
      if (r.status == io::IoStatus::kError) return false;
      if (r.status == io::IoStatus::kEof) {
        d.eof = true;
        continue;
      }
      size_t sent = 0;
      while (sent < r.bytes) {
        io::IoResult w = to.write(std::string_view(scratch.data() + sent, r.bytes - sent));
        if (w.status == io::IoStatus::kAgain) break;
        if (w.status != io::IoStatus::kOk) return false;
        sent += w.bytes;
      }
      if (sent < r.bytes) {
        d.buffer = std::make_unique<char[]>(r.bytes - sent);
        std::copy(scratch.data() + sent, scratch.data() + r.bytes, d.buffer.get());
        d.begin = 0;
        d.end = r.bytes - sent;
        return true;
      }
    }
    return true;
  }

  void finish(bool reset) {
    over_ = true;
    for (auto& e : ends_) {
      e.transport->set_sink(nullptr);
      e.transport->close(reset);
    }
    auto it = set_.relays_.find(this);
    if (it == set_.relays_.end()) return;
    auto self = std::move(it->second);
    set_.relays_.erase(it);
    set_.loop_.dispose(std::move(self));
  }

  RelaySet& set_;
  End ends_[2];
  Direction directions_[2];  // from ends_[i] to ends_[1 - i]
  bool over_ = false;
};

RelaySet::RelaySet(io::Loop& loop) : loop_(loop) {}
RelaySet::~RelaySet() = default;

void RelaySet::add(std::unique_ptr<io::Transport> a, std::unique_ptr<io::Transport> b) {
  auto relay = std::make_unique<Relay>(*this, std::move(a), std::move(b));
  Relay* r = relay.get();
  relays_[r] = std::move(relay);
  r->start();
}

}  // namespace fairlead::node
