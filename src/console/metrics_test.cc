#include "console/metrics.h"

#include <gtest/gtest.h>

#include "console/temporary_folder.h"

namespace fairlead::console {
namespace {

class MetricsTest : public ::testing::Test {
 protected:
  std::int64_t now_ = 7'200'000;
  TemporaryFolder folder_;
  std::unique_ptr<Metrics> metrics_ = make({});

  std::unique_ptr<Metrics> make(Metrics::Limits limits) {
    return *Metrics::open(folder_.path() + "/metrics.db", [this] { return now_; }, limits);
  }
  void flush() {
    metrics_->flush();
    metrics_->settle();
  }
  void flush_all() {
    for (int i = 0; i < 10; ++i) flush();
  }
};

TEST_F(MetricsTest, MachinesAddUpAlsoWhenOneIsLate) {
  metrics_->add("shop", "buy", 7'000'000, {.pass = 3, .block = 1, .success = 3, .exception = 0, .rt_ms = 30});
  flush();
  metrics_->add("shop", "buy", 7'000'500, {.pass = 5, .block = 0, .success = 5, .exception = 2, .rt_ms = 10});
  flush();
  const auto series = metrics_->series("shop", "buy", 6'999'000, 7'002'000, 1);
  ASSERT_EQ(series.size(), 1u);
  EXPECT_EQ(series[0].time_ms, 7'000'000);
  EXPECT_EQ(series[0].sums.pass, 8);
  EXPECT_EQ(series[0].sums.exception, 2);
  EXPECT_DOUBLE_EQ(series[0].sums.average_rt(), 5);
}

TEST_F(MetricsTest, MinutesAndHoursAreKeptTooAndSurviveARestart) {
  for (int second = 0; second < 120; ++second) metrics_->add("shop", "buy", 7'080'000 + second * 1000, {.pass = 1});
  flush_all();
  metrics_.reset();
  metrics_ = make({});
  EXPECT_EQ(metrics_->series("shop", "buy", 0, 8'000'000, 60).size(), 2u);
  EXPECT_EQ(metrics_->series("shop", "buy", 0, 8'000'000, 60)[0].sums.pass, 60);
  EXPECT_EQ(metrics_->series("shop", "buy", 0, 8'000'000, 3600)[0].sums.pass, 120);
  EXPECT_TRUE(metrics_->knows("shop", "buy"));
  EXPECT_FALSE(metrics_->knows("shop", "sell"));
}

TEST_F(MetricsTest, ATotalLeavesOutTheInboundSum) {
  metrics_->add("shop", "buy", 7'000'000, {.pass = 3});
  metrics_->add("shop", "sell", 7'000'000, {.pass = 4});
  metrics_->add("shop", std::string(Metrics::kTotalInbound), 7'000'000, {.pass = 7});
  metrics_->add("bank", "buy", 7'000'000, {.pass = 50});
  flush();
  EXPECT_EQ(metrics_->series("shop", "", 0, 8'000'000, 1)[0].sums.pass, 7);
  const auto top = metrics_->top("shop", 6'900'000, 7'100'000, "", 10);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].first, "sell");
  EXPECT_EQ(metrics_->top("shop", 6'900'000, 7'100'000, "bu", 10).size(), 1u);
}

TEST_F(MetricsTest, AreBoundedByAgeAndByRows) {
  metrics_.reset();
  metrics_ = make({.rows = {100, 100, 100}});
  for (int second = 0; second < 150; ++second) metrics_->add("shop", "buy", 7'000'000 + second * 1000, {.pass = 1});
  flush();
  metrics_->prune();
  metrics_->settle();
  const auto left = metrics_->series("shop", "buy", 0, 9'000'000, 1);
  EXPECT_LE(left.size(), 100u);
  EXPECT_GE(left.size(), 80u);
  EXPECT_EQ(left.back().time_ms, 7'149'000);
  now_ += 3'600'000 + 1;
  metrics_->prune();
  metrics_->settle();
  EXPECT_TRUE(metrics_->series("shop", "buy", 0, 20'000'000, 1).empty());
}

TEST_F(MetricsTest, TooManyResourcesAreCountedTogether) {
  for (std::size_t i = 0; i < Metrics::kMaxResourcesPerApp + 5; ++i) metrics_->add("shop", "r" + std::to_string(i), 7'000'000, {.pass = 1});
  flush();
  EXPECT_EQ(metrics_->overflow(), 5u);
  EXPECT_EQ(metrics_->series("shop", std::string(Metrics::kOthers), 0, 8'000'000, 1)[0].sums.pass, 5);
}

TEST_F(MetricsTest, AnAppCanBeForgotten) {
  metrics_->add("shop", "buy", 7'000'000, {.pass = 3});
  metrics_->forget("shop");
  flush_all();
  EXPECT_TRUE(metrics_->apps().empty());
  metrics_->add("shop", "buy", 7'001'000, {.pass = 2});
  flush();
  EXPECT_EQ(metrics_->series("shop", "", 0, 8'000'000, 1).size(), 1u);
}

}  // namespace
}  // namespace fairlead::console
