// A request through a RouteConfiguration: the route that the index finds is the one that trying one after the other finds,
// twice the same; then the request goes through a connection manager with these routes: matched, rewritten, redirected,
// hashed, mirrored.
//
// The input: method, target and authority, a line each; field lines, "name: value"; an empty line; the resource as YAML or
// JSON.
#include "base/strings.h"
#include "base/value.h"
#include "envoy/config/route/v3/route.pb.h"
#include "proxy/config/compile.h"
#include "proxy/config/document.h"
#include "proxy/fuzz_message.h"
#include "proxy/fuzz_world.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most) __attribute__((weak));

namespace fairlead::proxy {
namespace {

constexpr const char* kBootstrap = R"(
static_resources:
  listeners:
  - name: rds
    address: {socket_address: {address: 127.0.0.1, port_value: 2}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
          upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: CONNECT}]
          rds: {route_config_name: r, config_source: {ads: {}}}
          http_filters:
          - {name: cors, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}
          - {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: one
    type: STATIC
    lb_policy: RING_HASH
    ring_hash_lb_config: {minimum_ring_size: 16, maximum_ring_size: 64}
    load_assignment: {cluster_name: one, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}, {endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}}]}]}
  - {name: two, type: STATIC, load_assignment: {cluster_name: two, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.3, port_value: 80}}}}]}]}}
)";

using Routes = envoy::config::route::v3::RouteConfiguration;

struct Input {
  std::string_view method, target, authority;
  std::vector<std::pair<std::string_view, std::string_view>> fields;
  std::string_view head, resource;
};

Input split(std::string_view text) {
  Input in;
  size_t end = std::min(text.find("\n\n"), text.size());
  in.head = text.substr(0, end);
  in.resource = text.substr(std::min(text.size(), end + 2));
  auto lines = base::split(in.head, '\n');
  if (!lines.empty()) in.method = lines[0];
  if (lines.size() > 1) in.target = lines[1];
  if (lines.size() > 2) in.authority = lines[2];
  for (size_t i = 3; i < lines.size() && i < 20; ++i) {
    size_t colon = std::min(lines[i].find(": "), lines[i].size());
    in.fields.emplace_back(lines[i].substr(0, colon), lines[i].substr(std::min(lines[i].size(), colon + 2)));
  }
  return in;
}

bool read(std::string_view text, Routes& out) {
  auto documents = base::parse_yaml(text);
  if (documents && documents->size() == 1 && to_message((*documents)[0], out).empty()) return true;
  out.Clear();
  return out.ParsePartialFromString(std::string(text));
}

void look_up(const RouteTable& table, const Input& in) {
  RequestHeaders request;
  request.method = in.method;
  request.target = in.target;
  request.authority = in.authority;
  for (auto [name, value] : in.fields) request.fields.add_copy(base::to_lower(name), value);
  const VirtualHost* host = table.find_host(in.authority);
  if (host != table.find_host(in.authority)) std::abort();
  for (const VirtualHost& each : table.hosts) {
    VirtualHost plain = each;
    plain.index = nullptr;
    const Route *a = table.find_route(each, request, 7), *b = table.find_route(plain, request, 7);
    if (!a != !b || (a && a - each.routes.data() != b - plain.routes.data())) std::abort();
    if (a != table.find_route(each, request, 7)) std::abort();
  }
}

}  // namespace
}  // namespace fairlead::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead::proxy;
  Input in = split({reinterpret_cast<const char*>(data), size});
  if (in.resource.find("dev/") != std::string_view::npos || in.resource.find("proc/") != std::string_view::npos) return 0;
  Routes routes;
  if (!read(in.resource, routes)) return 0;
  static const auto bootstrap = FuzzWorld::load(kBootstrap);
  ClusterNames names;
  Compiler compiler(names);
  auto table = compiler.route(routes, "1");
  if (!table) {
    if (table.error().message.empty()) std::abort();
    return 0;
  }
  look_up(**table, in);

  routes.set_name("r");
  FuzzWorld world(*bootstrap);
  if (!world.push(fairlead::xds::kRouteType, {{"r", {}, routes.SerializePartialAsString()}})) std::abort();
  std::string request = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", in.method, in.target, in.authority);
  for (auto [name, value] : in.fields) request += fmt::format("{}: {}\r\n", name, value);
  std::string answer = world.say("rds", request + "\r\n");
  // Something is always answered, unless it waits: for a retry's time, the end of a body, or the far end of a tunnel.
  if (!answer.empty() && !answer.starts_with("HTTP/1.")) std::abort();
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  using namespace fairlead::proxy;
  MessageMutator change(seed);
  Input in = split({reinterpret_cast<const char*>(data), size});
  Routes routes;
  if (!LLVMFuzzerMutate || !read(in.resource, routes)) return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, most) : size;
  std::string head(in.head), resource(in.resource);
  if (change.pick(3) == 0) {
    size_t old = head.size();
    head.resize(old + 64);
    head.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(head.data()), old, head.size()));
  } else {
    for (size_t n = 1 + change.pick(3); n > 0; --n) change.change(routes);
    resource = routes.SerializePartialAsString();
  }
  std::string out = head + "\n\n" + resource;
  if (out.size() > most) return size;
  std::ranges::copy(out, data);
  return out.size();
}
