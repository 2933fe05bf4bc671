// The life of a request, phase by phase.
#include "proxy/exchange.h"

#include <charconv>

#include "base/strings.h"
#include "http/grpc.h"
#include "proxy/overload.h"
#include "proxy/proxy_protocol.h"
#include "proxy/upstream/tls_dial.h"

namespace fairlead::proxy {

namespace {
// grpc-timeout: up to eight digits and a unit (H M S m u n).
std::optional<base::Nanos> grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  auto n = base::to_int(text.substr(0, text.size() - 1));
  if (!n || *n < 0) return std::nullopt;
  base::Nanos unit{0};
  switch (text.back()) {
    case 'H': unit = std::chrono::hours(1); break;
    case 'M': unit = std::chrono::minutes(1); break;
    case 'S': unit = std::chrono::seconds(1); break;
    case 'm': unit = std::chrono::milliseconds(1); break;
    case 'u': unit = std::chrono::microseconds(1); break;
    case 'n': unit = base::Nanos(1); break;
    default: return std::nullopt;
  }
  constexpr base::Nanos kYear = std::chrono::hours(24 * 365);  // more than that would not fit a clock
  return unit * std::min<long long>(*n, kYear / unit);
}
}  // namespace

Exchange::Exchange(Worker& worker) : worker_(worker) {}
Exchange::~Exchange() = default;

void Exchange::begin(DownstreamStream& stream, const ListenerConfig& listener, const HttpConfig& config, const ConnectionInfo& connection,
                     HttpStats& stats) {
  downstream_ = &stream;
  listener_ = &listener;
  config_ = &config;
  connection_ = &connection;
  stats_ = &stats;
}

void Exchange::start_times() {
  info_.start = worker_.now();
  info_.start_wall = worker_.wall_now();
  info_.request = &request_;
  info_.type = LogType::kDownstreamEnd;
  info_.connection = connection_;
  info_.downstream_bytes = downstream_->counts;
  info_.upstream_bytes = &upstream_bytes;
  info_.connection_id = connection_->id;
  info_.downstream_local = connection_->local_text;
  info_.downstream_remote = info_.downstream_direct_remote = connection_->peer_text;
  info_.server_name = connection_->server_name;
  info_.downstream_tls = connection_->tls ? connection_->tls->tls_info().get() : nullptr;
  info_.protocol = request_.version == http::Version::kHttp2 ? "HTTP/2" : request_.version == http::Version::kHttp10 ? "HTTP/1.0" : "HTTP/1.1";
}

// ---------------------------------------------------------------------------------------------------- 1. received

void Exchange::on_request(bool end, bool upgrade) {
  start_times();
  ++stats_->downstream_rq_total;
  ++stats_->downstream_rq_active;
  ++worker_.active_exchanges_;
  request_complete_ = end;
  upgrade_ = upgrade;
  info_.request_header_bytes = request_.fields.byte_size();
  if (config_->log_needs & LogFormat::kConnection) info_.request_plain_bytes = plain_bytes(request_);
  if (end) info_.request_received = base::Nanos(0);
  state_ = State::kFilters;
  touch();
  arm_stream_timers();
  if (!end && !config_->proxy_100_continue && request_.version != http::Version::kHttp10)
    if (const auto* expect = request_.fields.find("expect"); expect && base::iequals(expect->value, "100-continue")) {
      ResponseHeaders go_on;
      go_on.status = 100;
      downstream_->send_interim(go_on);
      request_.fields.remove("expect");
    }
  if (worker_.options().overload && worker_.options().overload->stop_requests()) {
    ++stats_->downstream_rq_overload_close;
    return void(refuse_request(503, "envoy overloaded", "overload", kFlagOverloadManager));
  }
  if (!normalise()) return;
  route();
}

void Exchange::arm_stream_timers() {
  if (config_->request_timeout.count() > 0 && !request_complete_ && !upgrade_) {
    if (!request_timer_) request_timer_.emplace(worker_.loop(), [this] { on_request_timeout(); });
    request_timer_->arm(config_->request_timeout);
  }
  if (config_->max_stream_duration.count() > 0) {
    if (!life_) life_.emplace(worker_.loop(), [this] { on_max_duration(); });
    life_->arm(config_->max_stream_duration);
  }
}

void Exchange::on_request_timeout() {
  ++stats_->downstream_rq_timeout;
  break_off(408, "request_overall_timeout", 0, "request timeout");
}

