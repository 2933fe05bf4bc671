// pilot-agent: Istio's agent in a sidecar or gateway. The proxy runs in this same process.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/agent_probes.h"
#include "cli/commands.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "http/client.h"
#include "io/interfaces.h"
#include "node/interception/istio_iptables.h"
#include "proxy/admin/stats_text.h"
#include "proxy/agent.h"
#include "proxy/agent_identity.h"
#include "proxy/server.h"

namespace fairlead::cli {
namespace {

constexpr std::string_view kAdmin = "127.0.0.1:15000";

int usage() {
  std::fputs(
      "Istio's agent.\n\n"
      "  pilot-agent proxy sidecar|router [--domain D] [--proxyLogLevel L] [--concurrency N]\n"
      "  pilot-agent request METHOD PATH       ask the proxy's admin page (GET stats, POST logging?level=debug ...)\n"
      "  pilot-agent istio-iptables ...        redirect this pod's traffic to the proxy\n"
      "  pilot-agent wait [--timeoutSeconds N] until the proxy is ready\n"
      "  pilot-agent version\n",
      stderr);
  return 1;
}

// "--flag value" and "--flag=value" of those known; others are Istio's and have no meaning here.
std::string flag(const std::vector<std::string>& args, std::string_view name) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == name && i + 1 < args.size()) return args[i + 1];
    if (args[i].starts_with(std::string(name) + "=")) return args[i].substr(name.size() + 1);
  }
  return {};
}

