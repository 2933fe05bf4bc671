// Load balancing: priorities and localities, then round robin, least request, random, ring hash, maglev.
#include "proxy/upstream/balancer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fairlead::proxy {
namespace {

struct Weighted {
  HostPtr host;
  double weight = 1;
};
using Hosts = std::vector<Weighted>;

bool equal_weights(const Hosts& hosts) {
  return std::ranges::all_of(hosts, [&](const Weighted& h) { return h.weight == hosts[0].weight; });
}

// Earliest deadline first: each gets turns in proportion to its weight, evenly spread. O(log n) for a turn.
class Schedule {
 public:
  template <class WeightOf>
  void fill(size_t count, WeightOf weight_of) {
    for (size_t i = 0; i < count; ++i) push(i, weight_of(i));
  }
  template <class WeightOf>
  size_t next(WeightOf weight_of) {
    std::ranges::pop_heap(heap_, later);
    Turn t = heap_.back();
    heap_.pop_back();
    now_ = t.deadline;
    push(t.index, weight_of(t.index));
    return t.index;
  }
  bool empty() const { return heap_.empty(); }

 private:
  struct Turn {
    double deadline;
    uint64_t order;  // the one that waited longer goes first
    size_t index;
  };
  static bool later(const Turn& a, const Turn& b) { return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order; }
  void push(size_t index, double weight) {
    heap_.push_back({now_ + 1 / std::max(weight, 1e-9), order_++, index});
    std::ranges::push_heap(heap_, later);
  }
  std::vector<Turn> heap_;
  double now_ = 0;
  uint64_t order_ = 0;
};

// Weight of a host that has just begun to serve (Envoy's slow start).
double warmed(const ClusterConfig& config, const Weighted& h, const BalancerNeeds& needs) {
  if (config.slow_start.count() <= 0) return h.weight;
  int64_t since = h.host->serving_since_ns.load(std::memory_order_relaxed);
  double age = static_cast<double>(needs.now().time_since_epoch().count() - since);
  double window = static_cast<double>(config.slow_start.count());
  if (since == 0 || age >= window) return h.weight;
  double factor = std::max(age, 1e6) / window;
  if (config.slow_start_aggression != 1.0) factor = std::pow(factor, 1 / config.slow_start_aggression);
  return h.weight * std::max(factor, config.slow_start_min);
}

class RoundRobin final : public Balancer {
 public:
  RoundRobin(const ClusterConfig& config, Hosts hosts, const BalancerNeeds& needs) : config_(config), hosts_(std::move(hosts)), needs_(needs) {
    scheduled_ = !hosts_.empty() && (config.slow_start.count() > 0 || !equal_weights(hosts_));
  }
  Host* pick(std::optional<uint64_t>, uint64_t random, uint32_t) override {
    if (hosts_.empty()) return nullptr;
    // Workers and proxies start at different places, so that they do not all begin with the first host.
    if (!scheduled_) {
      if (next_ == kUnset) next_ = random % hosts_.size();
      return hosts_[next_++ % hosts_.size()].host.get();
    }
    auto weight = [this](size_t i) { return warmed(config_, hosts_[i], needs_); };
    if (schedule_.empty()) {
      schedule_.fill(hosts_.size(), weight);
      for (uint64_t skip = random % hosts_.size(); skip > 0; --skip) schedule_.next(weight);
    }
    return hosts_[schedule_.next(weight)].host.get();
  }

 private:
  static constexpr size_t kUnset = ~size_t{0};
  const ClusterConfig& config_;
  Hosts hosts_;
  const BalancerNeeds& needs_;
  Schedule schedule_;
  bool scheduled_ = false;
  size_t next_ = kUnset;
};

class Random final : public Balancer {
 public:
  explicit Random(Hosts hosts) : hosts_(std::move(hosts)) {}
  Host* pick(std::optional<uint64_t>, uint64_t random, uint32_t) override {
    return hosts_.empty() ? nullptr : hosts_[random % hosts_.size()].host.get();
  }

