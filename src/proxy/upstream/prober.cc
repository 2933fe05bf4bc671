// What a health check sends, and what it takes for an answer.
#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "http/client.h"
#include "io/transport.h"
#include "proxy/handshake.h"
#include "proxy/proxy_protocol.h"
#include "proxy/tls_source.h"
#include "proxy/upstream/health_checker.h"
#include "proxy/upstream/tls_dial.h"

namespace fairlead::proxy {
namespace {

using Kind = CheckResult::Kind;

std::string url_of(const io::Address& address, std::string_view path, bool tls) {
  return fmt::format("{}://{}{}", tls ? "https" : "http", address.text(), path);
}

class HttpProber final : public Prober {
 public:
  HttpProber(io::Loop& loop, const ClusterConfig& cluster, const HealthCheckConfig& check, const HostPtr& host, const io::Address& address, int mark)
      : loop_(loop), cluster_(cluster), check_(check), host_(host), mark_(mark) {
    bool grpc = check.kind == HealthCheckConfig::Kind::kGrpc;
    url_ = url_of(address, grpc ? "/grpc.health.v1.Health/Check" : check.path, cluster.tls_for(*host) != nullptr);
    head_.method = grpc ? "POST" : check.method;
    head_.authority = !host->check_hostname.empty() ? host->check_hostname
                      : grpc && !check.authority.empty() ? check.authority
                      : !grpc && !check.host.empty() ? check.host
                      : !host->hostname.empty() ? host->hostname
                                                : cluster.name;
    head_.headers.add("user-agent", "Envoy/HC");
    if (grpc) {
      head_.headers.add("content-type", "application/grpc");
      head_.headers.add("te", "trailers");
    }
    for (auto& [name, value] : check.headers) head_.headers.add(name, value);
    for (auto& name : check.headers_removed) head_.headers.remove(name);
  }

  std::unique_ptr<Probe> check(CheckDone done) override {
    auto probe = std::make_unique<Run>(*this, std::move(done));
    Run& run = *probe;
    // As its requests: the endpoint's match, with the newest secrets.
    const std::shared_ptr<TlsSource>& source = cluster_.tls_for(*host_);
    auto context = source ? source->context() : nullptr;
    if (source && !context) {
      run.failing.emplace(loop_, [&run] { run.done({Kind::kNetwork, false}); });
      run.failing->arm(base::Nanos(1));
      return probe;
    }
    if (!client_ || context != context_) connect_with(std::move(context));
    http::Call::Callbacks callbacks;
    callbacks.on_head = [&run](const http::ResponseHead& head) {
      run.status = head.status;
      run.degraded = head.headers.has("x-envoy-degraded");
      run.fail_now = head.headers.has("x-envoy-immediate-health-check-fail");
      run.grpc_status = head.headers.get("grpc-status");
      run.service = head.headers.get("x-envoy-upstream-healthchecked-cluster");
    };
    callbacks.on_data = [&run](std::string_view bytes) {
      if (run.body.size() < kMostBody) run.body.append(bytes.substr(0, kMostBody - run.body.size()));
    };
    callbacks.on_end = [&run](base::Result<http::Headers> end) { run.ended(std::move(end)); };
    bool grpc = check_.kind == HealthCheckConfig::Kind::kGrpc;
    run.call = client_->start(url_, head_, grpc, std::move(callbacks));
    if (grpc) {
      // grpc.health.v1.HealthCheckRequest{service = 1} behind the frame's five bytes.
      std::string message;
      if (!check_.service.empty()) message = std::string("\x0a") + static_cast<char>(check_.service.size()) + check_.service;
      std::string frame = {0, 0, 0, 0, static_cast<char>(message.size())};
      run.call->write(frame + message);
      run.call->finish();
    }
    return probe;
  }

