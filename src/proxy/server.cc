#include "proxy/server.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "base/log.h"
#include "base/memory.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "io/interfaces.h"
#include "proxy/admin/admin_certs.h"
#include "proxy/filters/counters.h"
#include "proxy/overload.h"
#include "proxy/upstream/health_state.h"
#include "proxy/upstream/upstream.h"
#include "xds/struct_value.h"

namespace fairlead::proxy {

using base::Code;
using base::Status;

Server::Server(ServerOptions options) : options_(std::move(options)), drain_timer_(loop_, [this] { poll_drain(); }) {
  if (options_.concurrency == 0) options_.concurrency = std::max(1u, std::thread::hardware_concurrency());
}

Server::~Server() {
  watchdog_.reset();
  admin_.reset();
  ads_.reset();
  for (Running& r : workers_) {
    Worker* w = r.worker.get();
    w->loop().post([w] {
      w->close_all();
      w->loop().stop();
    });
  }
  for (Running& r : workers_)
    if (r.thread.joinable()) r.thread.join();
  workers_.clear();
  config_.reset();
}

namespace {

Watchdog::Limits watchdog_limits(const envoy::config::bootstrap::v3::Bootstrap& b) {
  Watchdog::Limits limits;
  const auto& from = b.watchdogs().has_worker_watchdog() ? b.watchdogs().worker_watchdog() : b.watchdogs().main_thread_watchdog();
  auto set = [](base::Nanos& to, const google::protobuf::Duration& d) { to = std::chrono::seconds(d.seconds()) + base::Nanos(d.nanos()); };
  if (from.has_miss_timeout()) set(limits.miss, from.miss_timeout());
  if (from.has_megamiss_timeout()) set(limits.megamiss, from.megamiss_timeout());
  if (from.has_kill_timeout()) set(limits.kill, from.kill_timeout());
  return limits;
}

}  // namespace

Status Server::start() {
  started_ = base::Clock::now();
  const auto& bootstrap = *options_.bootstrap;
  if (options_.node.id.empty()) {
    options_.node.id = bootstrap.node().id();
    options_.node.cluster = bootstrap.node().cluster();
    options_.node.metadata = xds::to_value(bootstrap.node().metadata());
  }
  bool own_ads = options_.ads.has_value();
  auto overload = Overload::from(bootstrap);
  if (!overload) return std::unexpected(overload.error());
  overload_ = std::move(*overload);
  if (overload_->watches_memory()) {
    overload_timer_.emplace(loop_, [this] {
      overload_->measure();
      overload_timer_->arm(overload_->interval());
    });
    overload_timer_->arm(overload_->interval());
  }
  ConfigManager::Hooks hooks;
  hooks.workers = options_.concurrency;
  hooks.send = [this](ConfigUpdate update, const std::vector<ConfigUpdate::NewListener>& listeners, const std::vector<std::vector<int>>& fds) {
    send_update(std::move(update), listeners, fds);
  };
  hooks.hosts_changed = [this](ClusterId id) {
    for (Running& r : workers_) r.worker->loop().post([w = r.worker.get(), id] { w->hosts_changed(id); });
  };
  hooks.socket_mark = options_.socket_mark;
  hooks.log = [this](const std::string& path, std::string line) { log_files_.write({{path, std::move(line)}}); };
  hooks.count_hosts = [this](ClusterId id, std::function<void(std::unordered_map<const Host*, HostCounters>)> done) { count_hosts(id, true, std::move(done)); };
  hooks.ready_changed = [this] {
    if (std::exchange(live_, true)) return;
    FL_LOG_INFO("server", "all dependencies initialized, listeners are serving");
  };
  hooks.explain = options_.explain;
  hooks.local_sds_cluster = options_.local_sds_cluster;
  hooks.local_secret_wanted = options_.local_secret_wanted;
  hooks.node = options_.node;
  hooks.ads = own_ads || bootstrap.dynamic_resources().has_ads_config();
  hooks.ads_by_options = own_ads;
  hooks.ads_clusters = options_.ads_clusters;
  hooks.ads_listeners = options_.ads_listeners;
  config_ = std::make_unique<ConfigManager>(loop_, std::move(hooks));
  config_->set_node(options_.node.id, options_.node.metadata);

  const std::string own_ip = io::own_address();
  for (unsigned i = 0; i < options_.concurrency; ++i) {
    WorkerOptions w;
    w.index = i;
    w.count = options_.concurrency;
    w.socket_mark = options_.socket_mark;
    w.node_id = options_.node.id;
    w.node_cluster = options_.node.cluster;
    w.own_ip = own_ip;
    w.overload = overload_.get();
    w.write_logs = [this](std::map<std::string, std::string> lines) { log_files_.write(std::move(lines)); };
    w.outlier = [this](ClusterId id, HostPtr host, int kind) {
      loop_.post([this, id, host = std::move(host), kind] { config_->eject(id, host, static_cast<Ejection>(kind)); });
    };
    workers_.push_back({std::make_unique<Worker>(std::move(w)), {}});
  }
  watch_signals();  // before the threads, which inherit the blocked signals

  std::string admin = options_.admin;
  if (admin.empty() && bootstrap.admin().has_address()) {
    const auto& a = bootstrap.admin().address().socket_address();
    auto address = io::Address::parse_ip(a.address(), static_cast<uint16_t>(a.port_value()));
    if (!address) return base::fail(Code::kInvalidArgument, "admin.address: {}", address.error().message);
    admin = address->text();
  }
  if (!admin.empty()) {
    auto address = io::Address::parse(admin);
    if (!address) return base::fail(Code::kInvalidArgument, "admin address {}: {}", admin, address.error().message);
    admin_ = std::make_unique<http::Server>(loop_, http::ServerOptions{}, [this](std::shared_ptr<http::Exchange> e) { handle_admin(std::move(e)); });
    auto at = admin_->listen(*address);
    if (at) FL_LOG_INFO("server", "admin on {}", at->text());
    else FL_LOG_ERROR("server", "the admin page can't listen on {}: {}; the configuration serves without it. Give another address and start again", admin, at.error().text());
  }
  if (auto ok = config_->load_static(bootstrap); !ok) return ok;
  if (!own_ads && config_->ads_source()) options_.ads = config_->reach(*config_->ads_source());
  if (options_.ads) {
    options_.ads->node = options_.node;
    ads_ = std::make_unique<xds::AdsClient>(loop_, *options_.ads, *config_);
  }
  if (!config_->by_stream() && !options_.ads) live_ = true;
  if (auto ok = config_->start_discovery(ads_.get()); !ok) return ok;
  for (Running& r : workers_)
    r.thread = std::thread([w = r.worker.get()] {
      pthread_setname_np(pthread_self(), "worker");
      w->loop().run();
    });
  std::vector<Watchdog::Watched> watched{{&loop_, "main_thread"}};
  for (size_t i = 0; i < workers_.size(); ++i) watched.push_back({&workers_[i].worker->loop(), fmt::format("worker_{}", i)});
  watchdog_ = std::make_unique<Watchdog>(std::move(watched), watchdog_limits(bootstrap));
  if (ads_) ads_->start();
  // Start-up went through a good part of the program once.
  loop_.after(std::chrono::milliseconds(300), [] { base::give_back_memory(); });
  return {};
}

void Server::send_update(ConfigUpdate update, const std::vector<ConfigUpdate::NewListener>& listeners, const std::vector<std::vector<int>>& fds) {
  for (size_t i = 0; i < workers_.size(); ++i) {
    ConfigUpdate copy = update;
    for (size_t l = 0; l < listeners.size(); ++l) {
      size_t each = fds[l].size() / workers_.size();
      auto own = fds[l].begin() + static_cast<std::ptrdiff_t>(i * each);
      copy.listeners.push_back({listeners[l].config, {own, own + static_cast<std::ptrdiff_t>(each)}});
    }
    Worker* w = workers_[i].worker.get();
    w->loop().post([w, copy = std::move(copy)]() mutable { w->apply(std::move(copy)); });
  }
}

void Server::watch_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  signals_ = std::make_unique<io::SignalWatch>(loop_, std::initializer_list<int>{SIGTERM, SIGINT, SIGUSR1}, [this](int signal) {
    if (signal == SIGUSR1) log_files_.reopen();
    else if (draining_) quit();  // asked twice
    else drain();
  });
}