 private:
  Hosts hosts_;
};

// Best of `choices` random hosts by active requests; with weights, turns by weight / (active + 1) ^ bias.
class LeastRequest final : public Balancer {
 public:
  LeastRequest(const ClusterConfig& config, Hosts hosts, const BalancerNeeds& needs) : config_(config), hosts_(std::move(hosts)), needs_(needs) {
    scheduled_ = !hosts_.empty() && (config.slow_start.count() > 0 || !equal_weights(hosts_));
  }
  Host* pick(std::optional<uint64_t>, uint64_t random, uint32_t) override {
    if (hosts_.empty()) return nullptr;
    if (hosts_.size() == 1) return hosts_[0].host.get();
    if (scheduled_) {
      auto weight = [this](size_t i) { return share(hosts_[i]); };
      if (schedule_.empty()) {
        schedule_.fill(hosts_.size(), weight);
        for (uint64_t skip = random % hosts_.size(); skip > 0; --skip) schedule_.next(weight);
      }
      return hosts_[schedule_.next(weight)].host.get();
    }
    if (config_.full_scan) return least_of_all(random);
    Host* best = nullptr;
    uint64_t least = 0;
    for (uint32_t i = 0; i < std::max(2u, config_.choices); ++i) {
      Host* h = hosts_[random % hosts_.size()].host.get();
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      random ^= random >> 29;
      uint64_t n = needs_.active(*h);
      if (!best || n < least) best = h, least = n;
    }
    return best;
  }

 private:
  // Of equals any, so that new workers do not all begin with the first.
  Host* least_of_all(uint64_t random) const {
    Host* best = nullptr;
    uint64_t least = 0, equals = 0;
    for (const Weighted& h : hosts_) {
      uint64_t n = needs_.active(*h.host);
      if (best && n > least) continue;
      equals = best && n == least ? equals + 1 : 1;
      if (equals == 1 || random % equals == 0) best = h.host.get();
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      random ^= random >> 29;
      least = n;
    }
    return best;
  }
  double share(const Weighted& h) const {
    double weight = warmed(config_, h, needs_), active = static_cast<double>(needs_.active(*h.host) + 1);
    if (config_.active_request_bias == 0) return weight;
    return weight / (config_.active_request_bias == 1 ? active : std::pow(active, config_.active_request_bias));
  }
  const ClusterConfig& config_;
  Hosts hosts_;
  const BalancerNeeds& needs_;
  Schedule schedule_;
  bool scheduled_ = false;
};

std::string_view hash_key(const ClusterConfig& config, const Host& host) {
  return config.hash_by_hostname && !host.hostname.empty() ? std::string_view(host.hostname) : std::string_view(host.text);
}

// Ketama: each host has points on a ring in proportion to its weight; a request goes to the next point.
class RingHash final : public Balancer {
 public:
  RingHash(const ClusterConfig& config, Hosts hosts) : hosts_(std::move(hosts)) {
    if (hosts_.empty()) return;
    double total = 0, smallest = hosts_[0].weight;
    for (const Weighted& h : hosts_) total += h.weight, smallest = std::min(smallest, h.weight);
    // Scaled so that the lightest host has a whole number of points, and the ring at least min_ring_size.
    smallest /= total;
    double scale = std::min(std::ceil(smallest * static_cast<double>(config.ring_min)) / smallest, static_cast<double>(config.ring_max));
    ring_.reserve(static_cast<size_t>(std::ceil(scale)));
    double have = 0, want = 0;
    std::string key;
    for (const Weighted& h : hosts_) {
      want += scale * h.weight / total;
      for (uint64_t i = 0; have < want; ++i, ++have) {
        key.assign(hash_key(config, *h.host)).append("_").append(std::to_string(i));
        ring_.emplace_back(config.murmur_hash ? murmur64(key) : xxhash64(key), h.host.get());
      }
    }
    std::ranges::sort(ring_, {}, [](const auto& p) { return p.first; });
  }
  Host* pick(std::optional<uint64_t> hash, uint64_t random, uint32_t attempt) override {
    if (ring_.empty()) return nullptr;
    auto at = std::ranges::lower_bound(ring_, hash.value_or(random), {}, [](const auto& p) { return p.first; });
    size_t i = at == ring_.end() ? 0 : static_cast<size_t>(at - ring_.begin());
    return ring_[(i + attempt) % ring_.size()].second;
  }

