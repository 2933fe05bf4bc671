#include "io/happy_eyeballs.h"

#include <algorithm>

namespace fairlead::io {
namespace {

class Race final : public Connecting {
 public:
  Race(Loop& loop, std::vector<Address> addresses, base::Nanos head_start, ConnectOne connect, ConnectCallback done)
      : loop_(loop), addresses_(std::move(addresses)), head_start_(head_start), connect_(std::move(connect)), done_(std::move(done)),
        timer_(loop, [this] { next(); }) {
    next();
  }

 private:
  void next() {
    size_t i = attempts_.size();
    attempts_.push_back(connect_(addresses_[i], [this, i](base::Result<std::unique_ptr<Transport>> result) { ended(i, std::move(result)); }));
    if (attempts_.size() < addresses_.size()) timer_.arm(head_start_);
  }

  void ended(size_t i, base::Result<std::unique_ptr<Transport>> result) {
    loop_.dispose(std::move(attempts_[i]));  // it is what calls us
    timer_.cancel();
    if (!result) {
      if (attempts_.size() < addresses_.size()) return next();
      if (std::ranges::any_of(attempts_, [](const auto& other) { return other != nullptr; })) return;
    }
    for (auto& other : attempts_) loop_.dispose(std::move(other));
    ConnectCallback done = std::move(done_);  // it may drop us
    done(std::move(result));
  }

  Loop& loop_;
  const std::vector<Address> addresses_;
  const base::Nanos head_start_;
  ConnectOne connect_;
  ConnectCallback done_;
  std::vector<std::unique_ptr<Connecting>> attempts_;  // by address; nullptr: ended
  Timer timer_;
};

}  // namespace

std::unique_ptr<Connecting> connect_any(Loop& loop, std::vector<Address> addresses, base::Nanos head_start, ConnectOne connect, ConnectCallback done) {
  return std::make_unique<Race>(loop, std::move(addresses), head_start, std::move(connect), std::move(done));
}

std::unique_ptr<Connecting> connect_any(Loop& loop, const Address& first, std::span<const Address> more, const ConnectOptions& options, ConnectCallback done) {
  if (more.empty()) return connect(loop, first, options, std::move(done));
  std::vector<Address> all{first};
  all.insert(all.end(), more.begin(), more.end());
  return connect_any(loop, std::move(all), kHeadStart,
                     [&loop, options](const Address& to, ConnectCallback one) { return connect(loop, to, options, std::move(one)); }, std::move(done));
}

}  // namespace fairlead::io