void Exchange::on_max_duration() {
  ++stats_->downstream_rq_max_duration_reached;
  // A gRPC client's own word for it, which 504 would not be: the limit is often the deadline that it sent.
  if (!response_begun_ && http::is_grpc_type(request_.fields.get("content-type"))) response_.fields.set("grpc-status", "4");
  break_off(request_complete_ ? 504 : 408, "max_duration_timeout", 0, "downstream duration timeout");
}

void Exchange::break_off(int status, std::string_view details, uint32_t flag, std::string_view body) {
  if (state_ == State::kOver) return;
  if (!response_begun_) return reply(status, body, details, flag);
  info_.flags |= flag;
  info_.details = details;
  DownstreamStream* stream = std::exchange(downstream_, nullptr);
  finish();
  stream->reset();
}

void Exchange::refuse(int status, std::string_view details, uint32_t flag, std::string_view body) {
  start_times();
  ++stats_->downstream_rq_total;
  ++stats_->downstream_rq_active;
  ++worker_.active_exchanges_;
  request_complete_ = true;
  state_ = State::kFilters;
  reply(status, body, details, flag);
}

// --------------------------------------------------------------------------------------------------- 3. routed

void Exchange::route() {
  find_table();
  original_authority_ = request_.authority;
  if (table_ && table_->asks_certificate && connection_->tls)
    if (auto tls = connection_->tls->tls_info()) {
      request_.certificate_presented = tls->peer != nullptr;
      request_.certificate_validated = tls->peer_verified;
    }
  if (table_) host_config_ = table_->find_host(request_.authority);
  if (host_config_) {
    info_.virtual_host = host_config_->name;
    info_.virtual_host_metadata = host_config_->metadata.get();
    if (!wants_tls()) route_ = table_->find_route(*host_config_, request_, worker_.random());
  }
  filter_ = 0;
  if (route_) {
    info_.route = route_->name;
    info_.route_metadata = route_->metadata.get();
    if (route_->max_stream_duration || route_->grpc_timeout_header_max) limit_duration();
  }
  if (upgrade_ && !upgrade_allowed() && route_) {
    ++stats_->downstream_rq_ws_on_non_ws_route;
    return void(refuse_request(403, {}, "upgrade_failed", 0));
  }
  if (!route_) return resume_filters();
  if (route_->action == Route::Action::kForward && route_->cluster_header.empty()) {
    route_cluster_ = &route_->clusters[0];
    if (route_->total_weight) {
      uint64_t drawn = worker_.random();
      if (!route_->weights_header.empty())
        if (auto said = base::to_int(request_.fields.get(route_->weights_header)); said && *said >= 0) drawn = static_cast<uint64_t>(*said);
      uint64_t at = drawn % route_->total_weight;
      for (const RouteCluster& c : route_->clusters) {
        route_cluster_ = &c;
        if (at < c.weight) break;
        at -= c.weight;
      }
    }
    if (upstream_cluster()) info_.cluster = info_.cluster_raw = route_cluster_->name;
  }
  resume_filters();
}

// The route's longest duration of a stream in place of the connection manager's; a gRPC client's own deadline in place of both,
// where the route lets it (Envoy: RouteAction.MaxStreamDuration).
void Exchange::limit_duration() {
  std::optional<base::Nanos> most = route_->max_stream_duration;
  bool asked = false;
  if (route_->grpc_timeout_header_max) {
    if (auto deadline = grpc_timeout(request_.fields.get("grpc-timeout"))) {
      asked = true;
      base::Nanos cap = *route_->grpc_timeout_header_max, offset = route_->grpc_timeout_header_offset;
      most = cap.count() > 0 ? std::min(*deadline, cap) : *deadline;
      if (offset < *most) *most -= offset;
      if (*most != *deadline)
        request_.fields.set("grpc-timeout", request_.fields.store(fmt::format("{}m", std::chrono::duration_cast<std::chrono::milliseconds>(*most).count())));
    }
  }
  if (!most) return;
  if (life_) life_->cancel();
  if (most->count() <= 0 && !asked) return;
  if (!life_) life_.emplace(worker_.loop(), [this] { on_max_duration(); });
  life_->arm(std::max(*most, base::Nanos(1)));
  if (asked) deadline_ = worker_.now() + *most;
}

bool Exchange::wants_tls() const { return host_config_->require_tls && request_.fields.get("x-forwarded-proto") != "https"; }

