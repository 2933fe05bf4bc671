// What the data plane runs on: xDS resources compiled into immutable objects.
//
// Built on the main thread by config/compile_*.cc, shared with workers as shared_ptr<const T>, never changed after.
// An exchange keeps the RouteTable and ListenerConfig that it began with. Clusters are named by ClusterId, a dense
// number that a name keeps for the life of the process, so that a request finds its cluster by index.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "http/h2_floods.h"
#include "http/h2_keep_alive.h"
#include "io/address.h"
#include "proxy/config/discovery_source.h"
#include "proxy/config/matchers.h"
#include "proxy/config/rate_limits.h"
#include "proxy/config/uri_template.h"
#include "proxy/config/workload.h"
#include "proxy/log/access_log.h"

namespace fairlead::io {
struct SocketSetup;
}

namespace fairlead::proxy {

class Filter;          // filters/filter.h
class TlsSource;       // tls_source.h
struct RouteFilter;
struct FlowConfig;     // flow/flow_config.h
struct IstioStatsConfig;

using base::Nanos;

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};
template <class T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

constexpr size_t kDefaultWatermark = 256 * 1024;

using ClusterId = uint32_t;
inline constexpr ClusterId kNoCluster = ~0u;

// Names to ids; main thread adds, workers get the id inside compiled configuration.
class ClusterNames {
 public:
  ClusterId id(std::string_view name);                 // adds when new
  const std::string& name(ClusterId id) const { return names_[id]; }
  size_t size() const { return names_.size(); }

 private:
  StringMap<ClusterId> ids_;
  std::vector<std::string> names_;
};

// ---------------------------------------------------------------------------------------------------------- routes

struct HeaderMutation {
  enum class Append : uint8_t { kAppend, kAddIfAbsent, kOverwrite, kOverwriteIfExists };
  struct Add {
    std::string name;               // lower-case
    LogFormat value;                // a constant unless it has %COMMANDS%
    Append append = Append::kAppend;
    bool keep_empty = false;
  };
  std::vector<Add> request_add, response_add;
  std::vector<std::string> request_remove, response_remove;
  bool empty() const { return request_add.empty() && response_add.empty() && request_remove.empty() && response_remove.empty(); }
};

enum RetryOn : uint32_t {
  kRetry5xx = 1u << 0,
  kRetryGatewayError = 1u << 1,
  kRetryReset = 1u << 2,
  kRetryConnectFailure = 1u << 3,
  kRetryRefusedStream = 1u << 4,
  kRetryRetriable4xx = 1u << 5,
  kRetryRetriableStatusCodes = 1u << 6,
  kRetryRetriableHeaders = 1u << 7,
  kRetryEnvoyRatelimited = 1u << 8,
  kRetryResetBeforeRequest = 1u << 9,
  kRetryGrpcCancelled = 1u << 10,
  kRetryGrpcDeadlineExceeded = 1u << 11,
  kRetryGrpcInternal = 1u << 12,
  kRetryGrpcResourceExhausted = 1u << 13,
  kRetryGrpcUnavailable = 1u << 14,
};
// "5xx,reset,..." as in retry_on and x-envoy-retry-on; words it does not know are ignored, as Envoy does.
uint32_t parse_retry_on(std::string_view text);

struct RetryPolicy {
  uint32_t retry_on = 0;
  uint32_t num_retries = 1;
  Nanos per_try_timeout{0};
  Nanos base_interval = std::chrono::milliseconds(25);
  Nanos max_interval = std::chrono::milliseconds(250);
  std::vector<uint16_t> status_codes;
  Nanos per_try_idle_timeout{0};
  std::vector<HeaderMatcher> retriable_headers;  // of the response
  std::vector<HeaderMatcher> request_headers;    // of the request: when given, one must match
  // rate_limited_retry_back_off: a header of the answer that says when to come again.
  struct ResetHeader {
    std::string name;                            // lower-case
    bool unix_timestamp = false;                 // else seconds from now
  };
  std::vector<ResetHeader> reset_headers;
  Nanos rate_limited_max = std::chrono::seconds(300);
  uint32_t host_attempts = 1;                    // host_selection_retry_max_attempts
  bool previous_hosts = false;                   // envoy.retry_host_predicates.previous_hosts
};

