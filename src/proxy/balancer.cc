// Load balancers: round robin, least request, random, ring hash, maglev.
#include <algorithm>
#include <cmath>

#include "proxy/upstream.h"

namespace fairlead::proxy {
namespace {

// 64-bit mix of a string; stable between processes, so that every worker and proxy builds the same ring.
uint64_t hash_text(std::string_view s, uint64_t seed) {
  uint64_t h = seed ^ 0x9E3779B97F4A7C15ULL;
  for (unsigned char c : s) {
    h ^= c;
    h *= 0x100000001B3ULL;
  }
  h ^= h >> 33;
  h *= 0xFF51AFD7ED558CCDULL;
  h ^= h >> 33;
  h *= 0xC4CEB9FE1A85EC53ULL;
  return h ^ (h >> 33);
}

bool equal_weights(const std::vector<HostPtr>& hosts) {
  return std::ranges::all_of(hosts, [&](const HostPtr& h) { return h->weight == hosts[0]->weight; });
}

class RoundRobin final : public Balancer {
 public:
  explicit RoundRobin(std::vector<HostPtr> hosts) : hosts_(std::move(hosts)) {
    weighted_ = !hosts_.empty() && !equal_weights(hosts_);
    current_.resize(hosts_.size());
  }
  Host* pick(std::optional<uint64_t>, uint64_t random) override {
    if (hosts_.empty()) return nullptr;
    if (!weighted_) {
      // Workers and proxies start at different places, so that they do not all begin with the first host.
      if (next_ == kUnset) next_ = random % hosts_.size();
      return hosts_[next_++ % hosts_.size()].get();
    }
    // Smooth weighted round robin: the one furthest behind its share.
    int64_t total = 0;
    size_t best = 0;
    for (size_t i = 0; i < hosts_.size(); ++i) {
      current_[i] += hosts_[i]->weight;
      total += hosts_[i]->weight;
      if (current_[i] > current_[best]) best = i;
    }
    current_[best] -= total;
    return hosts_[best].get();
  }

 private:
  static constexpr size_t kUnset = ~size_t{0};
  std::vector<HostPtr> hosts_;
  std::vector<int64_t> current_;
  bool weighted_ = false;
  size_t next_ = kUnset;
};

class Random final : public Balancer {
 public:
  explicit Random(std::vector<HostPtr> hosts) : hosts_(std::move(hosts)) {}
  Host* pick(std::optional<uint64_t>, uint64_t random) override {
    return hosts_.empty() ? nullptr : hosts_[random % hosts_.size()].get();
  }

 private:
  std::vector<HostPtr> hosts_;
};

// Best of `choices` random hosts by active requests; with weights, weighted random with weight / (active + 1).
class LeastRequest final : public Balancer {
 public:
  LeastRequest(std::vector<HostPtr> hosts, uint32_t choices, std::function<uint64_t(const Host&)> active)
      : hosts_(std::move(hosts)), choices_(std::max(2u, choices)), active_(std::move(active)) {
    weighted_ = !hosts_.empty() && !equal_weights(hosts_);
  }
  Host* pick(std::optional<uint64_t>, uint64_t random) override {
    if (hosts_.empty()) return nullptr;
    if (hosts_.size() == 1) return hosts_[0].get();
    if (weighted_) {
      double total = 0;
      for (const HostPtr& h : hosts_) total += share(*h);
      double at = static_cast<double>(random >> 11) / static_cast<double>(1ull << 53) * total;
      for (const HostPtr& h : hosts_)
        if ((at -= share(*h)) < 0) return h.get();
      return hosts_.back().get();
    }
    Host* best = nullptr;
    uint64_t least = 0;
    for (uint32_t i = 0; i < choices_; ++i) {
      Host* h = hosts_[random % hosts_.size()].get();
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      random ^= random >> 29;
      uint64_t n = active_(*h);
      if (!best || n < least) best = h, least = n;
    }
    return best;
  }

