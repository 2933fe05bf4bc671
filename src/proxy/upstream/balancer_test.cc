#include "proxy/upstream/balancer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

namespace fairlead::proxy {
namespace {

struct Given {
  uint32_t priority = 0, weight = 1;
  HealthStatus health = HealthStatus::kHealthy;
  uint32_t locality = 0;
};

class BalancerTest : public ::testing::Test {
 protected:
  void hosts(std::initializer_list<Given> list) {
    endpoints_ = std::make_shared<EndpointSet>();
    for (const Given& g : list) {
      auto h = std::make_shared<Host>();
      h->text = "10.0.0." + std::to_string(endpoints_->hosts.size() + 1) + ":80";
      endpoints_->hosts.push_back(h);
      endpoints_->entries.push_back({g.weight, g.priority, g.locality, g.health});
    }
    endpoints_->adopt();
  }
  void localities(std::initializer_list<uint32_t> weights) {
    for (uint32_t w : weights) endpoints_->localities.push_back({"z" + std::to_string(endpoints_->localities.size()), 0, w});
  }
  std::unique_ptr<Balancer> make() {
    return make_balancer(config_, endpoints_,
                         {[this](const Host& h) { return active_[&h]; }, [this] { return now_; },
                          [this] { return std::accumulate(active_.begin(), active_.end(), uint64_t{0}, [](uint64_t n, const auto& a) { return n + a.second; }); }, &panics_});
  }
  // Requests for each host, in percent of `n`.
  std::vector<int> shares(Balancer& b, int n = 10'000) {
    std::map<const Host*, int> count;
    for (int i = 0; i < n; ++i)
      if (Host* h = b.pick(std::nullopt, random_(), 0)) ++count[h];
    std::vector<int> out;
    for (const HostPtr& h : endpoints_->hosts) out.push_back((count[h.get()] * 100 + n / 2) / n);
    return out;
  }