 private:
  Hosts hosts_;
  std::vector<std::pair<uint64_t, Host*>> ring_;
};

// Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4).
class Maglev final : public Balancer {
 public:
  Maglev(const ClusterConfig& config, Hosts hosts) : hosts_(std::move(hosts)) {
    if (hosts_.empty()) return;
    uint64_t size = config.maglev_size;
    struct Entry {
      uint64_t offset, skip, next = 0;
      double target = 0, weight;
    };
    std::vector<Entry> entries;
    // Who comes first in a turn takes the place that two want: by key, so that every proxy that has these hosts agrees.
    std::ranges::stable_sort(hosts_, {}, [&](const Weighted& h) { return hash_key(config, *h.host); });
    double total = 0, heaviest = 0;
    for (const Weighted& h : hosts_) total += h.weight;
    for (const Weighted& h : hosts_) {
      std::string_view key = hash_key(config, *h.host);
      entries.push_back({xxhash64(key) % size, xxhash64(key, 1) % (size - 1) + 1, 0, 0, h.weight / total});
      heaviest = std::max(heaviest, h.weight / total);
    }
    table_.assign(size, nullptr);
    uint64_t filled = 0;
    for (uint64_t turn = 1; filled < size; ++turn) {
      for (size_t i = 0; i < entries.size() && filled < size; ++i) {
        Entry& e = entries[i];
        // Lighter hosts sit turns out.
        if (static_cast<double>(turn) * e.weight < e.target) continue;
        e.target += heaviest;
        uint64_t at = (e.offset + e.skip * e.next) % size;
        while (table_[at]) at = (e.offset + e.skip * ++e.next) % size;
        table_[at] = hosts_[i].host.get();
        ++e.next;
        ++filled;
      }
    }
  }
  Host* pick(std::optional<uint64_t> hash, uint64_t random, uint32_t attempt) override {
    if (table_.empty()) return nullptr;
    uint64_t h = hash.value_or(random);
    // Another try is another place, not the neighbour, which is often the same host's.
    if (attempt) h ^= ~0ULL - attempt + 1;
    return table_[h % table_.size()];
  }

 private:
  Hosts hosts_;
  std::vector<Host*> table_;
};

// Consistent hashing with bounded loads (Mirrokni et al., 2016): a host that has more than its share of what is in flight
// passes the request on to the next of an order that follows from the hash, so that equal requests meet again.
class Bounded final : public Balancer {
 public:
  Bounded(const ClusterConfig& config, Hosts hosts, const BalancerNeeds& needs, std::unique_ptr<Balancer> inside)
      : config_(config), hosts_(std::move(hosts)), needs_(needs), inside_(std::move(inside)) {
    double total = 0;
    for (const Weighted& h : hosts_) total += h.weight;
    for (Weighted& h : hosts_) h.weight /= total;
  }
  Host* pick(std::optional<uint64_t> hash, uint64_t random, uint32_t attempt) override {
    uint64_t key = hash.value_or(random);
    Host* first = inside_->pick(key, random, attempt);
    if (!first) return nullptr;
    auto own = std::ranges::find(hosts_, first, [](const Weighted& h) { return h.host.get(); });
    double least = load(*own);
    if (least <= 1) return first;
    order_.resize(hosts_.size());
    std::iota(order_.begin(), order_.end(), 0u);
    Host* best = first;
    for (size_t i = 0; i < order_.size(); ++i) {
      key = key * 6364136223846793005ULL + 1442695040888963407ULL;
      std::swap(order_[i], order_[i + (key >> 33) % (order_.size() - i)]);
      const Weighted& h = hosts_[order_[i]];
      double its = load(h);
      if (its <= 1) return h.host.get();
      if (its < least) best = h.host.get(), least = its;
    }
    return best;
  }

