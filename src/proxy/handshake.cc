#include "proxy/handshake.h"

#include "io/tls.h"

namespace fairlead::proxy {

Handshake::Handshake(io::Loop& loop, std::unique_ptr<io::Transport> transport, base::Nanos timeout, Done done)
    : transport_(std::move(transport)), timeout_(timeout), timer_(loop, [this] { end("TLS handshake timeout"); }), done_(std::move(done)) {}

Handshake::~Handshake() = default;

void Handshake::start() {
  transport_->set_sink(this);
  if (timeout_ > base::Nanos(0)) timer_.arm(timeout_);
  on_ready(true, true);
}

void Handshake::hurry(base::Nanos most) {
  if (!transport_ || (timeout_ > base::Nanos(0) && timeout_ <= most)) return;
  timeout_ = most;
  timer_.arm(most);
}

void Handshake::on_ready(bool, bool) {
  if (!transport_) return;
  switch (io::drive_handshake(*transport_)) {
    case io::IoStatus::kAgain:
      return;
    case io::IoStatus::kOk:
      return end({});
    default:
      return end(transport_->error().empty() ? "connection closed during the TLS handshake" : transport_->error());
  }
}

void Handshake::end(const std::string& error) {
  if (!transport_) return;
  timer_.cancel();
  transport_->set_sink(nullptr);
  std::string text = error;
  done_(std::move(transport_), text);
}

}  // namespace fairlead::proxy
