// When an attempt is repeated, and how an attempt ends.
#include <algorithm>

#include "base/strings.h"
#include "proxy/exchange.h"

namespace fairlead::proxy {

// What of the policy and of the request's own words (x-envoy-retry-*) holds for this request. The words go no further.
void Exchange::begin_retries() {
  const RetryPolicy* p = route_->retry.get();
  retry_on_ = p ? p->retry_on : 0;
  retries_left_ = p ? p->num_retries : 0;
  per_try_timeout_ = p ? p->per_try_timeout : base::Nanos(0);
  // Nearly no request has such fields: one look for their common beginning is all that the others pay.
  bool any = false;
  for (const HeaderMap::Field& f : request_.fields)
    any |= f.name.size() > 13 && f.name.starts_with("x-envoy-") && f.name != "x-envoy-internal" && f.name != "x-envoy-external-address";
  if (any) {
    HeaderMap& fields = request_.fields;
    if (auto words = fields.get("x-envoy-retry-on"); !words.empty()) {
      retry_on_ |= parse_retry_on(words);
      if (!p) retries_left_ = 1;
    }
    if (auto words = fields.get("x-envoy-retry-grpc-on"); !words.empty()) {
      retry_on_ |= parse_retry_on(words);
      if (!p) retries_left_ = 1;
    }
    if (retry_on_)
      if (auto n = base::to_int(fields.get("x-envoy-max-retries")); n && *n >= 0) retries_left_ = static_cast<uint32_t>(std::min<long long>(*n, 1000));
    for (std::string_view code : base::split(fields.get("x-envoy-retriable-status-codes"), ','))
      if (auto n = base::to_int(base::trim(code)); n && *n >= 100 && *n < 600) retry_codes_.push_back(static_cast<uint16_t>(*n));
    for (std::string_view name : base::split(fields.get("x-envoy-retriable-header-names"), ','))
      if (!base::trim(name).empty()) retry_header_names_.push_back(base::to_lower(base::trim(name)));
    if (auto ms = base::to_int(fields.get("x-envoy-upstream-rq-per-try-timeout-ms")); ms && *ms >= 0) per_try_timeout_ = std::chrono::milliseconds(*ms);
    for (std::string_view name : {"x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries", "x-envoy-retriable-status-codes",
                                  "x-envoy-retriable-header-names", "x-envoy-upstream-rq-per-try-timeout-ms"})
      fields.remove(name);
  }
  if (p && !p->request_headers.empty() && std::ranges::none_of(p->request_headers, [this](const HeaderMatcher& m) { return m.matches(request_); })) retry_on_ = 0;
  if (upgrade_) retry_on_ = 0;
}

bool Exchange::may_retry_response(const ResponseHeaders& head) {
  const RetryPolicy* p = route_->retry.get();
  uint32_t on = retry_on_;
  if (!on) return false;
  int status = head.status;
  auto wanted = [&] {
    if (head.fields.has("x-envoy-ratelimited")) return (on & kRetryEnvoyRatelimited) != 0;
    if ((on & kRetry5xx) && status >= 500) return true;
    if ((on & kRetryGatewayError) && status >= 502 && status <= 504) return true;
    if ((on & kRetryRetriable4xx) && status == 409) return true;
    if (on & kRetryRetriableStatusCodes) {
      auto listed = [&](const std::vector<uint16_t>& codes) { return std::ranges::find(codes, static_cast<uint16_t>(status)) != codes.end(); };
      if ((p && listed(p->status_codes)) || listed(retry_codes_)) return true;
    }
    if (on & kRetryRetriableHeaders) {
      if (p)
        for (const HeaderMatcher& m : p->retriable_headers)
          if (m.matches(head)) return true;
      for (const std::string& name : retry_header_names_)
        if (head.fields.has(name)) return true;
    }
    constexpr uint32_t kGrpc = kRetryGrpcCancelled | kRetryGrpcDeadlineExceeded | kRetryGrpcInternal | kRetryGrpcResourceExhausted | kRetryGrpcUnavailable;
    if (on & kGrpc) {
      switch (base::to_int(head.fields.get("grpc-status")).value_or(-1)) {
        case 1:
          return (on & kRetryGrpcCancelled) != 0;
        case 4:
          return (on & kRetryGrpcDeadlineExceeded) != 0;
        case 8:
          return (on & kRetryGrpcResourceExhausted) != 0;
        case 13:
          return (on & kRetryGrpcInternal) != 0;
        case 14:
          return (on & kRetryGrpcUnavailable) != 0;
        default:
          break;
      }
    }
    return false;
  };
  if (!wanted()) return false;
  reset_after_ = base::Nanos(0);
  if (p) {
    for (const RetryPolicy::ResetHeader& h : p->reset_headers) {
      auto n = base::to_int(base::trim(head.fields.get(h.name)));
      if (!n || *n < 0) continue;
      long long seconds = *n;
      if (h.unix_timestamp) seconds -= std::chrono::duration_cast<std::chrono::seconds>(worker_.wall_now().time_since_epoch()).count();
      // Longer than we would wait, or in the past: the usual back-off.
      if (seconds <= 0 || seconds > 86'400 || std::chrono::seconds(seconds) > p->rate_limited_max) continue;
      reset_after_ = std::chrono::seconds(seconds);
      break;
    }
  }
  return true;
}

bool Exchange::may_retry_reset(ResetReason reason) {
  if (reason == ResetReason::kOverflow || upgrade_) return false;
  reset_after_ = base::Nanos(0);
  uint32_t on = retry_on_;
  bool connecting = reason == ResetReason::kConnectFailure || reason == ResetReason::kConnectTimeout;
  if (on & (kRetryReset | kRetry5xx | kRetryGatewayError)) return true;
  if ((on & kRetryResetBeforeRequest) && connecting) return true;
  if ((on & kRetryConnectFailure) && connecting) return true;
  return (on & kRetryRefusedStream) && reason == ResetReason::kRefusedStream;
}

// A kept connection that its server closed before a byte of answer: the request most probably was never read. One more
// attempt, on a fresh connection and for methods that may be repeated (RFC 9110 section 9.2.2), counts neither as a
// retry nor against its limits.
bool Exchange::retry_at_once() {
  if (transparent_retry_done_ || body_dropped_ || response_begun_ || upgrade_) return false;
  std::string_view m = request_.method;
  if (m != "GET" && m != "HEAD" && m != "PUT" && m != "DELETE" && m != "OPTIONS") return false;
  transparent_retry_done_ = fresh_connection_ = true;
  ++cluster_->stats.upstream_rq_reused_reset;
  schedule_retry(base::Nanos(0));
  return true;
}

// Starts the back-off when the policy, the retry breaker and what was kept of the body allow it.
bool Exchange::try_retry(bool wanted) {
  if (!wanted || body_dropped_ || response_begun_) return false;
  if (retries_left_ == 0) {
    if (retry_on_ && retries_done_ > 0) {
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
  ++retries_done_;
  ++cluster_->stats.upstream_rq_retry;
  if (reset_after_.count() > 0) {
    ++cluster_->stats.upstream_rq_retry_backoff_ratelimited;
    // Up to half as long again, so that not everybody comes back in the same second.
    base::Nanos wait = std::exchange(reset_after_, base::Nanos(0));
    schedule_retry(wait + base::Nanos(static_cast<int64_t>(worker_.random() % static_cast<uint64_t>(wait.count() / 2 + 1))));
    return true;
  }
  ++cluster_->stats.upstream_rq_retry_backoff_exponential;
  base::Nanos base_interval = route_->retry ? route_->retry->base_interval : base::Nanos(std::chrono::milliseconds(25));
  base::Nanos most = route_->retry ? route_->retry->max_interval : 10 * base_interval;
  base::Nanos range = std::min<base::Nanos>(base_interval * (1ll << std::min(retries_done_ - 1, 20u)), most);
  schedule_retry(base::Nanos(static_cast<int64_t>(worker_.random() % static_cast<uint64_t>(std::max<int64_t>(range.count(), 1)))));
  return true;
}

void Exchange::schedule_retry(base::Nanos after) {
  state_ = State::kWaiting;
  for (auto* timer : {&try_timeout_, &try_idle_})
    if (*timer) (*timer)->cancel();
  if (!retry_)
    retry_.emplace(worker_.loop(), [this] {
      cluster_->give_back(retry_permit_, Resource::kRetry, route_->high_priority);
      attempt();
    });
  retry_->arm(after);
}

// per_try_idle_timeout: nothing moved for that long.
void Exchange::touch_try() {
  const RetryPolicy* p = route_->retry.get();
  if (!p || p->per_try_idle_timeout.count() <= 0) return;
  if (!try_idle_) try_idle_.emplace(worker_.loop(), [this] { on_try_idle(); });
  try_idle_->arm(p->per_try_idle_timeout);
}

void Exchange::on_try_idle() {
  if (!cluster_ || !upstream_) return;
  ++cluster_->stats.upstream_rq_per_try_idle_timeout;
  if (host_) cluster_->report(*host_, 504, true);
  if (response_begun_) return break_off(504, "upstream_per_try_idle_timeout", kFlagUpstreamTimeout, {});
  abandon_attempt();
  if (try_retry((retry_on_ & (kRetry5xx | kRetryGatewayError | kRetryReset)) != 0)) return;
  reply(504, "upstream request timeout", "upstream_per_try_idle_timeout", kFlagUpstreamTimeout);
}

void Exchange::on_stream_failure(ResetReason reason, std::string_view detail) { attempt_failed(reason, detail, false); }

void Exchange::on_reset(ResetReason reason, std::string_view detail, bool reused) {
  upstream_ = nullptr;
  if (state_ == State::kOver) return;
  if (drop_response_) {
    drop_response_ = false;
    return std::exchange(redirect_due_, false) ? begin_again() : end_attempt();
  }
  ++cluster_->stats.upstream_rq_rx_reset;
  // A kept connection that its server closed before a byte of answer says nothing of the server's health.
  bool closed_idle = reused && reason == ResetReason::kTermination;
  if (host_ && !response_begun_ && !closed_idle) cluster_->report(*host_, 0, true);
  // Client, proxy and origin count the same deadline: an origin that was a little faster has not failed, the time is over.
  constexpr base::Nanos kAlmost = std::chrono::milliseconds(20);
  if (reason == ResetReason::kRemoteReset && !response_begun_ && deadline_ != base::TimePoint{} && worker_.now() + kAlmost >= deadline_) {
    end_attempt();
    return on_max_duration();
  }
  attempt_failed(reason, detail, reused);
}

void Exchange::attempt_failed(ResetReason reason, std::string_view detail, bool reused) {
  failure_detail_ = detail;
  if (info_.upstream_ready.count() < 0) info_.pool_wait = worker_.now() - attempt_start_;
  if (!failure_detail_.empty()) info_.failure_reason = failure_detail_;
  if (response_begun_) {
    // Too late for an answer of our own: the client must see that this one is incomplete.
    info_.flags |= reason == ResetReason::kTermination     ? kFlagUpstreamTermination
                   : reason == ResetReason::kProtocolError ? kFlagUpstreamProtocolError
                                                           : kFlagUpstreamReset;
    info_.details = request_.fields.store(fmt::format("upstream_reset_after_response_started{{{}}}", base::replace_all(reset_text(reason), " ", "_")));
    DownstreamStream* stream = std::exchange(downstream_, nullptr);
    finish();
    stream->reset();
    return;
  }
  end_attempt();
  if (reused && reason == ResetReason::kTermination && retry_at_once()) return;
  if (try_retry(may_retry_reset(reason))) return;
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
  cluster_->give_back(request_permit_, Resource::kRequest, route_->high_priority);
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
  if (host_) cluster_->report(*host_, 504, true);
  reply(504, "upstream request timeout", "response_timeout", kFlagUpstreamTimeout);
}

void Exchange::on_try_timeout() {
  if (response_begun_ || !cluster_) return;
  ++cluster_->stats.upstream_rq_per_try_timeout;
  if (host_) cluster_->report(*host_, 504, true);
  abandon_attempt();
  bool wanted = (retry_on_ & (kRetry5xx | kRetryGatewayError | kRetryReset)) != 0;
  if (const RetryPolicy* p = route_->retry.get(); p && (retry_on_ & kRetryRetriableStatusCodes))
    wanted |= std::ranges::find(p->status_codes, uint16_t{504}) != p->status_codes.end();
  if (try_retry(wanted)) return;
  reply(504, "upstream request timeout", "upstream_per_try_timeout", kFlagUpstreamTimeout);
}

// ---------------------------------------------------------------------------------------------------------- mirrors

void Exchange::start_mirrors() {
  if (upgrade_) return;  // what flows in a tunnel has no copy
  for (const Mirror& m : route_->mirrors) {
    if (!m.fraction.hit(worker_.random())) continue;
    ClusterId id = m.cluster_header.empty() ? m.id : worker_.cluster_id(request_.fields.get(m.cluster_header));
    Cluster* to = id == kNoCluster ? nullptr : worker_.cluster(id);
    if (!to) continue;
    bool whole = request_complete_ && body_.empty() && !has_request_trailers_;
    MirrorStream& mirror = worker_.add(std::make_unique<MirrorStream>(worker_, *to));
    if (!mirror.start(request_, m, whole, response_timeout_, whole ? nullptr : this) || whole) continue;
    mirrors_.push_back(&mirror);
    if (!body_.empty()) mirror.send_data(body_);
  }
  if (request_complete_) end_mirrors();
}

void Exchange::end_mirrors() {
  for (MirrorStream* m : std::exchange(mirrors_, {})) m->send_end(has_request_trailers_ ? &request_trailer_map_ : nullptr);
}

void Exchange::on_mirror_drained() { settle_request(); }

void Exchange::on_mirror_gone(MirrorStream& mirror) {
  std::erase(mirrors_, &mirror);
  settle_request();
}

}  // namespace fairlead::proxy
