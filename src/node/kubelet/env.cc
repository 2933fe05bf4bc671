#include "node/kubelet/env.h"

#include <sys/sysinfo.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/strings.h"
#include "mesh/quantity.h"
#include "node/node.h"

namespace fairlead::node {

using base::Code;
using base::fail;
using base::Value;

namespace {

// A later definition of a name takes the place of the earlier one.
void put(Environment& environment, std::string_view name, std::string value) {
  for (auto& [have, old] : environment)
    if (have == name) {
      old = std::move(value);
      return;
    }
  environment.emplace_back(name, std::move(value));
}

const std::string* get(const Environment& environment, std::string_view name) {
  for (auto& [have, value] : environment)
    if (have == name) return &value;
  return nullptr;
}

// "metadata.labels['x']": the map and the key.
bool subscript(std::string_view path, std::string_view map, std::string& key) {
  if (!path.starts_with(map) || !path.substr(map.size()).starts_with("['") || !path.ends_with("']")) return false;
  key = path.substr(map.size() + 2, path.size() - map.size() - 4);
  return true;
}

// Go's %q, which is JSON's spelling for what labels and annotations hold.
std::string map_lines(const Value& map) {
  std::vector<std::string> lines;
  for (auto& m : map.members()) {
    std::string line = m.key + "=";
    base::append_json_string(line, m.value.as_string());
    lines.push_back(std::move(line));
  }
  std::sort(lines.begin(), lines.end());
  return base::join(lines, "\n");
}

bool valid_name(std::string_view name) {
  // Any printable ASCII but '=' (relaxed rules of Kubernetes 1.32).
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '='; });
}

std::string service_variable(std::string_view name) {
  std::string out(name);
  for (auto& c : out) c = c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

base::Result<std::string> secret_value(const Value& secret, const std::string& key) {
  auto bytes = base::base64_decode(secret["data"][key].as_string());
  if (!bytes) return fail(Code::kInvalidArgument, "key {} of Secret {} is not base64", key, secret["metadata"]["name"].as_string());
  return *bytes;
}

base::Result<std::string> config_map_value(const Value& map, const std::string& key) {
  if (map["data"].contains(key)) return map["data"][key].as_string();
  if (auto bytes = base::base64_decode(map["binaryData"][key].as_string())) return *bytes;
  return fail(Code::kInvalidArgument, "key {} of ConfigMap {} is not base64", key, map["metadata"]["name"].as_string());
}

struct Source {
  const char* resource;
  const char* word;  // in messages
};
constexpr Source kConfigMap{"configmaps", "ConfigMap"}, kSecret{"secrets", "Secret"};

base::Result<std::string> value_of(const Source& source, const Value& object, const std::string& key) {
  return &source == &kSecret ? secret_value(object, key) : config_map_value(object, key);
}

bool has_key(const Source& source, const Value& object, const std::string& key) {
  return object["data"].contains(key) || (&source == &kConfigMap && object["binaryData"].contains(key));
}

}  // namespace

std::string expand_variables(std::string_view text, const Environment& environment) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 >= text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    size_t end = text[i + 1] == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += text[i];
      continue;
    }
    std::string_view name = text.substr(i + 2, end - i - 2);
    if (const std::string* value = get(environment, name))
      out += *value;
    else
      out += text.substr(i, end - i + 1);
    i = end;
  }
  return out;
}

base::Result<std::string> pod_field(const Value& pod, std::string_view path, const PodFacts& facts) {
  const Value& meta = pod["metadata"];
  std::string key;
  if (subscript(path, "metadata.labels", key)) return meta["labels"][key].as_string();
  if (subscript(path, "metadata.annotations", key)) return meta["annotations"][key].as_string();
  if (path == "metadata.name") return meta["name"].as_string();
  if (path == "metadata.namespace") return meta["namespace"].as_string();
  if (path == "metadata.uid") return meta["uid"].as_string();
  if (path == "metadata.labels") return map_lines(meta["labels"]);
  if (path == "metadata.annotations") return map_lines(meta["annotations"]);
  if (path == "spec.nodeName") return std::string(kNodeName);
  if (path == "spec.serviceAccountName") return pod["spec"]["serviceAccountName"].as_string();
  if (path == "status.podIP" || path == "status.podIPs") return facts.pod_ip;
  if (path == "status.hostIP" || path == "status.hostIPs") return facts.host_ip;
  return fail(Code::kInvalidArgument, "unsupported fieldPath: {}", path);
}

base::Result<std::string> resource_field(const Value& container, std::string_view resource, std::string_view divisor) {
  size_t dot = resource.find('.');
  std::string_view kind = resource.substr(0, dot), name = dot == std::string_view::npos ? "" : resource.substr(dot + 1);
  if ((kind != "limits" && kind != "requests") || (name != "cpu" && name != "memory" && name != "ephemeral-storage"))
    return fail(Code::kInvalidArgument, "unsupported container resource : {}", resource);
  std::string amount;
  const Value& own = container["resources"][kind][name];
  amount = own.is_int() ? std::to_string(own.as_int()) : own.as_string();
  if (amount.empty() && kind == "requests") {
    const Value& limit = container["resources"]["limits"][name];
    amount = limit.is_int() ? std::to_string(limit.as_int()) : limit.as_string();
    if (amount.empty()) amount = "0";
  }
  if (amount.empty()) {
    // Without a limit it is what the node has.
    struct sysinfo info {};
    ::sysinfo(&info);
    amount = name == "cpu" ? std::to_string(get_nprocs()) : name == "memory" ? std::to_string(static_cast<uint64_t>(info.totalram) * info.mem_unit) : "0";
  }
  auto value = mesh::quantity_milli(amount);
  auto unit = mesh::quantity_milli(divisor.empty() || divisor == "0" ? "1" : divisor);
  if (!value || !unit || *unit <= 0) return fail(Code::kInvalidArgument, "resource {} or its divisor is not a quantity", resource);
  return std::to_string((*value + *unit - 1) / *unit);
}

