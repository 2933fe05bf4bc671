#include "api/admission.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "api/ids.h"
#include "base/strings.h"
#include "io/tls.h"

namespace fairlead::api {

using base::Value;
using mesh::Cause;
using mesh::Problem;
using mesh::Problems;

static constexpr std::string_view kTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";

Outcome<void> Admission::namespace_open(const mesh::Kind& kind, std::string_view ns, std::string_view name) const {
  auto found = store_.get({"namespaces", "", std::string(ns)});
  if (!found) {
    return refuse(failure(404, "NotFound", fmt::format("namespaces \"{}\" not found", ns), mesh::find_kind("", "v1", "namespaces"), ns));
  }
  if (!(**found)["metadata"].contains("deletionTimestamp")) return {};
  Failure f = forbidden(kind, name, fmt::format("unable to create new content in namespace {} because it is being terminated", ns));
  f.status["details"].set("causes", Value::array({Value::object({{"reason", "NamespaceTerminating"},
                                                                 {"message", fmt::format("namespace {} is being terminated", ns)},
                                                                 {"field", "metadata.namespace"}})}));
  return refuse(std::move(f));
}

// Best-effort, Burstable or Guaranteed, by what the containers ask for.
static std::string qos_class(const Value& spec) {
  bool any = false, guaranteed = true;
  for (const char* list : {"initContainers", "containers"})
    for (const Value& c : spec[list].items()) {
      const Value& requests = c["resources"]["requests"];
      const Value& limits = c["resources"]["limits"];
      any = any || !requests.empty() || !limits.empty();
      for (const char* r : {"cpu", "memory"}) {
        if (!limits.contains(r)) guaranteed = false;
        if (requests.contains(r) && !(requests[r] == limits[r])) guaranteed = false;
      }
    }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

// Names of a definition that follow from its kind.
static void default_names(Value& spec) {
  if (!spec.is_object() || !spec["names"].is_object()) return;
  Value& names = spec["names"];
  const std::string name = names["kind"].as_string();
  if (name.empty()) return;
  if (names["listKind"].as_string().empty()) names.set("listKind", name + "List");
  if (names["singular"].as_string().empty()) names.set("singular", base::to_lower(name));
}

void Admission::begin(const mesh::Kind& kind, Value& object) const {
  if (kind.group.empty() && kind.kind == "Pod") {
    object.set("status", Value::object({{"phase", "Pending"}, {"qosClass", qos_class(object["spec"])}}));
  } else if (kind.group.empty() && kind.kind == "Namespace") {
    object.set("status", Value::object({{"phase", "Active"}}));
    object["spec"].set("finalizers", Value::array({"kubernetes"}));
    object["metadata"]["labels"].set("kubernetes.io/metadata.name", object["metadata"]["name"]);
  } else if (kind.group.empty() && kind.kind == "Service") {
    object.set("status", Value::object({{"loadBalancer", Value::object()}}));
  } else if (kind.group.empty() && kind.kind == "Node") {
    // A kubelet registers its node with the status already filled in.
  } else if (kind.kind == "CustomResourceDefinition") {
    default_names(object["spec"]);
    Value status = Value::object();
    const std::string now = now_text();
    auto condition = [&](const char* type, const char* reason, const char* message) {
      return Value::object({{"lastTransitionTime", now}, {"message", message}, {"reason", reason}, {"status", "True"}, {"type", type}});
    };
    status.set("conditions", Value::array({condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                                           condition("Established", "InitialNamesAccepted", "the initial names have been accepted")}));
    status.set("acceptedNames", object["spec"]["names"]);
    Value stored = Value::array();
    for (const Value& v : object["spec"]["versions"].items())
      if (v["storage"].as_bool()) stored.push(v["name"]);
    status.set("storedVersions", std::move(stored));
    object.set("status", std::move(status));
  } else if (kind.has_status) {
    object.erase("status");
    if (kind.group == "apps") object.set("status", Value::object({{"replicas", 0}}));
    if (kind.kind == "Deployment") object.set("status", Value::object());
  }
}

Outcome<Problems> Admission::admit(const mesh::Kind& kind, Value& object, const Value* old) const {
  if (kind.kind == "CustomResourceDefinition") default_names(object["spec"]);
  if (kind.group.empty()) {
    if (kind.kind == "Pod" && !old)
      if (auto done = admit_pod(object); !done) return std::unexpected(done.error());
    if (kind.kind == "Service") return admit_service(object, old);
    if (kind.kind == "Namespace") object["metadata"]["labels"].set("kubernetes.io/metadata.name", object["metadata"]["name"]);
    if (kind.kind == "Secret") {
      // stringData is write-only: it ends up in data.
      if (const Value* text = object.find("stringData")) {
        const Value plain = *text;
        for (const auto& [key, value, position] : plain.members()) object["data"].set(key, base::base64_encode(value.as_string()));
        object.erase("stringData");
      }
    }
  }
  return Problems{};
}

// The volume that every pod gets: a token of its own, the cluster's CA, its namespace.
static Value token_volume(const std::string& name) {
  Value token = Value::object({{"serviceAccountToken", Value::object({{"expirationSeconds", 3607}, {"path", "token"}})}});
  Value ca = Value::object({{"configMap", Value::object({{"items", Value::array({Value::object({{"key", "ca.crt"}, {"path", "ca.crt"}})})},
                                                         {"name", "kube-root-ca.crt"}})}});
  Value field = Value::object({{"fieldRef", Value::object({{"apiVersion", "v1"}, {"fieldPath", "metadata.namespace"}})}, {"path", "namespace"}});
  Value downward = Value::object({{"downwardAPI", Value::object({{"items", Value::array({std::move(field)})}})}});
  return Value::object({{"name", name},
                        {"projected", Value::object({{"defaultMode", 420},
                                                     {"sources", Value::array({std::move(token), std::move(ca), std::move(downward)})}})}});
}

Outcome<void> Admission::admit_pod(Value& pod) const {
  const mesh::Kind& kind = *mesh::find_kind("", "v1", "pods");
  const std::string ns = pod["metadata"]["namespace"].as_string();
  const std::string name = pod["metadata"]["name"].as_string();
  Value& spec = pod["spec"];
  if (!spec.is_object()) return {};
  std::string account = spec["serviceAccountName"].as_string();
  if (account.empty()) account = spec["serviceAccount"].as_string();
  if (account.empty()) account = "default";
  spec.set("serviceAccountName", account);
  spec.set("serviceAccount", account);
  auto found = store_.get({"serviceaccounts", ns, account});
  if (!found)
    return refuse(forbidden(kind, name, fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found", ns, account, account)));
  bool mount = (**found)["automountServiceAccountToken"].as_bool(true);
  if (const Value* own = spec.find("automountServiceAccountToken")) mount = own->as_bool(true);
  if (mount) {
    std::string volume;
    for (const Value& v : spec["volumes"].items())
      if (v["name"].as_string().starts_with("kube-api-access-")) volume = v["name"].as_string();
    const bool had_volume = !volume.empty();
    if (!had_volume) volume = "kube-api-access-" + random_suffix(5);
    bool used = false;
    for (const char* list : {"initContainers", "containers"}) {
      if (!spec[list].is_array()) continue;
      for (Value& c : spec[list].mutable_items()) {
        if (!c.is_object()) continue;
        const auto& mounts = c["volumeMounts"].items();
        if (std::any_of(mounts.begin(), mounts.end(), [](const Value& m) { return m["mountPath"].as_string() == kTokenPath; })) continue;
        c["volumeMounts"].push(Value::object({{"mountPath", kTokenPath}, {"name", volume}, {"readOnly", true}}));
        used = true;
      }
    }
    if (used && !had_volume) spec["volumes"].push(token_volume(volume));
    for (const char* list : {"initContainers", "volumes"})
      if (spec.find(list) && spec[list].is_null()) spec.erase(list);
  }
  if (spec["imagePullSecrets"].empty() && !(**found)["imagePullSecrets"].empty())
    spec.set("imagePullSecrets", (**found)["imagePullSecrets"]);
  else if (spec["imagePullSecrets"].is_null())
    spec.erase("imagePullSecrets");
  for (const char* taint : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    const auto& all = spec["tolerations"].items();
    if (std::any_of(all.begin(), all.end(), [&](const Value& t) {
          return t["key"].as_string() == taint || (t["key"].as_string().empty() && t["operator"].as_string() == "Exists");
        }))
      continue;
    spec["tolerations"].push(Value::object({{"effect", "NoExecute"}, {"key", taint}, {"operator", "Exists"}, {"tolerationSeconds", 300}}));
  }
  if (!spec.contains("priority")) spec.set("priority", 0);
  if (!spec.contains("preemptionPolicy")) spec.set("preemptionPolicy", "PreemptLowerPriority");
  if (std::as_const(pod)["status"]["phase"].as_string() == "Pending") pod["status"].set("qosClass", qos_class(spec));
  return {};
}

static bool exposed_on_nodes(const Value& service) {
  const std::string& type = service["spec"]["type"].as_string();
  return type == "NodePort" || (type == "LoadBalancer" && service["spec"]["allocateLoadBalancerNodePorts"].as_bool(true));
}

Problems Admission::admit_service(Value& service, const Value* old) const {
  Value& spec = service["spec"];
  if (!spec.is_object()) return {};
  if (spec["type"].as_string().empty()) spec.set("type", "ClusterIP");
  if (spec["type"].as_string() == "ExternalName") {
    for (const char* gone : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", "allocateLoadBalancerNodePorts"}) spec.erase(gone);
    if (old && exposed_on_nodes(*old)) {
      spec.erase("externalTrafficPolicy");
      if (Value* ports = spec.find("ports"); ports && ports->is_array())
        for (Value& port : ports->mutable_items()) port.erase("nodePort");
    }
    return {};
  }
  if (old) {
    // A manifest that is replaced seldom repeats what was allocated.
    const Value& before = (*old)["spec"];
    if (spec["clusterIP"].as_string().empty() && !before["clusterIP"].as_string().empty()) {
      spec.set("clusterIP", before["clusterIP"]);
      spec.set("clusterIPs", before["clusterIPs"]);
    }
    if (exposed_on_nodes(service) && exposed_on_nodes(*old) && spec["ports"].is_array())
      for (Value& port : spec["ports"].mutable_items())
        if (port["nodePort"].as_int() == 0)
          for (const Value& was : before["ports"].items())
            if (was["port"] == port["port"] && was["protocol"] == port["protocol"]) port.set("nodePort", was["nodePort"]);
    // From NodePort back to ClusterIP: the ports that were allocated go.
    if (!exposed_on_nodes(service) && exposed_on_nodes(*old) && spec["ports"].is_array())
      for (Value& port : spec["ports"].mutable_items()) port.erase("nodePort");
  }
  if (Value* ports = spec.find("ports"); ports && ports->is_array())
    for (Value& port : ports->mutable_items())
      if (const Value* node_port = port.find("nodePort"); node_port && node_port->as_int() == 0) port.erase("nodePort");
  Problems problems = allocate_cluster_ip(service);
  for (const auto& [key, value] : {std::pair<const char*, Value>{"internalTrafficPolicy", "Cluster"},
                                   {"ipFamilies", Value::array({"IPv4"})},
                                   {"ipFamilyPolicy", "SingleStack"},
                                   {"sessionAffinity", "None"}})
    if (!spec.contains(key)) spec.set(key, value);
  if (exposed_on_nodes(service)) {
    if (!spec.contains("externalTrafficPolicy")) spec.set("externalTrafficPolicy", "Cluster");
    for (auto& p : allocate_node_ports(service)) problems.push_back(std::move(p));
  } else if (old && exposed_on_nodes(*old)) {
    spec.erase("externalTrafficPolicy");
  }
  if (spec["type"].as_string() == "LoadBalancer" && !spec.contains("allocateLoadBalancerNodePorts"))
    spec.set("allocateLoadBalancerNodePorts", true);
  return problems;
}

static bool same_object(const Value& a, const Value& b) {
  return a["metadata"]["name"] == b["metadata"]["name"] && a["metadata"]["namespace"] == b["metadata"]["namespace"];
}

Problems Admission::allocate_cluster_ip(Value& service) const {
  Value& spec = service["spec"];
  std::string ip = spec["clusterIP"].as_string();
  if (ip.empty()) ip = std::as_const(spec)["clusterIPs"][size_t{0}].as_string();
  if (ip != "None") {
    std::set<std::string> taken;
    for (const auto& other : store_.list("services"))
      if (!same_object(*other, service)) taken.insert((*other)["spec"]["clusterIP"].as_string());
    auto refused = [&](std::string_view why) {
      return Problems{Problem{Cause::kInvalid, "spec.clusterIPs",
                              fmt::format("Invalid value: [\"{0}\"]: failed to allocate IP {0}: {1}", ip, why), {}, {}}};
    };
    if (!ip.empty()) {
      unsigned char bytes[16];
      if (inet_pton(AF_INET, ip.c_str(), bytes) != 1) return {};  // validation says so
      if (!ip.starts_with(range_.prefix)) return refused("the provided network does not match the current range");
      if (taken.contains(ip)) return refused("provided IP is already allocated");
    } else {
      taken.insert(range_.api_server);
      taken.insert(range_.dns);
      const std::string seed = io::random_bytes(2);
      unsigned at = (static_cast<unsigned char>(seed[0]) << 8) | static_cast<unsigned char>(seed[1]);
      // Low addresses are left to those who ask for one by number.
      for (unsigned tried = 0; tried < 65536 && ip.empty(); ++tried, ++at) {
        unsigned host = at % 65536;
        if (host < 256 || host == 65535) continue;
        std::string candidate = fmt::format("{}{}.{}", range_.prefix, host >> 8, host & 255);
        if (!taken.contains(candidate)) ip = candidate;
      }
      if (ip.empty()) return refused("range is full");
    }
  }
  spec.set("clusterIP", ip);
  spec.set("clusterIPs", Value::array({ip}));
  return {};
}

Problems Admission::allocate_node_ports(Value& service) const {
  Problems problems;
  std::set<std::pair<std::string, int64_t>> taken;  // protocol, port
  for (const auto& other : store_.list("services"))
    if (!same_object(*other, service))
      for (const Value& port : (*other)["spec"]["ports"].items())
        if (port["nodePort"].as_int() != 0) taken.insert({port["protocol"].string_or("TCP"), port["nodePort"].as_int()});
  size_t index = 0;
  if (!service["spec"]["ports"].is_array()) return problems;
  auto& ports = service["spec"]["ports"].mutable_items();
  for (Value& port : ports) {
    const std::string path = fmt::format("spec.ports[{}].nodePort", index++);
    const std::string protocol = port["protocol"].string_or("TCP");
    const int64_t wanted = port["nodePort"].as_int();
    if (wanted == 0) continue;
    if (wanted < range_.first_node_port || wanted > range_.last_node_port)
      problems.push_back({Cause::kInvalid, path,
                          fmt::format("Invalid value: {}: provided port is not in the valid range. The range of valid ports is {}-{}",
                                      wanted, range_.first_node_port, range_.last_node_port), {}, {}});
    else if (!taken.insert({protocol, wanted}).second)
      problems.push_back({Cause::kInvalid, path, fmt::format("Invalid value: {}: provided port is already allocated", wanted), {}, {}});
  }
  const int span = range_.last_node_port - range_.first_node_port + 1;
  for (Value& port : ports) {
    if (port["nodePort"].as_int() != 0) continue;
    const std::string protocol = port["protocol"].string_or("TCP");
    const std::string seed = io::random_bytes(2);
    int at = (static_cast<unsigned char>(seed[0]) << 8) | static_cast<unsigned char>(seed[1]);
    for (int tried = 0; tried < span; ++tried, ++at) {
      const int candidate = range_.first_node_port + at % span;
      if (!taken.insert({protocol, candidate}).second) continue;
      port.set("nodePort", candidate);
      break;
    }
    if (port["nodePort"].as_int() == 0) {
      port.erase("nodePort");
      problems.push_back({Cause::kInvalid, "spec.ports", "failed to allocate a nodePort: range is full", {}, {}});
    }
  }
  return problems;
}

Value default_service_account(std::string_view ns) {
  return Value::object({{"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", Value::object({{"name", "default"}, {"namespace", ns}})}});
}

Value root_ca_config_map(std::string_view ns, std::string_view ca_pem) {
  Value annotations = Value::object({{"kubernetes.io/description",
                                      "The certificate authority that the API server's certificate is signed by."}});
  return Value::object({{"apiVersion", "v1"},
                        {"kind", "ConfigMap"},
                        {"metadata", Value::object({{"annotations", std::move(annotations)}, {"name", "kube-root-ca.crt"}, {"namespace", ns}})},
                        {"data", Value::object({{"ca.crt", ca_pem}})}});
}

}  // namespace fairlead::api
