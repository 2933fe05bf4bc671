// Statistics under Envoy's names. Each worker counts in plain integers of its own; the main thread asks for them by a
// posted task and adds them up, so that nothing on the request path is shared.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/h2_counters.h"
#include "io/tls.h"

namespace fairlead::proxy {

// Envoy's default histogram buckets, in milliseconds; the last one is everything above.
inline constexpr std::array<double, 19> kHistogramBounds = {0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
                                                            2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};
struct Histogram {
  std::array<uint64_t, kHistogramBounds.size() + 1> buckets{};
  uint64_t count = 0;
  double sum = 0;
  void record(double ms);
  void add(const Histogram& other);
  double quantile(double q) const;
};

// Costs a pointer until something is recorded: most clusters of a large mesh are never called by one proxy.
struct SpareHistogram {
  std::unique_ptr<Histogram> recorded;
  void record(double ms) {
    if (!recorded) recorded = std::make_unique<Histogram>();
    recorded->record(ms);
  }
};

struct CodeCounts {
  std::vector<std::pair<uint16_t, uint64_t>> codes;
  std::array<uint64_t, 6> classes{};  // by first digit
  void count(int status);
};
struct SpareCodes {
  std::unique_ptr<CodeCounts> counted;
  void count(int status) {
    if (!counted) counted = std::make_unique<CodeCounts>();
    counted->count(status);
  }
};

#define FL_CLUSTER_STATS(COUNTER, GAUGE)                                                                               \
  COUNTER(upstream_cx_total) GAUGE(upstream_cx_active) COUNTER(upstream_cx_http1_total) COUNTER(upstream_cx_http2_total) \
  COUNTER(upstream_cx_connect_fail) COUNTER(upstream_cx_connect_timeout) COUNTER(upstream_cx_overflow)                 \
  COUNTER(upstream_cx_destroy) COUNTER(upstream_cx_destroy_local) COUNTER(upstream_cx_destroy_remote)                  \
  COUNTER(upstream_cx_destroy_with_active_rq) COUNTER(upstream_cx_destroy_local_with_active_rq) COUNTER(upstream_cx_destroy_remote_with_active_rq) COUNTER(upstream_cx_rx_bytes_total) COUNTER(upstream_cx_tx_bytes_total)  \
  COUNTER(upstream_cx_max_requests) COUNTER(upstream_cx_none_healthy) COUNTER(upstream_cx_idle_timeout)                \
  COUNTER(upstream_cx_protocol_error) COUNTER(upstream_cx_pool_overflow) COUNTER(upstream_cx_connect_attempts_exceeded) \
  COUNTER(upstream_rq_total) GAUGE(upstream_rq_active) COUNTER(upstream_rq_pending_total) GAUGE(upstream_rq_pending_active) \
  COUNTER(upstream_rq_pending_overflow) COUNTER(upstream_rq_pending_failure_eject) COUNTER(upstream_rq_cancelled)      \
  COUNTER(upstream_rq_timeout) COUNTER(upstream_rq_drop_overload) COUNTER(upstream_rq_per_try_timeout) COUNTER(upstream_rq_rx_reset)                      \
  COUNTER(upstream_rq_tx_reset) COUNTER(upstream_rq_retry) COUNTER(upstream_rq_retry_success)                          \
  COUNTER(upstream_rq_retry_overflow) COUNTER(upstream_rq_retry_limit_exceeded)                                        \
  COUNTER(upstream_rq_retry_backoff_exponential) COUNTER(upstream_rq_max_duration_reached) COUNTER(upstream_rq_completed) \
  COUNTER(lb_healthy_panic) COUNTER(original_dst_host_invalid) COUNTER(retry_or_shadow_abandoned)                      \
  COUNTER(upstream_rq_reused_reset) COUNTER(upstream_cx_max_duration_reached) COUNTER(upstream_rq_retry_backoff_ratelimited) \
  COUNTER(upstream_rq_per_try_idle_timeout) COUNTER(upstream_internal_redirect_succeeded_total)                        \
  COUNTER(upstream_internal_redirect_failed_total) COUNTER(upstream_cx_close_notify) COUNTER(bind_errors)                     \
  COUNTER(upstream_flow_control_paused_reading_total) COUNTER(upstream_flow_control_resumed_reading_total)             \
  COUNTER(upstream_flow_control_backed_up_total) COUNTER(upstream_flow_control_drained_total)                          \
  GAUGE(upstream_cx_rx_bytes_buffered) GAUGE(upstream_cx_tx_bytes_buffered)

#define FL_HTTP_STATS(COUNTER, GAUGE)                                                                                  \
  COUNTER(downstream_cx_total) GAUGE(downstream_cx_active) COUNTER(downstream_cx_http1_total) GAUGE(downstream_cx_http1_active) \
  COUNTER(downstream_cx_http2_total) GAUGE(downstream_cx_http2_active) COUNTER(downstream_cx_destroy)                  \
  COUNTER(downstream_cx_destroy_remote) COUNTER(downstream_cx_destroy_local) COUNTER(downstream_cx_idle_timeout)       \
  COUNTER(downstream_cx_destroy_active_rq) COUNTER(downstream_cx_destroy_local_active_rq) COUNTER(downstream_cx_destroy_remote_active_rq) \
  COUNTER(downstream_cx_ssl_total) GAUGE(downstream_cx_ssl_active)                                                     \
  COUNTER(downstream_cx_protocol_error) COUNTER(downstream_cx_rx_bytes_total) COUNTER(downstream_cx_tx_bytes_total)    \
  COUNTER(downstream_cx_max_requests_reached) COUNTER(downstream_cx_max_duration_reached) COUNTER(downstream_cx_upgrades_total) \
  COUNTER(downstream_cx_drain_close) COUNTER(downstream_rq_total) GAUGE(downstream_rq_active) COUNTER(downstream_rq_http1_total) \
  COUNTER(downstream_rq_http2_total) COUNTER(downstream_rq_completed) COUNTER(downstream_rq_rx_reset)                  \
  COUNTER(downstream_rq_tx_reset) COUNTER(downstream_rq_timeout) COUNTER(downstream_rq_idle_timeout)                   \
  COUNTER(downstream_rq_header_timeout) COUNTER(downstream_rq_overload_close) COUNTER(downstream_cx_overload_disable_keepalive) COUNTER(downstream_rq_max_duration_reached) COUNTER(downstream_rq_too_large) COUNTER(downstream_rq_redirected_with_normalized_path) \
  COUNTER(no_route) COUNTER(no_cluster) COUNTER(rq_redirect) COUNTER(rq_direct_response) COUNTER(rq_total)             \
  COUNTER(passthrough_internal_redirect_bad_location) COUNTER(passthrough_internal_redirect_unsafe_scheme)             \
  COUNTER(passthrough_internal_redirect_too_many_redirects) COUNTER(passthrough_internal_redirect_no_route)             \
  COUNTER(passthrough_internal_redirect_predicate)                                                                     \
  COUNTER(fault_delays_injected) COUNTER(fault_aborts_injected) COUNTER(fault_response_rl_injected) GAUGE(fault_active_faults) \
  COUNTER(downstream_flow_control_paused_reading_total) COUNTER(downstream_flow_control_resumed_reading_total)         \
  COUNTER(downstream_rq_response_before_rq_complete) COUNTER(downstream_rq_failed_path_normalization)                  \
  COUNTER(downstream_rq_non_relative_path) COUNTER(downstream_rq_rejected_via_ip_detection)                            \
  COUNTER(downstream_rq_too_many_premature_resets) COUNTER(downstream_rq_ws_on_non_ws_route)                           \
  GAUGE(downstream_cx_upgrades_active) COUNTER(downstream_cx_delayed_close_timeout) GAUGE(downstream_cx_rx_bytes_buffered) GAUGE(downstream_cx_tx_bytes_buffered)

#define FL_LISTENER_STATS(COUNTER, GAUGE)                                                                              \
  COUNTER(downstream_cx_total) GAUGE(downstream_cx_active) COUNTER(downstream_cx_destroy)                              \
  COUNTER(downstream_pre_cx_timeout) COUNTER(no_filter_chain_match) COUNTER(downstream_global_cx_overflow)             \
  COUNTER(downstream_cx_transport_socket_connect_timeout) COUNTER(downstream_context_secrets_not_ready) \
  COUNTER(downstream_cx_overload_reject) GAUGE(downstream_pre_cx_active) COUNTER(downstream_listener_filter_error)     \
  COUNTER(downstream_listener_filter_remote_close)

#define FL_TCP_STATS(COUNTER, GAUGE)                                                                                   \
  COUNTER(downstream_cx_total) COUNTER(downstream_cx_no_route) COUNTER(downstream_cx_rx_bytes_total)                   \
  COUNTER(downstream_cx_tx_bytes_total) COUNTER(idle_timeout) COUNTER(max_downstream_connection_duration) \
  COUNTER(downstream_flow_control_paused_reading_total) COUNTER(downstream_flow_control_resumed_reading_total)         \
  GAUGE(downstream_cx_rx_bytes_buffered) GAUGE(downstream_cx_tx_bytes_buffered)

// Of HTTP/1.1's two sides, what Envoy's codec counts and can come to pass here.
#define FL_H1_STATS(COUNTER) COUNTER(dropped_headers_with_underscores) COUNTER(requests_rejected_with_underscores_in_headers)

// Of the listener filters that look at the first bytes, all listeners together.
#define FL_TLS_INSPECTOR_STATS(COUNTER)                                                                                \
  COUNTER(tls_found) COUNTER(tls_not_found) COUNTER(sni_found) COUNTER(sni_not_found) COUNTER(alpn_found) COUNTER(alpn_not_found)
#define FL_HTTP_INSPECTOR_STATS(COUNTER) COUNTER(http10_found) COUNTER(http11_found) COUNTER(http2_found) COUNTER(http_not_found)

#define FL_FIELD(name) uint64_t name = 0;
struct InspectorStats {
  FL_TLS_INSPECTOR_STATS(FL_FIELD)
  FL_HTTP_INSPECTOR_STATS(FL_FIELD)
};
struct H1Stats {
  FL_H1_STATS(FL_FIELD)
};
// streams_active, pending_send_bytes: noted when statistics are asked for, like the other *_buffered.
struct H2Stats {
  http::H2Counters counters;
  uint64_t streams_active = 0, pending_send_bytes = 0;
};
struct ClusterStats {
  FL_CLUSTER_STATS(FL_FIELD, FL_FIELD)
  CodeCounts codes;
  SpareCodes internal_codes, retry_codes;       // of `codes` those to internal requests; of answers that were not passed on
  Histogram rq_time, connect_ms;
  SpareHistogram internal_rq_time, cx_length, rq_per_cx;
  io::TlsCounters tls;
  H2Stats http2;
};
struct HttpStats {
  FL_HTTP_STATS(FL_FIELD, FL_FIELD)
  CodeCounts codes;
  Histogram rq_time;
  SpareHistogram cx_length;
};
struct ListenerStats {
  FL_LISTENER_STATS(FL_FIELD, FL_FIELD)
  SpareHistogram cx_length;
  io::TlsCounters tls;
  // Those of each connection manager, by prefix, as far as they were counted here; those of one prefix are printed as their
  // sum. Valid as long as these.
  HttpStats& http(std::string_view prefix);
  std::vector<std::pair<std::string, std::unique_ptr<HttpStats>>> managers;
};
struct TcpStats {
  FL_TCP_STATS(FL_FIELD, FL_FIELD)
};
#undef FL_FIELD

// Sums by full name, as the admin pages print them.
struct StatsSnapshot {
  std::map<std::string, uint64_t> counters, gauges;
  std::map<std::string, Histogram> histograms;
  std::map<std::string, std::string> texts;
  // Statistics that have their labels already: family -> `a="b",c="d"` -> value.
  std::map<std::string, std::map<std::string, uint64_t>> tagged, tagged_gauges;
  std::map<std::string, std::map<std::string, Histogram>> tagged_histograms;

  void add(std::string_view prefix, const ClusterStats& stats);
  void add(std::string_view prefix, const HttpStats& stats);
  void add(std::string_view prefix, const ListenerStats& stats);
  void add(std::string_view prefix, const TcpStats& stats);
  void add(std::string_view prefix, const io::TlsCounters& tls);
  void add(const InspectorStats& stats, bool tls, bool http);  // those of the filters that there are
  void add(std::string_view prefix, const H1Stats& stats);
  void add(std::string_view prefix, const H2Stats& stats);
  void merge(const StatsSnapshot& other);
};

}  // namespace fairlead::proxy
