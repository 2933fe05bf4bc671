#include "proxy/discovery_streams.h"

#include <gtest/gtest.h>

#include "io/loop.h"
#include "xds/server.h"

namespace fairlead::proxy {
namespace {

// A server of ours on the loopback, in the same loop: what was asked for by each stream, and what came of it.
struct World final : xds::Delegate {
  explicit World(io::Loop& loop) : ads(loop, *this), http(loop, {}, ads.handler()) { at = *http.listen(*io::Address::parse("127.0.0.1:0")); }
  base::Status on_connect(xds::SessionId, const xds::Node& node, const io::Address&, const std::string&) override {
    ++streams;
    nodes.insert(node.id);
    return {};
  }
  xds::ResourceMap generate(xds::SessionId id, std::string_view type, const std::set<std::string>* names) override {
    asked[id].insert(std::string(xds::short_type(type)));
    xds::ResourceMap out;
    for (const auto& [name, r] : resources[std::string(type)])
      if (!names || names->contains(name)) out.emplace(name, r);
    return out;
  }
  std::string version() const override { return std::to_string(number); }
  void on_ack(xds::SessionId, std::string_view type, std::string_view) override { log += std::string(xds::short_type(type)) + " ack "; }
  void on_nack(xds::SessionId, std::string_view type, std::string_view, std::string_view why) override {
    log += std::string(xds::short_type(type)) + " nack(" + std::string(why) + ") ";
  }
  void on_disconnect(xds::SessionId id) override {
    --streams;
    asked.erase(id);
  }
  // The first field of every type in use is its name.
  void put(std::string_view type, const std::string& name) {
    std::string bytes{'\n', static_cast<char>(name.size())};
    resources[std::string(type)][name] = {std::make_shared<std::string>(bytes + name), std::to_string(++number)};
  }

  xds::AdsServer ads;
  http::Server http;
  io::Address at;
  std::map<std::string, xds::ResourceMap, std::less<>> resources;
  std::map<xds::SessionId, std::set<std::string>> asked;
  std::set<std::string> nodes;
  std::string log;
  int number = 1, streams = 0;
};

struct DiscoveryStreamsTest : testing::TestWithParam<bool> {
  io::Loop loop;
  std::map<std::string, World*> servers;   // by cluster
  std::string taken;                       // "where name..."
  base::Status verdict;
  DiscoveryStreams streams{loop,
                           [this](const DiscoverySource& from) -> std::optional<xds::AdsOptions> {
                             if (!servers.contains(from.where)) return std::nullopt;
                             xds::AdsOptions o;
                             o.host = "127.0.0.1";
                             o.port = servers[from.where]->at.port();
                             o.delta = from.delta;
                             o.node.id = "n";
                             o.backoff_base = o.backoff_max = std::chrono::milliseconds(1);
                             return o;
                           },
                           [this](const DiscoverySource& from, const xds::ReceivedUpdate& update) {
                             if (!verdict) return verdict;
                             taken += from.where + ":";
                             for (const auto& r : update.changed) taken += " " + r.name;
                             taken += "; ";
                             return base::Status();
                           }};

