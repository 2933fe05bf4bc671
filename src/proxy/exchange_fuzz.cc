// A client and an origin that say anything, in any pieces, with a worker between them in memory.
//
// The input: one byte of options (1: HTTP/2 downstream; 2: HTTP/2 upstream), then pieces: who speaks (0 client, 1 origin,
// 2 client ends, 3 origin ends), a length byte, and so many bytes. HTTP/2 speakers say their preface by themselves.
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/config/compile.h"
#include "proxy/listener.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {
namespace {

constexpr const char* kBootstrap = R"(
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
          use_remote_address: true
          normalize_path: true
          merge_slashes: true
          upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: CONNECT}]
          http_protocol_options: {accept_http_10: true, enable_trailers: true}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {match: {prefix: /2}, route: {cluster: two, retry_policy: {retry_on: "5xx,reset", num_retries: 1, retry_back_off: {base_interval: 0.001s}}}}
              - {match: {connect_matcher: {}}, route: {cluster: one}}
              - {match: {prefix: /}, route: {cluster: one, retry_policy: {retry_on: "5xx", num_retries: 1, retry_back_off: {base_interval: 0.001s}}}}
          http_filters:
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - {name: one, type: STATIC, load_assignment: {cluster_name: one, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}}
  - {name: two, type: STATIC, http2_protocol_options: {}, load_assignment: {cluster_name: two, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}}]}]}}
)";

struct Compiled {
  ClusterNames names;
  std::vector<std::shared_ptr<const ClusterConfig>> clusters;
  std::shared_ptr<const ListenerConfig> listener;
};

const Compiled& compiled() {
  static Compiled* c = [] {
    auto* made = new Compiled;
    auto bootstrap = load_bootstrap(kBootstrap, "fuzz");
    if (!bootstrap) __builtin_trap();
    Compiler compiler(made->names);
    for (const auto& cluster : (*bootstrap)->static_resources().clusters()) {
      auto one = compiler.cluster(cluster, "1", nullptr);
      if (!one) __builtin_trap();
      made->clusters.push_back(*one);
    }
    auto listener = compiler.listener((*bootstrap)->static_resources().listeners(0), "1");
    if (!listener) __builtin_trap();
    made->listener = *listener;
    return made;
  }();
  return *c;
}

void drain(io::Transport& from) {
  char buffer[4096];
  while (from.read(buffer).status == io::IoStatus::kOk) {
  }
}

void say(io::Transport& to, std::string_view bytes) {
  if (!bytes.empty()) (void)to.write(bytes);
}

}  // namespace
}  // namespace fairlead::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  using namespace fairlead::proxy;
  using namespace std::string_view_literals;
  if (size < 2) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  constexpr std::string_view kEmptySettings = "\0\0\0\4\0\0\0\0\0"sv;
  auto options = static_cast<unsigned char>(input[0]);
  input.remove_prefix(1);

  std::vector<std::unique_ptr<io::Transport>> origins;
  std::unique_ptr<Worker> worker;
  WorkerOptions o;
  o.dial = [&](const io::Address& to) -> std::unique_ptr<io::Transport> {
    if (origins.size() >= 8) return nullptr;
    auto [ours, theirs] = io::make_memory_pair(worker->loop(), 0);
    if (to.text() == "10.0.0.2:80") say(*theirs, kEmptySettings);
    origins.push_back(std::move(theirs));
    return std::move(ours);
  };
  worker = std::make_unique<Worker>(std::move(o));
  ConfigUpdate update;
  update.clusters = compiled().clusters;
  worker->apply(std::move(update));
  auto listener = std::make_unique<Listener>(*worker, compiled().listener, std::vector<int>{});
  auto [client, ours] = io::make_memory_pair(worker->loop(), 0);
  listener->accept(std::move(ours));
  auto turn = [&] {
    for (int i = 0; i < 6; ++i) worker->loop().run_once(base::Nanos(0));
    if (client) drain(*client);
    for (auto& origin : origins)
      if (origin) drain(*origin);
  };
  if (options & 1) {
    say(*client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    say(*client, kEmptySettings);
    turn();
  }
  for (int pieces = 0; input.size() >= 2 && pieces < 64; ++pieces) {
    auto who = static_cast<unsigned char>(input[0]) % 4;
    size_t n = std::min<size_t>(static_cast<unsigned char>(input[1]), input.size() - 2);
    std::string_view bytes = input.substr(2, n);
    input.remove_prefix(2 + n);
    if (who == 0 && client) say(*client, bytes);
    else if (who == 1 && !origins.empty() && origins.back()) say(*origins.back(), bytes);
    else if (who == 2 && client) client->shutdown_write();
    else if (who == 3 && !origins.empty()) origins.back().reset();
    turn();
  }
  client.reset();
  turn();
  origins.clear();
  turn();
  if (worker->active_exchanges() != 0) __builtin_trap();
  listener.reset();
  worker.reset();
  return 0;
}
