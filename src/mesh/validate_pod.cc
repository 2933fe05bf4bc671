// The rules of a pod. Source: Kubernetes' pkg/apis/core/validation.
#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "mesh/quantity.h"
#include "mesh/rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

void port_range(const Value& v, const At& at) {
  if (v.as_int() < 1 || v.as_int() > 65535) at.invalid(v, "must be between 1 and 65535, inclusive");
}

const char* env_name_error(std::string_view s) {
  for (char c : s)
    if (c <= ' ' || c > '~' || c == '=')
      return "a valid environment variable name must consist only of printable ASCII characters other than '='";
  return nullptr;
}

void handler(const Value& probe, const At& at, bool lifecycle) {
  size_t kinds = 0;
  for (const char* kind : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}) {
    const Value& action = probe[kind];
    if (action.is_null()) continue;
    if (++kinds > 1) (at / kind).forbidden(action, "may not specify more than 1 handler type");
    if (std::string_view(kind) == "exec" && action["command"].empty()) (at / kind / "command").required(action);
    const Value& port = action["port"];
    if (port.is_int()) port_range(port, at / kind / "port");
  }
  if (kinds == 0) at.required(probe, "must specify a handler type");
  if (lifecycle) return;
  for (const char* number : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"})
    if (probe[number].as_int() < 0) (at / number).invalid(probe[number], "must be greater than or equal to 0");
}

void resources(const Value& v, const At& at) {
  for (const char* list : {"limits", "requests"}) {
    for (const auto& m : v[list].members()) {
      auto amount = quantity_milli(m.value.is_string() ? m.value.as_string() : m.value.dump());
      At here = (at / list).key(m.key);
      if (amount && *amount < 0) here.invalid(m.value, "must be greater than or equal to 0");
      bool standard = m.key == "cpu" || m.key == "memory" || m.key == "ephemeral-storage" || m.key.starts_with("hugepages-") ||
                      m.key.find('/') != std::string::npos;
      if (standard) continue;
      here.invalid(Value(m.key), "must be a standard resource type or fully qualified");
      here.invalid(Value(m.key), "must be a standard resource for containers");
    }
  }
  for (const auto& m : v["requests"].members()) {
    const Value* limit = v["limits"].find(m.key);
    if (!limit) continue;
    auto wanted = quantity_milli(m.value.is_string() ? m.value.as_string() : m.value.dump());
    auto allowed = quantity_milli(limit->is_string() ? limit->as_string() : limit->dump());
    if (wanted && allowed && *wanted > *allowed)
      (at / "requests").invalid(m.value, fmt::format("must be less than or equal to {} limit of {}", m.key, limit->as_string()));
  }
}

