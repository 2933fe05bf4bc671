// A copy of a request on its way to another cluster, whose answer nobody reads (Envoy: RouteAction.request_mirror_policies).
//
// The copy is sent as the request comes. A mirror may hold back its request for a moment (pending() is what waits), never for
// long: one that takes nothing for half a second is given up and counted (retry_or_shadow_abandoned), so that what happens in
// the mirrored cluster does not decide about real traffic.
//
// Worker thread only. The Worker owns it, from start() to its end; the Exchange borrows it while its request is incomplete.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "io/loop.h"
#include "proxy/headers.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {

struct Mirror;
class MirrorStream;

// Who sends the request that is copied.
class MirrorOwner {
 public:
  virtual void on_mirror_drained() = 0;             // pending() fell
  virtual void on_mirror_gone(MirrorStream& mirror) = 0;  // it ended early; not to be used any more

 protected:
  ~MirrorOwner() = default;
};

class MirrorStream final : UpstreamSink, StreamWaiter {
 public:
  MirrorStream(Worker& worker, Cluster& cluster) : worker_(worker), cluster_(cluster) {}
  ~MirrorStream();
  // The request's head goes out, or waits for a connection. timeout: from the request's end, 0 for none. owner: nullptr
  // when the request has no body. False: there was no host or no room, and the mirror is gone.
  bool start(const RequestHeaders& head, const Mirror& how, bool end, base::Nanos timeout, MirrorOwner* owner);
  void send_data(std::string_view bytes);
  void send_end(const HeaderMap* trailers);         // the owner is done with it; the mirror lives on until its answer came
  void abandon();                                   // the request broke off
  size_t pending() const { return stream_ ? stream_->pending() : body_.size(); }
  size_t watermark() const { return cluster_.config().watermark_bytes; }  // pending() over this holds the request back

  size_t index = 0;                                 // in the worker's list

 private:
  void on_stream(UpstreamStream& stream) override;
  void on_stream_failure(ResetReason, std::string_view) override;
  void on_response(ResponseHeaders& head, bool end) override;
  void on_response_data(std::string_view) override {}
  void on_response_end(const HeaderMap*) override;
  void on_reset(ResetReason, std::string_view, bool reused) override;
  void on_upstream_drained() override;
  void watch();                                     // is it too slow?
  void complete();
  void gone();

  Worker& worker_;
  Cluster& cluster_;
  MirrorOwner* owner_ = nullptr;
  RequestHeaders request_;
  std::string body_;                                // waits for a stream
  HeaderMap trailers_;
  bool with_trailers_ = false, complete_ = false, gone_ = false;
  Host* host_ = nullptr;
  UpstreamStream* stream_ = nullptr;
  Permit permit_ = Permit::kRefused;
  base::Nanos timeout_{0};
  std::optional<io::Timer> timer_;                  // of the answer, or of patience with the mirror
};

}  // namespace fairlead::proxy
