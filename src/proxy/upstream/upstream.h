// The upstream half of the data path: cluster, balancer, pools, connections of one worker.
//
// Worker thread only. Worker -> Cluster -> HostPool -> connections is a tree of ownership. An Exchange borrows a
// stream (UpstreamStream) between on_stream and on_end/on_reset/cancel.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "http/byte_counts.h"
#include "io/transport.h"
#include "proxy/config/model.h"
#include "proxy/handshake.h"
#include "proxy/headers.h"
#include "proxy/stats.h"
#include "proxy/upstream/balancer.h"

namespace fairlead::proxy {

class Worker;
class Cluster;
class HostPool;

enum class Resource : uint8_t { kConnection, kPending, kRequest, kRetry };
// kUncounted: granted by a limit that is none.
enum class Permit : uint8_t { kRefused, kUncounted, kCounted };

// Why a stream broke. Envoy's names are in reset_text().
enum class ResetReason : uint8_t {
  kConnectFailure,      // refused, unreachable
  kConnectTimeout,
  kTermination,         // the connection ended
  kRemoteReset,
  kRefusedStream,
  kLocalReset,
  kOverflow,            // circuit breaker
  kProtocolError,
};
std::string_view reset_text(ResetReason reason);

// Receives a response. Implemented by the Exchange (and by mirrors, which drop it).
class UpstreamSink {
 public:
  // Interim heads (1xx but 101) come through on_interim and are followed by another head.
  virtual void on_interim(const ResponseHeaders& head) { (void)head; }
  virtual void on_response(ResponseHeaders& head, bool end) = 0;  // views valid during the call
  virtual void on_response_data(std::string_view bytes) = 0;
  virtual void on_response_end(const HeaderMap* trailers) = 0;    // the stream is gone afterwards
  // The stream is gone. reused: it ran on a connection that had served before; nothing of an answer was read.
  virtual void on_reset(ResetReason reason, std::string_view detail, bool reused) = 0;
  virtual void on_upstream_drained() = 0;                         // pending() fell under the low watermark
  http::ByteCounts upstream_bytes;                                // of all its streams; connections add to it
  bool tunnel_cut = false;                                        // a tunnel over HTTP/1.1 ended, as such do: with its connection

 protected:
  ~UpstreamSink() = default;
};

// What logs tell of a connection. As long as it lives.
struct UpstreamFacts {
  uint64_t number = 0;                    // UPSTREAM_CONNECTION_ID
  std::string local;                      // our end's address
  base::TimePoint began, connected, shaken;  // connected: the transport, before a TLS handshake; shaken: after it, none without TLS
};

// One request on an upstream connection.
class UpstreamStream {
 public:
  virtual void send_head(const RequestHeaders& head, bool end) = 0;
  virtual void send_data(std::string_view bytes) = 0;
  virtual void send_end(const HeaderMap* trailers) = 0;
  virtual void cancel() = 0;                        // drop the stream; no callback follows
  // As cancel(), but keeps the connection when what is left of the answer is short.
  virtual void discard() { cancel(); }
  virtual void resume() = 0;                        // read on, after on_response_data could not be taken
  virtual size_t pending() const = 0;               // bytes waiting to be written
  virtual bool reused() const = 0;
  virtual const UpstreamFacts& facts() const = 0;
  virtual std::shared_ptr<const io::TlsInfo> tls() const { return nullptr; }
  // The sink asks to stop reading the response for now.
  virtual void pause() = 0;

 protected:
  ~UpstreamStream() = default;
};

// Somebody who waits for a stream.
class StreamWaiter {
 public:
  virtual void on_stream(UpstreamStream& stream) = 0;
  virtual void on_stream_failure(ResetReason reason, std::string_view detail) = 0;

  // The pool's notes on a waiter.
  HostPool* waiting_in_ = nullptr;
  bool waiting_high_ = false;
  Permit waiting_permit_ = Permit::kRefused;

 protected:
  ~StreamWaiter() = default;
};

// kAuto: what the server chooses by ALPN. kTcp: bytes, one request a connection.
enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2, kAuto, kTcp };

class UpstreamConnection;

// What one worker counted for one host; summed up for /clusters and for outlier detection.
struct HostCounters {
  uint64_t cx_total = 0, cx_active = 0, cx_connect_fail = 0;
  uint64_t rq_total = 0, rq_active = 0, rq_success = 0, rq_error = 0, rq_timeout = 0;
  uint64_t ok = 0, answers = 0, local_ok = 0, local_total = 0;  // of this interval of outlier detection
  void add(const HostCounters& other);
};

