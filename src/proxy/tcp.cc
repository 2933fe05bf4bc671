// tcp_proxy: bytes both ways between a client and an endpoint.
#include <algorithm>

#include "io/happy_eyeballs.h"
#include "proxy/downstream.h"
#include "proxy/filters/istio_stats.h"
#include "proxy/flow/flow_call.h"
#include "proxy/handshake.h"
#include "proxy/header_mutation.h"
#include "proxy/stream_info.h"
#include "proxy/upstream/balancer.h"
#include "proxy/upstream/tls_dial.h"
#include "proxy/upstream/tunnel.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {
namespace {

constexpr base::Nanos kReport = std::chrono::seconds(5);

class TcpConnection final : public DownstreamConnection, Flushable {
 public:
  TcpConnection(Worker& worker, Accepted&& accepted)
      : worker_(worker), listener_(std::move(accepted.listener)), config_(accepted.chain->tcp), info_(std::move(accepted.info)),
        listener_stats_(accepted.stats), stats_(worker.tcp_stats(config_->stat_prefix)), idle_(worker.loop(), [this] { on_idle(); }),
        report_(worker.loop(), [this] { report(false); }), life_(worker.loop(), [this] { on_max_duration(); }) {
    down_.transport = std::move(accepted.transport);
    down_.owner = up_.owner = this;
    up_.out.append(accepted.read_ahead);
    log_.bytes_received += accepted.read_ahead.size();
    down_.transport->set_sink(&down_);
    ++stats_.downstream_cx_total;
    log_.start = worker.now();
    log_.start_wall = worker.wall_now();
    log_.connection_id = info_.id;
    log_.downstream_local = info_.local_text;
    log_.downstream_remote = log_.downstream_direct_remote = info_.peer_text;
    log_.server_name = info_.server_name;
    log_.type = LogType::kTcpConnectionEnd;
    log_.connection = &info_;
    touch();
    if (config_->max_duration.count() > 0) life_.arm(config_->max_duration);
    // Not inside the constructor: closing needs the worker to own this connection.
    begin_ = true;
    worker_.mark(*this);
  }
  ~TcpConnection() override { worker_.unmark(*this); }

  void drain() override {}  // a byte stream has no point at which it could be asked to end
  void close() override { end(kFlagLocalReset); }
  const ListenerConfig* listener() const override { return listener_.get(); }
  void note_buffered() override {
    stats_.downstream_cx_tx_bytes_buffered += down_.out.size();
    if (!up_.transport) stats_.downstream_cx_rx_bytes_buffered += up_.out.size();
    else if (cluster_ && !config_->tunnel) cluster_->stats.upstream_cx_tx_bytes_buffered += up_.out.size();
  }

 private:
  struct Side final : io::TransportSink {
    void on_ready(bool readable, bool writable) override { owner->ready(*this, readable, writable); }
    TcpConnection* owner = nullptr;
    std::unique_ptr<io::Transport> transport;
    Output out;                  // towards this side
    bool ended = false;          // this side sent its last byte
    bool shut = false;           // and was told that no more comes
    bool paused = false;         // not read for now: the other side does not keep up
  };

  void flush() override {
    if (closed_) return;
    if (std::exchange(begin_, false) && may_connect()) connect();
    if (!closed_ && std::exchange(read_again_, false)) {
      pump(down_, up_);
      if (!closed_ && up_.transport) pump(up_, down_);
    }
  }

  // Flow control. False: it has ended, or connects later.
  bool may_connect() {
    if (!config_->flow) return true;
    std::string_view cluster = config_->cluster_by_sni && !info_.server_name.empty() ? std::string_view(info_.server_name) : config_->clusters[0].name;
    flow_ = enter_connection(*config_->flow, info_, cluster);
    if (!flow_) return true;
    if (flow_->verdict() != flow::Verdict::Pass) {
      log_.termination_details = flow_kind(flow_->verdict()).details;
      end(kFlagRateLimited);
      return false;
    }
    if (flow_->wait_ns() <= 0) return true;
    flow_->wait(worker_.loop(), [this] { connect(); });
    return false;
  }

