// The list of kinds. What each consists of stands in tables_*.cc, its columns in columns.cc.
#include "mesh/kinds.h"

#include <deque>

#include "base/strings.h"
#include "mesh/jsonpath.h"
#include "mesh/tables.h"

namespace fairlead::mesh {
namespace {

enum Flag : unsigned { kCluster = 1, kStatus = 2, kScale = 4, kIstio = 8, kAll = 16 };

struct Row {
  std::string_view group, versions, kind, plural, short_names;
  unsigned flags;
  std::string_view root;  // type name, when it is not the kind's
};

constexpr Row kRows[] = {
    {"", "v1", "ConfigMap", "configmaps", "cm", 0, ""},
    {"", "v1", "Endpoints", "endpoints", "ep", 0, ""},
    {"", "v1", "Event", "events", "ev", 0, ""},
    {"", "v1", "Namespace", "namespaces", "ns", kCluster | kStatus, ""},
    {"", "v1", "Node", "nodes", "no", kCluster | kStatus, ""},
    {"", "v1", "Pod", "pods", "po", kStatus | kAll, ""},
    {"", "v1", "Secret", "secrets", "", 0, ""},
    {"", "v1", "ServiceAccount", "serviceaccounts", "sa", 0, ""},
    {"", "v1", "Service", "services", "svc", kStatus | kAll, ""},
    {"admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", kCluster, ""},
    {"admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "", kCluster, ""},
    {"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd crds", kCluster | kStatus, ""},
    {"apps", "v1", "Deployment", "deployments", "deploy", kStatus | kScale | kAll, ""},
    {"apps", "v1", "ReplicaSet", "replicasets", "rs", kStatus | kScale | kAll, ""},
    {"coordination.k8s.io", "v1", "Lease", "leases", "", 0, ""},
    {"discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "", 0, ""},
    {"events.k8s.io", "v1", "Event", "events", "ev", 0, "EventsEvent"},
    {"extensions.istio.io", "v1alpha1", "WasmPlugin", "wasmplugins", "", kStatus | kIstio, ""},
    {"flow.fairlead.dev", "v1", "ApiDefinition", "apidefinitions", "", kStatus, ""},
    {"flow.fairlead.dev", "v1", "AuthorityRule", "authorityrules", "", kStatus, ""},
    {"flow.fairlead.dev", "v1", "DegradeRule", "degraderules", "", kStatus, ""},
    {"flow.fairlead.dev", "v1", "FlowRule", "flowrules", "", kStatus, ""},
    {"flow.fairlead.dev", "v1", "GatewayFlowRule", "gatewayflowrules", "", kStatus, ""},
    {"flow.fairlead.dev", "v1", "ParamFlowRule", "paramflowrules", "", kStatus, ""},
    {"flow.fairlead.dev", "v1", "SystemRule", "systemrules", "", kStatus, ""},
    {"networking.istio.io", "v1 v1beta1 v1alpha3", "DestinationRule", "destinationrules", "dr", kStatus | kIstio, ""},
    {"networking.istio.io", "v1alpha3", "EnvoyFilter", "envoyfilters", "", kStatus | kIstio, ""},
    {"networking.istio.io", "v1 v1beta1 v1alpha3", "Gateway", "gateways", "gw", kStatus | kIstio, ""},
    {"networking.istio.io", "v1beta1", "ProxyConfig", "proxyconfigs", "", kStatus | kIstio, ""},
    {"networking.istio.io", "v1 v1beta1 v1alpha3", "ServiceEntry", "serviceentries", "se", kStatus | kIstio, ""},
    {"networking.istio.io", "v1 v1beta1 v1alpha3", "Sidecar", "sidecars", "", kStatus | kIstio, ""},
    {"networking.istio.io", "v1 v1beta1 v1alpha3", "VirtualService", "virtualservices", "vs", kStatus | kIstio, ""},
    {"networking.istio.io", "v1 v1beta1 v1alpha3", "WorkloadEntry", "workloadentries", "we", kStatus | kIstio, ""},
    {"networking.istio.io", "v1 v1beta1 v1alpha3", "WorkloadGroup", "workloadgroups", "wg", kStatus | kIstio, ""},
    {"security.istio.io", "v1 v1beta1", "AuthorizationPolicy", "authorizationpolicies", "ap", kStatus | kIstio, ""},
    {"security.istio.io", "v1 v1beta1", "PeerAuthentication", "peerauthentications", "pa", kStatus | kIstio, ""},
    {"security.istio.io", "v1 v1beta1", "RequestAuthentication", "requestauthentications", "ra", kStatus | kIstio, ""},
    {"telemetry.istio.io", "v1 v1alpha1", "Telemetry", "telemetries", "telemetry", kStatus | kIstio, ""},
};

struct Registry {
  std::vector<Kind> kinds;
  std::deque<std::string> strings;
  std::deque<std::vector<std::string_view>> words;

  std::string_view keep(std::string s) { return strings.emplace_back(std::move(s)); }
  std::span<const std::string_view> keep_words(std::string_view text) {
    auto& list = words.emplace_back();
    for (std::string_view w : base::split(text, ' '))
      if (!w.empty()) list.push_back(w);
    return list;
  }

  Registry() {
    for (const Row& row : kRows) {
      Kind& k = kinds.emplace_back();
      k.group = row.group;
      k.versions = keep_words(row.versions);
      k.kind = row.kind;
      k.list_kind = keep(std::string(row.kind) + "List");
      k.plural = row.plural;
      k.singular = keep(base::to_lower(row.kind));
      k.short_names = keep_words(row.short_names);
      k.namespaced = !(row.flags & kCluster);
      k.has_status = row.flags & kStatus;
      k.has_scale = row.flags & kScale;
      k.istio = row.flags & kIstio;
      if (k.istio) {
        k.categories = keep_words(keep("istio-io " + base::replace_all(row.group, ".", "-")));
      } else if (row.group == "flow.fairlead.dev") {
        k.categories = keep_words("flow");
      } else if (row.flags & kAll) {
        k.categories = keep_words("all");
      } else if (row.group == "admissionregistration.k8s.io" || row.group == "apiextensions.k8s.io") {
        k.categories = keep_words("api-extensions");
      }
      k.resource_ = row.group.empty() ? row.plural : keep(std::string(row.plural) + "." + std::string(row.group));
      k.root = schema_set().find(row.root.empty() ? row.kind : row.root);
      k.doc = k.root ? k.root->doc : std::string_view();
      k.columns = columns_of(row.group, row.kind);
    }
  }
};

const Registry& registry() {
  static const Registry* r = new Registry;
  return *r;
}

}  // namespace

const Field* Schema::find(std::string_view field_name) const {
  for (const Field& f : fields)
    if (f.name == field_name) return &f;
  return nullptr;
}

bool Kind::serves(std::string_view version) const {
  for (std::string_view v : versions)
    if (v == version) return true;
  return false;
}

std::string Kind::api_version(std::string_view version) const {
  if (version.empty()) version = versions.front();
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::span<const Kind> all_kinds() { return registry().kinds; }

const Kind* find_kind(std::string_view group, std::string_view version, std::string_view plural) {
  for (const Kind& k : all_kinds())
    if (k.plural == plural && k.group == group && k.serves(version)) return &k;
  return nullptr;
}

const Kind* find_kind_by_name(std::string_view api_version, std::string_view kind) {
  size_t slash = api_version.find('/');
  std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  std::string_view version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
  for (const Kind& k : all_kinds())
    if (k.kind == kind && k.group == group && k.serves(version)) return &k;
  return nullptr;
}

const Kind* find_kind_by_resource(std::string_view store_resource) {
  for (const Kind& k : all_kinds())
    if (k.resource() == store_resource) return &k;
  return nullptr;
}

const Kind* find_kind_of(const base::Value& object) {
  return find_kind_by_name(object["apiVersion"].as_string(), object["kind"].as_string());
}

const Kind* find_kind_typed(std::string_view typed) {
  std::string name = base::to_lower(typed);
  for (const Kind& k : all_kinds()) {
    if (name == k.plural || name == k.singular || name == k.resource()) return &k;
    for (std::string_view s : k.short_names)
      if (name == s) return &k;
    for (std::string_view v : k.versions)
      if (name == fmt::format("{}.{}.{}", k.plural, v, k.group)) return &k;
  }
  return nullptr;
}

const Schema* find_schema(std::string_view name) { return schema_set().find(name); }

std::string qualified_resource(const Kind& kind) { return std::string(kind.resource()); }

base::Value table_cell(const Column& column, const base::Value& object, base::WallTime now) {
  if (column.cell) return column.cell(object, now);
  if (column.type == "date") {
    auto found = json_path(object, column.json_path);
    if (found.empty() || !found.front()->is_string()) return "<unknown>";
    auto time = base::parse_rfc3339(found.front()->as_string());
    if (!time) return "<invalid>";
    return base::human_age(std::chrono::duration_cast<std::chrono::seconds>(now - *time));
  }
  auto found = json_path(object, column.json_path);
  if (found.empty()) return {};
  const base::Value& v = *found.front();
  if (column.type == "string" && !v.is_string()) return v.is_null() ? base::Value() : base::Value(v.dump());
  return v;
}

}  // namespace fairlead::mesh
