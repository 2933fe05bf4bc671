// Exchange: one request and its response, from the parsed head to the access log line.
//
//   received -> normalised -> routed -> filtered -> forwarded | answered here
//     forwarded: host picked -> stream taken from its pool -> request sent -> response head -> retried | relayed -> ended
//
// exchange.cc has the phases in this order; exchange_filters.cc the chain of filters; exchange_headers.cc what
// happens to header fields; exchange_retry.cc when an attempt is repeated; exchange_reply.cc the answers of our own.
//
// Worker thread only. Owned by the downstream connection's stream, taken from and given back to the Worker's pool.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/loop.h"
#include "proxy/downstream.h"
#include "proxy/filters/filter.h"
#include "proxy/mirror.h"
#include "proxy/stream_info.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {

class Exchange final : UpstreamSink, StreamWaiter, MirrorOwner {
 public:
  explicit Exchange(Worker& worker);
  ~Exchange();

  // --- from the downstream connection, in this order
  // Fills the request in place: request().fields with views that live as long as the exchange, or copies.
  RequestHeaders& request() { return request_; }
  // The configuration is the connection's, which outlives its exchanges.
  void begin(DownstreamStream& stream, const ListenerConfig& listener, const HttpConfig& config, const ConnectionInfo& connection,
             HttpStats& stats);
  void on_request(bool end, bool upgrade);   // the head is complete
  void on_request_data(std::string_view bytes);
  void on_request_end(const HeaderMap* trailers);
  void on_downstream_drained();
  // The client went away, or broke its stream or the protocol. The exchange ends without an answer.
  void on_downstream_reset(uint32_t flag, std::string_view details);
  bool over() const { return state_ == State::kOver; }
  bool response_begun() const { return response_begun_; }
  // An answer to what is no request (HTTP/1.1 parse error): logged, nothing else happens.
  void refuse(int status, std::string_view details, uint32_t flag, std::string_view body);
  // The request turned out to be malformed after it was begun, and no answer to it: an answer of our own.
  void break_off(int status, std::string_view details, uint32_t flag, std::string_view body);
  // Back to the state after construction, keeping buffers.
  void recycle();

  // How long nothing may move: the route's word, else the connection manager's. 0: for ever.
  base::Nanos idle_timeout() const { return route_ && route_->idle_timeout ? *route_->idle_timeout : config_->stream_idle_timeout; }

  const StreamInfo& info() const { return info_; }
  StreamInfo& info() { return info_; }
  void start_times();

  // --- for filters (filters/filter.h)
  Worker& worker() { return worker_; }
  const ConnectionInfo& connection() const { return *connection_; }
  HttpStats& stats() { return *stats_; }
  ResponseHeaders& response() { return response_; }
  const VirtualHost* virtual_host() const { return host_config_; }
  const Route* route_config() const { return route_; }            // nullptr: there is none for this request
  const RouteCluster* route_cluster() const { return route_cluster_; }  // chosen among the weighted ones; nullptr by header, or not forwarded
  Cluster* upstream_cluster() const;                             // of route_cluster(); nullptr when there is none
  bool request_ended() const { return request_complete_; }
  bool upgrading() const { return upgrade_; }
  const Host* upstream_host() const { return host_; }             // of the last attempt
  // What is said to this filter nearest to the request: weighted cluster, route, virtual host, table. nullptr: nothing.
  const RouteFilter* route_filter(const Filter& filter) const;
  void keep(const Filter& filter, std::unique_ptr<FilterState> state);
  FilterState* kept(const Filter& filter) const;                 // nullptr: nothing
  // An answer of our own (exchange_reply.cc).
  void reply(int status, std::string_view body, std::string_view details, uint32_t flag, bool overloaded = false);
  // After Next::kStop without an answer: the next filter.
  void resume_filters();
  // From on_request and on_response respectively: this filter wants to see the body.
  void watch_request_body(const Filter& filter) { request_watchers_.push_back(&filter); }
  void watch_response_body(const Filter& filter) { response_watchers_.push_back(&filter); }
  // From on_request: an upstream's answer goes out no faster than this.
  void slow_response(uint64_t bytes_per_second) { slow_bytes_ = bytes_per_second; }

