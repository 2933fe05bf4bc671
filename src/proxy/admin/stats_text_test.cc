#include "proxy/admin/stats_text.h"

#include <gtest/gtest.h>

#include "base/value.h"

namespace fairlead::proxy {
namespace {

StatsSnapshot some() {
  StatsSnapshot s;
  s.counters["cluster.outbound|80||a.default.svc;.upstream_rq_total"] = 3;
  s.counters["cluster.outbound|80||a.default.svc;.upstream_rq_503"] = 1;
  s.counters["cluster.outbound|80||a.default.svc;.upstream_rq_5xx"] = 1;
  s.counters["cluster.x.upstream_rq_total"] = 0;
  s.gauges["cluster.x.circuit_breakers.default.rq_open"] = 1;
  s.gauges["listener.0.0.0.0_15006.worker_1.downstream_cx_active"] = 2;
  s.counters["http.inbound_0.0.0.0_80.downstream_rq_2xx"] = 5;
  s.counters["server.worker_0.watchdog_miss"] = 0;
  s.counters["cluster.z.grpc.a.b.Service.Call.success"] = 4;
  s.counters["cluster.z.grpc.total"] = 6;
  s.histograms["cluster.x.upstream_rq_time"].record(3);
  s.histograms["cluster.y.upstream_rq_time"];
  return s;
}

StatsQuery query(std::string_view text) {
  auto q = StatsQuery::parse(text);
  EXPECT_TRUE(q) << q.error().message;
  return q.value_or(StatsQuery{});
}

TEST(StatsText, PrintsNumbersByNameAndThenHistograms) {
  EXPECT_EQ(stats_text(some(), query("filter=cluster.x")),
            "cluster.x.circuit_breakers.default.rq_open: 1\n"
            "cluster.x.upstream_rq_total: 0\n"
            "cluster.x.upstream_rq_time: P0(nan,1) P25(nan,2) P50(nan,3) P75(nan,4) P90(nan,4.6) P95(nan,4.8) P99(nan,4.96) P99.5(nan,4.98) P99.9(nan,4.996) P100(nan,5)\n");
  EXPECT_NE(stats_text(some(), query("filter=cluster.y")).find("cluster.y.upstream_rq_time: No recorded values\n"), std::string::npos);
}

TEST(StatsText, PrintsTextsFirst) {
  StatsSnapshot s = some();
  s.texts["cluster.x.version_text"] = "a \"b\"";
  s.texts["cluster.y.version_text"] = "";
  EXPECT_TRUE(stats_text(s, {}).starts_with("cluster.x.version_text: \"a \\\"b\\\"\"\ncluster.y.version_text: \"\"\n"));
  EXPECT_EQ(stats_text(s, query("type=TextReadouts&usedonly")), "cluster.x.version_text: \"a \\\"b\\\"\"\n");
  EXPECT_EQ(stats_text(s, query("type=Counters")).find("version_text"), std::string::npos);
  EXPECT_EQ(stats_json(s, query("type=TextReadouts&usedonly")), R"({"stats":[{"name":"cluster.x.version_text","value":"a \"b\""}]})");
  EXPECT_EQ(stats_prometheus(s, {}).find("version_text"), std::string::npos);
}

TEST(StatsText, TakesTheQueryOfEnvoysPage) {
  EXPECT_EQ(stats_text(some(), query("usedonly&filter=cluster.x&type=Gauges")), "cluster.x.circuit_breakers.default.rq_open: 1\n");
  EXPECT_EQ(stats_text(some(), query("usedonly&type=Counters&filter=cluster&invert_filter")), "http.inbound_0.0.0.0_80.downstream_rq_2xx: 5\n");
  EXPECT_EQ(StatsQuery::parse("filter=[").error().message, "Invalid re2 regex: missing ]: [");
  EXPECT_FALSE(StatsQuery::parse("type=Bytes"));
}

TEST(StatsText, TurnsNamesIntoFamiliesWithTags) {
  std::string text = stats_prometheus(some(), {});
  for (const char* line : {"envoy_cluster_upstream_rq_total{cluster_name=\"outbound|80||a.default.svc\"} 3\n",
                           "envoy_cluster_upstream_rq{response_code=\"503\",cluster_name=\"outbound|80||a.default.svc\"} 1\n",
                           "envoy_cluster_upstream_rq{response_code_class=\"5xx\",cluster_name=\"outbound|80||a.default.svc\"} 1\n",
                           "envoy_cluster_circuit_breakers_default_rq_open{envoy_cluster_name=\"x\"} 1\n",
                           "envoy_listener_worker_downstream_cx_active{envoy_worker_id=\"1\",envoy_listener_address=\"0.0.0.0_15006\"} 2\n",
                           "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"inbound_0.0.0.0_80\"} 5\n",
                           "envoy_cluster_grpc_success{envoy_grpc_bridge_method=\"Call\",envoy_grpc_bridge_service=\"a.b.Service\",envoy_cluster_name=\"z\"} 4\n",
                           "envoy_cluster_grpc_total{envoy_cluster_name=\"z\"} 6\n",
                           "envoy_server_worker_watchdog_miss{envoy_worker_id=\"0\"} 0\n", "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"x\",le=\"5\"} 1\n",
                           "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"y\"} 0\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  // A family stands once, whatever the number of its members: Prometheus refuses the page otherwise.
  size_t first = text.find("# TYPE envoy_cluster_upstream_rq_time histogram\n");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("# TYPE envoy_cluster_upstream_rq_time histogram\n", first + 1), std::string::npos);
}

TEST(StatsText, PutsHistogramsIntoJsonAsEnvoyDoes) {
  auto parsed = base::parse_json(stats_json(some(), query("type=Histograms&usedonly")));
  ASSERT_TRUE(parsed);
  const base::Value& h = (*parsed)["stats"].items().front()["histograms"];
  EXPECT_EQ(h["supported_quantiles"].size(), 10u);
  EXPECT_EQ(h["computed_quantiles"].items().front()["name"].as_string(), "cluster.x.upstream_rq_time");
  EXPECT_EQ(h["computed_quantiles"].items().front()["values"][9]["cumulative"].as_double(), 5);
}

}  // namespace
}  // namespace fairlead::proxy