bool Server::ready() const { return live_ && !draining_ && !health_failed_ && config_->initialized(); }

std::string_view Server::state() const {
  if (draining_ || health_failed_) return "DRAINING";
  if (live_ && config_->initialized()) return "LIVE";
  return (options_.ads || config_->by_stream()) && !config_->clusters_received() ? "PRE_INITIALIZING" : "INITIALIZING";
}

int Server::run() {
  loop_.run();
  return exit_code_;
}

void Server::fail_health(bool fail) {
  health_failed_ = fail;
  health_check_failed() = fail || draining_;
}

void Server::drain_listeners() {
  for (Running& r : workers_) r.worker->loop().post([w = r.worker.get()] { w->begin_drain(); });
}

// Readiness fails at once, so that nobody new is sent here; who still comes is served and told to close; the end is when
// nobody is left, or when the time is up.
void Server::drain() {
  if (draining_) return;
  draining_ = true;
  health_check_failed() = true;
  drain_started_ = loop_.now();
  FL_LOG_INFO("server", "draining for up to {}", base::format_duration(options_.drain_time));
  drain_listeners();
  drain_timer_.arm(std::chrono::milliseconds(50));
}

void Server::poll_drain() {
  base::Nanos passed = loop_.now() - drain_started_;
  if (passed >= options_.drain_time) return quit();
  auto left = std::make_shared<std::atomic<size_t>>(workers_.size());
  auto busy = std::make_shared<std::atomic<size_t>>(0);
  for (Running& r : workers_)
    r.worker->loop().post([this, w = r.worker.get(), left, busy, passed] {
      *busy += w->downstream_connections();
      if (left->fetch_sub(1) != 1) return;
      loop_.post([this, busy, passed] {
        if (*busy == 0 && passed >= options_.min_drain_time) quit();
        else drain_timer_.arm(std::chrono::milliseconds(100));
      });
    });
}

