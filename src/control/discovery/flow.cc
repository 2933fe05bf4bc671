#include "control/discovery/flow.h"

#include <optional>

#include "control/discovery/proto.h"
#include "fairlead/flow/v1/flow.pb.h"

namespace fairlead::control {
namespace {

using base::Value;
using fairlead::flow::v1::FlowControl;
using fairlead::flow::v1::ResourceName;

// The workload's name among flow control's apps.
std::string app_of(const Context& context) {
  const Labels& labels = context.labels();
  for (const char* label : {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"})
    if (auto at = labels.find(label); at != labels.end() && !at->second.empty()) return at->second;
  const std::string& workload = context.proxy().metadata["WORKLOAD_NAME"].as_string();
  return workload.empty() ? context.proxy().id : workload;
}

void add_parameters(const Value& parameters, FlowControl& out) {
  for (const Value& p : parameters.items()) {
    auto& to = *out.add_parameters();
    if (p["address"].as_bool()) to.set_address(true);
    else if (!p["header"].is_null()) to.set_header(p["header"].as_string());
    else if (!p["query"].is_null()) to.set_query(p["query"].as_string());
    else if (!p["cookie"].is_null()) to.set_cookie(p["cookie"].as_string());
    else to.set_path_variable(p["pathVariable"].as_string());
  }
}

// Of the commands that the console sends to proxies; pods don't redirect it (control/injection.cc). Applications that are clients of
// Sentinel themselves keep 8719.
constexpr int kCommandPort = 15019;

// Nothing: no rule selects this proxy, and there is no console.
std::optional<FlowControl> flow_control(const Context& context, bool connection) {
  if (!context.proxy().metadata["FLOW_CONTROL"].as_bool()) return std::nullopt;
  std::map<std::string_view, Value> rules;  // by kind
  FlowControl out;
  for (const ConfigPtr& config : context.snapshot().flow_rules) {
    if (config->ns != context.proxy().ns && config->ns != context.snapshot().mesh.root_namespace) continue;
    if (!subset_of(config->selector, context.labels())) continue;
    if (connection && (config->kind == "GatewayFlowRule" || config->kind == "ApiDefinition")) continue;
    Value& list = rules.try_emplace(config->kind, Value::array()).first->second;
    for (const Value& rule : config->spec["rules"].items()) list.push(rule);
    if (out.parameters_size() == 0 && !connection) add_parameters(config->spec["parameters"], out);
  }
  const auto& console = context.snapshot().flow_console;
  if (rules.empty() && !console) return std::nullopt;
  out.set_app(app_of(context));
  for (const auto& [kind, list] : rules) {
    google::protobuf::Value& to = kind == "FlowRule"          ? *out.mutable_flow_rules()
                                  : kind == "DegradeRule"     ? *out.mutable_degrade_rules()
                                  : kind == "ParamFlowRule"   ? *out.mutable_param_flow_rules()
                                  : kind == "SystemRule"      ? *out.mutable_system_rules()
                                  : kind == "AuthorityRule"   ? *out.mutable_authority_rules()
                                  : kind == "GatewayFlowRule" ? *out.mutable_gateway_flow_rules()
                                                              : *out.mutable_gateway_api_definitions();
    to.set_string_value(list.dump());
  }
  if (console) {
    // Whoever writes rules on its pages sees no list of parameters: the first is the client's address.
    if (out.parameters_size() == 0) out.add_parameters()->set_address(true);
    auto& to = *out.mutable_dashboards();
    to.add_addresses(console->address);
    to.set_command_port(kCommandPort);
    for (const std::string& peer : console->peers) to.add_command_peers(peer);
    to.set_gateway(context.proxy().router);
  }
  // What a header field says could be anybody's word; the certificate is the peer's own.
  out.mutable_origin()->set_peer(true);
  return out;
}

}  // namespace

void add_flow_filter(const Context& context, HttpConnectionManager& manager, const std::string& service) {
  auto config = flow_control(context, false);
  if (!config) return;
  if (!service.empty()) config->add_resources()->set_text(service);
  else if (context.proxy().router) config->add_resources()->set_by(ResourceName::ROUTE);
  auto& path = *config->add_resources();
  path.set_by(ResourceName::PATH);
  path.set_path_segments(1);
  auto* filter = manager.add_http_filters();
  filter->set_name("fairlead.filters.http.flow");
  pack(filter->mutable_typed_config(), *config);
  manager.mutable_http_filters()->SwapElements(manager.http_filters_size() - 2, manager.http_filters_size() - 1);
}

void add_flow_filter(const Context& context, envoy::config::listener::v3::FilterChain& chain, const std::string& service) {
  auto config = flow_control(context, true);
  if (!config) return;
  if (!service.empty()) config->add_resources()->set_text(service);
  auto* filter = chain.add_filters();
  filter->set_name("fairlead.filters.network.flow");
  pack(filter->mutable_typed_config(), *config);
}

}  // namespace fairlead::control