 private:
  // In flight on the host, as a part of what it may have.
  double load(const Weighted& h) const {
    uint64_t slots = ((needs_.all_active() + 1) * config_.hash_balance_percent + 99) / 100;
    return static_cast<double>(needs_.active(*h.host)) / std::max(std::ceil(static_cast<double>(slots) * h.weight), 1.0);
  }
  const ClusterConfig& config_;
  Hosts hosts_;  // weights: parts of 1
  const BalancerNeeds& needs_;
  std::unique_ptr<Balancer> inside_;
  std::vector<uint32_t> order_;
};

std::unique_ptr<Balancer> hashing(const ClusterConfig& config, Hosts hosts, const BalancerNeeds& needs) {
  auto by_hash = [&](Hosts of) -> std::unique_ptr<Balancer> {
    if (config.balance == ClusterConfig::Balance::kRingHash) return std::make_unique<RingHash>(config, std::move(of));
    return std::make_unique<Maglev>(config, std::move(of));
  };
  if (config.hash_balance_percent == 0 || hosts.size() < 2) return by_hash(std::move(hosts));
  auto inside = by_hash(hosts);
  return std::make_unique<Bounded>(config, std::move(hosts), needs, std::move(inside));
}

std::unique_ptr<Balancer> by_policy(const ClusterConfig& config, Hosts hosts, const BalancerNeeds& needs) {
  using B = ClusterConfig::Balance;
  switch (config.balance) {
    case B::kLeastRequest:
      return std::make_unique<LeastRequest>(config, std::move(hosts), needs);
    case B::kRandom:
      return std::make_unique<Random>(std::move(hosts));
    case B::kRingHash:
    case B::kMaglev:
      return hashing(config, std::move(hosts), needs);
    case B::kRoundRobin:
    case B::kClusterProvided:
      break;
  }
  return std::make_unique<RoundRobin>(config, std::move(hosts), needs);
}

// Turns between localities by their weight, and by how much of each is usable.
class Localities final : public Balancer {
 public:
  void add(double weight, std::unique_ptr<Balancer> inside) { parts_.push_back({weight, std::move(inside)}); }
  Host* pick(std::optional<uint64_t> hash, uint64_t random, uint32_t attempt) override {
    auto weight = [this](size_t i) { return parts_[i].weight; };
    if (schedule_.empty()) schedule_.fill(parts_.size(), weight);
    return schedule_.empty() ? nullptr : parts_[schedule_.next(weight)].inside->pick(hash, random, attempt);
  }
  bool empty() const { return parts_.empty(); }

 private:
  struct Part {
    double weight;
    std::unique_ptr<Balancer> inside;
  };
  std::vector<Part> parts_;
  Schedule schedule_;
};

class Priorities final : public Balancer {
 public:
  Priorities(const ClusterConfig& config, std::shared_ptr<const EndpointSet> endpoints, BalancerNeeds needs)
      : config_(config), endpoints_(std::move(endpoints)), needs_(std::move(needs)) {
    if (!endpoints_) return;
    uint32_t highest = 0;
    for (const HostPtr& h : endpoints_->hosts) highest = std::max(highest, h->priority.load(std::memory_order_relaxed));
    if (highest > 128) highest = 128;  // as the API allows
    std::vector<PriorityHealth> health(endpoints_->hosts.empty() ? 0 : highest + 1);
    levels_.resize(health.size());
    for (size_t i = 0; i < endpoints_->hosts.size(); ++i) {
      const HostPtr& h = endpoints_->hosts[i];
      size_t p = std::min<size_t>(h->priority.load(std::memory_order_relaxed), highest);
      HealthStatus status = h->health();
      levels_[p].all.push_back(i);
      ++health[p].total;
      if (status == HealthStatus::kHealthy) levels_[p].healthy.push_back(i), ++health[p].healthy;
      if (status == HealthStatus::kDegraded) levels_[p].degraded.push_back(i), ++health[p].degraded;
    }
    std::vector<PriorityLoad> loads = priority_loads(health, endpoints_->overprovisioning, config_.panic_percent);
    for (size_t p = 0; p < levels_.size(); ++p) {
      Level& l = levels_[p];
      l.load = loads[p];
      if (l.load.healthy == 100) only_ = &l;
    }
  }