 private:
  static constexpr size_t kMostBody = 64 * 1024;
  struct Run final : Probe {
    Run(HttpProber& p, CheckDone d) : prober(p), done(std::move(d)) {}
    HttpProber& prober;
    CheckDone done;
    std::unique_ptr<http::Call> call;
    std::optional<io::Timer> failing;   // no secrets: nothing is sent
    int status = 0;
    bool degraded = false, fail_now = false;
    std::string body, grpc_status, service;
    void ended(base::Result<http::Headers> end) {
      const HealthCheckConfig& c = prober.check_;
      if (!end) return done({Kind::kNetwork, false});
      if (c.kind == HealthCheckConfig::Kind::kGrpc) {
        std::string_view code = end->has("grpc-status") ? end->get("grpc-status") : std::string_view(grpc_status);
        // HealthCheckResponse{status = 1}: SERVING is 1.
        bool serving = status == 200 && code == "0" && body.size() == 7 && body.compare(5, 2, "\x08\x01") == 0;
        return done({serving ? Kind::kPassed : Kind::kFailed, degraded});
      }
      auto within = [&](const auto& ranges) { return std::ranges::any_of(ranges, [&](const auto& r) { return status >= r.first && status < r.second; }); };
      bool expected = c.expected.empty() ? status == 200 : within(c.expected);
      if (!expected) return done({within(c.retriable) ? Kind::kRetriable : Kind::kFailed, false});
      size_t from = 0;
      for (const std::string& part : c.expected_body) {
        size_t at = body.find(part, from);
        if (at == std::string::npos) return done({Kind::kFailed, false});
        from = at + part.size();
      }
      bool verified = !c.service_prefix.empty();
      if (verified && !service.starts_with(c.service_prefix)) return done({Kind::kFailed, false, verified});
      done({fail_now ? Kind::kFailed : Kind::kPassed, degraded, verified});
    }
  };

  void connect_with(std::shared_ptr<const io::TlsContext> context) {
    http::ClientOptions o;
    context_ = std::move(context);
    o.http2 = check_.kind == HealthCheckConfig::Kind::kGrpc || check_.http2;
    // Names are sent and verified as for its requests.
    if (context_ || cluster_.proxy_headers)
      o.wrap = [this](std::unique_ptr<io::Transport> plain) {
        bool http2 = check_.kind == HealthCheckConfig::Kind::kGrpc || check_.http2;
        std::string name = cluster_.auto_sni ? server_name() : std::string();
        return wrap_upstream(loop_, cluster_, nullptr, *host_, std::move(plain), http2 ? DialFor::kHttp2 : DialFor::kHttp1, name).transport;
      };
    o.connect_timeout = check_.timeout;
    o.keep_alive = check_.reuse_connection;
    o.max_connections_per_host = 1;
    o.socket_mark = mark_;
    o.socket_setup = cluster_.socket;
    // The call before may still name the old one.
    if (client_) loop_.dispose(std::move(client_));
    client_ = std::make_unique<http::Client>(loop_, std::move(o));
  }

  // auto_sni: requests go by their host; a check has one when somebody gave it, and else only the address.
  std::string server_name() const {
    return std::string(server_name_of(!host_->check_hostname.empty() ? host_->check_hostname : !check_.host.empty() ? check_.host : host_->hostname));
  }

  io::Loop& loop_;
  const ClusterConfig& cluster_;
  const HealthCheckConfig& check_;
  HostPtr host_;
  int mark_;
  std::shared_ptr<const io::TlsContext> context_;
  std::unique_ptr<http::Client> client_;
  std::string url_;
  http::RequestHead head_;
};

class TcpProber final : public Prober {
 public:
  TcpProber(io::Loop& loop, const ClusterConfig& cluster, const HealthCheckConfig& check, const HostPtr& host, const io::Address& address, int mark)
      : loop_(loop), cluster_(cluster), check_(check), host_(host), address_(address), mark_(mark) {}

  std::unique_ptr<Probe> check(CheckDone done) override { return std::make_unique<Run>(*this, std::move(done)); }

