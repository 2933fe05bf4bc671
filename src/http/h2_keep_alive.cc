#include "http/h2_keep_alive.h"

namespace fairlead::http {

H2KeepAlive::H2KeepAlive(io::Loop& loop, const H2KeepAliveOptions& options, uint64_t random, std::function<void()> ping, std::function<void()> gone)
    : loop_(loop), options_(options), random_(random), ping_(std::move(ping)), heard_(loop.now()), interval_(loop, [this] { send(); }), timeout_(loop, std::move(gone)) {
  next();
}

void H2KeepAlive::on_bytes() {
  heard_ = loop_.now();
  if (timeout_.armed()) timeout_.arm(options_.timeout);
}

void H2KeepAlive::on_answer() {
  timeout_.cancel();
  next();
}

void H2KeepAlive::before_stream() {
  if (options_.idle.count() > 0 && loop_.now() - heard_ > options_.idle) send();
}

void H2KeepAlive::stop() {
  interval_.cancel();
  timeout_.cancel();
}

void H2KeepAlive::send() {
  if (timeout_.armed()) return;  // one is on its way
  timeout_.arm(options_.timeout);
  ping_();
}

void H2KeepAlive::next() {
  if (options_.interval.count() <= 0) return;
  auto most = static_cast<uint64_t>(static_cast<double>(options_.interval.count()) * options_.jitter_percent / 100);
  random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  interval_.arm(options_.interval + base::Nanos(most ? static_cast<int64_t>((random_ >> 20) % most) : 0));
}

}  // namespace fairlead::http
