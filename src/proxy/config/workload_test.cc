#include "proxy/config/workload.h"

#include <gtest/gtest.h>


namespace fairlead::proxy {
namespace {

TEST(Workload, IsTheSameOnTheOtherSideOfAHeader) {
  auto metadata = base::parse_json(R"({"NAME":"a-1","NAMESPACE":"default","WORKLOAD_NAME":"a","CLUSTER_ID":"Kubernetes",
    "LABELS":{"app":"a","version":"v1","service.istio.io/canonical-name":"a","service.istio.io/canonical-revision":"v1","other":"x"}})");
  Workload here = Workload::from_metadata(*metadata);
  auto there = Workload::from_header(here.to_header());
  ASSERT_TRUE(there);
  EXPECT_EQ(there->name, "a");
  EXPECT_EQ(there->ns, "default");
  EXPECT_EQ(there->app, "a");
  EXPECT_EQ(there->version, "v1");
  EXPECT_EQ(there->canonical_revision, "v1");
  EXPECT_EQ(there->cluster, "Kubernetes");
}

TEST(Workload, OfWhatIsNoHeaderIsNothing) {
  EXPECT_FALSE(Workload::from_header("not base64!"));
  EXPECT_FALSE(Workload::from_endpoint("a;b;c"));
}

TEST(Workload, OfAnEndpointHasFiveParts) {
  auto w = Workload::from_endpoint("reviews-v1;default;reviews;v1;Kubernetes");
  ASSERT_TRUE(w);
  EXPECT_EQ(w->name, "reviews-v1");
  EXPECT_EQ(w->canonical_name, "reviews");
  EXPECT_EQ(w->cluster, "Kubernetes");
}

}  // namespace
}  // namespace fairlead::proxy
