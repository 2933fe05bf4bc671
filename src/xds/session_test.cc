#include <gtest/gtest.h>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/server.h"

namespace fairlead::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;

struct World final : Delegate {
  std::map<std::string, ResourceMap, std::less<>> resources;  // by type
  int number = 1;
  std::string log;
  base::Status on_connect(SessionId, const Node&, const io::Address&, const std::string&) override { return {}; }
  ResourceMap generate(SessionId, std::string_view type, const std::set<std::string>* names) override {
    ResourceMap out;
    for (const auto& [name, r] : resources[std::string(type)])
      if (!names || names->contains(name)) out.emplace(name, r);
    return out;
  }
  std::string version() const override { return std::to_string(number); }
  void on_ack(SessionId, std::string_view type, std::string_view v) override { log += std::string(short_type(type)) + " ack " + std::string(v) + "\n"; }
  void on_nack(SessionId, std::string_view type, std::string_view v, std::string_view m) override {
    log += std::string(short_type(type)) + " nack " + std::string(v) + " " + std::string(m) + "\n";
  }
  void on_disconnect(SessionId) override {}
  void put(std::string_view type, const std::string& name, const std::string& version) {
    resources[std::string(type)][name] = {std::make_shared<std::string>(name + "@" + version), version};
    ++number;
  }
  void drop(std::string_view type, const std::string& name) {
    resources[std::string(type)].erase(name);
    ++number;
  }
};

struct Delta : testing::Test {
  World world;
  std::vector<discovery::DeltaDiscoveryResponse> got;
  Session session{1, world, [this](std::string bytes) { got.emplace_back().ParseFromString(bytes); }};

  discovery::DeltaDiscoveryRequest request(std::string_view type, std::vector<std::string> names = {}) {
    discovery::DeltaDiscoveryRequest r;
    r.set_type_url(std::string(type));
    for (auto& n : names) r.add_resource_names_subscribe(n);
    return r;
  }
  // "CDS a b -c": names sent, and removed ones.
  std::string take() {
    std::string out;
    for (const auto& r : got) {
      out += (out.empty() ? "" : "; ") + std::string(short_type(r.type_url()));
      for (const auto& x : r.resources()) out += " " + x.name();
      for (const auto& x : r.removed_resources()) out += " -" + x;
    }
    got.clear();
    return out;
  }
  void ack(const discovery::DeltaDiscoveryResponse& response) {
    auto r = request(response.type_url());
    r.set_response_nonce(response.nonce());
    session.on_request(r);
  }
};

TEST_F(Delta, WildcardGetsEverythingThenOnlyWhatChanged) {
  world.put(kClusterType, "a", "1");
  world.put(kClusterType, "b", "1");
  session.on_request(request(kClusterType));
  EXPECT_EQ(take(), "CDS a b");
  session.push();
  EXPECT_EQ(take(), "");
  world.put(kClusterType, "b", "2");
  world.put(kClusterType, "c", "1");
  world.drop(kClusterType, "a");
  session.push();
  EXPECT_EQ(take(), "CDS b c; CDS -a");
}

TEST_F(Delta, AnEmptyWorldIsAnsweredOnce) {
  session.on_request(request(kListenerType));
  EXPECT_EQ(take(), "LDS");
  session.push();
  EXPECT_EQ(take(), "");
}

TEST_F(Delta, NamesThatAreNotThereAreSaidToBeMissing) {
  world.put(kRouteType, "80", "1");
  session.on_request(request(kRouteType, {"80", "81"}));
  EXPECT_EQ(take(), "RDS 80 -81");
  world.put(kRouteType, "81", "1");
  session.push();
  EXPECT_EQ(take(), "RDS 81");
}

TEST_F(Delta, AProxyThatComesBackGetsOnlyWhatItLacks) {
  world.put(kClusterType, "a", "1");
  world.put(kClusterType, "b", "2");
  auto r = request(kClusterType);
  (*r.mutable_initial_resource_versions())["a"] = "1";
  (*r.mutable_initial_resource_versions())["b"] = "1";
  (*r.mutable_initial_resource_versions())["gone"] = "1";
  session.on_request(r);
  EXPECT_EQ(take(), "CDS b -gone");
}