  DiscoverySource source(const std::string& cluster) {
    DiscoverySource s;
    s.from = DiscoverySource::From::kCluster;
    s.where = cluster;
    s.delta = GetParam();
    return s;
  }
  bool until(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) loop.run_once(std::chrono::milliseconds(1));
    return condition();
  }
};

TEST_P(DiscoveryStreamsTest, EachTypeAndSourceHasAStreamOfItsOwn) {
  World one(loop), two(loop);
  servers = {{"one", &one}, {"two", &two}};
  one.put(xds::kClusterType, "c");
  one.put(xds::kRouteType, "r");
  one.put(xds::kRouteType, "other");
  two.put(xds::kRouteType, "s");
  EXPECT_TRUE(streams.subscribe_all(xds::kClusterType, source("one")));
  EXPECT_TRUE(streams.subscribe(xds::kRouteType, {{source("one"), {"r"}}, {source("two"), {"s"}}}).empty());
  ASSERT_TRUE(until([&] { return one.log == "CDS ack RDS ack " || one.log == "RDS ack CDS ack "; })) << one.log;
  ASSERT_TRUE(until([&] { return two.log == "RDS ack "; })) << two.log;
  EXPECT_NE(taken.find("one: c; "), std::string::npos) << taken;
  EXPECT_NE(taken.find("one: r; "), std::string::npos) << taken;
  EXPECT_NE(taken.find("two: s; "), std::string::npos) << taken;
  EXPECT_EQ(one.streams, 2);
  for (auto& [id, types] : one.asked) EXPECT_EQ(types.size(), 1u);
  EXPECT_EQ(one.nodes, std::set<std::string>{"n"});
  EXPECT_EQ(streams.state(xds::kRouteType).connected, 2u);
}

TEST_P(DiscoveryStreamsTest, AStreamThatNothingIsWantedOfEnds) {
  World one(loop);
  servers = {{"one", &one}};
  one.put(xds::kRouteType, "r");
  streams.subscribe(xds::kRouteType, {{source("one"), {"r"}}});
  ASSERT_TRUE(until([&] { return one.streams == 1 && !taken.empty(); }));
  streams.subscribe(xds::kEndpointType, {});  // another type's
  EXPECT_EQ(streams.state(xds::kRouteType).streams, 1u);
  streams.subscribe(xds::kRouteType, {});
  ASSERT_TRUE(until([&] { return one.streams == 0; }));
  EXPECT_EQ(streams.state(xds::kRouteType).streams, 0u);
}

TEST_P(DiscoveryStreamsTest, WhatIsRefusedIsToldToItsOwnServerAlone) {
  World one(loop), two(loop);
  servers = {{"one", &one}, {"two", &two}};
  one.put(xds::kRouteType, "r");
  two.put(xds::kRouteType, "s");
  streams.subscribe(xds::kRouteType, {{source("one"), {"r"}}});
  ASSERT_TRUE(until([&] { return one.log == "RDS ack "; }));
  verdict = base::fail(base::Code::kInvalidArgument, "not so");
  streams.subscribe(xds::kRouteType, {{source("one"), {"r"}}, {source("two"), {"s"}}});
  ASSERT_TRUE(until([&] { return !two.log.empty(); }));
  EXPECT_EQ(two.log.substr(0, 9), "RDS nack(");
  EXPECT_NE(two.log.find("not so"), std::string::npos);
  EXPECT_EQ(one.log, "RDS ack ");
}

TEST_P(DiscoveryStreamsTest, EachComesBackAfterItsServerWasAway) {
  auto one = std::make_unique<World>(loop);
  World two(loop);
  servers = {{"one", one.get()}, {"two", &two}};
  one->put(xds::kRouteType, "r");
  two.put(xds::kRouteType, "s");
  streams.subscribe(xds::kRouteType, {{source("one"), {"r"}}, {source("two"), {"s"}}});
  ASSERT_TRUE(until([&] { return taken == "one: r; two: s; " || taken == "two: s; one: r; "; })) << taken;
  io::Address at = one->at;
  one.reset();
  ASSERT_TRUE(until([&] { return streams.state(xds::kRouteType).connected == 1; }));
  taken.clear();
  World again(loop);
  ASSERT_TRUE(again.http.listen(at));
  again.put(xds::kRouteType, "x");
  again.put(xds::kRouteType, "r");
  ASSERT_TRUE(until([&] { return taken == "one: r; "; })) << taken;
  EXPECT_EQ(two.streams, 1);
}

TEST_P(DiscoveryStreamsTest, AClusterThatIsNotKnownIsNamed) {
  EXPECT_FALSE(streams.subscribe_all(xds::kClusterType, source("none")));
  auto unknown = streams.subscribe(xds::kRouteType, {{source("none"), {"r"}}});
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown.begin()->where, "none");
}

INSTANTIATE_TEST_SUITE_P(Protocols, DiscoveryStreamsTest, testing::Bool(), [](const auto& p) { return p.param ? "Delta" : "StateOfTheWorld"; });

}  // namespace
}  // namespace fairlead::proxy
