// Resources as an xDS server sends them, one after the other, into a proxy with everything in memory: taken or refused, told
// on the admin page, served with. Whatever comes, what the proxy had before answers as before.
//
// The input: resources with a line "---" between them. Each begins with its kind: L listener, C cluster, R routes,
// E endpoints, S secret; then YAML or JSON. The same letters in lower case: protobuf's bytes. The mutator changes messages,
// not bytes.
#include "base/value.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "proxy/config/document.h"
#include "proxy/fuzz_message.h"
#include "proxy/fuzz_world.h"
#include "proxy/proto_json.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most) __attribute__((weak));

namespace fairlead::proxy {
namespace {

using google::protobuf::Message;

constexpr const char* kBootstrap = R"(
static_resources:
  listeners:
  - name: before
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config: &hcm
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /c}, route: {cluster: c}}, {match: {prefix: /e}, route: {cluster: e}}, {match: {prefix: /}, route: {cluster: one}}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  - name: rds
    address: {socket_address: {address: 127.0.0.1, port_value: 2}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
          normalize_path: true
          use_remote_address: true
          upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: CONNECT}]
          rds: {route_config_name: r, config_source: {ads: {}}}
          http_filters:
          - {name: fault, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault}}
          - {name: cors, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}
          - {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  - name: sds
    address: {socket_address: {address: 127.0.0.1, port_value: 3}}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificate_sds_secret_configs: [{name: s, sds_config: {ads: {}}}]
            validation_context_sds_secret_config: {name: ca, sds_config: {ads: {}}}
      filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: one}}]
  clusters:
  - {name: one, type: STATIC, load_assignment: {cluster_name: one, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}}
  - {name: e, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}
)";

struct Kind {
  char letter;
  std::string_view url;
  const Message& (*prototype)();
};
template <class T>
const Message& of() {
  return T::default_instance();
}
constexpr Kind kKinds[] = {{'L', xds::kListenerType, of<envoy::config::listener::v3::Listener>},
                           {'C', xds::kClusterType, of<envoy::config::cluster::v3::Cluster>},
                           {'R', xds::kRouteType, of<envoy::config::route::v3::RouteConfiguration>},
                           {'E', xds::kEndpointType, of<envoy::config::endpoint::v3::ClusterLoadAssignment>},
                           {'S', xds::kSecretType, of<envoy::extensions::transport_sockets::tls::v3::Secret>}};

struct Piece {
  const Kind* kind = nullptr;
  std::unique_ptr<Message> message;  // nullptr: the bytes are none
  std::string bytes;
};

constexpr std::string_view kBetween = "\n---\n";
constexpr size_t kMostPieces = 6;

