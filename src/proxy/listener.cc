#include "proxy/listener.h"

#include "base/log.h"
#include "io/accepted.h"
#include "proxy/handshake.h"
#include "proxy/overload.h"
#include "proxy/proxy_protocol.h"
#include "proxy/tls_source.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {
namespace {

// A connection whose chain is not chosen yet: reads as much as the inspectors need.
class Inspecting final : public DownstreamConnection, io::TransportSink {
 public:
  Inspecting(Worker& worker, Listener& listener, Accepted accepted, bool tls, bool http)
      : worker_(worker), config_(listener.config_ptr()), accepted_(std::move(accepted)), proxy_(config_->proxy_protocol), tls_(tls), http_(http),
        timer_(worker.loop(), [this] { timed_out(); }) {
    accepted_.transport->set_sink(this);
    accepted_.fresh = false;
    if (config_->inspect_timeout.count() > 0) timer_.arm(config_->inspect_timeout);
    if (accepted_.stats) ++accepted_.stats->downstream_pre_cx_active;
  }
  void begin() { read(); }
  void drain() override { accepted_.draining = true; }
  void close() override { end(); }
  const ListenerConfig* listener() const override { return config_.get(); }

 private:
  void on_ready(bool readable, bool) override {
    if (readable && !done_) read();
  }
  void read() {
    for (;;) {
      std::span<char> buffer = worker_.scratch();
      io::IoResult r = accepted_.transport->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) {
        // A client that says nothing more is still a TCP connection when it said something.
        if (r.status == io::IoStatus::kEof && !accepted_.read_ahead.empty()) return decide({Sniffed::Verdict::kOther, {}, {}});
        if (accepted_.stats) ++(r.status == io::IoStatus::kEof ? accepted_.stats->downstream_listener_filter_remote_close : accepted_.stats->downstream_listener_filter_error);
        return end();
      }
      accepted_.read_ahead.append(buffer.data(), r.bytes);
      if (proxy_) {
        ProxyHeader header = parse_proxy_header(accepted_.read_ahead);
        if (header.verdict == ProxyHeader::Verdict::kNeedMore) continue;
        if (!take_proxy_header(header)) return end();
        if (!tls_ && !http_) return decide({Sniffed::Verdict::kOther, {}, {}});
        if (accepted_.read_ahead.empty()) continue;
      }
      Sniffed seen = sniff(accepted_.read_ahead, tls_, http_);
      if (seen.verdict == Sniffed::Verdict::kNeedMore) continue;
      count(seen);
      return decide(std::move(seen));
    }
  }
  void count(const Sniffed& seen) {
    using V = Sniffed::Verdict;
    InspectorStats& stats = worker_.inspector_stats;
    bool tls = seen.verdict == V::kTls;
    if (tls_) {
      ++(tls ? stats.tls_found : stats.tls_not_found);
      if (tls) ++(seen.server_name.empty() ? stats.sni_not_found : stats.sni_found);
      if (tls) ++(seen.alpn.empty() ? stats.alpn_not_found : stats.alpn_found);
    }
    if (http_ && !tls) ++(seen.verdict == V::kHttp10 ? stats.http10_found : seen.verdict == V::kHttp11 ? stats.http11_found : seen.verdict == V::kHttp2 ? stats.http2_found : stats.http_not_found);
  }
  // Who the client is, as the balancer in front says. False when the connection can't be served.
  bool take_proxy_header(const ProxyHeader& header) {
    proxy_ = false;
    if (header.verdict == ProxyHeader::Verdict::kAbsent) return config_->proxy_protocol_optional;
    if (header.verdict != ProxyHeader::Verdict::kFound || config_->proxy_protocol_refused[header.version == 2]) return false;
    if (config_->proxy_protocol_all_tlvs || !config_->proxy_protocol_tlvs.empty())
      if (std::string kept = pick_tlvs(header.tlvs, config_->proxy_protocol_all_tlvs, config_->proxy_protocol_tlvs); !kept.empty())
        accepted_.info.tlvs = std::make_shared<const std::string>(std::move(kept));
    accepted_.read_ahead.erase(0, header.length);
    if (!header.source || !header.destination) return true;
    accepted_.info.peer = *header.source;
    accepted_.info.local = *header.destination;
    accepted_.info.peer_text = accepted_.info.peer.text();
    accepted_.info.local_text = accepted_.info.local.text();
    return true;
  }
  void timed_out() {
    if (config_->continue_on_inspect_timeout) return decide({Sniffed::Verdict::kOther, {}, {}});
    if (accepted_.stats) ++accepted_.stats->downstream_pre_cx_timeout;
    end();
  }
  void decide(Sniffed seen);
  void end() {
    if (std::exchange(done_, true)) return;
    timer_.cancel();
    if (accepted_.transport) accepted_.transport->close();
    if (accepted_.stats) {
      --accepted_.stats->downstream_pre_cx_active;
      --accepted_.stats->downstream_cx_active;
      ++accepted_.stats->downstream_cx_destroy;
    }
    worker_.forget(*this);
  }

