// OpenAPI from the tables. What kubectl reads: explain follows paths -> x-kubernetes-group-version-kind -> schemas; create
// and apply look for the parameters fieldValidation and dryRun of the PATCH operation; apply reads patch merge keys.
#include "mesh/openapi.h"

#include <map>

#include "base/strings.h"
#include "mesh/kinds.h"
#include "mesh/tables.h"

namespace fairlead::mesh {
namespace {

using base::Value;

// --- components.schemas ---------------------------------------------------------------------------------------------

class Builder {
 public:
  explicit Builder(bool v2) : v2_(v2) {}

  Value reference(const Schema& schema) {
    std::string name = component(schema);
    if (!schemas_.contains(name)) {
      schemas_.emplace(name, Value::object());  // first, for types that contain themselves
      Value built = object(schema);
      schemas_[name] = std::move(built);
    }
    return ref(name);
  }

  std::string component(const Schema& schema) const {
    static constexpr std::string_view kPrefixes[] = {"io.k8s.apimachinery.pkg.apis.meta.v1.", "io.k8s.api.core.v1.", "io.k8s.api.core.v1.",
                                                     "io.k8s.api.core.v1.", "io.k8s.api.discovery.v1.", "io.istio.networking.v1.",
                                                     "io.istio.policy.v1.", "dev.fairlead.flow.v1."};
    return std::string(kPrefixes[schema_set().text_of(&schema)]) + std::string(schema.name);
  }

  Value& schema(const std::string& name) { return schemas_[name]; }

  Value take() {
    Value out = Value::object();
    for (auto& [name, schema] : schemas_) out.set(name, std::move(schema));
    return out;
  }

 private:
  Value ref(const std::string& name) const {
    Value r = Value::object();
    r.set("$ref", (v2_ ? "#/definitions/" : "#/components/schemas/") + name);
    return r;
  }

  Value common(const char* name, Value definition) {
    std::string full = std::string("io.k8s.apimachinery.pkg.") + name;
    schemas_.try_emplace(full, std::move(definition));
    return ref(full);
  }

  Value object(const Schema& schema) {
    Value out = Value::object();
    if (!schema.doc.empty()) out.set("description", schema.doc);
    out.set("type", "object");
    Value required = Value::array();
    for (const Field& f : schema.fields)
      if (f.required) required.push(f.name);
    if (!required.empty()) out.set("required", std::move(required));
    Value properties = Value::object();
    for (const Field& f : schema.fields) properties.set(f.name, property(f));
    out.set("properties", std::move(properties));
    if (schema.open) out.set("x-kubernetes-preserve-unknown-fields", true);
    return out;
  }

  Value property(const Field& f) {
    Value out = shape(f);
    // A description beside $ref would be ignored: the reference moves into allOf, as Kubernetes' documents have it.
    if (out.contains("$ref") && !v2_) {
      Value wrapped = Value::object();
      wrapped.set("allOf", Value::array({std::move(out)}));
      out = std::move(wrapped);
    }
    if (!f.doc.empty()) out.set("description", f.deprecated.empty() ? std::string(f.doc) : "Deprecated: " + std::string(f.doc));
    if (!f.default_json.empty())
      if (auto value = base::parse_json(f.default_json)) out.set("default", *value);
    if (f.patch_merge || f.retain_keys) {
      out.set("x-kubernetes-patch-strategy", f.patch_merge && f.retain_keys ? "merge,retainKeys" : f.patch_merge ? "merge" : "retainKeys");
      if (!f.patch_key.empty()) out.set("x-kubernetes-patch-merge-key", f.patch_key);
    }
    if (f.type == Type::kArray && f.list_type != ListType::kAtomic) {
      out.set("x-kubernetes-list-type", f.list_type == ListType::kMap ? "map" : "set");
      if (f.list_type == ListType::kMap) {
        Value keys = Value::array();
        for (std::string_view k : f.list_keys) keys.push(k);
        out.set("x-kubernetes-list-map-keys", std::move(keys));
      }
    }
    return out;
  }

  static Value typed(const char* type, const char* format = nullptr) {
    Value v = Value::object();
    v.set("type", type);
    if (format) v.set("format", format);
    return v;
  }

