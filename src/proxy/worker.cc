#include "proxy/worker.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <set>

#include "base/memory.h"
#include "proxy/exchange.h"
#include "proxy/listener.h"
#include "proxy/overload.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {
namespace {

// A shared_ptr whose control block belongs to this worker: copies of it never touch a cache line that another worker
// writes.
template <class T>
std::shared_ptr<const T> own_block(std::shared_ptr<const T> shared) {
  const T* raw = shared.get();
  return std::shared_ptr<const T>(raw, [keep = std::move(shared)](const T*) {});
}

uint64_t seed(unsigned index) {
  std::random_device device;
  return ((static_cast<uint64_t>(device()) << 32) ^ device() ^ (index * 0x9E3779B97F4A7C15ULL)) | 1;
}

constexpr auto kLogInterval = std::chrono::milliseconds(50);
constexpr size_t kLogBytes = 64 * 1024;
constexpr size_t kIdleExchanges = 512;   // under load, so that a burst allocates once
constexpr size_t kQuietExchanges = 16;   // of a worker without requests
constexpr auto kQuietTime = std::chrono::seconds(2);
thread_local bool quiet_check_due = false;

}  // namespace

Worker::Worker(WorkerOptions options)
    : options_(std::move(options)),
      scratch_(std::make_unique_for_overwrite<char[]>(kScratchBytes)),
      random_(seed(options_.index)),
      logs_([this](std::map<std::string, std::string> lines) {
        if (options_.write_logs) options_.write_logs(std::move(lines));
      }),
      log_timer_(loop_, [this] { logs_.flush(); }),
      sweep_timer_(loop_, [this] { sweep(); }) {}

Worker::~Worker() {
  close_all();
  while (!mirrors_.empty()) mirrors_.back()->abandon();
  flush_marked();
  // Connections that wait for their deletion still name their cluster: let them go first. Deleting one side puts up the
  // other: downstream, exchange, upstream, and one more for what they defer.
  for (int rounds = 0; rounds < 4; ++rounds) loop_.run_once(base::Nanos(0));
  for (Slot& s : clusters_) s.cluster.reset();
  removed_clusters_.clear();
}

// ---------------------------------------------------------------------------------------------------- configuration

void Worker::apply(ConfigUpdate update) {
  // Order as for make before break: clusters, endpoints, listeners, routes, then what is gone.
  for (auto& config : update.clusters) {
    ClusterId id = config->id;
    if (clusters_.size() <= id) clusters_.resize(id + 1);
    Slot& slot = clusters_[id];
    cluster_ids_[config->name] = id;
    slot.config = config;
    if (config->endpoints && !slot.endpoints) slot.endpoints = config->endpoints;
    if (slot.cluster) slot.cluster->update_config(config);
  }
  for (auto& [id, endpoints] : update.endpoints) {
    if (clusters_.size() <= id) clusters_.resize(id + 1);
    clusters_[id].endpoints = endpoints;
    if (clusters_[id].cluster) clusters_[id].cluster->update_endpoints(endpoints);
  }
  for (auto& table : update.routes) routes_[table->name] = own_block(table);
  for (auto& next : update.listeners) {
    auto same = std::ranges::find_if(listeners_, [&](const auto& l) { return l->config().name == next.config->name; });
    if (same != listeners_.end()) {
      // Connections on chains that are still there, or on another address, are none of this change's business.
      bool moved = !((*same)->config().address == next.config->address && (*same)->config().more_addresses == next.config->more_addresses);
      auto stays = [&](const FilterChain& chain) {
        auto is = [&](const FilterChain& c) { return c.fingerprint == chain.fingerprint; };
        return !moved && (std::ranges::any_of(next.config->chains, is) || (next.config->default_chain && is(*next.config->default_chain)));
      };
      std::vector<DownstreamConnection*> affected;
      for (auto& c : connections_)
        if (c->chain && c->listener() && c->listener()->name == next.config->name && !stays(*c->chain)) affected.push_back(c.get());
      if (next.fds.empty()) (*same)->update(next.config);
      for (DownstreamConnection* c : affected) c->drain();
      if (next.fds.empty()) continue;
      same = std::ranges::find_if(listeners_, [&](const auto& l) { return l->config().name == next.config->name; });
    }
    if (same != listeners_.end()) {
      loop_.dispose(std::move(*same));
      listeners_.erase(same);
    }
    listeners_.push_back(std::make_unique<Listener>(*this, next.config, next.fds));
  }
  for (const std::string& name : update.removed_listeners) {
    auto gone = std::ranges::find_if(listeners_, [&](const auto& l) { return l->config().name == name; });
    if (gone == listeners_.end()) continue;
    // Its connections end gracefully; nobody else's.
    std::vector<DownstreamConnection*> affected;
    for (auto& c : connections_)
      if (c->listener() && c->listener()->name == name) affected.push_back(c.get());
    loop_.dispose(std::move(*gone));
    listeners_.erase(gone);
    for (DownstreamConnection* c : affected) c->drain();
  }
  for (const std::string& name : update.removed_routes) routes_.erase(name);
  for (ClusterId id : update.removed_clusters) {
    if (id >= clusters_.size()) continue;
    Slot& slot = clusters_[id];
    if (slot.config) cluster_ids_.erase(slot.config->name);
    if (slot.cluster) {
      slot.cluster->drain_all();
      removed_clusters_.push_back(std::move(slot.cluster));
      if (!sweep_timer_.armed()) sweep_timer_.arm(std::chrono::seconds(5));
    }
    slot = {};
  }
}