// The route's word comes before the connection manager's; a type that neither names is refused. The manager may have filters for
// the type alone.
bool Exchange::upgrade_allowed() {
  std::string type = request_.method == "CONNECT" ? "connect" : base::to_lower(request_.fields.get("upgrade"));
  bool allowed = false;
  if (route_)
    if (auto at = route_->upgrades.find(type); at != route_->upgrades.end()) {
      if (!at->second) return false;
      allowed = true;
    }
  auto at = config_->upgrades.find(type);
  if (at == config_->upgrades.end()) return allowed;
  if (!allowed && !at->second.enabled) return false;
  if (at->second.config) config_ = at->second.config.get();
  return true;
}

// The endpoint gets what the tunnel carries, not the request for it.
bool Exchange::ends_here() const { return route_->connect_ends && (request_.method == "CONNECT" || (route_->post_ends && request_.method == "POST")); }

// -------------------------------------------------------------------------------------------------- 4. filtered

// What the router does, which is last: filters have run (exchange_filters.cc), whether there is a route or not.
// ------------------------------------------------------------------------------------------------- 5. forwarded

void Exchange::after_filters() {
  if (!route_) {
    if (host_config_ && wants_tls()) {
      std::string location = fmt::format("https://{}{}", request_.authority, request_.target);
      response_.fields.add("location", location);
      ++stats_->rq_redirect;
      return reply(301, {}, "direct_response", 0);
    }
    ++stats_->no_route;
    return reply(404, {}, "route_not_found", kFlagNoRoute);
  }
  switch (route_->action) {
    case Route::Action::kRedirect:
      return reply_redirect();
    case Route::Action::kDirect:
    case Route::Action::kNone:
      return reply_direct();
    case Route::Action::kForward:
      return forward();
  }
}

void Exchange::forward() {
  if (!config_->strict_headers.empty() && !strict_headers_pass()) return;
  const std::string& header = route_cluster_ ? route_cluster_->cluster_header : route_->cluster_header;
  ClusterId id = header.empty() ? route_cluster_->id : worker_.cluster_id(request_.fields.get(header));
  cluster_ = id == kNoCluster ? nullptr : worker_.cluster(id);
  if (!cluster_) {
    ++stats_->no_cluster;
    return reply(route_->cluster_not_found_status, {}, "cluster_not_found", kFlagNoCluster);
  }
  if (!header.empty()) info_.cluster = info_.cluster_raw = cluster_->config().name;
  if (const EndpointSet* endpoints = cluster_->endpoints(); endpoints && endpoints->dropped.per_million && endpoints->dropped.hit(worker_.random())) {
    ++cluster_->stats.upstream_rq_drop_overload;
    bool all = endpoints->dropped.per_million >= 1'000'000;
    if (!config_->suppress_envoy_headers) response_.fields.add_view(all ? "x-envoy-unconditional-drop-overload" : "x-envoy-drop-overload", "true");
    if (all) return reply(503, "unconditional drop overload", "unconditional_drop_overload", kFlagDropOverloadAlways);
    return reply(503, "drop overload", "drop_overload", kFlagDropOverload);
  }
  ++stats_->rq_total;
  begin_retries();
  upstream_start_ = worker_.now();

  base::Nanos timeout = route_->timeout.value_or(std::chrono::seconds(15));
  if (route_->max_grpc_timeout && http::is_grpc_type(request_.fields.get("content-type"))) {
    // 0 is no limit, on both sides.
    timeout = grpc_timeout(request_.fields.get("grpc-timeout")).value_or(base::Nanos(0));
    if (base::Nanos most = *route_->max_grpc_timeout; most.count() > 0 && (timeout.count() == 0 || timeout > most)) timeout = most;
  }
  std::optional<long long> said;
  if (config_->respect_expected_timeout) said = base::to_int(request_.fields.get("x-envoy-expected-rq-timeout-ms"));
  if (!said) said = base::to_int(request_.fields.get("x-envoy-upstream-rq-timeout-ms"));
  if (said && *said >= 0) timeout = std::chrono::milliseconds(*said);
  request_.fields.remove("x-envoy-upstream-rq-timeout-ms");  // said to this proxy, not to the next
  response_timeout_ = upgrade_ ? base::Nanos(0) : timeout;  // a tunnel's request is never complete; the next proxy is told all the same
  if (response_timeout_.count() > 0) {
    if (!timeout_) timeout_.emplace(worker_.loop(), [this] { on_timeout(); });
    // The clock starts when the request is complete (Envoy's meaning of the route time-out).
    if (request_complete_) timeout_->arm(timeout);
  }
  told_timeout_ = timeout;
  tell_timeout();
  if (!request_watchers_.empty()) {
    filter_request_data(body_);
    if (request_complete_) filter_request_end(body_);
  }
  prepare_request_headers();
  if (!route_->mirrors.empty()) start_mirrors();
  attempt();
}

