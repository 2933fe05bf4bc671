// A worker with clients and endpoints in memory: whole requests through the data path, without sockets.
#include <gtest/gtest.h>

#include <deque>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/config/compile.h"
#include "proxy/listener.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {
namespace {

constexpr const char* kBootstrap = R"(
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
          use_remote_address: true
          internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}  # what peers in memory have
          codec_type: HTTP1
          access_log: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: log, log_format: {text_format_source: {inline_string: "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"}}}}]
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {match: {prefix: /retry}, route: {cluster: two, retry_policy: {retry_on: "connect-failure,retriable-status-codes", retriable_status_codes: [503], num_retries: 2, retry_back_off: {base_interval: 0.001s}}}}
              - {match: {prefix: /idle}, route: {cluster: one, retry_policy: {retry_on: reset, num_retries: 1, per_try_idle_timeout: 0.02s, retry_back_off: {base_interval: 0.001s}}}}
              - {match: {prefix: /budget}, route: {cluster: budget, retry_policy: {retry_on: 5xx, num_retries: 5, retry_back_off: {base_interval: 0.001s}}}}
              - {match: {prefix: /timeout}, route: {cluster: one, timeout: 0.02s}}
              - {match: {prefix: /limited}, route: {cluster: limited}}
              - {match: {prefix: /split}, route: {weighted_clusters: {clusters: [{name: one, weight: 50}, {name: two, weight: 50}]}}}
              - match: {prefix: /abort}
                route: {cluster: one}
                typed_per_filter_config: {envoy.filters.http.fault: {"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, abort: {http_status: 418, percentage: {numerator: 100}}}}
              - {match: {prefix: /h2}, route: {cluster: h2}}
              - {match: {prefix: /deadline}, route: {cluster: one, timeout: 0s, max_stream_duration: {max_stream_duration: 0s, grpc_timeout_header_max: 0.02s, grpc_timeout_header_offset: 0.001s}}}
              - {match: {prefix: /mirrored}, route: {cluster: one, request_mirror_policies: [{cluster: two}]}}
              - {match: {prefix: /mirror-by-header}, route: {cluster: one, request_mirror_policies: [{cluster_header: X-To, disable_shadow_host_suffix_append: true}]}}
              - {match: {prefix: /nowhere}, route: {cluster: missing}}
              - {match: {prefix: /watched}, route: {cluster: watched}}
              - {match: {prefix: /small}, route: {cluster: small}}
              - {match: {prefix: /ahead}, route: {cluster: ahead}}
              - {match: {prefix: /follow}, route: {cluster: two, internal_redirect_policy: {}}}
              - {match: {prefix: /}, route: {cluster: one, prefix_rewrite: /up/}}
          http_filters:
          - {name: envoy.filters.http.fault, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault}}
          - {name: envoy.filters.http.grpc_stats, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig, individual_method_stats_allowlist: {services: [{name: a.B, method_names: [Known]}]}}}
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - {name: one, type: STATIC, http_protocol_options: {enable_trailers: true}, load_assignment: {cluster_name: one, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}}
  - {name: watched, type: STATIC, outlier_detection: {consecutive_5xx: 1}, load_assignment: {cluster_name: watched, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.5, port_value: 80}}}}]}]}}
  - {name: small, type: STATIC, per_connection_buffer_limit_bytes: 16384, load_assignment: {cluster_name: small, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.6, port_value: 80}}}}]}]}}
  - {name: ahead, type: STATIC, preconnect_policy: {per_upstream_preconnect_ratio: 2}, load_assignment: {cluster_name: ahead, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.7, port_value: 80}}}}]}]}}
  - {name: two, type: STATIC, load_assignment: {cluster_name: two, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}}]}]}}
  - {name: h2, type: STATIC, http2_protocol_options: {}, load_assignment: {cluster_name: h2, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.6, port_value: 80}}}}]}]}}
  - {name: budget, type: STATIC, circuit_breakers: {thresholds: [{retry_budget: {budget_percent: {value: 20}, min_retry_concurrency: 0}}]}, load_assignment: {cluster_name: budget, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.4, port_value: 80}}}}]}]}}
  - {name: limited, type: STATIC, circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 1}]}, load_assignment: {cluster_name: limited, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.3, port_value: 80}}}}]}]}}
)";

