#include <algorithm>

#include "proxy/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {

Cluster::Cluster(Worker& worker, std::shared_ptr<const ClusterConfig> config, std::shared_ptr<const EndpointSet> endpoints)
    : worker_(worker), config_(std::move(config)), endpoints_(std::move(endpoints)) {}

Cluster::~Cluster() = default;

void Cluster::update_config(std::shared_ptr<const ClusterConfig> config) {
  // What a connection was opened with is part of it; when that changes, new requests get new connections.
  bool reconnect = config->tls != config_->tls || !(config->bind == config_->bind) || config->protocol != config_->protocol ||
                   config->max_requests_per_connection != config_->max_requests_per_connection;
  config_ = std::move(config);
  balancer_.reset();
  if (reconnect)
    drain_all();
}

void Cluster::update_endpoints(std::shared_ptr<const EndpointSet> endpoints) {
  endpoints_ = std::move(endpoints);
  balancer_.reset();
  if (config_->type == ClusterConfig::Type::kOriginalDst) return;
  // Draining may end a pool's last connection, and with it the pool (pool_unused): the map is not walked meanwhile.
  std::vector<HostPool*> gone;
  for (auto& by_protocol : pools_) {
    for (auto& [host, pool] : by_protocol) {
      bool stays = endpoints_ && std::ranges::any_of(endpoints_->hosts, [&](const HostPtr& h) { return h.get() == host; });
      if (!stays) gone.push_back(pool.get());
    }
  }
  for (HostPool* pool : gone) pool->drain();
}

void Cluster::drain_all() {
  std::vector<HostPool*> all;
  for (auto& by_protocol : pools_)
    for (auto& [host, pool] : by_protocol) all.push_back(pool.get());
  for (HostPool* pool : all) pool->drain();
}

bool Cluster::unused() const {
  return std::ranges::all_of(pools_, [](const auto& by_protocol) {
    return std::ranges::all_of(by_protocol, [](const auto& entry) { return entry.second->unused(); });
  });
}

// Priorities as Envoy's: the first one whose usable share, times the overprovisioning factor, reaches what is wanted
// takes it all; what is missing goes to the next. Under the panic threshold everybody of the priority counts as usable.
void Cluster::rebuild() {
  std::vector<HostPtr> hosts;
  if (endpoints_) {
    uint32_t highest = 0;
    for (const HostPtr& h : endpoints_->hosts) highest = std::max(highest, h->priority);
    for (uint32_t p = 0; p <= highest && hosts.empty(); ++p) {
      std::vector<HostPtr> all, usable, degraded;
      for (const HostPtr& h : endpoints_->hosts) {
        if (h->priority != p) continue;
        all.push_back(h);
        if (!h->usable()) continue;
        (h->eds_health.load(std::memory_order_relaxed) == HealthStatus::kDegraded ? degraded : usable).push_back(h);
      }
      if (all.empty()) continue;
      if (usable.empty()) usable = degraded;
      bool last = p == highest;
      if (!usable.empty() && usable.size() * 100 >= all.size() * config_->panic_percent) {
        hosts = std::move(usable);
      } else if (last && config_->panic_percent > 0) {
        ++stats.lb_healthy_panic;
        hosts = std::move(all);
      } else if (!usable.empty()) {
        hosts = std::move(usable);
      }
    }
  }
  balancer_ = make_balancer(*config_, std::move(hosts), [this](const Host& host) -> uint64_t {
    uint64_t n = 0;
    for (auto& by_protocol : pools_)
      if (auto at = by_protocol.find(&host); at != by_protocol.end()) n += at->second->active;
    return n;
  });
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
  for (uint32_t i = 0; i < std::max(1u, attempts); ++i) {
    host = balancer_->pick(hash, worker_.random());
    bool tried = host && avoid && std::ranges::find(*avoid, host) != avoid->end();
    if (!tried) break;
  }
  if (!host) ++stats.upstream_cx_none_healthy;
  return host;
}

HostPool& Cluster::pool(Host& host, UpstreamProtocol protocol) {
  auto& slot = pools_[static_cast<size_t>(protocol)][&host];
  if (!slot) slot = std::make_unique<HostPool>(*this, host.shared_from_this(), protocol);
  return *slot;
}

void Cluster::pool_unused(HostPool& pool) {
  auto& by_protocol = pools_[static_cast<size_t>(pool.protocol())];
  auto at = by_protocol.find(pool.host().get());
  if (at == by_protocol.end() || at->second.get() != &pool) return;
  if (config_->type == ClusterConfig::Type::kOriginalDst) {
    auto same = pools_[1 - static_cast<size_t>(pool.protocol())].find(pool.host().get());
    if (same == pools_[1 - static_cast<size_t>(pool.protocol())].end()) original_hosts_.erase(pool.host()->text);
  }
  worker_.loop().dispose(std::move(at->second));
  by_protocol.erase(at);
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
  if (limit >= kUnlimited) return Permit::kUncounted;
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
  const auto& outlier = config_->outlier;
  if (!outlier) return;
  auto reset = [](std::atomic<uint32_t>& counter) {
    if (counter.load(std::memory_order_relaxed)) counter.store(0, std::memory_order_relaxed);
  };
  auto eject = [&](int kind) {
    if (host.ejected.load(std::memory_order_relaxed)) return;
    if (worker_.options().outlier) worker_.options().outlier(config_->id, host.shared_from_this(), kind);
  };
  auto bump = [&](std::atomic<uint32_t>& counter, uint32_t limit, uint32_t enforcing, int kind) {
    if (limit == 0) return;
    if (counter.fetch_add(1, std::memory_order_relaxed) + 1 < limit) return;
    counter.store(0, std::memory_order_relaxed);
    if (enforcing >= 100 || worker_.random() % 100 < enforcing) eject(kind);
  };
  if (local_failure && outlier->split_local) return bump(host.consecutive_local, outlier->consecutive_local, outlier->enforcing_local, 2);
  // Unless split, a local failure counts as a 503.
  if (local_failure) status = 503;
  if (outlier->split_local) reset(host.consecutive_local);
  if (status >= 502 && status <= 504)
    bump(host.consecutive_gateway, outlier->consecutive_gateway, outlier->enforcing_gateway, 1);
  else
    reset(host.consecutive_gateway);
  if (status >= 500)
    bump(host.consecutive_5xx, outlier->consecutive_5xx, outlier->enforcing_5xx, 0);
  else
    reset(host.consecutive_5xx);
}

}  // namespace fairlead::proxy
