// fairlead control, also called as pilot-discovery: istiod's role. `discovery` and istiod's flags are understood, so that
// Deployments written for istiod run it.
#include <CLI/CLI.hpp>

#include <signal.h>

#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "control/control_plane.h"
#include "control/discovery/generate.h"
#include "control/files.h"
#include "control/registry.h"
#include "http/client.h"
#include "io/signals.h"
#include "proxy/proto_json.h"

namespace fairlead::cli {
namespace {

std::string env_or(const char* name, const char* fallback) {
  const char* v = std::getenv(name);
  return v && *v ? v : fallback;
}

// pilot-discovery request METHOD PATH [BODY]: asks the debug port of the istiod in this pod.
int request(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: pilot-discovery request METHOD PATH [BODY]\n", stderr);
    return 1;
  }
  std::string path = argv[2];
  auto answer = http::fetch_blocking(argv[1], "http://127.0.0.1:15014" + (path.starts_with('/') ? path : "/" + path), {},
                                     argc > 3 ? argv[3] : "", std::chrono::seconds(10));
  if (!answer) {
    std::fprintf(stderr, "Error: %s\n", answer.error().text().c_str());
    return 1;
  }
  std::fwrite(answer->body.data(), 1, answer->body.size(), stdout);
  if (answer->status >= 400) {
    std::fprintf(stderr, "Error: unexpected status code %d\n", answer->status);
    return 1;
  }
  return 0;
}

// --print: what a proxy with this node id is told, as one JSON object; nothing is served.
int print_xds(const std::string& folder, const std::string& node, const std::string& metadata_text) {
  auto fail = [](const base::Error& error) {
    std::fprintf(stderr, "fairlead control: %s\n", error.text().c_str());
    return 1;
  };
  auto metadata = base::parse_json(metadata_text);
  if (!metadata) return fail(metadata.error());
  auto proxy = control::parse_proxy(node, std::move(*metadata));
  if (!proxy) return fail(proxy.error());
  auto objects = control::read_folder(folder);
  if (!objects) return fail(objects.error());
  control::Registry registry;
  registry.replace(*objects);
  control::Generator generator(registry.snapshot(), std::move(*proxy));
  base::Value out = base::Value::object();
  for (auto [name, type] : {std::pair{"clusters", xds::kClusterType}, std::pair{"endpoints", xds::kEndpointType},
                            std::pair{"listeners", xds::kListenerType}, std::pair{"routes", xds::kRouteType}}) {
    base::Value list = base::Value::array();
    for (const auto& [key, resource] : generator.generate(type, nullptr)) list.push(proxy::any_to_json(type, *resource.bytes));
    out.set(name, std::move(list));
  }
  std::printf("%s\n", out.dump(2).c_str());
  return 0;
}

}  // namespace

