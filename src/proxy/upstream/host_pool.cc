// HostPool and what HTTP/1.1 and HTTP/2 upstream connections have in common.
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

#include "io/happy_eyeballs.h"
#include "proxy/handshake.h"
#include "proxy/upstream/tls_dial.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {

std::string_view reset_text(ResetReason reason) {
  switch (reason) {
    case ResetReason::kConnectFailure:
      return "remote connection failure";
    case ResetReason::kConnectTimeout:
      return "connection timeout";
    case ResetReason::kTermination:
      return "connection termination";
    case ResetReason::kRemoteReset:
      return "remote reset";
    case ResetReason::kRefusedStream:
      return "remote refused stream reset";
    case ResetReason::kLocalReset:
      return "local reset";
    case ResetReason::kOverflow:
      return "overflow";
    case ResetReason::kProtocolError:
      return "protocol error";
  }
  return "";
}

HostPool::HostPool(Cluster& cluster, HostSlot& slot, UpstreamProtocol protocol, std::string server_name, std::string lead)
    : cluster_(cluster), slot_(slot), host_(slot.host), protocol_(protocol), http2_(protocol == UpstreamProtocol::kHttp2), server_name_(std::move(server_name)), lead_(std::move(lead)) {}

HostPool::~HostPool() = default;

UpstreamStream* HostPool::take(UpstreamConnection& connection, UpstreamSink& sink, bool high) {
  connection.high = high;
  UpstreamStream* stream = connection.open(sink);
  if (!stream) return nullptr;
  ++connection.served;
  ++slot_.counters.rq_total;
  uint32_t most = cluster_.config().max_requests_per_connection;
  if (most && connection.served >= most) {
    ++cluster_.stats.upstream_cx_max_requests;
    connection.close_when_idle();
  }
  if (!connection.has_room() || connection.closing()) not_ready(connection);
  return stream;
}

void HostPool::make_ready(UpstreamConnection& connection) {
  if (std::exchange(connection.ready, true)) return;
  ready_.push_back(&connection);
}

void HostPool::not_ready(UpstreamConnection& connection) {
  if (!std::exchange(connection.ready, false)) return;
  if (ready_.back() == &connection) ready_.pop_back();  // it was the first choice, so nearly always
  else std::erase(ready_, &connection);
}

UpstreamStream* HostPool::request(StreamWaiter& waiter, UpstreamSink& sink, bool high, bool& overflow, bool fresh) {
  overflow = false;
  draining_ = false;  // a request for the host means that it is back
  fresh = fresh && !http2_;
  while (!fresh && !ready_.empty()) {
    if (UpstreamStream* stream = take(*ready_.back(), sink, high)) {
      preconnect(high);
      return stream;
    }
    not_ready(*ready_.back());
  }
  Permit permit = cluster_.take(Resource::kPending, high);
  if (permit == Permit::kRefused) {
    ++cluster_.stats.upstream_rq_pending_overflow;
    overflow = true;
    return nullptr;
  }
  waiter.waiting_in_ = this;
  waiter.waiting_high_ = high;
  waiter.waiting_permit_ = permit;
  waiting_.push_back({&waiter, &sink, fresh});
  ++cluster_.stats.upstream_rq_pending_total;
  ++cluster_.stats.upstream_rq_pending_active;
  // HTTP/2 connections carry many; one that is being opened is enough.
  size_t wanted = http2_ ? 1 : waiting_.size();
  if (connecting_ < wanted) (void)start_connection(high);
  preconnect(high);
  return nullptr;
}

// per_upstream_preconnect_ratio: room for more requests than there are, in connections that are being opened.
void HostPool::preconnect(bool high) {
  double ratio = cluster_.config().preconnect_per_upstream;
  if (ratio <= 1) return;
  double streams = http2_ ? std::min<double>(cluster_.config().max_concurrent_streams, 1 << 20) : 1;
  double wanted = static_cast<double>(active + waiting_.size()) * ratio;
  // At most three more at a time, as Envoy, so that a burst does not become a storm.
  for (int more = 0; more < 3 && static_cast<double>(connections_.size()) * streams < wanted; ++more)
    if (!start_connection(high)) return;
}

