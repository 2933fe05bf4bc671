// When an attempt is repeated, and how an attempt ends.
#include <algorithm>

#include "base/strings.h"
#include "proxy/exchange.h"

namespace fairlead::proxy {

bool Exchange::may_retry_response(const ResponseHeaders& head) {
  const RetryPolicy* p = route_->retry.get();
  if (!p || !p->retry_on || upgrade_) return false;
  uint32_t on = p->retry_on;
  int status = head.status;
  if (head.fields.has("x-envoy-ratelimited")) return on & kRetryEnvoyRatelimited;
  if ((on & kRetry5xx) && status >= 500) return true;
  if ((on & kRetryGatewayError) && status >= 502 && status <= 504) return true;
  if ((on & kRetryRetriable4xx) && status == 409) return true;
  if ((on & kRetryRetriableStatusCodes) && std::ranges::find(p->status_codes, static_cast<uint16_t>(status)) != p->status_codes.end()) return true;
  if (on & kRetryRetriableHeaders)
    for (const HeaderMatcher& m : p->retriable_headers)
      if (m.matches(head)) return true;
  constexpr uint32_t kGrpc = kRetryGrpcCancelled | kRetryGrpcDeadlineExceeded | kRetryGrpcInternal | kRetryGrpcResourceExhausted | kRetryGrpcUnavailable;
  if (on & kGrpc) {
    switch (base::to_int(head.fields.get("grpc-status")).value_or(-1)) {
      case 1:
        return on & kRetryGrpcCancelled;
      case 4:
        return on & kRetryGrpcDeadlineExceeded;
      case 8:
        return on & kRetryGrpcResourceExhausted;
      case 13:
        return on & kRetryGrpcInternal;
      case 14:
        return on & kRetryGrpcUnavailable;
      default:
        break;
    }
  }
  return false;
}

bool Exchange::may_retry_reset(ResetReason reason, bool reused) {
  if (reason == ResetReason::kOverflow || upgrade_) return false;
  // A kept connection that its server closed before a byte of answer: the request most probably was never read. One
  // more attempt on a fresh connection is not counted as a retry, for methods that may be repeated (RFC 9110 9.2.2).
  if (reused && !transparent_retry_done_ && !body_dropped_ && reason == ResetReason::kTermination &&
      (request_.method == "GET" || request_.method == "HEAD" || request_.method == "PUT" || request_.method == "DELETE" || request_.method == "OPTIONS")) {
    transparent_retry_done_ = true;
    ++cluster_->stats.upstream_rq_reused_reset;
    ++retries_left_;
    return true;
  }
  const RetryPolicy* p = route_->retry.get();
  if (!p) return false;
  uint32_t on = p->retry_on;
  bool connecting = reason == ResetReason::kConnectFailure || reason == ResetReason::kConnectTimeout;
  if (on & (kRetryReset | kRetry5xx | kRetryGatewayError)) return true;
  if ((on & kRetryResetBeforeRequest) && connecting) return true;
  if ((on & kRetryConnectFailure) && connecting) return true;
  return (on & kRetryRefusedStream) && reason == ResetReason::kRefusedStream;
}

// Starts the back-off when the policy, the retry breaker and what was kept of the body allow it.
bool Exchange::try_retry(bool wanted) {
  if (!wanted || body_dropped_ || response_begun_) return false;
  if (retries_left_ == 0) {
    if (route_->retry && route_->retry->num_retries > 0) {
      info_.flags |= kFlagRetryLimit;
      ++cluster_->stats.upstream_rq_retry_limit_exceeded;
    }
    return false;
  }
  if (retry_permit_ == Permit::kRefused) {
    retry_permit_ = cluster_->take(Resource::kRetry, route_->high_priority);
    if (retry_permit_ == Permit::kRefused) {
      ++cluster_->stats.upstream_rq_retry_overflow;
      return false;
    }
  }
  --retries_left_;
  base::Nanos wait(0);
  if (transparent_retry_done_ && retries_done_ == 0 && !route_->retry) {
    // at once
  } else {
    ++retries_done_;
    ++cluster_->stats.upstream_rq_retry;
    ++cluster_->stats.upstream_rq_retry_backoff_exponential;
    base::Nanos base_interval = route_->retry ? route_->retry->base_interval : base::Nanos(std::chrono::milliseconds(25));
    base::Nanos most = route_->retry ? route_->retry->max_interval : 10 * base_interval;
    base::Nanos range = base_interval * ((1ll << std::min(retries_done_, 20u)) - 1);
    wait = std::min(base::Nanos(static_cast<int64_t>(worker_.random() % static_cast<uint64_t>(std::max<int64_t>(range.count(), 1)))), most);
  }
  schedule_retry(wait);
  return true;
}

void Exchange::schedule_retry(base::Nanos after) {
  state_ = State::kWaiting;
  if (try_timeout_) try_timeout_->cancel();
  if (!retry_)
    retry_.emplace(worker_.loop(), [this] {
      cluster_->give_back(retry_permit_, Resource::kRetry, route_->high_priority);
      attempt();
    });
  retry_->arm(after);
}

void Exchange::on_stream_failure(ResetReason reason, std::string_view detail) { attempt_failed(reason, detail, false); }

void Exchange::on_reset(ResetReason reason, std::string_view detail, bool reused) {
  upstream_ = nullptr;
  if (state_ == State::kOver) return;
  if (drop_response_) {
    drop_response_ = false;
    return end_attempt();
  }
  ++cluster_->stats.upstream_rq_rx_reset;
  if (host_ && !response_begun_) cluster_->report(*host_, 0, true);
  attempt_failed(reason, detail, reused);
}

void Exchange::attempt_failed(ResetReason reason, std::string_view detail, bool reused) {
  failure_detail_ = detail;
  if (!failure_detail_.empty()) info_.failure_reason = failure_detail_;
  if (response_begun_) {
    // Too late for an answer of our own: the client must see that this one is incomplete.
    info_.flags |= reason == ResetReason::kTermination ? kFlagUpstreamTermination : kFlagUpstreamReset;
    info_.details = request_.fields.store(fmt::format("upstream_reset_after_response_started{{{}}}", base::replace_all(reset_text(reason), " ", "_")));
    DownstreamStream* stream = std::exchange(downstream_, nullptr);
    finish();
    stream->reset();
    return;
  }
  end_attempt();
  if (try_retry(may_retry_reset(reason, reused))) return;
  uint32_t flag = kFlagUpstreamReset;
  switch (reason) {
    case ResetReason::kConnectFailure:
    case ResetReason::kConnectTimeout:
      flag = kFlagUpstreamConnectFailure;
      break;
    case ResetReason::kTermination:
      flag = kFlagUpstreamTermination;
      break;
    case ResetReason::kOverflow:
      flag = kFlagUpstreamOverflow;
      break;
    case ResetReason::kLocalReset:
      flag = kFlagLocalReset;
      break;
    case ResetReason::kProtocolError:
      flag = kFlagUpstreamProtocolError;
      break;
    default:
      break;
  }
  std::string_view why = reset_text(reason);
  std::string details = fmt::format("upstream_reset_before_response_started{{{}{}{}}}", why, failure_detail_.empty() ? "" : "|", failure_detail_);
  std::ranges::replace(details, ' ', '_');
  std::string body = fmt::format("upstream connect error or disconnect/reset before headers. {}reset reason: {}{}{}",
                                 retries_done_ ? "retried and the latest " : "", why,
                                 failure_detail_.empty() ? "" : ", transport failure reason: ", failure_detail_);
  reply(reason == ResetReason::kProtocolError ? 502 : 503, body, request_.fields.store(details), flag, reason == ResetReason::kOverflow);
}

// Gives back what one attempt held.
void Exchange::end_attempt() {
  if (!cluster_) return;
  if (request_permit_ != Permit::kRefused) {
    cluster_->give_back(request_permit_, Resource::kRequest, route_->high_priority);
    --cluster_->stats.upstream_rq_active;
  }
  if (state_ == State::kOver) cluster_->give_back(retry_permit_, Resource::kRetry, route_->high_priority);
}

// Whatever is under way toward an endpoint stops.
void Exchange::abandon_attempt() {
  if (upstream_) std::exchange(upstream_, nullptr)->cancel();
  if (waiting_in_) waiting_in_->cancel(*this);
  end_attempt();
}

void Exchange::on_timeout() {
  if (response_begun_) {
    // The answer is on its way but does not end in time.
    info_.flags |= kFlagUpstreamTimeout;
    info_.details = "response_timeout";
    ++cluster_->stats.upstream_rq_timeout;
    DownstreamStream* stream = std::exchange(downstream_, nullptr);
    finish();
    stream->reset();
    return;
  }
  ++cluster_->stats.upstream_rq_timeout;
  if (host_) cluster_->report(*host_, 504, cluster_->config().outlier && cluster_->config().outlier->split_local);
  reply(504, "upstream request timeout", "response_timeout", kFlagUpstreamTimeout);
}

void Exchange::on_try_timeout() {
  if (response_begun_ || !cluster_) return;
  ++cluster_->stats.upstream_rq_per_try_timeout;
  if (host_) cluster_->report(*host_, 504, cluster_->config().outlier && cluster_->config().outlier->split_local);
  abandon_attempt();
  const RetryPolicy* p = route_->retry.get();
  bool wanted = p && (p->retry_on & (kRetry5xx | kRetryGatewayError | kRetryReset)) != 0;
  if (p && (p->retry_on & kRetryRetriableStatusCodes))
    wanted |= std::ranges::find(p->status_codes, uint16_t{504}) != p->status_codes.end();
  if (try_retry(wanted)) return;
  reply(504, "upstream request timeout", "upstream_per_try_timeout", kFlagUpstreamTimeout);
}

// ---------------------------------------------------------------------------------------------------------- mirrors

namespace {

// A copy of a request whose answer nobody reads. Lives until its stream ends or 15 s passed.
class Shadow final : UpstreamSink, StreamWaiter {
 public:
  Shadow(Worker& worker, Cluster& cluster) : worker_(worker), cluster_(cluster), timer_(worker.loop(), [this] { done(); }) {}
  void start(const RequestHeaders& from, std::string_view body, std::string_view authority) {
    request_.method = request_.fields.store(from.method);
    request_.target = request_.fields.store(from.target);
    request_.authority = request_.fields.store(authority);
    request_.scheme = from.scheme;
    for (const HeaderMap::Field& f : from.fields) request_.fields.add_copy(f.name, f.value);
    body_ = body;
    Host* host = cluster_.pick(std::nullopt, nullptr, nullptr, 1);
    if (!host) return done();
    timer_.arm(std::chrono::seconds(15));
    bool h2 = cluster_.config().protocol == ClusterConfig::Protocol::kHttp2;
    bool overflow = false;
    pool_ = &cluster_.pool(*host, h2 ? UpstreamProtocol::kHttp2 : UpstreamProtocol::kHttp1);
    ++cluster_.stats.upstream_rq_total;
    UpstreamStream* stream = pool_->request(*this, *this, false, overflow);
    if (overflow) return done();
    if (stream) on_stream(*stream);
  }

