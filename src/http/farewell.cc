#include "http/farewell.h"

namespace fairlead::http {
namespace {

constexpr auto kPatience = std::chrono::seconds(3);

class Farewell final : public io::TransportSink, public std::enable_shared_from_this<Farewell> {
 public:
  Farewell(io::Loop& loop, std::unique_ptr<io::Transport> transport, std::string unsent)
      : loop_(loop), transport_(std::move(transport)), unsent_(std::move(unsent)) {
    transport_->set_sink(this);
  }

  void begin() {
    watch();
    loop_.defer([self = shared_from_this()] { self->on_ready(true, true); });
  }

 private:
  // The pending task is what keeps this alive.
  void watch() {
    loop_.after(kPatience, [self = shared_from_this()] {
      if (!self->transport_) return;
      if (std::exchange(self->progress_, false)) return self->watch();
      self->transport_->close();
      self->transport_.reset();
    });
  }

  void on_ready(bool, bool) override {
    if (!transport_) return;
    while (!unsent_.empty()) {
      io::IoResult r = transport_->write(unsent_);
      if (r.status == io::IoStatus::kAgain) break;
      if (r.status != io::IoStatus::kOk) return end();
      unsent_.erase(0, r.bytes);
      progress_ = true;
    }
    if (unsent_.empty() && !std::exchange(shut_, true)) transport_->shutdown_write();
    char buffer[16384];
    while (true) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return end();
    }
  }

  void end() {
    transport_->set_sink(nullptr);
    loop_.dispose(std::move(transport_));
  }

  io::Loop& loop_;
  std::unique_ptr<io::Transport> transport_;
  std::string unsent_;
  bool shut_ = false, progress_ = false;
};

}  // namespace

void close_gracefully(io::Loop& loop, std::unique_ptr<io::Transport> transport, std::string unsent) {
  std::make_shared<Farewell>(loop, std::move(transport), std::move(unsent))->begin();
}

}  // namespace fairlead::http