// Redirects of the upstream's that are followed here and not told to the client.
struct RedirectPolicy {
  uint32_t most = 1;                             // for a request
  std::vector<int> codes = {302};
  bool cross_scheme = false;
  bool safe_cross_scheme = false;                // from TLS to plain text, not the other way
  bool no_route_twice = false;                   // previous_routes
  std::vector<std::vector<std::string>> allowed_routes;  // each list has to have the target's name
  std::vector<std::string> copied;               // fields of the answer that the new request gets, lower-case
};

struct RegexRewrite {
  std::shared_ptr<const Regex> regex;
  std::string substitution;
};

struct HashPolicy {
  enum class Kind : uint8_t { kHeader, kCookie, kSourceIp, kQuery };
  Kind kind = Kind::kHeader;
  std::string name;
  std::string cookie_path;
  std::string cookie_attributes;                 // "; name=value; flag"
  std::optional<RegexRewrite> rewrite;           // of the header's value
  std::optional<Nanos> cookie_ttl;               // set: make the cookie when it is missing
  bool terminal = false;
};

struct PathMatch {
  enum class Kind : uint8_t { kPrefix, kExact, kRegex, kSeparatedPrefix, kConnect, kTemplate };
  Kind kind = Kind::kPrefix;
  bool ignore_case = false;
  std::string text;
  std::shared_ptr<const Regex> regex;            // kRegex, kTemplate
  bool matches(std::string_view path, std::string_view method) const;  // path without the query
};

// What a weighted cluster, route, virtual host or table says to filters of the chain (typed_per_filter_config).
struct PerFilter {
  struct Entry {
    std::string name;                            // of the filter in the chain
    std::shared_ptr<const RouteFilter> config;   // nullptr: nothing said
    bool disabled = false;
  };
  std::vector<Entry> entries;
  const Entry* find(std::string_view name) const {
    for (const Entry& e : entries)
      if (e.name == name) return &e;
    return nullptr;
  }
};

struct RouteCluster {
  ClusterId id = kNoCluster;
  std::string name;
  uint32_t weight = 1;
  std::string host_rewrite;
  HeaderMutation headers;
  PerFilter filters;
  std::string cluster_header;                    // names the cluster, by request; `name` is empty then
};

struct Mirror {
  ClusterId id = kNoCluster;
  std::string name;
  std::string cluster_header;                    // names the cluster, by request
  Fraction fraction;
  bool keep_host = false;                        // disable_shadow_host_suffix_append
};

struct Route {
  enum class Action : uint8_t { kForward, kRedirect, kDirect, kNone };

  std::string name;
  std::shared_ptr<const std::string> metadata;   // serialized, for logs; nullptr: none
  PathMatch path;
  std::vector<HeaderMatcher> headers;
  std::vector<QueryMatcher> query;
  std::optional<Fraction> fraction;
  bool grpc = false;
  std::optional<bool> certificate_presented, certificate_validated;  // of the client

  Action action = Action::kForward;

  // kForward
  std::vector<RouteCluster> clusters;            // one or more, unless cluster_header
  uint32_t total_weight = 0;                     // 0: one cluster
  std::string weights_header;                    // a field whose number chooses in place of chance
  std::string cluster_header;
  int cluster_not_found_status = 503;
  std::optional<Nanos> timeout;                  // nothing: 15 s as Envoy; 0: none
  std::optional<Nanos> idle_timeout;
  std::optional<Nanos> max_grpc_timeout;
  std::optional<Nanos> grpc_timeout_header_max;  // a grpc-timeout is the stream's longest duration, up to this; 0: any
  Nanos grpc_timeout_header_offset{0};
  std::optional<Nanos> max_stream_duration;
  std::shared_ptr<const RetryPolicy> retry;      // nullptr: none
  std::shared_ptr<const RedirectPolicy> redirects;  // nullptr: they go to the client
  std::string prefix_rewrite;
  std::optional<RegexRewrite> regex_rewrite;
  std::optional<UriRewrite> template_rewrite;    // path_rewrite_policy
  std::string host_rewrite, host_rewrite_header;
  bool auto_host_rewrite = false;
  std::optional<RegexRewrite> host_rewrite_path;
  bool append_forwarded_host = false;
  std::vector<Mirror> mirrors;
  std::vector<HashPolicy> hash;
  bool high_priority = false;
  StringMap<bool> upgrades;                      // overrides of the connection manager's list
  bool connect_ends = false, post_ends = false;  // connect_config: the body alone goes to the endpoint, by TCP
  int connect_proxy_version = 0;                 // with a PROXY header of this version before it; 0: none