int run_proxy(const std::vector<std::string>& args) {
  // Few threads and small allocations: one arena each would cost more than it gains.
  ::mallopt(M_ARENA_MAX, 2);
  proxy::AgentOptions o;
  if (!args.empty() && !args[0].starts_with("-")) o.role = args[0];
  if (o.role != "sidecar" && o.role != "router") {
    std::fprintf(stderr, "pilot-agent proxy: \"%s\" is neither sidecar nor router\n", o.role.c_str());
    return 1;
  }
  o.domain = flag(args, "--domain");
  o.environment = [](const char* name) {
    const char* v = std::getenv(name);
    return std::string(v ? v : "");
  };
  o.ip = o.environment("INSTANCE_IP");
  if (o.ip.empty()) o.ip = io::own_address();
  o.proxy_config = o.environment("PROXY_CONFIG");
  o.labels = base::read_file("/etc/istio/pod/labels").value_or("");
  o.annotations = base::read_file("/etc/istio/pod/annotations").value_or("");
  // "warning", or "misc:error,http:debug": the first word without a scope counts.
  for (std::string_view word : base::split(flag(args, "--proxyLogLevel"), ','))
    if (auto level = base::parse_log_level(word)) base::set_log_level(*level);

  const std::string root_file = "/var/run/secrets/istio/root-cert.pem", token_file = "/var/run/secrets/tokens/istio-token";
  // The root comes in a ConfigMap that istiod makes when it sees the namespace: at a mesh's first second that may be later
  // than the pod. Without it nothing is said in plain text instead: a sidecar that was meant to have an identity waits.
  if (::access(token_file.c_str(), R_OK) == 0 && ::access("/var/run/secrets/istio", R_OK) == 0) {
    for (unsigned i = 1; ::access(root_file.c_str(), R_OK) != 0; ++i) {
      if (i % 1000 == 0) FL_LOG_WARN("agent", "{} is not there yet; istiod keeps it in ConfigMap istio-ca-root-cert of this namespace", root_file);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    o.secure = true;
  }
  auto identity = proxy::make_identity(o);
  if (!identity) {
    std::fprintf(stderr, "pilot-agent: %s\n", identity.error().text().c_str());
    return 1;
  }
  proxy::ServerOptions options;
  options.bootstrap = std::make_shared<envoy::config::bootstrap::v3::Bootstrap>();
  options.concurrency = identity->concurrency;
  if (auto n = base::to_int(flag(args, "--concurrency")); n && *n > 0) options.concurrency = static_cast<unsigned>(*n);
  options.node = identity->node;
  options.admin = kAdmin;
  options.socket_mark = node::kSidecarMark;
  options.drain_time = identity->drain_time;
  options.min_drain_time = std::chrono::seconds(2);
  options.version = kVersion;
  xds::AdsOptions ads;
  ads.host = identity->discovery_host;
  ads.port = identity->discovery_port;
  ads.socket_mark = node::kSidecarMark;
  if (identity->secure) {
    // Read anew for each connection: tokens and the root are renewed.
    ads.refresh = [root_file, token_file](xds::AdsOptions& a) -> base::Status {
      if (auto tls = io::TlsContext::client({.ca_pem = base::read_file(root_file).value_or(""), .alpn = {"h2"}})) a.tls = *tls;
      else FL_LOG_WARN("agent", "{}: {}", root_file, tls.error().text());
      a.headers = {};
      a.headers.add("authorization", "Bearer " + std::string(base::trim(base::read_file(token_file).value_or(""))));
      return {};
    };
    (void)ads.refresh(ads);
  }
  options.ads = std::move(ads);
  // Who answers for secrets: those made of files by themselves, others with an identity. Both end before the server.
  proxy::Identity* asked = nullptr;
  proxy::Server* serving = nullptr;
  options.local_sds_cluster = "sds-grpc";
  options.local_secret_wanted = [&asked, &serving](const std::string& name) {
    if (asked) return asked->want(name);
    if (auto secret = proxy::Identity::file_secret(name); secret && serving) serving->put_secret(name, *secret);
  };
  FL_LOG_INFO("agent", "{} from {}:{}", identity->node.id, identity->discovery_host, identity->discovery_port);

  proxy::Server server(std::move(options));
  serving = &server;
  std::unique_ptr<proxy::Identity> workload;
  if (identity->secure) {
    proxy::IdentityOptions own;
    own.ca_host = identity->ca_host;
    own.ca_port = identity->ca_port;
    own.ca_root_pem_file = root_file;
    own.token_file = token_file;
    own.spiffe_id = identity->spiffe_id;
    own.lifetime = identity->secret_ttl;
    own.grace = identity->secret_grace;
    own.socket_mark = node::kSidecarMark;
    own.put = [&server](const std::string& name, const std::string& bytes) { server.put_secret(name, bytes); };
    workload = std::make_unique<proxy::Identity>(server.loop(), std::move(own));
    asked = workload.get();
  }
  if (auto ok = server.start(); !ok) {
    std::fprintf(stderr, "pilot-agent: %s\n", ok.error().text().c_str());
    return 1;
  }
  // What Istio's agent answers itself: health on 15021 and 15020, merged metrics on 15020 and 15090.
  AgentProbes probes(server.loop(), o.environment("ISTIO_KUBE_APP_PROBERS"), o.ip, node::kSidecarMark);
  auto handler = [&server, &probes](std::shared_ptr<http::Exchange> e) {
    std::string path(e->request().path());
    if (probes.serve(path, e)) return;
    if (path == "/healthz/ready") {
      bool ready = server.ready();
      return e->respond(ready ? 200 : 503, "text/plain", ready ? "" : fmt::format("not ready: {}\n", server.state()));
    }
    if (path == "/stats/prometheus" || path == "/metrics")
      return server.collect([e](proxy::StatsSnapshot s) { e->respond(200, "text/plain; version=0.0.4", proxy::stats_prometheus(s, {.used_only = true})); });
    if (path == "/quitquitquit" && e->request().method == "POST") {
      e->respond(200, "text/plain", "ok");
      return server.drain();
    }
    e->respond(404, "text/plain", "not found\n");
  };
  http::Server pages(server.loop(), {}, handler);
  for (uint16_t port : {15020, 15021, 15090}) {
    auto at = pages.listen(*io::Address::parse_ip("0.0.0.0", port));
    if (!at) {
      std::fprintf(stderr, "pilot-agent: port %u: %s\n", port, at.error().text().c_str());
      return 1;
    }
  }
  int code = server.run();
  asked = nullptr;
  serving = nullptr;
  return code;
}

int run_request(const std::vector<std::string>& args) {
  if (args.size() < 2) return usage();
  std::string path = args[1].starts_with('/') ? args[1] : "/" + args[1];
  auto answer = http::fetch_blocking(args[0], fmt::format("http://{}{}", kAdmin, path), {}, "", std::chrono::seconds(10));
  if (!answer) {
    std::fprintf(stderr, "pilot-agent request: %s\n", answer.error().text().c_str());
    return 1;
  }
  std::fwrite(answer->body.data(), 1, answer->body.size(), stdout);
  if (answer->status / 100 == 2) return 0;
  std::fprintf(stderr, "Error: failed executing Envoy %s request: status %d\n", args[0].c_str(), answer->status);
  return 1;
}

int run_wait(const std::vector<std::string>& args) {
  long long seconds = base::to_int(flag(args, "--timeoutSeconds")).value_or(60);
  std::string url = flag(args, "--url");
  if (url.empty()) url = "http://127.0.0.1:15021/healthz/ready";
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  for (;;) {
    auto answer = http::fetch_blocking("GET", url, {}, "", std::chrono::seconds(2));
    if (answer && answer->status == 200) return 0;
    if (std::chrono::steady_clock::now() >= end) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  std::fprintf(stderr, "pilot-agent wait: the proxy was not ready after %lld s\n", seconds);
  return 1;
}

}  // namespace

int cmd_pilot_agent(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  if (args.empty()) return usage();
  std::string command = args[0];
  args.erase(args.begin());
  if (command == "proxy") return run_proxy(args);
  if (command == "request") return run_request(args);
  if (command == "wait") return run_wait(args);
  if (command == "istio-iptables" || command == "istio-clean-iptables") {
    if (command == "istio-clean-iptables") args.push_back("--cleanup-only");
    return node::run_istio_iptables(args);
  }
  if (command == "version") {
    std::printf("%s\n", std::string(kVersion).c_str());
    return 0;
  }
  return usage();
}

}  // namespace fairlead::cli
