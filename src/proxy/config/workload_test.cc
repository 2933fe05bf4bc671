#include "proxy/config/workload.h"

#include <gtest/gtest.h>

#include "proxy/filters/wire.h"

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

TEST(WireReader, StopsAtWhatIsCutOff) {
  // field 2: "ab"; field 6: 1; field 8 says five bytes and has one.
  WireReader wire(std::string_view("\x12\x02" "ab\x30\x01\x42\x05x", 9));
  ASSERT_TRUE(wire.next());
  EXPECT_EQ(wire.field(), 2u);
  EXPECT_EQ(wire.bytes(), "ab");
  ASSERT_TRUE(wire.next());
  EXPECT_EQ(wire.field(), 6u);
  EXPECT_EQ(wire.number(), 1u);
  EXPECT_FALSE(wire.next());
}

}  // namespace
}  // namespace fairlead::proxy
