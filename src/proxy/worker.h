// Worker: one thread's share of the data plane: a loop, listening sockets, clusters with their pools, statistics.
//
// Everything is for the worker's own thread, except where a comment says otherwise. The main thread sends it
// configuration and questions by loop().post().
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/loop.h"
#include "io/tls.h"
#include "proxy/config/model.h"
#include "proxy/log/access_log.h"
#include "proxy/output.h"
#include "proxy/stats.h"

namespace fairlead::proxy {

class Cluster;
struct HostCounters;
class Exchange;
class Listener;
class Overload;
class DownstreamConnection;
class MirrorStream;

struct WorkerOptions {
  unsigned index = 0;
  unsigned count = 1;
  int socket_mark = 0;                 // SO_MARK on upstream sockets
  std::string node_id, node_cluster;
  std::string own_ip = "127.0.0.1";    // what this proxy adds to x-forwarded-for of requests of its own
  Overload* overload = nullptr;        // of the process; nullptr: no limits
  // Any thread may call these; they post to the main thread.
  std::function<void(std::map<std::string, std::string>)> write_logs;
  std::function<void(std::function<void()>)> post_main;
  // Main thread's decision on an endpoint that misbehaved.
  std::function<void(ClusterId, HostPtr, int kind)> outlier;
  // Tests: connections to endpoints come from here (nullptr: refused) instead of from sockets.
  std::function<std::unique_ptr<io::Transport>(const io::Address&)> dial;
};

// One change of configuration, prepared by the main thread. Applied between two events, whole.
struct ConfigUpdate {
  std::vector<std::shared_ptr<const ClusterConfig>> clusters;
  std::vector<ClusterId> removed_clusters;
  std::vector<std::pair<ClusterId, std::shared_ptr<const EndpointSet>>> endpoints;
  std::vector<std::shared_ptr<const RouteTable>> routes;
  std::vector<std::string> removed_routes;
  struct NewListener {
    std::shared_ptr<const ListenerConfig> config;
    std::vector<int> fds;              // this worker's listening sockets (taken), one an address; empty: not bound, or kept
  };
  std::vector<NewListener> listeners;
  std::vector<std::string> removed_listeners;
};

// What a kind of filter keeps on a worker: caches, statistics of its own.
struct WorkerLocal {
  virtual ~WorkerLocal() = default;
  virtual void collect(StatsSnapshot&) {}
};

class Worker {
 public:
  explicit Worker(WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  io::Loop& loop() { return loop_; }
  const WorkerOptions& options() const { return options_; }

  void apply(ConfigUpdate update);
  void hosts_changed(ClusterId cluster);         // health or ejection: rebuild its balancer
  // Counters of the hosts of a cluster, or of all (kNoCluster); restart: a new interval of outlier detection begins.
  void collect_hosts(ClusterId cluster, std::unordered_map<const Host*, HostCounters>& into, bool restart);
  // Graceful end: connections say so in their next answer (Connection: close, GOAWAY) and close when idle; accepting
  // goes on until stop_listening().
  void begin_drain();
  void stop_listening();
  void close_all();
  bool draining() const { return draining_; }
  size_t downstream_connections() const { return connections_.size(); }
  void collect(StatsSnapshot& into);
  size_t active_exchanges() const { return active_exchanges_; }

  // --- for the data path
  // Shared by all reads of a round: whoever reads into it is done with the bytes, or has copied them, on return.
  std::span<char> scratch() { return {scratch_.get(), kScratchBytes}; }
  void mark(Flushable& what);
  void unmark(Flushable& what);
  uint64_t random() {
    // xorshift64*: for balancing, fractions and jitter.
    random_ ^= random_ >> 12;
    random_ ^= random_ << 25;
    random_ ^= random_ >> 27;
    return random_ * 0x2545F4914F6CDD1DULL;
  }
  base::TimePoint now() const { return loop_.now(); }
  base::WallTime wall_now();
  Cluster* cluster(ClusterId id);                // nullptr when there is none
  ClusterId cluster_id(std::string_view name) const;
  std::shared_ptr<const RouteTable> route_table(const std::string& name) const;
  Listener* listener_for(const io::Address& original_destination);
  H1Stats http1_stats;                           // of clients; those of endpoints are their clusters'
  H2Stats http2_stats;
  InspectorStats inspector_stats;
  TcpStats& tcp_stats(const std::string& prefix);
  ListenerStats& listener_stats(const std::string& name);
  LogBuffer& logs() { return logs_; }
  void log(const std::vector<AccessLogConfig>& logs, const StreamInfo& info);
  // "Sun, 06 Nov 1994 08:49:37 GMT", renewed each second.
  std::string_view http_date();
  std::string_view new_request_id(char (&buffer)[36]);
  // The one of its kind on this worker, made at first use; key: the address of a static.
  template <class T>
  T& local(const void* key) {
    for (auto& [k, value] : locals_)
      if (k == key) return static_cast<T&>(*value);
    return static_cast<T&>(*locals_.emplace_back(key, std::make_unique<T>()).second);
  }
  uint64_t next_connection_id() { return ++connection_ids_ * options_.count + options_.index; }

  std::unique_ptr<Exchange> take_exchange();
  void give_back(std::unique_ptr<Exchange> exchange);   // reset and kept for reuse, at the end of the round
  size_t active_exchanges_ = 0;

  // Connections are owned here; removed with forget(), destroyed at the end of the round.
  void add(std::unique_ptr<DownstreamConnection> connection);
  void forget(DownstreamConnection& connection);
  // Mirrors likewise.
  MirrorStream& add(std::unique_ptr<MirrorStream> mirror);
  void forget(MirrorStream& mirror);

 private:
  static constexpr size_t kScratchBytes = 64 * 1024;
  struct Slot {
    std::shared_ptr<const ClusterConfig> config;
    std::shared_ptr<const EndpointSet> endpoints;
    std::unique_ptr<Cluster> cluster;
  };
  void flush_marked();
  void note_buffered();
  void sweep();

  WorkerOptions options_;
  io::Loop loop_;
  std::unique_ptr<char[]> scratch_;
  std::vector<Flushable*> marked_;
  bool flush_scheduled_ = false;
  uint64_t random_;
  uint64_t connection_ids_ = 0;
  LogBuffer logs_;
  io::Timer log_timer_;
  base::TimePoint wall_base_;
  base::WallTime wall_value_;
  std::array<char, 30> date_{};
  int64_t date_second_ = -1;
  bool draining_ = false;

  std::vector<Slot> clusters_;                              // by ClusterId
  StringMap<ClusterId> cluster_ids_;
  std::vector<std::unique_ptr<Cluster>> removed_clusters_;  // until their last request ends
  StringMap<std::shared_ptr<const RouteTable>> routes_;
  StringMap<std::unique_ptr<TcpStats>> tcp_stats_;
  std::vector<std::unique_ptr<Exchange>> idle_exchanges_, done_exchanges_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  StringMap<std::unique_ptr<ListenerStats>> listener_stats_;
  std::vector<std::unique_ptr<DownstreamConnection>> connections_;
  std::vector<std::unique_ptr<MirrorStream>> mirrors_;
  std::vector<std::pair<const void*, std::unique_ptr<WorkerLocal>>> locals_;
  io::Timer sweep_timer_;
};

}  // namespace fairlead::proxy