// What the endpoint is told of the time that it has (Envoy's setTimeoutHeaders).
void Exchange::tell_timeout() {
  using std::chrono::milliseconds;
  base::Nanos expected = per_try_timeout_.count() > 0 ? per_try_timeout_ : told_timeout_;
  if (expected.count() <= 0) return;
  if (told_timeout_.count() > 0) {
    // Out of time already: not 0, which would mean as long as it takes.
    base::Nanos spent = info_.attempts > 0 && request_complete_ ? since_start() - info_.request_received : base::Nanos(0);
    expected = spent >= told_timeout_ ? base::Nanos(milliseconds(1)) : std::min(expected, told_timeout_ - spent);
  }
  char digits[24];
  char* end = std::to_chars(digits, digits + sizeof digits, std::chrono::duration_cast<milliseconds>(expected).count()).ptr;
  std::string_view text(digits, static_cast<size_t>(end - digits));
  if (!config_->suppress_envoy_headers) request_.fields.set("x-envoy-expected-rq-timeout-ms", text);
  if (route_->max_grpc_timeout && http::is_grpc_type(request_.fields.get("content-type")))
    request_.fields.set("grpc-timeout", text.size() <= 8 ? std::string(text) + "m" : fmt::format("{}S", std::chrono::duration_cast<std::chrono::seconds>(expected).count()));
}

void Exchange::attempt() {
  state_ = State::kWaiting;
  if (info_.attempts++ > 0) tell_timeout();
  attempt_start_ = worker_.now();
  if (host_config_->attempt_count_header) {
    char digits[12];
    auto end = fmt::format_to(digits, "{}", info_.attempts);
    request_.fields.set("x-envoy-attempt-count", std::string_view(digits, static_cast<size_t>(end - digits)));
  }
  const RetryPolicy* retry = route_->retry.get();
  bool avoid = retry && retry->previous_hosts && !tried_.empty();
  // Once for all attempts: a generated cookie must not change between them.
  if (!route_->hash.empty() && !std::exchange(hashed_, true)) hash_ = hash();
  std::optional<uint64_t> hashed = hashed_ ? hash_ : std::nullopt;
  io::Address override_address;
  const io::Address* destination = &connection_->local;
  if (cluster_->config().original_dst_by_header) {
    if (auto a = io::Address::parse(request_.fields.get(cluster_->config().original_dst_header))) override_address = *a, destination = &override_address;
  }
  host_ = cluster_->pick(hashed, destination, avoid ? &tried_ : nullptr, retry ? retry->host_attempts : 1);
  if (!host_) return reply(503, "no healthy upstream", "no_healthy_upstream", kFlagUpstreamUnhealthy);
  if (retry && retry->previous_hosts) tried_.push_back(host_);
  info_.upstream_host = request_.fields.store(host_->text);
  if (config_->log_needs & LogFormat::kMetadata) {
    info_.cluster_metadata = cluster_->config().metadata;
    info_.host_metadata = host_->metadata;
  }
  if (config_->log_needs & LogFormat::kAttempts) {
    info_.upstream_host_name = request_.fields.store(host_->hostname);
    info_.upstream_protocol = {};
  }

  request_permit_ = cluster_->take(Resource::kRequest, route_->high_priority);
  if (request_permit_ == Permit::kRefused) {
    ++cluster_->stats.upstream_rq_pending_overflow;
    return attempt_failed(ResetReason::kOverflow, {}, false);
  }
  std::string_view name = cluster_->config().auto_sni ? server_name_of(request_.authority) : std::string_view();
  std::string lead = cluster_->config().proxy_headers ? lead_for(cluster_->config(), *host_, *connection_) : std::string();
  pool_ = &cluster_->pool(*host_, ends_here() ? UpstreamProtocol::kTcp : cluster_->protocol_for(request_.version), name, lead);
  if (per_try_timeout_.count() > 0) {
    if (!try_timeout_) try_timeout_.emplace(worker_.loop(), [this] { on_try_timeout(); });
    try_timeout_->arm(per_try_timeout_);
  }
  bool overflow = false;
  UpstreamStream* stream = pool_->request(*this, *this, route_->high_priority, overflow, std::exchange(fresh_connection_, false));
  if (overflow) return attempt_failed(ResetReason::kOverflow, {}, false);
  if (stream) got_stream(*stream);
}

void Exchange::on_stream(UpstreamStream& stream) { got_stream(stream); }