 private:
  struct Run final : Probe, io::TransportSink {
    Run(TcpProber& p, CheckDone d) : prober(p), done(std::move(d)) {
      io::ConnectOptions o;
      o.timeout = p.check_.timeout;
      o.mark = p.mark_;
      o.setup = p.cluster_.socket;
      connecting = io::connect(p.loop_, p.address_, o, [this](base::Result<std::unique_ptr<io::Transport>> result) { connected(std::move(result)); });
    }
    void connected(base::Result<std::unique_ptr<io::Transport>> result) {
      prober.loop_.dispose(std::move(connecting));
      if (!result) return end(Kind::kNetwork);
      Wrapped wrapped = wrap_upstream(prober.loop_, prober.cluster_, nullptr, *prober.host_, std::move(*result), DialFor::kTcp);
      if (!wrapped.ready) return end(Kind::kNetwork);
      if (!wrapped.handshake) return usable(std::move(wrapped.transport));
      handshake = std::make_unique<Handshake>(prober.loop_, std::move(wrapped.transport), prober.check_.timeout,
                                              [this](std::unique_ptr<io::Transport> whole, const std::string& error) {
                                                prober.loop_.dispose(std::move(handshake));
                                                if (error.empty()) return usable(std::move(whole));
                                                whole->close();
                                                prober.loop_.dispose(std::move(whole));
                                                end(Kind::kNetwork);
                                              });
      handshake->start();
    }
    void usable(std::unique_ptr<io::Transport> whole) {
      transport = std::move(whole);
      if (int version = prober.check_.proxy_version)
        transport = lead_in(std::move(transport), version == 1 ? write_proxy_header(1, transport->local(), transport->peer()) : write_proxy_header(2, {}, {}));
      if (prober.check_.send.empty() && prober.check_.receive.empty()) return end(Kind::kPassed);
      transport->set_sink(this);
      on_ready(true, true);
    }
    void on_ready(bool, bool) override {
      const HealthCheckConfig& c = prober.check_;
      while (!ended && sent < c.send.size()) {
        auto r = transport->write(std::string_view(c.send).substr(sent));
        if (r.status == io::IoStatus::kAgain) break;
        if (r.status != io::IoStatus::kOk) return end(Kind::kNetwork);
        sent += r.bytes;
      }
      char buffer[4096];
      while (!ended) {
        if (sent == c.send.size() && matches()) return end(Kind::kPassed);
        auto r = transport->read(buffer);
        if (r.status == io::IoStatus::kAgain) return;
        if (r.status != io::IoStatus::kOk) return end(Kind::kNetwork);
        received.append(buffer, r.bytes);
        if (received.size() > 64 * 1024) return end(Kind::kFailed);
      }
    }
    bool matches() const {
      size_t from = 0;
      for (const std::string& part : prober.check_.receive) {
        size_t at = received.find(part, from);
        if (at == std::string::npos) return false;
        from = at + part.size();
      }
      return true;
    }
    void end(Kind kind) {
      if (std::exchange(ended, true)) return;
      if (transport) transport->close();
      done({kind, false});
    }
    TcpProber& prober;
    CheckDone done;
    std::unique_ptr<io::Connecting> connecting;
    std::unique_ptr<Handshake> handshake;
    std::unique_ptr<io::Transport> transport;
    std::string received;
    size_t sent = 0;
    bool ended = false;
  };

  io::Loop& loop_;
  const ClusterConfig& cluster_;
  const HealthCheckConfig& check_;
  HostPtr host_;
  io::Address address_;
  int mark_;
};

}  // namespace

std::unique_ptr<Prober> make_prober(io::Loop& loop, const ClusterConfig& cluster, const HealthCheckConfig& check, const HostPtr& host, int socket_mark) {
  io::Address to = host->check_address.value_or(host->address);
  if (check.alt_port && !host->check_address) to.set_port(*check.alt_port);
  if (check.kind == HealthCheckConfig::Kind::kTcp) return std::make_unique<TcpProber>(loop, cluster, check, host, to, socket_mark);
  return std::make_unique<HttpProber>(loop, cluster, check, host, to, socket_mark);
}

}  // namespace fairlead::proxy