  void connect() {
    const RouteCluster* chosen = &config_->clusters[0];
    if (config_->total_weight) {
      uint64_t at = worker_.random() % config_->total_weight;
      for (const RouteCluster& c : config_->clusters) {
        chosen = &c;
        if (at < c.weight) break;
        at -= c.weight;
      }
    }
    bool by_sni = config_->cluster_by_sni && !info_.server_name.empty();
    log_.cluster = log_.cluster_raw = by_sni ? std::string_view(info_.server_name) : chosen->name;
    ClusterId id = by_sni ? worker_.cluster_id(info_.server_name) : chosen->id;
    cluster_ = id == kNoCluster ? nullptr : worker_.cluster(id);
    if (!cluster_) {
      ++stats_.downstream_cx_no_route;
      return end(kFlagNoCluster);
    }
    std::optional<uint64_t> hash;
    if (config_->hash_source_ip) hash = xxhash64(info_.peer.ip());
    Host* host = cluster_->pick(hash, &info_.local, nullptr, 1);
    if (!host) return end(kFlagUpstreamUnhealthy);
    permit_ = cluster_->take(resource(), false);
    if (permit_ != Permit::kRefused && !config_->tunnel && host->connections.load(std::memory_order_relaxed) >= cluster_->config().thresholds[0].max_host_connections)
      cluster_->give_back(permit_, resource(), false);
    if (permit_ == Permit::kRefused) {
      ++(config_->tunnel ? cluster_->stats.upstream_rq_pending_overflow : cluster_->stats.upstream_cx_overflow);
      return end(kFlagUpstreamOverflow);
    }
    host_ = host->shared_from_this();
    host_text_ = host_->text;
    log_.upstream_host = host_text_;
    if (config_->log_needs & LogFormat::kMetadata) {
      log_.cluster_metadata = cluster_->config().metadata;
      log_.host_metadata = host_->metadata;
    }
    log_.upstream_host_name = host_->hostname;
    log_.upstream_connect_began = worker_.now();
    log_.attempts = ++attempts_;
    counted_ = true;
    if (config_->tunnel) return open_tunnel(*host);
    ++cluster_->stats.upstream_cx_total;
    ++cluster_->stats.upstream_cx_active;
    // As requests of a pool, to which Envoy's count is the same.
    ++cluster_->stats.upstream_rq_pending_total;
    ++cluster_->stats.upstream_rq_pending_active;
    waits_ = true;
    host_->connections.fetch_add(1, std::memory_order_relaxed);
    io::ConnectOptions options;
    options.timeout = cluster_->config().connect_timeout;
    options.mark = worker_.options().socket_mark;
    options.setup = cluster_->config().socket;
    connecting_ = io::connect_any(worker_.loop(), host_->address, host_->more_addresses, options,
                                  [this](base::Result<std::unique_ptr<io::Transport>> result) { connected(std::move(result)); });
  }

  void connected(base::Result<std::unique_ptr<io::Transport>> result) {
    worker_.loop().dispose(std::move(connecting_));
    log_.upstream_connected = worker_.now();
    if (!result) {
      ++cluster_->stats.upstream_cx_connect_fail;
      cluster_->report(*host_, 0, true);
      const std::string& message = result.error().message;
      cluster_->stats.bind_errors += message.starts_with("bind ");
      size_t colon = message.rfind(": ");
      failure_ = "delayed connect error: " + (colon == std::string::npos ? message : message.substr(colon + 2));
      log_.failure_reason = failure_;
      return try_again();
    }
    Wrapped wrapped = wrap_upstream(*cluster_, *host_, std::move(*result), DialFor::kTcp, {}, lead_for(cluster_->config(), *host_, info_));
    if (!wrapped.ready) return handshake_failed("TLS_error: Secret is not supplied by SDS");
    if (!wrapped.handshake) return usable(std::move(wrapped.transport));
    handshake_ = std::make_unique<Handshake>(worker_.loop(), std::move(wrapped.transport), cluster_->config().connect_timeout,
                                             [this](std::unique_ptr<io::Transport> done, const std::string& error) {
                                               worker_.loop().dispose(std::move(handshake_));
                                               if (error.empty()) return usable(std::move(done));
                                               done->close();
                                               worker_.loop().dispose(std::move(done));
                                               handshake_failed(error);
                                             });
    handshake_->start();
  }

