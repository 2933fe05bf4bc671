#include "api/server.h"

#include <fmt/core.h>

#include "api/auth.h"
#include "api/discovery.h"
#include "api/handlers.h"
#include "api/kind_table.h"
#include "api/registry.h"
#include "base/log.h"
#include "base/strings.h"
#include "mesh/openapi.h"

namespace fairlead::api {

using base::Value;

struct ApiServer::Core : std::enable_shared_from_this<ApiServer::Core> {
  Core(io::Loop& loop, store::Store& s, PodBackend* pods, Options o)
      : options(std::move(o)), kinds(s), registry(loop, s, kinds, {options.services, options.webhook, options.ca_pem}),
        tokens(options.token_key_pem), auth(s, tokens, options.system_namespaces), discovery(kinds),
        services{loop, s, registry, auth, tokens, pods} {}

  void handle(std::shared_ptr<http::Exchange> exchange);
  void route(const RequestPtr& request);
  bool serve_documents(const RequestPtr& request, std::string_view path);
  void version(const RequestPtr& request);

  const Options options;
  KindTable kinds;
  Registry registry;
  Tokens tokens;
  Auth auth;
  Discovery discovery;
  Services services;
};

ApiServer::ApiServer(io::Loop& loop, store::Store& store, PodBackend* pods, Options options)
    : core_(std::make_shared<Core>(loop, store, pods, std::move(options))) {}
ApiServer::~ApiServer() = default;

base::Status ApiServer::bootstrap() { return core_->registry.bootstrap(); }
void ApiServer::set_pod_backend(PodBackend* pods) { core_->services.pods = pods; }
Client& ApiServer::client() { return core_->registry; }
const Tokens& ApiServer::tokens() const { return core_->tokens; }

http::Handler ApiServer::handler() {
  return [weak = std::weak_ptr<Core>(core_)](std::shared_ptr<http::Exchange> exchange) {
    auto core = weak.lock();
    if (!core) return exchange->respond(503, "text/plain", "shutting down\n");
    core->handle(std::move(exchange));
  };
}

static bool is_health(std::string_view path) {
  for (std::string_view probe : {"/healthz", "/readyz", "/livez"})
    if (path == probe || (path.starts_with(probe) && path[probe.size()] == '/')) return true;
  return false;
}

void ApiServer::Core::handle(std::shared_ptr<http::Exchange> exchange) {
  const std::string path(exchange->request().path());
  if (is_health(path)) {
    const bool verbose = http::has_query_param(exchange->request().query(), "verbose");
    return exchange->respond(200, "text/plain; charset=utf-8", verbose ? fmt::format("[+]ping ok\n[+]store ok\n{} check passed\n", path.substr(1, path.find('/', 1) - 1)) : "ok");
  }
  auto caller = auth.authenticate(*exchange);
  if (caller) caller = auth.impersonated(*caller, exchange->request().headers);
  if (path == "/version") {
    auto request = std::make_shared<Request>(std::move(exchange), caller ? *caller : Caller{"system:anonymous", "", {}});
    return version(request);
  }
  auto request = std::make_shared<Request>(std::move(exchange), caller ? *caller : Caller{});
  if (!caller) return request->answer(caller.error());
  route(request);
}

void ApiServer::Core::version(const RequestPtr& request) {
  auto parts = base::split(std::string_view(options.version).substr(1), '.');
  request->answer(200, Value::object({{"major", parts[0]},
                                      {"minor", parts.size() > 1 ? parts[1] : "0"},
                                      {"gitVersion", options.version + "+fairlead"},
                                      {"gitCommit", ""},
                                      {"gitTreeState", "clean"},
                                      {"buildDate", "1970-01-01T00:00:00Z"},
                                      {"goVersion", ""},
                                      {"compiler", "gcc"},
                                      {"platform", "linux/amd64"}}));
}

bool ApiServer::Core::serve_documents(const RequestPtr& request, std::string_view path) {
  if (path == "/" || path.empty()) {
    request->answer(200, Value::object({{"paths", Value::array({"/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"})}}));
    return true;
  }
  if (path == "/openapi/v2" && request->head().headers.get("accept").find("openapi.spec.v2") != std::string_view::npos) {
    request->answer_text(200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", mesh::openapi_v2_protobuf());
    return true;
  }
  if (path.starts_with("/openapi/")) {
    auto text = discovery.openapi(path);
    if (!text) return false;
    request->answer_text(200, "application/json", *text);
    return true;
  }
  if (path == "/api" || path == "/apis") {
    // The first alternative of Accept that we know decides.
    for (auto alternative : base::split(request->head().headers.get("accept"), ',')) {
      if (alternative.find("as=APIGroupDiscoveryList") == std::string_view::npos) {
        if (base::trim(alternative).starts_with("application/json")) break;
        continue;
      }
      for (const char* v : {"v2", "v2beta1"}) {
        if (alternative.find(fmt::format("v={};", v)) == std::string_view::npos && !base::trim(alternative).ends_with(fmt::format("v={}", v))) continue;
        const std::string type = fmt::format("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", v);
        request->answer_text(200, type, discovery.aggregated(path == "/api", v).dump());
        return true;
      }
    }
  }
  if (auto document = discovery.document(path)) {
    request->answer(200, *document);
    return true;
  }
  return false;
}

void ApiServer::Core::route(const RequestPtr& request) {
  const auto& head = request->head();
  const std::string path(head.path());
  if (head.method == "GET" && serve_documents(request, path)) return;
  auto not_found = [&] { request->answer_text(404, "text/plain; charset=utf-8", "404 page not found\n"); };
  auto target = parse_target(path);
  if (!target) return not_found();
  request->target = std::move(*target);
  const Target& t = request->target;
  const std::string_view verb = verb_of(head, t);
  if (verb.empty()) return request->answer(method_not_allowed());

  const bool review = t.group == "authentication.k8s.io" || t.group == "authorization.k8s.io";
  request->kind = kinds.find(t.group, t.version, t.plural);
  if (!review) {
    if (!request->kind) return not_found();
    // An object of a namespaced kind has to be addressed in its namespace, one of the others must not be.
    if (request->kind->namespaced ? (t.ns.empty() && (!t.collection() || verb == "create")) : !t.ns.empty()) return not_found();
  }
  if (auto ok = auth.authorize(request->caller(), verb, t); !ok) return request->answer(ok.error());
  if (is_pod_stream(t) && (head.method == "GET" || head.method == "POST")) return handle_pod_stream(services, request);
  if (head.method == "GET" || head.method == "HEAD") {
    if (review) return request->answer(method_not_allowed());
    return handle_resource(services, request, verb, {});
  }
  request->exchange().read_body(kMaxBodyBytes, [self = shared_from_this(), request, verb, review](std::string body) {
    if (!review) return handle_resource(self->services, request, verb, std::move(body));
    if (verb != "create") return request->answer(method_not_allowed());
    auto document = parse_body(*request, body);
    if (!document) return request->answer(document.error());
    auto answer = self->auth.review(request->caller(), request->target, std::move(document->value));
    if (!answer) return request->answer(answer.error());
    request->answer(201, *answer);
  });
}

}  // namespace fairlead::api