struct Peer {
  std::unique_ptr<io::Transport> transport;
  std::string address;  // of the endpoint
  std::string read() {
    std::string out;
    char buffer[4096];
    for (;;) {
      auto r = transport->read(buffer);
      if (r.status == io::IoStatus::kEof) ended = true;
      if (r.status != io::IoStatus::kOk) return out;
      out.append(buffer, r.bytes);
    }
  }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      auto r = transport->write(bytes);
      ASSERT_EQ(r.status, io::IoStatus::kOk);
      bytes.remove_prefix(r.bytes);
    }
  }
  bool ended = false;
};

class ExchangeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WorkerOptions o;
    o.write_logs = [this](std::map<std::string, std::string> lines) { log_ += lines["log"]; };
    o.outlier = [this](ClusterId, HostPtr, int) { ++ejections_; };
    o.dial = [this](const io::Address& to) -> std::unique_ptr<io::Transport> {
      if (refuse_ > 0) return --refuse_, nullptr;
      auto [ours, theirs] = io::make_memory_pair(worker_->loop(), step_);
      endpoints_.push_back({std::move(theirs), to.text()});
      return std::move(ours);
    };
    worker_ = std::make_unique<Worker>(std::move(o));
    auto bootstrap = load_bootstrap(kBootstrap, "test");
    ASSERT_TRUE(bootstrap) << bootstrap.error().text();
    Compiler compiler(names_);
    ConfigUpdate update;
    for (const auto& c : (*bootstrap)->static_resources().clusters()) {
      auto compiled = compiler.cluster(c, "1", nullptr);
      ASSERT_TRUE(compiled) << compiled.error().text();
      update.clusters.push_back(*compiled);
    }
    auto listener = compiler.listener((*bootstrap)->static_resources().listeners(0), "1");
    ASSERT_TRUE(listener) << listener.error().text();
    worker_->apply(std::move(update));
    listener_ = std::make_unique<Listener>(*worker_, *listener, std::vector<int>{});
  }
  void TearDown() override {
    endpoints_.clear();
    worker_.reset();
  }
  Peer client() {
    auto [theirs, ours] = io::make_memory_pair(worker_->loop(), step_);
    listener_->accept(std::move(ours));
    return {std::move(theirs), {}};
  }
  void turn(int rounds = 20) {
    for (int i = 0; i < rounds; ++i) worker_->loop().run_once(base::Nanos(0));
  }
  std::string get(Peer& c, std::string_view path) {
    c.write(fmt::format("GET {} HTTP/1.1\r\nhost: a\r\n\r\n", path));
    turn();
    return c.read();
  }

  size_t step_ = 0;
  int refuse_ = 0, ejections_ = 0;
  std::string log_;
  std::deque<Peer> endpoints_;
  ClusterNames names_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(ExchangeTest, CarriesARequestAndItsAnswerAndKeepsTheConnection) {
  Peer c = client();
  EXPECT_EQ(get(c, "/a?b"), "");
  ASSERT_EQ(endpoints_.size(), 1u);
  std::string request = endpoints_[0].read();
  EXPECT_TRUE(request.starts_with("GET /up/a?b HTTP/1.1\r\nhost: a\r\n")) << request;
  EXPECT_NE(request.find("x-request-id: "), std::string::npos);
  EXPECT_NE(request.find("x-envoy-original-path: /a?b\r\n"), std::string::npos);
  endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
  turn();
  std::string answer = c.read();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nhi")) << answer;
  EXPECT_EQ(get(c, "/again"), "");
  EXPECT_EQ(endpoints_.size(), 1u);  // the pooled connection served again
}