  Value shape(const Field& f) {
    switch (f.type) {
      case Type::kString: return typed("string");
      case Type::kBool: return typed("boolean");
      case Type::kInt32: return typed("integer", "int32");
      case Type::kUint32:
      case Type::kInt64: return typed("integer", "int64");
      case Type::kDouble: return typed("number", "double");
      case Type::kBytes: return typed("string", "byte");
      case Type::kDuration: return typed("string");
      case Type::kAny: {
        Value v = Value::object();
        v.set("x-kubernetes-preserve-unknown-fields", true);
        v.set("type", "object");
        return v;
      }
      case Type::kEnum: {
        Value v = typed("string");
        Value values = Value::array();
        for (std::string_view s : f.values) values.push(s);
        v.set("enum", std::move(values));
        return v;
      }
      case Type::kTimestamp: return common("apis.meta.v1.Time", typed("string", "date-time"));
      case Type::kMicroTime: return common("apis.meta.v1.MicroTime", typed("string", "date-time"));
      case Type::kQuantity: {
        Value q = Value::object();
        if (v2_) {
          q = typed("string");
        } else {
          q.set("oneOf", Value::array({typed("string"), typed("number")}));
        }
        return common("api.resource.Quantity", std::move(q));
      }
      case Type::kIntOrString: {
        Value q = Value::object();
        if (v2_) {
          q = typed("string", "int-or-string");
        } else {
          q.set("format", "int-or-string");
          q.set("oneOf", Value::array({typed("integer"), typed("string")}));
        }
        return common("util.intstr.IntOrString", std::move(q));
      }
      case Type::kObject: return reference(*f.object);
      case Type::kArray: {
        Value v = typed("array");
        v.set("items", property(*f.element));
        return v;
      }
      case Type::kMap: {
        Value v = typed("object");
        v.set("additionalProperties", property(*f.element));
        return v;
      }
    }
    return Value::object();
  }