// One host as one worker knows it. Its address is stable while a pool lives.
struct HostSlot {
  HostPtr host;
  std::unique_ptr<HostPool> pools[4];  // by protocol
  // Those whose connections are not for everybody.
  std::map<std::tuple<UpstreamProtocol, std::string, std::string>, std::unique_ptr<HostPool>> own_pools;
  HostCounters counters;
  bool no_pools() const { return own_pools.empty() && std::ranges::none_of(pools, [](const auto& pool) { return pool != nullptr; }); }
  template <typename F>
  void each_pool(F&& f) const {
    for (auto& pool : pools)
      if (pool) f(*pool);
    for (auto& [key, pool] : own_pools) f(*pool);
  }
};

// Connections to one host with one protocol.
class HostPool {
 public:
  HostPool(Cluster& cluster, HostSlot& slot, UpstreamProtocol protocol, std::string server_name = {}, std::string lead = {});
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  // A stream at once (returned), or nullptr: overflow is set, or the waiter hears later (never inside this call).
  // fresh: on an HTTP/1.1 connection that has not served yet; a kept one has just failed.
  UpstreamStream* request(StreamWaiter& waiter, UpstreamSink& sink, bool high, bool& overflow, bool fresh = false);
  void cancel(StreamWaiter& waiter);
  void drain();                       // close what is idle, the rest when it ends
  bool unused() const { return connections_.empty() && waiting_.empty(); }

  Cluster& cluster() { return cluster_; }
  const HostPtr& host() const { return host_; }
  HostCounters& counters() { return slot_.counters; }
  UpstreamProtocol protocol() const { return protocol_; }
  bool tcp() const { return protocol_ == UpstreamProtocol::kTcp; }
  bool http2() const { return http2_; }  // what is spoken; by ALPN, what was chosen last: HTTP/1.1 before the first choice
  const std::string& server_name() const { return server_name_; }  // auto_sni: what its connections ask for
  const std::string& lead() const { return lead_; }  // the PROXY header of the client that its connections are for; else empty
  uint64_t active = 0;                // requests in flight on this host
  void stream_opened();               // by connections: one more of them; a request that still waits is none
  void streams_closed(size_t count);
  bool draining() const { return draining_; }

  // From connections.
  void on_connected(UpstreamConnection& connection);
  void on_connect_failed(UpstreamConnection& connection, ResetReason reason, std::string_view detail);
  void on_idle(UpstreamConnection& connection);       // may take a request again
  void on_closed(UpstreamConnection& connection);     // gone: forget and dispose it
  void chose(UpstreamConnection& connection, bool http2);  // by ALPN: the connection is made what the server speaks, and used
  void retire(UpstreamConnection& connection);        // no new requests; closed when its last one ends
  void note_buffered() const;

 private:
  struct Waiting {
    StreamWaiter* waiter;
    UpstreamSink* sink;
    bool fresh = false;
  };
  bool start_connection(bool high);
  void preconnect(bool high);
  void serve_waiting();
  void make_ready(UpstreamConnection& connection);
  void not_ready(UpstreamConnection& connection);
  void fail(std::deque<Waiting>& failed, ResetReason reason, std::string_view detail);
  UpstreamStream* take(UpstreamConnection& connection, UpstreamSink& sink, bool high);

  Cluster& cluster_;
  HostSlot& slot_;
  HostPtr host_;
  UpstreamProtocol protocol_;
  bool http2_;
  std::string server_name_, lead_;
  std::vector<std::unique_ptr<UpstreamConnection>> connections_;
  std::vector<UpstreamConnection*> ready_;   // HTTP/1.1: idle; HTTP/2: with room. The last is tried first
  std::deque<Waiting> waiting_;
  size_t connecting_ = 0;
  bool draining_ = false;
};

// A connection of a pool: HTTP/1.1 (one stream at a time) or HTTP/2.
class UpstreamConnection {
 public:
  explicit UpstreamConnection(HostPool& pool) : pool_(pool) {}
  virtual ~UpstreamConnection();
  void connect();
  bool connected() const { return transport_ != nullptr; }
  virtual UpstreamStream* open(UpstreamSink& sink) = 0;   // nullptr: no room (HTTP/2 refused)
  virtual bool has_room() const = 0;
  virtual size_t streams() const = 0;
  virtual void note_buffered() {}        // adds what waits to be sent to its cluster's statistics; what is read goes on at once
  void close_when_idle();
  void close();                          // now; pool_.on_closed follows
  bool closing() const { return close_when_idle_; }
  size_t index = 0;                      // in the pool's list
  bool ready = false;                    // the pool lists it as ready
  bool high = false;
  Permit permit = Permit::kRefused;
  uint64_t served = 0;