 private:
  void on_stream(UpstreamStream& stream) override {
    stream_ = &stream;
    stream_->send_head(request_, body_.empty());
    if (!body_.empty()) {
      stream_->send_data(body_);
      stream_->send_end(nullptr);
    }
  }
  void on_stream_failure(ResetReason, std::string_view) override { done(); }
  void on_response(ResponseHeaders& head, bool) override { cluster_.stats.codes.count(head.status); }
  void on_response_data(std::string_view) override {}
  void on_response_end(const HeaderMap*) override { stream_ = nullptr, done(); }
  void on_reset(ResetReason, std::string_view, bool) override { stream_ = nullptr, done(); }
  void on_upstream_drained() override {}
  void done() {
    if (std::exchange(done_, true)) return;
    timer_.cancel();
    if (stream_) std::exchange(stream_, nullptr)->cancel();
    if (waiting_in_) waiting_in_->cancel(*this);
    worker_.loop().dispose(std::unique_ptr<Shadow>(this));
  }
  Worker& worker_;
  Cluster& cluster_;
  io::Timer timer_;
  RequestHeaders request_;
  std::string body_;
  HostPool* pool_ = nullptr;
  UpstreamStream* stream_ = nullptr;
  bool done_ = false;
};

}  // namespace

// The copy goes out with the request; its body is what was there by then (small requests whole, others without).
void Exchange::start_mirrors() {
  for (const Mirror& m : route_->mirrors) {
    if (!m.fraction.hit(worker_.random())) continue;
    Cluster* to = worker_.cluster(m.id);
    if (!to) continue;
    if (!request_complete_) {
      ++to->stats.retry_or_shadow_abandoned;
      continue;
    }
    std::string authority(request_.authority);
    if (!m.keep_host) {
      size_t colon = authority.rfind(':');
      authority.insert(colon == std::string::npos ? authority.size() : colon, "-shadow");
    }
    (new Shadow(worker_, *to))->start(request_, body_, authority);
  }
}

}  // namespace fairlead::proxy
