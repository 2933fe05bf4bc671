// Two connected transports without a kernel: for tests of everything above sockets.
#include <algorithm>

#include "io/transport.h"

namespace fairlead::io {
namespace {

// One direction of the pair.
struct Pipe {
  std::string bytes;
  bool closed = false;  // the writer ended
  bool reset = false;
};

class MemoryTransport final : public Transport {
 public:
  MemoryTransport(Loop& loop, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, size_t step, size_t capacity)
      : loop_(loop), in_(std::move(in)), out_(std::move(out)), step_(step), capacity_(capacity) {
    peer_ = local_ = *Address::parse_ip("127.0.0.1", 0);
  }
  ~MemoryTransport() override {
    close(false);
    *alive_ = false;
  }

  void connect_to(MemoryTransport& other) { other_ = &other; }

  IoResult read(std::span<char> into) override {
    if (!open_ || in_->reset) return broken();
    if (in_->bytes.empty()) {
      if (in_->closed) return {IoStatus::kEof};
      return {IoStatus::kAgain};
    }
    size_t n = std::min(into.size(), in_->bytes.size());
    if (step_) n = std::min(n, step_);
    bool was_full = in_->bytes.size() >= capacity_;
    std::copy_n(in_->bytes.begin(), n, into.begin());
    in_->bytes.erase(0, n);
    if (was_full && other_) other_->notify(false, true);
    return {IoStatus::kOk, n};
  }

  IoResult write(std::span<const iovec> from) override {
    if (!open_ || out_->reset || in_->reset) return broken();
    size_t room = capacity_ > out_->bytes.size() ? capacity_ - out_->bytes.size() : 0;
    if (step_) room = std::min(room, step_);
    size_t total = 0;
    for (const auto& v : from) {
      size_t n = std::min(room - total, v.iov_len);
      out_->bytes.append(static_cast<const char*>(v.iov_base), n);
      total += n;
      if (n < v.iov_len) break;
    }
    if (total == 0) return {IoStatus::kAgain};
    if (other_) other_->notify(true, false);
    return {IoStatus::kOk, total};
  }

  void shutdown_write() override {
    if (out_->closed) return;
    out_->closed = true;
    if (other_) other_->notify(true, false);
  }

  void close(bool reset) override {
    if (!open_) return;
    open_ = false;
    sink_ = nullptr;
    out_->closed = true;
    if (reset) out_->reset = true;
    if (other_) {
      other_->notify(true, true);
      other_->other_ = nullptr;
      other_ = nullptr;
    }
  }

  int fd() const override { return -1; }

 private:
  IoResult broken() {
    error_ = "Connection reset by peer";
    return {IoStatus::kError};
  }

  void notify(bool readable, bool writable) {
    if (readable) readable_ = true;
    if (writable) writable_ = true;
    if (pending_) return;
    pending_ = true;
    loop_.defer([this, alive = alive_] {
      if (!*alive) return;
      pending_ = false;
      bool r = std::exchange(readable_, false), w = std::exchange(writable_, false);
      if (sink_) sink_->on_ready(r, w);
    });
  }

  Loop& loop_;
  std::shared_ptr<Pipe> in_, out_;
  size_t step_, capacity_;
  MemoryTransport* other_ = nullptr;
  bool open_ = true, pending_ = false, readable_ = false, writable_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> make_memory_pair(Loop& loop, size_t step, size_t capacity) {
  auto there = std::make_shared<Pipe>(), back = std::make_shared<Pipe>();
  auto a = std::make_unique<MemoryTransport>(loop, back, there, step, capacity);
  auto b = std::make_unique<MemoryTransport>(loop, there, back, step, capacity);
  a->connect_to(*b);
  b->connect_to(*a);
  return {std::move(a), std::move(b)};
}

}  // namespace fairlead::io