// Removed clusters go when nothing uses them; exchanges hold plain pointers, so one more round is waited.
void Worker::sweep() {
  if (active_exchanges_ == 0) {
    // Behind the connections that this round has put up for deletion, which still name their cluster.
    for (auto& c : removed_clusters_)
      if (c->unused()) loop_.dispose(std::move(c));
    std::erase(removed_clusters_, nullptr);
  }
  if (!removed_clusters_.empty()) sweep_timer_.arm(std::chrono::seconds(5));
}

void Worker::hosts_changed(ClusterId id) {
  if (id < clusters_.size() && clusters_[id].cluster) clusters_[id].cluster->hosts_changed();
}

void Worker::collect_hosts(ClusterId id, std::unordered_map<const Host*, HostCounters>& into, bool restart) {
  for (size_t i = id == kNoCluster ? 0 : id; i < clusters_.size(); ++i) {
    if (clusters_[i].cluster) clusters_[i].cluster->collect_hosts(into, restart);
    if (id != kNoCluster) return;
  }
}

Cluster* Worker::cluster(ClusterId id) {
  if (id >= clusters_.size()) return nullptr;
  Slot& slot = clusters_[id];
  if (!slot.config) return nullptr;
  if (!slot.cluster) slot.cluster = std::make_unique<Cluster>(*this, slot.config, slot.endpoints);
  return slot.cluster.get();
}

ClusterId Worker::cluster_id(std::string_view name) const {
  auto at = cluster_ids_.find(name);
  return at == cluster_ids_.end() ? kNoCluster : at->second;
}

std::shared_ptr<const RouteTable> Worker::route_table(const std::string& name) const {
  auto at = routes_.find(name);
  return at == routes_.end() ? nullptr : at->second;
}

Listener* Worker::listener_for(const io::Address& to) {
  Listener* any = nullptr;
  for (auto& l : listeners_) {
    const ListenerConfig& c = l->config();
    if (c.bind) continue;
    for (size_t i = 0; i <= c.more_addresses.size(); ++i) {
      const io::Address& at = i == 0 ? c.address : c.more_addresses[i - 1];
      if (at.port() != to.port()) continue;
      if (at == to) return l.get();
      std::string ip = at.ip();
      if (ip == "0.0.0.0" || ip == "::") any = l.get();
    }
  }
  return any;
}

// ------------------------------------------------------------------------------------------------------------ ending

void Worker::begin_drain() {
  draining_ = true;
  std::vector<DownstreamConnection*> all;
  for (auto& c : connections_) all.push_back(c.get());
  for (DownstreamConnection* c : all) c->drain();
}

void Worker::stop_listening() {
  for (auto& l : listeners_) l->stop_accepting();
}

void Worker::close_all() {
  stop_listening();
  std::vector<DownstreamConnection*> all;
  for (auto& c : connections_) all.push_back(c.get());
  for (DownstreamConnection* c : all) c->close();
  logs_.flush();
}

// --------------------------------------------------------------------------------------------------------- statistics

TcpStats& Worker::tcp_stats(const std::string& prefix) {
  auto& slot = tcp_stats_[prefix];
  if (!slot) slot = std::make_unique<TcpStats>();
  return *slot;
}
ListenerStats& Worker::listener_stats(const std::string& name) {
  auto& slot = listener_stats_[name];
  if (!slot) slot = std::make_unique<ListenerStats>();
  return *slot;
}