  bool v2_;
  std::map<std::string, Value> schemas_;
};

Value gvk_of(const Kind& kind, std::string_view version) {
  Value v = Value::object();
  v.set("group", kind.group).set("version", version).set("kind", kind.kind);
  return v;
}

Value parameter(const char* name, const char* in, bool v2) {
  Value p = Value::object();
  p.set("name", name).set("in", in);
  if (std::string_view(in) == "path") p.set("required", true);
  Value type = Value::object();
  type.set("type", "string").set("uniqueItems", true);
  if (v2) {
    p.set("type", "string").set("uniqueItems", true);
  } else {
    p.set("schema", std::move(type));
  }
  return p;
}

Value operation(const Kind& kind, std::string_view version, const char* action, const Value& reference, bool v2) {
  Value op = Value::object();
  op.set("x-kubernetes-action", action);
  op.set("x-kubernetes-group-version-kind", gvk_of(kind, version));
  Value ok = Value::object();
  ok.set("description", "OK");
  if (v2) {
    ok.set("schema", reference);
  } else {
    Value media = Value::object();
    media.set("schema", reference);
    Value content = Value::object();
    content.set("application/json", media);
    ok.set("content", std::move(content));
  }
  Value responses = Value::object();
  responses.set("200", std::move(ok));
  op.set("responses", std::move(responses));
  std::string_view verb = action;
  if (verb == "post" || verb == "put" || verb == "patch") {
    Value parameters = Value::array();
    for (const char* name : {"dryRun", "fieldManager", "fieldValidation"}) parameters.push(parameter(name, "query", v2));
    if (verb == "patch") parameters.push(parameter("force", "query", v2));
    op.set("parameters", std::move(parameters));
    std::vector<const char*> types{"application/json"};
    if (verb == "patch") {
      types = {"application/json-patch+json", "application/merge-patch+json"};
      if (!kind.istio) types.push_back("application/strategic-merge-patch+json");
    }
    if (v2) {
      Value consumes = Value::array();
      for (const char* t : types) consumes.push(t);
      op.set("consumes", std::move(consumes));
    } else {
      Value content = Value::object();
      Value media = Value::object();
      media.set("schema", verb == "patch" ? Value::object() : reference);
      for (const char* t : types) content.set(t, media);
      Value body = Value::object();
      body.set("content", std::move(content)).set("required", true);
      op.set("requestBody", std::move(body));
    }
  }
  return op;
}

void add_paths(const Kind& kind, std::string_view version, const Value& reference, bool v2, Value& paths) {
  std::string prefix = kind.group.empty() ? fmt::format("/api/{}", version) : fmt::format("/apis/{}/{}", kind.group, version);
  std::string collection = kind.namespaced ? fmt::format("{}/namespaces/{{namespace}}/{}", prefix, kind.plural) : fmt::format("{}/{}", prefix, kind.plural);
  Value many = Value::object();
  many.set("get", operation(kind, version, "list", reference, v2)).set("post", operation(kind, version, "post", reference, v2));
  Value one = Value::object();
  one.set("get", operation(kind, version, "get", reference, v2)).set("put", operation(kind, version, "put", reference, v2));
  one.set("patch", operation(kind, version, "patch", reference, v2)).set("delete", operation(kind, version, "delete", reference, v2));
  Value in_path = Value::array();
  if (kind.namespaced) in_path.push(parameter("namespace", "path", v2));
  if (!in_path.empty()) many.set("parameters", in_path);
  in_path.push(parameter("name", "path", v2));
  one.set("parameters", in_path);
  paths.set(collection, std::move(many));
  paths.set(collection + "/{name}", std::move(one));
}

Value info() {
  Value v = Value::object();
  v.set("title", "Kubernetes").set("version", "v1.34.0");
  return v;
}

void add_gvk(Value& schema, const Kind& kind, std::string_view version) {
  Value* list = schema.find("x-kubernetes-group-version-kind");
  if (!list) {
    schema.set("x-kubernetes-group-version-kind", Value::array());
    list = schema.find("x-kubernetes-group-version-kind");
  }
  list->push(gvk_of(kind, version));
}

// --- CustomResourceDefinition ---------------------------------------------------------------------------------------

Value structural(const Field& f);

Value structural_object(const Schema& schema) {
  Value out = Value::object();
  out.set("type", "object");
  Value properties = Value::object();
  Value required = Value::array();
  for (const Field& f : schema.fields) {
    properties.set(f.name, structural(f));
    if (f.required) required.push(f.name);
  }
  if (!required.empty()) out.set("required", std::move(required));
  if (!properties.empty()) out.set("properties", std::move(properties));
  if (schema.open) out.set("x-kubernetes-preserve-unknown-fields", true);
  return out;
}

Value structural(const Field& f) {
  Value out = Value::object();
  switch (f.type) {
    case Type::kBool: out.set("type", "boolean"); break;
    case Type::kInt32: out.set("type", "integer").set("format", "int32"); break;
    case Type::kInt64: out.set("type", "integer").set("format", "int64"); break;
    case Type::kUint32: out.set("type", "integer").set("minimum", 0).set("maximum", 4294967295L); break;
    case Type::kDouble: out.set("type", "number").set("format", "double"); break;
    case Type::kObject: out = structural_object(*f.object); break;
    case Type::kArray: out.set("type", "array").set("items", structural(*f.element)); break;
    case Type::kMap: out.set("type", "object").set("additionalProperties", structural(*f.element)); break;
    case Type::kAny: out.set("type", "object").set("x-kubernetes-preserve-unknown-fields", true); break;
    case Type::kIntOrString: out.set("x-kubernetes-int-or-string", true); break;
    case Type::kTimestamp: out.set("type", "string").set("format", "date-time"); break;
    case Type::kBytes: out.set("type", "string").set("format", "byte"); break;
    case Type::kEnum: {
      Value values = Value::array();
      for (std::string_view s : f.values) values.push(s);
      out.set("type", "string").set("enum", std::move(values));
      break;
    }
    default: out.set("type", "string"); break;
  }
  if (!f.doc.empty()) out.set("description", f.doc);
  return out;
}

Value crd_version(const Kind& kind, std::string_view version) {
  Value root = Value::object();
  Value properties = Value::object();
  for (const Field& f : kind.root->fields)
    if (f.name == "spec" || f.name == "status") properties.set(f.name, structural(f));
  root.set("type", "object").set("properties", std::move(properties));
  Value schema = Value::object();
  schema.set("openAPIV3Schema", std::move(root));
  Value columns = Value::array();
  for (const Column& c : kind.columns) {
    if (c.name == "Name") continue;
    Value column = Value::object();
    column.set("name", c.name).set("type", c.type).set("jsonPath", c.json_path);
    if (!c.doc.empty()) column.set("description", c.doc);
    columns.push(std::move(column));
  }
  Value subresources = Value::object();
  subresources.set("status", Value::object());
  Value out = Value::object();
  out.set("name", version).set("served", true).set("storage", version == kind.versions.front());
  out.set("schema", std::move(schema)).set("subresources", std::move(subresources));
  if (!columns.empty()) out.set("additionalPrinterColumns", std::move(columns));
  return out;
}

Value crd_condition(const char* type, const char* reason, const char* message) {
  Value v = Value::object();
  v.set("type", type).set("status", "True").set("reason", reason).set("message", message);
  return v;
}

}  // namespace

Value openapi_v3(std::string_view group, std::string_view version) {
  Builder builder(false);
  Value paths = Value::object();
  bool any = false;
  for (const Kind& kind : all_kinds()) {
    if (kind.group != group || !kind.serves(version) || !kind.root) continue;
    any = true;
    Value reference = builder.reference(*kind.root);
    add_gvk(builder.schema(builder.component(*kind.root)), kind, version);
    add_paths(kind, version, reference, false, paths);
  }
  if (!any) return {};
  Value components = Value::object();
  components.set("schemas", builder.take());
  Value out = Value::object();
  out.set("openapi", "3.0.0").set("info", info()).set("paths", std::move(paths)).set("components", std::move(components));
  return out;
}

Value openapi_v2() {
  Builder builder(true);
  Value paths = Value::object();
  for (const Kind& kind : all_kinds()) {
    if (!kind.root) continue;
    for (std::string_view version : kind.versions) {
      Value reference = builder.reference(*kind.root);
      add_gvk(builder.schema(builder.component(*kind.root)), kind, version);
      add_paths(kind, version, reference, true, paths);
    }
  }
  Value out = Value::object();
  out.set("swagger", "2.0").set("info", info()).set("paths", std::move(paths)).set("definitions", builder.take());
  return out;
}

std::string openapi_v2_protobuf() {
  auto bytes = [](int field, std::string_view value) {  // wire type 2; all lengths here are below 128
    return std::string{static_cast<char>(field << 3 | 2), static_cast<char>(value.size())} + std::string(value);
  };
  constexpr int kSwagger = 1, kInfo = 2, kPaths = 8, kDefinitions = 9;
  return bytes(kSwagger, "2.0") + bytes(kInfo, bytes(1, "Kubernetes") + bytes(2, "v1.34.0")) + bytes(kPaths, "") + bytes(kDefinitions, "");
}

std::vector<Value> crd_objects() {
  std::vector<Value> out;
  for (const Kind& kind : all_kinds()) {
    if (!kind.istio) continue;
    Value labels = Value::object();
    labels.set("app", "istio-pilot").set("chart", "istio").set("heritage", "Tiller").set("release", "istio");
    Value metadata = Value::object();
    metadata.set("name", kind.resource()).set("labels", std::move(labels));
    Value names = Value::object();
    Value categories = Value::array(), short_names = Value::array();
    for (std::string_view c : kind.categories) categories.push(c);
    for (std::string_view s : kind.short_names) short_names.push(s);
    names.set("categories", std::move(categories)).set("kind", kind.kind).set("listKind", kind.list_kind).set("plural", kind.plural);
    if (!short_names.empty()) names.set("shortNames", std::move(short_names));
    names.set("singular", kind.singular);
    Value versions = Value::array();
    for (std::string_view v : kind.versions) versions.push(crd_version(kind, v));
    Value conversion = Value::object();
    conversion.set("strategy", "None");
    Value spec = Value::object();
    spec.set("conversion", std::move(conversion)).set("group", kind.group).set("names", names).set("scope", "Namespaced");
    spec.set("versions", std::move(versions));
    Value status = Value::object();
    status.set("acceptedNames", names);
    status.set("conditions", Value::array({crd_condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                                           crd_condition("Established", "InitialNamesAccepted", "the initial names have been accepted")}));
    status.set("storedVersions", Value::array({Value(kind.versions.front())}));
    Value crd = Value::object();
    crd.set("apiVersion", "apiextensions.k8s.io/v1").set("kind", "CustomResourceDefinition").set("metadata", std::move(metadata));
    crd.set("spec", std::move(spec)).set("status", std::move(status));
    out.push_back(std::move(crd));
  }
  return out;
}

}  // namespace fairlead::mesh