 private:
  enum class State : uint8_t {
    kIdle,        // no request
    kFilters,     // delayed by a fault
    kWaiting,     // for a stream of the pool, or for the back-off of a retry
    kForwarding,  // the upstream has the request or gets it
    kReplying,    // the response (the upstream's or ours) is on its way
    kOver,
  };

  // --- phases (exchange.cc)
  void find_table();
  bool normalise();
  void route();
  void after_filters();
  void forward();
  bool strict_headers_pass();
  void tell_timeout();
  void attempt();
  void got_stream(UpstreamStream& stream);
  void note_stream(const UpstreamStream& stream);
  void finish();
  void check_done();
  void limit_duration();
  void settle_request();
  void settle_response();
  void stop();
  void account();
  void tell();
  void forget_attempts();
  void relay(std::string_view bytes);
  void relay_slowly();
  void end_response();

  // --- filters (exchange_filters.cc)
  void run_response_filters(bool end);
  void filter_request_data(std::string& bytes);
  void filter_request_end(std::string& bytes);
  void filter_response_data(std::string& bytes);
  void filter_response_end(std::string& bytes, HeaderMap* trailers);
  bool filter_off(const Filter& filter) const;
  const PerFilter::Entry* filter_entry(const Filter& filter) const;

  // --- header fields (exchange_headers.cc)
  void prepare_request_headers();
  bool normalise_target();
  void normalise_host();
  bool refuse_request(int status, std::string_view body, std::string_view details, uint32_t flag);
  bool forwarded_headers();
  void client_certificate_header();
  void rewrite_for_route();
  void apply(const std::vector<HeaderMutation::Add>& add, const std::vector<std::string>& remove, HeaderMap& to);
  template <class F>
  void each_mutation(F&& f);
  void mutate_request();
  void prepare_response_headers(bool local, bool end);
  std::optional<uint64_t> hash();

  // --- retries (exchange_retry.cc)
  void begin_retries();
  void touch_try();
  void on_try_idle();
  bool may_retry_response(const ResponseHeaders& head);
  bool may_retry_reset(ResetReason reason);
  bool retry_at_once();
  bool try_retry(bool wanted);
  void schedule_retry(base::Nanos after);
  void attempt_failed(ResetReason reason, std::string_view detail, bool reused);
  void end_attempt();
  void abandon_attempt();
  void start_mirrors();
  void end_mirrors();                      // the request is complete

  // --- redirects that are followed here (exchange_redirect.cc)
  bool follow_redirect(const ResponseHeaders& head);  // true: begin_again() when the answer is over
  bool readdress(const RedirectPolicy& policy, const ResponseHeaders& head);
  const Route* route_of_redirect() const;
  bool policy_accepts(const RedirectPolicy& policy, const Route& target, bool from_tls, bool to_tls);
  void begin_again();

  // --- answers of our own (exchange_reply.cc)
  void reply_redirect();
  void reply_direct();
  void send_reply(std::string_view body);
  void map_reply(std::string& body);

  // --- UpstreamSink
  void on_interim(const ResponseHeaders& head) override;
  void on_response(ResponseHeaders& head, bool end) override;
  void on_response_data(std::string_view bytes) override;
  void on_response_end(const HeaderMap* trailers) override;
  void on_reset(ResetReason reason, std::string_view detail, bool reused) override;
  void on_upstream_drained() override;
  // --- StreamWaiter
  void on_stream(UpstreamStream& stream) override;
  void on_stream_failure(ResetReason reason, std::string_view detail) override;
  // --- MirrorOwner
  void on_mirror_drained() override;
  void on_mirror_gone(MirrorStream& mirror) override;

