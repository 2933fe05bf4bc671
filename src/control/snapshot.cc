#include "control/snapshot.h"

#include <algorithm>

#include "base/strings.h"

namespace fairlead::control {

const std::vector<Endpoint>& Snapshot::endpoints_of(const Service& service, int port) const {
  static const std::vector<Endpoint> kNone;
  auto it = endpoints.find(service.ns + "/" + service.host);
  if (it == endpoints.end()) return kNone;
  auto found = it->second->find(port);
  return found == it->second->end() ? kNone : found->second;
}

bool host_covers(std::string_view pattern, std::string_view host) {
  if (pattern == host) return true;
  if (pattern.starts_with('*')) return host.ends_with(pattern.substr(1));
  return false;
}

bool hosts_overlap(std::string_view a, std::string_view b) { return host_covers(a, b) || host_covers(b, a); }

base::Result<Proxy> parse_proxy(std::string_view node_id, base::Value metadata) {
  auto parts = base::split(node_id, '~');
  if (parts.size() != 4 || (parts[0] != "sidecar" && parts[0] != "router"))
    return base::fail(base::Code::kInvalidArgument, "node id \"{}\" is not type~ip~pod.namespace~domain with type sidecar or router",
                      node_id);
  Proxy proxy;
  proxy.router = parts[0] == "router";
  proxy.ip = parts[1];
  proxy.id = parts[2];
  proxy.dns_domain = parts[3];
  proxy.ns = metadata["NAMESPACE"].as_string();
  if (proxy.ns.empty() && proxy.id.find('.') != std::string::npos) proxy.ns = proxy.id.substr(proxy.id.rfind('.') + 1);
  if (proxy.ns.empty()) proxy.ns = "default";
  proxy.labels = labels_of(metadata["LABELS"]);
  proxy.metadata = std::move(metadata);
  return proxy;
}

base::Status verify_proxy(Proxy& proxy, std::string_view caller) {
  // "spiffe://cluster.local/ns/default/sa/sleep"
  auto parts = base::split(caller, '/');
  if (parts.size() != 7 || parts[0] != "spiffe:" || parts[3] != "ns" || parts[5] != "sa")
    return base::fail(base::Code::kPermissionDenied, "authorization failed: \"{}\" is no identity of a workload", caller);
  std::string ns(parts[4]), id_ns = proxy.id.substr(std::min(proxy.id.rfind('.') + 1, proxy.id.size()));
  const std::string& account = std::as_const(proxy.metadata)["SERVICE_ACCOUNT"].as_string();
  if (ns != proxy.ns || (proxy.id.find('.') != std::string::npos && id_ns != ns) || (!account.empty() && account != parts[6]))
    return base::fail(base::Code::kPermissionDenied, "authorization failed: {} is not {}/{}", caller, proxy.ns, account.empty() ? proxy.id : account);
  proxy.verified_ns = std::move(ns);
  return {};
}

const Pod* pod_of(const Snapshot& snapshot, const Proxy& proxy) {
  auto it = snapshot.pods_by_ip.find(proxy.ip);
  if (it != snapshot.pods_by_ip.end()) return it->second.get();
  std::string key = proxy.id;  // "pod.namespace"
  if (size_t dot = key.rfind('.'); dot != std::string::npos) key = key.substr(dot + 1) + "/" + key.substr(0, dot);
  it = snapshot.pods_by_name.find(key);
  return it == snapshot.pods_by_name.end() ? nullptr : it->second.get();
}

const Labels& labels_of(const Snapshot& snapshot, const Proxy& proxy) {
  const Pod* pod = pod_of(snapshot, proxy);
  return pod ? pod->labels : proxy.labels;
}

namespace {

std::optional<int> resolve_target(const Port& port, const Pod* pod) {
  if (port.target.empty()) return port.number;
  if (auto number = base::to_int(port.target)) return static_cast<int>(*number);
  if (!pod) return std::nullopt;
  auto it = pod->ports.find(port.target);
  if (it == pod->ports.end()) return std::nullopt;
  return it->second;
}

}  // namespace

std::vector<Target> targets_of(const Snapshot& snapshot, const Proxy& proxy) {
  std::vector<Target> out;
  const Pod* pod = pod_of(snapshot, proxy);
  const Labels& labels = pod ? pod->labels : proxy.labels;
  for (const auto& service : snapshot.services) {
    bool selected = !service->selector.empty() && service->ns == proxy.ns && subset_of(service->selector, labels);
    for (const auto& port : service->ports) {
      if (port.protocol == Protocol::kUdp) continue;
      if (selected) {
        if (auto target = resolve_target(port, pod)) out.push_back({service, &port, *target});
        continue;
      }
      // A ServiceEntry or a Service without selector whose endpoints name this address.
      if (!service->selector.empty() || service->resolution == Resolution::kAlias) continue;
      for (const auto& endpoint : snapshot.endpoints_of(*service, port.number))
        if (endpoint.address == proxy.ip) {
          out.push_back({service, &port, endpoint.port});
          break;
        }
    }
  }
  return out;
}

namespace {

// The most specific host in `rules` that covers `host`, among those of one namespace that `viewer` may use.
void collect(const Snapshot& snapshot, const Proxy& proxy, std::string_view host, std::string_view ns, Rule& out) {
  const Labels& labels = labels_of(snapshot, proxy);
  auto take = [&](const std::vector<ConfigPtr>& configs) {
    for (const auto& config : configs) {
      if (config->ns != ns || !visible(config->export_to, config->ns, proxy.ns)) continue;
      if (!config->selector.empty() && (config->ns != proxy.ns || !subset_of(config->selector, labels))) continue;
      const auto& spec = config->spec;
      if (!out.config) out.config = config;
      if (!out.policy && spec.contains("trafficPolicy")) out.policy = &spec["trafficPolicy"];
      for (const auto& subset : spec["subsets"].items()) {
        bool known = std::any_of(out.subsets.begin(), out.subsets.end(),
                                 [&](const base::Value* s) { return (*s)["name"] == subset["name"]; });
        if (!known) out.subsets.push_back(&subset);
      }
    }
  };
  if (auto it = snapshot.destination_rules.find(std::string(host)); it != snapshot.destination_rules.end()) take(it->second);
  if (out.config) return;
  for (const auto& pattern : snapshot.wildcard_rules) {
    if (!host_covers(pattern, host)) continue;
    take(snapshot.destination_rules.at(pattern));
    if (out.config) return;
  }
}

}  // namespace

// Istio's order: the client's namespace, the service's, the root namespace.
Rule rule_of(const Snapshot& snapshot, const Proxy& proxy, std::string_view host, std::string_view service_ns) {
  Rule rule;
  const std::string& root = snapshot.mesh.root_namespace;
  if (proxy.ns != root) collect(snapshot, proxy, host, proxy.ns, rule);
  if (!rule.config && !service_ns.empty() && service_ns != proxy.ns) collect(snapshot, proxy, host, service_ns, rule);
  if (!rule.config) collect(snapshot, proxy, host, root, rule);
  return rule;
}

}  // namespace fairlead::control