  // kRedirect
  int redirect_status = 301;
  std::string redirect_scheme, redirect_host, redirect_path, redirect_prefix;
  std::optional<RegexRewrite> redirect_regex;
  uint32_t redirect_port = 0;
  bool redirect_https = false, strip_query = false;

  // kDirect
  int direct_status = 0;
  std::string direct_body;

  std::vector<RateLimitRule> rate_limits;
  bool include_host_rate_limits = false;         // include_vh_rate_limits
  HeaderMutation mutation;
  bool changes_headers = false;                  // it, what stands above it, or one of its clusters
  PerFilter filters;
};

// Finds the routes of a virtual host whose path may match without trying each: for hosts with many routes.
class RouteIndex;

struct VirtualHost {
  std::string name;
  std::shared_ptr<const std::string> metadata;   // serialized, for logs; nullptr: none
  std::vector<Route> routes;
  std::shared_ptr<const RouteIndex> index;       // nullptr: few routes, tried one by one
  HeaderMutation mutation;
  PerFilter filters;
  std::vector<RateLimitRule> rate_limits;
  bool attempt_count_header = false;             // include_request_attempt_count
  bool attempt_count_in_response = false;
  bool require_tls = false;
};

struct RouteTable {
  std::string name, version;
  std::vector<VirtualHost> hosts;
  // Domains in Envoy's order: exact, then the longest "*.suffix", then the longest "prefix.*", then "*".
  StringMap<uint32_t> exact;
  std::vector<std::pair<size_t, StringMap<uint32_t>>> suffixes, prefixes;  // by length, longest first
  std::optional<uint32_t> any;
  HeaderMutation mutation;
  PerFilter filters;
  bool ignore_port = false;

  const VirtualHost* find_host(std::string_view authority) const;
  const Route* find_route(const VirtualHost& host, const RequestHeaders& request, uint64_t random) const;
  std::vector<std::string> internal_headers;     // lower-case; taken out of requests from outside
  bool specific_wins = false;                    // header changes: the route's come last
  bool ignore_parameters = false;                // ";x=y" of the path, in matching
  bool asks_certificate = false;                 // one of its routes wants to know of the client's
};

// ------------------------------------------------------------------------------------------------------- listeners

struct AccessLogConfig {
  std::string path;                              // "/dev/stdout" and "/dev/stderr" are the process's own
  LogFormat format;
  struct Filter;
  std::shared_ptr<const Filter> filter;          // nullptr: everything
};

// A filter tree (envoy.config.accesslog.v3.AccessLogFilter).
struct AccessLogConfig::Filter {
  enum class Kind : uint8_t { kAnd, kOr, kStatus, kDuration, kFlags, kHeader, kNotHealthCheck, kFraction, kGrpcStatus, kType, kMetadata, kTraceable };
  enum class Op : uint8_t { kEqual, kAtLeast, kAtMost, kNot };
  Kind kind = Kind::kAnd;
  std::vector<Filter> parts;
  Op op = Op::kEqual;
  uint64_t value = 0;
  std::vector<std::string> flags;
  std::optional<HeaderMatcher> header;
  uint32_t bits = 0;                             // kGrpcStatus: statuses; kType: types of v3 AccessLogType; kFraction: so many of `value`
  bool independent = false;                      // kFraction: drawn anew; else the request id decides, the same everywhere
  bool pass = false;                             // kGrpcStatus, kType: exclude; kMetadata: match_if_key_not_found
};

// Whether an access log takes this, or a mapper of local replies (access_log_filter.cc). Worker thread.
bool passes(const AccessLogConfig::Filter& filter, const StreamInfo& info);

struct Cidr {
  io::Address network;
  uint32_t bits = 0;
  bool contains(const io::Address& address) const;
};

// How field names are written on HTTP/1.1 (Envoy's header_key_format). kPreserve: as they were received.
enum class HeaderCase : uint8_t { kLower, kProper, kPreserve };