 private:
  double share(const Host& h) const { return static_cast<double>(h.weight) / static_cast<double>(active_(h) + 1); }
  std::vector<HostPtr> hosts_;
  uint32_t choices_;
  std::function<uint64_t(const Host&)> active_;
  bool weighted_ = false;
};

class RingHash final : public Balancer {
 public:
  RingHash(std::vector<HostPtr> hosts, uint64_t min_size, uint64_t max_size) : hosts_(std::move(hosts)) {
    if (hosts_.empty()) return;
    uint64_t total = 0;
    uint32_t smallest = hosts_[0]->weight;
    for (const HostPtr& h : hosts_) total += h->weight, smallest = std::min(smallest, h->weight);
    double scale = std::min(std::ceil(static_cast<double>(smallest) / static_cast<double>(total) * static_cast<double>(min_size)) /
                                (static_cast<double>(smallest) / static_cast<double>(total)),
                            static_cast<double>(max_size));
    for (const HostPtr& h : hosts_) {
      auto points = static_cast<uint64_t>(std::max(1.0, scale * h->weight / static_cast<double>(total)));
      for (uint64_t i = 0; i < points; ++i) ring_.emplace_back(hash_text(h->text + "_" + std::to_string(i), 0), h.get());
    }
    std::ranges::sort(ring_, {}, [](const auto& p) { return p.first; });
  }
  Host* pick(std::optional<uint64_t> hash, uint64_t random) override {
    if (ring_.empty()) return nullptr;
    auto at = std::ranges::lower_bound(ring_, hash.value_or(random), {}, [](const auto& p) { return p.first; });
    return at == ring_.end() ? ring_.front().second : at->second;
  }

 private:
  std::vector<HostPtr> hosts_;
  std::vector<std::pair<uint64_t, Host*>> ring_;
};

// Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4).
class Maglev final : public Balancer {
 public:
  Maglev(std::vector<HostPtr> hosts, uint64_t size) : hosts_(std::move(hosts)) {
    if (hosts_.empty()) return;
    struct Entry {
      uint64_t offset, skip, next = 0;
      double target = 0, weight;
    };
    std::vector<Entry> entries;
    uint32_t heaviest = 0;
    for (const HostPtr& h : hosts_) heaviest = std::max(heaviest, h->weight);
    for (const HostPtr& h : hosts_)
      entries.push_back({hash_text(h->text, 0) % size, hash_text(h->text, 1) % (size - 1) + 1, 0, 0, static_cast<double>(h->weight) / heaviest});
    table_.assign(size, nullptr);
    uint64_t filled = 0;
    for (uint64_t turn = 1; filled < size; ++turn) {
      for (size_t i = 0; i < entries.size() && filled < size; ++i) {
        Entry& e = entries[i];
        // Lighter hosts sit turns out.
        if (static_cast<double>(turn) * e.weight < e.target) continue;
        e.target += 1;
        uint64_t at = (e.offset + e.skip * e.next) % size;
        while (table_[at]) at = (e.offset + e.skip * ++e.next) % size;
        table_[at] = hosts_[i].get();
        ++e.next;
        ++filled;
      }
    }
  }
  Host* pick(std::optional<uint64_t> hash, uint64_t random) override {
    return table_.empty() ? nullptr : table_[hash.value_or(random) % table_.size()];
  }

 private:
  std::vector<HostPtr> hosts_;
  std::vector<Host*> table_;
};

}  // namespace

std::unique_ptr<Balancer> make_balancer(const ClusterConfig& config, std::vector<HostPtr> hosts, std::function<uint64_t(const Host&)> active) {
  using B = ClusterConfig::Balance;
  switch (config.balance) {
    case B::kLeastRequest:
      return std::make_unique<LeastRequest>(std::move(hosts), config.choices, std::move(active));
    case B::kRandom:
      return std::make_unique<Random>(std::move(hosts));
    case B::kRingHash:
      return std::make_unique<RingHash>(std::move(hosts), config.ring_min, config.ring_max);
    case B::kMaglev:
      return std::make_unique<Maglev>(std::move(hosts), config.maglev_size);
    case B::kRoundRobin:
    case B::kClusterProvided:
      break;
  }
  return std::make_unique<RoundRobin>(std::move(hosts));
}

}  // namespace fairlead::proxy