  ClusterConfig config_;
  std::shared_ptr<EndpointSet> endpoints_;
  std::map<const Host*, uint64_t> active_;
  base::TimePoint now_{std::chrono::hours(1)};
  uint64_t panics_ = 0;
  std::mt19937_64 random_{1};
};

using V = std::vector<int>;

TEST_F(BalancerTest, RoundRobinFollowsWeights) {
  hosts({{0, 1}, {0, 3}, {0, 6}});
  EXPECT_EQ(shares(*make()), (V{10, 30, 60}));
}

TEST_F(BalancerTest, WeightsAreSpreadEvenly) {
  hosts({{0, 1}, {0, 2}});
  auto b = make();
  // Never three in a row for a host of two thirds.
  int run = 0;
  for (int i = 0; i < 300; ++i) {
    run = b->pick(std::nullopt, 7, 0) == endpoints_->hosts[1].get() ? run + 1 : 0;
    EXPECT_LE(run, 2);
  }
}

TEST_F(BalancerTest, LeastRequestPrefersTheIdleOne) {
  config_.balance = ClusterConfig::Balance::kLeastRequest;
  hosts({{}, {}});
  active_[endpoints_->hosts[0].get()] = 10;
  EXPECT_EQ(shares(*make()), (V{25, 75}));  // two choices of two: only both times the busy one gives it
}

TEST_F(BalancerTest, LeastRequestOfAllNeverTakesABusierOne) {
  config_.balance = ClusterConfig::Balance::kLeastRequest;
  config_.full_scan = true;
  hosts({{}, {}, {}, {}});
  active_[endpoints_->hosts[0].get()] = 2;
  active_[endpoints_->hosts[2].get()] = 1;
  EXPECT_EQ(shares(*make()), (V{0, 50, 0, 50}));
}

TEST_F(BalancerTest, BoundedHashingPassesOnWhatIsTooMuch) {
  for (auto policy : {ClusterConfig::Balance::kRingHash, ClusterConfig::Balance::kMaglev}) {
    config_.balance = policy;
    config_.maglev_size = 251;
    config_.hash_balance_percent = 150;
    hosts({{}, {}, {}});
    active_.clear();
    auto b = make();
    Host* own = b->pick(42, 0, 0);
    active_[own] = 2;  // of 2: with this one, 3 * 150 % are 5 (rounded up), 2 for each
    EXPECT_EQ(b->pick(42, 0, 0), own);
    active_[own] = 3;  // of 3: 6 for all, 2 for each
    Host* other = b->pick(42, 0, 0);
    EXPECT_NE(other, own);
    EXPECT_EQ(b->pick(42, 7, 0), other);  // the hash alone decides
    for (auto& h : endpoints_->hosts) active_[h.get()] = 9;
    active_[own] = 8;  // 13 for each: all have room
    EXPECT_EQ(b->pick(42, 0, 0), own);
  }
}

TEST_F(BalancerTest, WeightedLeastRequestHeedsTheBias) {
  config_.balance = ClusterConfig::Balance::kLeastRequest;
  hosts({{0, 2}, {0, 1}});
  active_[endpoints_->hosts[0].get()] = 3;
  EXPECT_EQ(shares(*make()), (V{33, 67}));  // 2/4 to 1/1
  config_.active_request_bias = 0;
  EXPECT_EQ(shares(*make()), (V{67, 33}));
}

TEST_F(BalancerTest, TheNextPriorityTakesWhatIsMissing) {
  hosts({{0}, {0, 1, HealthStatus::kUnhealthy}, {1}});
  EXPECT_EQ(shares(*make()), (V{70, 0, 30}));  // 140 % of one half
  EXPECT_EQ(panics_, 0u);
}

TEST_F(BalancerTest, DegradedHostsServeWhenHealthyOnesDoNotSuffice) {
  hosts({{0}, {0, 1, HealthStatus::kDegraded}});
  EXPECT_EQ(shares(*make()), (V{70, 30}));
  hosts({{0}, {0}, {0}, {0, 1, HealthStatus::kDegraded}});
  EXPECT_EQ(shares(*make())[3], 0);
}

TEST_F(BalancerTest, InPanicEverybodyServes) {
  hosts({{0}, {0, 1, HealthStatus::kUnhealthy}, {0, 1, HealthStatus::kUnhealthy}, {0, 1, HealthStatus::kUnhealthy}});
  EXPECT_EQ(shares(*make()), (V{25, 25, 25, 25}));
  EXPECT_EQ(panics_, 10'000u);
  config_.panic_percent = 0;
  EXPECT_EQ(shares(*make()), (V{100, 0, 0, 0}));
}

TEST_F(BalancerTest, WithoutPanicNobodyIsNobody) {
  config_.panic_percent = 0;
  hosts({{0, 1, HealthStatus::kUnhealthy}});
  EXPECT_EQ(make()->pick(std::nullopt, 1, 0), nullptr);
  config_.panic_percent = 50;
  EXPECT_NE(make()->pick(std::nullopt, 1, 0), nullptr);
  config_.panic_fails = true;
  EXPECT_EQ(make()->pick(std::nullopt, 1, 0), nullptr);
}

TEST_F(BalancerTest, LoadsAsEnvoyComputesThem) {
  auto loads = [](std::vector<PriorityHealth> levels) {
    std::string out;
    for (const PriorityLoad& l : priority_loads(levels, 140, 50)) out += std::to_string(l.healthy) + (l.panic ? "!" : "") + " ";
    return out;
  };
  // The examples of Envoy's documentation on priority levels.
  EXPECT_EQ(loads({{100, 100, 0}, {100, 100, 0}}), "100 0 ");
  EXPECT_EQ(loads({{100, 72, 0}, {100, 72, 0}}), "100 0 ");
  EXPECT_EQ(loads({{100, 71, 0}, {100, 71, 0}}), "99 1 ");
  EXPECT_EQ(loads({{100, 50, 0}, {100, 60, 0}}), "70 30 ");
  EXPECT_EQ(loads({{100, 50, 0}, {100, 0, 0}}), "100 0! ");
  EXPECT_EQ(loads({{100, 25, 0}, {100, 100, 0}}), "35 65 ");
  EXPECT_EQ(loads({{10, 0, 0}, {30, 0, 0}}), "25! 75! ");
}

TEST_F(BalancerTest, LocalitiesShareByWeightAndHealth) {
  config_.locality_weights = true;
  hosts({{0, 1, HealthStatus::kHealthy, 0}, {0, 1, HealthStatus::kHealthy, 1}, {0, 1, HealthStatus::kHealthy, 1}});
  localities({1, 3});
  V s = shares(*make());
  EXPECT_EQ(s[0], 25);
  EXPECT_NEAR(s[1] + s[2], 75, 1);
  // One of two out: 140 % of a half of its weight is left.
  endpoints_->entries[2].health = HealthStatus::kUnhealthy;
  endpoints_->adopt();
  EXPECT_EQ(shares(*make()), (V{32, 68, 0}));
}

TEST_F(BalancerTest, SlowStartGrowsWithAge) {
  config_.slow_start = std::chrono::seconds(100);
  hosts({{}, {}});
  auto since = [&](size_t i, int seconds_ago) { endpoints_->hosts[i]->serving_since_ns = (now_ - std::chrono::seconds(seconds_ago)).time_since_epoch().count(); };
  since(0, 1000);
  since(1, 50);
  EXPECT_EQ(shares(*make()), (V{67, 33}));
  since(1, 1);
  EXPECT_EQ(shares(*make()), (V{91, 9}));  // at least a tenth of its weight
  since(1, 100);
  EXPECT_EQ(shares(*make()), (V{50, 50}));
}

TEST_F(BalancerTest, HashingKeepsMostKeysWhenAHostGoes) {
  for (auto balance : {ClusterConfig::Balance::kRingHash, ClusterConfig::Balance::kMaglev}) {
    config_.balance = balance;
    hosts({{}, {}, {}, {}, {}});
    auto before = make();
    std::vector<Host*> had;
    for (uint64_t key = 0; key < 2000; ++key) had.push_back(before->pick(xxhash64(std::to_string(key)), 0, 0));
    Host* gone = endpoints_->hosts[2].get();
    auto fewer = std::make_shared<EndpointSet>(*endpoints_);
    fewer->hosts.erase(fewer->hosts.begin() + 2);
    fewer->entries.erase(fewer->entries.begin() + 2);
    auto all = endpoints_;
    endpoints_ = fewer;
    auto after = make();
    int moved = 0;
    for (uint64_t key = 0; key < 2000; ++key) {
      Host* now = after->pick(xxhash64(std::to_string(key)), 0, 0);
      if (had[key] != gone && now != had[key]) ++moved;
    }
    // A few others move too: the ring is filled up to its smallest size with more points for each, maglev evens out its
    // table. By chance, four of five would.
    EXPECT_LT(moved, 250);
  }
}

TEST_F(BalancerTest, HashingWeighsHosts) {
  config_.balance = ClusterConfig::Balance::kMaglev;
  hosts({{0, 1}, {0, 3}});
  V s = shares(*make(), 40'000);
  EXPECT_NEAR(s[0], 25, 1);
}

TEST_F(BalancerTest, HashingDoesNotDependOnTheOrderOfHosts) {
  config_.maglev_size = 251;
  for (auto balance : {ClusterConfig::Balance::kRingHash, ClusterConfig::Balance::kMaglev}) {
    config_.balance = balance;
    hosts({{0, 3}, {0, 3}, {0, 5}, {0, 4}});
    auto forwards = make();
    auto turned = std::make_shared<EndpointSet>(*endpoints_);
    std::ranges::reverse(turned->hosts);
    std::ranges::reverse(turned->entries);
    auto all = endpoints_;
    endpoints_ = turned;
    auto backwards = make();
    for (uint64_t key = 0; key < 2000; ++key) EXPECT_EQ(forwards->pick(key * 7919, 0, 0), backwards->pick(key * 7919, 0, 0)) << key;
  }
}

TEST_F(BalancerTest, AnotherTryOfAHashIsAnotherPlace) {
  config_.balance = ClusterConfig::Balance::kRingHash;
  hosts({{}, {}, {}});
  auto b = make();
  bool other = false;
  for (uint32_t attempt = 1; attempt < 20; ++attempt) other |= b->pick(42, 0, attempt) != b->pick(42, 0, 0);
  EXPECT_TRUE(other);
}

TEST(Hash, IsXxh64) {
  // From the algorithm's specification and reference implementation.
  EXPECT_EQ(xxhash64(""), 0xEF46DB3751D8E999ULL);
  EXPECT_EQ(xxhash64("a"), 0xD24EC4F1A98C6E5BULL);
  EXPECT_EQ(xxhash64("abc"), 0x44BC2CF5AD770999ULL);
  EXPECT_EQ(xxhash64("Call me Ishmael. Some years ago--never mind how long precisely-"), 0x02A2E85470D6FD96ULL);
}

}  // namespace
}  // namespace fairlead::proxy