// Where the client's address is read from when the peer is a proxy that we trust (original_ip_detection_extensions).
struct IpDetection {
  enum class Kind : uint8_t { kXff, kHeader } kind = Kind::kXff;
  uint32_t hops = 0;                             // kXff
  std::string header;                            // kHeader, lower-case
  bool trusted = false;                          // kHeader: the address may make a request internal
  int reject_status = 0;                         // kHeader: answer when there is no address; 0: go on
};

// What answers of our own look like (local_reply_config).
struct LocalReply {
  struct Mapper {
    AccessLogConfig::Filter filter;
    std::optional<int> status;
    std::optional<std::string> body;
    std::optional<LogFormat> format;
    std::string content_type;                    // of `format`
    HeaderMutation headers;                      // response_add
  };
  std::vector<Mapper> mappers;                   // the first that matches
  std::optional<LogFormat> format;
  std::string content_type;
};

struct HttpConfig {                              // the HTTP connection manager
  enum class Codec : uint8_t { kAuto, kHttp1, kHttp2 };
  enum class ServerHeader : uint8_t { kOverwrite, kAppendIfAbsent, kPassThrough };
  std::string stat_prefix;
  Codec codec = Codec::kAuto;
  std::string rds_name;                          // empty: route_table is inline
  DiscoverySource rds_source;
  std::shared_ptr<const RouteTable> route_table;
  std::vector<std::shared_ptr<const Filter>> filters;                // in order, without the router
  std::vector<const Filter*> request_filters, response_filters, end_filters;  // those with the hook; responses in reverse
  std::vector<AccessLogConfig> access_logs;
  std::string server_name = "envoy";
  ServerHeader server_header = ServerHeader::kOverwrite;
  std::string via;
  bool use_remote_address = false;
  uint32_t xff_trusted_hops = 0;
  bool skip_xff_append = false;
  bool generate_request_id = true;
  bool preserve_request_id = false;
  bool request_id_in_response = false;
  bool accept_http10 = false;
  std::string default_host_http10;
  bool normalize_path = false, merge_slashes = false;
  enum class EscapedSlashes : uint8_t { kKeep, kReject, kRedirect, kForward } escaped_slashes = EscapedSlashes::kKeep;
  bool strip_any_port = false, strip_matching_port = false, strip_trailing_dot = false;
  bool append_forwarded_port = false;
  bool add_user_agent = false;
  enum class ClientCert : uint8_t { kSanitize, kForward, kAppend, kSanitizeSet, kAlwaysForward } client_cert = ClientCert::kSanitize;
  // set_current_client_cert_details, beside By and Hash
  bool cert_subject = false, cert_pem = false, cert_chain = false, cert_dns = false, cert_uri = false;
  uint8_t log_needs = 0;                         // of all formats (LogFormat::Need)
  size_t max_header_bytes = 60 * 1024;
  uint32_t max_header_count = 100;
  Nanos idle_timeout = std::chrono::hours(1);
  Nanos stream_idle_timeout = std::chrono::minutes(5);
  Nanos request_timeout{0};
  Nanos request_headers_timeout{0};
  Nanos max_connection_duration{0};
  Nanos max_stream_duration{0};
  Nanos delayed_close_timeout = std::chrono::seconds(1);
  Nanos drain_timeout = std::chrono::seconds(5);
  uint32_t max_requests_per_connection = 0;
  uint32_t max_concurrent_streams = 100;
  http::H2Floods floods;
  http::H2KeepAliveOptions keep_alive;
  uint32_t stream_window = 65536 * 4, connection_window = 65536 * 16;
  struct Upgrade {
    bool enabled;
    std::shared_ptr<const HttpConfig> config;    // with filters of its own; nullptr: as every request
  };
  StringMap<Upgrade> upgrades;                   // by lower-case type

