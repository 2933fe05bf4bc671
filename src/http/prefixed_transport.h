// A transport that first writes what its former owner could not write any more (the 101 of an upgrade).
#pragma once

#include <memory>
#include <string>

#include "io/transport.h"

namespace fairlead::http {

class PrefixedTransport final : public io::Transport, io::TransportSink {
 public:
  PrefixedTransport(std::unique_ptr<io::Transport> inner, std::string prefix) : inner_(std::move(inner)), prefix_(std::move(prefix)) {
    peer_ = inner_->peer();
    local_ = inner_->local();
    inner_->set_sink(this);
  }
  io::IoResult read(std::span<char> into) override { return inner_->read(into); }
  io::IoResult write(std::span<const iovec> from) override {
    if (io::IoStatus s = flush(); s != io::IoStatus::kOk) return {s};
    return inner_->write(from);
  }
  void shutdown_write() override {
    if (flush() == io::IoStatus::kOk) inner_->shutdown_write();
    else shutdown_later_ = true;
  }
  void close(bool reset) override {
    sink_ = nullptr;
    flush();
    inner_->close(reset);
  }
  int fd() const override { return inner_->fd(); }
  std::string_view alpn() const override { return inner_->alpn(); }
  std::string_view sni() const override { return inner_->sni(); }
  std::string peer_certificate_pem() const override { return inner_->peer_certificate_pem(); }
  bool secure() const override { return inner_->secure(); }

 private:
  io::IoStatus flush() {
    while (!prefix_.empty()) {
      io::IoResult r = inner_->write(prefix_);
      if (r.status != io::IoStatus::kOk) {
        if (r.status == io::IoStatus::kError) error_ = inner_->error();
        return r.status;
      }
      prefix_.erase(0, r.bytes);
    }
    if (std::exchange(shutdown_later_, false)) inner_->shutdown_write();
    return io::IoStatus::kOk;
  }
  void on_ready(bool readable, bool writable) override {
    if (writable) writable = flush() != io::IoStatus::kAgain;
    if (sink_ && (readable || writable)) sink_->on_ready(readable, writable);
  }

  std::unique_ptr<io::Transport> inner_;
  std::string prefix_;
  bool shutdown_later_ = false;
};

}  // namespace fairlead::http