bool HostPool::start_connection(bool high) {
  // A pool may always have one: what waits in it would wait for ever.
  if (!connections_.empty() && host_->connections.load(std::memory_order_relaxed) >= cluster_.config().thresholds[high].max_host_connections) {
    ++cluster_.stats.upstream_cx_overflow;
    return false;
  }
  Permit permit = cluster_.take(Resource::kConnection, high, connections_.empty());
  if (permit == Permit::kRefused) {
    ++cluster_.stats.upstream_cx_overflow;
    return false;
  }
  if (auto& used = cluster_.config().breakers[0]->used; !used.load(std::memory_order_relaxed)) used.store(true, std::memory_order_relaxed);
  ++slot_.counters.cx_total;
  ++slot_.counters.cx_active;
  host_->connections.fetch_add(1, std::memory_order_relaxed);
  auto connection = protocol_ == UpstreamProtocol::kHttp2 ? make_h2_upstream(*this) : tcp() ? make_tcp_upstream(*this) : make_h1_upstream(*this);  // by ALPN: see chose()
  connection->permit = permit;
  connection->high = high;
  connection->index = connections_.size();
  ++connecting_;
  ++cluster_.stats.upstream_cx_total;
  ++cluster_.stats.upstream_cx_active;
  if (protocol_ != UpstreamProtocol::kAuto && !tcp()) ++(http2_ ? cluster_.stats.upstream_cx_http2_total : cluster_.stats.upstream_cx_http1_total);
  UpstreamConnection& c = *connection;
  connections_.push_back(std::move(connection));
  c.connect();
  return true;
}

void HostPool::cancel(StreamWaiter& waiter) {
  if (waiter.waiting_in_ != this) return;
  waiter.waiting_in_ = nullptr;
  cluster_.give_back(waiter.waiting_permit_, Resource::kPending, waiter.waiting_high_);
  --cluster_.stats.upstream_rq_pending_active;
  ++cluster_.stats.upstream_rq_cancelled;
  std::erase_if(waiting_, [&](const Waiting& w) { return w.waiter == &waiter; });
  if (unused()) cluster_.pool_unused(*this);
}

void HostPool::serve_waiting() {
  while (!waiting_.empty() && !ready_.empty()) {
    UpstreamConnection& connection = *ready_.back();
    // Who wants a fresh connection lets kept ones pass, as long as one is on its way.
    auto w = waiting_.begin();
    if (connection.served > 0 && connecting_ > 0) w = std::ranges::find(waiting_, false, &Waiting::fresh);
    if (w == waiting_.end()) return;
    StreamWaiter& waiter = *w->waiter;
    UpstreamStream* stream = take(connection, *w->sink, waiter.waiting_high_);
    if (!stream) {
      not_ready(connection);
      continue;
    }
    waiting_.erase(w);
    waiter.waiting_in_ = nullptr;
    cluster_.give_back(waiter.waiting_permit_, Resource::kPending, waiter.waiting_high_);
    --cluster_.stats.upstream_rq_pending_active;
    waiter.on_stream(*stream);
  }
}

void HostPool::fail(std::deque<Waiting>& failed, ResetReason reason, std::string_view detail) {
  for (Waiting& w : failed) {
    w.waiter->waiting_in_ = nullptr;
    cluster_.give_back(w.waiter->waiting_permit_, Resource::kPending, w.waiter->waiting_high_);
    --cluster_.stats.upstream_rq_pending_active;
    ++cluster_.stats.upstream_rq_pending_failure_eject;
  }
  for (Waiting& w : failed) w.waiter->on_stream_failure(reason, detail);
}

void HostPool::on_connected(UpstreamConnection& connection) {
  --connecting_;
  make_ready(connection);
  serve_waiting();
  if (waiting_.empty() && connection.streams() == 0) {
    if (draining_ || tcp()) connection.close();  // bytes may be on their way that were for whoever asked
    else connection.arm_idle();
  }
}

void HostPool::chose(UpstreamConnection& connection, bool http2) {
  http2_ = http2;
  ++(http2 ? cluster_.stats.upstream_cx_http2_total : cluster_.stats.upstream_cx_http1_total);
  if (!http2) return connection.usable();
  auto other = make_h2_upstream(*this);
  UpstreamConnection& c = *other;
  c.take_over(connection);
  std::swap(connections_[c.index], other);
  cluster_.worker().loop().dispose(std::move(other));  // it is what is calling
  c.usable();
}

void HostPool::on_connect_failed(UpstreamConnection& connection, ResetReason reason, std::string_view detail) {
  ++cluster_.stats.upstream_cx_connect_fail;
  ++slot_.counters.cx_connect_fail;
  if (reason == ResetReason::kConnectTimeout) ++cluster_.stats.upstream_cx_connect_timeout;
  --connecting_;
  std::string text(detail);  // the connection that owns it goes
  cluster_.report(*host_, 0, true);
  // The host is in trouble: whoever waits shall decide anew (retry elsewhere) instead of queueing behind it. Taken out
  // of the queue first, so that the end of this connection does not start another one for them.
  std::deque<Waiting> failed;
  failed.swap(waiting_);
  on_closed(connection);
  fail(failed, reason, text);
}

