#include <algorithm>

#include "proxy/tls_source.h"
#include "proxy/upstream/outlier.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {

void HostCounters::add(const HostCounters& o) {
  cx_total += o.cx_total, cx_active += o.cx_active, cx_connect_fail += o.cx_connect_fail;
  rq_total += o.rq_total, rq_active += o.rq_active, rq_success += o.rq_success, rq_error += o.rq_error, rq_timeout += o.rq_timeout;
  ok += o.ok, answers += o.answers, local_ok += o.local_ok, local_total += o.local_total;
}

Cluster::Cluster(Worker& worker, std::shared_ptr<const ClusterConfig> config, std::shared_ptr<const EndpointSet> endpoints)
    : worker_(worker), config_(std::move(config)), endpoints_(std::move(endpoints)) {
  low_watermark_ = std::min(low_watermark_, config_->watermark_bytes / 2);
}

Cluster::~Cluster() = default;

std::vector<HostPool*> Cluster::all_pools() const {
  std::vector<HostPool*> all;
  for (auto& [host, slot] : slots_)
    slot.each_pool([&](HostPool& pool) { all.push_back(&pool); });
  return all;
}

bool Cluster::listed(const Host* host) const {
  return endpoints_ && std::ranges::any_of(endpoints_->hosts, [&](const HostPtr& h) { return h.get() == host; });
}

namespace {

bool same_source(const std::shared_ptr<TlsSource>& a, const std::shared_ptr<TlsSource>& b) {
  return a == b || (a && b && a->identity == b->identity);
}

bool same_sockets(const ClusterConfig& a, const ClusterConfig& b) {
  bool same_setup = a.socket == b.socket || (a.socket && b.socket && *a.socket == *b.socket);
  return same_setup && same_source(a.tls, b.tls) && a.proxy_header == b.proxy_header && a.auto_sni == b.auto_sni && a.auto_san_validation == b.auto_san_validation &&
         std::ranges::equal(a.socket_matches, b.socket_matches, [](const auto& x, const auto& y) { return x.labels == y.labels && x.proxy_header == y.proxy_header && same_source(x.tls, y.tls); });
}

}  // namespace

void Cluster::update_config(std::shared_ptr<const ClusterConfig> config) {
  // What a connection was opened with is part of it; when that changes, new requests get new connections.
  bool reconnect = !same_sockets(*config, *config_) || config->protocol != config_->protocol ||
                   config->max_requests_per_connection != config_->max_requests_per_connection;
  balancer_.reset();  // it names the old configuration
  config_ = std::move(config);
  low_watermark_ = std::min(low_watermark_, config_->watermark_bytes / 2);
  if (reconnect) drain_all();
}

void Cluster::update_endpoints(std::shared_ptr<const EndpointSet> endpoints) {
  if (endpoints == endpoints_) return;
  endpoints_ = std::move(endpoints);
  balancer_.reset();
  if (config_->type == ClusterConfig::Type::kOriginalDst) return;
  if (config_->close_on_host_change) return drain_all();
  // Draining may end a pool's last connection, and with it the pool (pool_unused): the map is not walked meanwhile.
  std::unordered_map<const Host*, bool> present;
  if (endpoints_)
    for (const HostPtr& h : endpoints_->hosts) present[h.get()] = true;
  for (HostPool* pool : all_pools())
    if (!present.contains(pool->host().get())) pool->drain();
  last_slot_ = nullptr;
  std::erase_if(slots_, [&](const auto& entry) { return entry.second.no_pools() && !present.contains(entry.first); });
}

void Cluster::hosts_changed() {
  balancer_.reset();
  if (!config_->close_on_health_failure) return;
  for (HostPool* pool : all_pools())
    if (pool->host()->failed_check.load(std::memory_order_relaxed)) pool->drain();
}

void Cluster::note_buffered() {
  stats.upstream_cx_rx_bytes_buffered = stats.upstream_cx_tx_bytes_buffered = stats.http2.streams_active = stats.http2.pending_send_bytes = 0;
  for (auto& [host, slot] : slots_) slot.each_pool([](const HostPool& pool) { pool.note_buffered(); });
}

void Cluster::drain_all() {
  for (HostPool* pool : all_pools()) pool->drain();
}

bool Cluster::unused() const {
  return std::ranges::all_of(all_pools(), [](const HostPool* pool) { return pool->unused(); });
}