TEST_F(Delta, ChangedClustersGetTheirEndpointsAgain) {
  world.put(kClusterType, "a", "1");
  world.put(kEndpointType, "a", "1");
  session.on_request(request(kClusterType));
  session.on_request(request(kEndpointType, {"a"}));
  EXPECT_EQ(take(), "CDS a; EDS a");
  world.put(kClusterType, "a", "2");
  session.push();
  EXPECT_EQ(take(), "CDS a; EDS a");
}

TEST_F(Delta, PushesInAnOrderThatNeverRefersToWhatIsMissing) {
  for (std::string_view type : {kRouteType, kListenerType, kEndpointType, kClusterType}) session.on_request(request(type, {"x"}));
  take();
  for (std::string_view type : {kRouteType, kListenerType, kEndpointType, kClusterType}) world.put(type, "x", "1");
  session.push();
  EXPECT_EQ(take(), "CDS x; EDS x; LDS x; RDS x");
}

TEST_F(Delta, RemovesAClusterAfterTheRoutesThatLedToIt) {
  world.put(kClusterType, "v1", "1");
  world.put(kClusterType, "v2", "1");
  world.put(kRouteType, "r", "to v2");
  session.on_request(request(kClusterType));
  session.on_request(request(kRouteType, {"r"}));
  take();
  world.drop(kClusterType, "v2");
  world.put(kRouteType, "r", "to v1");
  session.push();
  EXPECT_EQ(take(), "RDS r; CDS -v2");
}

TEST_F(Delta, UnsubscribedNamesAreForgotten) {
  world.put(kEndpointType, "a", "1");
  session.on_request(request(kEndpointType, {"a"}));
  take();
  auto r = request(kEndpointType);
  r.add_resource_names_unsubscribe("a");
  session.on_request(r);
  world.put(kEndpointType, "a", "2");
  session.push();
  EXPECT_EQ(take(), "");
  session.on_request(request(kEndpointType, {"a"}));
  EXPECT_EQ(take(), "EDS a");
}

TEST_F(Delta, BooksAcksAndNacks) {
  world.put(kClusterType, "a", "1");
  session.on_request(request(kClusterType));
  ack(got[0]);
  EXPECT_EQ(world.log, "CDS ack 2\n");
  EXPECT_TRUE(session.status().find(kClusterType)->second.synced());
  world.put(kClusterType, "a", "2");
  session.push();
  auto r = request(kClusterType);
  r.set_response_nonce(got[1].nonce());
  r.mutable_error_detail()->set_message("a: no");
  session.on_request(r);
  EXPECT_EQ(world.log, "CDS ack 2\nCDS nack 3 a: no\n");
  EXPECT_FALSE(session.status().find(kClusterType)->second.synced());
  EXPECT_EQ(session.status().find(kClusterType)->second.nack_message, "a: no");
}

struct Sotw : testing::Test {
  World world;
  std::vector<discovery::DiscoveryResponse> got;
  Session session{1, world, [this](std::string bytes) { got.emplace_back().ParseFromString(bytes); }};
  discovery::DiscoveryRequest request(std::string_view type, std::vector<std::string> names = {}, std::string nonce = "") {
    discovery::DiscoveryRequest r;
    r.set_type_url(std::string(type));
    r.set_response_nonce(nonce);
    for (auto& n : names) r.add_resource_names(n);
    return r;
  }
};

TEST_F(Sotw, SendsTheWholeSetOnEachChange) {
  world.put(kClusterType, "a", "1");
  session.on_request(request(kClusterType));
  ASSERT_EQ(got.size(), 1u);
  session.on_request(request(kClusterType, {}, got[0].nonce()));
  EXPECT_EQ(got.size(), 1u) << "an ACK is not a question";
  world.put(kClusterType, "b", "1");
  session.push();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[1].resources_size(), 2);
}

TEST_F(Sotw, AnswersANewSetOfNamesAndIgnoresStaleNonces) {
  world.put(kEndpointType, "a", "1");
  world.put(kEndpointType, "b", "1");
  session.on_request(request(kEndpointType, {"a"}));
  session.on_request(request(kEndpointType, {"a", "b"}, got[0].nonce()));
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[1].resources_size(), 2);
  session.on_request(request(kEndpointType, {"a"}, got[0].nonce()));
  EXPECT_EQ(got.size(), 2u);
}

}  // namespace
}  // namespace fairlead::xds