 protected:
  virtual void on_transport() = 0;       // connected
  virtual void on_broken(ResetReason reason, std::string_view detail) = 0;
  // Of connections with one request at a time. `busy`: it had one.
  void broken_off(bool busy);            // by the far end: counted, closed and given back
  void abandon();                        // by us, with its request
  void arm_idle();
  void disarm_idle();
  // The server's own time-out of idle connections (Keep-Alive: timeout); ours then ends a little before it.
  base::Nanos server_idle_{0};
  HostPool& pool_;
  std::unique_ptr<io::Transport> transport_;
  UpstreamFacts facts_;
  bool close_when_idle_ = false;
  bool gone_ = false;

 private:
  void connected(std::unique_ptr<io::Transport> transport);
  void usable();                         // after the handshake, if there is one
  void arm_life(base::Nanos left);
  void take_over(UpstreamConnection& from);
  std::unique_ptr<Handshake> handshake_;
  void refused(const base::Error& error);
  std::unique_ptr<io::Connecting> connecting_;
  std::optional<io::Timer> idle_timer_, life_timer_;
  friend class HostPool;
};
std::unique_ptr<UpstreamConnection> make_h1_upstream(HostPool& pool);
std::unique_ptr<UpstreamConnection> make_h2_upstream(HostPool& pool);
std::unique_ptr<UpstreamConnection> make_tcp_upstream(HostPool& pool);

// One cluster on one worker. Made at the first request that needs it.
class Cluster {
 public:
  Cluster(Worker& worker, std::shared_ptr<const ClusterConfig> config, std::shared_ptr<const EndpointSet> endpoints);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  void update_config(std::shared_ptr<const ClusterConfig> config);
  void update_endpoints(std::shared_ptr<const EndpointSet> endpoints);
  void drain_all();                                   // the cluster was removed
  void hosts_changed();                               // health or ejection
  bool unused() const;

  // The host for a request. destination: for ORIGINAL_DST. avoid: hosts already tried (previous_hosts).
  // Valid to the end of the round, and as long as its pool has a request of the caller.
  Host* pick(std::optional<uint64_t> hash, const io::Address* destination, const std::vector<const Host*>* avoid, uint32_t attempts);
  // server_name: auto_sni, the name that its connections ask for; lead: lead_for() the client (tls_dial.h). Connections are
  // shared by requests of the same.
  UpstreamProtocol protocol_for(http::Version downstream) const;
  HostPool& pool(Host& host, UpstreamProtocol protocol, std::string_view server_name = {}, std::string_view lead = {});
  void pool_unused(HostPool& pool);

  // Outcome of a request, for the host's counters and outlier detection. local_failure: no answer came (connecting,
  // reset, time-out); status is then 0, or 504 for a time-out.
  void report(Host& host, int status, bool local_failure);
  // The hosts' counters, and a new interval when `restart`.
  void collect_hosts(std::unordered_map<const Host*, HostCounters>& into, bool restart);

  Worker& worker() { return worker_; }
  const ClusterConfig& config() const { return *config_; }
  const std::shared_ptr<const ClusterConfig>& config_ptr() const { return config_; }
  const EndpointSet* endpoints() const { return endpoints_.get(); }
  void note_buffered();                               // the *_buffered of `stats`, as it is now
  // Where paused requests go on. The lowest that was ever configured: whoever paused at another limit wakes up, too.
  size_t low_watermark() const { return low_watermark_; }
  ClusterStats stats;

  // Circuit breakers. force: over the limit too (a pool may always have one connection).
  Permit take(Resource resource, bool high, bool force = false);
  void give_back(Permit& permit, Resource resource, bool high);  // leaves kRefused

 private:
  void rebuild();
  Host* original_dst_host(const io::Address& destination);

  Worker& worker_;
  std::shared_ptr<const ClusterConfig> config_;
  std::shared_ptr<const EndpointSet> endpoints_;
  std::unique_ptr<Balancer> balancer_;
  StringMap<HostPtr> original_hosts_;
  HostSlot& slot(Host& host);
  bool listed(const Host* host) const;                // by the endpoints in use
  std::vector<HostPool*> all_pools() const;
  std::unordered_map<const Host*, HostSlot> slots_;
  size_t low_watermark_ = 64 * 1024;
  HostSlot* last_slot_ = nullptr;                     // the one looked up last
};

inline void HostPool::stream_opened() {
  ++active;
  ++cluster_.stats.upstream_rq_total;
  ++cluster_.stats.upstream_rq_active;
}

inline void HostPool::streams_closed(size_t count) {
  active -= count;
  cluster_.stats.upstream_rq_active -= count;
}

}  // namespace fairlead::proxy
