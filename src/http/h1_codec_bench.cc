// The parser and the writer on what a sidecar sees.
#include <benchmark/benchmark.h>

#include "http/h1_codec.h"

namespace fairlead::http {
namespace {

constexpr std::string_view kRequest =
    "GET /productpage?u=normal HTTP/1.1\r\nHost: productpage.default.svc.cluster.local:9080\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nX-Forwarded-Proto: http\r\n"
    "X-Request-Id: 6c5a8b8e-7f3d-9c6a-b1a4-3f2e1d0c9b8a\r\nX-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\r\n"
    "X-B3-SpanId: a2fb4a1d1a96d312\r\nCookie: session=eyJ1c2VyIjoiamFzb24ifQ.Zk1; theme=dark\r\nConnection: keep-alive\r\n\r\n";

void parse_request(benchmark::State& state) {
  H1Parser parser(H1Parser::Kind::kRequest);
  for (auto _ : state) {
    std::string_view input = kRequest;
    benchmark::DoNotOptimize(parser.next(input));
    benchmark::DoNotOptimize(parser.next(input));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kRequest.size()));
}
BENCHMARK(parse_request);

void parse_response_with_body(benchmark::State& state) {
  H1Parser parser(H1Parser::Kind::kResponse);
  std::string bytes = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: istio-envoy\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
                      "x-envoy-upstream-service-time: 3\r\ncontent-length: 1000\r\n\r\n" + std::string(1000, 'x');
  for (auto _ : state) {
    std::string_view input = bytes;
    while (parser.next(input) != H1Parser::Event::kEnd) {
    }
  }
}
BENCHMARK(parse_response_with_body);

void write_request(benchmark::State& state) {
  H1Parser parser(H1Parser::Kind::kRequest);
  std::string_view input = kRequest;
  (void)parser.next(input);
  std::string out;
  for (auto _ : state) {
    out.clear();
    h1_append_request_line(out, parser.head().method, parser.head().target);
    for (const auto& f : parser.head().fields) h1_append_field(out, f.name, f.value);
    h1_append_end(out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(write_request);

}  // namespace
}  // namespace fairlead::http