  void open_tunnel(Host& host) {
    const TunnelConfig& how = *config_->tunnel;
    tunnel_ = std::make_unique<Tunnel>(cluster_->config().watermark_bytes, [this] { tunnel_answered(); });
    RequestHeaders& request = tunnel_->request();
    std::string authority;
    how.host.append(authority, log_);
    request.method = how.post ? "POST" : "CONNECT";
    request.authority = request.fields.store(authority);
    request.target = how.path;
    request.scheme = cluster_->config().tls_for(host) ? "https" : "http";
    for (const HeaderMutation::Add& h : how.headers) add_request_header(h, request, log_);
    std::string_view name = cluster_->config().auto_sni ? server_name_of(authority) : std::string_view();
    if (!tunnel_->open(cluster_->pool(host, cluster_->protocol_for(http::Version::kHttp11), name, lead_for(cluster_->config(), host, info_)))) end(kFlagUpstreamOverflow);
  }

  void tunnel_answered() {
    if (tunnel_->ready()) {
      const UpstreamStream& stream = *tunnel_->stream();
      log_.upstream_connection_id = stream.facts().number;
      log_.upstream_connect_began = stream.facts().began;
      log_.upstream_connected = stream.facts().connected;
      log_.upstream_shaken = stream.facts().shaken;
      return usable(std::move(tunnel_));
    }
    failure_ = tunnel_->failure();
    log_.failure_reason = failure_;
    worker_.loop().dispose(std::move(tunnel_));
    try_again();
  }

  // Elsewhere, or it was the last attempt: that flag stands also where there is one attempt only, as in Envoy.
  void try_again() {
    if (waits_) ++cluster_->stats.upstream_rq_pending_failure_eject;
    release();
    if (attempts_ < config_->max_connect_attempts) return connect();
    ++cluster_->stats.upstream_cx_connect_attempts_exceeded;
    end(kFlagUpstreamConnectFailure | kFlagRetryLimit);
  }

  void handshake_failed(const std::string& error) {
    ++cluster_->stats.upstream_cx_connect_fail;
    cluster_->report(*host_, 0, true);
    failure_ = error;
    log_.failure_reason = failure_;
    try_again();
  }

  void usable(std::unique_ptr<io::Transport> transport) {
    if (std::exchange(waits_, false)) {
      --cluster_->stats.upstream_rq_pending_active;
      ++cluster_->stats.upstream_rq_total;
      ++cluster_->stats.upstream_rq_active;
    }
    up_.transport = std::move(transport);
    up_.transport->set_sink(&up_);
    local_text_ = up_.transport->local().text();
    log_.attempted_hosts = host_text_;
    log_.attempted_names = host_->hostname.empty() ? host_text_ : host_->hostname;
    if (!config_->tunnel) log_.upstream_connection_id = worker_.next_connection_id();
    if (config_->log_needs & LogFormat::kAttempts) attempted_ = std::to_string(log_.upstream_connection_id);
    log_.attempted_connections = attempted_;
    log_.pool_wait = worker_.now() - log_.upstream_connect_began;
    log_.upstream_local = local_text_;
    touch();
    if (config_->istio_stats) report_.arm(kReport);
    if (!write(up_)) return end(kFlagUpstreamTermination);
    unpause(down_, up_);
    pump(down_, up_);
    if (!closed_) pump(up_, down_);
  }

  void ready(Side& side, bool readable, bool writable) {
    if (closed_) return;
    Side& other = &side == &down_ ? up_ : down_;
    if (writable && !side.out.empty()) {
      if (!write(side)) return broken(side);
      if (unpause(other, side)) pump(other, side);
      if (closed_) return;
    }
    if (readable) pump(side, other);
  }

  // Whether `from`, which was not read because of what waited for `to`, is to be read again.
  bool unpause(Side& from, const Side& to) {
    if (!from.paused || to.out.size() > most(to) / 4) return false;
    from.paused = false;
    ++(&from == &down_ ? stats_.downstream_flow_control_resumed_reading_total : cluster_->stats.upstream_flow_control_resumed_reading_total);
    return true;
  }