  // From compile_hcm.cc.
  std::vector<IpDetection> ip_detection;         // without use_remote_address; the first that finds an address
  std::vector<Cidr> internal_ranges;             // whose requests are internal; Envoy's default is nobody
  bool internal_unix = false;
  HeaderMutation early;                          // request_*: before anything looks at the request
  std::shared_ptr<const LocalReply> local_reply; // nullptr: as they are
  bool proxy_100_continue = false;
  enum class Underscores : uint8_t { kAllow, kReject, kDrop } underscores = Underscores::kAllow;
  bool http1_trailers = false;
  HeaderCase header_case = HeaderCase::kLower;
  std::string scheme_overwrite;                  // "http", "https"; "": as it came
  bool match_upstream_scheme = false;            // the scheme is that of the endpoint's transport

  // Of the router (envoy.extensions.filters.http.router.v3.Router).
  bool suppress_envoy_headers = false;
  bool respect_expected_timeout = false;
  std::vector<std::string> strict_headers;       // refused when what they say can't be read
};

struct TunnelConfig {                            // tcp_proxy's tunneling_config
  LogFormat host;                                // the request's authority
  bool post = false;                             // instead of CONNECT
  std::string path;                              // of a POST
  std::vector<HeaderMutation::Add> headers;
};

struct TcpConfig {                               // tcp_proxy
  std::string stat_prefix;
  std::vector<RouteCluster> clusters;
  uint32_t total_weight = 0;
  Nanos idle_timeout = std::chrono::hours(1);
  Nanos max_duration{0};
  uint32_t max_connect_attempts = 1;
  bool hash_source_ip = false;
  bool cluster_by_sni = false;                   // sni_cluster stands before it
  std::optional<TunnelConfig> tunnel;
  std::shared_ptr<const IstioStatsConfig> istio_stats;  // nullptr: not counted (filters/istio_stats.h)
  std::shared_ptr<const FlowConfig> flow;        // nullptr: connections are not asked about
  std::vector<AccessLogConfig> access_logs;
  uint8_t log_needs = 0;
};

struct FilterChainMatch {
  std::optional<uint16_t> destination_port;
  std::vector<Cidr> prefix_ranges;
  std::vector<std::string> server_names;         // lower-case; "*.x" as Envoy
  std::string transport_protocol;                // "raw_buffer", "tls" or ""
  std::vector<std::string> application_protocols;
  std::vector<Cidr> direct_source_ranges;
  enum class Source : uint8_t { kAny, kLocal, kExternal } source = Source::kAny;
  std::vector<Cidr> source_ranges;
  std::vector<uint16_t> source_ports;
};

struct FilterChain {
  std::string name;
  uint64_t fingerprint = 0;                      // of the resource: connections on a chain that stays the same stay
  FilterChainMatch match;
  std::shared_ptr<const HttpConfig> http;        // either this
  std::shared_ptr<const TcpConfig> tcp;          // or this; neither: the connection is closed
  std::shared_ptr<TlsSource> tls;                // nullptr: plain text
  Nanos handshake_timeout{0};                    // transport_socket_connect_timeout; 0: none
};

// Ports on which a listener filter does not run.
struct PortPredicate {
  enum class Kind : uint8_t { kNever, kAny, kPortRange, kNot, kOr, kAnd };
  Kind kind = Kind::kNever;
  uint32_t from = 0, to = 0;                     // half-open
  std::vector<PortPredicate> parts;
  bool matches(uint16_t port) const;
};

struct ListenerConfig {
  std::string name, version;
  io::Address address;
  std::vector<io::Address> more_addresses;       // that it listens on as well
  std::string stat_name;                         // "0.0.0.0_15006": the address as in listener.<stat_name>.
  bool bind = true;
  bool use_original_dst = false;                 // hand the connection to the listener of its original destination
  bool transparent = false, freebind = false;
  bool original_dst_filter = false, tls_inspector = false, http_inspector = false;
  bool proxy_protocol = false;                   // a PROXY header comes first
  bool proxy_protocol_optional = false;
  bool proxy_protocol_all_tlvs = false;          // kept for endpoints: all, or these types
  std::vector<uint8_t> proxy_protocol_tlvs;
  bool proxy_protocol_refused[2] = {false, false};  // version 1, version 2
  PortPredicate tls_inspector_off, http_inspector_off;
  Nanos inspect_timeout = std::chrono::seconds(15);
  bool continue_on_inspect_timeout = false;
  bool outbound = false;                         // traffic_direction
  size_t buffer_limit_bytes = 1 << 20;           // of a body that is kept
  size_t watermark_bytes = kDefaultWatermark;    // bytes that may wait for the peer before the other side is paused
  uint32_t backlog = 1024;
  bool reuse_port = true;
  std::vector<FilterChain> chains;
  std::optional<FilterChain> default_chain;
  std::vector<AccessLogConfig> access_logs;      // of connections that no chain took
};