std::vector<Piece> read(std::string_view input) {
  std::vector<Piece> pieces;
  while (!input.empty() && pieces.size() < kMostPieces) {
    size_t end = std::min(input.find(kBetween), input.size());
    std::string_view one = input.substr(0, end);
    input.remove_prefix(std::min(input.size(), end + kBetween.size()));
    if (one.empty()) continue;
    Piece piece;
    for (const Kind& k : kKinds)
      if ((k.letter | 0x20) == (one[0] | 0x20)) piece.kind = &k;
    if (!piece.kind) continue;
    bool text = piece.kind->letter == one[0];
    one.remove_prefix(1);
    piece.message.reset(piece.kind->prototype().New());
    if (text) {
      auto documents = base::parse_yaml(one);
      if (!documents || documents->size() != 1 || !to_message((*documents)[0], *piece.message).empty()) continue;
      piece.bytes = piece.message->SerializePartialAsString();
    } else {
      piece.bytes = one;
      if (!piece.message->ParsePartialFromString(piece.bytes)) piece.message.reset();
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

std::string write(const std::vector<Piece>& pieces) {
  std::string out;
  for (const Piece& p : pieces) {
    if (!out.empty()) out += kBetween;
    out += static_cast<char>(p.kind->letter | 0x20);
    out += p.bytes;
  }
  return out;
}

std::string name_of(const Piece& piece) {
  if (!piece.message) return "nameless";
  const auto* d = piece.message->GetDescriptor();
  const auto* f = d->FindFieldByName(piece.kind->letter == 'E' ? "cluster_name" : "name");
  return piece.message->GetReflection()->GetString(*piece.message, f);
}

std::string request(std::string_view path, std::string_view host) {
  std::string out = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nx-a: b\r\ncookie: k=v\r\nx-forwarded-for: 1.2.3.4, 10.0.0.9\r\nx-envoy-retry-on: 5xx\r\n\r\n", path, host);
  return out;
}

std::string star(std::string text) {
  std::ranges::replace(text, '*', 'x');
  return text;
}

// Requests that a few of its routes are for.
void visit(FuzzWorld& world, const envoy::config::route::v3::RouteConfiguration& routes) {
  for (int h = 0; h < std::min(routes.virtual_hosts_size(), 3); ++h) {
    const auto& host = routes.virtual_hosts(h);
    std::string authority = host.domains_size() ? star(host.domains(0)) : "a";
    for (int r = 0; r < std::min(host.routes_size(), 4); ++r) {
      const auto& match = host.routes(r).match();
      std::string path = !match.prefix().empty() ? match.prefix() + "x" : !match.path().empty() ? match.path() : !match.path_separated_prefix().empty() ? match.path_separated_prefix() : "/a";
      (void)world.say("rds", request(path + "?x=1&y", authority));
    }
    (void)world.say("rds", "CONNECT " + authority + ":80 HTTP/1.1\r\nHost: " + authority + "\r\n\r\nhello");
  }
}

}  // namespace
}  // namespace fairlead::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead::proxy;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  // Files that the input names are read: none that never end.
  if (input.find("dev/") != std::string_view::npos || input.find("proc/") != std::string_view::npos) return 0;
  static const auto bootstrap = FuzzWorld::load(kBootstrap);
  static const std::string endpoints = read("E{cluster_name: e, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}}]}]}")[0].bytes;
  FuzzWorld world(*bootstrap);
  if (!world.push(fairlead::xds::kEndpointType, {{"e", {}, endpoints}})) std::abort();
  for (const Piece& piece : read(input)) {
    bool taken = world.push(piece.kind->url, {{name_of(piece), {}, piece.bytes}});
    // What was taken is taken again, and in a copy; it can be shown.
    if (taken && !world.push(piece.kind->url, {{name_of(piece), {}, piece.bytes}})) std::abort();
    if (taken) (void)any_to_json(piece.kind->url, piece.bytes);
    if (taken && piece.kind->letter == 'R') visit(world, static_cast<const envoy::config::route::v3::RouteConfiguration&>(*piece.message));
    for (const std::string& name : world.listeners())
      if (name != "before") (void)world.say(name, request("/a/b?x=1", "a.b"));
    for (const char* path : {"/c", "/e"}) (void)world.say("before", request(path, "a.b"));
    std::string answer = world.say("before", request("/", "a.b"));
    if (!answer.starts_with("HTTP/1.1 200 ") && world.can_dial()) std::abort();
  }
  StatsSnapshot stats;
  world.manager().stats(stats);
  world.worker().collect(stats);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  using namespace fairlead::proxy;
  MessageMutator change(seed);
  auto pieces = read({reinterpret_cast<const char*>(data), size});
  if (pieces.empty() || (LLVMFuzzerMutate && change.pick(16) == 0)) return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, most) : size;
  size_t at = change.pick(pieces.size());
  switch (change.pick(12)) {
    case 0:
      if (pieces.size() > 1) { pieces.erase(pieces.begin() + static_cast<long>(at)); break; }
      [[fallthrough]];
    case 1: {
      if (pieces.size() >= kMostPieces || !pieces[at].message) break;
      Piece copy{pieces[at].kind, std::unique_ptr<Message>(pieces[at].message->New()), {}};
      copy.message->CopyFrom(*pieces[at].message);
      pieces.push_back(std::move(copy));
      at = pieces.size() - 1;
      [[fallthrough]];
    }
    default:
      if (!pieces[at].message) break;
      for (size_t n = 1 + change.pick(3); n > 0; --n) change.change(*pieces[at].message);
      pieces[at].bytes = pieces[at].message->SerializePartialAsString();
  }
  std::string out = write(pieces);
  if (out.size() > most) return size;
  std::ranges::copy(out, data);
  return out.size();
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size, uint8_t* out, size_t most, unsigned seed) {
  using namespace fairlead::proxy;
  auto pieces = read({reinterpret_cast<const char*>(a), a_size});
  auto others = read({reinterpret_cast<const char*>(b), b_size});
  if (others.empty()) return 0;
  Piece& one = others[seed % others.size()];
  if (pieces.size() >= kMostPieces) pieces[seed % pieces.size()] = std::move(one);
  else pieces.insert(pieces.begin() + static_cast<long>(seed % (pieces.size() + 1)), std::move(one));
  std::string text = write(pieces);
  if (text.size() > most) return 0;
  std::ranges::copy(text, out);
  return text.size();
}
