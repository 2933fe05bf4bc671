// Looking up a virtual host among many, and a route among many: prefixes, exact paths and regular expressions.
//   ninja -C build route_lookup_bench && build/route_lookup_bench
#include <benchmark/benchmark.h>

#include "envoy/config/route/v3/route.pb.h"
#include "proxy/config/compile.h"

namespace fairlead::proxy {
namespace {

enum Kind : int { kExact, kPrefix, kRegex };

std::shared_ptr<const RouteTable> table_of(int hosts, int routes, Kind kind) {
  envoy::config::route::v3::RouteConfiguration from;
  for (int h = 0; h < hosts; ++h) {
    auto* host = from.add_virtual_hosts();
    host->set_name("h" + std::to_string(h));
    host->add_domains("host-" + std::to_string(h) + ".example.com");
    host->add_domains("*.host-" + std::to_string(h) + ".example.com");
    for (int r = 0; r < routes; ++r) {
      auto* route = host->add_routes();
      std::string n = std::to_string(r);
      if (kind == kExact) route->mutable_match()->set_path("/service/" + n);
      else if (kind == kPrefix) route->mutable_match()->set_prefix("/service/" + n + "/");
      else route->mutable_match()->mutable_safe_regex()->set_regex("/service/" + n + "/[a-z]+/\\d+");
      route->mutable_route()->set_cluster("c");
    }
  }
  ClusterNames names;
  Compiler compiler(names);
  auto table = compiler.route(from, "");
  return table ? *table : nullptr;
}

void find_host(benchmark::State& state) {
  auto table = table_of(static_cast<int>(state.range(0)), 1, kPrefix);
  std::vector<std::string> names;
  for (int i = 0; i < 64; ++i) names.push_back((i % 2 ? "a.host-" : "host-") + std::to_string(i * state.range(0) / 64) + ".example.com");
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table->find_host(names[i++ & 63]));
}
BENCHMARK(find_host)->Arg(10)->Arg(1000)->Arg(10'000);

void find_route(benchmark::State& state) {
  auto kind = static_cast<Kind>(state.range(1));
  auto table = table_of(1, static_cast<int>(state.range(0)), kind);
  std::vector<std::string> paths;
  for (int i = 0; i < 64; ++i) {
    std::string path = "/service/" + std::to_string(i * state.range(0) / 64);
    paths.push_back(kind == kExact ? path : kind == kPrefix ? path + "/x" : path + "/abc/42");
  }
  RequestHeaders request;
  request.method = "GET";
  size_t i = 0;
  for (auto _ : state) {
    request.target = paths[i++ & 63];
    const Route* found = table->find_route(table->hosts[0], request, 0);
    if (!found) state.SkipWithError("not found");
    benchmark::DoNotOptimize(found);
  }
}
BENCHMARK(find_route)->ArgNames({"routes", "kind"})->ArgsProduct({{10, 100, 1000}, {kExact, kPrefix, kRegex}});

}  // namespace
}  // namespace fairlead::proxy
