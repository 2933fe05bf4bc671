#include <gtest/gtest.h>

#include "base/value.h"
#include "proxy/access_log.h"
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

}  // namespace
}  // namespace fairlead::proxy