void Cluster::rebuild() {
  BalancerNeeds needs;
  needs.active = [this](const Host& host) -> uint64_t {
    auto at = slots_.find(&host);
    if (at == slots_.end()) return 0;
    uint64_t n = 0;
    at->second.each_pool([&](const HostPool& pool) { n += pool.active; });
    return n;
  };
  needs.now = [this] { return worker_.now(); };
  needs.panics = &stats.lb_healthy_panic;
  needs.all_active = [this] {
    uint64_t n = 0;
    for (const auto& [host, slot] : slots_) slot.each_pool([&](const HostPool& pool) { n += pool.active; });
    return n;
  };
  balancer_ = make_balancer(*config_, endpoints_, std::move(needs));
}

HostSlot& Cluster::slot(Host& host) {
  if (last_slot_ && last_slot_->host.get() == &host) return *last_slot_;
  HostSlot& s = slots_[&host];
  if (!s.host) s.host = host.shared_from_this();
  last_slot_ = &s;
  return s;
}

Host* Cluster::original_dst_host(const io::Address& destination) {
  io::Address to = destination;
  if (config_->original_dst_port) to.set_port(*config_->original_dst_port);
  std::string text = to.text();
  HostPtr& host = original_hosts_[text];
  if (!host) {
    host = std::make_shared<Host>();
    host->address = to;
    host->text = text;
  }
  return host.get();
}

Host* Cluster::pick(std::optional<uint64_t> hash, const io::Address* destination, const std::vector<const Host*>* avoid, uint32_t attempts) {
  if (config_->type == ClusterConfig::Type::kOriginalDst) {
    if (!destination || !destination->is_ip()) {
      ++stats.original_dst_host_invalid;
      return nullptr;
    }
    return original_dst_host(*destination);
  }
  if (!balancer_) rebuild();
  Host* host = nullptr;
  uint32_t tries = avoid && !avoid->empty() ? attempts + 1 : 1;
  for (uint32_t i = 0; i < tries; ++i) {
    host = balancer_->pick(hash, worker_.random(), i);
    bool tried = host && avoid && std::ranges::find(*avoid, host) != avoid->end();
    if (!tried) break;
  }
  if (!host) ++stats.upstream_cx_none_healthy;
  return host;
}

UpstreamProtocol Cluster::protocol_for(http::Version downstream) const {
  switch (config_->protocol) {
    case ClusterConfig::Protocol::kHttp1:
      return UpstreamProtocol::kHttp1;
    case ClusterConfig::Protocol::kHttp2:
      return UpstreamProtocol::kHttp2;
    case ClusterConfig::Protocol::kDownstream:
      return downstream == http::Version::kHttp2 ? UpstreamProtocol::kHttp2 : UpstreamProtocol::kHttp1;
    case ClusterConfig::Protocol::kAuto:
      break;
  }
  return UpstreamProtocol::kAuto;
}

HostPool& Cluster::pool(Host& host, UpstreamProtocol protocol, std::string_view server_name, std::string_view lead) {
  HostSlot& s = slot(host);
  bool shared = server_name.empty() && lead.empty();
  auto& pool = shared ? s.pools[static_cast<size_t>(protocol)] : s.own_pools[{protocol, std::string(server_name), std::string(lead)}];
  if (!pool) pool = std::make_unique<HostPool>(*this, s, protocol, std::string(server_name), std::string(lead));
  return *pool;
}

void Cluster::pool_unused(HostPool& pool) {
  auto at = slots_.find(pool.host().get());
  if (at == slots_.end()) return;
  HostSlot& s = at->second;
  if (pool.server_name().empty() && pool.lead().empty()) {
    auto& place = s.pools[static_cast<size_t>(pool.protocol())];
    if (place.get() != &pool) return;
    worker_.loop().dispose(std::move(place));
  } else {
    auto own = s.own_pools.find({pool.protocol(), pool.server_name(), pool.lead()});
    if (own == s.own_pools.end() || own->second.get() != &pool) return;
    worker_.loop().dispose(std::move(own->second));
    s.own_pools.erase(own);
  }
  if (!s.no_pools()) return;
  // The counters of a host stay as long as it is listed.
  bool original = config_->type == ClusterConfig::Type::kOriginalDst;
  if (!original && listed(at->first)) return;
  HostPtr host = at->second.host;
  // The pool that goes at the end of the round names its slot, which stays where it is until then.
  last_slot_ = nullptr;
  worker_.loop().defer([keep = slots_.extract(at)] {});
  if (original) original_hosts_.erase(host->text);
}