  Worker& worker_;
  std::shared_ptr<const ListenerConfig> config_;
  Accepted accepted_;
  bool proxy_;                // the PROXY protocol's header has not been seen yet
  bool tls_, http_;
  io::Timer timer_;
  bool done_ = false;
};

// TLS swallows what was read ahead; it has to see it first.
class ReplayTransport final : public io::Transport, io::TransportSink {
 public:
  ReplayTransport(std::unique_ptr<io::Transport> inner, std::string bytes) : inner_(std::move(inner)), bytes_(std::move(bytes)) {
    peer_ = inner_->peer();
    local_ = inner_->local();
    inner_->set_sink(this);
  }
  io::IoResult read(std::span<char> into) override {
    if (!bytes_.empty()) {
      size_t n = std::min(into.size(), bytes_.size());
      bytes_.copy(into.data(), n);
      bytes_.erase(0, n);
      return {io::IoStatus::kOk, n};
    }
    return inner_->read(into);
  }
  io::IoResult write(std::span<const iovec> from) override { return inner_->write(from); }
  void shutdown_write() override { inner_->shutdown_write(); }
  void close(bool reset) override { inner_->close(reset); }
  int fd() const override { return inner_->fd(); }

 private:
  void on_ready(bool readable, bool writable) override {
    if (sink_) sink_->on_ready(readable, writable);
  }
  std::unique_ptr<io::Transport> inner_;
  std::string bytes_;
};

void count_end(Accepted& accepted) {
  if (!accepted.stats) return;
  --accepted.stats->downstream_cx_active;
  ++accepted.stats->downstream_cx_destroy;
}

// reset: what the client sent was read here and is answered by nobody; it is to see that, as it does when a socket is closed
// with bytes unread.
void close_accepted(Accepted& accepted, bool reset = false) {
  accepted.transport->close(reset);
  count_end(accepted);
}

// A connection that ends before a chain has it stands in the listener's own log.
void log_refused(Worker& worker, const ListenerConfig& config, const Accepted& accepted, uint32_t flags, std::string_view details, std::string_view failure) {
  StreamInfo info;
  info.start = worker.now();
  info.start_wall = worker.wall_now();
  info.end = base::Nanos(0);
  info.connection_id = accepted.info.id;
  info.flags = flags;
  info.details = details;
  info.downstream_failure = failure;
  info.downstream_local = accepted.info.local_text;
  info.downstream_remote = info.downstream_direct_remote = accepted.info.peer_text;
  info.server_name = accepted.info.server_name;
  info.connection = &accepted.info;
  worker.log(config.access_logs, info);
}

void hand_over(Worker& worker, Accepted&& accepted) {
  const FilterChain* chain = accepted.chain;
  bool draining = accepted.draining;
  accepted.info.listener_name = accepted.listener->name;
  accepted.info.chain_name = chain->name;
  accepted.info.transport = accepted.transport.get();
  auto connection = chain->http ? make_http_connection(worker, std::move(accepted)) : make_tcp_connection(worker, std::move(accepted));
  connection->chain = chain;
  DownstreamConnection& c = *connection;
  worker.add(std::move(connection));
  if (draining) c.drain();
}