// What waits in buffers is nobody's to count while it moves: it is looked up here.
void Worker::note_buffered() {
  http2_stats.streams_active = http2_stats.pending_send_bytes = 0;
  for (auto& [name, stats] : listener_stats_)
    for (auto& [prefix, http] : stats->managers) http->downstream_cx_rx_bytes_buffered = http->downstream_cx_tx_bytes_buffered = 0;
  for (auto& [prefix, stats] : tcp_stats_) stats->downstream_cx_rx_bytes_buffered = stats->downstream_cx_tx_bytes_buffered = 0;
  for (const Slot& s : clusters_)
    if (s.cluster) s.cluster->note_buffered();
  for (auto& c : connections_) c->note_buffered();
}

void Worker::collect(StatsSnapshot& into) {
  note_buffered();
  for (const Slot& s : clusters_) {
    if (!s.config) continue;
    std::string prefix = "cluster." + s.config->stat_name + ".";
    static const ClusterStats kNone{};
    into.add(prefix, s.cluster ? s.cluster->stats : kNone);
    if (s.config->tls || !s.config->socket_matches.empty()) into.add(prefix, s.cluster ? s.cluster->stats.tls : kNone.tls);
  }
  bool http2 = false;
  for (auto& [name, stats] : listener_stats_)
    for (auto& [prefix, http] : stats->managers) {
      into.add("http." + prefix + ".", *http);
      http2 |= http->downstream_cx_http2_total > 0;
    }
  into.add("http1.", http1_stats);
  if (http2) into.add("http2.", http2_stats);
  for (auto& [name, stats] : tcp_stats_) into.add("tcp." + name + ".", *stats);
  auto any = [this](auto flag) { return std::ranges::any_of(listeners_, [&](const auto& l) { return l->config().*flag; }); };
  into.add(inspector_stats, any(&ListenerConfig::tls_inspector), any(&ListenerConfig::http_inspector));
  // Those of TLS only where there is TLS, as in Envoy.
  std::set<std::string_view> with_tls;
  for (auto& l : listeners_) {
    const ListenerConfig& c = l->config();
    if (std::ranges::any_of(c.chains, [](const FilterChain& chain) { return chain.tls != nullptr; }) || (c.default_chain && c.default_chain->tls)) with_tls.insert(c.stat_name);
  }
  for (auto& [name, stats] : listener_stats_) {
    into.add("listener." + name + ".", *stats);
    std::string own = fmt::format("listener.{}.worker_{}.", name, options_.index);
    into.counters[own + "downstream_cx_total"] = stats->downstream_cx_total;
    into.gauges[own + "downstream_cx_active"] = stats->downstream_cx_active;
    if (with_tls.contains(name)) into.add("listener." + name + ".", stats->tls);
  }
  for (auto& [key, local] : locals_) local->collect(into);
}

// ------------------------------------------------------------------------------------------------------- the data path

void Worker::mark(Flushable& what) {
  if (std::exchange(what.marked_, true)) return;
  marked_.push_back(&what);
  if (!std::exchange(flush_scheduled_, true)) loop_.defer([this] { flush_marked(); });
}

void Worker::unmark(Flushable& what) {
  if (!std::exchange(what.marked_, false)) return;
  std::ranges::replace(marked_, &what, static_cast<Flushable*>(nullptr));
}

void Worker::flush_marked() {
  flush_scheduled_ = false;
  // What flushing marks anew (a paused reader that goes on) is for the next round.
  size_t count = marked_.size();
  for (size_t i = 0; i < count; ++i) {
    Flushable* f = marked_[i];
    if (!f) continue;
    marked_[i] = nullptr;
    f->marked_ = false;
    f->flush();
  }
  marked_.erase(marked_.begin(), marked_.begin() + static_cast<std::ptrdiff_t>(count));
  for (auto& e : done_exchanges_) {
    if (idle_exchanges_.size() >= kIdleExchanges) continue;
    e->recycle();
    idle_exchanges_.push_back(std::move(e));
  }
  if (!done_exchanges_.empty() && idle_exchanges_.size() > kQuietExchanges && !std::exchange(quiet_check_due, true)) {
    // What a burst needed goes back to the system when it is over; that takes a moment, so only then.
    loop_.after(kQuietTime, [this] {
      quiet_check_due = false;
      if (active_exchanges_ > 0 || idle_exchanges_.size() <= kQuietExchanges) return;
      idle_exchanges_.resize(kQuietExchanges);
      idle_exchanges_.shrink_to_fit();
      base::give_back_memory();
    });
  }
  done_exchanges_.clear();
}