// What is known of a connection when its chain is chosen.
struct ConnectionFacts {
  io::Address destination, source;
  std::string_view server_name;                  // lower-case
  std::string_view transport_protocol = "raw_buffer";
  std::vector<std::string> application_protocols;
};
// Envoy's order: destination port, destination IP, server name, transport protocol, application protocols, direct
// source IP, source type, source IP, source port; the more specific wins at each step, and there is no backtracking.
const FilterChain* find_chain(const ListenerConfig& listener, const ConnectionFacts& facts);

// -------------------------------------------------------------------------------------------------------- clusters

enum class HealthStatus : uint8_t { kHealthy, kUnhealthy, kDegraded };

// One endpoint. Identity (and with it pools, ejection, counters) survives updates that keep its address.
// Constant fields first; the atomics are shared by all workers, written on errors and by the main thread only.
struct Host : std::enable_shared_from_this<Host> {
  io::Address address;
  std::vector<io::Address> more_addresses;       // other addresses of the same endpoint, tried after the first
  std::string hostname;
  std::string text;                              // address as text
  std::string locality;                          // "region/zone/sub_zone"
  bool canary = false;
  std::vector<std::pair<std::string, std::string>> socket_labels;  // metadata envoy.transport_socket_match
  // health_check_config: where checks go when not to `address`.
  std::optional<io::Address> check_address;
  std::string check_hostname;
  bool check_disabled = false;
  std::string workload_text;                     // metadata istio.workload
  std::shared_ptr<const std::string> metadata;   // serialized, for logs; nullptr: none
  std::shared_ptr<const Workload> workload;      // the same, taken apart; nullptr: not told

  std::atomic<uint32_t> weight{1}, priority{0};
  std::atomic<HealthStatus> eds_health{HealthStatus::kHealthy};
  std::atomic<uint32_t> connections{0};          // of all workers
  std::atomic<bool> ejected{false};
  std::atomic<bool> failed_check{false};         // active health checks say no
  std::atomic<bool> degraded_check{false};       // they say x-envoy-degraded
  std::atomic<int64_t> serving_since_ns{0};      // of the steady clock: when it got its first traffic, for slow start
  std::atomic<uint32_t> consecutive_5xx{0}, consecutive_gateway{0}, consecutive_local{0};
  std::atomic<uint32_t> ejections{0};            // grows by one with each, shrinks in good intervals
  std::atomic<int32_t> success_percent{-1}, local_success_percent{-1};  // of the last interval of outlier detection, -1: too few requests
  HealthStatus health() const {
    if (failed_check.load(std::memory_order_relaxed) || ejected.load(std::memory_order_relaxed)) return HealthStatus::kUnhealthy;
    HealthStatus said = eds_health.load(std::memory_order_relaxed);
    return said == HealthStatus::kHealthy && degraded_check.load(std::memory_order_relaxed) ? HealthStatus::kDegraded : said;
  }
  bool usable() const { return health() != HealthStatus::kUnhealthy; }
};
using HostPtr = std::shared_ptr<Host>;

struct EndpointSet {
  std::vector<HostPtr> hosts;
  // What this set says of each host, in the same order; given to the hosts by adopt(), when the set is accepted.
  struct Entry {
    uint32_t weight = 1, priority = 0;
    uint32_t locality = 0;                       // in localities
    HealthStatus health = HealthStatus::kHealthy;
  };
  std::vector<Entry> entries;
  struct Locality {
    std::string name;
    uint32_t priority = 0;
    uint32_t weight = 0;                         // load_balancing_weight; 0: none given
  };
  std::vector<Locality> localities;
  uint32_t overprovisioning = 140;
  Fraction dropped{0};                           // of the requests, unseen (drop_overloads)
  void adopt() const;                            // main thread
};