TEST_F(ExchangeTest, SurvivesReadsAndWritesOfOneByte) {
  step_ = 1;
  Peer c = client();
  c.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
  turn(400);
  ASSERT_EQ(endpoints_.size(), 1u);
  std::string request = endpoints_[0].read();
  EXPECT_TRUE(request.ends_with("\r\n\r\nhello")) << request;
  endpoints_[0].write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  turn(400);
  std::string answer = c.read();
  for (int i = 0; i < 300; ++i) turn(2), answer += c.read();
  EXPECT_TRUE(answer.ends_with("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")) << answer;
}

TEST_F(ExchangeTest, FollowsARedirectWithTheRequestsBody) {
  for (size_t step : {0, 1}) {
    step_ = step;
    endpoints_.clear();
    Peer c = client();
    c.write("POST /follow HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    turn(400);
    ASSERT_EQ(endpoints_.size(), 1u);
    EXPECT_TRUE(endpoints_[0].read().ends_with("\r\n\r\nhello"));
    // The answer's body comes later than its head; nobody waits for it.
    endpoints_[0].write("HTTP/1.1 302 Found\r\nlocation: http://b/new?q\r\ntransfer-encoding: chunked\r\n\r\n");
    turn(400);
    ASSERT_EQ(endpoints_.size(), 2u);
    std::string again = endpoints_[1].read();
    EXPECT_TRUE(again.starts_with("POST /up/new?q HTTP/1.1\r\nhost: b\r\n")) << again;
    EXPECT_TRUE(again.ends_with("\r\n\r\nhello")) << again;
    EXPECT_NE(again.find("x-envoy-original-url: http://a/follow\r\n"), std::string::npos) << again;
    endpoints_[1].write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    turn(400);
    std::string answer = c.read();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhi")) << answer;
    worker_->logs().flush();
    EXPECT_EQ(std::exchange(log_, {}), "302 - internal_redirect\n200 - via_upstream\n");
  }
}

TEST_F(ExchangeTest, ARedirectIsNotFollowedBeforeTheRequestIsComplete) {
  Peer c = client();
  c.write("POST /follow HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel");
  turn();
  ASSERT_EQ(endpoints_.size(), 1u);
  endpoints_[0].write("HTTP/1.1 302 Found\r\nlocation: http://b/new\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 302 Found\r\n"));
  EXPECT_EQ(endpoints_.size(), 1u);
}

TEST_F(ExchangeTest, RetriesARefusedConnection) {
  refuse_ = 1;
  Peer c = client();
  get(c, "/retry");
  for (int i = 0; i < 100 && endpoints_.empty(); ++i) worker_->loop().run_once(std::chrono::milliseconds(5));
  turn();
  ASSERT_EQ(endpoints_.size(), 1u);
  endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
}

TEST_F(ExchangeTest, SaysSoWhenRetriesDoNotHelp) {
  refuse_ = 100;
  Peer c = client();
  std::string answer = get(c, "/retry");
  for (int i = 0; i < 100 && answer.empty(); ++i) worker_->loop().run_once(std::chrono::milliseconds(5)), answer = c.read();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503")) << answer;
  EXPECT_NE(answer.find("retried and the latest reset reason: remote connection failure"), std::string::npos) << answer;
  worker_->logs().flush();
  EXPECT_TRUE(log_.starts_with("503 UF,URX upstream_reset_before_response_started{remote_connection_failure|")) << log_;
}

TEST_F(ExchangeTest, AnswersForAnUpstreamThatIsLate) {
  Peer c = client();
  std::string answer = get(c, "/timeout");
  for (int i = 0; i < 100 && answer.empty(); ++i) worker_->loop().run_once(std::chrono::milliseconds(5)), answer = c.read();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 504")) << answer;
  EXPECT_TRUE(answer.ends_with("upstream request timeout"));
  worker_->logs().flush();
  EXPECT_EQ(log_, "504 UT response_timeout\n");
}

