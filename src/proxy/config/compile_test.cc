#include "proxy/config/compile.h"

#include <gtest/gtest.h>

#include <limits>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace fairlead::proxy {
namespace {

using envoy::config::cluster::v3::Cluster;

class CompileTest : public ::testing::Test {
 protected:
  std::string refused(const Cluster& from) {
    auto made = compiler_.cluster(from, "1", nullptr);
    return made ? "" : made.error().text();
  }
  Cluster cluster() {
    Cluster c;
    c.set_name("c");
    return c;
  }
  ClusterNames names_;
  Compiler compiler_{names_};
};

TEST_F(CompileTest, DurationsThatCanNotBeAreRefusedByTheirPath) {
  for (auto [seconds, nanos] : {std::pair<int64_t, int32_t>{-1, 0}, {0, -1}, {0, 1'000'000'000}, {9'223'372'036, 0}, {std::numeric_limits<int64_t>::min(), 0}}) {
    Cluster c = cluster();
    c.mutable_connect_timeout()->set_seconds(seconds);
    c.mutable_connect_timeout()->set_nanos(nanos);
    EXPECT_TRUE(refused(c).starts_with("connect_timeout: ")) << refused(c);
  }
  envoy::config::route::v3::RouteConfiguration routes;
  auto* host = routes.add_virtual_hosts();
  host->set_name("h");
  host->add_domains("*");
  auto* route = host->add_routes();
  route->mutable_match()->set_prefix("/");
  route->mutable_route()->set_cluster("c");
  route->mutable_route()->mutable_timeout()->set_seconds(-1);
  auto made = compiler_.route(routes, "1");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().where, "virtual_hosts[0].routes[0].route.timeout");
}

TEST_F(CompileTest, ADurationInsideOfAnAnyIsRefusedByItsPath) {
  envoy::config::listener::v3::Listener listener;
  listener.set_name("l");
  listener.mutable_address()->mutable_socket_address()->set_address("127.0.0.1");
  listener.mutable_address()->mutable_socket_address()->set_port_value(1);
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp;
  tcp.set_stat_prefix("t");
  tcp.set_cluster("c");
  tcp.mutable_idle_timeout()->set_seconds(-5);
  auto* filter = listener.add_filter_chains()->add_filters();
  filter->set_name("tcp");
  filter->mutable_typed_config()->PackFrom(tcp);
  auto made = compiler_.listener(listener, "1");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().where, "filter_chains[0].filters[0].typed_config.idle_timeout");
}

TEST_F(CompileTest, LongDurationsAreTenYears) {
  Cluster c = cluster();
  c.mutable_connect_timeout()->set_seconds(9'223'372'035);
  auto made = compiler_.cluster(c, "1", nullptr);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ((*made)->connect_timeout, std::chrono::hours(10 * 365 * 24));
}

TEST_F(CompileTest, PortsThatAreNoneAreRefused) {
  Cluster c = cluster();
  auto* endpoint = c.mutable_load_assignment()->add_endpoints()->add_lb_endpoints()->mutable_endpoint();
  endpoint->mutable_address()->mutable_socket_address()->set_address("10.0.0.1");
  endpoint->mutable_address()->mutable_socket_address()->set_port_value(65535);
  EXPECT_EQ(refused(c), "");
  endpoint->mutable_health_check_config()->set_port_value(65536);
  EXPECT_EQ(refused(c), "load_assignment.endpoints[0].lb_endpoints[0].endpoint.health_check_config.port_value: 65536 is not a port, which is 65535 at most");
  for (auto type : {Cluster::STATIC, Cluster::STRICT_DNS}) {
    c.set_type(type);
    endpoint->mutable_address()->mutable_socket_address()->set_port_value(70000);
    EXPECT_EQ(refused(c), "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: 70000 is not a port, which is 65535 at most");
  }
}

TEST_F(CompileTest, SharesOutsideOfTheirBoundsAreRefused) {
  for (double value : {-1e19, -1.0, 100.5, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    Cluster panic = cluster();
    panic.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(value);
    EXPECT_TRUE(refused(panic).starts_with("common_lb_config.healthy_panic_threshold: ")) << refused(panic);
    Cluster ahead = cluster();
    ahead.mutable_preconnect_policy()->mutable_per_upstream_preconnect_ratio()->set_value(value);
    EXPECT_TRUE(refused(ahead).starts_with("preconnect_policy.per_upstream_preconnect_ratio: ")) << refused(ahead);
    Cluster budget = cluster();
    budget.mutable_circuit_breakers()->add_thresholds()->mutable_retry_budget()->mutable_budget_percent()->set_value(value);
    EXPECT_TRUE(refused(budget).starts_with("circuit_breakers.thresholds[0].retry_budget.budget_percent: ")) << refused(budget);
  }
}

}  // namespace
}  // namespace fairlead::proxy
