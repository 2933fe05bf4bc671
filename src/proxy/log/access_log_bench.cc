// What a line of an access log costs: Istio's default text format for a plain request.
#include <benchmark/benchmark.h>

#include "proxy/log/access_log.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {
namespace {

void log_line(benchmark::State& state, std::string_view text) {
  RequestHeaders request;
  request.method = "GET";
  request.target = "/productpage?u=normal";
  request.authority = "productpage:9080";
  for (auto [name, value] : {std::pair{"user-agent", "curl/7.88.1"}, {"accept", "*/*"}, {"x-forwarded-for", "10.244.0.7"}, {"x-forwarded-proto", "http"},
                             {"x-request-id", "0a1b2c3d-0a1b-9c3d-8a1b-0a1b2c3d4e5f"}})
    request.fields.add(name, value);
  ResponseHeaders response;
  response.status = 200;
  response.fields.add("content-type", "text/html");
  response.fields.add("x-envoy-upstream-service-time", "12");
  StreamInfo info;
  info.request = &request;
  info.response = &response;
  info.protocol = "HTTP/1.1";
  info.status = 200;
  info.bytes_sent = 5183;
  info.details = "via_upstream";
  info.end = info.response_last = std::chrono::milliseconds(12);
  info.cluster = info.cluster_raw = "outbound|9080||productpage.default.svc.cluster.local";
  info.route = "default";
  info.upstream_host = "10.244.0.9:9080";
  info.upstream_local = "10.244.0.7:45678";
  info.downstream_local = "10.96.0.21:9080";
  info.downstream_remote = "10.244.0.7:33333";
  info.start_wall = base::WallTime(std::chrono::seconds(1'800'000'000));
  auto format = LogFormat::parse(text);
  std::string out;
  for (auto _ : state) {
    out.clear();
    format->append(out, info);
    benchmark::DoNotOptimize(out.data());
  }
}

void istio_line(benchmark::State& state) { log_line(state, kIstioLogFormat); }
void envoy_line(benchmark::State& state) { log_line(state, kEnvoyLogFormat); }
BENCHMARK(istio_line);
BENCHMARK(envoy_line);

}  // namespace
}  // namespace fairlead::proxy