  // Bytes that may wait for this side before the other one is paused.
  size_t most(const Side& side) const { return &side == &up_ && cluster_ ? cluster_->config().watermark_bytes : listener_->watermark_bytes; }

  void pause(Side& from) {
    from.paused = true;
    ++(&from == &down_ ? stats_.downstream_flow_control_paused_reading_total : cluster_->stats.upstream_flow_control_paused_reading_total);
  }

  // Moves what `from` sent towards `to`.
  void pump(Side& from, Side& to) {
    if (!from.transport || from.ended) return;
    std::span<char> buffer = worker_.scratch();
    for (int round = 0; !from.paused; ++round) {
      if (!to.transport && to.out.size() >= most(to)) return pause(from);
      if (round == 16) {
        read_again_ = true;
        worker_.mark(*this);
        return;
      }
      io::IoResult r = from.transport->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status == io::IoStatus::kError) return broken(from);
      if (r.status == io::IoStatus::kEof) {
        from.ended = true;
        finish_direction(to);
        return;
      }
      touch();
      bool upstream = &from == &up_;
      (upstream ? log_.bytes_sent : log_.bytes_received) += r.bytes;
      (upstream ? cluster_->stats.upstream_cx_rx_bytes_total : stats_.downstream_cx_rx_bytes_total) += r.bytes;
      std::string_view bytes(buffer.data(), r.bytes);
      if (!to.transport) to.out.append(bytes);
      else if (!send(to, bytes)) return broken(to);
      if (to.out.size() >= most(to)) return pause(from);
    }
  }

  // What waits, and these bytes behind it. False when the connection is broken.
  bool send(Side& side, std::string_view bytes) {
    uint64_t before = side.out.written();
    bool ok = bytes.empty() ? side.out.flush(*side.transport) : side.out.write(*side.transport, bytes);
    (&side == &down_ ? stats_.downstream_cx_tx_bytes_total : cluster_->stats.upstream_cx_tx_bytes_total) += side.out.written() - before;
    return ok;
  }

  bool write(Side& side) {
    if (!send(side, {})) return false;
    Side& other = &side == &down_ ? up_ : down_;
    if (other.ended && side.out.empty()) finish_direction(side);
    return true;
  }

  // Nothing more comes for `to`: half-close it, once all is written; over when both directions are.
  void finish_direction(Side& to) {
    if (closed_ || to.shut || !to.transport || !to.out.empty()) return;
    to.shut = true;
    to.transport->shutdown_write();
    if (down_.shut && up_.shut) end(0);
  }

  void broken(Side& side) {
    if (&side == &up_) return end(kFlagUpstreamTermination);
    end(kFlagDownstreamTermination);
  }

  void on_max_duration() {
    ++stats_.max_downstream_connection_duration;
    end(kFlagDurationTimeout);
  }

  void touch() {
    if (config_->idle_timeout.count() > 0) idle_.arm(config_->idle_timeout);
  }
  void on_idle() {
    ++stats_.idle_timeout;
    end(kFlagStreamIdleTimeout);
  }

  // istio.stats: what came since the last report, each 5 s as Istio does, and at the end.
  void report(bool over) {
    IstioMetrics::Key key;
    std::shared_ptr<const ServiceIdentity> service = cluster_ ? cluster_->config().service : nullptr;
    std::shared_ptr<const Workload> peer = config_->istio_stats->source && host_ ? host_->workload : nullptr;
    key.config = config_->istio_stats.get();
    key.special = IstioMetrics::special({}, log_.cluster_raw);
    if (key.special != IstioMetrics::Special::kNone) service = nullptr;
    key.service = service.get();
    key.peer = peer.get();
    key.protocol = IstioMetrics::Protocol::kTcp;
    // Labels stay those of the first report, so that what was opened and what was closed add up.
    if (!reported_) reported_flags_ = log_.flags;
    key.flags = reported_flags_;
    auto* series = IstioMetrics::of(worker_).series(key, config_->istio_stats, service, peer);
    if (!series) return;
    if (!std::exchange(reported_, true)) ++series->opened;
    series->sent_bytes += log_.bytes_sent - std::exchange(reported_sent_, log_.bytes_sent);
    series->received_bytes += log_.bytes_received - std::exchange(reported_received_, log_.bytes_received);
    if (over) ++series->closed;
    else report_.arm(kReport);
  }