void HostPool::on_idle(UpstreamConnection& connection) {
  if (connection.closing() || draining_) {
    if (connection.streams() == 0) connection.close();
    return;
  }
  make_ready(connection);
  serve_waiting();
  if (connection.streams() == 0) connection.arm_idle();
}

void HostPool::on_closed(UpstreamConnection& connection) {
  not_ready(connection);
  ++cluster_.stats.upstream_cx_destroy;
  if (connection.facts_.connected != base::TimePoint{}) {
    cluster_.stats.cx_length.record(std::chrono::duration<double, std::milli>(cluster_.worker().now() - connection.facts_.connected).count());
    cluster_.stats.rq_per_cx.record(static_cast<double>(connection.served));
  }
  --cluster_.stats.upstream_cx_active;
  --slot_.counters.cx_active;
  host_->connections.fetch_sub(1, std::memory_order_relaxed);
  cluster_.give_back(connection.permit, Resource::kConnection, connection.high);
  size_t i = connection.index;
  std::unique_ptr<UpstreamConnection> owned = std::move(connections_[i]);
  if (i + 1 < connections_.size()) {
    connections_[i] = std::move(connections_.back());
    connections_[i]->index = i;
  }
  connections_.pop_back();
  cluster_.worker().loop().dispose(std::move(owned));
  // Room for one more, when somebody waits for it.
  size_t wanted = http2_ ? std::min<size_t>(waiting_.size(), 1) : waiting_.size();
  if (connecting_ < wanted) (void)start_connection(waiting_.front().waiter->waiting_high_);
  if (unused()) cluster_.pool_unused(*this);
}

void HostPool::retire(UpstreamConnection& connection) {
  not_ready(connection);
  connection.close_when_idle();
  if (connection.streams() == 0) connection.close();
}

void HostPool::note_buffered() const {
  for (auto& c : connections_) c->note_buffered();
}

void HostPool::drain() {
  draining_ = true;
  std::vector<UpstreamConnection*> idle;
  for (auto& c : connections_) {
    c->close_when_idle();
    if (c->connected() && c->streams() == 0) idle.push_back(c.get());
  }
  for (UpstreamConnection* c : idle) c->close();
}

// ---- UpstreamConnection

UpstreamConnection::~UpstreamConnection() = default;

void UpstreamConnection::connect() {
  Worker& worker = pool_.cluster().worker();
  facts_.began = worker.now();
  if (worker.options().dial) {
    // Never inside this call, like the real thing. The pool keeps this connection until it is told of the outcome.
    worker.loop().defer([this, to = pool_.host()->address] {
      auto transport = pool_.cluster().worker().options().dial(to);
      if (transport) connected(std::move(transport));
      else refused({base::Code::kUnavailable, "connect: Connection refused", {}});
    });
    return;
  }
  const ClusterConfig& config = pool_.cluster().config();
  io::ConnectOptions options;
  options.timeout = config.connect_timeout;
  options.mark = worker.options().socket_mark;
  options.setup = config.socket;
  const Host& host = *pool_.host();
  connecting_ = io::connect_any(worker.loop(), host.address, host.more_addresses, options, [this](base::Result<std::unique_ptr<io::Transport>> result) {
    pool_.cluster().worker().loop().dispose(std::move(connecting_));
    if (result) connected(std::move(*result));
    else refused(result.error());
  });
}

void UpstreamConnection::refused(const base::Error& error) {
  gone_ = true;
  size_t colon = error.message.rfind(": ");
  std::string why = "delayed connect error: " + (colon == std::string::npos ? error.message : error.message.substr(colon + 2));
  pool_.cluster().stats.bind_errors += error.message.starts_with("bind ");
  bool late = error.code == base::Code::kDeadlineExceeded || error.message.ends_with("timed out");
  pool_.on_connect_failed(*this, late ? ResetReason::kConnectTimeout : ResetReason::kConnectFailure, late ? std::string_view() : why);
}