std::unique_ptr<Exchange> Worker::take_exchange() {
  if (idle_exchanges_.empty()) return std::make_unique<Exchange>(*this);
  auto e = std::move(idle_exchanges_.back());
  idle_exchanges_.pop_back();
  return e;
}

void Worker::give_back(std::unique_ptr<Exchange> exchange) {
  done_exchanges_.push_back(std::move(exchange));
  if (!std::exchange(flush_scheduled_, true)) loop_.defer([this] { flush_marked(); });
}

void Worker::add(std::unique_ptr<DownstreamConnection> connection) {
  if (options_.overload) options_.overload->connection(1);
  connection->index = connections_.size();
  connections_.push_back(std::move(connection));
}

void Worker::forget(DownstreamConnection& connection) {
  if (options_.overload) options_.overload->connection(-1);
  size_t i = connection.index;
  // A constructor that fails before add() never gets here; the index is valid.
  std::unique_ptr<DownstreamConnection> owned = std::move(connections_[i]);
  if (i + 1 < connections_.size()) {
    connections_[i] = std::move(connections_.back());
    connections_[i]->index = i;
  }
  connections_.pop_back();
  loop_.dispose(std::move(owned));
}

MirrorStream& Worker::add(std::unique_ptr<MirrorStream> mirror) {
  mirror->index = mirrors_.size();
  return *mirrors_.emplace_back(std::move(mirror));
}

void Worker::forget(MirrorStream& mirror) {
  size_t i = mirror.index;
  std::unique_ptr<MirrorStream> owned = std::move(mirrors_[i]);
  if (i + 1 < mirrors_.size()) {
    mirrors_[i] = std::move(mirrors_.back());
    mirrors_[i]->index = i;
  }
  mirrors_.pop_back();
  loop_.dispose(std::move(owned));
}

void Worker::log(const std::vector<AccessLogConfig>& configs, const StreamInfo& info) {
  for (const AccessLogConfig& c : configs) {
    if (c.filter && !passes(*c.filter, info)) continue;
    std::string& lines = logs_.lines(c.path);
    c.format.append(lines, info);
    if (lines.size() >= kLogBytes) logs_.flush();
    else if (!log_timer_.armed()) log_timer_.arm(kLogInterval);
  }
}

base::WallTime Worker::wall_now() {
  // One look at the wall clock each round at most.
  if (wall_base_ != loop_.now()) {
    wall_base_ = loop_.now();
    wall_value_ = std::chrono::system_clock::now();
  }
  return wall_value_;
}

std::string_view Worker::http_date() {
  int64_t second = std::chrono::duration_cast<std::chrono::seconds>(wall_now().time_since_epoch()).count();
  if (second != date_second_) {
    date_second_ = second;
    std::time_t t = second;
    std::tm tm{};
    gmtime_r(&t, &tm);
    std::strftime(date_.data(), date_.size(), "%a, %d %b %Y %H:%M:%S GMT", &tm);
  }
  return {date_.data(), 29};
}

// A random UUID (RFC 9562 version 4).
std::string_view Worker::new_request_id(char (&out)[36]) {
  static constexpr auto kHex = [] {
    std::array<char, 512> t{};
    for (size_t i = 0; i < 512; ++i) t[i] = "0123456789abcdef"[i % 2 ? (i / 2) & 15 : i / 2 >> 4];
    return t;
  }();
  uint64_t a = random(), b = random();
  a = (a & ~0xF000ULL) | 0x4000ULL;
  b = (b & ~(3ULL << 62)) | (2ULL << 62);
  auto octet = [&](size_t at, uint64_t word, int shift) { std::memcpy(out + at, kHex.data() + 2 * ((word >> shift) & 255), 2); };
  octet(0, a, 56), octet(2, a, 48), octet(4, a, 40), octet(6, a, 32);
  out[8] = '-';
  octet(9, a, 24), octet(11, a, 16);
  out[13] = '-';
  octet(14, a, 8), octet(16, a, 0);
  out[18] = '-';
  octet(19, b, 56), octet(21, b, 48);
  out[23] = '-';
  octet(24, b, 40), octet(26, b, 32), octet(28, b, 24), octet(30, b, 16), octet(32, b, 8), octet(34, b, 0);
  return {out, 36};
}

}  // namespace fairlead::proxy
