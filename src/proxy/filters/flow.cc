// fairlead.filters.http.flow: asks the flow control engine of an app whether a request may go on, and tells it how that ended. The
// answers are those of Sentinel's web adapters: 429 for every kind of rule.
#include "base/strings.h"
#include "http/grpc.h"
#include "http/message.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"
#include "proxy/flow/flow_call.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {
namespace {

using Variables = std::vector<PathTemplate::Variable>;

// What this worker knows of the apps' names, renewed when they change; and room for what is found in a request, so that the next one
// allocates nothing.
struct NamesCache final : WorkerLocal {
  struct Entry {
    const FlowApp* app;
    uint64_t version;
    std::shared_ptr<const FlowApp::Names> names;
  };
  std::vector<Entry> entries;
  std::vector<std::string_view> resources;
  Variables variables;
  std::vector<flow::Param> params;
  std::string name;

  const FlowApp::Names& of(const FlowApp& app) {
    const uint64_t version = app.names_version();
    for (Entry& e : entries) {
      if (e.app != &app) continue;
      if (e.version != version) e = {&app, version, app.names()};
      return *e.names;
    }
    return *entries.emplace_back(Entry{&app, version, app.names()}).names;
  }
};
constexpr char kCacheKey = 0;

// Of the client behind trusted proxies, without the port.
std::string_view address_of(Exchange& x) {
  std::string_view text = x.info().downstream_remote;
  if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
  return text.substr(0, text.rfind(':'));
}

std::string_view cookie_of(Exchange& x, std::string_view name) {
  for (const HeaderMap::Field& f : x.request().fields) {
    if (f.name != "cookie") continue;
    for (std::string_view part : base::split(f.value, ';')) {
      part = base::trim(part);
      if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=') return part.substr(name.size() + 1);
    }
  }
  return {};
}

flow::GatewayRequest::Value query_of(Exchange& x, std::string_view name) {
  const RequestHeaders& request = x.request();
  std::string_view query = request.target.substr(request.path().size());
  if (query.starts_with('?')) query.remove_prefix(1);
  if (query.empty() || !http::has_query_param(query, name)) return std::nullopt;
  return x.request().fields.store(http::query_param(query, name));
}

struct RequestForGateway final : flow::GatewayRequest {
  explicit RequestForGateway(Exchange& exchange) : x(exchange) {}
  Value remote_address() const override { return address_of(x); }
  Value header(std::string_view name) const override {
    const std::string lower = base::to_lower(name);
    if (lower == "host") return x.request().authority;
    const HeaderMap::Field* field = x.request().fields.find(lower);
    return field ? Value(field->value) : std::nullopt;
  }
  Value url_param(std::string_view name) const override { return query_of(x, name); }
  Value cookie(std::string_view name) const override {
    std::string_view value = cookie_of(x, name);
    return value.empty() ? std::nullopt : Value(value);
  }
  Exchange& x;
};

// A grpc-message: what is not printable ASCII is percent-encoded (gRPC over HTTP/2, "Responses").
std::string grpc_message(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// What the upstream did, or did not do in time, is a failure; what the client broke off is not.
bool failed(const StreamInfo& info, bool grpc) {
  if (info.status >= 500) return true;
  constexpr uint32_t kUpstream = kFlagUpstreamReset | kFlagUpstreamTermination | kFlagUpstreamTimeout | kFlagUpstreamProtocolError | kFlagUpstreamConnectFailure |
                                 kFlagDurationTimeout | kFlagStreamIdleTimeout | kFlagMaxDuration;
  if (info.flags & kUpstream) return true;
  if (!grpc) return false;
  switch (grpc_status_of(info).value_or(0)) {
    case 2:   // UNKNOWN
    case 4:   // DEADLINE_EXCEEDED
    case 12:  // UNIMPLEMENTED
    case 13:  // INTERNAL
    case 14:  // UNAVAILABLE
    case 15:  // DATA_LOSS
      return true;
    default:
      return false;
  }
}

class FlowFilter final : public Filter {
 public:
  FlowFilter(std::string name, std::shared_ptr<const FlowConfig> config) : Filter(std::move(name), kRequest | kEnd), config_(std::move(config)) {}

  std::shared_ptr<const FlowConfig> flow() const override { return config_; }

  Next on_request(Exchange& x) const override {
    const auto* route = static_cast<const FlowRoute*>(x.route_filter(*this));
    auto& cache = x.worker().local<NamesCache>(&kCacheKey);
    const FlowApp::Names& names = cache.of(*config_->app);
    Variables& variables = cache.variables;
    variables.clear();
    // Templates are looked through before the arguments, which may be their variables.
    std::vector<std::string_view>& resources = cache.resources;
    resources.clear();
    if (route && !route->resource.empty()) {
      resources.push_back(route->resource);
      if (uses_variables(route)) (void)by_path(x, names, nullptr, variables);
    } else {
      for (const FlowResource& r : config_->resources)
        if (std::string_view name = name_of(x, r, names, variables, cache.name); !name.empty()) resources.push_back(name);
    }

    std::vector<flow::Param>& params = cache.params;
    params.clear();
    for (const FlowParameter& wanted : route && route->has_parameters ? route->parameters : config_->parameters) params.push_back(parameter(x, wanted, variables));
    const std::string& context = route && !route->context.empty() ? route->context : config_->context;
    flow::Call how{.context = context, .origin = origin_of(x, route && route->has_origin ? route->origin : config_->origin), .inbound = config_->inbound,
                   .params = params};

    auto call = std::make_unique<FlowCall>(*config_);
    auto enter = [&](std::string_view resource, int mode) {
      if (!names.gateway) return call->enter(resource, how);
      // Gateway rules have their own arguments, in place of these.
      std::vector<flow::Param> arguments;
      names.gateway->params(resource, mode, RequestForGateway(x), arguments);
      flow::Call asked = how;
      if (!arguments.empty()) asked.params = arguments;
      return call->enter(resource, asked);
    };
    for (const std::string_view name : resources)
      if (!enter(name, flow::kResourceRoute)) return refuse(x, *call, name);
    if (names.gateway) {
      std::vector<std::string_view> apis;
      names.gateway->apis(x.request().path(), apis);
      for (std::string_view name : apis)
        if (!enter(name, flow::kResourceApi)) return refuse(x, *call, name);
    }
    if (call->empty()) return Next::kGoOn;
    config_->counters.pass->fetch_add(1, std::memory_order_relaxed);
    FlowCall& entered = *call;
    x.keep(*this, std::move(call));
    if (entered.wait_ns() <= 0) return Next::kGoOn;
    entered.wait(x.worker().loop(), [&x] { x.resume_filters(); });
    return Next::kStop;
  }

  void on_end(Exchange& x) const override {
    auto* call = static_cast<FlowCall*>(x.kept(*this));
    if (call) call->leave(failed(x.info(), http::is_grpc_type(x.request().fields.get("content-type"))));
  }

 private:
  // Calls that it entered before end with it.
  Next refuse(Exchange& x, const FlowCall& call, std::string_view resource) const {
    const FlowKind& kind = flow_kind(call.verdict());
    std::string body = fmt::format("Blocked by flow control: resource \"{}\" ({})", resource, kind.sentence);
    if (http::is_grpc_type(x.request().fields.get("content-type"))) {
      x.response().fields.add_view("grpc-status", "8");  // RESOURCE_EXHAUSTED
      body = grpc_message(body);
    }
    x.reply(429, body, kind.details, kFlagRateLimited);
    return Next::kStop;
  }

  bool uses_variables(const FlowRoute* route) const {
    for (const FlowParameter& p : route->has_parameters ? route->parameters : config_->parameters)
      if (p.from == FlowParameter::From::kPathVariable) return true;
    return false;
  }

  // Empty: the request has no such resource. The view lives as long as the configuration, the request or `names`.
  std::string_view name_of(Exchange& x, const FlowResource& resource, const FlowApp::Names& names, Variables& variables, std::string& scratch) const {
    std::string_view name;
    switch (resource.by) {
      case FlowResource::By::kText:
        name = resource.text;
        break;
      case FlowResource::By::kRoute:
        if (x.route_config()) name = x.route_config()->name;
        if (name.empty() && x.route_cluster()) name = x.route_cluster()->name;
        break;
      case FlowResource::By::kService:
        if (Cluster* cluster = x.upstream_cluster(); cluster && cluster->config().service) name = cluster->config().service->host;
        if (!name.empty()) break;
        [[fallthrough]];
      case FlowResource::By::kCluster:
        if (x.route_cluster()) name = x.route_cluster()->name;
        break;
      case FlowResource::By::kPath:
        if (const PathTemplate* found = by_path(x, names, &resource, variables)) {
          if (found->has_method()) return found->text();
          name = found->text();
        } else {
          name = resource.path_segments ? path_beginning(x.request().path(), resource.path_segments) : std::string_view("other");
        }
        break;
    }
    if (!resource.method_prefix || name.empty()) return name;
    scratch.assign(x.request().method).append(":").append(name);
    return x.request().fields.store(scratch);
  }

  // nullptr: no template matches. `own`: of this resource; of all, where it is null.
  const PathTemplate* by_path(Exchange& x, const FlowApp::Names& names, const FlowResource* own, Variables& variables) const {
    const std::string_view method = x.request().method, path = x.request().path();
    for (const FlowResource& r : config_->resources) {
      if (own && &r != own) continue;
      for (const PathTemplate& t : r.templates)
        if (t.matches(method, path, variables)) return &t;
    }
    // Those that name a method say more than those that don't.
    for (const bool with_method : {true, false})
      for (const PathTemplate& t : names.templates)
        if (t.has_method() == with_method && t.matches(method, path, variables)) return &t;
    return nullptr;
  }

  static std::string_view origin_of(Exchange& x, const FlowOrigin& from) {
    if (!from.header.empty())
      if (std::string_view said = x.request().fields.get(from.header); !said.empty()) return said;
    if (from.peer)
      if (std::string_view peer = flow_peer(x.connection()); !peer.empty()) return peer;
    return from.address ? address_of(x) : std::string_view();
  }

  static flow::Param parameter(Exchange& x, const FlowParameter& from, const Variables& variables) {
    using From = FlowParameter::From;
    std::string_view value;
    switch (from.from) {
      case From::kHeader:
        value = x.request().fields.get(from.name);
        break;
      case From::kQuery:
        if (auto found = query_of(x, from.name)) return *found;
        return {};
      case From::kCookie:
        value = cookie_of(x, from.name);
        break;
      case From::kPathVariable:
        for (const PathTemplate::Variable& v : variables)
          if (v.name == from.name) value = v.value;
        break;
      case From::kAddress:
        value = address_of(x);
        break;
      case From::kServerName:
        value = x.connection().server_name;
        break;
    }
    return value.empty() ? flow::Param() : flow::Param(value);
  }

  std::shared_ptr<const FlowConfig> config_;
};

}  // namespace

const FilterType kFlowFilter = {
    "fairlead.filters.http.flow", "fairlead.flow.v1.FlowControl", "fairlead.flow.v1.FlowControlPerRoute",
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      if (!source.any || source.type.empty()) at.refuse("a fairlead.flow.v1.FlowControl that names its app is required");
      return std::make_shared<FlowFilter>(source.name, compile_flow(at, *source.any, source.outbound, false));
    },
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const RouteFilter> { return compile_flow_route(at, *source.any); }};

}  // namespace fairlead::proxy
