#include "proxy/config/document.h"

#include <gtest/gtest.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/config/bootstrap.h"

namespace fairlead::proxy {
namespace {

std::string problems_of(std::string_view yaml) {
  auto loaded = load_bootstrap(yaml, "b.yaml");
  return loaded ? "" : loaded.error().message;
}

TEST(Document, ReadsTheJsonMappingInBothSpellings) {
  auto loaded = load_bootstrap(R"(
node: {id: n, metadata: {a: [1, "x", null, {b: true}]}}
staticResources:
  clusters:
  - {name: c, connectTimeout: 0.25s, type: STRICT_DNS, lb_policy: 1, per_connection_buffer_limit_bytes: "4096",
     typed_extension_protocol_options: {x: {"@type": type.googleapis.com/google.protobuf.Duration, value: 2s}}}
)", "b.yaml");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto& cluster = (*loaded)->static_resources().clusters(0);
  EXPECT_EQ(cluster.connect_timeout().nanos(), 250'000'000);
  EXPECT_EQ(cluster.type(), envoy::config::cluster::v3::Cluster::STRICT_DNS);
  EXPECT_EQ(cluster.lb_policy(), envoy::config::cluster::v3::Cluster::LEAST_REQUEST);
  EXPECT_EQ(cluster.per_connection_buffer_limit_bytes().value(), 4096u);
  EXPECT_TRUE(cluster.typed_extension_protocol_options().contains("x"));
  EXPECT_EQ((*loaded)->node().metadata().fields().at("a").list_value().values_size(), 4);
}

TEST(Document, FindsEveryProblemWithItsLine) {
  EXPECT_EQ(problems_of("static_resources:\n"
                        "  clusters:\n"
                        "  - nam: c\n"
                        "    connect_timeout: 5\n"
                        "    lb_policy: ROBIN\n"
                        "    per_connection_buffer_limit_bytes: -1\n"),
            "b.yaml:3:10: static_resources.clusters[0].nam: unknown field of envoy.config.cluster.v3.Cluster; did you mean name?\n"
            "b.yaml:4:22: static_resources.clusters[0].connect_timeout: 5 is not a duration; write seconds with an s behind, as 5s or 0.25s\n"
            "b.yaml:5:16: static_resources.clusters[0].lb_policy: \"ROBIN\" is not one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM, MAGLEV, "
            "CLUSTER_PROVIDED, LOAD_BALANCING_POLICY_CONFIG\n"
            "b.yaml:6:40: static_resources.clusters[0].per_connection_buffer_limit_bytes: a whole number from 0 to 4294967295 is expected, this is -1");
}

TEST(Document, TakesNamesOfEnumerationsInAnyCase) {
  EXPECT_EQ(problems_of("static_resources: {clusters: [{name: c, type: strict_dns, lb_policy: Least_Request}]}"), "");
}

TEST(Document, RefusesTwoMembersOfAOneof) {
  EXPECT_EQ(problems_of("static_resources: {clusters: [{name: c, type: EDS, cluster_type: {name: x}}]}"),
            "b.yaml:1:66: static_resources.clusters[0].cluster_type: stands beside type; only one of them may be given");
}

TEST(Document, NamesATypeThatIsNotKnown) {
  EXPECT_EQ(problems_of("static_resources: {listeners: [{filter_chains: [{filters: [{typed_config: {\"@type\": type.googleapis.com/some.Lua}}]}]}]}"),
            "b.yaml:1:85: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.@type: type.googleapis.com/some.Lua is not known here");
}

TEST(Document, AnEmptyObjectOfAnyTypeIsNothing) {
  auto with = [](std::string_view any) { return fmt::format("{{static_resources: {{listeners: [{{name: l, filter_chains: [{{filters: [{{name: f, typed_config: {}}}]}}]}}]}}}}", any); };
  EXPECT_EQ(problems_of(with("{}")), "");
  EXPECT_NE(problems_of(with("{a: 1}")).find("the type of this object is required"), std::string::npos);
}

TEST(Document, KeepsTypesThatAreNotKnownWhereNothingIsDoneWithThem) {
  auto loaded = load_bootstrap("tracing: {http: {name: t, typed_config: {\"@type\": type.googleapis.com/some.Tracer, a: b}}}\n"
                               "stats_sinks: [{name: s, typed_config: {\"@type\": type.googleapis.com/some.Sink}}]\n", "b.yaml");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ((*loaded)->stats_sinks(0).typed_config().type_url(), "type.googleapis.com/some.Sink");
  EXPECT_NE(problems_of("tracing: {http: {nam: t}}"), "");  // a field that there is not is still a mistake
}

TEST(Document, LocatesAFieldPathOrTheNearestParentOfIt) {
  auto document = base::parse_yaml("a:\n  someList:\n  - x\n  - {y: 1}\n");
  ASSERT_TRUE(document);
  EXPECT_EQ(locate((*document)[0], "a.some_list[1].y").line, 4u);
  EXPECT_EQ(locate((*document)[0], "a.some_list[1].z.deeper").line, 4u);
  EXPECT_EQ(locate((*document)[0], "a.some_list[0]").column, 5u);
}

}  // namespace
}  // namespace fairlead::proxy
