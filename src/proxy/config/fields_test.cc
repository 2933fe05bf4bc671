#include "proxy/config/fields.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/config/compile.h"

namespace fairlead::proxy {
namespace {

namespace pb = google::protobuf;

const pb::Descriptor* descriptor(std::string_view type) {
  (void)load_bootstrap("{}", "");  // links the types that stand only inside Any
  return pb::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(type));
}

// Types whose fields are not ours to list.
bool well_known(const pb::Descriptor* d) { return d->full_name().starts_with("google.protobuf."); }

TEST(Fields, EveryFieldOfEveryMessageInUseHasARow) {
  for (const MessageFields& m : field_tables()) {
    const auto* d = descriptor(m.type);
    ASSERT_TRUE(d) << "no message type is called " << m.type;
    std::set<int> known;
    for (const FieldRow& row : m.rows) {
      EXPECT_TRUE(known.insert(static_cast<int>(row.number)).second) << m.type << ": two rows for " << row.number;
      const auto* f = d->FindFieldByNumber(static_cast<int>(row.number));
      ASSERT_TRUE(f) << m.type << " has no field " << row.number << " (" << row.name << ")";
      EXPECT_EQ(f->name(), row.name) << m.type;
      EXPECT_EQ(f->is_repeated() && !f->is_map(), row.list) << m.type << "." << row.name << ": lists are written with []";
      EXPECT_TRUE(row.support == Support::kYes || !row.reason.empty()) << m.type << "." << row.name << ": a reason is missing";
    }
    for (int i = 0; i < d->field_count(); ++i)
      EXPECT_TRUE(known.contains(d->field(i)->number()))
          << m.type << ": add a row\n  " << d->field(i)->number() << " " << d->field(i)->name() << (d->field(i)->is_repeated() ? "[]" : "") << " yes | note REASON | warn REASON | refuse REASON";
  }
}

TEST(Fields, MessagesThatAreActedOnAreLookedInto) {
  for (const MessageFields& m : field_tables()) {
    for (const FieldRow& row : m.rows) {
      if (row.support != Support::kYes || row.inside == "*") continue;
      const auto* f = descriptor(m.type)->FindFieldByNumber(static_cast<int>(row.number));
      const pb::Descriptor* inside = f->message_type();
      if (f->is_map()) inside = inside->map_value()->message_type();
      if (!inside || (well_known(inside) && inside->name() != "Any")) {
        EXPECT_EQ(row.inside, "") << m.type << "." << row.name;
        continue;
      }
      EXPECT_EQ(row.inside, inside->name() == "Any" && well_known(inside) ? "any" : inside->full_name()) << m.type << "." << row.name;
      EXPECT_EQ(row.map, f->is_map()) << m.type << "." << row.name;
      EXPECT_TRUE(row.inside == "any" || find_fields(row.inside)) << "no table for " << row.inside;
    }
  }
}

TEST(Fields, RowsOfTheTablesAreWellFormed) {
  // Misspelt words become refusals whose reason begins with nothing that a person wrote.
  for (const MessageFields& m : field_tables())
    for (const FieldRow& row : m.rows) EXPECT_GT(row.number, 0u) << m.type << ": " << row.name;
  for (std::string_view type : {"envoy.config.bootstrap.v3.Bootstrap", "envoy.config.listener.v3.Listener", "envoy.config.cluster.v3.Cluster",
                                "envoy.config.endpoint.v3.ClusterLoadAssignment", "envoy.config.route.v3.RouteConfiguration",
                                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                                "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "envoy.extensions.transport_sockets.tls.v3.Secret",
                                "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"})
    EXPECT_TRUE(find_fields(type)) << type;
}

struct Compiled {
  std::string refused;
  std::vector<std::string> warnings;
};

Compiled compile(std::string_view yaml) {
  auto b = load_bootstrap(yaml, "b.yaml");
  EXPECT_TRUE(b) << (b ? "" : b.error().message);
  if (!b) return {};
  ClusterNames names;
  Compiler compiler(names);
  Compiled out;
  auto note = [&](const base::Error& e) { out.refused = e.where + ": " + e.message; };
  if (auto ok = compiler.bootstrap(**b); !ok) note(ok.error());
  for (const auto& c : (*b)->static_resources().clusters())
    if (auto r = compiler.cluster(c, "", nullptr); !r) note(r.error());
  for (const auto& l : (*b)->static_resources().listeners())
    if (auto r = compiler.listener(l, ""); !r) note(r.error());
  for (auto& [text, count] : compiler.warnings()) out.warnings.push_back(text);
  return out;
}

constexpr std::string_view kListener = R"(
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    metadata: {filter_metadata: {a: {b: c}}}
    filter_chains:
    - filters:
      - name: h
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: s
          route_config:
            virtual_hosts:
            - name: v
              domains: ["*"]
              routes:
              - {match: {prefix: /}, route: {cluster: c}}
              - {match: {prefix: /}, route: {cluster: c, HERE}}
          http_filters:
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
)";