TEST_F(ExchangeTest, TheRequestMayAskForRetries) {
  Peer c = client();
  c.write("GET / HTTP/1.1\r\nhost: a\r\nx-envoy-retry-on: retriable-status-codes\r\nx-envoy-retriable-status-codes: 404\r\nx-envoy-max-retries: 1\r\n\r\n");
  turn();
  ASSERT_EQ(endpoints_.size(), 1u);
  EXPECT_EQ(endpoints_[0].read().find("x-envoy-retr"), std::string::npos);
  endpoints_[0].write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  std::string again;
  for (int i = 0; i < 100 && again.empty(); ++i) worker_->loop().run_once(std::chrono::milliseconds(5)), again = endpoints_.back().read();
  EXPECT_TRUE(again.starts_with("GET ")) << again;
  endpoints_.back().write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 404"));
}

TEST_F(ExchangeTest, AnAttemptInWhichNothingMovesIsRepeated) {
  Peer c = client();
  get(c, "/idle");
  ASSERT_EQ(endpoints_.size(), 1u);
  for (int i = 0; i < 100 && endpoints_.size() < 2; ++i) worker_->loop().run_once(std::chrono::milliseconds(5));
  ASSERT_EQ(endpoints_.size(), 2u);
  endpoints_[1].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
}

TEST_F(ExchangeTest, ARetryBudgetThatIsSpentEndsInTheAnswer) {
  Peer c = client();
  get(c, "/budget");
  ASSERT_EQ(endpoints_.size(), 1u);
  endpoints_[0].write("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 500"));  // a fifth of one request is none
}

TEST_F(ExchangeTest, TheReplacementOfAKeptConnectionIsAFreshOne) {
  // Two kept connections; the server closes both when they are used.
  Peer a = client(), b = client();
  get(a, "/"), get(b, "/");
  ASSERT_EQ(endpoints_.size(), 2u);
  for (Peer& e : endpoints_) e.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  a.read(), b.read();
  for (Peer& e : endpoints_) e.read();
  a.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  size_t used = 2;
  for (int i = 0; i < 20 && used == 2; ++i) {
    turn(1);
    for (size_t n = 0; n < 2; ++n)
      if (!endpoints_[n].read().empty()) used = n;
  }
  ASSERT_LT(used, 2u);
  endpoints_[used].transport->close();
  for (int i = 0; i < 20 && endpoints_.size() < 3; ++i) worker_->loop().run_once(std::chrono::milliseconds(1));
  ASSERT_EQ(endpoints_.size(), 3u);
  EXPECT_EQ(endpoints_[1 - used].read(), "");
  endpoints_[2].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(a.read().starts_with("HTTP/1.1 200"));
}

TEST_F(ExchangeTest, AKeptConnectionThatWasClosedIsReplacedWithoutARetryPolicy) {
  Peer c = client();
  get(c, "/");
  ASSERT_EQ(endpoints_.size(), 1u);
  endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
  // The server closes at the moment in which the request is on its way.
  c.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  for (int i = 0; i < 20 && endpoints_[0].read().empty(); ++i) turn(1);
  endpoints_[0].transport->close();
  turn();
  for (int i = 0; i < 20 && endpoints_.size() < 2; ++i) worker_->loop().run_once(std::chrono::milliseconds(1));
  ASSERT_EQ(endpoints_.size(), 2u);
  endpoints_[1].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
}

