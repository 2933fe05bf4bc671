#include "control/install/profile.h"

#include <algorithm>

#include "base/strings.h"

namespace fairlead {
const char* embedded_manifests(std::string_view name);  // manifests/istio/, see cmake/Embed.cmake
}

namespace fairlead::control {
namespace {

using base::Code;
using base::fail;
using base::Value;

struct Enabled {
  bool istiod = true, ingress = true, egress = false;
};

base::Result<std::vector<Value>> load(std::string_view name) {
  const char* text = embedded_manifests(name);
  if (!text) return fail(Code::kInternal, "manifest {} is not part of this binary", name);
  return base::parse_yaml(text, name);
}

Value* find_object(std::vector<Value>& objects, std::string_view kind, std::string_view name) {
  for (Value& o : objects)
    if (o["kind"].as_string() == kind && o["metadata"]["name"].as_string() == name) return &o;
  return nullptr;
}

Value mesh_config(std::string_view profile) {
  Value mesh = Value::object();
  if (profile == "demo") mesh.set("accessLogFile", "/dev/stdout");
  Value defaults = Value::object();
  defaults.set("discoveryAddress", "istiod.istio-system.svc:15012");
  mesh.set("defaultConfig", std::move(defaults));
  Value providers = Value::object();
  providers.set("metrics", Value::array({"prometheus"}));
  mesh.set("defaultProviders", std::move(providers));
  mesh.set("enablePrometheusMerge", true);
  Value outbound = Value::object();
  outbound.set("mode", "ALLOW_ANY");
  mesh.set("outboundTrafficPolicy", std::move(outbound));
  mesh.set("rootNamespace", "istio-system");
  mesh.set("trustDomain", "cluster.local");
  return mesh;
}

Value scalar(const std::string& text) {
  if (text == "true" || text == "false") return text == "true";
  if (auto n = base::to_int(text)) return Value(*n);
  return text;
}

void set_path(Value& root, std::string_view path, Value value) {
  Value* at = &root;
  for (std::string_view key : base::split(path, '.')) at = &(*at)[key];
  *at = std::move(value);
}

bool truth(const std::string& text) { return text == "true"; }

base::Status apply_set(const std::string& path, const std::string& value, Enabled& enabled, Value& mesh, Value& injector) {
  if (path.starts_with("meshConfig.")) {
    set_path(mesh, std::string_view(path).substr(11), scalar(value));
  } else if (path.starts_with("values.")) {
    set_path(injector, std::string_view(path).substr(7), scalar(value));
  } else if (path == "components.pilot.enabled") {
    enabled.istiod = truth(value);
  } else if (path == "components.ingressGateways[0].enabled" || path == "components.ingressGateways.[name:istio-ingressgateway].enabled") {
    enabled.ingress = truth(value);
  } else if (path == "components.egressGateways[0].enabled" || path == "components.egressGateways.[name:istio-egressgateway].enabled") {
    enabled.egress = truth(value);
  } else if (path == "components.egressGateways[0].name" || path == "components.ingressGateways[0].name") {
    std::string wanted = path.find("egress") != std::string::npos ? "istio-egressgateway" : "istio-ingressgateway";
    if (value != wanted) return fail(Code::kInvalidArgument, "--set {}={}: only {} is known here", path, value, wanted);
  } else if (path != "profile" && path != "hub" && path != "tag" && path != "revision") {
    return fail(Code::kInvalidArgument,
                "--set {}={}: unknown path; known are profile, meshConfig.*, values.*, components.pilot.enabled, "
                "components.ingressGateways[0].enabled, components.egressGateways[0].enabled",
                path, value);
  }
  return {};
}

}  // namespace

std::vector<std::string_view> profile_names() { return {"default", "demo", "empty", "minimal"}; }

base::Result<std::vector<ComponentObjects>> install_components(const InstallOptions& options) {
  std::string profile = options.profile.empty() ? "default" : options.profile;
  for (const auto& [path, value] : options.sets)
    if (path == "profile") profile = value;
  auto names = profile_names();
  if (std::find(names.begin(), names.end(), profile) == names.end()) {
    std::vector<std::string> all(names.begin(), names.end());
    return fail(Code::kInvalidArgument, "unknown profile \"{}\"; profiles are {}", profile, base::join(all, ", "));
  }
  Enabled enabled;
  enabled.istiod = profile != "empty";
  enabled.ingress = profile == "default" || profile == "demo";
  enabled.egress = profile == "demo";
  Value mesh = mesh_config(profile);
  Value injector = Value::object();
  for (const auto& [path, value] : options.sets)
    if (auto ok = apply_set(path, value, enabled, mesh, injector); !ok) return std::unexpected(ok.error());

  std::vector<ComponentObjects> out;
  auto add = [&](Component component, std::string title, std::string_view file) -> base::Status {
    auto objects = load(file);
    if (!objects) return std::unexpected(objects.error());
    out.push_back({component, std::move(title), std::move(*objects)});
    return {};
  };
  if (auto ok = add(Component::kCore, "Istio core", "base.yaml"); !ok) return std::unexpected(ok.error());
  if (enabled.istiod) {
    if (auto ok = add(Component::kIstiod, "Istiod", "istiod.yaml"); !ok) return std::unexpected(ok.error());
    auto& objects = out.back().objects;
    std::string text = base::to_yaml(mesh);
    while (text.ends_with('\n')) text.pop_back();
    if (Value* map = find_object(objects, "ConfigMap", "istio")) (*map)["data"]["mesh"] = text;
    if (Value* map = find_object(objects, "ConfigMap", "istio-sidecar-injector"); map && !injector.empty()) {
      auto values = base::parse_json((*map)["data"]["values"].as_string());
      if (!values) return std::unexpected(values.error());
      // Objects are merged member by member: --set gives leaves only.
      auto merge = [](auto&& self, Value& into, const Value& from) -> void {
        for (const auto& m : from.members()) {
          if (m.value.is_object() && into[m.key].is_object()) {
            self(self, into[m.key], m.value);
          } else {
            into.set(m.key, m.value);
          }
        }
      };
      merge(merge, *values, injector);
      (*map)["data"]["values"] = values->dump(2);
    }
  }
  if (enabled.ingress) {
    if (auto ok = add(Component::kIngressGateway, "Ingress gateways", "ingressgateway.yaml"); !ok) return std::unexpected(ok.error());
    if (profile != "demo") {
      // The ports for plain TCP and SNI tasks are the demo profile's.
      auto demo_only = [](int64_t port) { return port == 31400 || port == 15443; };
      auto& objects = out.back().objects;
      if (Value* service = find_object(objects, "Service", "istio-ingressgateway"))
        std::erase_if((*service)["spec"]["ports"].mutable_items(), [&](const Value& p) { return demo_only(p["port"].as_int()); });
      if (Value* deployment = find_object(objects, "Deployment", "istio-ingressgateway")) {
        Value& containers = (*deployment)["spec"]["template"]["spec"]["containers"];
        std::erase_if(containers.mutable_items()[0]["ports"].mutable_items(),
                      [&](const Value& p) { return demo_only(p["containerPort"].as_int()); });
      }
    }
  }
  if (enabled.egress)
    if (auto ok = add(Component::kEgressGateway, "Egress gateways", "egressgateway.yaml"); !ok) return std::unexpected(ok.error());
  return out;
}

base::Result<std::vector<Value>> install_objects(const InstallOptions& options) {
  auto components = install_components(options);
  if (!components) return std::unexpected(components.error());
  std::vector<Value> out;
  for (auto& c : *components)
    for (Value& o : c.objects) out.push_back(std::move(o));
  return out;
}

}  // namespace fairlead::control