// A connection whose TLS handshake is under way.
class Handshaking final : public DownstreamConnection {
 public:
  Handshaking(Worker& worker, Accepted&& accepted, std::shared_ptr<const io::TlsContext> context)
      : worker_(worker), accepted_(std::move(accepted)) {
    accepted_.fresh = false;
    auto inner = std::move(accepted_.transport);
    if (!accepted_.read_ahead.empty()) inner = std::make_unique<ReplayTransport>(std::move(inner), std::exchange(accepted_.read_ahead, {}));
    auto tls = io::make_tls_server(worker.loop(), std::move(inner), std::move(context), accepted_.stats ? &accepted_.stats->tls : nullptr);
    handshake_ = std::make_unique<Handshake>(worker.loop(), std::move(tls), accepted_.chain->handshake_timeout,
                                             [this](std::unique_ptr<io::Transport> transport, const std::string& error) { done(std::move(transport), error); });
  }
  void begin() { handshake_->start(); }
  // The client may be waiting for the last message; one that takes its time has none to send.
  void drain() override {
    constexpr base::Nanos kRest = std::chrono::seconds(3);
    accepted_.draining = true;
    if (!over_ && handshake_) handshake_->hurry(kRest);
  }
  void close() override {
    if (std::exchange(over_, true)) return;
    worker_.loop().dispose(std::move(handshake_));
    count_end(accepted_);
    worker_.forget(*this);
  }
  const ListenerConfig* listener() const override { return accepted_.listener.get(); }

 private:
  void done(std::unique_ptr<io::Transport> transport, const std::string& error) {
    if (std::exchange(over_, true)) return;
    worker_.loop().dispose(std::move(handshake_));
    if (error.empty()) {
      accepted_.info.secure = true;
      accepted_.info.shaken = worker_.now();
      accepted_.info.tls = transport.get();
      if (accepted_.info.server_name.empty()) accepted_.info.server_name = transport->sni();
      accepted_.transport = std::move(transport);
      hand_over(worker_, std::move(accepted_));
    } else {
      if (accepted_.stats && error.ends_with("timeout")) ++accepted_.stats->downstream_cx_transport_socket_connect_timeout;
      log_refused(worker_, *accepted_.listener, accepted_, 0, {}, error);
      transport->close();
      worker_.loop().dispose(std::move(transport));
      count_end(accepted_);
    }
    worker_.forget(*this);
  }

  Worker& worker_;
  Accepted accepted_;
  std::unique_ptr<Handshake> handshake_;
  bool over_ = false;
};

// The chain is known: plain or TLS, HTTP or TCP.
void start(Worker& worker, std::shared_ptr<const ListenerConfig> config, Accepted&& accepted, const Sniffed* seen) {
  ConnectionFacts facts;
  facts.destination = accepted.info.local;
  facts.source = accepted.info.peer;
  if (seen) {
    switch (seen->verdict) {
      case Sniffed::Verdict::kTls:
        facts.transport_protocol = "tls";
        facts.server_name = seen->server_name;
        facts.application_protocols = seen->alpn;
        accepted.info.server_name = seen->server_name;
        break;
      case Sniffed::Verdict::kHttp10:
        facts.application_protocols = {"http/1.0"};
        break;
      case Sniffed::Verdict::kHttp11:
        facts.application_protocols = {"http/1.1"};
        break;
      case Sniffed::Verdict::kHttp2:
        facts.application_protocols = {"h2c"};
        break;
      default:
        break;
    }
  }
  const FilterChain* chain = find_chain(*config, facts);
  if (!chain || (!chain->http && !chain->tcp)) {
    if (!chain && accepted.stats) ++accepted.stats->no_filter_chain_match;
    log_refused(worker, *config, accepted, kFlagNoRoute, "filter_chain_not_found", {});
    return close_accepted(accepted, !accepted.read_ahead.empty());
  }
  accepted.chain = chain;
  accepted.listener = std::move(config);
  accepted.transport->set_sink(nullptr);
  if (!chain->tls) return hand_over(worker, std::move(accepted));
  auto context = chain->tls->context();
  if (!context) {
    // Never served in plain text instead.
    if (accepted.stats) ++accepted.stats->downstream_context_secrets_not_ready;
    return close_accepted(accepted);
  }
  if (chain->tls->require_sni && accepted.info.server_name.empty() && seen && seen->verdict == Sniffed::Verdict::kTls) {
    if (accepted.stats) ++accepted.stats->tls.connection_error;
    return close_accepted(accepted);
  }
  auto handshaking = std::make_unique<Handshaking>(worker, std::move(accepted), std::move(context));
  Handshaking& h = *handshaking;
  h.chain = chain;
  worker.add(std::move(handshaking));
  h.begin();
}

