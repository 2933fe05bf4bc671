// A bootstrap of any kind, and with it every resource that stands in one: read, then compiled as a start and as an xDS
// push would. What is taken once is taken again, what is refused says where, and a path finds the route through the
// index that trying one after the other finds.
#include <algorithm>
#include <cstdlib>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/config/compile.h"

namespace fairlead::proxy {
namespace {

using Hcm = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// Everything in the input that looks like a path, and something behind each.
std::vector<std::string> paths_of(std::string_view text) {
  std::vector<std::string> paths{"/", "*", ""};
  for (size_t at = text.find('/'); at != std::string_view::npos && paths.size() < 40; at = text.find('/', at + 1)) {
    std::string path(text.substr(at, std::min<size_t>(text.find_first_of(" \n\"',}]", at) - at, 64)));
    paths.push_back(path + "/a");
    paths.push_back(std::move(path));
  }
  return paths;
}

void look_up(const RouteTable& table, std::string_view text) {
  RequestHeaders request;
  request.method = "GET";
  auto paths = paths_of(text);
  for (const VirtualHost& host : table.hosts) {
    (void)table.find_host(host.name);
    if (!host.index) continue;
    VirtualHost plain = host;
    plain.index = nullptr;
    for (const std::string& path : paths) {
      request.target = path;
      const Route *a = table.find_route(host, request, 7), *b = table.find_route(plain, request, 7);
      if (!a != !b || (a && a - host.routes.data() != b - plain.routes.data())) std::abort();
    }
  }
}

template <class Result>
bool taken(const Result& result) {
  if (!result && result.error().message.empty()) std::abort();
  return result.has_value();
}

std::string compile(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, std::string_view text) {
  ClusterNames names;
  Compiler compiler(names);
  std::string verdict(1, taken(compiler.bootstrap(bootstrap)) ? 'y' : 'n');
  for (const auto& cluster : bootstrap.static_resources().clusters()) {
    auto first = compiler.cluster(cluster, "1", nullptr);
    verdict += taken(first) ? 'y' : 'n';
    if (!first) continue;
    if (!taken(compiler.cluster(cluster, "2", first->get()))) std::abort();
    auto endpoints = compiler.endpoints(cluster.load_assignment(), nullptr);
    verdict += taken(endpoints) ? 'y' : 'n';
    if (endpoints && !taken(compiler.endpoints(cluster.load_assignment(), endpoints->get()))) std::abort();
  }
  for (const auto& listener : bootstrap.static_resources().listeners()) {
    verdict += taken(compiler.listener(listener, "1")) ? 'y' : 'n';
    for (const auto& chain : listener.filter_chains()) {
      for (const auto& filter : chain.filters()) {
        Hcm manager;
        if (!filter.typed_config().Is<Hcm>() || !filter.typed_config().UnpackTo(&manager)) continue;
        auto table = compiler.route(manager.route_config(), "1");
        verdict += taken(table) ? 'y' : 'n';
        if (table) look_up(**table, text);
      }
    }
  }
  return verdict;
}

}  // namespace
}  // namespace fairlead::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead::proxy;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  // Files that the input names are read: only those that a file in a corpus may name.
  if (text.find("/dev/") != std::string_view::npos || text.find("/proc/") != std::string_view::npos) return 0;
  auto bootstrap = load_bootstrap(text, "input");
  if (!taken(bootstrap)) return 0;
  if (compile(**bootstrap, text) != compile(**bootstrap, text)) std::abort();
  return 0;
}
