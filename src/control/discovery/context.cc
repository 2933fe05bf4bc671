#include "control/discovery/context.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "control/resolve.h"

namespace fairlead::control {
namespace {

// The Sidecar resource for this proxy: one that selects it, else its namespace's, else the root namespace's.
const Config* sidecar_of(const Snapshot& snapshot, const Proxy& proxy, const Labels& labels) {
  if (proxy.router) return nullptr;
  const Config* fallback = nullptr;
  for (const auto& config : snapshot.sidecars) {
    if (config->ns == proxy.ns && !config->selector.empty() && subset_of(config->selector, labels)) return config.get();
    if (!config->selector.empty()) continue;
    if (config->ns == proxy.ns) fallback = config.get();
    if (config->ns == snapshot.mesh.root_namespace && (!fallback || fallback->ns != proxy.ns)) fallback = config.get();
  }
  return fallback;
}

// "ns/host" of Sidecar.egress[].hosts: "./*", "*/*", "istio-system/*", "prod/api.example.com"
bool egress_allows(const Config& sidecar, std::string_view viewer_ns, std::string_view ns, std::string_view host) {
  if (sidecar.spec["egress"].empty()) return true;
  for (const auto& listener : sidecar.spec["egress"].items())
    for (const auto& entry : listener["hosts"].items()) {
      std::string_view text = entry.as_string();
      size_t slash = text.find('/');
      if (slash == std::string_view::npos) continue;
      std::string_view where = text.substr(0, slash), what = text.substr(slash + 1);
      bool ns_fits = where == "*" || where == ns || (where == "." && ns == viewer_ns);
      if (ns_fits && hosts_overlap(what, host)) return true;
    }
  return false;
}

}  // namespace

Context::Context(SnapshotPtr snapshot, Proxy proxy) : snapshot_(std::move(snapshot)), proxy_(std::move(proxy)) {
  labels_ = control::labels_of(*snapshot_, proxy_);
  const Config* sidecar = sidecar_of(*snapshot_, proxy_, labels_);
  registry_only_ = snapshot_->mesh.registry_only;
  if (sidecar && sidecar->spec["outboundTrafficPolicy"].is_object())
    registry_only_ = sidecar->spec["outboundTrafficPolicy"]["mode"].as_string() == "REGISTRY_ONLY";
  for (const auto& service : snapshot_->services) {
    if (!visible(service->export_to, service->ns, proxy_.ns)) continue;
    if (sidecar && !egress_allows(*sidecar, proxy_.ns, service->ns, service->host)) continue;
    auto [it, added] = by_host_.try_emplace(service->host, service);
    if (!added && it->second->ns != proxy_.ns && service->ns == proxy_.ns) it->second = service;
  }
  for (const auto& service : snapshot_->services)
    if (service->resolution != Resolution::kAlias)
      if (auto it = by_host_.find(service->host); it != by_host_.end() && it->second == service) services_.push_back(service);
  for (const auto& config : snapshot_->virtual_services) {
    if (!visible(config->export_to, config->ns, proxy_.ns)) continue;
    if (std::find(config->gateways.begin(), config->gateways.end(), "mesh") == config->gateways.end()) continue;
    if (sidecar && std::none_of(config->hosts.begin(), config->hosts.end(), [&](const std::string& host) {
          return egress_allows(*sidecar, proxy_.ns, config->ns, host);
        }))
      continue;
    virtual_services_.push_back(config);
  }
}

const Service* Context::find(std::string_view host) const {
  auto it = by_host_.find(std::string(host));
  return it == by_host_.end() ? nullptr : it->second.get();
}

std::string cluster_name(std::string_view direction, int port, std::string_view subset, std::string_view host) {
  return fmt::format("{}|{}|{}|{}", direction, port, subset, host);
}

std::optional<ClusterKey> parse_cluster_name(std::string_view name) {
  auto parts = base::split(name, '|');
  // "outbound_.9080_.v1_.reviews.default.svc.cluster.local": the server name that stands for a cluster.
  bool sni = parts.size() == 1 && name.starts_with("outbound_.");
  std::string spelled;
  if (sni) {
    spelled = base::replace_all(std::string(name), "_.", "|");
    parts = base::split(spelled, '|');
  }
  if (parts.size() != 4) return std::nullopt;
  auto port = base::to_int(parts[1]);
  if (!port) return std::nullopt;
  return ClusterKey{std::string(parts[0]), std::string(parts[2]), std::string(parts[3]), static_cast<int>(*port), sni};
}

std::string destination_cluster(const Context& context, const base::Value& destination, int listener_port, bool infer_port) {
  std::string host = destination["host"].as_string();
  if (host.empty()) return "UnknownService";
  const Service* service = context.find(host);
  if (service && service->resolution == Resolution::kAlias) host = service->external_name;
  int port = listener_port;
  if (const auto& number = destination["port"]["number"]; number.is_int()) {
    port = static_cast<int>(number.as_int());
  } else if (infer_port && service && service->ports.size() == 1) {
    port = service->ports[0].number;
  }
  return cluster_name("outbound", port, destination["subset"].as_string(), host);
}

std::string config_path(const Config& config) {
  std::string kind;  // kebab case
  for (char c : config.kind) {
    if (c >= 'A' && c <= 'Z' && !kind.empty()) kind += '-';
    kind += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return fmt::format("/apis/networking.istio.io/v1/namespaces/{}/{}/{}", config.ns, kind, config.name);
}

}  // namespace fairlead::control