std::string with(std::string_view field) {
  std::string yaml(kListener);
  yaml.replace(yaml.find("HERE"), 4, field);
  return yaml;
}

TEST(Fields, WhatWouldChangeTrafficIsRefusedWithItsPath) {
  EXPECT_EQ(compile(with("retry_policy_typed_config: {\"@type\": type.googleapis.com/envoy.config.route.v3.RetryPolicy}")).refused,
            "filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[1].route.retry_policy_typed_config: "
            "the field is not implemented: give retry_policy");
}

TEST(Fields, WhatHasNoEffectOnTrafficIsCounted) {
  EXPECT_EQ(compile(with("grpc_timeout_offset: 1s")).warnings,
            (std::vector<std::string>{"Listener.filter_chains.filters.typed_config.route_config.virtual_hosts.routes.route.grpc_timeout_offset: "
                                      "the client's time-out counts",
                                      "Listener.metadata: metadata of listeners is not used"}));
}

TEST(Fields, ACorsPolicyThatIsOnIsNothingToReport) {
  auto policy = [](const char* enabled) {
    return compile(with(std::string("cors: {filter_enabled: {default_value: {numerator: ") + enabled + "}}, allow_origin_string_match: [{exact: a}]}")).warnings;
  };
  EXPECT_EQ(policy("100").size(), 1u);
  EXPECT_EQ(policy("0").size(), 1u);
  EXPECT_EQ(policy("50").front(), "CorsPolicy.filter_enabled: the policy holds for every request");
}

TEST(Fields, WrappersOfFalseCountAsNotSet) {
  std::string yaml = with("timeout: 1s");
  yaml.replace(yaml.find("- filters:") + 2, 0, "use_proxy_proto: false\n      ");
  EXPECT_EQ(compile(yaml).warnings, (std::vector<std::string>{"Listener.metadata: metadata of listeners is not used"}));
  yaml.replace(yaml.find("use_proxy_proto: false"), 22, "use_proxy_proto: true");
  EXPECT_EQ(compile(yaml).refused, "filter_chains[0].use_proxy_proto: the field is not implemented: use the listener filter proxy_protocol");
}

TEST(Fields, MapsShowTheirKeys) {
  Compiled c = compile(R"(
static_resources:
  clusters:
  - name: c
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http_protocol_options: {send_fully_qualified_url: true}}
)");
  EXPECT_EQ(c.refused,
            "typed_extension_protocol_options.\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\".explicit_http_config.http_protocol_options."
            "send_fully_qualified_url: the field is not implemented: requests go out in origin form");
}

TEST(Fields, TruncatedBytesEndTheWalk) {
  int calls = 0;
  for (std::string_view bytes : {"\x0a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x0a\x7f", "\x0b"})
    check_fields("envoy.config.cluster.v3.Cluster", bytes, [&](const FieldProblem&) { ++calls; });
  EXPECT_EQ(calls, 0);
  check_fields("envoy.config.cluster.v3.Cluster", "\xf8\x7f\x01", [&](const FieldProblem& p) {
    ++calls;
    EXPECT_EQ(p.path, "#2047");
    EXPECT_EQ(p.support, Support::kWarn);
  });
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace fairlead::proxy