TEST_F(ExchangeTest, OverflowsWhenTheCircuitBreakerIsFull) {
  Peer a = client(), b = client(), c = client();
  EXPECT_EQ(get(a, "/limited"), "");  // the connection
  EXPECT_EQ(get(b, "/limited"), "");  // waits
  std::string answer = get(c, "/limited");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503")) << answer;
  EXPECT_NE(answer.find("x-envoy-overloaded: true"), std::string::npos);
  EXPECT_EQ(endpoints_.size(), 1u);
  worker_->logs().flush();
  EXPECT_EQ(log_, "503 UO upstream_reset_before_response_started{overflow}\n");
  endpoints_[0].read();
  endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(a.read().starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(endpoints_[0].read().starts_with("GET /limited"));  // the one that waited
}

TEST_F(ExchangeTest, AGrpcClientsDeadlineIsTheStreamsLongestDuration) {
  Peer c = client();
  c.write("POST /deadline HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ngrpc-timeout: 99999999H\r\ncontent-length: 0\r\n\r\n");
  std::string answer;
  for (int i = 0; i < 200 && answer.empty(); ++i) worker_->loop().run_once(std::chrono::milliseconds(5)), answer = c.read();
  ASSERT_EQ(endpoints_.size(), 1u);
  EXPECT_NE(endpoints_[0].read().find("grpc-timeout: 19m\r\n"), std::string::npos);  // at most the route's, less the offset
  EXPECT_NE(answer.find("grpc-status: 4\r\n"), std::string::npos) << answer;
  worker_->logs().flush();
  EXPECT_TRUE(log_.ends_with("max_duration_timeout\n")) << log_;
}

TEST_F(ExchangeTest, AMirrorGetsTheBodyAsItComes) {
  Peer c = client();
  c.write("POST /mirrored HTTP/1.1\r\nhost: a:80\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
  turn();
  ASSERT_EQ(endpoints_.size(), 2u);
  Peer &copy = endpoints_[0], &real = endpoints_[1];
  EXPECT_EQ(copy.address, "10.0.0.2:80");
  std::string copied = copy.read();
  EXPECT_NE(copied.find("host: a-shadow:80\r\n"), std::string::npos) << copied;
  EXPECT_TRUE(copied.ends_with("3\r\nabc\r\n")) << copied;
  EXPECT_NE(real.read().find("host: a:80\r\n"), std::string::npos);
  c.write("2\r\nde\r\n0\r\n\r\n");
  turn();
  EXPECT_EQ(copy.read(), "2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(real.read(), "2\r\nde\r\n0\r\n\r\n");
  // Its answer is nobody's; the connection serves again.
  copy.write("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\nno");
  real.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
  get(c, "/mirrored");
  EXPECT_EQ(endpoints_.size(), 2u);
  EXPECT_TRUE(copy.read().starts_with("GET /mirrored"));
}

TEST_F(ExchangeTest, TheMirrorOfARequestThatBreaksOffBreaksOff) {
  Peer c = client();
  c.write("POST /mirrored HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
  turn();
  ASSERT_EQ(endpoints_.size(), 2u);
  endpoints_[0].read();
  c.transport->close();
  turn();
  endpoints_[0].read();
  EXPECT_TRUE(endpoints_[0].ended);
}

TEST_F(ExchangeTest, AMirrorThatTakesNothingIsGivenUpAndHoldsNothingBack) {
  Peer c = client();
  std::string body(2 << 20, 'x');
  c.write(fmt::format("POST /mirrored HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.size()));
  size_t sent = 0, got = 0;
  for (int i = 0; i < 2000 && got < body.size(); ++i) {
    if (sent < body.size()) {
      auto r = c.transport->write(std::string_view(body).substr(sent, 64 * 1024));
      if (r.status == io::IoStatus::kOk) sent += r.bytes;
    }
    worker_->loop().run_once(std::chrono::milliseconds(1));
    if (endpoints_.size() == 2) got += endpoints_[1].read().size();
  }
  EXPECT_GE(got, body.size());
  EXPECT_EQ(worker_->cluster(names_.id("two"))->stats.retry_or_shadow_abandoned, 1u);
  endpoints_[1].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
}

TEST_F(ExchangeTest, AHeaderMayNameTheMirror) {
  Peer c = client();
  c.write("GET /mirror-by-header HTTP/1.1\r\nhost: a\r\nx-to: two\r\n\r\nGET /mirror-by-header HTTP/1.1\r\nhost: a\r\n\r\n");
  turn();
  ASSERT_EQ(endpoints_.size(), 2u);
  EXPECT_EQ(endpoints_[0].address, "10.0.0.2:80");
  EXPECT_NE(endpoints_[0].read().find("host: a\r\n"), std::string::npos);
  endpoints_[1].read();
  endpoints_[1].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(endpoints_[1].read().starts_with("GET /mirror-by-header"));
  EXPECT_EQ(endpoints_[0].read(), "");
}

TEST_F(ExchangeTest, InjectsAborts) {
  Peer c = client();
  std::string answer = get(c, "/abort");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 418")) << answer;
  EXPECT_TRUE(answer.ends_with("fault filter abort"));
  EXPECT_TRUE(endpoints_.empty());
}

TEST_F(ExchangeTest, BreaksOnlyTheRouteWhoseClusterIsMissing) {
  Peer c = client();
  EXPECT_TRUE(get(c, "/nowhere").starts_with("HTTP/1.1 503"));
  worker_->logs().flush();
  EXPECT_EQ(log_, "503 NC cluster_not_found\n");
  EXPECT_EQ(get(c, "/fine"), "");
  EXPECT_EQ(endpoints_.size(), 1u);
}

TEST_F(ExchangeTest, SplitsByWeight) {
  Peer c = client();
  std::map<std::string, int> hits;
  for (int i = 0; i < 1000; ++i) {
    get(c, "/split");
    for (Peer& e : endpoints_) {
      if (e.read().empty()) continue;
      ++hits[e.address];
      e.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
    turn(5);
    c.read();
  }
  EXPECT_EQ(hits["10.0.0.1:80"] + hits["10.0.0.2:80"], 1000);
  EXPECT_NEAR(hits["10.0.0.1:80"], 500, 100);
}

TEST_F(ExchangeTest, AnUpstreamThatBreaksOffMidAnswerEndsTheClientsConnection) {
  Peer c = client();
  get(c, "/");
  endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
  turn();
  endpoints_[0].transport->close();
  turn();
  c.read();
  EXPECT_TRUE(c.ended);
  worker_->logs().flush();
  EXPECT_EQ(log_, "200 UPE upstream_reset_after_response_started{protocol_error}\n");
}

TEST_F(ExchangeTest, ARequestInFlightFinishesOnAClusterThatWasRemoved) {
  Peer c = client();
  get(c, "/");
  ConfigUpdate update;
  update.removed_clusters.push_back(names_.id("one"));
  worker_->apply(std::move(update));
  turn();
  endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(get(c, "/").starts_with("HTTP/1.1 503"));
}

TEST_F(ExchangeTest, AKeptConnectionThatItsServerClosedIsNoFailureOfTheServer) {
  Peer c = client();
  get(c, "/watched");
  endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  c.read();
  get(c, "/watched");
  ASSERT_EQ(endpoints_.size(), 1u);
  endpoints_[0].transport->close();
  turn();
  ASSERT_EQ(endpoints_.size(), 2u);  // repeated on a fresh connection
  EXPECT_EQ(ejections_, 0);
  endpoints_[1].write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 200"));
  // What may not be repeated fails, and says as little.
  c.write("POST /watched HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
  turn();
  endpoints_[1].transport->close();
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 503"));
  EXPECT_EQ(ejections_, 0);
  // A connection that never served is another matter.
  get(c, "/watched");
  ASSERT_EQ(endpoints_.size(), 3u);
  endpoints_[2].transport->close();
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 503"));
  EXPECT_EQ(ejections_, 1);
}

TEST_F(ExchangeTest, AnUpstreamThatDoesNotReadPausesItsClientAtTheClustersLimit) {
  step_ = 512;
  Peer c = client();
  std::string body(400'000, 'b');
  c.write("POST /small HTTP/1.1\r\nhost: a\r\ncontent-length: 400000\r\n\r\n");
  size_t sent = 0;
  for (int idle = 0; idle < 50 && sent < body.size();) {
    auto r = c.transport->write(std::string_view(body).substr(sent, 4096));
    if (r.status == io::IoStatus::kOk) sent += r.bytes, idle = 0;
    else ++idle;
    turn(3);
  }
  ASSERT_EQ(endpoints_.size(), 1u);
  EXPECT_LT(sent, 200'000u);  // 16 KiB in the proxy, the rest in the pipes at its sides
  std::string got;
  for (int i = 0; i < 5000 && got.size() < body.size(); ++i) {
    got += endpoints_[0].read();
    if (sent < body.size())
      if (auto r = c.transport->write(std::string_view(body).substr(sent, 4096)); r.status == io::IoStatus::kOk) sent += r.bytes;
    turn(3);
  }
  EXPECT_EQ(sent, body.size());
  EXPECT_TRUE(got.ends_with("bbbb"));
  EXPECT_GT(got.size(), body.size());
}

// Twice as many connections as there are requests; those that stand idle count.
TEST_F(ExchangeTest, ConnectionsAreOpenedAheadOfRequests) {
  Peer a = client(), b = client();
  get(a, "/ahead");
  EXPECT_EQ(endpoints_.size(), 2u);
  get(b, "/ahead");  // on the one that was ready, and two more
  EXPECT_EQ(endpoints_.size(), 4u);
  auto answer = [&] {
    for (Peer& e : endpoints_)
      if (!e.read().empty()) e.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    turn();
  };
  answer();
  EXPECT_TRUE(a.read().starts_with("HTTP/1.1 200"));
  for (int i = 0; i < 3; ++i) {
    get(a, "/ahead");
    answer();
    EXPECT_TRUE(a.read().starts_with("HTTP/1.1 200"));
  }
  EXPECT_EQ(endpoints_.size(), 4u);  // requests one after another open no more
}

TEST_F(ExchangeTest, CountsCallsAndMessagesOfGrpc) {
  Peer c = client();
  auto call = [&](std::string_view path, std::string_view trailers) {
    using namespace std::string_literals;
    c.write(fmt::format("POST {} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 13\r\n\r\n", path) +
            "\0\0\0\0\3abc\0\0\0\0\0"s);
    turn();
    endpoints_[0].write("HTTP/1.1 200 OK\r\ncontent-type: application/grpc+proto\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\2\r\n2\r\nxy\r\n0\r\n"s +
                        std::string(trailers) + "\r\n");
    turn();
    c.read();
  };
  call("/a.B/Known?x", "grpc-status: 0\r\n");
  call("/a.B/Known", "grpc-status: 14\r\n");
  call("/a.B/Other", "grpc-status: 0\r\n");
  call("/a.B/Other", "");
  StatsSnapshot s;
  worker_->collect(s);
  auto n = [&](std::string_view name) { return s.counters.contains(std::string(name)) ? static_cast<int>(s.counters[std::string(name)]) : -1; };
  EXPECT_EQ(n("cluster.one.grpc.a.B.Known.success"), 1);
  EXPECT_EQ(n("cluster.one.grpc.a.B.Known.failure"), 1);
  EXPECT_EQ(n("cluster.one.grpc.a.B.Known.total"), 2);
  EXPECT_EQ(n("cluster.one.grpc.a.B.Known.0"), 1);
  EXPECT_EQ(n("cluster.one.grpc.a.B.Known.14"), 1);
  EXPECT_EQ(n("cluster.one.grpc.a.B.Known.request_message_count"), 4);
  EXPECT_EQ(n("cluster.one.grpc.a.B.Known.response_message_count"), 2);
  EXPECT_EQ(n("cluster.one.grpc.a.B.Other.total"), -1);  // not listed
  EXPECT_EQ(n("cluster.one.grpc.total"), 1);             // without a status there is nothing to count
  EXPECT_EQ(n("cluster.one.grpc.response_message_count"), 2);
}

// Whoever waits for a stream hears of the end of its connection, even if it was HTTP/2's library that gave it up.
TEST_F(ExchangeTest, AnHttp2UpstreamThatSpeaksSomethingElseIsAnswered) {
  Peer c = client();
  EXPECT_EQ(get(c, "/h2"), "");
  ASSERT_EQ(endpoints_.size(), 1u);
  endpoints_[0].write(std::string_view("\0\0\0\4\0\0\0\0\0", 9));
  turn();
  endpoints_[0].write("HTTP/1.1 500 x\r\n\r\n");
  turn();
  std::string answer = c.read();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("reset reason: protocol error")) << answer;
  worker_->logs().flush();
  EXPECT_EQ(log_, "502 UPE upstream_reset_before_response_started{protocol_error}\n");
}

TEST_F(ExchangeTest, RefusesASmuggledRequest) {
  Peer c = client();
  c.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
  turn();
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(endpoints_.empty());
}

}  // namespace
}  // namespace fairlead::proxy