void Exchange::got_stream(UpstreamStream& stream) {
  upstream_ = &stream;
  state_ = State::kForwarding;
  touch_try();
  info_.upstream_local = request_.fields.store(stream.facts().local);
  if (config_->log_needs) note_stream(stream);
  if (config_->log_needs & LogFormat::kTls) {
    upstream_tls_ = stream.tls();
    info_.upstream_tls = upstream_tls_.get();
  }
  info_.upstream_ready = since_start();
  if (request_complete_) info_.request_sent = info_.upstream_ready;
  if (config_->match_upstream_scheme) request_.scheme = cluster_->config().tls_for(*host_) ? "https" : "http";
  bool whole = request_complete_ && body_.empty() && !has_request_trailers_ && !upgrade_;
  upstream_->send_head(request_, whole);
  if (pool_->tcp() && route_->connect_proxy_version) upstream_->send_data(write_proxy_header(route_->connect_proxy_version, connection_->peer, connection_->local));
  if (!body_.empty()) upstream_->send_data(body_);
  if (request_complete_ && !whole) upstream_->send_end(has_request_trailers_ ? &request_trailer_map_ : nullptr);
  if (request_paused_ || !body_.empty()) settle_request();
}

// What logs may want to know of an attempt that got a stream; kept only when one asks.
void Exchange::note_stream(const UpstreamStream& stream) {
  info_.upstream_protocol = pool_->tcp() ? "" : pool_->http2() ? "HTTP/2" : "HTTP/1.1";
  info_.upstream_connection_id = stream.facts().number;
  info_.upstream_connect_began = stream.facts().began;
  info_.upstream_connected = stream.facts().connected;
  info_.upstream_shaken = stream.facts().shaken;
  info_.pool_wait = worker_.now() - attempt_start_;
  info_.upstream_plain_sent += plain_bytes(request_);
  if (!(config_->log_needs & LogFormat::kAttempts)) return;
  auto add = [&](std::string_view& list, std::string_view one) {
    for (std::string_view known : base::split(list, ','))
      if (known == one) return;
    list = request_.fields.store(list.empty() ? std::string(one) : fmt::format("{},{}", list, one));
  };
  add(info_.attempted_hosts, host_->text);
  add(info_.attempted_names, host_->hostname.empty() ? host_->text : host_->hostname);
  add(info_.attempted_connections, std::to_string(stream.facts().number));
}

void Exchange::on_request_data(std::string_view bytes) {
  if (state_ == State::kOver) return;
  info_.bytes_received += bytes.size();
  touch();
  std::string changed;
  // What comes while filters still run is changed when they are done (forward()).
  if (!request_watchers_.empty() && state_ != State::kFilters) {
    changed = bytes;
    filter_request_data(changed);
    bytes = changed;
  }
  if (upstream_ && !drop_response_) upstream_->send_data(bytes);
  for (size_t i = mirrors_.size(); i-- > 0;) mirrors_[i]->send_data(bytes);
  // Kept while it may have to be sent (again); past the limit an attempt is final.
  bool may_repeat = !response_begun_ && !body_dropped_ && (state_ == State::kFilters || state_ == State::kWaiting || retry_on_ || route_->redirects || !upstream_);
  if (may_repeat) {
    if (body_.size() + bytes.size() <= listener_->buffer_limit_bytes || !upstream_) {
      body_.append(bytes);
    } else {
      body_dropped_ = true;
      body_ = std::string();
      ++cluster_->stats.retry_or_shadow_abandoned;
    }
  } else if (upstream_) {
    body_dropped_ = true;
  }
  settle_request();
}

// The client is heard as long as what waits for the upstream, for a stream to it, or for a mirror stays within bounds. Asked
// after each step that moves bytes: a queue that empties by a direct write is drained without a callback.
void Exchange::settle_request() {
  if (!downstream_ || state_ == State::kOver) return;
  size_t most = upstream_ ? cluster_->config().watermark_bytes : listener_->buffer_limit_bytes;
  size_t waiting = upstream_ ? upstream_->pending() : state_ == State::kReplying ? 0 : body_.size();
  bool much = waiting > most, little = waiting <= most / 2;
  for (const MirrorStream* m : mirrors_) {
    much |= m->pending() > m->watermark();
    little &= m->pending() <= m->watermark() / 2;
  }
  if (much && !request_paused_) {
    request_paused_ = true;
    ++stats_->downstream_flow_control_paused_reading_total;
    if (cluster_) ++cluster_->stats.upstream_flow_control_backed_up_total;
    downstream_->pause_request();
  } else if (little && request_paused_) {
    request_paused_ = false;
    ++stats_->downstream_flow_control_resumed_reading_total;
    if (cluster_) ++cluster_->stats.upstream_flow_control_drained_total;
    downstream_->resume_request();
  }
}

