// Schema, injection, annotations, services, selectors: everything but routing.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "control/analysis/context.h"
#include "mesh/kinds.h"
#include "mesh/selector.h"
#include "mesh/validate.h"

namespace fairlead::control {

using base::Value;

void analyze_schema(AnalysisContext& context) {
  for (const mesh::Kind& kind : mesh::all_kinds()) {
    for (const Item* item : context.of(kind.kind, kind.group)) {
      if (item->silent || (!kind.istio && item->file.empty())) continue;  // what the API holds of its own kinds is valid
      Value copy = item->object;
      auto report = [&](const mesh::Problem& p) {
        Value at;
        at.position = p.position;
        context.report(Level::kError, "IST0106", *item, "Schema validation error: " + p.text(), &at);
      };
      auto problems = mesh::check_shape(kind, copy, &item->duplicates);
      for (const auto& p : problems) report(p);
      if (!problems.empty()) continue;
      mesh::apply_defaults(kind, copy);
      for (const auto& p : mesh::validate_create(kind, copy)) report(p);
      if (!kind.istio) continue;
      for (const std::string& w : mesh::warnings(kind, item->object)) {
        // Findings about unreachable rules have codes of their own.
        if (w.starts_with("virtualService rule")) {
          bool match = w.find("duplicate/overlapping match") != std::string::npos;
          context.report(match ? Level::kInfo : Level::kWarning, match ? "IST0131" : "IST0130", *item, "V" + w.substr(1) + ".");
        } else if (w.starts_with("spec.") && w.find("not act on") == std::string::npos) {
          context.report(Level::kWarning, "IST0002", *item, "Deprecated: " + w);
        } else {
          context.report(Level::kWarning, "IST0133", *item, "Schema validation warning: " + w);
        }
      }
    }
  }
}

namespace {

bool has_proxy(const Value& pod_spec) {
  for (const char* list : {"containers", "initContainers"})
    for (const Value& c : pod_spec[list].items())
      if (c["name"].as_string() == "istio-proxy" && !c["image"].as_string().empty()) return true;
  return false;
}

}  // namespace

void analyze_injection(AnalysisContext& context) {
  std::set<std::string> injected;
  for (const Item* item : context.of("Namespace", "")) {
    const Value& o = item->object;
    const std::string& name = o["metadata"]["name"].as_string();
    if (name == context.options().istio_ns) continue;
    const Value& labels = o["metadata"]["labels"];
    const std::string& injection = labels["istio-injection"].as_string();
    std::vector<std::string> found;
    if (labels.contains("istio-injection")) found.push_back("istio-injection=" + injection);
    for (const char* other : {"istio.io/rev", "istio.io/dataplane-mode"})
      if (labels.contains(other) && (!labels.contains("istio-injection") || injection == "enabled"))
        found.push_back(fmt::format("{}={}", other, labels[other].as_string()));
    if (found.size() > 1)
      context.report(Level::kWarning, "IST0123", *item,
                     fmt::format("The namespace has more than one type of injection labels {}, which may lead to undefined behavior. Make sure "
                                 "only one injection label exists.",
                                 go_list(found)));
    if (labels["istio.io/dataplane-mode"].as_string() == "ambient") continue;
    if (injection.empty() && !labels.contains("istio.io/rev")) {
      context.report(Level::kInfo, "IST0102", *item,
                     fmt::format("The namespace is not enabled for Istio injection. Run 'kubectl label namespace {0} istio-injection=enabled' to "
                                 "enable it, or 'kubectl label namespace {0} istio-injection=disabled' to explicitly mark it as not needing "
                                 "injection.",
                                 name));
    } else if (injection == "enabled") {
      injected.insert(name);
    }
  }
  for (const Item* item : context.of("Pod", "")) {
    const Value& o = item->object;
    if (!injected.contains(ns_of(o))) continue;
    std::string inject = o["metadata"]["annotations"]["sidecar.istio.io/inject"].as_string();
    if (o["metadata"]["labels"].contains("sidecar.istio.io/inject")) inject = o["metadata"]["labels"]["sidecar.istio.io/inject"].as_string();
    if (base::iequals(inject, "false") || o["spec"]["hostNetwork"].as_bool() || has_proxy(o["spec"])) continue;
    context.report(Level::kWarning, "IST0103", *item,
                   fmt::format("The pod {} is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.",
                               full_name(o)));
  }
}

namespace {

struct Annotation {
  std::string_view name;
  std::string_view where;  // kinds; "" for any
};
constexpr Annotation kAnnotations[] = {
    {"alpha.istio.io/identity", ""},
    {"alpha.istio.io/kubernetes-serviceaccounts", "Service"},
    {"galley.istio.io/analyze-suppress", ""},
    {"inject.istio.io/templates", "Pod"},
    {"install.operator.istio.io/chart-owner", ""},
    {"install.operator.istio.io/owner-generation", ""},
    {"install.operator.istio.io/version", ""},
    {"istio.io/autoRegistrationGroup", ""},
    {"istio.io/dry-run", "AuthorizationPolicy"},
    {"istio.io/rev", ""},
    {"istio.io/workloadController", ""},
    {"kubernetes.io/ingress.class", ""},
    {"networking.istio.io/exportTo", "Service"},
    {"networking.istio.io/service-type", "Gateway"},
    {"networking.istio.io/traffic-distribution", "Service"},
    {"prometheus.istio.io/merge-metrics", "Pod"},
    {"proxy.istio.io/config", "Pod"},
    {"proxy.istio.io/overrides", "Pod"},
    {"sidecar.istio.io/agentLogLevel", "Pod"},
    {"sidecar.istio.io/bootstrapOverride", "Pod"},
    {"sidecar.istio.io/componentLogLevel", "Pod"},
    {"sidecar.istio.io/controlPlaneAuthPolicy", "Pod"},
    {"sidecar.istio.io/discoveryAddress", "Pod"},
    {"sidecar.istio.io/enableCoreDump", "Pod"},
    {"sidecar.istio.io/extraStatTags", "Pod"},
    {"sidecar.istio.io/inject", "Pod"},
    {"sidecar.istio.io/interceptionMode", "Pod"},
    {"sidecar.istio.io/logLevel", "Pod"},
    {"sidecar.istio.io/nativeSidecar", "Pod"},
    {"sidecar.istio.io/proxyCPU", "Pod"},
    {"sidecar.istio.io/proxyCPULimit", "Pod"},
    {"sidecar.istio.io/proxyImage", "Pod"},
    {"sidecar.istio.io/proxyImageType", "Pod"},
    {"sidecar.istio.io/proxyMemory", "Pod"},
    {"sidecar.istio.io/proxyMemoryLimit", "Pod"},
    {"sidecar.istio.io/rewriteAppHTTPProbers", "Pod"},
    {"sidecar.istio.io/statsCompression", "Pod"},
    {"sidecar.istio.io/statsHistogramBuckets", "Pod"},
    {"sidecar.istio.io/statsInclusionPrefixes", "Pod"},
    {"sidecar.istio.io/statsInclusionRegexps", "Pod"},
    {"sidecar.istio.io/statsInclusionSuffixes", "Pod"},
    {"sidecar.istio.io/status", "Pod"},
    {"sidecar.istio.io/userVolume", "Pod"},
    {"sidecar.istio.io/userVolumeMount", "Pod"},
    {"status.sidecar.istio.io/port", "Pod"},
    {"topology.istio.io/controlPlaneClusters", "Namespace"},
    {"traffic.istio.io/nodeSelector", "Service"},
    {"traffic.sidecar.istio.io/excludeInboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/excludeInterfaces", "Pod"},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", "Pod"},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/includeInboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", "Pod"},
    {"traffic.sidecar.istio.io/includeOutboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", "Pod"},
};

void annotations_of(AnalysisContext& context, const Item& item, const Value& metadata, std::string_view kind) {
  for (const auto& m : metadata["annotations"].members()) {
    std::string_view key = m.key;
    size_t slash = key.find('/');
    if (slash == std::string_view::npos || !key.substr(0, slash).ends_with("istio.io")) continue;
    const Annotation* known = nullptr;
    for (const Annotation& a : kAnnotations)
      if (a.name == key) known = &a;
    if (!known) {
      context.report(Level::kWarning, "IST0108", item, fmt::format("Unknown annotation: {}", key), &m.value);
    } else if (!known->where.empty() && known->where != kind) {
      context.report(Level::kWarning, "IST0107", item, fmt::format("Misplaced annotation: {} can only be applied to {}", key, known->where), &m.value);
    }
  }
}

}  // namespace

