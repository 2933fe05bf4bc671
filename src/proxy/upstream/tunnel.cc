#include "proxy/upstream/tunnel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace fairlead::proxy {

bool Tunnel::open(HostPool& pool) {
  pool_ = &pool;
  bool overflow = false;
  UpstreamStream* stream = pool.request(*this, *this, false, overflow);
  if (overflow) return false;
  if (stream) on_stream(*stream);
  return true;
}

void Tunnel::on_stream(UpstreamStream& stream) {
  stream_ = &stream;
  tls_ = stream.tls();
  if (auto local = io::Address::parse(stream.facts().local)) local_ = *local;
  peer_ = pool_->host()->address;
  stream_->send_head(request_, false);
}

void Tunnel::refused(std::string why) {
  failure_ = std::move(why);
  answer_();
}

void Tunnel::on_stream_failure(ResetReason reason, std::string_view detail) { refused(std::string(detail.empty() ? reset_text(reason) : detail)); }

void Tunnel::on_response(ResponseHeaders& head, bool) {
  // HTTP/2 knows 200 alone as agreement, as in Envoy.
  bool agreed = pool_->http2() ? head.status == 200 : head.status / 100 == 2;
  if (!agreed) {
    std::exchange(stream_, nullptr)->cancel();
    return refused(fmt::format("the tunnel was answered with {}", head.status));
  }
  ready_ = true;
  answer_();
}

void Tunnel::on_response_data(std::string_view bytes) {
  in_.append(bytes);
  if (in_.size() - taken_ > most_ && !std::exchange(paused_, true)) stream_->pause();
  wake(true, false);
}

void Tunnel::on_response_end(const HeaderMap*) {
  stream_ = nullptr;
  ended_ = true;
  wake(true, false);
}

void Tunnel::on_reset(ResetReason reason, std::string_view detail, bool) {
  stream_ = nullptr;
  broken_ = true;
  error_ = detail.empty() ? reset_text(reason) : detail;
  if (ready_) wake(true, false);
  else refused(error_);
}

void Tunnel::on_upstream_drained() { wake(false, true); }

void Tunnel::wake(bool readable, bool writable) {
  if (sink_) sink_->on_ready(readable, writable);
}

io::IoResult Tunnel::read(std::span<char> into) {
  size_t waiting = in_.size() - taken_;
  if (waiting == 0) return {broken_ ? io::IoStatus::kError : ended_ ? io::IoStatus::kEof : io::IoStatus::kAgain};
  size_t n = std::min(waiting, into.size());
  std::memcpy(into.data(), in_.data() + taken_, n);
  taken_ += n;
  if (taken_ == in_.size()) in_.clear(), taken_ = 0;
  if (paused_ && in_.size() - taken_ <= most_ / 2) {
    paused_ = false;
    if (stream_) stream_->resume();
  }
  return {io::IoStatus::kOk, n};
}

io::IoResult Tunnel::write(std::span<const iovec> from) {
  if (!stream_) return {io::IoStatus::kError};
  if (stream_->pending() > most_) return {io::IoStatus::kAgain};  // on_upstream_drained follows
  size_t n = 0;
  for (const iovec& v : from) {
    if (stream_) stream_->send_data({static_cast<const char*>(v.iov_base), v.iov_len});
    n += v.iov_len;
  }
  return {io::IoStatus::kOk, n};
}

void Tunnel::shutdown_write() {
  if (stream_) stream_->send_end(nullptr);
}

void Tunnel::close(bool) {
  sink_ = nullptr;
  if (waiting_in_) waiting_in_->cancel(*this);
  if (stream_) std::exchange(stream_, nullptr)->cancel();
}

}  // namespace fairlead::proxy
