// Paths, errors and shorthands of the Kubernetes client: what needs no connection.
#include <fmt/format.h>

#include <cstdlib>

#include "base/file.h"
#include "base/strings.h"
#include "mesh/kinds.h"
#include "store/kube_client.h"

namespace fairlead::store {
namespace {

using base::Code;

constexpr const char* kAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount/";

}  // namespace

base::Result<KubeConfig> in_cluster_config() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (!host || !*host)
    return base::fail(Code::kFailedPrecondition, "not in a pod: KUBERNETES_SERVICE_HOST is not set; name a kubeconfig instead");
  KubeConfig config;
  std::string name = std::string(host).find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  config.server = fmt::format("https://{}:{}", name, port && *port ? port : "443");
  config.tls.ca_pem = base::read_file(std::string(kAccountDir) + "ca.crt").value_or("");
  config.token_file = std::string(kAccountDir) + "token";
  std::string ns(base::trim(base::read_file(std::string(kAccountDir) + "namespace").value_or("")));
  if (!ns.empty()) config.ns = ns;
  if (config.tls.ca_pem.empty())
    return base::fail(Code::kFailedPrecondition, "{}ca.crt is missing or empty: the pod has no service account volume", kAccountDir);
  return config;
}

base::Result<std::string> kube_path(std::string_view resource, std::string_view ns, std::string_view name,
                                    std::string_view subresource) {
  const auto* kind = mesh::find_kind_by_resource(resource);
  if (!kind) return base::fail(Code::kInvalidArgument, "\"{}\" is not a known resource", resource);
  std::string path = kind->group.empty() ? fmt::format("/api/{}", kind->versions.front())
                                         : fmt::format("/apis/{}/{}", kind->group, kind->versions.front());
  if (!ns.empty() && kind->namespaced) path += fmt::format("/namespaces/{}", base::url_encode(ns));
  path += fmt::format("/{}", kind->plural);
  if (!name.empty()) path += fmt::format("/{}", base::url_encode(name));
  if (!subresource.empty()) path += fmt::format("/{}", subresource);
  return path;
}

base::Error kube_error(int http_status, std::string_view body) {
  base::Error error{Code::kInternal, std::string(base::trim(body.substr(0, 1000))), {}};
  std::string reason;
  if (auto status = base::parse_json(body); status && (*status)["kind"].as_string() == "Status") {
    error.message = (*status)["message"].as_string();
    reason = (*status)["reason"].as_string();
  }
  if (error.message.empty()) error.message = fmt::format("the API server answered {}", http_status);
  switch (http_status) {
    case 400: case 422: error.code = Code::kInvalidArgument; break;
    case 401: error.code = Code::kUnauthenticated; break;
    case 403: error.code = Code::kPermissionDenied; break;
    case 404: error.code = Code::kNotFound; break;
    case 405: case 501: error.code = Code::kUnimplemented; break;
    case 409: error.code = reason == "AlreadyExists" ? Code::kAlreadyExists : Code::kConflict; break;
    case 410: error.code = Code::kExpired; break;
    case 413: case 429: error.code = Code::kResourceExhausted; break;
    case 502: case 503: error.code = Code::kUnavailable; break;
    case 504: error.code = Code::kDeadlineExceeded; break;
    default: break;
  }
  return error;
}

void KubeClient::get(std::string_view resource, std::string_view ns, std::string_view name, Done done) {
  auto path = kube_path(resource, ns, name);
  if (!path) return done(std::unexpected(path.error()));
  request("GET", *path, "", "", std::move(done));
}

void KubeClient::list(std::string_view resource, std::string_view ns, std::string_view query, Done done) {
  auto path = kube_path(resource, ns);
  if (!path) return done(std::unexpected(path.error()));
  request("GET", query.empty() ? *path : fmt::format("{}?{}", *path, query), "", "", std::move(done));
}

namespace {
base::Result<std::string> path_of(const base::Value& object, bool with_name) {
  const auto* kind = mesh::find_kind_of(object);
  if (!kind)
    return base::fail(Code::kInvalidArgument, "no such kind: {} {}", object["apiVersion"].as_string(), object["kind"].as_string());
  const auto& metadata = object["metadata"];
  return kube_path(kind->resource(), metadata["namespace"].as_string(), with_name ? metadata["name"].as_string() : "");
}
}  // namespace

void KubeClient::create(const base::Value& object, Done done) {
  auto path = path_of(object, false);
  if (!path) return done(std::unexpected(path.error()));
  request("POST", *path, "application/json", object.dump(), std::move(done));
}

void KubeClient::update(const base::Value& object, Done done) {
  auto path = path_of(object, true);
  if (!path) return done(std::unexpected(path.error()));
  request("PUT", *path, "application/json", object.dump(), std::move(done));
}

void KubeClient::patch(std::string_view resource, std::string_view ns, std::string_view name, PatchType type,
                       const base::Value& patch, Done done, std::string_view subresource) {
  auto path = kube_path(resource, ns, name, subresource);
  if (!path) return done(std::unexpected(path.error()));
  const char* content_type = type == PatchType::kJson    ? "application/json-patch+json"
                             : type == PatchType::kMerge ? "application/merge-patch+json"
                                                         : "application/strategic-merge-patch+json";
  request("PATCH", *path, content_type, patch.dump(), std::move(done));
}

void KubeClient::remove(std::string_view resource, std::string_view ns, std::string_view name, Done done,
                        const base::Value& options) {
  auto path = kube_path(resource, ns, name);
  if (!path) return done(std::unexpected(path.error()));
  bool bare = options.is_null();
  request("DELETE", *path, bare ? "" : "application/json", bare ? "" : options.dump(), std::move(done));
}

}  // namespace fairlead::store
