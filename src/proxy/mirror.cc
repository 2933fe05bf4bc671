#include "proxy/mirror.h"

#include <fmt/format.h>

#include "proxy/upstream/tls_dial.h"
#include "proxy/worker.h"

namespace fairlead::proxy {

namespace {
constexpr base::Nanos kPatience = std::chrono::milliseconds(500);

std::string mirrored_host(std::string_view authority) {
  std::string host(authority);
  size_t colon = host.rfind(':');
  if (colon != std::string::npos && host.find(']', colon) != std::string::npos) colon = std::string::npos;  // of an IPv6 address
  host.insert(colon == std::string::npos ? host.size() : colon, "-shadow");
  return host;
}
}  // namespace

MirrorStream::~MirrorStream() = default;

bool MirrorStream::start(const RequestHeaders& head, const Mirror& how, bool end, base::Nanos timeout, MirrorOwner* owner) {
  request_.method = request_.fields.store(head.method);
  request_.target = request_.fields.store(head.target);
  request_.authority = how.keep_host ? request_.fields.store(head.authority) : request_.fields.store(mirrored_host(head.authority));
  request_.scheme = request_.fields.store(head.scheme);
  request_.version = head.version;
  for (const HeaderMap::Field& f : head.fields) request_.fields.add_copy(f.name, f.value);
  // Said by this proxy on its own account, as Envoy's are.
  request_.fields.set("x-envoy-internal", "true");
  std::string_view clients = request_.fields.get("x-forwarded-for");
  request_.fields.set("x-forwarded-for", fmt::format("{}{}{}", clients, clients.empty() ? "" : ",", worker_.options().own_ip));
  timeout_ = timeout;

  host_ = cluster_.pick(std::nullopt, nullptr, nullptr, 1);
  if (!host_) return gone(), false;
  permit_ = cluster_.take(Resource::kRequest, false);
  if (permit_ == Permit::kRefused) {
    ++cluster_.stats.upstream_rq_pending_overflow;
    return gone(), false;
  }
  std::string_view name = cluster_.config().auto_sni ? server_name_of(request_.authority) : std::string_view();
  bool overflow = false;
  if (end) complete();
  HostPool& pool = cluster_.pool(*host_, cluster_.protocol_for(head.version), name);
  UpstreamStream* stream = pool.request(*this, *this, false, overflow);
  if (overflow) return gone(), false;
  owner_ = owner;
  if (stream) on_stream(*stream);
  return true;
}

void MirrorStream::on_stream(UpstreamStream& stream) {
  stream_ = &stream;
  bool whole = complete_ && body_.empty() && !with_trailers_;
  stream_->send_head(request_, whole);
  if (!body_.empty()) stream_->send_data(std::exchange(body_, {}));
  if (complete_ && !whole) stream_->send_end(with_trailers_ ? &trailers_ : nullptr);
  watch();
  if (owner_) owner_->on_mirror_drained();
}

void MirrorStream::send_data(std::string_view bytes) {
  if (stream_) stream_->send_data(bytes);
  else body_.append(bytes);
  watch();
}

void MirrorStream::send_end(const HeaderMap* trailers) {
  owner_ = nullptr;
  if (trailers) {
    with_trailers_ = true;
    for (const HeaderMap::Field& f : *trailers) trailers_.add_copy(f.name, f.value);
  }
  complete();
  if (stream_) stream_->send_end(with_trailers_ ? &trailers_ : nullptr);
}

// From here the answer has its time.
void MirrorStream::complete() {
  complete_ = true;
  timer_.reset();
  if (timeout_.count() <= 0) return;
  timer_.emplace(worker_.loop(), [this] {
    ++cluster_.stats.upstream_rq_timeout;
    cluster_.report(*host_, 504, true);
    gone();
  });
  timer_->arm(timeout_);
}

void MirrorStream::watch() {
  if (complete_) return;
  if (pending() <= watermark()) return timer_.reset();
  if (timer_) return;
  timer_.emplace(worker_.loop(), [this] {
    ++cluster_.stats.retry_or_shadow_abandoned;
    gone();
  });
  timer_->arm(kPatience);
}

void MirrorStream::on_upstream_drained() {
  if (!complete_) timer_.reset();
  if (owner_) owner_->on_mirror_drained();
}

void MirrorStream::on_response(ResponseHeaders& head, bool) {
  cluster_.report(*host_, head.status, false);
  cluster_.stats.codes.count(head.status);
  ++cluster_.stats.upstream_rq_completed;
}

// An answer to half a request: the rest need not be sent.
void MirrorStream::on_response_end(const HeaderMap*) { stream_ = nullptr, gone(); }

void MirrorStream::on_stream_failure(ResetReason, std::string_view) { gone(); }

void MirrorStream::on_reset(ResetReason reason, std::string_view, bool reused) {
  stream_ = nullptr;
  ++cluster_.stats.upstream_rq_rx_reset;
  if (!(reused && reason == ResetReason::kTermination)) cluster_.report(*host_, 0, true);
  gone();
}

void MirrorStream::abandon() {
  owner_ = nullptr;
  gone();
}

void MirrorStream::gone() {
  if (std::exchange(gone_, true)) return;
  if (timer_) timer_->cancel();
  if (stream_) std::exchange(stream_, nullptr)->cancel();
  if (waiting_in_) waiting_in_->cancel(*this);
  cluster_.give_back(permit_, Resource::kRequest, false);
  if (owner_) std::exchange(owner_, nullptr)->on_mirror_gone(*this);
  worker_.forget(*this);
}

}  // namespace fairlead::proxy
