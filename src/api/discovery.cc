#include "api/discovery.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "mesh/openapi.h"

namespace fairlead::api {

using base::Value;

namespace {

// Kubernetes' version order: GA before beta before alpha, higher numbers first ("v2", "v1", "v1beta2", "v1beta1", "v1alpha3").
std::array<int, 3> version_rank(std::string_view v) {
  std::array<int, 3> rank{0, 0, 0};  // stage, major, minor
  size_t i = 1;
  auto number = [&] {
    int n = 0;
    while (i < v.size() && v[i] >= '0' && v[i] <= '9') n = n * 10 + (v[i++] - '0');
    return n;
  };
  rank[1] = number();
  auto rest = v.substr(std::min(i, v.size()));
  if (rest.empty()) {
    rank[0] = 3;
  } else if (rest.starts_with("beta")) {
    rank[0] = 2;
    i += 4;
    rank[2] = number();
  } else if (rest.starts_with("alpha")) {
    rank[0] = 1;
    i += 5;
    rank[2] = number();
  }
  return rank;
}

// Built-in groups in the order in which a real server lists them; others follow by name.
int group_rank(std::string_view group) {
  constexpr std::array<std::string_view, 11> kOrder = {"", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling",
                                                       "batch", "networking.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "coordination.k8s.io"};
  auto it = std::find(kOrder.begin(), kOrder.end(), group);
  if (it != kOrder.end()) return static_cast<int>(it - kOrder.begin());
  return group == "discovery.k8s.io" ? 20 : 100;
}

Value strings(const std::vector<std::string>& list) {
  Value out = Value::array();
  for (const auto& s : list) out.push(s);
  return out;
}

std::vector<std::string> owned(std::span<const std::string_view> list) { return {list.begin(), list.end()}; }

struct Review {
  std::string_view group, name, singular, kind;
  bool namespaced;
};
constexpr Review kReviews[] = {
    {"authentication.k8s.io", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", false},
    {"authentication.k8s.io", "tokenreviews", "tokenreview", "TokenReview", false},
    {"authorization.k8s.io", "localsubjectaccessreviews", "localsubjectaccessreview", "LocalSubjectAccessReview", true},
    {"authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", false},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", false},
    {"authorization.k8s.io", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", false},
};

}  // namespace

std::vector<Discovery::Group> Discovery::groups() const {
  std::vector<Group> out;
  auto version_of = [&](std::string_view group, std::string_view version) -> Version& {
    auto g = std::find_if(out.begin(), out.end(), [&](const Group& x) { return x.name == group; });
    if (g == out.end()) g = out.insert(out.end(), Group{std::string(group), {}});
    auto v = std::find_if(g->versions.begin(), g->versions.end(), [&](const Version& x) { return x.name == version; });
    if (v == g->versions.end()) v = g->versions.insert(g->versions.end(), Version{std::string(version), {}});
    return *v;
  };
  for (const mesh::Kind* kind : kinds_.all()) {
    for (auto version : kind->versions) {
      Resource r;
      r.kind = kind;
      r.name = kind->plural;
      r.singular = kind->singular;
      r.kind_name = kind->kind;
      r.namespaced = kind->namespaced;
      r.verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
      r.short_names = owned(kind->short_names);
      r.categories = owned(kind->categories);
      const std::string group(kind->group), v(version), name(kind->kind);
      const std::vector<std::string> change{"get", "patch", "update"};
      auto sub = [&](const char* n, std::string g, std::string ver, std::string k, std::vector<std::string> verbs) {
        r.subresources.push_back({n, std::move(g), std::move(ver), std::move(k), std::move(verbs)});
      };
      if (group.empty() && name == "Pod") {
        sub("attach", "", "v1", "PodAttachOptions", {"create", "get"});
        sub("binding", "", "v1", "Binding", {"create"});
        sub("eviction", "policy", "v1", "Eviction", {"create"});
        sub("exec", "", "v1", "PodExecOptions", {"create", "get"});
        sub("log", "", "v1", "Pod", {"get"});
        sub("portforward", "", "v1", "PodPortForwardOptions", {"create", "get"});
      }
      if (group.empty() && name == "ServiceAccount") sub("token", "authentication.k8s.io", "v1", "TokenRequest", {"create"});
      if (kind->has_scale) sub("scale", "autoscaling", "v1", "Scale", change);
      if (kind->has_status) sub("status", group, v, name, change);
      version_of(group, version).resources.push_back(std::move(r));
    }
  }
  for (const Review& review : kReviews) {
    Resource r;
    r.kind = nullptr;
    r.name = review.name;
    r.singular = review.singular;
    r.kind_name = review.kind;
    r.namespaced = review.namespaced;
    r.verbs = {"create"};
    version_of(review.group, "v1").resources.push_back(std::move(r));
  }
  for (auto& g : out)
    std::stable_sort(g.versions.begin(), g.versions.end(), [](const Version& a, const Version& b) { return version_rank(a.name) > version_rank(b.name); });
  std::stable_sort(out.begin(), out.end(), [](const Group& a, const Group& b) {
    int x = group_rank(a.name), y = group_rank(b.name);
    return x != y ? x < y : (x == 100 && a.name < b.name);
  });
  return out;
}

Value Discovery::group_document(const Group& g) const {
  Value versions = Value::array();
  for (const auto& v : g.versions) versions.push(Value::object({{"groupVersion", g.name + "/" + v.name}, {"version", v.name}}));
  Value preferred = std::as_const(versions)[0];
  return Value::object({{"name", g.name}, {"versions", std::move(versions)}, {"preferredVersion", std::move(preferred)}});
}

Value Discovery::resource_list(const Group& g, const Version& v) const {
  Value list = Value::array();
  for (const auto& r : v.resources) {
    Value item = Value::object({{"name", r.name}, {"singularName", r.singular}, {"namespaced", r.namespaced}, {"kind", r.kind_name}, {"verbs", strings(r.verbs)}});
    if (!r.short_names.empty()) item.set("shortNames", strings(r.short_names));
    if (!r.categories.empty()) item.set("categories", strings(r.categories));
    list.push(std::move(item));
    for (const auto& s : r.subresources) {
      Value sub = Value::object({{"name", r.name + "/" + s.name}, {"singularName", ""}, {"namespaced", r.namespaced}});
      if (s.group != g.name || s.version != v.name) sub.set("group", s.group).set("version", s.version);
      sub.set("kind", s.kind).set("verbs", strings(s.verbs));
      list.push(std::move(sub));
    }
  }
  return Value::object({{"kind", "APIResourceList"},
                        {"apiVersion", "v1"},
                        {"groupVersion", g.name.empty() ? v.name : g.name + "/" + v.name},
                        {"resources", std::move(list)}});
}

std::optional<Value> Discovery::document(std::string_view path) const {
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path == "/api")
    return Value::object({{"kind", "APIVersions"},
                          {"versions", Value::array({"v1"})},
                          {"serverAddressByClientCIDRs", Value::array()}});
  const auto all = groups();
  if (path == "/apis") {
    Value list = Value::array();
    for (const auto& g : all)
      if (!g.name.empty()) list.push(group_document(g));
    return Value::object({{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(list)}});
  }
  const bool core = path.starts_with("/api/");
  if (!core && !path.starts_with("/apis/")) return std::nullopt;
  auto parts = base::split(path.substr(core ? 5 : 6), '/');
  const std::string_view group = core ? std::string_view() : parts[0];
  for (const auto& g : all) {
    if (g.name != group) continue;
    if (!core && parts.size() == 1) {
      Value d = group_document(g);
      return Value::object({{"kind", "APIGroup"}, {"apiVersion", "v1"}, {"name", g.name}, {"versions", d["versions"]}, {"preferredVersion", d["preferredVersion"]}});
    }
    if (parts.size() != (core ? 1u : 2u)) return std::nullopt;
    for (const auto& v : g.versions)
      if (v.name == parts.back()) return resource_list(g, v);
  }
  return std::nullopt;
}

Value Discovery::aggregated(bool core, std::string_view version) const {
  Value items = Value::array();
  for (const auto& g : groups()) {
    if (g.name.empty() != core) continue;
    Value versions = Value::array();
    for (const auto& v : g.versions) {
      Value resources = Value::array();
      for (const auto& r : v.resources) {
        auto gvk = [](std::string_view group, std::string_view ver, std::string_view kind) {
          return Value::object({{"group", group}, {"version", ver}, {"kind", kind}});
        };
        Value item = Value::object({{"resource", r.name},
                                    {"responseKind", gvk(g.name, v.name, r.kind_name)},
                                    {"scope", r.namespaced ? "Namespaced" : "Cluster"},
                                    {"singularResource", r.singular},
                                    {"verbs", strings(r.verbs)}});
        if (!r.short_names.empty()) item.set("shortNames", strings(r.short_names));
        if (!r.categories.empty()) item.set("categories", strings(r.categories));
        if (!r.subresources.empty()) {
          Value subs = Value::array();
          for (const auto& s : r.subresources)
            subs.push(Value::object({{"subresource", s.name}, {"responseKind", gvk(s.group, s.version, s.kind)}, {"verbs", strings(s.verbs)}}));
          item.set("subresources", std::move(subs));
        }
        resources.push(std::move(item));
      }
      versions.push(Value::object({{"version", v.name}, {"resources", std::move(resources)}, {"freshness", "Current"}}));
    }
    items.push(Value::object({{"metadata", Value::object({{"name", g.name}, {"creationTimestamp", nullptr}})}, {"versions", std::move(versions)}}));
  }
  return Value::object({{"kind", "APIGroupDiscoveryList"},
                        {"apiVersion", "apidiscovery.k8s.io/" + std::string(version)},
                        {"metadata", Value::object()},
                        {"items", std::move(items)}});
}

static const std::string kMetaSchemas = "io.k8s.apimachinery.pkg.apis.meta.v1.";

// The document of a group and version that only the user's own definitions are in.
static Value custom_openapi(const KindTable& kinds, std::string_view group, std::string_view version) {
  Value schemas = Value::object(), paths = Value::object();
  for (const mesh::Kind* kind : kinds.all()) {
    const Value* schema = kinds.custom_schema(*kind);
    if (!schema || kind->group != group || !kind->serves(version)) continue;
    // As Kubernetes names them: the group's labels reversed.
    auto labels = base::split(group, '.');
    std::string name;
    for (auto it = labels.rbegin(); it != labels.rend(); ++it) name += std::string(*it) + ".";
    name += std::string(version) + "." + std::string(kind->kind);
    Value described = *schema;
    if (!described["properties"].is_object()) described.set("properties", Value::object());
    Value& properties = described["properties"];
    for (const char* text : {"apiVersion", "kind"})
      if (!properties.contains(text)) properties.set(text, Value::object({{"type", "string"}}));
    properties.set("metadata", Value::object({{"allOf", Value::array({Value::object({{"$ref", "#/components/schemas/" + kMetaSchemas + "ObjectMeta"}})})}}));
    Value gvk = Value::object({{"group", group}, {"kind", kind->kind}, {"version", version}});
    described.set("x-kubernetes-group-version-kind", Value::array({gvk}));
    schemas.set(name, std::move(described));
    auto parameter = [](const char* n) {
      return Value::object({{"name", n}, {"in", "query"}, {"schema", Value::object({{"type", "string"}, {"uniqueItems", true}})}});
    };
    Value patch = Value::object({{"operationId", "patch" + std::string(kind->kind)},
                                 {"parameters", Value::array({parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")})},
                                 {"x-kubernetes-action", "patch"},
                                 {"x-kubernetes-group-version-kind", gvk}});
    std::string path = "/apis/" + std::string(group) + "/" + std::string(version) + (kind->namespaced ? "/namespaces/{namespace}/" : "/") +
                       std::string(kind->plural) + "/{name}";
    paths.set(path, Value::object({{"patch", std::move(patch)}}));
  }
  if (schemas.empty()) return {};
  const Value core = mesh::openapi_v3("", "v1");
  for (const auto& [name, described, position] : core["components"]["schemas"].members())
    if (name.starts_with(kMetaSchemas)) schemas.set(name, described);
  return Value::object({{"openapi", "3.0.0"},
                        {"info", Value::object({{"title", "Kubernetes CRD Swagger"}, {"version", "v0.1.0"}})},
                        {"paths", std::move(paths)},
                        {"components", Value::object({{"schemas", std::move(schemas)}})}});
}

std::optional<std::string> Discovery::openapi(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  if (openapi_generation_ != kinds_.generation()) {
    openapi_generation_ = kinds_.generation();
    openapi_cache_.clear();
  }
  if (auto it = openapi_cache_.find(path); it != openapi_cache_.end()) return it->second;
  Value made;
  if (path == "/openapi/v2") {
    made = mesh::openapi_v2();
  } else if (path == "/openapi/v3") {
    Value paths = Value::object();
    for (const auto& g : groups())
      for (const auto& v : g.versions) {
        std::string key = (g.name.empty() ? "api/" : "apis/" + g.name + "/") + v.name;
        paths.set(key, Value::object({{"serverRelativeURL", "/openapi/v3/" + key}}));
      }
    made = Value::object({{"paths", std::move(paths)}});
  } else if (path.starts_with("/openapi/v3/api")) {
    auto parts = base::split(path.substr(12), '/');
    std::string_view group, version;
    if (parts[0] == "api" && parts.size() == 2) {
      version = parts[1];
    } else if (parts[0] == "apis" && parts.size() == 3) {
      group = parts[1];
      version = parts[2];
    } else {
      return std::nullopt;
    }
    made = mesh::openapi_v3(group, version);
    if (made.is_null()) made = custom_openapi(kinds_, group, version);
  }
  if (made.is_null()) return std::nullopt;
  return openapi_cache_.emplace(std::string(path), made.dump()).first->second;
}

}  // namespace fairlead::api