void Cluster::collect_hosts(std::unordered_map<const Host*, HostCounters>& into, bool restart) {
  for (auto& [host, slot] : slots_) {
    into[host].add(slot.counters);
    if (restart) slot.counters.ok = slot.counters.answers = slot.counters.local_ok = slot.counters.local_total = 0;
  }
}

Permit Cluster::take(Resource resource, bool high, bool force) {
  const Thresholds& t = config_->thresholds[high];
  Breakers& b = *config_->breakers[high];
  std::atomic<uint32_t>& counter = resource == Resource::kConnection ? b.connections
                                   : resource == Resource::kPending  ? b.pending
                                   : resource == Resource::kRequest  ? b.requests
                                                                     : b.retries;
  uint32_t limit = resource == Resource::kConnection ? t.max_connections
                   : resource == Resource::kPending  ? t.max_pending
                   : resource == Resource::kRequest  ? t.max_requests
                                                     : t.max_retries;
  // A retry budget is a share of what is under way, so that it has to be counted.
  bool budget = t.budget_percent.has_value();
  if (budget && resource == Resource::kRetry) {
    double under_way = static_cast<double>(b.requests.load(std::memory_order_relaxed)) + b.pending.load(std::memory_order_relaxed);
    limit = std::max(t.budget_minimum, static_cast<uint32_t>(under_way * *t.budget_percent / 100));
  } else if (limit >= kUnlimited && !budget) {
    return Permit::kUncounted;
  }
  uint32_t now = counter.fetch_add(1, std::memory_order_relaxed);
  if (now < limit || force) return Permit::kCounted;
  counter.fetch_sub(1, std::memory_order_relaxed);
  return Permit::kRefused;
}

void Cluster::give_back(Permit& permit, Resource resource, bool high) {
  if (std::exchange(permit, Permit::kRefused) != Permit::kCounted) return;
  Breakers& b = *config_->breakers[high];
  std::atomic<uint32_t>& counter = resource == Resource::kConnection ? b.connections
                                   : resource == Resource::kPending  ? b.pending
                                   : resource == Resource::kRequest  ? b.requests
                                                                     : b.retries;
  counter.fetch_sub(1, std::memory_order_relaxed);
}

// Counts consecutive failures; the main thread ejects. Successes touch shared memory only after a failure.
void Cluster::report(Host& host, int status, bool local_failure) {
  HostCounters& counters = slot(host).counters;
  // Envoy's meaning of an error here: 5xx, and whatever brought no answer.
  ++(local_failure || status >= 500 ? counters.rq_error : counters.rq_success);
  if (local_failure && status == 504) ++counters.rq_timeout;
  const auto& outlier = config_->outlier;
  if (!outlier) return;
  auto reset = [](std::atomic<uint32_t>& counter) {
    if (counter.load(std::memory_order_relaxed)) counter.store(0, std::memory_order_relaxed);
  };
  auto bump = [&](std::atomic<uint32_t>& counter, uint32_t limit, Ejection kind) {
    if (limit == 0) return;
    if (counter.fetch_add(1, std::memory_order_relaxed) + 1 < limit) return;
    counter.store(0, std::memory_order_relaxed);
    if (host.ejected.load(std::memory_order_relaxed)) return;
    if (worker_.options().outlier) worker_.options().outlier(config_->id, host.shared_from_this(), static_cast<int>(kind));
  };
  if (outlier->split_local) {
    ++counters.local_total;
    if (local_failure) return bump(host.consecutive_local, outlier->consecutive_local, Ejection::kConsecutiveLocal);
    ++counters.local_ok;
    reset(host.consecutive_local);
  }
  // Unless split, a local failure counts as a 503, a time-out as a 504.
  if (local_failure && status == 0) status = 503;
  ++counters.answers;
  counters.ok += status < 500;
  if (status >= 502 && status <= 504)
    bump(host.consecutive_gateway, outlier->consecutive_gateway, Ejection::kConsecutiveGateway);
  else
    reset(host.consecutive_gateway);
  if (status >= 500)
    bump(host.consecutive_5xx, outlier->consecutive_5xx, Ejection::kConsecutive5xx);
  else
    reset(host.consecutive_5xx);
}

}  // namespace fairlead::proxy
