#include "node/network/load_balancers.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace fairlead::node {
namespace {

// A host on which some addresses and ports are taken; its sockets are real ones of any port.
struct FakeHost final : HostSockets {
  explicit FakeHost(io::Loop& loop) : loop(loop) {}
  void listen_tcp(const io::Address& at, std::function<void(base::Result<io::Fd>)> done) override {
    asked.push_back(at.text());
    loop.post([this, at, done] {
      if (at.port() < lowest_port) return done(base::fail(base::Code::kPermissionDenied, "bind {}: Permission denied", at.text()));
      if (taken.contains(at.text())) return done(base::fail(base::Code::kUnavailable, "bind {}: Address already in use", at.text()));
      done(io::listen(*io::Address::parse_ip("127.0.0.1", 0)));
    });
  }
  io::Loop& loop;
  int lowest_port = 0;
  std::set<std::string> taken;
  std::vector<std::string> asked;
};

struct Balanced {
  io::Loop loop;
  FakeHost host{loop};
  LoadBalancers balancers{loop, host};
  std::vector<std::string> told;
  ServiceTable table;

  Balanced() {
    balancers.on_change([this](const std::string&, const std::string& name) { told.push_back(name + " " + balancers.address_of("ns", name)); });
  }
  ServiceEntry& service(const std::string& name, std::vector<uint16_t> ports) {
    ServiceEntry s;
    s.ns = "ns";
    s.name = name;
    s.type = "LoadBalancer";
    for (auto p : ports) s.ports.push_back({.name = "p" + std::to_string(p), .protocol = "TCP", .port = p, .node_port = 0, .endpoints = {}});
    table.services.push_back(s);
    return table.services.back();
  }
  void apply() {
    balancers.apply(std::make_shared<ServiceTable>(table));
    for (int i = 0; i < 200; ++i) loop.run_once(base::Nanos(0));
  }
};

TEST(LoadBalancers, ListenOnTheHostsLoopbackWithAllPorts) {
  Balanced b;
  b.service("gate", {80, 443});
  b.apply();
  EXPECT_EQ(b.told, std::vector<std::string>{"gate 127.0.0.1"});
  EXPECT_EQ(b.host.asked, (std::vector<std::string>{"127.0.0.1:80", "127.0.0.1:443"}));
}

TEST(LoadBalancers, TakeAnAddressOfTheirOwnWhereOnePortIsTaken) {
  Balanced b;
  b.host.taken = {"127.0.0.1:443", "127.0.2.1:80"};
  b.service("gate", {80, 443});
  b.apply();
  EXPECT_EQ(b.balancers.address_of("ns", "gate"), "127.0.2.2");
  EXPECT_EQ(b.told.size(), 1u);
}

TEST(LoadBalancers, KeepTheAddressThatTheyHadAndTakeNewPortsThere) {
  Balanced b;
  auto& gate = b.service("gate", {80});
  gate.balancer_ips = {"127.0.2.7"};
  b.apply();
  EXPECT_EQ(b.balancers.address_of("ns", "gate"), "127.0.2.7");
  b.table.services[0].ports.push_back({.name = "more", .protocol = "TCP", .port = 81, .node_port = 0, .endpoints = {}});
  b.apply();
  EXPECT_EQ(b.host.asked, (std::vector<std::string>{"127.0.2.7:80", "127.0.2.7:81"}));
  EXPECT_EQ(b.told.size(), 1u);
}

TEST(LoadBalancers, AnAddressThatIsNotTheHostsLoopbackIsNeverOpened) {
  Balanced b;
  b.service("gate", {80}).balancer_ips = {"192.0.2.1", "0.0.0.0"};
  b.apply();
  EXPECT_EQ(b.host.asked, std::vector<std::string>{"127.0.0.1:80"});
}

TEST(LoadBalancers, WithoutRootLowPortsLeaveTheServicePendingWithTheReason) {
  Balanced b;
  b.host.lowest_port = 1024;
  b.service("gate", {15021, 80});
  b.service("web", {8080});
  b.apply();
  EXPECT_EQ(b.balancers.address_of("ns", "gate"), "");
  EXPECT_NE(b.balancers.problem_of("ns", "gate").find("node ports"), std::string::npos);
  EXPECT_EQ(b.balancers.address_of("ns", "web"), "127.0.0.1");
  EXPECT_EQ(b.host.asked.size(), 3u);  // no other address would do
}

TEST(LoadBalancers, NoFreeAddressIsSaidOnceAllWereTried) {
  Balanced b;
  b.host.taken.insert("127.0.0.1:80");
  for (int i = 1; i <= LoadBalancers::kMoreAddresses; ++i) b.host.taken.insert(fmt::format("127.0.2.{}:80", i));
  b.service("gate", {80});
  b.apply();
  EXPECT_EQ(b.balancers.address_of("ns", "gate"), "");
  EXPECT_NE(b.balancers.problem_of("ns", "gate").find("already in use"), std::string::npos);
  EXPECT_EQ(b.told.size(), 1u);
}

TEST(LoadBalancers, AServiceThatGoesFreesItsAddress) {
  Balanced b;
  b.service("a", {80});
  b.apply();
  b.table.services.clear();
  b.apply();
  EXPECT_EQ(b.balancers.address_of("ns", "a"), "");
}

}  // namespace
}  // namespace fairlead::node