  bool upgrade_allowed();
  bool ends_here() const;
  bool wants_tls() const;
  void arm_stream_timers();
  void on_request_timeout();
  void on_max_duration();
  void on_timeout();                       // route time-out
  void on_try_timeout();
  void on_idle();
  void touch();
  base::Nanos since_start() const { return worker_.now() - info_.start; }

  Worker& worker_;
  DownstreamStream* downstream_ = nullptr;
  const ListenerConfig* listener_ = nullptr;
  const HttpConfig* config_ = nullptr;
  const ConnectionInfo* connection_ = nullptr;
  HttpStats* stats_ = nullptr;
  State state_ = State::kIdle;

  RequestHeaders request_;
  ResponseHeaders response_;
  HeaderMap response_trailers_;
  StreamInfo info_;
  std::shared_ptr<const io::TlsInfo> upstream_tls_;
  bool internal_ = false;                  // the request came from within (x-envoy-internal)
  std::string remote_text_;                // of the client behind trusted proxies

  std::shared_ptr<const RouteTable> table_;
  const VirtualHost* host_config_ = nullptr;
  const Route* route_ = nullptr;
  const RouteCluster* route_cluster_ = nullptr;
  std::string_view original_authority_;
  size_t filter_ = 0;                      // next filter to run
  std::vector<std::pair<const Filter*, std::unique_ptr<FilterState>>> filter_states_;
  std::vector<const Filter*> request_watchers_, response_watchers_;

  // the request's body while an attempt may have to be repeated
  std::string body_;
  bool request_complete_ = false, body_dropped_ = false, upgrade_ = false;
  HeaderMap request_trailer_map_;
  bool has_request_trailers_ = false;
  bool request_paused_ = false;
  std::vector<MirrorStream*> mirrors_;     // that want the rest of the request

  // the attempt
  Cluster* cluster_ = nullptr;
  Host* host_ = nullptr;
  HostPool* pool_ = nullptr;
  UpstreamStream* upstream_ = nullptr;
  Permit request_permit_ = Permit::kRefused, retry_permit_ = Permit::kRefused;
  uint32_t retries_left_ = 0;
  uint32_t retry_on_ = 0;                  // of the route's policy and the request's header fields
  std::vector<uint16_t> retry_codes_;      // x-envoy-retriable-status-codes
  std::vector<std::string> retry_header_names_;  // x-envoy-retriable-header-names
  base::Nanos response_timeout_{0}, per_try_timeout_{0};
  base::Nanos told_timeout_{0};            // the whole of it, as the endpoint is told
  base::Nanos reset_after_{0};             // the upstream said when to come again
  bool hashed_ = false;
  std::optional<uint64_t> hash_;
  uint32_t retries_done_ = 0;
  bool transparent_retry_done_ = false;
  bool fresh_connection_ = false;          // the next attempt shall not use a kept one
  bool response_begun_ = false, response_complete_ = false, upstream_paused_ = false;
  bool drop_response_ = false;             // the attempt will be repeated; what is left of this answer goes nowhere
  bool redirect_due_ = false;              // and then the request begins again
  uint32_t redirects_ = 0;                 // followed so far
  std::vector<std::pair<std::string, std::string>> redirected_;  // between routes of these names, where a policy asks
  std::vector<const Host*> tried_;
  base::TimePoint deadline_{};             // that a gRPC client named; none: at the epoch
  uint64_t slow_bytes_ = 0;                // of the answer in a second; 0: as fast as may be
  std::string slowed_;                     // waits for its time
  bool slowed_end_ = false;                // and is all that comes
  base::TimePoint attempt_start_, upstream_start_;
  std::string failure_detail_;

  std::optional<io::Timer> timeout_, try_timeout_, try_idle_, idle_, retry_, request_timer_, life_, slow_;
};

}  // namespace fairlead::proxy
