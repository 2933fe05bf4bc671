#include "control/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace fairlead::control {

std::string resolve_host(std::string_view host, std::string_view ns, std::string_view domain) {
  std::string lower = base::to_lower(host);
  if (lower.empty() || lower == "*" || lower.find('.') != std::string::npos) return lower;
  return fmt::format("{}.{}.svc.{}", lower, ns, domain);
}

std::string resolve_gateway(std::string_view name, std::string_view ns) {
  if (name == "mesh") return "mesh";
  if (name.starts_with("./")) return fmt::format("{}/{}", ns, name.substr(2));
  if (name.find('/') != std::string_view::npos) return std::string(name);
  // The old form: name.namespace.svc.cluster.local
  auto parts = base::split(name, '.');
  if (parts.size() > 1) return fmt::format("{}/{}", parts[1], parts[0]);
  return fmt::format("{}/{}", ns, name);
}

namespace {

void whole_destination(base::Value& destination, const Config& config, std::string_view domain) {
  if (auto* host = destination.find("host")) *host = resolve_host(host->as_string(), config.ns, domain);
}

void whole_matches(base::Value& route, const Config& config) {
  auto* matches = route.find("match");
  if (!matches) return;
  for (auto& match : matches->mutable_items())
    if (auto* gateways = match.find("gateways"))
      for (auto& gateway : gateways->mutable_items()) gateway = resolve_gateway(gateway.as_string(), config.ns);
}

void whole_virtual_service(Config& config, std::string_view domain) {
  for (const auto& host : config.spec["hosts"].items()) config.hosts.push_back(resolve_host(host.as_string(), config.ns, domain));
  for (const auto& gateway : config.spec["gateways"].items())
    config.gateways.push_back(resolve_gateway(gateway.as_string(), config.ns));
  if (config.gateways.empty()) config.gateways.push_back("mesh");
  for (const char* kind : {"http", "tcp", "tls"}) {
    auto* routes = config.spec.find(kind);
    if (!routes) continue;
    for (auto& route : routes->mutable_items()) {
      whole_matches(route, config);
      if (auto* list = route.find("route"))
        for (auto& destination : list->mutable_items())
          if (auto* d = destination.find("destination")) whole_destination(*d, config, domain);
      if (auto* mirror = route.find("mirror")) whole_destination(*mirror, config, domain);
      if (auto* mirrors = route.find("mirrors"))
        for (auto& mirror : mirrors->mutable_items())
          if (auto* d = mirror.find("destination")) whole_destination(*d, config, domain);
    }
  }
}

}  // namespace

void make_whole(Config& config, std::string_view domain) {
  if (config.kind == "VirtualService") {
    whole_virtual_service(config, domain);
  } else if (config.kind == "DestinationRule") {
    config.hosts.push_back(resolve_host(config.spec["host"].as_string(), config.ns, domain));
    config.selector = labels_of(config.spec["workloadSelector"]["matchLabels"]);
  } else if (config.kind == "Gateway") {
    config.selector = labels_of(config.spec["selector"]);
  } else if (config.kind == "PeerAuthentication") {
    config.selector = labels_of(config.spec["selector"]["matchLabels"]);
  } else if (const base::Value& spec = config.spec; spec["rules"].is_array()) {  // flow control
    config.selector = labels_of(spec["selector"]["matchLabels"]);
    if (const std::string& app = spec["app"].as_string(); !app.empty()) config.selector["app"] = app;
  } else if (config.kind == "Sidecar") {
    config.selector = labels_of(config.spec["workloadSelector"]["labels"]);
  }
}

namespace {

// The delegate's match under the root's: a delegate may narrow, not widen. Empty when they contradict each other.
base::Value merged_match(const base::Value& root, const base::Value& leaf) {
  base::Value out = root;
  for (const auto& member : leaf.members()) {
    const base::Value* mine = out.find(member.key);
    if (!mine) {
      out.set(member.key, member.value);
    } else if (member.key == "uri" || member.key == "headers" || member.key == "queryParams" || member.key == "withoutHeaders") {
      if (member.key == "uri") {
        out.set("uri", member.value);
      } else {
        base::Value both = *mine;
        for (const auto& entry : member.value.members()) both.set(entry.key, entry.value);
        out.set(member.key, std::move(both));
      }
    } else if (!(*mine == member.value)) {
      out.set(member.key, member.value);
    }
  }
  return out;
}

base::Value merged_route(const base::Value& root, const base::Value& leaf) {
  base::Value out = leaf;
  base::Value matches = base::Value::array();
  if (leaf["match"].empty()) {
    matches = root["match"];
  } else if (root["match"].empty()) {
    matches = leaf["match"];
  } else {
    for (const auto& r : root["match"].items())
      for (const auto& l : leaf["match"].items()) matches.push(merged_match(r, l));
  }
  if (!matches.empty()) out.set("match", std::move(matches));
  for (const char* key : {"timeout", "retries", "fault", "mirror", "mirrors", "mirrorPercentage", "corsPolicy", "headers", "rewrite"})
    if (!out.contains(key) && root.contains(key)) out.set(key, root[key]);
  return out;
}

}  // namespace

void merge_delegates(std::vector<ConfigPtr>& virtual_services) {
  std::map<std::string, ConfigPtr> delegates;
  for (const auto& config : virtual_services)
    if (config->hosts.empty()) delegates.emplace(config->ns + "/" + config->name, config);
  std::erase_if(virtual_services, [](const ConfigPtr& c) { return c->hosts.empty(); });
  for (auto& config : virtual_services) {
    const auto& routes = config->spec["http"].items();
    if (std::none_of(routes.begin(), routes.end(), [](const base::Value& r) { return r.contains("delegate"); })) continue;
    base::Value merged = base::Value::array();
    for (const auto& route : routes) {
      if (!route.contains("delegate")) {
        merged.push(route);
        continue;
      }
      const auto& to = route["delegate"];
      auto it = delegates.find(to["namespace"].string_or(config->ns) + "/" + to["name"].as_string());
      if (it == delegates.end()) continue;  // Istio drops a route whose delegate is missing
      for (const auto& leaf : it->second->spec["http"].items()) merged.push(merged_route(route, leaf));
    }
    auto copy = std::make_shared<Config>(*config);
    copy->spec.set("http", std::move(merged));
    config = std::move(copy);
  }
}

}  // namespace fairlead::control
