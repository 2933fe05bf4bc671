#include "control/injection.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "control/injection_probes.h"

namespace fairlead::control {
namespace {

using base::Value;

constexpr std::string_view kStatus = "sidecar.istio.io/status";

Value strings(std::initializer_list<std::string> list) {
  Value out = Value::array();
  for (const auto& s : list) out.push(Value(s));
  return out;
}

Value env(std::string_view name, std::string_view value) { return Value::object({{"name", name}, {"value", value}}); }
Value env_field(std::string_view name, std::string_view path) {
  return Value::object({{"name", name}, {"valueFrom", Value::object({{"fieldRef", Value::object({{"apiVersion", "v1"}, {"fieldPath", path}})}})}});
}

const std::string& annotation(const Value& pod, std::string_view name) { return pod["metadata"]["annotations"][name].as_string(); }

// A traffic.sidecar.istio.io annotation with its default.
std::string traffic(const Value& pod, std::string_view name, std::string_view fallback) {
  const Value* v = pod["metadata"]["annotations"].find(std::string("traffic.sidecar.istio.io/") + std::string(name));
  return v ? v->as_string() : std::string(fallback);
}

base::Status check_ports(std::string_view annotation_name, const std::string& list) {
  if (list.empty() || list == "*") return {};
  for (std::string_view part : base::split(list, ',')) {
    auto port = base::to_int(base::trim(part));
    if (!port || *port < 0 || *port > 65535)
      return base::fail(base::Code::kInvalidArgument, "annotation traffic.sidecar.istio.io/{}: \"{}\" is not a port; expected ports separated by commas{}",
                        annotation_name, part, annotation_name == "includeInboundPorts" ? " or \"*\"" : "");
  }
  return {};
}

// Name of the workload a pod belongs to: its Deployment's when a ReplicaSet of one made it.
struct Workload {
  std::string name, kind, api_version;
};
Workload workload_of(const Value& pod) {
  const Value& owner = pod["metadata"]["ownerReferences"][0];
  Workload out{owner["name"].as_string(), owner["kind"].as_string(), owner["apiVersion"].as_string()};
  const std::string& hash = pod["metadata"]["labels"]["pod-template-hash"].as_string();
  if (out.kind == "ReplicaSet" && !hash.empty() && out.name.ends_with("-" + hash)) {
    out.name.resize(out.name.size() - hash.size() - 1);
    out.kind = "Deployment";
  }
  if (out.name.empty()) {
    out = {pod["metadata"]["name"].as_string(), "Pod", "v1"};
    if (out.name.empty()) {
      out.name = pod["metadata"]["generateName"].as_string();
      while (out.name.ends_with('-')) out.name.pop_back();
      std::string suffix = "-" + hash;
      if (!hash.empty() && out.name.ends_with(suffix)) {  // a pod template outside a cluster: kube-inject
        out.name.resize(out.name.size() - suffix.size());
        out.kind = "Deployment";
        out.api_version = "apps/v1";
      }
    }
  }
  return out;
}

std::string plural(const std::string& kind) { return base::to_lower(kind) + "s"; }

Value init_container(const Value& pod, const InjectionConfig& config) {
  // Ports of the proxy itself and its health checks bypass the redirection.
  std::string excluded = "15090,15021,15020,15019";
  std::string more = traffic(pod, "excludeInboundPorts", "");
  if (!more.empty()) excluded += "," + more;
  Value args = strings({"istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m",
                        annotation(pod, "sidecar.istio.io/interceptionMode").empty() ? "REDIRECT" : annotation(pod, "sidecar.istio.io/interceptionMode"),
                        "-i", traffic(pod, "includeOutboundIPRanges", "*"), "-x", traffic(pod, "excludeOutboundIPRanges", ""), "-b",
                        traffic(pod, "includeInboundPorts", "*"), "-d", excluded});
  std::string included_out = traffic(pod, "includeOutboundPorts", ""), excluded_out = traffic(pod, "excludeOutboundPorts", "");
  if (!included_out.empty()) {
    args.push("-q");
    args.push(included_out);
  }
  if (!excluded_out.empty()) {
    args.push("-o");
    args.push(excluded_out);
  }
  args.push("--log_output_level=default:info");
  return Value::object({
      {"name", "istio-init"},
      {"image", config.proxy_image},
      {"args", args},
      {"resources", Value::object({{"limits", Value::object({{"cpu", "2"}, {"memory", "1Gi"}})},
                                   {"requests", Value::object({{"cpu", "10m"}, {"memory", "40Mi"}})}})},
      {"securityContext", Value::object({{"allowPrivilegeEscalation", false},
                                         {"privileged", false},
                                         {"capabilities", Value::object({{"add", strings({"NET_ADMIN", "NET_RAW"})}, {"drop", strings({"ALL"})}})},
                                         {"readOnlyRootFilesystem", false},
                                         {"runAsGroup", 0},
                                         {"runAsNonRoot", false},
                                         {"runAsUser", 0}})},
  });
}

Value proxy_container(const Value& pod, const Workload& workload, std::string_view ns, const InjectionConfig& config) {
  Value ports = Value::array(), containers = Value::array();
  std::vector<std::string> names;
  for (const auto& c : pod["spec"]["containers"].items()) {
    names.push_back(c["name"].as_string());
    for (const auto& p : c["ports"].items()) {
      Value port = Value::object();
      if (p.contains("name")) port.set("name", p["name"]);
      port.set("containerPort", p["containerPort"]);
      if (p.contains("protocol")) port.set("protocol", p["protocol"]);
      ports.push(std::move(port));
    }
  }
  Value envs = Value::array({
      env("PILOT_CERT_PROVIDER", "istiod"),
      env("CA_ADDR", "istiod.istio-system.svc:15012"),
      env_field("POD_NAME", "metadata.name"),
      env_field("POD_NAMESPACE", "metadata.namespace"),
      env_field("INSTANCE_IP", "status.podIP"),
      env_field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
      env_field("HOST_IP", "status.hostIP"),
      env("PROXY_CONFIG", annotation(pod, "proxy.istio.io/config").empty() ? "{}\n" : annotation(pod, "proxy.istio.io/config")),
      env("ISTIO_META_POD_PORTS", ports.dump()),
      env("ISTIO_META_APP_CONTAINERS", base::join(names, ",")),
      env("ISTIO_META_CLUSTER_ID", config.cluster_id),
      env_field("ISTIO_META_NODE_NAME", "spec.nodeName"),
      env("ISTIO_META_INTERCEPTION_MODE", "REDIRECT"),
      env("ISTIO_META_WORKLOAD_NAME", workload.name),
      env("ISTIO_META_OWNER", fmt::format("kubernetes://apis/{}/namespaces/{}/{}/{}", workload.api_version, ns, plural(workload.kind), workload.name)),
      env("ISTIO_META_MESH_ID", config.cluster_domain),
      env("TRUST_DOMAIN", config.cluster_domain),
  });
  if (!config.network.empty()) envs.push(env("ISTIO_META_NETWORK", config.network));
  auto probe = [](int period, int failures) {
    return Value::object({{"httpGet", Value::object({{"path", "/healthz/ready"}, {"port", 15021}})},
                          {"periodSeconds", period},
                          {"timeoutSeconds", 3},
                          {"failureThreshold", failures}});
  };
  Value requests = Value::object({{"cpu", "10m"}, {"memory", "40Mi"}}), limits = Value::object({{"cpu", "2"}, {"memory", "1Gi"}});
  auto resource = [&](std::string_view name, Value& into, std::string_view key) {
    if (const auto& v = annotation(pod, name); !v.empty()) into.set(key, v);
  };
  resource("sidecar.istio.io/proxyCPU", requests, "cpu");
  resource("sidecar.istio.io/proxyMemory", requests, "memory");
  resource("sidecar.istio.io/proxyCPULimit", limits, "cpu");
  resource("sidecar.istio.io/proxyMemoryLimit", limits, "memory");
  const std::string& image = annotation(pod, "sidecar.istio.io/proxyImage");
  const std::string& log_level = annotation(pod, "sidecar.istio.io/logLevel");
  return Value::object({
      {"name", "istio-proxy"},
      {"image", image.empty() ? config.proxy_image : image},
      {"args", strings({"proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc." + config.cluster_domain,
                        "--proxyLogLevel=" + (log_level.empty() ? std::string("warning") : log_level), "--proxyComponentLogLevel=misc:error",
                        "--log_output_level=default:info"})},
      {"env", envs},
      {"ports", Value::array({Value::object({{"containerPort", 15090}, {"name", "http-envoy-prom"}, {"protocol", "TCP"}})})},
      {"readinessProbe", probe(15, 4)},
      {"startupProbe", probe(1, 600)},
      {"resources", Value::object({{"limits", limits}, {"requests", requests}})},
      {"securityContext", Value::object({{"allowPrivilegeEscalation", false},
                                         {"privileged", false},
                                         {"capabilities", Value::object({{"drop", strings({"ALL"})}})},
                                         {"readOnlyRootFilesystem", true},
                                         {"runAsGroup", 1337},
                                         {"runAsNonRoot", true},
                                         {"runAsUser", 1337}})},
      {"volumeMounts", Value::array({Value::object({{"mountPath", "/var/run/secrets/istio"}, {"name", "istiod-ca-cert"}}),
                                     Value::object({{"mountPath", "/var/run/secrets/tokens"}, {"name", "istio-token"}}),
                                     Value::object({{"mountPath", "/var/lib/istio/data"}, {"name", "istio-data"}}),
                                     Value::object({{"mountPath", "/etc/istio/proxy"}, {"name", "istio-envoy"}}),
                                     Value::object({{"mountPath", "/etc/istio/pod"}, {"name", "istio-podinfo"}})})},
  });
}

Value volumes() {
  auto item = [](std::string_view path, std::string_view field) {
    return Value::object({{"path", path}, {"fieldRef", Value::object({{"apiVersion", "v1"}, {"fieldPath", field}})}});
  };
  return Value::array({
      Value::object({{"name", "istio-envoy"}, {"emptyDir", Value::object({{"medium", "Memory"}})}}),
      Value::object({{"name", "istio-data"}, {"emptyDir", Value::object()}}),
      Value::object({{"name", "istio-podinfo"},
                     {"downwardAPI", Value::object({{"items", Value::array({item("labels", "metadata.labels"), item("annotations", "metadata.annotations")})}})}}),
      // Optional, unlike Istio's: the proxy waits for it itself, and a pod does not fail because its namespace is new.
      Value::object({{"name", "istiod-ca-cert"}, {"configMap", Value::object({{"name", "istio-ca-root-cert"}, {"optional", true}})}}),
      Value::object({{"name", "istio-token"},
                     {"projected", Value::object({{"sources", Value::array({Value::object({{"serviceAccountToken",
                         Value::object({{"path", "istio-token"}, {"expirationSeconds", 43200}, {"audience", "istio-ca"}})}})})}})}}),
  });
}

}  // namespace

std::string reason_not_to_inject(const Value& pod, std::string_view ns) {
  for (std::string_view ignored : {"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
    if (ns == ignored) return fmt::format("namespace {} is never injected", ns);
  if (pod["spec"]["hostNetwork"].as_bool()) return "the pod uses the host's network";
  if (!annotation(pod, kStatus).empty()) return "the pod has a sidecar already";
  // The label wins over the older annotation.
  const std::string& label = pod["metadata"]["labels"]["sidecar.istio.io/inject"].as_string();
  const std::string& old = annotation(pod, "sidecar.istio.io/inject");
  const std::string& choice = label.empty() ? old : label;
  if (choice == "false" || choice == "n" || choice == "no" || choice == "off") return "sidecar.istio.io/inject says " + choice;
  return {};
}

base::Result<Value> inject_pod(const Value& pod, std::string_view ns, const InjectionConfig& config) {
  for (std::string_view name : {"includeInboundPorts", "excludeInboundPorts", "includeOutboundPorts", "excludeOutboundPorts"})
    if (auto s = check_ports(name, traffic(pod, name, "")); !s) return std::unexpected(s.error());

  Value out = pod;
  Workload workload = workload_of(pod);
  Value& spec = out["spec"];

  Value& init = spec["initContainers"];
  base::Array& inits = init.mutable_items();
  inits.insert(inits.begin(), init_container(pod, config));

  // A container of that name in the pod overrides fields of ours, as Istio's customisation does.
  Value proxy = proxy_container(pod, workload, ns, config);
  if (std::string probers = rewrite_probes(out); !probers.empty()) proxy["env"].push(env("ISTIO_KUBE_APP_PROBERS", probers));
  base::Array& containers = spec["containers"].mutable_items();
  auto own = std::ranges::find_if(containers, [](const Value& c) { return c["name"].as_string() == "istio-proxy"; });
  if (own != containers.end()) {
    for (const auto& m : own->members())
      if (m.key != "name" && !(m.key == "image" && m.value.as_string() == "auto")) proxy.set(m.key, m.value);
    containers.erase(own);
  }
  bool hold = annotation(pod, "proxy.istio.io/config").find("holdApplicationUntilProxyStarts: true") != std::string::npos;
  containers.insert(hold ? containers.begin() : containers.end(), std::move(proxy));

  std::set<std::string> present;
  for (const auto& v : spec["volumes"].items()) present.insert(v["name"].as_string());
  Value added = volumes();
  for (auto& v : added.mutable_items())
    if (!present.contains(v["name"].as_string())) spec["volumes"].push(std::move(v));

  Value& labels = out["metadata"]["labels"];
  Value looked_up = labels;  // operator[] on the object itself would insert what it looks for
  auto find_label = [&](std::initializer_list<std::string_view> names, const std::string& fallback) {
    for (std::string_view n : names)
      if (const Value* v = std::as_const(looked_up).find(n); v && !v->as_string().empty()) return v->as_string();
    return fallback;
  };
  if (!std::as_const(labels).contains("security.istio.io/tlsMode")) labels.set("security.istio.io/tlsMode", "istio");
  labels.set("service.istio.io/canonical-name",
             find_label({"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}, workload.name));
  labels.set("service.istio.io/canonical-revision",
             find_label({"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"}, "latest"));

  Value& annotations = out["metadata"]["annotations"];
  Value status = Value::object({
      {"initContainers", strings({"istio-init"})},
      {"containers", strings({"istio-proxy"})},
      {"volumes", strings({"istio-envoy", "istio-data", "istio-podinfo", "istiod-ca-cert", "istio-token"})},
      {"imagePullSecrets", Value()},
      {"revision", config.revision},
  });
  annotations.set(kStatus, status.dump());
  if (const auto& first = pod["spec"]["containers"][0]["name"].as_string(); !first.empty()) {
    if (!annotations.find("kubectl.kubernetes.io/default-container")) annotations.set("kubectl.kubernetes.io/default-container", first);
    if (!annotations.find("kubectl.kubernetes.io/default-logs-container")) annotations.set("kubectl.kubernetes.io/default-logs-container", first);
  }
  if (!annotations.find("prometheus.io/scrape")) {
    annotations.set("prometheus.io/scrape", "true");
    annotations.set("prometheus.io/port", "15020");
    annotations.set("prometheus.io/path", "/stats/prometheus");
  }
  return out;
}

base::Result<Value> inject_object(const Value& object, const InjectionConfig& config) {
  const std::string& kind = object["kind"].as_string();
  std::string ns = object["metadata"]["namespace"].string_or("default");
  if (kind == "Pod") {
    if (!reason_not_to_inject(object, ns).empty()) return object;
    return inject_pod(object, ns, config);
  }
  static const std::set<std::string, std::less<>> kWorkloads = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController"};
  if (!kWorkloads.contains(kind)) return object;
  Value out = object;
  Value& spec = kind == "CronJob" ? out["spec"]["jobTemplate"]["spec"] : out["spec"];
  if (!std::as_const(spec)["template"].is_object()) return object;
  Value pod = spec["template"];
  if (!reason_not_to_inject(pod, ns).empty()) return object;
  // The template has no owner yet; what it will be is this object.
  Value owned = pod;
  owned["metadata"].set("ownerReferences", Value::array({Value::object({{"apiVersion", object["apiVersion"]}, {"kind", kind}, {"name", object["metadata"]["name"]}})}));
  auto injected = inject_pod(owned, ns, config);
  if (!injected) return injected;
  (*injected)["metadata"].erase("ownerReferences");
  spec.set("template", std::move(*injected));
  return out;
}

Value injection_patch(const Value& before, const Value& after) {
  Value patch = Value::array();
  for (std::string_view part : {"metadata", "spec"}) {
    const Value& old = before[part];
    if (!old.is_object()) {
      if (after[part].is_object()) patch.push(Value::object({{"op", "add"}, {"path", "/" + std::string(part)}, {"value", after[part]}}));
      continue;
    }
    for (const auto& m : after[part].members()) {
      const Value* was = old.find(m.key);
      if (was && *was == m.value) continue;
      std::string path = "/" + std::string(part) + "/" + base::replace_all(base::replace_all(m.key, "~", "~0"), "/", "~1");
      patch.push(Value::object({{"op", was ? "replace" : "add"}, {"path", path}, {"value", m.value}}));
    }
  }
  return patch;
}

}  // namespace fairlead::control