void Exchange::settle_response() {
  if (!downstream_ || !upstream_) return;
  size_t waiting = downstream_->pending() + slowed_.size();
  if (waiting > listener_->watermark_bytes && !upstream_paused_) {
    upstream_paused_ = true;
    ++cluster_->stats.upstream_flow_control_paused_reading_total;
    upstream_->pause();
  } else if (waiting <= listener_->watermark_bytes / 2 && upstream_paused_) {
    upstream_paused_ = false;
    ++cluster_->stats.upstream_flow_control_resumed_reading_total;
    upstream_->resume();
  }
}

void Exchange::on_request_end(const HeaderMap* trailers) {
  if (state_ == State::kOver || request_complete_) return;
  request_complete_ = true;
  info_.request_received = since_start();
  if (request_timer_) request_timer_->cancel();
  if (trailers) {
    has_request_trailers_ = true;
    for (const HeaderMap::Field& f : *trailers) request_trailer_map_.add_copy(f.name, f.value);
  }
  if (!request_watchers_.empty() && state_ != State::kFilters) {
    std::string last;
    filter_request_end(last);
    if (!last.empty() && upstream_ && !drop_response_) upstream_->send_data(last);
    if (!last.empty())
      for (MirrorStream* m : mirrors_) m->send_data(last);
    if (!last.empty() && !body_dropped_) body_ += last;
  }
  if (upstream_ && !drop_response_) {
    info_.request_sent = info_.request_received;
    upstream_->send_end(has_request_trailers_ ? &request_trailer_map_ : nullptr);
  }
  if (!mirrors_.empty()) end_mirrors();
  if (timeout_ && cluster_ && !response_begun_ && state_ != State::kReplying && !upgrade_) {
    if (response_timeout_.count() > 0) timeout_->arm(response_timeout_);
  }
  check_done();
}

void Exchange::on_upstream_drained() { settle_request(); }

// -------------------------------------------------------------------------------------------------- 6. response

void Exchange::on_interim(const ResponseHeaders& head) {
  // 100 was answered by us, unless the origin is to do it; others (103) pass.
  if ((head.status != 100 || config_->proxy_100_continue) && state_ != State::kOver && !drop_response_) downstream_->send_interim(head);
}

void Exchange::on_response(ResponseHeaders& head, bool end) {
  touch();
  if (try_timeout_) try_timeout_->cancel();
  if (head.status == 101 && (!upgrade_ || request_.method == "CONNECT")) {
    // A switch nobody asked for: what follows would not be HTTP.
    ++cluster_->stats.upstream_cx_protocol_error;
    std::exchange(upstream_, nullptr)->cancel();
    return attempt_failed(ResetReason::kProtocolError, "unexpected 101", false);
  }
  cluster_->report(*host_, head.status, false);
  if (may_retry_response(head) && try_retry(true)) {
    drop_response_ = true;
    cluster_->stats.retry_codes.count(head.status);
    // Whatever body follows is of no use; the connection goes with it unless it ends at once.
    if (!end) {
      UpstreamStream* stream = std::exchange(upstream_, nullptr);
      stream->discard();
      drop_response_ = false;
      end_attempt();
    }
    return;
  }
  if (route_->redirects && follow_redirect(head)) {
    if (end) {
      drop_response_ = redirect_due_ = true;
      return;
    }
    std::exchange(upstream_, nullptr)->discard();
    return begin_again();
  }
  touch_try();
  if (retries_done_ && head.status < 500) ++cluster_->stats.upstream_rq_retry_success;
  state_ = State::kReplying;
  response_begun_ = true;
  info_.response_first = info_.upstream_first = since_start();
  if (config_->log_needs) info_.upstream_plain_received += plain_bytes(head.fields) + 10;  // ":status" and its digits
  response_.status = head.status;
  response_.fields.add_all(head.fields, head.block);
  for (const auto& [name, sent] : head.sent_names) response_.sent_names.emplace_back(response_.fields.store(name), response_.fields.store(sent));
  info_.details = "via_upstream";
  stats_->downstream_rq_response_before_rq_complete += !request_complete_;
  prepare_response_headers(false, end);
  if (timeout_ && (end || head.status == 101)) timeout_->cancel();
  bool tunnel = upgrade_ && (request_.method == "CONNECT" ? head.status / 100 == 2 : head.status == 101);
  if (upgrade_ && !tunnel) upgrade_ = false, request_complete_ = true;  // it was a request without a body
  downstream_->send_head(response_, end && !tunnel);
  if (tunnel) {
    ++stats_->downstream_cx_upgrades_total;
    ++stats_->downstream_cx_upgrades_active;
    downstream_->tunnel();
  }
  if (end && !tunnel) response_complete_ = true;
}