int cmd_control(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "request") return request(argc - 1, argv + 1);
  CLI::App app("The control plane: reads Istio and Kubernetes resources, serves xDS, injects sidecars", "fairlead control");
  std::string command, grpc = ":15010", secure_grpc = ":15012", https = ":15017", http = ":8080", monitoring = ":15014";
  std::string log_level = "default:info", domain, print, metadata = "{}";
  control::ControlOptions options;
  app.add_option("command", command, "discovery (the default)");
  app.add_option("--grpcAddr,--xds", grpc, "where xDS is served in plain text; empty: not");
  app.add_option("--secureGRPCAddr", secure_grpc, "where xDS is served by TLS; empty: not");
  app.add_option("--httpsAddr", https, "where the injection webhook is served; empty: not");
  app.add_option("--httpAddr", http, "where /ready is served; empty: not");
  app.add_option("--monitoringAddr", monitoring, "where metrics and debug pages are served; empty: not");
  app.add_option("--files", options.files, "folder of YAML to read instead of an API server; SIGHUP reads it again");
  app.add_option("--print", print, "print what the proxy with this node id (sidecar~IP~POD.NAMESPACE~DOMAIN) is told, and end; with --files");
  app.add_option("--metadata", metadata, "of that node, as JSON");
  app.add_option("--log_output_level", log_level, "default:info, or another level");
  app.add_option("--domain", domain, "DNS domain suffix (cluster.local)");
  app.allow_extras();  // flags of istiod that have no meaning here
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;
  if (!command.empty() && command != "discovery") {
    std::fprintf(stderr, "fairlead control: unknown command \"%s\": discovery or request\n", command.c_str());
    return 1;
  }
  std::string_view level = log_level;
  if (size_t colon = level.find(':'); colon != std::string_view::npos) level = level.substr(colon + 1);
  if (auto parsed = base::parse_log_level(level.substr(0, level.find(',')))) base::set_log_level(*parsed);

  if (!print.empty()) {
    if (options.files.empty()) {
      std::fputs("fairlead control: --print needs --files DIR\n", stderr);
      return 1;
    }
    if (app.count("--log_output_level") == 0) base::set_log_level(base::LogLevel::kWarning);
    return print_xds(options.files, print, metadata);
  }
  options.ns = env_or("POD_NAMESPACE", "istio-system");
  options.revision = env_or("REVISION", "default");
  options.cluster_id = env_or("CLUSTER_ID", "Kubernetes");
  options.pod_name = env_or("POD_NAME", "istiod");
  // Without an API there is nobody to inject for, and tests want no fixed ports.
  if (!options.files.empty()) {
    for (auto [name, value] : {std::pair{"--httpsAddr", &https}, std::pair{"--secureGRPCAddr", &secure_grpc}, std::pair{"--httpAddr", &http},
                               std::pair{"--monitoringAddr", &monitoring}})
      if (app.count(name) == 0) value->clear();
  }
  for (auto [text, address] : {std::pair{&grpc, &options.grpc}, std::pair{&secure_grpc, &options.secure_grpc}, std::pair{&https, &options.https},
                               std::pair{&http, &options.http}, std::pair{&monitoring, &options.monitoring}}) {
    if (text->empty()) continue;
    auto parsed = io::Address::parse(*text);
    if (!parsed) {
      std::fprintf(stderr, "fairlead control: %s\n", parsed.error().text().c_str());
      return 1;
    }
    *address = *parsed;
  }

  ::signal(SIGPIPE, SIG_IGN);
  io::Loop loop;
  std::unique_ptr<control::ControlPlane> plane;
  const bool files = !options.files.empty();
  // Before the plane, whose threads inherit the blocked signals.
  io::SignalWatch on_signal(loop, {SIGTERM, SIGINT, SIGHUP}, [&](int signal) {
    if (signal == SIGHUP) {
      if (files)
        if (auto s = plane->reload(); !s) FL_LOG_ERROR("control", "{}; what was read before stays", s.error().text());
      return;
    }
    plane->drain();
    loop.after(std::chrono::milliseconds(100), [&] { loop.stop(); });
  });
  std::unique_ptr<store::KubeClient> client;
  if (options.files.empty()) {
    auto config = store::in_cluster_config();
    if (!config) {
      std::fprintf(stderr, "fairlead control: %s (or use --files DIR)\n", config.error().text().c_str());
      return 1;
    }
    auto made = store::KubeClient::make(loop, std::move(*config));
    if (!made) {
      std::fprintf(stderr, "fairlead control: %s\n", made.error().text().c_str());
      return 1;
    }
    client = std::move(*made);
  }
  auto started = control::ControlPlane::start(loop, std::move(options), std::move(client));
  if (!started) {
    std::fprintf(stderr, "fairlead control: %s\n", started.error().text().c_str());
    return 1;
  }
  plane = std::move(*started);
  if (files) std::printf("serving xDS on %s\n", plane->grpc_address().text().c_str()), std::fflush(stdout);
  loop.run();
  return 0;
}

}  // namespace fairlead::cli