void analyze_annotations(AnalysisContext& context) {
  for (const char* kind : {"Namespace", "Service", "Pod"})
    for (const Item* item : context.of(kind, ""))
      if (ns_of(item->object) != context.options().istio_ns) annotations_of(context, *item, item->object["metadata"], kind);
  for (const Item* item : context.of("Deployment", "apps")) {
    if (ns_of(item->object) == context.options().istio_ns) continue;
    annotations_of(context, *item, item->object["metadata"], "Deployment");
    annotations_of(context, *item, item->object["spec"]["template"]["metadata"], "Pod");
  }
}

namespace {

bool known_prefix(std::string_view name) {
  std::string p = base::to_lower(name.substr(0, name.find('-')));
  if (name.starts_with("grpc-web")) return true;
  for (std::string_view known : {"tcp", "udp", "grpc", "http", "http_proxy", "http2", "https", "tls", "mongo", "redis", "mysql"})
    if (p == known) return true;
  return false;
}

bool control_plane(const Value& o) {
  const Value& labels = o["metadata"]["labels"];
  if (labels.contains("istio") || labels.contains("operator.istio.io/component")) return true;
  return labels["release"].as_string() == "istio";
}

bool protocol_told(const Value& port) {
  if (!port["appProtocol"].as_string().empty()) {
    const std::string& app = port["appProtocol"].as_string();
    return known_prefix(app) || app.starts_with("kubernetes.io/");
  }
  if (port["protocol"].as_string() == "UDP" || port["protocol"].as_string() == "SCTP") return true;
  if (known_prefix(port["name"].as_string())) return true;
  int64_t n = port["port"].as_int();
  return n == 25 || n == 3306 || n == 27017;  // server-first protocols are taken for TCP by their port
}

std::string text_of(const Value& int_or_string) { return int_or_string.is_string() ? int_or_string.as_string() : int_or_string.is_null() ? "0" : int_or_string.dump(); }

}  // namespace

