// Server: the data plane as a process: main thread (configuration, admin, DNS, logs) and workers.
//
// The thread that calls run() is the main thread. Used by `fairlead proxy` and `fairlead pilot-agent`.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <thread>
#include <vector>

#include "http/server.h"
#include "io/loop.h"
#include "io/signals.h"
#include "proxy/config_manager.h"
#include "proxy/watchdog.h"
#include "proxy/worker.h"
#include "xds/client.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace fairlead::proxy {

struct ServerOptions {
  std::shared_ptr<const envoy::config::bootstrap::v3::Bootstrap> bootstrap;  // may be empty, not null
  unsigned concurrency = 0;                  // 0: one worker for each processor
  std::optional<xds::AdsOptions> ads;        // overrides the bootstrap's
  bool ads_clusters = true, ads_listeners = true;  // what comes by `ads`
  xds::NodeIdentity node;
  std::string admin;                         // "127.0.0.1:15000"; empty: the bootstrap's, if any
  int socket_mark = 0;
  base::Nanos drain_time = std::chrono::seconds(5);
  base::Nanos min_drain_time{0};             // keeps accepting at least this long after SIGTERM
  // Secrets of this gRPC cluster are given by the agent in this process, with put_secret(), once asked for.
  std::string local_sds_cluster;
  std::function<void(const std::string& name)> local_secret_wanted;
  std::string version = "0.1.0";
  std::function<std::string(const base::Error&)> explain;  // an error of the bootstrap, with file and line; may be empty
};

class Overload;

class Server {
 public:
  explicit Server(ServerOptions options);
  ~Server();

  // Compiles the bootstrap, opens sockets, starts workers. Errors name the field and the remedy.
  base::Status start();
  int run();                                 // until stopped; the exit code
  void drain();                              // as SIGTERM does
  void quit();

  io::Loop& loop() { return loop_; }
  ConfigManager& config() { return *config_; }
  const ServerOptions& options() const { return options_; }
  bool ready() const;
  std::string_view state() const;            // Envoy's names: LIVE, DRAINING, PRE_INITIALIZING, INITIALIZING
  void fail_health(bool fail);
  void drain_listeners();
  base::TimePoint started() const { return started_; }
  size_t workers() const { return workers_.size(); }
  // Sums of all workers and of the main thread.
  // What the workers counted for the hosts of a cluster (kNoCluster: of all). restart: begins a new interval of outlier
  // detection. `done` runs later, on the main thread.
  void count_hosts(ClusterId cluster, bool restart, std::function<void(std::unordered_map<const Host*, HostCounters>)> done);
  void collect(std::function<void(StatsSnapshot)> done);
  // Counters start again from zero; what workers count goes on, the sums so far are taken off.
  void reset_counters(std::function<void()> done);
  // Adds handlers of the agent (15020, 15021) to the admin's answers.
  void handle_admin(std::shared_ptr<http::Exchange> exchange);
  // bytes: a serialized envoy.extensions.transport_sockets.tls.v3.Secret.
  void put_secret(const std::string& name, const std::string& bytes) { config_->secrets().put_local(name, bytes); }
  const xds::AdsClient* ads() const { return ads_.get(); }
  LogFiles& log_files() { return log_files_; }
  // /stats/recentlookups: nothing here looks statistics up by name, so that recording finds none.
  bool lookups_recorded() const { return lookups_recorded_; }
  void record_lookups(bool on) { lookups_recorded_ = on; }

 private:
  struct Running {
    std::unique_ptr<Worker> worker;
    std::thread thread;
  };
  void send_update(ConfigUpdate update, const std::vector<ConfigUpdate::NewListener>& listeners, const std::vector<std::vector<int>>& fds);
  void own_stats(StatsSnapshot& into);
  void watch_signals();
  void poll_drain();

  ServerOptions options_;
  io::Loop loop_;
  LogFiles log_files_;
  std::vector<Running> workers_;
  std::unique_ptr<ConfigManager> config_;
  std::unique_ptr<xds::AdsClient> ads_;
  std::unique_ptr<http::Server> admin_;
  std::unique_ptr<io::SignalWatch> signals_;
  io::Timer drain_timer_;
  std::unique_ptr<Watchdog> watchdog_;
  std::map<std::string, uint64_t> counted_before_reset_;
  std::unique_ptr<Overload> overload_;         // outlives the workers
  std::optional<io::Timer> overload_timer_;
  base::TimePoint started_, drain_started_;
  bool draining_ = false, health_failed_ = false, live_ = false;
  int exit_code_ = 0;
  bool lookups_recorded_ = false;
  HttpStats admin_stats_;                      // of the admin pages
  std::optional<base::Nanos> initialized_after_;
};

// The admin pages (Envoy's paths). Main thread.
void serve_admin(Server& server, std::shared_ptr<http::Exchange> exchange);

}  // namespace fairlead::proxy
