// fairlead proxy: the data plane.
#include <CLI/CLI.hpp>

#include <iostream>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/flow/flow_client.h"
#include "proxy/server.h"

namespace fairlead::cli {
int cmd_proxy(int argc, char** argv) {
  CLI::App app("The data plane: a proxy that takes Envoy's bootstrap files and xDS v3.", "fairlead proxy");
  std::string file, yaml, log_level = "info", mode = "serve", node, cluster, listen, to, cert, key, admin, zone;
  unsigned concurrency = 0, base_id = 0;
  double drain_s = 5;
  int mark = 0;
  bool print = false;
  proxy::ReverseFlow flow;
  proxy::FlowDashboards dashboards;
  app.add_option("-c,--config-path", file, "bootstrap file, YAML or JSON");
  app.add_option("--config-yaml", yaml, "bootstrap as text, merged over the file");
  app.add_option("--concurrency", concurrency, "worker threads (default: one for each processor)");
  app.add_option("--service-node", node, "node id told to the xDS server");
  app.add_option("--service-cluster", cluster, "node cluster told to the xDS server");
  app.add_option("--service-zone", zone, "zone told to the xDS server");
  app.add_option("-l,--log-level", log_level, "trace, debug, info, warning, error, critical, off");
  app.add_option("--drain-time-s", drain_s, "seconds that requests have to end after SIGTERM");
  app.add_option("--mode", mode, "serve or validate");
  app.add_option("--base-id", base_id, "taken for compatibility");
  app.add_option("--socket-mark", mark, "SO_MARK on upstream sockets");
  app.add_option("--admin", admin, "address of the admin page, e.g. 127.0.0.1:15000");
  app.add_option("--listen", listen, "reverse proxy: address to listen on, e.g. :8080");
  app.add_option("--to", to, "reverse proxy: host:port[,host:port...] to send requests to");
  app.add_option("--cert", cert, "reverse proxy: certificate file (TLS)");
  app.add_option("--key", key, "reverse proxy: key file");
  app.add_option("--flow-app", flow.app, "flow control: name of the app whose rules hold; with --listen and --to, adds the filter");
  app.add_option("--flow-path", flow.paths, "flow control with --listen: what paths are called, e.g. /orders/{id}; may be repeated");
  app.add_option("--flow-dashboard", dashboards.addresses, "flow control: HOST:PORT of a console or Sentinel dashboard whose rules are obeyed; may be repeated");
  app.add_option("--flow-address", dashboards.interface, "flow control: interface for the dashboards' commands (default: 127.0.0.1 for dashboards on this host, else all)");
  app.add_option("--flow-port", dashboards.port, "flow control: port for the dashboards' commands (default: 8719 or the next that is free)");
  app.add_flag("--print", print, "reverse proxy: print the bootstrap and exit");
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;

  auto fail = [](const std::string& text) {
    std::cerr << "fairlead proxy: " << text << "\n";
    return 1;
  };
  if (auto level = base::parse_log_level(log_level)) base::set_log_level(*level);
  else return fail("--log-level " + log_level + ": use trace, debug, info, warning, error, critical or off");
  if (mode != "serve" && mode != "validate") return fail("--mode " + mode + ": use serve or validate");

  if (flow.app.empty() && (!dashboards.addresses.empty() || !flow.paths.empty())) return fail("--flow-dashboard and --flow-path need the app's name: add --flow-app NAME");
  if (dashboards.port < 0 || dashboards.port > 65535) return fail(fmt::format("--flow-port {}: use 1 to 65535", dashboards.port));

  std::string text;
  if (!listen.empty() || !to.empty()) {
    if (listen.empty() || to.empty()) return fail("--listen and --to go together");
    if (cert.empty() != key.empty()) return fail("--cert and --key go together");
    auto made = proxy::reverse_proxy_bootstrap(listen, to, cert, key, flow);
    if (!made) return fail(made.error().text());
    text = *made;
    file = "--listen";
    if (print) {
      std::cout << text;
      return 0;
    }
  } else if (!file.empty()) {
    auto read = base::read_file(file);
    if (!read) return fail(file + ": can't be read");
    text = std::move(*read);
  } else if (yaml.empty()) {
    return fail("give a bootstrap with -c FILE or --config-yaml TEXT, or --listen ADDRESS --to HOST:PORT");
  }
  auto bootstrap = proxy::load_bootstrap(text, file, yaml);
  if (!bootstrap) return fail(bootstrap.error().text());

  if (mode == "validate") {
    io::Loop loop;
    proxy::ConfigManager::Hooks hooks;
    hooks.bind = false;
    hooks.send = [](auto&&...) {};
    hooks.hosts_changed = [](proxy::ClusterId) {};
    hooks.ready_changed = [] {};
    proxy::ConfigManager config(loop, std::move(hooks));
    if (auto ok = config.load_static(**bootstrap); !ok) return fail(proxy::explain(ok.error(), text, file));
    for (const auto& [field, n] : config.warnings()) std::cerr << "warning: " << field << " is not acted on (" << n << ")\n";
    std::cout << "configuration '" << file << "' OK\n";
    return 0;
  }
  proxy::ServerOptions options;
  options.bootstrap = *bootstrap;
  options.concurrency = concurrency;
  options.admin = admin;
  options.socket_mark = mark;
  options.drain_time = std::chrono::duration_cast<base::Nanos>(std::chrono::duration<double>(drain_s));
  options.version = kVersion;
  options.explain = [&](const base::Error& error) { return proxy::explain(error, text, file); };
  if (!node.empty()) {
    options.node.id = node;
    options.node.cluster = cluster;
    options.node.zone = zone;
  }
  proxy::Server server(std::move(options));
  if (auto ok = server.start(); !ok) return fail(proxy::explain(ok.error(), text, file));
  std::optional<proxy::FlowClient> client;
  if (!dashboards.addresses.empty()) client.emplace(server.loop(), proxy::FlowApp::of(flow.app), dashboards);
  return server.run();
}

}  // namespace fairlead::cli
