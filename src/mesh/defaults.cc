// Defaults: what Kubernetes fills in on a write. Source: pkg/apis/{core,apps,discovery,admissionregistration}/v1/defaults.go.
#include "base/strings.h"
#include "mesh/quantity.h"
#include "mesh/validate.h"

namespace fairlead::mesh {
namespace {

using base::Value;

void fill(Value& object, std::string_view key, Value value) {
  if (const Value* v = object.find(key); v && !v->is_null()) return;
  object.set(key, std::move(value));
}
// Go's zero value counts as unset for fields that are not pointers.
void fill_empty(Value& object, std::string_view key, std::string_view value) {
  if (object[key].as_string().empty()) object.set(key, value);
}
void fill_zero(Value& object, std::string_view key, int64_t value) {
  if (object[key].as_int() == 0) object.set(key, value);
}

// null is absence in Kubernetes' decoding; defaults from the tables; quantities in their stored spelling.
void walk(const Schema& schema, Value& object);

void walk_field(const Field& f, Value& v) {
  switch (f.type) {
    case Type::kObject:
      if (v.is_object()) walk(*f.object, v);
      break;
    case Type::kArray:
      if (v.is_array())
        for (Value& item : v.mutable_items()) walk_field(*f.element, item);
      break;
    case Type::kMap:
      if (v.is_object())
        for (auto& m : v.mutable_members()) walk_field(*f.element, m.value);
      break;
    case Type::kQuantity:
      if (auto q = quantity_canonical(v.is_string() ? v.as_string() : v.dump())) v = Value(*q);
      break;
    default: break;
  }
}

void walk(const Schema& schema, Value& object) {
  if (!schema.open) {
    std::erase_if(object.mutable_members(), [&](const base::Member& m) {
      const Field* f = schema.find(m.key);
      return f && m.value.is_null() && !f->nullable && f->type != Type::kAny;
    });
  }
  for (const Field& f : schema.fields) {
    Value* v = object.find(f.name);
    if (v) {
      walk_field(f, *v);
    } else if (!f.default_json.empty()) {
      if (auto parsed = base::parse_json(f.default_json)) object.set(f.name, *parsed);
    }
  }
}

// --- Pod ------------------------------------------------------------------------------------------------------------

void default_probe(Value& container, const char* name) {
  Value* probe = container.find(name);
  if (!probe || !probe->is_object()) return;
  fill_zero(*probe, "timeoutSeconds", 1);
  fill_zero(*probe, "periodSeconds", 10);
  fill_zero(*probe, "successThreshold", 1);
  fill_zero(*probe, "failureThreshold", 3);
  if (Value* get = probe->find("httpGet"); get && get->is_object()) {
    fill_empty(*get, "path", "/");
    fill_empty(*get, "scheme", "HTTP");
  }
  if (Value* grpc = probe->find("grpc"); grpc && grpc->is_object()) fill(*grpc, "service", "");
}

void default_handler(Value& container, const char* name) {
  Value* lifecycle = container.find("lifecycle");
  Value* handler = lifecycle ? lifecycle->find(name) : nullptr;
  Value* get = handler ? handler->find("httpGet") : nullptr;
  if (!get || !get->is_object()) return;
  fill_empty(*get, "path", "/");
  fill_empty(*get, "scheme", "HTTP");
}

std::string_view image_tag(std::string_view image) {
  if (image.find('@') != std::string_view::npos) return "digest";
  size_t colon = image.rfind(':');
  if (colon == std::string_view::npos || image.find('/', colon) != std::string_view::npos) return "latest";
  return image.substr(colon + 1);
}

void default_container(Value& c, bool host_network, bool of_pod) {
  fill_empty(c, "imagePullPolicy", image_tag(c["image"].as_string()) == "latest" ? "Always" : "IfNotPresent");
  fill_empty(c, "terminationMessagePath", "/dev/termination-log");
  fill_empty(c, "terminationMessagePolicy", "File");
  fill(c, "resources", Value::object());
  if (Value* ports = c.find("ports"))
    for (Value& p : ports->mutable_items())
      if (host_network && p["hostPort"].as_int() == 0) p.set("hostPort", p["containerPort"]);
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) default_probe(c, probe);
  default_handler(c, "postStart");
  default_handler(c, "preStop");
  if (Value* env = c.find("env")) {
    for (Value& e : env->mutable_items()) {
      Value* from = e.find("valueFrom");
      Value* ref = from ? from->find("fieldRef") : nullptr;
      if (ref && ref->is_object()) fill_empty(*ref, "apiVersion", "v1");
      if (Value* resource = from ? from->find("resourceFieldRef") : nullptr; resource && resource->is_object()) fill(*resource, "divisor", "0");
    }
  }
  // A limit without a request asks for as much as it may have: when the pod is made, not in the template of one.
  if (!of_pod) return;
  Value& resources = c["resources"];
  if (const Value* limits = resources.find("limits"); limits && limits->is_object()) {
    Value wanted = *limits;
    for (const auto& m : wanted.members()) {
      Value& requests = resources["requests"];
      if (!requests.is_object()) requests = Value::object();
      fill(requests, m.key, m.value);
    }
  }
}

void default_downward(Value& source) {
  if (Value* items = source.find("items"))
    for (Value& item : items->mutable_items())
      if (Value* ref = item.find("fieldRef"); ref && ref->is_object()) fill_empty(*ref, "apiVersion", "v1");
}

void default_volume(Value& v) {
  size_t sources = 0;
  for (const auto& m : v.members()) sources += m.key != "name";
  if (sources == 0) v.set("emptyDir", Value::object());
  for (const char* kind : {"secret", "configMap", "downwardAPI", "projected"}) {
    Value* source = v.find(kind);
    if (!source || !source->is_object()) continue;
    fill(*source, "defaultMode", 0644);
    default_downward(*source);
    if (Value* sources_list = source->find("sources")) {
      for (Value& s : sources_list->mutable_items()) {
        if (Value* token = s.find("serviceAccountToken"); token && token->is_object()) fill(*token, "expirationSeconds", 3600);
        if (Value* downward = s.find("downwardAPI"); downward && downward->is_object()) default_downward(*downward);
      }
    }
  }
  if (Value* host = v.find("hostPath"); host && host->is_object()) fill(*host, "type", "");
}

void default_pod_spec(Value& spec, bool of_pod) {
  bool host_network = spec["hostNetwork"].as_bool();
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
    if (Value* containers = spec.find(list))
      for (Value& c : containers->mutable_items()) default_container(c, host_network, of_pod);
  if (Value* volumes = spec.find("volumes"))
    for (Value& v : volumes->mutable_items()) default_volume(v);
  fill_empty(spec, "dnsPolicy", "ClusterFirst");
  fill_empty(spec, "restartPolicy", "Always");
  fill(spec, "securityContext", Value::object());
  fill_empty(spec, "schedulerName", "default-scheduler");
  fill(spec, "terminationGracePeriodSeconds", 30);
  // serviceAccount is the old name of serviceAccountName; both are kept, equal.
  std::string account = spec["serviceAccountName"].as_string();
  if (account.empty()) account = spec["serviceAccount"].as_string();
  if (!account.empty()) {
    spec.set("serviceAccountName", account);
    spec.set("serviceAccount", account);
  } else {
    spec.erase("serviceAccountName");
    spec.erase("serviceAccount");
  }
}

// Empty fields that a read above has inserted, and those that Go's encoder leaves out.
void default_pod(Value& object) {
  Value& spec = object["spec"];
  default_pod_spec(spec, true);
  fill(spec, "enableServiceLinks", true);
  Value& status = object["status"];
  if (!status.is_object()) status = Value::object();
  fill_empty(status, "phase", "Pending");
}

void default_template(Value& spec) {
  Value* tmpl = spec.find("template");
  if (!tmpl || !tmpl->is_object()) return;
  Value& metadata = (*tmpl)["metadata"];
  if (!metadata.is_object()) metadata = Value::object();
  if (Value* pod = tmpl->find("spec"); pod && pod->is_object()) default_pod_spec(*pod, false);
}

void default_deployment(Value& object) {
  Value& spec = object["spec"];
  if (!spec.is_object()) return;
  fill(spec, "replicas", 1);
  Value& strategy = spec["strategy"];
  if (!strategy.is_object()) strategy = Value::object();
  fill_empty(strategy, "type", "RollingUpdate");
  if (strategy["type"].as_string() == "RollingUpdate") {
    Value& rolling = strategy["rollingUpdate"];
    if (!rolling.is_object()) rolling = Value::object();
    fill(rolling, "maxUnavailable", "25%");
    fill(rolling, "maxSurge", "25%");
  }
  fill(spec, "revisionHistoryLimit", 10);
  fill(spec, "progressDeadlineSeconds", 600);
  default_template(spec);
}

void default_replica_set(Value& object) {
  Value& spec = object["spec"];
  if (!spec.is_object()) return;
  fill(spec, "replicas", 1);
  default_template(spec);
}

void default_service(Value& object) {
  Value& spec = object["spec"];
  if (!spec.is_object()) return;
  fill_empty(spec, "type", "ClusterIP");
  fill_empty(spec, "sessionAffinity", "None");
  if (spec["sessionAffinity"].as_string() == "None") spec.erase("sessionAffinityConfig");
  if (spec["sessionAffinity"].as_string() == "ClientIP" && !spec.contains("sessionAffinityConfig")) {
    Value client = Value::object();
    client.set("timeoutSeconds", 10800);
    Value config = Value::object();
    config.set("clientIP", std::move(client));
    spec.set("sessionAffinityConfig", std::move(config));
  }
  std::string type = spec["type"].as_string();
  bool has_ip = type != "ExternalName";
  if (Value* ports = spec.find("ports")) {
    for (Value& p : ports->mutable_items()) {
      fill_empty(p, "protocol", "TCP");
      bool unset = !p.contains("targetPort") || p["targetPort"].is_null() || (p["targetPort"].is_int() && p["targetPort"].as_int() == 0) ||
                   (p["targetPort"].is_string() && p["targetPort"].as_string().empty());
      if (unset && p.contains("port")) p.set("targetPort", Value(p["port"].as_int()));
    }
  }
  if (has_ip) {
    fill_empty(spec, "internalTrafficPolicy", "Cluster");
    if (!spec.contains("ipFamilies")) spec.set("ipFamilies", Value::array({"IPv4"}));
    fill_empty(spec, "ipFamilyPolicy", "SingleStack");
  }
  if (type == "NodePort" || type == "LoadBalancer") fill_empty(spec, "externalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer") fill(spec, "allocateLoadBalancerNodePorts", true);
  Value& status = object["status"];
  if (!status.is_object()) status = Value::object();
  fill(status, "loadBalancer", Value::object());
}

void default_webhooks(Value& object, bool mutating) {
  Value* webhooks = object.find("webhooks");
  if (!webhooks) return;
  for (Value& w : webhooks->mutable_items()) {
    fill_empty(w, "failurePolicy", "Fail");
    fill_empty(w, "matchPolicy", "Equivalent");
    fill(w, "namespaceSelector", Value::object());
    fill(w, "objectSelector", Value::object());
    fill(w, "timeoutSeconds", 10);
    if (mutating) fill_empty(w, "reinvocationPolicy", "Never");
    if (Value* service = w["clientConfig"].find("service"); service && service->is_object()) fill(*service, "port", 443);
    if (Value* rules = w.find("rules"))
      for (Value& r : rules->mutable_items()) fill_empty(r, "scope", "*");
  }
}

void default_endpoint_slice(Value& object) {
  if (Value* endpoints = object.find("endpoints"))
    for (Value& e : endpoints->mutable_items())
      if (e.is_object()) fill(e, "conditions", Value::object());
  if (Value* ports = object.find("ports"))
    for (Value& p : ports->mutable_items()) {
      fill(p, "name", "");
      fill_empty(p, "protocol", "TCP");
    }
}

void default_endpoints(Value& object) {
  if (Value* subsets = object.find("subsets"))
    for (Value& s : subsets->mutable_items())
      if (Value* ports = s.find("ports"))
        for (Value& p : ports->mutable_items()) fill_empty(p, "protocol", "TCP");
}

void default_secret(Value& object) {
  fill_empty(object, "type", "Opaque");
  Value* plain = object.find("stringData");
  if (!plain) return;
  Value text = *plain;
  object.erase("stringData");
  if (text.empty()) return;
  Value& data = object["data"];
  if (!data.is_object()) data = Value::object();
  for (const auto& m : text.members()) data.set(m.key, base::base64_encode(m.value.as_string()));
}

void default_namespace(Value& object) {
  Value& labels = object["metadata"]["labels"];
  if (!labels.is_object()) labels = Value::object();
  labels.set("kubernetes.io/metadata.name", object["metadata"]["name"]);
  Value& spec = object["spec"];
  if (!spec.is_object()) spec = Value::object();
  fill(spec, "finalizers", Value::array({"kubernetes"}));
  Value& status = object["status"];
  if (!status.is_object()) status = Value::object();
  fill_empty(status, "phase", "Active");
}

void default_crd(Value& object) {
  Value& spec = object["spec"];
  if (!spec.is_object()) return;
  Value& names = spec["names"];
  fill_empty(names, "singular", base::to_lower(names["kind"].as_string()));
  fill_empty(names, "listKind", names["kind"].as_string() + "List");
  if (!spec.contains("conversion")) spec.set("conversion", Value::object({{"strategy", "None"}}));
}

// The mutable operator[] of Value inserts nulls; what stayed null was never there.
void drop_nulls(Value& v) {
  if (v.is_object()) {
    std::erase_if(v.mutable_members(), [](const base::Member& m) { return m.value.is_null(); });
    for (auto& m : v.mutable_members()) drop_nulls(m.value);
  } else if (v.is_array()) {
    for (Value& item : v.mutable_items()) drop_nulls(item);
  }
}

}  // namespace

void apply_defaults(const Kind& kind, Value& object) {
  if (!kind.root || !object.is_object()) return;
  walk(*kind.root, object);
  if (kind.istio) return;
  if (kind.kind == "Pod") {
    default_pod(object);
  } else if (kind.kind == "Deployment") {
    default_deployment(object);
  } else if (kind.kind == "ReplicaSet") {
    default_replica_set(object);
  } else if (kind.kind == "Service") {
    default_service(object);
  } else if (kind.kind == "MutatingWebhookConfiguration") {
    default_webhooks(object, true);
  } else if (kind.kind == "ValidatingWebhookConfiguration") {
    default_webhooks(object, false);
  } else if (kind.kind == "EndpointSlice") {
    default_endpoint_slice(object);
  } else if (kind.kind == "Endpoints") {
    default_endpoints(object);
  } else if (kind.kind == "Secret") {
    default_secret(object);
  } else if (kind.kind == "Namespace") {
    default_namespace(object);
  } else if (kind.kind == "CustomResourceDefinition") {
    default_crd(object);
    return;
  }
  drop_nulls(object);
}

}  // namespace fairlead::mesh
