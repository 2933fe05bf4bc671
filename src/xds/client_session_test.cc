#include <gtest/gtest.h>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "google/rpc/status.pb.h"
#include "xds/client.h"

namespace fairlead::xds {
namespace {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

constexpr const char* kCds = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
constexpr const char* kEds = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

struct Sink final : ClientSink {
  base::Status on_update(const ReceivedUpdate& update) override {
    updates.push_back(update);
    if (refuse) return std::unexpected(base::Error{base::Code::kInvalidArgument, "not taken", "cluster a: lb_policy"});
    return {};
  }
  std::vector<ReceivedUpdate> updates;
  bool refuse = false;
};

template <class T>
T parse(const std::string& bytes) {
  T out;
  EXPECT_TRUE(out.ParseFromString(bytes));
  return out;
}

std::string clusters(const std::string& nonce, const std::string& version) {
  DeltaDiscoveryResponse r;
  r.set_type_url(kCds);
  r.set_nonce(nonce);
  auto* resource = r.add_resources();
  resource->set_name("a");
  resource->set_version(version);
  resource->mutable_resource()->set_type_url(kCds);
  return r.SerializeAsString();
}

TEST(ClientSession, SaysWhoItIsInTheFirstRequestOnly) {
  Sink sink;
  NodeIdentity node;
  node.id = "sidecar~1.2.3.4~a.b~b.svc";
  ClientSession s(node, true, sink);
  s.subscribe_all(kCds);
  s.stream_started();
  s.subscribe(kEds, {"x"});
  auto requests = s.take_requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(parse<DeltaDiscoveryRequest>(requests[0]).node().id(), node.id);
  EXPECT_EQ(parse<DeltaDiscoveryRequest>(requests[0]).resource_names_subscribe_size(), 0);
  EXPECT_FALSE(parse<DeltaDiscoveryRequest>(requests[1]).has_node());
  EXPECT_EQ(parse<DeltaDiscoveryRequest>(requests[1]).resource_names_subscribe(0), "x");
}

TEST(ClientSession, AcknowledgesBeforeItAsksForMore) {
  Sink sink;
  ClientSession s({}, true, sink);
  s.subscribe_all(kCds);
  s.stream_started();
  s.take_requests();
  ASSERT_TRUE(s.receive(clusters("n1", "1")));
  s.subscribe(kEds, {"x"});
  auto requests = s.take_requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(parse<DeltaDiscoveryRequest>(requests[0]).response_nonce(), "n1");
  EXPECT_FALSE(parse<DeltaDiscoveryRequest>(requests[0]).has_error_detail());
}

TEST(ClientSession, RefusesWithResourceAndFieldPath) {
  Sink sink;
  sink.refuse = true;
  ClientSession s({}, true, sink);
  s.subscribe_all(kCds);
  s.stream_started();
  s.take_requests();
  ASSERT_TRUE(s.receive(clusters("n1", "1")));
  auto nack = parse<DeltaDiscoveryRequest>(s.take_requests().at(0));
  EXPECT_EQ(nack.response_nonce(), "n1");
  EXPECT_EQ(nack.error_detail().message(), "cluster a: lb_policy: not taken");
  EXPECT_EQ(s.counters().at(kCds).rejected, 1u);
}

TEST(ClientSession, ResumesWithTheVersionsItHas) {
  Sink sink;
  ClientSession s({}, true, sink);
  s.subscribe_all(kCds);
  s.stream_started();
  ASSERT_TRUE(s.receive(clusters("n1", "7")));
  s.stream_ended();
  s.stream_started();
  auto first = parse<DeltaDiscoveryRequest>(s.take_requests().at(0));
  EXPECT_EQ(first.initial_resource_versions().at("a"), "7");
  EXPECT_TRUE(first.response_nonce().empty());
}

TEST(ClientSession, StateOfTheWorldRepeatsTheLastGoodVersionInARefusal) {
  Sink sink;
  ClientSession s({}, false, sink);
  s.subscribe_all(kCds);
  s.stream_started();
  s.take_requests();
  DiscoveryResponse r;
  r.set_type_url(kCds);
  r.set_nonce("n1");
  r.set_version_info("v1");
  ASSERT_TRUE(s.receive(r.SerializeAsString()));
  EXPECT_TRUE(sink.updates[0].complete);
  EXPECT_EQ(parse<DiscoveryRequest>(s.take_requests().at(0)).version_info(), "v1");
  sink.refuse = true;
  r.set_nonce("n2");
  r.set_version_info("v2");
  ASSERT_TRUE(s.receive(r.SerializeAsString()));
  auto nack = parse<DiscoveryRequest>(s.take_requests().at(0));
  EXPECT_EQ(nack.version_info(), "v1");
  EXPECT_EQ(nack.response_nonce(), "n2");
  EXPECT_TRUE(nack.has_error_detail());
}

}  // namespace
}  // namespace fairlead::xds