Environment service_environment(const store::Store& store, const std::string& ns, bool service_links) {
  Environment out;
  auto add = [&](const Value& service) {
    const Value& spec = service["spec"];
    const std::string& ip = spec["clusterIP"].as_string();
    const auto& ports = spec["ports"].items();
    if (ip.empty() || ip == "None" || ports.empty()) return;
    std::string name = service_variable(service["metadata"]["name"].as_string());
    put(out, name + "_SERVICE_HOST", ip);
    put(out, name + "_SERVICE_PORT", std::to_string(ports[0]["port"].as_int()));
    for (auto& port : ports)
      if (!port["name"].as_string().empty())
        put(out, fmt::format("{}_SERVICE_PORT_{}", name, service_variable(port["name"].as_string())), std::to_string(port["port"].as_int()));
    for (size_t i = 0; i < ports.size(); ++i) {
      const Value& port = ports[i];
      std::string protocol = port["protocol"].string_or("TCP"), number = std::to_string(port["port"].as_int());
      std::string prefix = fmt::format("{}_PORT_{}_{}", name, number, protocol);
      std::string url = fmt::format("{}://{}:{}", base::to_lower(protocol), ip, number);
      if (i == 0) put(out, name + "_PORT", url);
      put(out, prefix, url);
      put(out, prefix + "_PROTO", base::to_lower(protocol));
      put(out, prefix + "_PORT", number);
      put(out, prefix + "_ADDR", ip);
    }
  };
  if (auto kubernetes = store.get({"services", "default", "kubernetes"})) add(**kubernetes);
  if (service_links)
    for (auto& service : store.list("services", ns)) add(*service);
  return out;
}

base::Result<Environment> container_environment(const store::Store& store, const Value& pod, const Value& container, const PodFacts& facts) {
  const std::string ns = pod["metadata"]["namespace"].as_string();
  Environment services = service_environment(store, ns, pod["spec"]["enableServiceLinks"].as_bool(true));
  Environment out;
  for (auto& from : container["envFrom"].items()) {
    const std::string& prefix = from["prefix"].as_string();
    bool is_secret = from.contains("secretRef");
    const Source& source = is_secret ? kSecret : kConfigMap;
    const Value& reference = from[is_secret ? "secretRef" : "configMapRef"];
    std::string name = reference["name"].as_string();
    auto object = store.get({source.resource, ns, name});
    if (!object) {
      if (reference["optional"].as_bool()) continue;
      return fail(Code::kNotFound, "{} \"{}\" not found", is_secret ? "secret" : "configmap", name);
    }
    for (auto& m : (**object)["data"].members()) {
      if (!valid_name(prefix + m.key)) continue;
      auto value = value_of(source, **object, m.key);
      if (!value) return std::unexpected(value.error());
      put(out, prefix + m.key, std::move(*value));
    }
  }
  for (auto& variable : container["env"].items()) {
    const std::string& name = variable["name"].as_string();
    const Value& from = variable["valueFrom"];
    if (from.is_null()) {
      // References see what was defined before, and the Services.
      Environment known = services;
      for (auto& [k, v] : out) put(known, k, v);
      put(out, name, expand_variables(variable["value"].as_string(), known));
      continue;
    }
    if (from.contains("fieldRef")) {
      auto value = pod_field(pod, from["fieldRef"]["fieldPath"].as_string(), facts);
      if (!value) return std::unexpected(value.error());
      put(out, name, std::move(*value));
    } else if (from.contains("resourceFieldRef")) {
      const Value& reference = from["resourceFieldRef"];
      const std::string& of = reference["containerName"].as_string();
      const Value* target = &container;
      for (const char* list : {"containers", "initContainers"})
        for (auto& c : pod["spec"][list].items())
          if (!of.empty() && c["name"].as_string() == of) target = &c;
      auto value = resource_field(*target, reference["resource"].as_string(), reference["divisor"].as_string());
      if (!value) return std::unexpected(value.error());
      put(out, name, std::move(*value));
    } else {
      bool is_secret = from.contains("secretKeyRef");
      const Source& source = is_secret ? kSecret : kConfigMap;
      const Value& reference = from[is_secret ? "secretKeyRef" : "configMapKeyRef"];
      const std::string &object_name = reference["name"].as_string(), &key = reference["key"].as_string();
      auto object = store.get({source.resource, ns, object_name});
      if (!object) {
        if (reference["optional"].as_bool()) continue;
        return fail(Code::kNotFound, "{} \"{}\" not found", is_secret ? "secret" : "configmap", object_name);
      }
      if (!has_key(source, **object, key)) {
        if (reference["optional"].as_bool()) continue;
        return fail(Code::kNotFound, "couldn't find key {} in {} {}/{}", key, source.word, ns, object_name);
      }
      auto value = value_of(source, **object, key);
      if (!value) return std::unexpected(value.error());
      put(out, name, std::move(*value));
    }
  }
  for (auto& [name, value] : services)
    if (!get(out, name)) out.emplace_back(name, value);
  return out;
}

}  // namespace fairlead::node