struct OutlierConfig {
  uint32_t consecutive_5xx = 5, enforcing_5xx = 100;
  uint32_t consecutive_gateway = 5, enforcing_gateway = 0;
  uint32_t consecutive_local = 5, enforcing_local = 100;
  bool split_local = false;
  Nanos interval = std::chrono::seconds(10);
  Nanos base_ejection = std::chrono::seconds(30);
  Nanos max_ejection = std::chrono::seconds(300);
  Nanos max_ejection_jitter{0};
  uint32_t max_ejection_percent = 10;
  bool always_eject_one = false;
  bool check_unejects = true;                    // successful_active_health_check_uneject_host
  uint32_t enforcing_success_rate = 100, enforcing_local_success_rate = 100;
  uint32_t success_rate_hosts = 5, success_rate_volume = 100, success_rate_factor = 1900;
  uint32_t failure_threshold = 85, enforcing_failure = 0, enforcing_local_failure = 0;
  uint32_t failure_hosts = 5, failure_volume = 50;
};

// envoy.config.core.v3.HealthCheck
struct HealthCheckConfig {
  enum class Kind : uint8_t { kHttp, kTcp, kGrpc };
  Kind kind = Kind::kHttp;
  Nanos timeout = std::chrono::seconds(1), interval = std::chrono::seconds(5);
  Nanos initial_jitter{0}, interval_jitter{0};
  uint32_t interval_jitter_percent = 0;
  Nanos no_traffic_interval = std::chrono::seconds(60);
  std::optional<Nanos> no_traffic_healthy_interval, unhealthy_interval, unhealthy_edge_interval, healthy_edge_interval;
  uint32_t unhealthy_threshold = 1, healthy_threshold = 1;
  std::optional<uint16_t> alt_port;
  bool reuse_connection = true;
  bool log_failures = false, log_successes = false;
  std::string event_log;                         // file
  // HTTP
  std::string host, path, method = "GET";
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> headers_removed;
  std::vector<std::pair<int64_t, int64_t>> expected, retriable;  // statuses, half-open
  std::string service_prefix;                    // of x-envoy-upstream-healthchecked-cluster
  std::vector<std::string> expected_body;
  bool http2 = false;
  // TCP
  std::string send;
  std::vector<std::string> receive;
  int proxy_version = 0;                         // a PROXY header of this version comes first; 0: none
  // gRPC
  std::string service, authority;
};

// A PROXY header that is written (envoy.config.core.v3.ProxyProtocolConfig).
struct ProxyHeaderConfig {
  int version = 1;
  bool all_tlvs = false;
  std::vector<uint8_t> tlvs;                     // types that are passed on from the client's own header, when not all
  bool operator==(const ProxyHeaderConfig&) const = default;
};

struct Thresholds {
  uint32_t max_host_connections = ~0u;           // per_host_thresholds
  uint32_t max_connections = 1024, max_pending = 1024, max_requests = 1024, max_retries = 3;
  // With a budget, retries are limited to a share of the active and pending requests, and max_retries is not read.
  std::optional<double> budget_percent;
  uint32_t budget_minimum = 3;
  bool track_remaining = false;
};

// Circuit breaker counters of a cluster, shared by the workers. A limit of 2^31 or more is no limit and is not counted,
// so that clusters without limits (Istio's default) share nothing.
struct Breakers {
  std::atomic<uint32_t> connections{0}, pending{0}, requests{0}, retries{0};
  std::atomic<bool> used{false};                 // a connection was opened; health checks ask
};
inline constexpr uint32_t kUnlimited = 1u << 31;

// dns_lookup_family. kAuto: IPv6, and where there is none IPv4; kV4Preferred the other way round; kAll: both are hosts.
enum class DnsLookup : uint8_t { kAuto, kV4Only, kV6Only, kV4Preferred, kAll };

struct ClusterConfig {
  enum class Type : uint8_t { kStatic, kStrictDns, kLogicalDns, kEds, kOriginalDst };
  enum class Balance : uint8_t { kRoundRobin, kLeastRequest, kRandom, kRingHash, kMaglev, kClusterProvided };
  enum class Protocol : uint8_t { kHttp1, kHttp2, kDownstream, kAuto };  // kAuto: by ALPN