void Exchange::on_response_data(std::string_view bytes) {
  if (state_ == State::kOver || drop_response_) return;
  std::string changed;
  if (!response_watchers_.empty()) {
    changed = bytes;
    filter_response_data(changed);
    bytes = changed;
    if (bytes.empty()) return touch();
  }
  if (info_.bytes_sent == 0) info_.response_body_first = since_start();
  info_.bytes_sent += bytes.size();
  touch();
  touch_try();
  relay(bytes);
  settle_response();
}

// Fifty milliseconds' worth of bytes at a time, the first of them at once (Envoy's StreamRateLimiter).
void Exchange::relay(std::string_view bytes) {
  if (!slow_bytes_) return downstream_->send_data(bytes);
  slowed_.append(bytes);
  if (!slow_) slow_.emplace(worker_.loop(), [this] { relay_slowly(); });
  if (!slow_->armed()) relay_slowly();
}

void Exchange::relay_slowly() {
  size_t n = std::min<size_t>(slowed_.size(), std::max<uint64_t>(slow_bytes_ / 20, 1));
  if (n == 0) return;
  std::string piece = slowed_.substr(0, n);
  slowed_.erase(0, n);
  downstream_->send_data(piece);
  if (state_ == State::kOver) return;
  if (slowed_.empty() && slowed_end_) return end_response();
  slow_->arm(std::chrono::milliseconds(50));
  settle_response();
}

void Exchange::end_response() {
  downstream_->send_end(info_.response_trailers ? &response_trailers_ : nullptr);
  response_complete_ = true;
  check_done();
}

void Exchange::on_downstream_drained() { settle_response(); }

void Exchange::on_response_end(const HeaderMap* trailers) {
  upstream_ = nullptr;
  if (state_ == State::kOver) return;
  if (std::exchange(drop_response_, false)) return std::exchange(redirect_due_, false) ? begin_again() : end_attempt();
  if (!response_complete_) {
    if (trailers) {
      for (const HeaderMap::Field& f : *trailers) response_trailers_.add_copy(f.name, f.value);
      info_.response_trailers = &response_trailers_;
      info_.upstream_plain_received += plain_bytes(response_trailers_);
    }
    if (!response_watchers_.empty()) {
      std::string last;
      filter_response_end(last, trailers ? &response_trailers_ : nullptr);
      info_.bytes_sent += last.size();
      if (!last.empty()) relay(last);
      if (response_trailers_.fields().empty()) info_.response_trailers = nullptr;
    }
    if (!slowed_.empty()) {
      slowed_end_ = true;
      if (timeout_) timeout_->cancel();  // the upstream has done its part
      return end_attempt();
    }
    downstream_->send_end(info_.response_trailers ? &response_trailers_ : nullptr);
    response_complete_ = true;
  }
  end_attempt();
  check_done();
}

// ------------------------------------------------------------------------------------------------------ 7. ended

// Over when the answer is complete; what is left of the request is read by the connection and goes nowhere.
void Exchange::check_done() {
  if (state_ == State::kOver || !response_complete_) return;
  if (upstream_) return;
  if (upgrade_ && !request_complete_) {
    // A tunnel whose upstream side ended.
    request_complete_ = true;
    if (tunnel_cut) {
      info_.flags |= kFlagUpstreamTermination;
      info_.details = "upstream_reset_after_response_started{connection_termination}";
    }
  }
  finish();
}

void Exchange::on_downstream_reset(uint32_t flag, std::string_view details) {
  if (state_ == State::kOver || state_ == State::kIdle) return;
  ++stats_->downstream_rq_rx_reset;
  info_.flags |= flag;
  if (info_.details.empty() || info_.details == "via_upstream") info_.details = details;
  downstream_ = nullptr;
  finish();
}

void Exchange::finish() {
  if (state_ == State::kOver) return;
  state_ = State::kOver;
  stop();
  account();
  if (downstream_) std::exchange(downstream_, nullptr)->exchange_done();
}

