// The rules of Kubernetes' own kinds. Source: pkg/apis/{core,apps}/validation.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "mesh/quantity.h"
#include "mesh/rules.h"
#include "mesh/selector.h"
#include "mesh/structural.h"

namespace fairlead::mesh {

using base::Value;

namespace {

constexpr const char* kPortRange = "must be between 1 and 65535, inclusive";

void port_number(const Value& v, const At& at) {
  int64_t n = v.as_int();
  if (n < 1 || n > 65535) at.invalid(v.is_null() ? Value(0) : v, kPortRange);
}

void port_reference(const Value& v, const At& at) {
  if (v.is_string()) {
    for (std::string_view e : port_name_errors(v.as_string())) at.invalid(v, e);
  } else {
    port_number(v, at);
  }
}

void service(const Value& object, Problems& out) {
  const Value& spec = object["spec"];
  At at(out, "spec");
  const std::string& type = spec["type"].as_string();
  bool headless = spec["clusterIP"].as_string() == "None";
  if (spec["ports"].empty() && !headless && type != "ExternalName") (at / "ports").required(spec);
  if (type == "ExternalName") {
    const Value& name = spec["externalName"];
    if (name.as_string().empty()) {
      (at / "externalName").required(spec);
    } else {
      std::string_view host = name.as_string();
      if (host.ends_with('.')) host.remove_suffix(1);
      if (const char* e = dns1123_subdomain_error(host)) (at / "externalName").invalid(name, e);
    }
  }
  if (type == "LoadBalancer" && headless)
    (at / "clusterIPs")[0].invalid("None", "may not be set to 'None' for LoadBalancer services");
  if (type == "NodePort" && headless) (at / "clusterIPs")[0].invalid("None", "may not be set to 'None' for NodePort services");
  std::set<std::string> names;
  std::set<std::pair<int64_t, std::string>> numbers;
  size_t i = 0;
  bool named = spec["ports"].size() > 1;
  for (const Value& p : spec["ports"].items()) {
    At here = (at / "ports")[i++];
    const std::string& name = p["name"].as_string();
    if (name.empty()) {
      if (named) (here / "name").required(p);
    } else if (const char* e = dns1123_label_error(name)) {
      (here / "name").invalid(p["name"], e);
    } else if (!names.insert(name).second) {
      (here / "name").duplicate(p["name"]);
    }
    port_number(p["port"], here / "port");
    if (!p["targetPort"].is_null()) port_reference(p["targetPort"], here / "targetPort");
    if (!numbers.emplace(p["port"].as_int(), p["protocol"].as_string()).second) {
      // Kubernetes shows its inner form here, with nothing but what the comparison is about.
      Value shown = Value::object({{"Name", ""}, {"Protocol", p["protocol"]}, {"AppProtocol", Value()}, {"Port", p["port"]}, {"TargetPort", 0}, {"NodePort", 0}});
      here.duplicate(shown);
    }
    int64_t node_port = p["nodePort"].as_int();
    if (node_port != 0 && type == "ClusterIP")
      (here / "nodePort").forbidden(p, "may not be used when `type` is 'ClusterIP'");
  }
  validate_labels(spec["selector"], at / "selector");
  if (const Value& ip = spec["clusterIP"]; !headless && type != "ExternalName" && !ip.as_string().empty() && !is_ip_address(ip.as_string()))
    (at / "clusterIPs")[0].invalid(ip, kNoIpAddress);
  if (type == "ClusterIP" && !spec["externalTrafficPolicy"].as_string().empty())
    (at / "externalTrafficPolicy").invalid(spec["externalTrafficPolicy"], "may only be set for externally-accessible services");
}

void workload(const Value& object, Problems& out) {
  const Value& spec = object["spec"];
  At at(out, "spec");
  if (spec["replicas"].as_int() < 0) (at / "replicas").invalid(spec["replicas"], "must be greater than or equal to 0");
  if (spec["minReadySeconds"].as_int() < 0) (at / "minReadySeconds").invalid(spec["minReadySeconds"], "must be greater than or equal to 0");
  const Value& selector = spec["selector"];
  const Value& labels = spec["template"]["metadata"]["labels"];
  const At template_labels = at / "template" / "metadata" / "labels";
  if (selector.is_null()) {
    (at / "selector").required(spec);
    template_labels.invalid(labels, "`selector` does not match template `labels`");  // nothing matches what is not there
  } else if (selector["matchLabels"].empty() && selector["matchExpressions"].empty()) {
    (at / "selector").invalid(selector, "empty selector is invalid for deployment");
  } else {
    validate_label_selector(selector, at / "selector");
    auto parsed = LabelSelector::from_object(selector);
    if (parsed && !parsed->matches(labels))
      template_labels.invalid(labels, "`selector` does not match template `labels`");
  }
  validate_labels(labels, template_labels);
  const Value& pod = spec["template"]["spec"];
  if (pod.is_null()) {
    (at / "template" / "spec" / "containers").required(spec);
    return;
  }
  validate_pod_spec(pod, at / "template" / "spec");
  if (pod["restartPolicy"].as_string() != "Always" && !pod["restartPolicy"].as_string().empty())
    (at / "template" / "spec" / "restartPolicy").not_supported(pod["restartPolicy"], "\"Always\"");
}

// "25%" or a number of zero or more; the number, or -1 for a percentage.
int64_t surge(const Value& v, const At& at) {
  if (v.is_string()) {
    std::string_view s = v.as_string();
    auto n = s.ends_with('%') ? base::to_int(s.substr(0, s.size() - 1)) : std::nullopt;
    if (!n || *n < 0) {
      at.invalid(v, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
                    "validation is '[0-9]+%')");
      return -1;
    }
    if (*n > 100 && at.path().ends_with("maxUnavailable")) at.invalid(v, "must not be greater than 100%");
    return *n == 0 ? 0 : -1;
  }
  if (v.as_int() < 0) at.invalid(v, "must be greater than or equal to 0");
  return v.as_int();
}

void deployment(const Value& object, Problems& out) {
  workload(object, out);
  const Value& spec = object["spec"];
  At at = At(out, "spec") / "strategy";
  const Value& strategy = spec["strategy"];
  if (strategy["type"].as_string() == "Recreate" && strategy["rollingUpdate"].is_object())
    (at / "rollingUpdate").forbidden(strategy, "may not be specified when strategy `type` is 'Recreate'");
  if (strategy["type"].as_string() == "RollingUpdate") {
    const Value& rolling = strategy["rollingUpdate"];
    int64_t unavailable = surge(rolling["maxUnavailable"], at / "rollingUpdate" / "maxUnavailable");
    int64_t extra = surge(rolling["maxSurge"], at / "rollingUpdate" / "maxSurge");
    if (unavailable == 0 && extra == 0)
      (at / "rollingUpdate" / "maxUnavailable").invalid(rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0");
  }
  if (spec["progressDeadlineSeconds"].is_int() && spec["progressDeadlineSeconds"].as_int() <= spec["minReadySeconds"].as_int())
    (At(out, "spec") / "progressDeadlineSeconds").invalid(spec["progressDeadlineSeconds"], "must be greater than minReadySeconds");
}

void config_data(const Value& object, Problems& out, bool binary_only) {
  size_t total = 0;
  for (const char* field : {"data", "binaryData"}) {
    for (const auto& m : object[field].members()) {
      At at = (At(out, "") / field).key(m.key);
      bool ok = !m.key.empty() && m.key.size() <= 253 && m.key != "." && !m.key.starts_with("..");
      for (char c : m.key) ok = ok && (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.');
      if (!ok)
        at.invalid(Value(m.key), "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                                 "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
      total += m.value.as_string().size();
      if (!binary_only && std::string_view(field) == "binaryData" && object["data"].contains(m.key))
        at.invalid(Value(m.key), "duplicate of key present in data");
    }
  }
  constexpr size_t kLimit = 1024 * 1024;
  if (total > kLimit) (At(out, "") / "data").too_long(object["data"], kLimit);
}

void webhooks(const Value& object, Problems& out) {
  size_t i = 0;
  std::set<std::string> names;
  for (const Value& w : object["webhooks"].items()) {
    At at = (At(out, "") / "webhooks")[i++];
    if (!names.insert(w["name"].as_string()).second) (at / "name").duplicate(w["name"]);
    const Value& client = w["clientConfig"];
    if (client["url"].is_null() == client["service"].is_null())
      (at / "clientConfig").required(w, "exactly one of url or service is required");
    const std::string& effects = w["sideEffects"].as_string();
    if (effects.empty())
      (at / "sideEffects").required(w, "must specify one of None, NoneOnDryRun");
    int64_t timeout = w["timeoutSeconds"].as_int(10);
    if (timeout < 1 || timeout > 30) (at / "timeoutSeconds").invalid(w["timeoutSeconds"], "the timeout value must be between 1 and 30 seconds");
    validate_label_selector(w["namespaceSelector"], at / "namespaceSelector");
    validate_label_selector(w["objectSelector"], at / "objectSelector");
  }
}

void endpoints(const Value& object, Problems& out) {
  size_t i = 0;
  for (const Value& subset : object["subsets"].items()) {
    At at = (At(out, "") / "subsets")[i++];
    for (const char* list : {"addresses", "notReadyAddresses"}) {
      size_t j = 0;
      for (const Value& address : subset[list].items()) {
        At here = (at / list)[j++] / "ip";
        if (!is_ip_address(address["ip"].as_string())) here.invalid(address["ip"], kNoIpAddress);
      }
    }
    if (subset["addresses"].empty() && subset["notReadyAddresses"].empty()) at.required(subset, "must specify `addresses` or `notReadyAddresses`");
    size_t j = 0;
    for (const Value& port : subset["ports"].items()) port_number(port["port"], (at / "ports")[j++] / "port");
  }
}

}  // namespace

std::vector<std::string_view> port_name_errors(std::string_view s) {
  std::vector<std::string_view> out;
  if (s.size() > 15) out.emplace_back("must be no more than 15 characters");
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (!std::all_of(s.begin(), s.end(), fits)) out.emplace_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (std::none_of(s.begin(), s.end(), [](char c) { return c >= 'a' && c <= 'z'; })) out.emplace_back("must contain at least one letter (a-z)");
  if (s.find("--") != std::string_view::npos) out.emplace_back("must not contain consecutive hyphens");
  if (!s.empty() && (s.front() == '-' || s.back() == '-')) out.emplace_back("must not begin or end with a hyphen");
  return out;
}

void core_warnings(const Kind& kind, const Value& object, std::vector<std::string>& out) {
  // Istio's own are described by the tables, rules included.
  if (kind.kind == "CustomResourceDefinition" && !find_kind_by_resource(object["metadata"]["name"].as_string()))
    for (auto& w : definition_warnings(object)) out.push_back(std::move(w));
  if (kind.kind == "Pod") pod_warnings(object["spec"], "spec", out);
  if (kind.group == "apps") pod_warnings(object["spec"]["template"]["spec"], "spec.template.spec", out);
}

void validate_core(const Kind& kind, const Value& object, Problems& out) {
  if (kind.kind == "Pod") {
    const Value& spec = object["spec"];
    if (spec.is_null()) {
      At(out, "spec.containers").required(object);
    } else {
      validate_pod_spec(spec, At(out, "spec"));
    }
  } else if (kind.kind == "Service") {
    service(object, out);
  } else if (kind.kind == "Deployment") {
    deployment(object, out);
  } else if (kind.kind == "ReplicaSet") {
    workload(object, out);
  } else if (kind.kind == "ConfigMap") {
    config_data(object, out, false);
  } else if (kind.kind == "Secret") {
    config_data(object, out, true);
    if (object["type"].as_string() == "kubernetes.io/tls")
      for (const char* key : {"tls.crt", "tls.key"})
        if (!object["data"].contains(key)) (At(out, "") / "data").key(key).required(object);
  } else if (kind.kind == "CustomResourceDefinition") {
    validate_definition(object, out);
  } else if (kind.kind == "Endpoints") {
    endpoints(object, out);
  } else if (kind.kind.ends_with("WebhookConfiguration")) {
    webhooks(object, out);
  }
}

void validate_core_update(const Kind& kind, const Value& now, const Value& before, Problems& out) {
  At spec(out, "spec");
  if (kind.kind == "Pod") {
    validate_pod_update(now, before, out);
  } else if (kind.kind == "Deployment" || kind.kind == "ReplicaSet") {
    (spec / "selector").immutable(now["spec"]["selector"], before["spec"]["selector"]);
  } else if (kind.kind == "Service") {
    const std::string& was = before["spec"]["clusterIP"].as_string();
    const std::string& is = now["spec"]["clusterIP"].as_string();
    if (!was.empty() && was != is && now["spec"]["type"].as_string() != "ExternalName" &&
        before["spec"]["type"].as_string() != "ExternalName")
      (spec / "clusterIPs")[0].invalid(Value::array({is}), "may not change once set");
  } else if (kind.kind == "ConfigMap" || kind.kind == "Secret") {
    if (before["immutable"].as_bool()) {
      if (!now["immutable"].as_bool()) At(out, "immutable").forbidden(now, "field is immutable when `immutable` is set");
      for (const char* field : {"data", "binaryData"})
        if (!(now[field] == before[field])) At(out, field).forbidden(now, "field is immutable when `immutable` is set");
    }
    if (kind.kind == "Secret") At(out, "type").immutable(now["type"], before["type"]);
  } else if (kind.kind == "CustomResourceDefinition") {
    for (const char* fixed : {"scope", "group"}) (spec / fixed).immutable(now["spec"][fixed], before["spec"][fixed]);
    for (const char* fixed : {"kind", "plural"}) (spec / "names" / fixed).immutable(now["spec"]["names"][fixed], before["spec"]["names"][fixed]);
  } else if (kind.kind == "EndpointSlice") {
    At(out, "addressType").immutable(now["addressType"], before["addressType"]);
  }
}

}  // namespace fairlead::mesh
