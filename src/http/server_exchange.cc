#include "http/server_exchange.h"

namespace fairlead::http {

void ServerExchange::read_body(size_t max_bytes, std::function<void(std::string)> done) {
  if (!port_ || take_ != Take::kBuffer) return;
  take_ = Take::kCollect;
  max_body_bytes_ = max_bytes;
  on_body_ = std::move(done);
  port_->body_wanted(*this);
  if (!body_.empty() || body_ended_) deliver_later();
}

void ServerExchange::stream_body(std::function<void(std::string_view)> on_data, std::function<void()> on_end) {
  if (!port_ || take_ != Take::kBuffer) return;
  take_ = Take::kStream;
  on_data_ = std::move(on_data);
  on_end_ = std::move(on_end);
  port_->body_wanted(*this);
  if (!body_.empty() || body_ended_) deliver_later();
}

void ServerExchange::deliver_later() {
  if (delivery_pending_) return;
  delivery_pending_ = true;
  loop_.defer([self = shared_from_this()] {
    self->delivery_pending_ = false;
    self->deliver();
  });
}

void ServerExchange::body_data(std::string_view bytes) {
  if (!port_) return;
  if (take_ == Take::kStream && !delivery_pending_ && body_.empty()) {
    if (on_data_) on_data_(bytes);
    if (port_) port_->body_consumed(*this, bytes.size());
    return;
  }
  body_ += bytes;
  if (take_ != Take::kBuffer && !delivery_pending_) deliver();
}

void ServerExchange::body_end() {
  body_ended_ = true;
  if (take_ != Take::kBuffer && !delivery_pending_) deliver();
}

// Hands over what is buffered, and the end.
void ServerExchange::deliver() {
  if (!port_ || refused_ || end_told_) return;
  if (take_ == Take::kCollect) {
    if (body_.size() > max_body_bytes_) {
      refused_ = true;
      body_ = {};
      Headers headers;
      headers.add("content-type", "text/plain");
      headers.add("connection", "close");
      respond(413, std::move(headers), fmt::format("request body is over the limit of {} bytes\n", max_body_bytes_));
      return;
    }
    // What is collected counts as consumed: the limit above bounds it, not the window.
    if (size_t fresh = body_.size() - collected_bytes_; fresh > 0) {
      collected_bytes_ = body_.size();
      port_->body_consumed(*this, fresh);
    }
    if (!body_ended_) return;
    end_told_ = true;
    auto done = std::move(on_body_);
    if (done) done(std::move(body_));
    return;
  }
  if (!body_.empty()) {
    std::string bytes = std::exchange(body_, {});
    if (on_data_) on_data_(bytes);
    if (port_) port_->body_consumed(*this, bytes.size());
  }
  if (body_ended_ && port_ && !end_told_) {
    end_told_ = true;
    if (on_end_) on_end_();
  }
}

void ServerExchange::respond(int status, Headers headers, std::string_view body) {
  if (!port_ || state_ != State::kWaiting) return;
  state_ = State::kFinished;
  drop_unread_body();
  port_->send_whole(*this, status, std::move(headers), body);
}

// Answered without a look at the body: what is buffered must not hold up the rest, which is discarded.
void ServerExchange::drop_unread_body() {
  if (take_ != Take::kBuffer || body_.empty()) return;
  size_t bytes = std::exchange(body_, {}).size();
  port_->body_consumed(*this, bytes);
}

void ServerExchange::start(int status, Headers headers) {
  if (!port_ || state_ != State::kWaiting) return;
  state_ = State::kStreaming;
  port_->send_head(*this, status, std::move(headers));
}

void ServerExchange::write(std::string_view bytes) {
  if (!port_ || state_ != State::kStreaming || bytes.empty()) return;
  port_->send_data(*this, bytes);
}

void ServerExchange::finish(Headers trailers) {
  if (!port_ || state_ != State::kStreaming) return;
  state_ = State::kFinished;
  drop_unread_body();
  port_->send_end(*this, trailers);
}

void ServerExchange::abort() {
  if (port_) port_->cut(*this);
}

void ServerExchange::on_close(std::function<void(bool)> callback) {
  if (port_) {
    on_close_ = std::move(callback);
  } else if (callback) {
    loop_.defer([callback = std::move(callback), ok = closed_ok_] { callback(ok); });
  }
}

void ServerExchange::drained() {
  if (!on_drain_) return;
  auto callback = on_drain_;  // it may set another
  callback();
}

void ServerExchange::detach(bool ok) {
  if (!port_) return;
  port_ = nullptr;
  closed_ok_ = ok;
  // The callbacks may hold the exchange itself, and one of them may be running now: they end in the loop.
  loop_.defer([self = shared_from_this(), ok] {
    self->on_body_ = nullptr;
    self->on_data_ = nullptr;
    self->on_end_ = nullptr;
    self->on_drain_ = nullptr;
    if (auto callback = std::exchange(self->on_close_, nullptr)) callback(ok);
  });
}

std::unique_ptr<io::Transport> ServerExchange::upgrade(Headers headers, std::string& rest) {
  if (!port_ || state_ != State::kWaiting) return nullptr;
  auto transport = port_->upgrade(*this, std::move(headers), rest);
  if (transport) {
    state_ = State::kFinished;
    detach(true);
  }
  return transport;
}

}  // namespace fairlead::http