// Whatever is under way for the request, its timers too.
void Exchange::stop() {
  for (auto* timer : {&timeout_, &try_timeout_, &try_idle_, &idle_, &retry_, &request_timer_, &life_, &slow_})
    if (*timer) (*timer)->cancel();
  for (auto& [filter, state] : filter_states_) state->cancel();
  if (waiting_in_) waiting_in_->cancel(*this);
  if (upstream_) std::exchange(upstream_, nullptr)->cancel();
  for (MirrorStream* m : std::exchange(mirrors_, {})) m->abandon();
  end_attempt();
}

void Exchange::account() {
  info_.end = info_.response_last = since_start();
  if (info_.status == 0 && response_begun_) info_.status = response_.status;
  if (upgrade_ && response_begun_) --stats_->downstream_cx_upgrades_active;  // refused, it is an upgrade no more
  --stats_->downstream_rq_active;
  --worker_.active_exchanges_;
  ++stats_->downstream_rq_completed;
  stats_->codes.count(info_.status);
  stats_->rq_time.record(std::chrono::duration<double, std::milli>(info_.end).count());
  if (cluster_ && response_begun_ && !(info_.flags & (kFlagUpstreamOverflow))) {
    ++cluster_->stats.upstream_rq_completed;
    cluster_->stats.codes.count(info_.status);
    if (internal_) {
      cluster_->stats.internal_codes.count(info_.status);
      cluster_->stats.internal_rq_time.record(std::chrono::duration<double, std::milli>(worker_.now() - upstream_start_).count());
    }
    cluster_->stats.rq_time.record(std::chrono::duration<double, std::milli>(worker_.now() - upstream_start_).count());
  } else if (cluster_ && info_.status) {
    ++cluster_->stats.upstream_rq_completed;
    cluster_->stats.codes.count(info_.status);
    if (internal_) cluster_->stats.internal_codes.count(info_.status);
  }
  tell();
}

// Filters and logs hear of a request that is over.
void Exchange::tell() {
  info_.response = &response_;
  for (const Filter* filter : config_->end_filters)
    if (!filter_off(*filter)) filter->on_end(*this);
  if (!config_->access_logs.empty()) worker_.log(config_->access_logs, info_);
}

void Exchange::touch() {
  base::Nanos timeout = idle_timeout();
  if (timeout.count() <= 0) return;
  if (!idle_) idle_.emplace(worker_.loop(), [this] { on_idle(); });
  idle_->arm(timeout);
}

void Exchange::on_idle() {
  ++stats_->downstream_rq_idle_timeout;
  break_off(request_complete_ ? 504 : 408, "stream_idle_timeout", kFlagStreamIdleTimeout, "stream timeout");
}

void Exchange::recycle() {
  downstream_ = nullptr;
  listener_ = nullptr;
  config_ = nullptr;
  connection_ = nullptr;
  stats_ = nullptr;
  state_ = State::kIdle;
  request_.clear();
  internal_ = false;
  remote_text_.clear();
  if (body_.capacity() > 16 * 1024) body_ = std::string();
  else body_.clear();
  request_trailer_map_.clear();
  has_request_trailers_ = false;
  redirects_ = 0;
  redirected_.clear();
  forget_attempts();
}

// All but the request itself.
void Exchange::forget_attempts() {
  response_.clear();
  response_trailers_.clear();
  info_ = StreamInfo{};
  upstream_bytes = {};
  tunnel_cut = false;
  upstream_tls_.reset();
  table_.reset();
  host_config_ = nullptr;
  route_ = nullptr;
  route_cluster_ = nullptr;
  original_authority_ = {};
  filter_ = 0;
  filter_states_.clear();
  request_watchers_.clear();
  response_watchers_.clear();
  request_complete_ = body_dropped_ = upgrade_ = request_paused_ = false;
  cluster_ = nullptr;
  host_ = nullptr;
  pool_ = nullptr;
  upstream_ = nullptr;
  request_permit_ = retry_permit_ = Permit::kRefused;
  retries_left_ = retries_done_ = retry_on_ = 0;
  response_timeout_ = per_try_timeout_ = told_timeout_ = base::Nanos(0);
  retry_codes_.clear();
  retry_header_names_.clear();
  reset_after_ = base::Nanos(0);
  hashed_ = false;
  transparent_retry_done_ = fresh_connection_ = response_begun_ = response_complete_ = upstream_paused_ = drop_response_ = redirect_due_ = false;
  tried_.clear();
  deadline_ = {};
  slow_bytes_ = 0;
  slowed_.clear();
  slowed_end_ = false;
  failure_detail_.clear();
}

}  // namespace fairlead::proxy