void analyze_services(AnalysisContext& context) {
  for (const Item* item : context.of("Service", "")) {
    const Value& o = item->object;
    if (control_plane(o)) continue;
    if (ns_of(o) == "default" && o["metadata"]["name"].as_string() == "kubernetes" && item->file.empty()) continue;
    bool external = o["spec"]["type"].as_string() == "ExternalName";
    for (const Value& p : o["spec"]["ports"].items()) {
      if (external && p["name"].as_string() == "tcp") {
        context.report(Level::kWarning, "IST0150", *item,
                       "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic for ports serving "
                       "TCP protocol from being forwarded correctly",
                       &p);
      } else if (!protocol_told(p)) {
        context.report(Level::kInfo, "IST0118", *item,
                       fmt::format("Port name {} (port: {}, targetPort: {}) doesn't follow the naming convention of Istio port.",
                                   p["name"].as_string(), p["port"].as_int(), text_of(p["targetPort"])),
                       &p);
      }
    }
  }
  // A deployment behind several services that give one port different protocols.
  for (const Item* item : context.of("Deployment", "apps")) {
    const Value& o = item->object;
    const Value& labels = o["spec"]["template"]["metadata"]["labels"];
    std::map<std::string, std::map<int64_t, std::vector<std::string>>> by_target;  // targetPort -> port -> services
    for (const Item* service : context.of("Service", "")) {
      const Value& s = service->object;
      if (ns_of(s) != ns_of(o) || s["spec"]["selector"].empty()) continue;
      if (!mesh::LabelSelector::from_map(s["spec"]["selector"]).matches(labels)) continue;
      for (const Value& p : s["spec"]["ports"].items())
        by_target[text_of(p["targetPort"])][p["port"].as_int()].push_back(s["metadata"]["name"].as_string());
    }
    if (ns_of(o) == context.options().istio_ns) continue;
    for (const auto& [target, ports] : by_target) {
      if (ports.size() < 2 || target == "0") continue;
      std::set<std::string> services;
      std::vector<std::string> numbers;
      for (const auto& [port, names] : ports) {
        services.insert(names.begin(), names.end());
        numbers.push_back(std::to_string(port));
      }
      if (services.size() < 2) continue;
      context.report(Level::kWarning, "IST0137", *item,
                     fmt::format("This deployment {} is associated with multiple services {} using targetPort \"{}\" but different ports: {}.",
                                 full_name(o), go_list({services.begin(), services.end()}), target, go_list(numbers)));
    }
  }
}