void container(const Value& c, const At& at, const std::set<std::string>& volumes, bool init) {
  const Value& name = c["name"];
  if (!name.as_string().empty())
    if (const char* e = dns1123_label_error(name.as_string())) (at / "name").invalid(name, e);
  const std::string& image = c["image"].as_string();
  if (image.empty()) {
    (at / "image").required(c);
  } else if (base::trim(image) != image) {
    (at / "image").invalid(c["image"], "must not have leading or trailing whitespace");
  }
  std::set<std::string> port_names;
  size_t i = 0;
  for (const Value& p : c["ports"].items()) {
    At here = (at / "ports")[i++];
    port_range(p["containerPort"], here / "containerPort");
    if (p["hostPort"].as_int() != 0) port_range(p["hostPort"], here / "hostPort");
    const std::string& port_name = p["name"].as_string();
    if (port_name.empty()) continue;
    const auto wrong = port_name_errors(port_name);
    for (std::string_view e : wrong) (here / "name").invalid(p["name"], e);
    if (wrong.empty() && !port_names.insert(port_name).second) (here / "name").duplicate(p["name"]);
  }
  i = 0;
  for (const Value& e : c["env"].items()) {
    At here = (at / "env")[i++];
    if (const char* bad = env_name_error(e["name"].as_string())) (here / "name").invalid(e["name"], bad);
    const Value& from = e["valueFrom"];
    if (!from.is_object()) continue;
    if (!e["value"].as_string().empty()) (here / "valueFrom").invalid("", "may not be specified when `value` is not empty");
    size_t sources = 0;
    for (const auto& m : from.members()) sources += m.value.is_object();
    if (sources == 0)
      (here / "valueFrom").invalid("", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
    if (sources > 1) (here / "valueFrom").invalid("", "may not have more than one field specified at a time");
    if (const Value& ref = from["fieldRef"]; ref.is_object()) {
      static constexpr std::string_view kPaths[] = {"metadata.name",  "metadata.namespace", "metadata.uid", "spec.nodeName",
                                                    "spec.serviceAccountName", "status.hostIP", "status.podIP", "status.hostIPs",
                                                    "status.podIPs"};
      const std::string& path = ref["fieldPath"].as_string();
      bool known = path.starts_with("metadata.labels['") || path.starts_with("metadata.annotations['");
      for (std::string_view p : kPaths) known = known || path == p;
      // Fields that pods can be selected by are known, though not as an environment variable's value.
      static constexpr std::string_view kSelectable[] = {"spec.restartPolicy", "spec.schedulerName", "spec.hostNetwork", "status.phase", "status.nominatedNodeName"};
      const At where = here / "valueFrom" / "fieldRef" / "fieldPath";
      if (!path.empty() && !known && std::find(std::begin(kSelectable), std::end(kSelectable), path) == std::end(kSelectable))
        where.invalid(ref["fieldPath"], "error converting fieldPath: field label not supported: " + path);
      else if (!path.empty() && !known)
        where.not_supported(ref["fieldPath"], "\"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", "
                                             "\"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", "
                                             "\"status.podIPs\"");
    }
  }
  std::set<std::string> mounts;
  i = 0;
  for (const Value& m : c["volumeMounts"].items()) {
    At here = (at / "volumeMounts")[i++];
    if (!m["name"].as_string().empty() && !volumes.contains(m["name"].as_string())) (here / "name").not_found(m["name"]);
    if (!mounts.insert(m["mountPath"].as_string()).second) (here / "mountPath").invalid(m["mountPath"], "must be unique");
  }
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    if (!c[probe].is_object()) continue;
    bool sidecar = c["restartPolicy"].as_string() == "Always";
    if (init && !sidecar) {
      (at / probe).forbidden(c[probe], "must not be set for init containers without restartPolicy=Always");
      continue;
    }
    handler(c[probe], at / probe, false);
    if (std::string_view(probe) != "readinessProbe" && c[probe]["successThreshold"].as_int() > 1)
      (at / probe / "successThreshold").invalid(c[probe]["successThreshold"], "must be 1");
  }
  for (const char* hook : {"postStart", "preStop"})
    if (c["lifecycle"][hook].is_object()) handler(c["lifecycle"][hook], at / "lifecycle" / hook, true);
  resources(c["resources"], at / "resources");
  if (init && !c["restartPolicy"].as_string().empty() && c["restartPolicy"].as_string() != "Always")
    (at / "restartPolicy").not_supported(c["restartPolicy"], "\"Always\"");
}

}  // namespace

void validate_pod_spec(const Value& spec, const At& at) {
  std::set<std::string> volumes;
  size_t i = 0;
  for (const Value& v : spec["volumes"].items()) {
    At here = (at / "volumes")[i++];
    const std::string& name = v["name"].as_string();
    if (!name.empty())
      if (const char* e = dns1123_label_error(name)) (here / "name").invalid(v["name"], e);
    if (!volumes.insert(name).second) (here / "name").duplicate(v["name"]);
    size_t sources = 0;
    // In the order in which Kubernetes looks for them: the first one stands.
    for (const char* source : {"emptyDir", "hostPath", "secret", "nfs", "persistentVolumeClaim", "downwardAPI", "configMap", "projected", "csi", "ephemeral", "image"})
      if (v[source].is_object() && ++sources > 1) (here / source).forbidden(v, "may not specify more than 1 volume type");
    if (v["configMap"].is_object() && v["configMap"]["name"].as_string().empty()) (here / "configMap" / "name").required(v);
    if (v["secret"].is_object() && v["secret"]["secretName"].as_string().empty()) (here / "secret" / "secretName").required(v);
  }
  std::set<std::string> names;
  for (const char* list : {"containers", "initContainers"}) {
    i = 0;
    for (const Value& c : spec[list].items()) {
      At here = (at / list)[i++];
      container(c, here, volumes, std::string_view(list) == "initContainers");
      if (!c["name"].as_string().empty() && !names.insert(c["name"].as_string()).second) (here / "name").duplicate(c["name"]);
    }
  }
  if (const std::string& host = spec["hostname"].as_string(); !host.empty())
    if (const char* e = dns1123_label_error(host)) (at / "hostname").invalid(spec["hostname"], e);
  if (const std::string& account = spec["serviceAccountName"].as_string(); !account.empty())
    if (const char* e = dns1123_subdomain_error(account)) (at / "serviceAccountName").invalid(spec["serviceAccountName"], e);
  validate_labels(spec["nodeSelector"], at / "nodeSelector");
  i = 0;
  for (const Value& alias : spec["hostAliases"].items()) {
    At here = (at / "hostAliases")[i++];
    if (!is_ip_address(alias["ip"].as_string())) (here / "ip").invalid(alias["ip"], kNoIpAddress);
    size_t j = 0;
    for (const Value& name : alias["hostnames"].items()) {
      At there = (here / "hostnames")[j++];
      if (const char* e = dns1123_subdomain_error(name.as_string())) there.invalid(name, e);
    }
  }
  if (spec["dnsPolicy"].as_string() == "None" && spec["dnsConfig"]["nameservers"].empty())
    (at / "dnsConfig" / "nameservers").required(spec, "must provide at least one DNS nameserver when `dnsPolicy` is None");
}

