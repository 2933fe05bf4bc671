#include "proxy/upstream/outlier.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

std::vector<OutlierSample> hosts(std::initializer_list<std::pair<uint64_t, uint64_t>> ok_of_total) {
  std::vector<OutlierSample> out;
  for (auto [ok, total] : ok_of_total) out.push_back({std::make_shared<Host>(), ok, total, 0, 0});
  return out;
}

TEST(Outlier, EjectsWhoseSuccessRateFallsFarUnderTheMean) {
  OutlierConfig c;
  auto samples = hosts({{100, 100}, {100, 100}, {99, 100}, {100, 100}, {100, 100}, {50, 100}});
  auto out = find_outliers(c, samples);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].first, samples[5].host);
  EXPECT_EQ(out[0].second, Ejection::kSuccessRate);
  EXPECT_EQ(samples[5].host->success_percent.load(), 50);
}

TEST(Outlier, TooFewHostsOrRequestsSayNothing) {
  OutlierConfig c;
  c.failure_volume = 100;
  EXPECT_TRUE(find_outliers(c, hosts({{100, 100}, {100, 100}, {100, 100}, {0, 100}})).empty());
  EXPECT_TRUE(find_outliers(c, hosts({{99, 99}, {99, 99}, {99, 99}, {99, 99}, {99, 99}, {0, 99}})).empty());
}

TEST(Outlier, FailurePercentageNeedsNoComparison) {
  OutlierConfig c;
  c.failure_hosts = 1;
  auto out = find_outliers(c, hosts({{15, 100}, {16, 100}}));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].second, Ejection::kFailurePercentage);
}

TEST(Outlier, LocalErrorsCountApartOnlyWhenSplit) {
  OutlierConfig c;
  c.failure_hosts = 1;
  auto samples = hosts({{100, 100}});
  samples[0].local_total = 100;
  EXPECT_TRUE(find_outliers(c, samples).empty());
  c.split_local = true;
  auto out = find_outliers(c, samples);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].second, Ejection::kLocalFailurePercentage);
}

TEST(Outlier, NoMoreThanTheShareIsEjected) {
  OutlierConfig c;
  EXPECT_FALSE(may_eject(c, 0, 9));
  EXPECT_TRUE(may_eject(c, 0, 10));
  EXPECT_FALSE(may_eject(c, 1, 10));
  c.always_eject_one = true;
  EXPECT_TRUE(may_eject(c, 0, 2));
  EXPECT_FALSE(may_eject(c, 1, 2));
  c.max_ejection_percent = 100;
  EXPECT_TRUE(may_eject(c, 1, 2));
}

TEST(Outlier, EjectionsInARowLastLongerUpToTheMaximum) {
  OutlierConfig c;
  EXPECT_EQ(ejection_time(c, 1, 0), std::chrono::seconds(30));
  EXPECT_EQ(ejection_time(c, 3, 0), std::chrono::seconds(90));
  EXPECT_EQ(ejection_time(c, 100, 0), std::chrono::seconds(300));
  c.max_ejection_jitter = std::chrono::seconds(2);
  EXPECT_EQ(ejection_time(c, 1, 1'000'000'001), std::chrono::seconds(31) + std::chrono::nanoseconds(1));
}

}  // namespace
}  // namespace fairlead::proxy
