#include "api/custom_kind.h"

#include "base/strings.h"

namespace fairlead::api {

using base::Value;
using mesh::Field;
using mesh::Schema;
using mesh::Type;

namespace {

class Maker {
 public:
  explicit Maker(CustomKind& out) : out_(out) {}

  std::string_view keep(std::string s) { return out_.text.emplace_back(std::move(s)); }
  std::string_view keep(const Value& v) { return keep(v.as_string()); }
  std::span<const std::string_view> keep_list(const Value& list) {
    auto& views = out_.views.emplace_back();
    for (const Value& item : list.items()) views.push_back(keep(item));
    return views;
  }

  // What may be in a field is checked against the definition itself (mesh/structural.h); here are types, defaults, list keys.
  Field field(std::string_view name, const Value& schema) {
    Field f;
    f.name = name;
    f.nullable = schema["nullable"].as_bool();
    f.doc = keep(schema["description"]);
    if (const Value* fallback = schema.find("default")) f.default_json = keep(fallback->dump());
    const std::string& type = schema["type"].as_string();
    if (schema["x-kubernetes-int-or-string"].as_bool()) {
      f.type = Type::kIntOrString;
    } else if (type == "string") {
      f.type = schema["format"].as_string() == "byte" ? Type::kBytes : Type::kString;
    } else if (type == "boolean") {
      f.type = Type::kBool;
    } else if (type == "integer") {
      f.type = schema["format"].as_string() == "int32" ? Type::kInt32 : Type::kInt64;
    } else if (type == "number") {
      f.type = Type::kDouble;
    } else if (type == "array") {
      f.type = Type::kArray;
      f.element = &out_.elements.emplace_back(field("", schema["items"]));
      const std::string& list = schema["x-kubernetes-list-type"].as_string();
      f.list_type = list == "map" ? mesh::ListType::kMap : list == "set" ? mesh::ListType::kSet : mesh::ListType::kAtomic;
      f.list_keys = keep_list(schema["x-kubernetes-list-map-keys"]);
    } else if (type == "object") {
      if (schema.contains("properties") || schema["x-kubernetes-preserve-unknown-fields"].as_bool()) {
        f.type = Type::kObject;
        f.object = object(schema);
      } else if (schema["additionalProperties"].is_object()) {
        f.type = Type::kMap;
        f.element = &out_.elements.emplace_back(field("", schema["additionalProperties"]));
      } else {
        f.type = Type::kObject;
        f.object = object(schema);
      }
    }
    return f;
  }

  const Schema* object(const Value& schema) {
    std::vector<Field> fields;
    for (const auto& [name, child, position] : schema["properties"].members()) {
      fields.push_back(field(keep(name), child));
    }
    return object(schema, std::move(fields));
  }

  const Schema* object(const Value& schema, std::vector<Field> fields) {
    Schema s;
    s.doc = keep(schema["description"]);
    s.open = schema["x-kubernetes-preserve-unknown-fields"].as_bool();
    s.fields = out_.fields.emplace_back(std::move(fields));
    return &out_.schemas.emplace_back(s);
  }

 private:
  CustomKind& out_;
};

}  // namespace

std::unique_ptr<CustomKind> make_custom_kind(const Value& crd) {
  auto out = std::make_unique<CustomKind>();
  Maker make(*out);
  const Value& spec = crd["spec"];
  const Value& names = spec["names"];
  if (spec["group"].as_string().empty() || names["plural"].as_string().empty() || names["kind"].as_string().empty()) return nullptr;

  // The storage version first; the schema of that one describes all (there is no conversion between versions).
  const Value* storage = nullptr;
  auto& versions = out->views.emplace_back();
  for (const Value& v : spec["versions"].items())
    if (v["storage"].as_bool()) storage = &v;
  if (!storage) return nullptr;
  versions.push_back(make.keep((*storage)["name"]));
  for (const Value& v : spec["versions"].items())
    if (&v != storage && v["served"].as_bool(true)) versions.push_back(make.keep(v["name"]));

  mesh::Kind& k = out->kind;
  k.group = make.keep(spec["group"]);
  k.versions = versions;
  k.kind = make.keep(names["kind"]);
  k.list_kind = make.keep(names["listKind"].string_or(std::string(k.kind) + "List"));
  k.plural = make.keep(names["plural"]);
  k.singular = make.keep(names["singular"].string_or(base::to_lower(k.kind)));
  k.short_names = make.keep_list(names["shortNames"]);
  k.categories = make.keep_list(names["categories"]);
  k.namespaced = spec["scope"].as_string() == "Namespaced";
  k.has_status = (*storage)["subresources"].contains("status");
  const Value& scale = (*storage)["subresources"]["scale"];
  k.has_scale = scale.is_object();
  out->scale = {scale["specReplicasPath"].as_string(), scale["statusReplicasPath"].as_string(), scale["labelSelectorPath"].as_string()};
  k.resource_ = make.keep(std::string(k.plural) + "." + std::string(k.group));

  out->schema = (*storage)["schema"]["openAPIV3Schema"];
  std::vector<Field> root;
  Field text;
  text.type = Type::kString;
  for (const char* name : {"apiVersion", "kind"}) {
    text.name = name;
    root.push_back(text);
  }
  Field metadata;
  metadata.name = "metadata";
  metadata.type = Type::kObject;
  metadata.object = mesh::find_schema("ObjectMeta");
  if (!metadata.object) metadata.type = Type::kAny;
  root.push_back(metadata);
  for (const auto& [name, child, position] : out->schema["properties"].members()) {
    if (name == "apiVersion" || name == "kind" || name == "metadata") continue;
    root.push_back(make.field(make.keep(name), child));
  }
  k.root = make.object(out->schema, std::move(root));
  k.doc = k.root->doc;

  auto column = [&](std::string_view name, std::string_view type, std::string_view format, int priority, std::string_view path,
                    std::string_view doc) {
    mesh::Column c;
    c.name = name;
    c.type = type;
    c.format = format;
    c.priority = priority;
    c.json_path = path;
    c.doc = doc;
    out->columns.push_back(c);
  };
  column("Name", "string", "name", 0, ".metadata.name", "");
  const Value& printed = (*storage)["additionalPrinterColumns"];
  for (const Value& c : printed.items())
    column(make.keep(c["name"]), make.keep(c["type"]), make.keep(c["format"]), static_cast<int>(c["priority"].as_int()),
           make.keep(c["jsonPath"]), make.keep(c["description"]));
  if (printed.empty()) column("Age", "date", "", 0, ".metadata.creationTimestamp", "");
  k.columns = out->columns;
  return out;
}

}  // namespace fairlead::api