void analyze_selectors(AnalysisContext& context) {
  auto matches_pods = [&](const Value& labels, const std::string& ns) {
    auto selector = mesh::LabelSelector::from_map(labels);
    for (const Item* pod : context.of("Pod", ""))
      if ((ns.empty() || ns_of(pod->object) == ns) && selector.matches(pod->object["metadata"]["labels"])) return true;
    for (const Item* d : context.of("Deployment", "apps"))
      if ((ns.empty() || ns_of(d->object) == ns) && selector.matches(d->object["spec"]["template"]["metadata"]["labels"])) return true;
    return false;
  };
  for (const char* kind : {"AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"}) {
    for (const Item* item : context.of(kind, "security.istio.io")) {
      const Value& labels = item->object["spec"]["selector"]["matchLabels"];
      if (labels.empty()) continue;
      std::string ns = ns_of(item->object) == context.options().istio_ns ? "" : ns_of(item->object);
      if (!matches_pods(labels, ns))
        context.report(Level::kWarning, "IST0127", *item,
                       fmt::format("No matching workloads for this resource with the following labels: {}", mesh::LabelSelector::from_map(labels).text()),
                       &labels);
    }
  }
  // Sidecars of one namespace that want the same pod, or all of them.
  std::map<std::string, std::vector<const Item*>> without;
  std::map<std::pair<std::string, std::string>, std::vector<const Item*>> by_pod;
  for (const Item* item : context.of("Sidecar", "networking.istio.io")) {
    const Value& labels = item->object["spec"]["workloadSelector"]["labels"];
    std::string ns = ns_of(item->object);
    if (labels.empty()) {
      without[ns].push_back(item);
      continue;
    }
    auto selector = mesh::LabelSelector::from_map(labels);
    bool any = false;
    for (const Item* pod : context.of("Pod", "")) {
      if (ns_of(pod->object) != ns || !selector.matches(pod->object["metadata"]["labels"])) continue;
      any = true;
      by_pod[{ns, pod->object["metadata"]["name"].as_string()}].push_back(item);
    }
    if (!any)
      context.report(Level::kError, "IST0101", *item, fmt::format("Referenced selector not found: {}", quoted(selector.text())), &labels);
  }
  auto names = [](const std::vector<const Item*>& items) {
    std::vector<std::string> out;
    for (const Item* i : items) out.push_back(i->object["metadata"]["name"].as_string());
    std::sort(out.begin(), out.end());
    return go_list(out);
  };
  for (const auto& [ns, items] : without) {
    if (items.size() < 2) continue;
    for (const Item* item : items)
      context.report(Level::kError, "IST0111", *item,
                     fmt::format("The Sidecars {} in namespace \"{}\" have no workload selector, which can lead to undefined behavior.", names(items), ns));
  }
  for (const auto& [pod, items] : by_pod) {
    if (items.size() < 2) continue;
    for (const Item* item : items)
      context.report(Level::kError, "IST0110", *item,
                     fmt::format("The Sidecars {} in namespace \"{}\" select the same workload pod \"{}\", which can lead to undefined behavior.",
                                 names(items), pod.first, pod.first + "/" + pod.second));
  }
}

}  // namespace fairlead::control