void Server::quit() { loop_.stop(); }

// What belongs to the process and not to a worker.
void Server::own_stats(StatsSnapshot& into) {
  struct mallinfo2 m = ::mallinfo2();
  into.gauges["server.memory_allocated"] = m.uordblks + m.hblkhd;
  into.gauges["server.memory_heap_size"] = m.arena + m.hblkhd;
  if (std::ifstream statm("/proc/self/statm"); statm) {
    uint64_t size = 0, resident = 0;
    statm >> size >> resident;
    into.gauges["server.memory_physical_size"] = resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  into.gauges["server.hot_restart_epoch"] = 0;
  uint64_t connections = 0;
  for (auto& [name, n] : into.gauges)
    if (name.starts_with("listener.") && name.ends_with(".downstream_cx_active") && name.find(".worker_") == std::string::npos) connections += n;
  into.gauges["server.total_connections"] = connections;
  LogFiles::Figures logs = log_files_.figures();
  into.counters["filesystem.write_buffered"] = logs.write_buffered;
  into.counters["filesystem.write_completed"] = logs.write_completed;
  into.counters["filesystem.write_failed"] = logs.write_failed;
  into.counters["filesystem.reopen_failed"] = logs.reopen_failed;
  into.counters["filesystem.dropped_bytes"] = logs.dropped_bytes;
  into.gauges["filesystem.write_total_buffered"] = logs.total_buffered;
  // Of the admin pages, requests alone: their connections are the HTTP server's own.
  StatsSnapshot pages;
  pages.add("http.admin.", admin_stats_);
  for (auto& [name, n] : pages.counters)
    if (name.starts_with("http.admin.downstream_rq_")) into.counters[name] = n;
  for (auto& [name, n] : pages.gauges)
    if (name.starts_with("http.admin.downstream_rq_")) into.gauges[name] = n;
  into.gauges["listener_manager.workers_started"] = !workers_.empty();
  if (state() == "LIVE" && !initialized_after_) initialized_after_ = base::Clock::now() - started_;
  Histogram& initialization = into.histograms["server.initialization_time_ms"];
  if (initialized_after_) initialization.record(std::chrono::duration<double, std::milli>(*initialized_after_).count());
  into.gauges["server.days_until_first_cert_expiring"] = days_until_first_certificate_expires(config_->secrets());
  into.gauges["server.parent_connections"] = 0;
  into.gauges["server.stats_recent_lookups"] = 0;
  into.counters["server.dropped_stat_flushes"] = 0;
  into.counters["server.debug_assertion_failures"] = 0;
  into.counters["server.envoy_bug_failures"] = 0;
  into.counters["server.static_unknown_fields"] = 0;  // a bootstrap with one is refused
  into.counters["server.wip_protos"] = 0;
  into.gauges["server.compilation_settings.fips_mode"] = 0;
  // No layer of runtime values is known: keys have their defaults.
  for (std::string_view name : {"load_error", "load_success", "override_dir_exists", "override_dir_not_exists", "deprecated_feature_use"})
    into.counters["runtime." + std::string(name)] = 0;
  for (std::string_view name : {"admin_overrides_active", "num_keys", "num_layers", "deprecated_feature_seen_since_process_start"})
    into.gauges["runtime." + std::string(name)] = 0;
  if (watchdog_) watchdog_->stats(into);
  add_filter_counters(into);
}

void Server::reset_counters(std::function<void()> done) {
  counted_before_reset_.clear();
  collect([this, done = std::move(done)](StatsSnapshot s) {
    counted_before_reset_ = std::move(s.counters);
    done();
  });
}

void Server::count_hosts(ClusterId id, bool restart, std::function<void(std::unordered_map<const Host*, HostCounters>)> done) {
  struct Gather {
    std::unordered_map<const Host*, HostCounters> sum;
    size_t left;
    std::function<void(std::unordered_map<const Host*, HostCounters>)> done;
  };
  auto gather = std::make_shared<Gather>();
  gather->left = workers_.size();
  gather->done = std::move(done);
  for (Running& r : workers_)
    r.worker->loop().post([this, w = r.worker.get(), gather, id, restart] {
      auto mine = std::make_shared<std::unordered_map<const Host*, HostCounters>>();
      w->collect_hosts(id, *mine, restart);
      loop_.post([mine, gather] {
        for (auto& [host, counters] : *mine) gather->sum[host].add(counters);
        if (--gather->left == 0) gather->done(std::move(gather->sum));
      });
    });
}

void Server::collect(std::function<void(StatsSnapshot)> done) {
  struct Gather {
    StatsSnapshot sum;
    size_t left;
    std::function<void(StatsSnapshot)> done;
  };
  auto gather = std::make_shared<Gather>();
  gather->left = workers_.size();
  gather->done = std::move(done);
  for (Running& r : workers_)
    r.worker->loop().post([this, w = r.worker.get(), gather] {
      auto mine = std::make_shared<StatsSnapshot>();
      w->collect(*mine);
      loop_.post([this, mine, gather] {
        gather->sum.merge(*mine);
        if (--gather->left > 0) return;
        config_->stats(gather->sum);
        own_stats(gather->sum);
        for (auto& [name, before] : counted_before_reset_)
          if (auto at = gather->sum.counters.find(name); at != gather->sum.counters.end()) at->second -= std::min(before, at->second);
        gather->sum.gauges["server.live"] = ready();
        gather->sum.gauges["server.concurrency"] = workers_.size();
        gather->sum.gauges["server.uptime"] =
            static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(base::Clock::now() - started_).count());
        gather->sum.gauges["server.state"] = state() == "LIVE" ? 0 : state() == "DRAINING" ? 1 : state() == "PRE_INITIALIZING" ? 2 : 3;
        gather->done(std::move(gather->sum));
      });
    });
}

}  // namespace fairlead::proxy