  void release() {
    if (!std::exchange(counted_, false)) return;
    cluster_->give_back(permit_, resource(), false);
    if (config_->tunnel) return;  // connections are the pool's
    --(std::exchange(waits_, false) ? cluster_->stats.upstream_rq_pending_active : cluster_->stats.upstream_rq_active);
    --cluster_->stats.upstream_cx_active;
    host_->connections.fetch_sub(1, std::memory_order_relaxed);
    ++cluster_->stats.upstream_cx_destroy;
    if (up_.transport) cluster_->stats.cx_length.record(std::chrono::duration<double, std::milli>(worker_.now() - log_.upstream_connected).count());
  }
  Resource resource() const { return config_->tunnel ? Resource::kRequest : Resource::kConnection; }

  void end(uint32_t flag) {
    if (std::exchange(closed_, true)) return;
    idle_.cancel();
    life_.cancel();
    if (flow_) {
      flow_->cancel();
      flow_->leave(flag & (kFlagNoCluster | kFlagUpstreamUnhealthy | kFlagUpstreamOverflow | kFlagUpstreamConnectFailure | kFlagUpstreamTermination));
    }
    worker_.loop().dispose(std::move(connecting_));
    worker_.loop().dispose(std::move(handshake_));
    if (tunnel_) {
      tunnel_->close();
      worker_.loop().dispose(std::move(tunnel_));
    }
    if (up_.transport && (config_->log_needs & LogFormat::kTls)) upstream_tls_ = up_.transport->tls_info();
    log_.downstream_tls = down_.transport->tls_info().get();
    log_.upstream_tls = upstream_tls_.get();
    release();
    log_.flags |= flag;
    log_.end = worker_.now() - log_.start;
    log_.response_last = log_.end;
    report_.cancel();
    if (config_->istio_stats) report(true);
    downstream_bytes_ = {.wire_received = log_.bytes_received, .wire_sent = log_.bytes_sent};
    upstream_bytes_ = {.wire_received = log_.bytes_sent, .wire_sent = log_.bytes_received};
    log_.downstream_bytes = &downstream_bytes_;
    log_.upstream_bytes = &upstream_bytes_;
    worker_.log(config_->access_logs, log_);
    // Refused before a byte went through: the client gets a reset, as it would from the endpoint.
    down_.transport->close(flag & kFlagUpstreamConnectFailure);
    if (up_.transport) up_.transport->close();
    if (listener_stats_) {
      --listener_stats_->downstream_cx_active;
      ++listener_stats_->downstream_cx_destroy;
      listener_stats_->cx_length.record(std::chrono::duration<double, std::milli>(worker_.now() - info_.accepted).count());
    }
    worker_.forget(*this);
  }

  Worker& worker_;
  std::shared_ptr<const ListenerConfig> listener_;
  std::shared_ptr<const TcpConfig> config_;
  ConnectionInfo info_;
  ListenerStats* listener_stats_;
  TcpStats& stats_;
  io::Timer idle_, report_, life_;
  Side down_, up_;
  Cluster* cluster_ = nullptr;
  HostPtr host_;
  std::string host_text_, local_text_, failure_, attempted_;
  Permit permit_ = Permit::kRefused;
  std::unique_ptr<io::Connecting> connecting_;
  std::unique_ptr<Handshake> handshake_;
  std::unique_ptr<Tunnel> tunnel_;         // until its endpoint agreed
  std::unique_ptr<FlowCall> flow_;         // nullptr: it is not asked about
  StreamInfo log_;
  http::ByteCounts downstream_bytes_, upstream_bytes_;
  uint64_t reported_sent_ = 0, reported_received_ = 0;
  uint32_t attempts_ = 0, reported_flags_ = 0;
  bool reported_ = false;
  std::shared_ptr<const io::TlsInfo> upstream_tls_;
  bool closed_ = false, begin_ = false, read_again_ = false, counted_ = false, waits_ = false;
};

}  // namespace

std::unique_ptr<DownstreamConnection> make_tcp_connection(Worker& worker, Accepted&& accepted) {
  return std::make_unique<TcpConnection>(worker, std::move(accepted));
}

}  // namespace fairlead::proxy
