// The server's Exchange: everything about a request and its answer that does not depend on the protocol version.
//
// Internal to http/. Owned by its connection while it lasts and by whoever answers it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/server.h"

namespace fairlead::http {

class ServerExchange;

// What an exchange asks of its connection. After detach() no call is made any more.
class ExchangePort {
 public:
  virtual void send_whole(ServerExchange& exchange, int status, Headers headers, std::string_view body) = 0;
  virtual void send_head(ServerExchange& exchange, int status, Headers headers) = 0;
  virtual void send_data(ServerExchange& exchange, std::string_view bytes) = 0;
  virtual void send_end(ServerExchange& exchange, const Headers& trailers) = 0;
  virtual void cut(ServerExchange& exchange) = 0;
  virtual void body_wanted(ServerExchange& exchange) = 0;             // now is the time for 100-continue
  virtual void body_consumed(ServerExchange& exchange, size_t bytes) = 0;
  virtual size_t pending_bytes(const ServerExchange& exchange) const = 0;
  virtual std::string peer_certificate_pem() const = 0;
  virtual std::unique_ptr<io::Transport> upgrade(ServerExchange& exchange, Headers headers, std::string& rest) = 0;

 protected:
  ~ExchangePort() = default;
};

class ServerExchange final : public Exchange, public std::enable_shared_from_this<ServerExchange> {
 public:
  ServerExchange(io::Loop& loop, ExchangePort& port, int32_t id, RequestHead request, const io::Address& peer, const io::Address& local)
      : loop_(loop), port_(&port), id_(id), request_(std::move(request)), peer_(peer), local_(local) {}

  const RequestHead& request() const override { return request_; }
  const io::Address& peer() const override { return peer_; }
  const io::Address& local() const override { return local_; }
  std::string peer_certificate_pem() const override { return port_ ? port_->peer_certificate_pem() : std::string(); }
  void read_body(size_t max_bytes, std::function<void(std::string)> done) override;
  void stream_body(std::function<void(std::string_view)> on_data, std::function<void()> on_end) override;
  using Exchange::respond;
  void respond(int status, Headers headers, std::string_view body) override;
  void start(int status, Headers headers) override;
  void write(std::string_view bytes) override;
  void finish(Headers trailers) override;
  void abort() override;
  size_t pending_bytes() const override { return port_ ? port_->pending_bytes(*this) : 0; }
  void on_drain(std::function<void()> callback) override { on_drain_ = std::move(callback); }
  void on_close(std::function<void(bool)> callback) override;
  bool closed() const override { return !port_; }
  std::unique_ptr<io::Transport> upgrade(Headers headers, std::string& rest) override;

  // --- for the connection
  int32_t id() const { return id_; }
  void body_data(std::string_view bytes);
  void body_end();
  void drained();
  // The exchange is over: callbacks go, on_close runs from the loop.
  void detach(bool ok);
  bool started() const { return state_ != State::kWaiting; }
  bool finished() const { return state_ == State::kFinished; }
  size_t buffered() const { return body_.size(); }
  bool body_ended() const { return body_ended_; }

 private:
  // kWaiting -> kStreaming -> kFinished; respond() goes from kWaiting to kFinished.
  enum class State : uint8_t { kWaiting, kStreaming, kFinished };
  // How the body is taken. kBuffer: nobody asked yet.
  enum class Take : uint8_t { kBuffer, kCollect, kStream };
  void deliver_later();
  void deliver();
  void drop_unread_body();

  io::Loop& loop_;
  ExchangePort* port_;
  int32_t id_;
  State state_ = State::kWaiting;
  Take take_ = Take::kBuffer;
  bool body_ended_ = false;
  bool end_told_ = false;
  bool delivery_pending_ = false;
  bool refused_ = false;        // 413 was answered
  bool closed_ok_ = false;
  size_t max_body_bytes_ = 0;
  size_t collected_bytes_ = 0;  // of body_, already acknowledged
  RequestHead request_;
  io::Address peer_, local_;
  std::string body_;
  std::function<void(std::string)> on_body_;
  std::function<void(std::string_view)> on_data_;
  std::function<void()> on_end_;
  std::function<void()> on_drain_;
  std::function<void(bool)> on_close_;
};

}  // namespace fairlead::http