void UpstreamConnection::connected(std::unique_ptr<io::Transport> transport) {
  Cluster& cluster = pool_.cluster();
  Worker& worker = cluster.worker();
  const ClusterConfig& config = cluster.config();
  transport_ = std::move(transport);
  facts_.connected = worker.now();
  facts_.number = worker.next_connection_id();
  facts_.local = transport_->local().text();
  if (config.max_connection_duration.count() > 0) arm_life(config.max_connection_duration);
  static constexpr DialFor kUses[] = {DialFor::kHttp1, DialFor::kHttp2, DialFor::kHttp, DialFor::kTcp};
  Wrapped wrapped = wrap_upstream(cluster, *pool_.host(), std::move(transport_), kUses[static_cast<size_t>(pool_.protocol())], pool_.server_name(), pool_.lead());
  if (!wrapped.ready) {
    gone_ = true;
    return pool_.on_connect_failed(*this, ResetReason::kConnectFailure, "TLS_error: Secret is not supplied by SDS");
  }
  if (!wrapped.handshake) {
    transport_ = std::move(wrapped.transport);
    return pool_.protocol() == UpstreamProtocol::kAuto ? pool_.chose(*this, false) : usable();
  }
  base::Nanos left = config.connect_timeout - (worker.now() - facts_.began);
  handshake_ = std::make_unique<Handshake>(worker.loop(), std::move(wrapped.transport), std::max(left, base::Nanos(1)),
                                           [this](std::unique_ptr<io::Transport> done, const std::string& error) {
                                             pool_.cluster().worker().loop().dispose(std::move(handshake_));
                                             if (error.empty()) {
                                               transport_ = std::move(done);
                                               facts_.shaken = pool_.cluster().worker().now();
                                               return pool_.protocol() == UpstreamProtocol::kAuto ? pool_.chose(*this, transport_->alpn() == "h2") : usable();
                                             }
                                             gone_ = true;
                                             done->close();
                                             pool_.cluster().worker().loop().dispose(std::move(done));
                                             pool_.on_connect_failed(*this, ResetReason::kConnectFailure, error);
                                           });
  handshake_->start();
}

void UpstreamConnection::arm_life(base::Nanos left) {
  life_timer_.emplace(pool_.cluster().worker().loop(), [this] {
    if (gone_) return;
    ++pool_.cluster().stats.upstream_cx_max_duration_reached;
    pool_.retire(*this);
  });
  life_timer_->arm(left);
}

// Of one that turned out to be of the other protocol.
void UpstreamConnection::take_over(UpstreamConnection& from) {
  index = from.index;
  high = from.high;
  permit = std::exchange(from.permit, Permit::kRefused);
  transport_ = std::move(from.transport_);
  facts_ = std::move(from.facts_);
  close_when_idle_ = from.close_when_idle_;
  if (from.life_timer_) arm_life(pool_.cluster().config().max_connection_duration);
  from.life_timer_.reset();
  from.gone_ = true;
}

void UpstreamConnection::usable() {
  Cluster& cluster = pool_.cluster();
  Worker& worker = cluster.worker();
  cluster.stats.connect_ms.record(std::chrono::duration<double, std::milli>(worker.now() - facts_.began).count());
  on_transport();
  pool_.on_connected(*this);
}

void UpstreamConnection::close_when_idle() { close_when_idle_ = true; }

void UpstreamConnection::close() {
  if (gone_) return;
  gone_ = true;
  disarm_idle();
  if (transport_) transport_->close();
  ++pool_.cluster().stats.upstream_cx_destroy_local;
  pool_.on_closed(*this);
}

void UpstreamConnection::broken_off(bool busy) {
  gone_ = true;
  disarm_idle();
  transport_->close();
  ClusterStats& stats = pool_.cluster().stats;
  if (busy) {
    pool_.streams_closed(1);
    ++stats.upstream_cx_destroy_with_active_rq;
    ++stats.upstream_cx_destroy_remote_with_active_rq;
  }
  ++stats.upstream_cx_destroy_remote;
  pool_.on_closed(*this);
}

void UpstreamConnection::abandon() {
  pool_.streams_closed(1);
  ClusterStats& stats = pool_.cluster().stats;
  ++stats.upstream_rq_tx_reset;
  ++stats.upstream_cx_destroy_with_active_rq;
  ++stats.upstream_cx_destroy_local_with_active_rq;
  close();
}

void UpstreamConnection::arm_idle() {
  base::Nanos timeout = pool_.cluster().config().idle_timeout.value_or(std::chrono::hours(1));
  // A second before the server would close it: a request sent then meets a closed door. Of very short ones, half.
  if (server_idle_.count() > 0) {
    base::Nanos before = server_idle_ > std::chrono::seconds(2) ? server_idle_ - std::chrono::seconds(1) : server_idle_ / 2;
    if (timeout.count() <= 0 || before < timeout) timeout = before;
  }
  if (timeout <= base::Nanos(0)) return;
  if (!idle_timer_)
    idle_timer_.emplace(pool_.cluster().worker().loop(), [this] {
      if (gone_ || streams() > 0) return;
      ++pool_.cluster().stats.upstream_cx_idle_timeout;
      close();
    });
  idle_timer_->arm(timeout);
}

void UpstreamConnection::disarm_idle() {
  if (idle_timer_) idle_timer_->cancel();
}

}  // namespace fairlead::proxy