  ClusterId id = kNoCluster;
  std::string name, version;
  std::string stat_name;                         // alt_stat_name or name, ':' replaced as Envoy does
  Type type = Type::kStatic;
  Balance balance = Balance::kRoundRobin;
  Protocol protocol = Protocol::kHttp1;
  Nanos connect_timeout = std::chrono::seconds(5);
  Nanos max_connection_duration{0};
  Thresholds thresholds[2];                      // default, high
  std::shared_ptr<Breakers> breakers[2];
  std::optional<OutlierConfig> outlier;
  std::shared_ptr<const io::SocketSetup> socket;  // nullptr: nothing
  uint32_t max_requests_per_connection = 0;
  HeaderCase header_case = HeaderCase::kLower;
  bool http1_trailers = false;
  std::optional<Nanos> idle_timeout;             // nothing: 1 h
  size_t watermark_bytes = kDefaultWatermark;    // bytes that may wait for the peer before the other side is paused
  uint32_t panic_percent = 50;
  uint32_t choices = 2;
  bool full_scan = false;                        // least request: of all hosts, not of `choices`
  uint32_t hash_balance_percent = 0;             // most that a hashed-to host may have of the average; 0: any
  uint64_t ring_min = 1024, ring_max = 8u << 20;
  uint64_t maglev_size = 65537;
  uint32_t max_concurrent_streams = 1u << 29;
  std::optional<uint32_t> max_outbound_control_frames;
  http::H2KeepAliveOptions keep_alive;
  uint32_t stream_window = 65536 * 4, connection_window = 65536 * 16;
  bool close_on_host_change = false;
  bool close_on_health_failure = false, ignore_health_on_removal = false;
  bool panic_fails = false;                      // fail_traffic_on_panic
  bool locality_weights = false;                 // locality_weighted_lb_config
  bool hash_by_hostname = false;
  bool murmur_hash = false;
  double active_request_bias = 1.0;
  Nanos slow_start{0};                           // window
  double slow_start_aggression = 1.0, slow_start_min = 0.1;
  double preconnect_per_upstream = 1.0;
  std::vector<HealthCheckConfig> health_checks;
  bool ignore_new_until_checked = false;
  std::string original_dst_header = "x-envoy-original-dst-host";
  std::optional<uint16_t> original_dst_port;     // upstream_port_override
  bool original_dst_by_header = false;
  std::shared_ptr<TlsSource> tls;                // transport_socket; nullptr: plain text
  struct SocketMatch {                           // transport_socket_matches: the first that an endpoint's labels satisfy
    std::vector<std::pair<std::string, std::string>> labels;
    std::shared_ptr<TlsSource> tls;              // nullptr: plain text
    std::optional<ProxyHeaderConfig> proxy_header;
  };
  std::optional<ProxyHeaderConfig> proxy_header; // transport_socket upstream_proxy_protocol: comes before tls
  std::vector<SocketMatch> socket_matches;
  const SocketMatch* socket_match(const Host& host) const;
  const std::shared_ptr<TlsSource>& tls_for(const Host& host) const;
  bool proxy_headers = false;                    // any transport socket writes them
  const ProxyHeaderConfig* proxy_header_for(const Host& host) const;  // nullptr: none is written
  bool auto_sni = false, auto_san_validation = false;  // SNI is the request's host name
  std::shared_ptr<const ServiceIdentity> service;  // metadata istio; nullptr: not told
  std::shared_ptr<const std::string> metadata;   // serialized, for logs; nullptr: none

  // discovery, for the main thread
  std::string eds_name;
  struct DnsTarget {
    std::string name;
    uint16_t port = 0;
    uint32_t weight = 1, priority = 0;
    std::string locality;
    uint32_t locality_weight = 0;
    std::string hostname, check_hostname;
    std::optional<uint16_t> check_port;
  };
  DnsLookup dns_lookup = DnsLookup::kAuto;
  std::vector<DnsTarget> dns;
  Nanos dns_refresh = std::chrono::seconds(5);
  Nanos dns_failure_base{0}, dns_failure_max{0};  // 0: dns_refresh
  DiscoverySource eds_source;
  bool respect_dns_ttl = false;
  int dns_family = 0;                            // AF_UNSPEC, AF_INET, AF_INET6
  std::shared_ptr<const EndpointSet> endpoints;  // STATIC
  std::vector<std::string> warnings;             // fields that are not acted on
};

}  // namespace fairlead::proxy
