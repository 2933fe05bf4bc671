// fairlead proxy: the data plane.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/flow/flow_app.h"
#include "proxy/server.h"
#include "sentinel/agent.h"

namespace fairlead::cli {
namespace {

// Makes the engine of an app a client of dashboards, as long as it lives.
class FlowClient {
 public:
  FlowClient(io::Loop& loop, const std::string& app, std::vector<std::string> dashboards, std::string address, int port)
      : app_(proxy::FlowApp::of(app)), timer_(loop, [this] { follow(); }) {
    auto options = sentinel::AgentOptions::from_environment();
    options.app = app;
    // Who can reach the commands can change the rules: no further than the dashboards are, unless it is said.
    bool here = std::ranges::all_of(dashboards, [](std::string_view d) {
      d = d.substr(d.find("://") == std::string_view::npos ? 0 : d.find("://") + 3);
      return d.starts_with("127.") || d.starts_with("localhost") || d.starts_with("[::1]");
    });
    if (!address.empty()) options.address = std::move(address);
    else if (options.address.empty() && here) options.address = "127.0.0.1";
    if (here && options.heartbeat_ip.empty()) options.heartbeat_ip = "127.0.0.1";
    options.dashboards = std::move(dashboards);
    if (port > 0) options.port = port;
    options.on_gateway = [this](const auto& rules, const auto& apis) { app_.set_gateway(rules, apis); };
    agent_.emplace(app_.engine(), std::move(options));
    if (!agent_->problem().empty()) FL_LOG_WARN("flow", "commands of dashboards are not served: {}", agent_->problem());
    else FL_LOG_INFO("flow", "app {}: commands of dashboards on port {}", app, agent_->port());
    follow();
  }

 private:
  void follow() {
    app_.follow_engine();
    timer_.arm(std::chrono::milliseconds(250));
  }

  proxy::FlowApp& app_;
  io::Timer timer_;
  std::optional<sentinel::Agent> agent_;
};

}  // namespace

int cmd_proxy(int argc, char** argv) {
  CLI::App app("The data plane: a proxy that takes Envoy's bootstrap files and xDS v3.", "fairlead proxy");
  std::string file, yaml, log_level = "info", mode = "serve", node, cluster, listen, to, cert, key, admin, zone;
  unsigned concurrency = 0, base_id = 0;
  double drain_s = 5;
  int mark = 0;
  bool print = false;
  proxy::ReverseFlow flow;
  std::vector<std::string> dashboards;
  std::string flow_address;
  int flow_port = 0;
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
  app.add_option("--flow-dashboard", dashboards, "flow control: HOST:PORT of a console or Sentinel dashboard whose rules are obeyed; may be repeated");
  app.add_option("--flow-address", flow_address, "flow control: interface for the dashboards' commands (default: 127.0.0.1 for dashboards on this host, else all)");
  app.add_option("--flow-port", flow_port, "flow control: port for the dashboards' commands (default: 8719 or the next that is free)");
  app.add_flag("--print", print, "reverse proxy: print the bootstrap and exit");
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;

  auto fail = [](const std::string& text) {
    std::cerr << "fairlead proxy: " << text << "\n";
    return 1;
  };
  if (auto level = base::parse_log_level(log_level)) base::set_log_level(*level);
  else return fail("--log-level " + log_level + ": use trace, debug, info, warning, error, critical or off");
  if (mode != "serve" && mode != "validate") return fail("--mode " + mode + ": use serve or validate");

  if (flow.app.empty() && (!dashboards.empty() || !flow.paths.empty())) return fail("--flow-dashboard and --flow-path need the app's name: add --flow-app NAME");
  if (flow_port < 0 || flow_port > 65535) return fail(fmt::format("--flow-port {}: use 1 to 65535", flow_port));

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
  std::optional<FlowClient> client;
  if (!dashboards.empty()) client.emplace(server.loop(), flow.app, std::move(dashboards), std::move(flow_address), flow_port);
  return server.run();
}

}  // namespace fairlead::cli