  Host* pick(std::optional<uint64_t> hash, uint64_t random, uint32_t attempt) override {
    if (only_) return from(*only_, false, hash, random, attempt);
    uint64_t at = hash.value_or(random >> 32) % 100;
    for (bool degraded : {false, true}) {
      for (Level& l : levels_) {
        uint32_t share = degraded ? l.load.degraded : l.load.healthy;
        if (at < share) return from(l, degraded, hash, random, attempt);
        at -= share;
      }
    }
    return nullptr;
  }

 private:
  struct Level {
    std::vector<size_t> all, healthy, degraded;  // indices of hosts
    PriorityLoad load;
    std::unique_ptr<Balancer> balancer, degraded_balancer;  // made when first needed
  };

  Host* from(Level& l, bool degraded, std::optional<uint64_t> hash, uint64_t random, uint32_t attempt) {
    if (l.load.panic) {
      if (needs_.panics) ++*needs_.panics;
      if (config_.panic_fails) return nullptr;
      if (!l.balancer) l.balancer = by_policy(config_, weighted(l.all, {}), needs_);
      return l.balancer->pick(hash, random, attempt);
    }
    auto& balancer = degraded ? l.degraded_balancer : l.balancer;
    if (!balancer) balancer = make(l, degraded ? l.degraded : l.healthy);
    return balancer->pick(hash, random, attempt);
  }

  // localities: the weight of each, where hashing has to take it into account; empty: the hosts' own weights.
  Hosts weighted(const std::vector<size_t>& indices, const std::vector<double>& localities) const {
    Hosts out;
    std::vector<double> sums(localities.size());
    if (!localities.empty())
      for (size_t i : indices) sums[locality(i)] += endpoints_->hosts[i]->weight.load(std::memory_order_relaxed);
    for (size_t i : indices) {
      double w = endpoints_->hosts[i]->weight.load(std::memory_order_relaxed);
      if (!localities.empty()) w *= localities[locality(i)] / std::max(sums[locality(i)], 1.0);
      if (w > 0) out.push_back({endpoints_->hosts[i], w});
    }
    return out;
  }

  size_t locality(size_t i) const { return i < endpoints_->entries.size() ? endpoints_->entries[i].locality : 0; }

  std::unique_ptr<Balancer> make(const Level& l, const std::vector<size_t>& indices) {
    if (!config_.locality_weights || endpoints_->localities.empty()) return by_policy(config_, weighted(indices, {}), needs_);
    std::vector<size_t> total(endpoints_->localities.size()), usable(total.size());
    std::vector<std::vector<size_t>> members(total.size());
    for (size_t i : l.all) ++total[locality(i)];
    for (size_t i : indices) ++usable[locality(i)], members[locality(i)].push_back(i);
    std::vector<double> weights(total.size());
    for (size_t i = 0; i < weights.size(); ++i)
      if (total[i])
        weights[i] = endpoints_->localities[i].weight *
                     std::min(1.0, endpoints_->overprovisioning / 100.0 * static_cast<double>(usable[i]) / static_cast<double>(total[i]));
    using B = ClusterConfig::Balance;
    if (config_.balance == B::kRingHash || config_.balance == B::kMaglev) return by_policy(config_, weighted(indices, weights), needs_);
    auto out = std::make_unique<Localities>();
    for (size_t i = 0; i < weights.size(); ++i)
      if (weights[i] > 0 && !members[i].empty()) out->add(weights[i], by_policy(config_, weighted(members[i], {}), needs_));
    // No locality has a weight: none of them would get traffic, as Envoy.
    return out;
  }

