#include "proxy/stats.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

TEST(ListenerStats, TellsAnswersApartByConnectionManager) {
  ListenerStats listener;
  for (int status : {200, 201, 404}) {
    listener.http("in").codes.count(status);
    ++listener.http("in").downstream_rq_completed;
  }
  listener.http("other").codes.count(503);
  EXPECT_EQ(listener.managers.size(), 2u);
  StatsSnapshot s;
  s.add("listener.a.", listener);
  EXPECT_EQ(s.counters.at("listener.a.http.in.downstream_rq_2xx"), 2u);
  EXPECT_EQ(s.counters.at("listener.a.http.in.downstream_rq_4xx"), 1u);
  EXPECT_EQ(s.counters.at("listener.a.http.in.downstream_rq_5xx"), 0u);
  EXPECT_EQ(s.counters.at("listener.a.http.in.downstream_rq_completed"), 3u);
  EXPECT_EQ(s.counters.at("listener.a.http.other.downstream_rq_5xx"), 1u);
}

TEST(ClusterStats, HaveACodecsFiguresOnceItWasSpoken) {
  ClusterStats cluster;
  cluster.http2.counters.rx_reset = 2;
  cluster.http2.streams_active = 3;
  StatsSnapshot none;
  none.add("cluster.a.", cluster);
  EXPECT_FALSE(none.counters.contains("cluster.a.http2.rx_reset"));
  EXPECT_FALSE(none.counters.contains("cluster.a.http1.response_flood"));
  cluster.upstream_cx_http2_total = cluster.upstream_cx_http1_total = 1;
  StatsSnapshot s;
  s.add("cluster.a.", cluster);
  EXPECT_EQ(s.counters.at("cluster.a.http2.rx_reset"), 2u);
  EXPECT_EQ(s.gauges.at("cluster.a.http2.streams_active"), 3u);
  EXPECT_EQ(s.counters.at("cluster.a.http1.response_flood"), 0u);
}

TEST(StatsSnapshot, KeepsTextsWhenMerged) {
  StatsSnapshot a, b;
  b.texts["cluster.eds.version_text"] = "7";
  a.merge(b);
  EXPECT_EQ(a.texts.at("cluster.eds.version_text"), "7");
}

}  // namespace
}  // namespace fairlead::proxy
