#include <gtest/gtest.h>

#include "base/value.h"
#include "envoy/config/core/v3/base.pb.h"
#include "proxy/config/model.h"
#include "proxy/log/access_log.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {
namespace {

StreamInfo sample(RequestHeaders& request) {
  request.method = "GET";
  request.target = "/productpage";
  request.authority = "a:80";
  request.fields.add("user-agent", "curl\"7");
  StreamInfo i;
  i.request = &request;
  i.protocol = "HTTP/1.1";
  i.status = 503;
  i.flags = kFlagUpstreamConnectFailure | kFlagRetryLimit;
  i.end = std::chrono::milliseconds(12);
  i.upstream_host = "10.0.0.1:9080";
  return i;
}

std::string render(std::string_view format, const StreamInfo& info) {
  auto f = LogFormat::parse(format);
  EXPECT_TRUE(f) << f.error().message;
  std::string out;
  if (f) f->append(out, info);
  return out;
}

TEST(LogFormat, PrintsValuesAndDashesForMissingOnes) {
  RequestHeaders r;
  auto i = sample(r);
  EXPECT_EQ(render("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% %ROUTE_NAME% %UPSTREAM_HOST%", i),
            "GET /productpage 503 UF,URX 12 - 10.0.0.1:9080");
}

TEST(LogFormat, CutsAtTheGivenLength) {
  RequestHeaders r;
  auto i = sample(r);
  EXPECT_EQ(render("%REQ(:PATH):4%|100%%", i), "/pro|100%");
}

TEST(LogFormat, TakesIstiosDefault) { EXPECT_TRUE(LogFormat::parse(kIstioLogFormat)); }

TEST(LogFormat, RefusesUnknownCommandsWithAGuess) {
  auto f = LogFormat::parse("%RESPONSE_CODES%");
  ASSERT_FALSE(f);
  EXPECT_NE(f.error().message.find("Did you mean %RESPONSE_CODE%?"), std::string::npos) << f.error().message;
  EXPECT_FALSE(LogFormat::parse("%REQ(:METHOD%"));
  EXPECT_FALSE(LogFormat::parse("100%"));
}

TEST(LogFormat, JsonKeepsTypesAndEscapes) {
  RequestHeaders r;
  auto i = sample(r);
  auto f = LogFormat::parse_json(*base::parse_json(R"({"code":"%RESPONSE_CODE%","ua":"%REQ(USER-AGENT)%","route":"%ROUTE_NAME%","text":"c=%RESPONSE_CODE%"})"));
  ASSERT_TRUE(f);
  std::string out;
  f->append(out, i);
  EXPECT_EQ(out, "{\"code\":503,\"ua\":\"curl\\\"7\",\"route\":null,\"text\":\"c=503\"}\n");
}

TEST(LogFormat, JsonLeavesOutWhatIsEmptyWhenAsked) {
  RequestHeaders r;
  auto i = sample(r);
  auto line = [&](std::string_view json) {
    auto f = LogFormat::parse_json(*base::parse_json(json), true);
    std::string out;
    if (f) f->append(out, i);
    return out;
  };
  EXPECT_EQ(line(R"({"a":"%REQ(X-NO)%","code":"%RESPONSE_CODE%","b":"%REQ(X-NO)%"})"), "{\"code\":503}\n");
  EXPECT_EQ(line(R"({"a":"x%REQ(X-NO)%y","e":"","two":"%REQ(X-NO)%%REQ(X-NO)%"})"), "{\"a\":\"xy\",\"e\":\"\",\"two\":\"\"}\n");
  EXPECT_EQ(line(R"({"m":{"c":"%REQ(X-NO)%","d":"%RESPONSE_CODE%"},"n":{"c":"%REQ(X-NO)%"}})"), "{\"m\":{\"d\":503}}\n");
  EXPECT_EQ(line(R"({"l":["%REQ(X-NO)%","%RESPONSE_CODE%",{"z":"%REQ(X-NO)%"}],"none":["%REQ(X-NO)%"]})"), "{\"l\":[503],\"none\":[]}\n");
  EXPECT_EQ(line(R"({"a":"%REQ(X-NO)%"})"), "{}\n");
  EXPECT_EQ(LogFormat::parse_json(*base::parse_json(R"({"a":"%UPSTREAM_TLS_VERSION%"})"), true)->needs(), LogFormat::kTls);
}

TEST(LogFormat, NamesGrpcStatuses) {
  RequestHeaders r;
  auto i = sample(r);
  ResponseHeaders answer;
  HeaderMap trailers;
  i.status = 200;
  i.response = &answer;
  trailers.add("grpc-status", "3");
  i.response_trailers = &trailers;
  EXPECT_EQ(render("%GRPC_STATUS%", i), "-");  // nobody asked in gRPC
  r.fields.add("content-type", "application/grpc");
  EXPECT_EQ(render("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", i), "InvalidArgument INVALID_ARGUMENT 3 3");
  i.response_trailers = nullptr;
  i.status = 404;
  EXPECT_EQ(render("%GRPC_STATUS%", i), "Unimplemented");
}

TEST(LogFormat, CountsBytesOfBothSides) {
  RequestHeaders r;
  auto i = sample(r);
  EXPECT_EQ(render("%UPSTREAM_WIRE_BYTES_SENT%", i), "0");
  http::ByteCounts down{.wire_received = 1, .wire_sent = 2, .header_received = 3, .header_sent = 4}, up{.wire_received = 5, .wire_sent = 6, .header_received = 7, .header_sent = 8};
  i.downstream_bytes = &down;
  i.upstream_bytes = &up;
  EXPECT_EQ(render("%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% %DOWNSTREAM_HEADER_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_SENT%", i), "1 2 3 4");
  EXPECT_EQ(render("%UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_HEADER_BYTES_RECEIVED% %UPSTREAM_HEADER_BYTES_SENT%", i), "5 6 7 8");
}

TEST(LogFormat, TakesPathsAndQueriesApart) {
  RequestHeaders r;
  auto i = sample(r);
  r.target = "/new?a=1";
  EXPECT_EQ(render("%PATH% %PATH(NQ)% %PATH(WQ:ORIG)% %QUERY_PARAM(a)% %QUERY_PARAM(b)% %QUERY_PARAMS%", i), "/new?a=1 /new - 1 - a=1");
  r.fields.add("x-envoy-original-path", "/old?b=2");
  EXPECT_EQ(render("%PATH% %PATH(NQ:PATH)% %PATH(NQ:ORIG)% %QUERY_PARAM(b)%", i), "/old?b=2 /new /old 2");
}

std::string metadata_of(const std::string& team) {
  envoy::config::core::v3::Metadata m;
  auto& names = *(*m.mutable_filter_metadata())["names"].mutable_fields();
  names["team"].set_string_value(team);
  (*names["deep"].mutable_struct_value()->mutable_fields())["n"].set_number_value(2);
  return m.SerializeAsString();
}

TEST(LogFormat, MetadataOfWhatARequestWentBy) {
  RequestHeaders r;
  auto i = sample(r);
  std::string route = metadata_of("r"), host = metadata_of("v");
  i.route_metadata = &route;
  i.virtual_host_metadata = &host;
  i.cluster_metadata = std::make_shared<std::string>(metadata_of("c"));
  i.host_metadata = std::make_shared<std::string>(metadata_of("h"));
  EXPECT_EQ(render("%METADATA(ROUTE:names:team)% %METADATA(VIRTUAL_HOST:names:team)% %METADATA(CLUSTER:names:team)% %METADATA(UPSTREAM_HOST:names:team)%", i), "r v c h");
  EXPECT_EQ(render("%CLUSTER_METADATA(names:deep)% %CLUSTER_METADATA(names:deep:n)% %UPSTREAM_METADATA(names:none)% %UPSTREAM_METADATA(other)%", i), "{\"n\":2} 2 - -");
  EXPECT_EQ(LogFormat::parse("%CLUSTER_METADATA(a)%")->needs(), LogFormat::kMetadata);
  EXPECT_FALSE(LogFormat::parse("%METADATA(SOMETHING:a)%"));
  EXPECT_FALSE(LogFormat::parse("%UPSTREAM_METADATA()%"));
}

TEST(LogFormat, SaysWhatItTakesAndCannotFill) {
  auto f = LogFormat::parse("%DYNAMIC_METADATA(a:b)% %DURATION%");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->unfilled(), std::vector<std::string>{"DYNAMIC_METADATA"});
  EXPECT_EQ(f->needs(), 0);
  EXPECT_EQ(LogFormat::parse("%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_TLS_VERSION%")->needs(), LogFormat::kAttempts | LogFormat::kTls);
}

TEST(LogFilter, DrawsByTheRequestsId) {
  RequestHeaders r;
  auto i = sample(r);
  AccessLogConfig::Filter f;
  f.kind = AccessLogConfig::Filter::Kind::kFraction;
  f.bits = 50;
  f.value = 100;
  r.fields.add("x-request-id", "00000031-0000-4000-8000-000000000000");  // 49
  EXPECT_TRUE(passes(f, i));
  r.fields.set("x-request-id", "00000032-0000-4000-8000-000000000000");
  EXPECT_FALSE(passes(f, i));
}

TEST(LogFilter, TellsKindsOfLinesApart) {
  StreamInfo i;
  i.type = LogType::kTcpConnectionEnd;
  AccessLogConfig::Filter f;
  f.kind = AccessLogConfig::Filter::Kind::kType;
  f.bits = 1u << 6;  // DownstreamEnd
  EXPECT_FALSE(passes(f, i));
  f.pass = true;
  EXPECT_TRUE(passes(f, i));
}

}  // namespace
}  // namespace fairlead::proxy
