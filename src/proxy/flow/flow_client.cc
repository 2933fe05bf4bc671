#include "proxy/flow/flow_client.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace fairlead::proxy {
namespace {

bool on_this_host(std::string_view dashboard) {
  if (size_t scheme = dashboard.find("://"); scheme != std::string_view::npos) dashboard.remove_prefix(scheme + 3);
  return dashboard.starts_with("127.") || dashboard.starts_with("localhost") || dashboard.starts_with("[::1]");
}

}  // namespace

FlowClient::FlowClient(io::Loop& loop, FlowApp& app, const FlowDashboards& dashboards) : app_(app), timer_(loop, [this] { follow(); }) {
  auto options = sentinel::AgentOptions::from_environment();
  options.app = app.name();
  options.app_type = dashboards.gateway ? 1 : options.app_type;
  // Who can reach the commands can change the rules: no further than the dashboards are, unless it is said.
  const bool here = std::ranges::all_of(dashboards.addresses, on_this_host);
  if (!dashboards.interface.empty()) options.address = dashboards.interface;
  else if (options.address.empty() && here) options.address = "127.0.0.1";
  if (here && options.heartbeat_ip.empty()) options.heartbeat_ip = "127.0.0.1";
  if (!dashboards.peers.empty()) options.peers = dashboards.peers;
  if (dashboards.port > 0) options.port = dashboards.port;
  options.dashboards = dashboards.addresses;
  options.metric_log = options.metric_log && dashboards.metric_log;
  options.on_gateway = [this](const auto& rules, const auto& apis) { app_.set_gateway(rules, apis); };
  options.refuse_rules = [this](std::string_view kind) { return app_.refuse_rules(kind); };
  agent_.emplace(app_.engine(), std::move(options));
  if (!agent_->problem().empty()) FL_LOG_WARN("flow", "app {}: commands of dashboards are not served: {}", app.name(), agent_->problem());
  else FL_LOG_INFO("flow", "app {}: commands of dashboards on port {}", app.name(), agent_->port());
  follow();
}

FlowClient::~FlowClient() {
  agent_.reset();
  app_.follow_engine(false);
}

void FlowClient::follow() {
  app_.follow_engine(true);
  timer_.arm(std::chrono::milliseconds(250));
}

}  // namespace fairlead::proxy
