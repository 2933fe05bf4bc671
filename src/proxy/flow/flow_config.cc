#include "proxy/flow/flow_config.h"

#include <google/protobuf/struct.pb.h>

#include <set>

#include "base/strings.h"
#include "fairlead/flow/v1/flow.pb.h"
#include "flow/rules_json.h"
#include "io/address.h"
#include "proxy/config/compile_util.h"
#include "proxy/filters/counters.h"
#include "xds/struct_value.h"

namespace fairlead::proxy {
namespace {

namespace pb = fairlead::flow::v1;

constexpr FlowKind kKinds[] = {
    {"flow", "flow_control_flow", "flow rule"},
    {"degrade", "flow_control_degrade", "circuit breaker"},
    {"authority", "flow_control_authority", "authority rule"},
    {"system", "flow_control_system", "system rule"},
    {"param_flow", "flow_control_param_flow", "hot-parameter rule"},
    {"gateway", "flow_control_gateway", "gateway rule"},
};

size_t kind_of(flow::Verdict verdict) {
  switch (verdict) {
    case flow::Verdict::Degrade:
      return 1;
    case flow::Verdict::Authority:
      return 2;
    case flow::Verdict::SystemQps:
    case flow::Verdict::SystemThread:
    case flow::Verdict::SystemRt:
    case flow::Verdict::SystemLoad:
    case flow::Verdict::SystemCpu:
      return 3;
    case flow::Verdict::ParamFlow:
      return 4;
    case flow::Verdict::Gateway:
      return 5;
    default:
      return 0;
  }
}

template <class Rule>
void rules_of(const CompileContext& parent, std::string_view field, bool said, const google::protobuf::Value& from, std::optional<std::vector<Rule>>& to) {
  if (!said) return;
  using V = google::protobuf::Value;
  std::string text;
  if (from.kind_case() == V::kStringValue) text = from.string_value();
  else if (from.kind_case() == V::kListValue) text = xds::to_value(from).dump();
  else parent.at(field).refuse("a list of rules or its JSON text is expected");
  const auto list = flow::read_rules<Rule>(text);
  if (!list.faults.empty()) {
    const flow::RuleFault& fault = list.faults.front();
    const CompileContext at = fault.index < 0 ? parent.at(field) : parent.at(field, fault.index);
    (fault.field.empty() ? at : at.at(fault.field)).refuse("{}{}", fault.remedy, list.faults.size() > 1 ? fmt::format(" (and {} more)", list.faults.size() - 1) : "");
  }
  for (const flow::RuleFault& note : list.notes) parent.at(field).warn(fmt::format("FlowControl.{}: {}", field, note.sentence()));
  to = list.plain();
}

FlowOrigin origin_of(const CompileContext& at, const pb::Origin& from, bool connection) {
  if (connection && !from.header().empty()) at.at("header").refuse("a connection has no header fields; use peer or address");
  return {base::to_lower(from.header()), from.peer(), from.address()};
}

template <class List>
std::vector<FlowParameter> parameters_of(const CompileContext& parent, const List& from, bool connection) {
  std::vector<FlowParameter> out;
  if (static_cast<size_t>(from.size()) > kMostFlowParameters) parent.at("parameters").refuse("{} are too many; no more than {} are taken", from.size(), kMostFlowParameters);
  for (const pb::Parameter& p : from) {
    CompileContext at = parent.at("parameters", static_cast<int>(out.size()));
    using From = FlowParameter::From;
    FlowParameter made;
    auto named = [&](const char* field, From kind, const std::string& name) {
      if (connection) at.at(field).refuse("a connection has none; use address or server_name");
      if (name.empty()) at.at(field).refuse("a name is required");
      made = {kind, name};
    };
    switch (p.from_case()) {
      case pb::Parameter::kHeader:
        named("header", From::kHeader, base::to_lower(p.header()));
        break;
      case pb::Parameter::kQuery:
        named("query", From::kQuery, p.query());
        break;
      case pb::Parameter::kCookie:
        named("cookie", From::kCookie, p.cookie());
        break;
      case pb::Parameter::kPathVariable:
        named("path_variable", From::kPathVariable, p.path_variable());
        break;
      case pb::Parameter::kAddress:
        made.from = From::kAddress;
        break;
      case pb::Parameter::kServerName:
        made.from = From::kServerName;
        break;
      default:
        at.refuse("one of header, query, cookie, path_variable, address, server_name is expected");
    }
    out.push_back(std::move(made));
  }
  return out;
}

FlowResource resource_of(const CompileContext& at, const pb::ResourceName& from, bool connection) {
  FlowResource out;
  using By = FlowResource::By;
  switch (from.by()) {
    case pb::ResourceName::TEXT:
      out.by = By::kText;
      out.text = from.text();
      if (out.text.empty()) at.at("text").refuse("the resource's name is required, or say in `by` what it is called after");
      break;
    case pb::ResourceName::ROUTE:
      out.by = By::kRoute;
      break;
    case pb::ResourceName::CLUSTER:
      out.by = By::kCluster;
      break;
    case pb::ResourceName::SERVICE:
      out.by = By::kService;
      break;
    case pb::ResourceName::PATH:
      out.by = By::kPath;
      break;
    default:
      at.at("by").refuse("one of TEXT, ROUTE, CLUSTER, SERVICE, PATH is expected");
  }
  if (connection && out.by != By::kText && out.by != By::kCluster) at.at("by").refuse("a connection has a cluster alone; use CLUSTER or TEXT");
  if (out.by != By::kPath && from.path_templates_size() > 0) at.at("path_templates").refuse("these are for PATH alone");
  for (const auto& text : from.path_templates()) {
    std::string problem;
    if (!PathTemplate::compile(text, out.templates.emplace_back(), problem)) at.at("path_templates", static_cast<int>(out.templates.size()) - 1).refuse("{}", problem);
  }
  out.path_segments = from.path_segments();
  out.method_prefix = from.method_prefix();
  if (connection && out.method_prefix) at.at("method_prefix").refuse("a connection has no method");
  return out;
}

FlowCounters counters_of(const std::string& prefix) {
  FlowCounters out;
  auto counter = [&](std::string_view name) { return &filter_counter(fmt::format("{}.flow.{}", prefix, name)); };
  out.pass = counter("pass");
  out.block = counter("block");
  out.queued = counter("queued");
  out.exception = counter("exception");
  for (size_t i = 0; i < std::size(kKinds); ++i) out.by_kind[i] = counter(fmt::format("block_{}", kKinds[i].word));
  return out;
}

FlowDashboards dashboards_of(const CompileContext& at, const pb::Dashboards& from) {
  if (from.addresses().empty()) at.at("addresses").refuse("at least one dashboard is required, as host:port");
  if (from.command_port() > 65535) at.at("command_port").refuse("must be at most 65535");
  auto ip = [](const CompileContext& field, const std::string& text) {
    if (!io::Address::parse_ip(text, 0)) field.refuse("\"{}\" is no IP address", text);
  };
  if (!from.command_address().empty()) ip(at.at("command_address"), from.command_address());
  for (int i = 0; i < from.command_peers_size(); ++i) ip(at.at("command_peers", i), from.command_peers(i));
  // Pods and containers often have nowhere to keep files, and dashboards ask for the last seconds alone.
  return {.addresses = {from.addresses().begin(), from.addresses().end()}, .port = static_cast<int>(from.command_port()), .interface = from.command_address(),
          .peers = {from.command_peers().begin(), from.command_peers().end()}, .gateway = from.gateway(), .metric_log = false};
}

}  // namespace

std::shared_ptr<const FlowConfig> compile_flow(const CompileContext& at, const google::protobuf::Any& any, bool outbound, bool connection) {
  auto from = unpack<pb::FlowControl>(at, any);
  auto out = std::make_shared<FlowConfig>();
  if (from.app().empty()) at.at("app").refuse("the name of the app whose rules hold is required");
  rules_of(at, "flow_rules", from.has_flow_rules(), from.flow_rules(), out->rules.flow);
  rules_of(at, "degrade_rules", from.has_degrade_rules(), from.degrade_rules(), out->rules.degrade);
  rules_of(at, "param_flow_rules", from.has_param_flow_rules(), from.param_flow_rules(), out->rules.param_flow);
  rules_of(at, "system_rules", from.has_system_rules(), from.system_rules(), out->rules.system);
  rules_of(at, "authority_rules", from.has_authority_rules(), from.authority_rules(), out->rules.authority);
  rules_of(at, "gateway_flow_rules", from.has_gateway_flow_rules(), from.gateway_flow_rules(), out->rules.gateway_flow);
  rules_of(at, "gateway_api_definitions", from.has_gateway_api_definitions(), from.gateway_api_definitions(), out->rules.gateway_apis);
  if (connection && (out->rules.gateway_flow || out->rules.gateway_apis)) at.refuse("gateway rules are for requests; use the HTTP filter");
  out->inbound = from.has_inbound() ? from.inbound().value() : !outbound;
  for (int i = 0; i < from.resources_size(); ++i) out->resources.push_back(resource_of(at.at("resources", i), from.resources(i), connection));
  if (out->resources.empty()) out->resources.emplace_back().by = connection ? FlowResource::By::kCluster : FlowResource::By::kRoute;
  out->origin = origin_of(at.at("origin"), from.origin(), connection);
  out->context = from.context();
  out->parameters = parameters_of(at, from.parameters(), connection);
  if (from.has_dashboards()) out->dashboards = dashboards_of(at.at("dashboards"), from.dashboards());
  // Last: what was refused leaves nothing behind.
  out->counters = counters_of(from.stat_prefix().empty() ? from.app() : from.stat_prefix());
  out->app = &FlowApp::of(from.app());
  return out;
}

std::shared_ptr<const FlowRoute> compile_flow_route(const CompileContext& at, const google::protobuf::Any& any) {
  auto from = unpack<pb::FlowControlPerRoute>(at, any);
  auto out = std::make_shared<FlowRoute>();
  out->resource = from.resource();
  out->context = from.context();
  out->has_origin = from.has_origin();
  out->origin = origin_of(at.at("origin"), from.origin(), false);
  out->has_parameters = from.parameters_size() > 0;
  out->parameters = parameters_of(at, from.parameters(), false);
  return out;
}

const FlowKind& flow_kind(flow::Verdict verdict) { return kKinds[kind_of(verdict)]; }

void count_refused(const FlowCounters& counters, flow::Verdict verdict) {
  counters.block->fetch_add(1, std::memory_order_relaxed);
  counters.by_kind[kind_of(verdict)]->fetch_add(1, std::memory_order_relaxed);
}

void FlowRuleBook::put(const ListenerConfig& listener) {
  Configs after;
  auto chain = [&](const FilterChain& c) {
    if (c.tcp && c.tcp->flow) after.push_back(c.tcp->flow);
    if (!c.http) return;
    for (const auto& filter : c.http->filters)
      if (auto flow = filter->flow()) after.push_back(std::move(flow));
  };
  for (const FilterChain& c : listener.chains) chain(c);
  if (listener.default_chain) chain(*listener.default_chain);
  auto at = listeners_.find(listener.name);
  if (at == listeners_.end() && after.empty()) return;
  Configs before = at == listeners_.end() ? Configs() : std::move(at->second);
  listeners_[listener.name] = after;
  load(before, after);
}

void FlowRuleBook::remove(const std::string& listener) {
  auto at = listeners_.extract(listener);
  if (at) load(at.mapped(), {});
}

void FlowRuleBook::load(const Configs& before, const Configs& after) {
  std::set<FlowApp*> concerned;
  for (const Configs* list : {&before, &after})
    for (const auto& config : *list) concerned.insert(config->app);
  for (FlowApp* app : concerned) {
    FlowRules all;
    const FlowDashboards* dashboards = nullptr;
    for (const auto& [name, configs] : listeners_) {
      for (const auto& config : configs) {
        if (config->app != app) continue;
        all.add(config->rules);
        if (!dashboards && config->dashboards) dashboards = &*config->dashboards;
      }
    }
    app->load(all);
    auto client = clients_.find(app);
    if (client != clients_.end() && dashboards && client->second.dashboards == *dashboards) continue;
    if (client != clients_.end()) clients_.erase(client);  // first, so that its port is free
    if (dashboards) clients_[app] = {*dashboards, std::make_unique<FlowClient>(loop_, *app, *dashboards)};
  }
}

}  // namespace fairlead::proxy