  const ClusterConfig& config_;
  std::shared_ptr<const EndpointSet> endpoints_;
  BalancerNeeds needs_;
  std::vector<Level> levels_;
  Level* only_ = nullptr;  // takes everything
};

}  // namespace

void EndpointSet::adopt() const {
  for (size_t i = 0; i < hosts.size() && i < entries.size(); ++i) {
    hosts[i]->weight.store(entries[i].weight, std::memory_order_relaxed);
    hosts[i]->priority.store(entries[i].priority, std::memory_order_relaxed);
    hosts[i]->eds_health.store(entries[i].health, std::memory_order_relaxed);
  }
}

// Priority p takes min(100, its usable share x overprovisioning factor) of what the ones before it left; when all of
// them together reach less than 100, what there is is scaled up, and priorities under the threshold are in panic.
std::vector<PriorityLoad> priority_loads(const std::vector<PriorityHealth>& levels, uint32_t overprovisioning, uint32_t panic_percent) {
  std::vector<PriorityLoad> out(levels.size());
  std::vector<uint32_t> healthy(levels.size()), degraded(levels.size());
  uint32_t sum = 0;
  for (size_t i = 0; i < levels.size(); ++i) {
    if (levels[i].total == 0) continue;
    healthy[i] = static_cast<uint32_t>(std::min<size_t>(100, overprovisioning * levels[i].healthy / levels[i].total));
    degraded[i] = static_cast<uint32_t>(std::min<size_t>(100, overprovisioning * levels[i].degraded / levels[i].total));
    sum += healthy[i] + degraded[i];
  }
  uint32_t available = std::min(sum, 100u);
  if (available == 0) {
    // Nobody is usable: by the number of hosts, all in panic; without panic (threshold 0) nobody gets anything.
    size_t hosts = std::accumulate(levels.begin(), levels.end(), size_t{0}, [](size_t n, const auto& l) { return n + l.total; });
    if (hosts == 0 || panic_percent == 0) return out;
    uint32_t left = 100;
    size_t first = levels.size();
    for (size_t i = 0; i < levels.size(); ++i) {
      if (levels[i].total == 0) continue;
      if (first == levels.size()) first = i;
      out[i].panic = true;
      out[i].healthy = static_cast<uint32_t>(100 * levels[i].total / hosts);
      left -= out[i].healthy;
    }
    out[first].healthy += left;
    return out;
  }
  uint32_t left = 100;
  uint32_t* first = nullptr;
  for (bool second : {false, true}) {
    for (size_t i = 0; i < levels.size(); ++i) {
      uint32_t& to = second ? out[i].degraded : out[i].healthy;
      to = std::min(left, (second ? degraded[i] : healthy[i]) * 100 / available);
      left -= to;
      if (to && !first) first = &to;
    }
  }
  if (first) *first += left;  // of rounding
  if (available < 100)
    for (size_t i = 0; i < levels.size(); ++i)
      out[i].panic = levels[i].total > 0 && 100.0 * static_cast<double>(levels[i].healthy + levels[i].degraded) / static_cast<double>(levels[i].total) <
                                                static_cast<double>(panic_percent);
  return out;
}

std::unique_ptr<Balancer> make_balancer(const ClusterConfig& config, std::shared_ptr<const EndpointSet> endpoints, BalancerNeeds needs) {
  return std::make_unique<Priorities>(config, std::move(endpoints), std::move(needs));
}

}  // namespace fairlead::proxy