void pod_warnings(const Value& spec, const std::string& path, std::vector<std::string>& out) {
  if (spec["terminationGracePeriodSeconds"].as_int() < 0)
    out.push_back(path + ".terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1");
  for (const char* list : {"initContainers", "containers"}) {
    size_t i = 0;
    for (const Value& c : spec[list].items()) {
      const std::string here = fmt::format("{}.{}[{}]", path, list, i++);
      std::map<std::string, std::string> seen;
      size_t j = 0;
      for (const Value& p : c["ports"].items()) {
        const std::string at = fmt::format("{}.ports[{}]", here, j++);
        const std::string what = fmt::format("{}/{}/{}/{}", p["containerPort"].as_int(), p["protocol"].string_or("TCP"), p["hostPort"].as_int(), p["hostIP"].as_string());
        if (auto [first, fresh] = seen.emplace(what, at); !fresh)
          out.push_back(fmt::format("{}: duplicate port definition with {}", at, first->second));
      }
      std::map<std::string, std::string> names;
      j = 0;
      for (const Value& e : c["env"].items()) {
        const std::string at = fmt::format("{}.env[{}]", here, j++);
        auto [first, fresh] = names.emplace(e["name"].as_string(), at);
        // A value that refers to its predecessor is a way to extend it.
        if (fresh || e["value"].as_string().find("$(" + e["name"].as_string() + ")") != std::string::npos) continue;
        out.push_back(fmt::format("{}: hides previous definition of \"{}\", which may be dropped when using apply", at, e["name"].as_string()));
      }
    }
  }
}

void validate_pod_update(const Value& now, const Value& before, Problems& out) {
  if (now["spec"]["containers"].size() != before["spec"]["containers"].size() || now["spec"]["initContainers"].size() != before["spec"]["initContainers"].size()) {
    const char* list = now["spec"]["containers"].size() != before["spec"]["containers"].size() ? "spec.containers" : "spec.initContainers";
    At(out, list).forbidden(now["spec"], fmt::format("pod updates may not add or remove {}containers", std::string_view(list).ends_with("initContainers") ? "init " : ""));
    return;
  }
  Value a = now["spec"], b = before["spec"];
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    if (Value* x = a.find(list))
      for (Value& c : x->mutable_items()) c.erase("image");
    if (Value* x = b.find(list))
      for (Value& c : x->mutable_items()) c.erase("image");
  }
  for (const char* field : {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}) {
    a.erase(field);
    b.erase(field);
  }
  if (b["nodeName"].as_string().empty()) a.erase("nodeName");  // the binding of a pod to the node
  b.erase("nodeName");
  if (before["spec"]["nodeName"].as_string() == now["spec"]["nodeName"].as_string()) a.erase("nodeName");
  if (!(a == b))
    At(out, "spec").forbidden(
        now["spec"],
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
        "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
        "(allow it to be set to 1 if it was previously negative)");
}

}  // namespace fairlead::mesh