void Inspecting::decide(Sniffed seen) {
  if (std::exchange(done_, true)) return;
  timer_.cancel();
  if (accepted_.stats) --accepted_.stats->downstream_pre_cx_active;
  start(worker_, config_, std::move(accepted_), &seen);
  worker_.forget(*this);
}

}  // namespace

Listener::Listener(Worker& worker, std::shared_ptr<const ListenerConfig> config, const std::vector<int>& fds) : worker_(worker) {
  update(std::move(config));
  for (int fd : fds) {
    Socket& socket = *sockets_.emplace_back(std::make_unique<Socket>());
    // A socket bound to one address accepts connections to that one only, unless it is transparent.
    if (auto at = io::local_address(fd); at && at->is_ip() && !config_->transparent && at->ip() != "0.0.0.0" && at->ip() != "::") socket.local = *at;
    if (socket.local.valid()) socket.local_text = socket.local.text();
    socket.acceptor = std::make_unique<io::Acceptor>(worker_.loop(), io::Fd(fd), [this, &socket](io::Fd connection, const io::Address& peer) {
      accept(io::make_accepted_transport(worker_.loop(), std::move(connection), peer.is_ip() ? peer : io::Address(), socket.local), true, &socket);
    });
  }
}

Listener::~Listener() = default;

void Listener::accept(std::unique_ptr<io::Transport> transport, bool fresh, const Socket* socket) {
  if (const Overload* overload = worker_.options().overload; overload && (overload->connections_full() || overload->stop_connections())) {
    ++(overload->connections_full() ? stats_->downstream_global_cx_overflow : stats_->downstream_cx_overload_reject);
    transport->close(true);
    return;
  }
  Accepted a;
  a.info.id = worker_.next_connection_id();
  a.info.accepted = worker_.now();
  a.info.peer = transport->peer();
  a.info.local = transport->local();
  a.fresh = fresh;
  Listener* to = this;
  if ((config_->use_original_dst || config_->original_dst_filter) && transport->fd() >= 0) {
    if (auto original = io::original_destination(transport->fd()); original && !(*original == a.info.local)) {
      a.info.local = *original;
      a.info.original_dst = true;
    }
    if (config_->use_original_dst && a.info.original_dst)
      if (Listener* other = worker_.listener_for(a.info.local); other && other != this) to = other;
  }
  a.info.peer_text = a.info.peer.text();
  a.info.local_text = socket && socket->local.valid() && !a.info.original_dst ? socket->local_text : a.info.local.text();
  a.transport = std::move(transport);
  a.stats = to->stats_;
  ++a.stats->downstream_cx_total;
  ++a.stats->downstream_cx_active;
  to->take(std::move(a));
}

void Listener::update(std::shared_ptr<const ListenerConfig> config) {
  config_ = std::move(config);
  stats_ = &worker_.listener_stats(config_->stat_name);
}

void Listener::take(Accepted&& accepted) {
  uint16_t port = accepted.info.local.port();
  bool tls = config_->tls_inspector && !config_->tls_inspector_off.matches(port);
  bool http = config_->http_inspector && !config_->http_inspector_off.matches(port);
  if (!tls && !http && !config_->proxy_protocol) return start(worker_, config_, std::move(accepted), nullptr);
  auto inspecting = std::make_unique<Inspecting>(worker_, *this, std::move(accepted), tls, http);
  Inspecting& i = *inspecting;
  worker_.add(std::move(inspecting));
  i.begin();
}

std::unique_ptr<DownstreamConnection> make_http_connection(Worker& worker, Accepted&& accepted) {
  using Codec = HttpConfig::Codec;
  Codec codec = accepted.chain->http->codec;
  bool h2 = codec == Codec::kHttp2 || (codec == Codec::kAuto && accepted.transport->alpn() == "h2");
  return h2 ? make_h2_downstream(worker, std::move(accepted)) : make_h1_downstream(worker, std::move(accepted));
}

}  // namespace fairlead::proxy
