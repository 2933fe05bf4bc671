#include "api/apply.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

#include "api/ids.h"
#include "api/patch.h"

namespace fairlead::api {

using base::Value;
using mesh::Field;
using mesh::Schema;

namespace {

// What is known about the members of a value: a schema for objects, an element for maps and lists; both may be nothing.
struct Type {
  const Schema* object = nullptr;
  const Field* element = nullptr;  // of a map
  const Field* field = nullptr;    // the value's own description
  Type member(std::string_view name) const {
    const Field* f = element ? element : object ? object->find(name) : nullptr;
    return of(f);
  }
  static Type of(const Field* f) {
    return {f && f->type == mesh::Type::kObject ? f->object : nullptr, f && f->type == mesh::Type::kMap ? f->element : nullptr, f};
  }
  Type item() const { return of(field ? field->element : nullptr); }
  bool map_list() const { return field && field->type == mesh::Type::kArray && field->list_type == mesh::ListType::kMap; }
  bool set_list() const { return field && field->type == mesh::Type::kArray && field->list_type == mesh::ListType::kSet; }
};

std::string element_key(const Field& list, const Value& item) {
  Value keys = Value::object();
  for (auto key : list.list_keys)
    if (const Value* v = item.find(key)) keys.set(key, *v);
  return "k:" + keys.dump(0, true);
}

// Objects that Kubernetes takes as one value (x-kubernetes-map-type: atomic).
bool atomic_object(const Type& type) {
  static constexpr std::string_view kSchemas[] = {"LabelSelector",     "LocalObjectReference", "ObjectReference",       "ConfigMapKeySelector",
                                                  "SecretKeySelector", "ObjectFieldSelector",  "ResourceFieldSelector", "NodeSelector",
                                                  "NodeSelectorTerm",  "EndpointAddress",      "EndpointPort",          "TypedLocalObjectReference"};
  if (type.object) return std::find(std::begin(kSchemas), std::end(kSchemas), type.object->name) != std::end(kSchemas);
  return type.element && (type.field->name == "selector" || type.field->name == "nodeSelector");
}

Value fields_of(const Type& type, const Value& value) {
  Value out = Value::object();
  if (value.is_object() && atomic_object(type)) return out;
  if (value.is_object()) {
    for (const auto& [key, child, position] : value.members()) out.set("f:" + key, fields_of(type.member(key), child));
  } else if (value.is_array() && type.map_list()) {
    for (const Value& item : value.items()) {
      Value owned = fields_of(type.item(), item);
      owned.set(".", Value::object());
      out.set(element_key(*type.field, item), std::move(owned));
    }
  } else if (value.is_array() && type.set_list()) {
    for (const Value& item : value.items()) out.set("v:" + item.dump(), Value::object());
  }
  return out;
}

// The member of `value` that a key of a field set names; nullptr when it is not there.
Value* find_part(Value& value, std::string_view key) {
  if (key.starts_with("f:")) return value.is_object() ? value.find(key.substr(2)) : nullptr;
  if (!value.is_array()) return nullptr;
  auto wanted = base::parse_json(key.substr(2));
  if (!wanted) return nullptr;
  for (Value& item : value.mutable_items()) {
    if (key.starts_with("v:") && item == *wanted) return &item;
    // A key that has a default may be missing on one side.
    if (key.starts_with("k:") && std::all_of(wanted->members().begin(), wanted->members().end(), [&](const base::Member& m) {
          const Value* own = item.find(m.key);
          return own && *own == m.value;
        }))
      return &item;
  }
  return nullptr;
}

Type part_type(const Type& type, std::string_view key) { return key.starts_with("f:") ? type.member(key.substr(2)) : type.item(); }

void erase_part(Value& value, std::string_view key) {
  if (key.starts_with("f:")) {
    value.erase(key.substr(2));
  } else if (Value* part = find_part(value, key)) {
    auto& items = value.mutable_items();
    items.erase(items.begin() + (part - items.data()));
  }
}

using Sets = std::vector<const Value*>;

Sets descend(const Sets& sets, std::string_view key) {
  Sets out;
  for (const Value* s : sets)
    if (const Value* child = s->find(key)) out.push_back(child);
  return out;
}

// Removes from `live` what `before` owned, `after` does not, and none of `others` does.
void prune(Value& live, const Value& before, const Value* after, const Sets& others) {
  for (const auto& [key, children, position] : before.members()) {
    if (key == ".") continue;
    Value* part = find_part(live, key);
    if (!part) continue;
    const Value* kept = after ? after->find(key) : nullptr;
    const Sets owners = descend(others, key);
    const bool wanted = kept || !owners.empty();
    if (children.empty() || (key.starts_with("k:") && !wanted)) {
      if (!wanted) erase_part(live, key);
      continue;
    }
    prune(*part, children, kept, owners);
    if (!wanted && part->empty() && (part->is_object() || part->is_array())) erase_part(live, key);
  }
}

std::string readable(std::string_view key) {
  if (key.starts_with("f:")) return "." + std::string(key.substr(2));
  auto parsed = base::parse_json(key.substr(2));
  if (!parsed || !parsed->is_object()) return fmt::format("[{}]", key.substr(2));
  std::string out;
  for (const auto& m : parsed->members()) out += (out.empty() ? "" : ",") + m.key + "=" + m.value.dump();
  return "[" + out + "]";
}

// Leaves of `wanted` that `other` owns and whose value would change. With `take` they leave the other's set.
void collide(const Type& type, Value& live, Value& config, const Value& wanted, Value& other, const std::string& path, bool take,
             std::vector<std::string>& out) {
  for (const auto& [key, children, position] : wanted.members()) {
    Value* theirs = other.find(key);
    if (key == "." || !theirs) continue;
    Value *mine = find_part(config, key), *now = find_part(live, key);
    if (!mine || !now) continue;
    if (!children.empty() && theirs->empty()) continue;  // they own that it is there, not what is in it
    if (children.empty()) {
      if (*mine == *now) continue;
      out.push_back(path + readable(key));
      if (take) other.erase(key);
      continue;
    }
    collide(part_type(type, key), *now, *mine, children, *theirs, path + readable(key), take, out);
    if (take && theirs->empty()) other.erase(key);
  }
}

// A struct of Kubernetes' that is always there, if empty: nobody owns that it is.
bool always_there(const Type& type, bool custom) {
  static constexpr std::string_view kNames[] = {"spec", "status", "strategy", "template", "resources", "loadBalancer", "containers"};
  if (!type.field || type.field->name == "metadata") return true;
  return !custom && !type.element && std::find(std::begin(kNames), std::end(kNames), type.field->name) != std::end(kNames);
}

bool only_itself(const Value& set) { return set.size() == 1 && set.contains("."); }

const Value* same_element(const Type& type, const Value* list, const Value& item) {
  if (!list || !list->is_array()) return nullptr;
  const std::string key = element_key(*type.field, item);
  for (const Value& other : list->items())
    if (element_key(*type.field, other) == key) return &other;
  return nullptr;
}

// The fields of `after` that are new or differ; false when there are none.
bool differing(const Type& type, const Value* before, const Value& after, bool custom, Value& out) {
  out = Value::object();
  if (before && *before == after) return false;
  const bool lists = after.is_array() && (type.map_list() || type.set_list());
  if ((!lists && !after.is_object()) || after.empty() || (after.is_object() && atomic_object(type))) return true;
  bool any = false;
  Value child;
  if (after.is_object()) {
    for (const auto& [key, value, position] : after.members()) {
      if (!differing(type.member(key), before ? before->find(key) : nullptr, value, custom, child)) continue;
      out.set("f:" + key, std::move(child));
      any = true;
    }
  } else if (type.map_list()) {
    for (const Value& item : after.items()) {
      const Value* old = same_element(type, before, item);
      if (!differing(type.item(), old, item, custom, child)) continue;
      if (!old) child.set(".", Value::object());
      out.set(element_key(*type.field, item), std::move(child));
      any = true;
    }
  } else {
    for (const Value& item : after.items()) {
      if (before && before->is_array() && std::find(before->items().begin(), before->items().end(), item) != before->items().end()) continue;
      out.set("v:" + item.dump(), Value::object());
      any = true;
    }
  }
  if (any && !before && !always_there(type, custom)) out.set(".", Value::object());
  return any;
}

// Leaves `set` with what is still in `value`.
void keep_existing(Value& set, Value& value) {
  std::vector<std::string> gone;
  for (auto& m : set.mutable_members()) {
    if (m.key == ".") continue;
    Value* part = find_part(value, m.key);
    if (part && !m.value.empty()) {
      keep_existing(m.value, *part);
      if (only_itself(m.value)) m.value = Value::object();
      else if (m.value.empty()) part = nullptr;
      if (part) continue;
      part = nullptr;
    }
    if (!part) gone.push_back(m.key);
  }
  for (const auto& key : gone) set.erase(key);
}

void take_away(Value& set, const Value& taken) {
  for (const auto& [key, children, position] : taken.members()) {
    Value* mine = set.find(key);
    if (!mine) continue;
    if (!children.empty() && !mine->empty()) {
      take_away(*mine, children);
      if (only_itself(*mine)) {
        *mine = Value::object();
        continue;
      }
      if (!mine->empty()) continue;
    }
    set.erase(key);
  }
}

void unite(Value& set, const Value& more) {
  for (const auto& [key, children, position] : more.members()) {
    if (Value* mine = set.find(key))
      unite(*mine, children);
    else
      set.set(key, children);
  }
}

// What the server itself keeps in an object belongs to nobody.
Value without_identity(const Value& object, std::string_view subresource, bool has_status) {
  if (subresource == "status") return Value::object({{"status", object["status"]}});
  Value bare = object;
  for (const char* own : {"apiVersion", "kind"}) bare.erase(own);
  if (has_status) bare.erase("status");
  if (Value* metadata = bare.find("metadata"); metadata && metadata->is_object())
    for (const char* own : {"name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion", "deletionTimestamp",
                            "deletionGracePeriodSeconds", "generateName"})
      metadata->erase(own);
  if (const Value* metadata = bare.find("metadata"); metadata && metadata->empty()) bare.erase("metadata");
  if (Value* spec = bare.find("spec"); spec && spec->is_object()) {
    if (object["kind"].as_string() == "Namespace") bare.erase("spec");
    if (object["kind"].as_string() == "Service")
      for (const char* own : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) spec->erase(own);
  }
  return bare;
}

bool is_apply(const Value& entry) { return entry["operation"].as_string() == "Apply"; }

void put_in_order(Value& entries) {
  std::erase_if(entries.mutable_items(), [](const Value& e) { return e["fieldsV1"].empty(); });
  std::stable_sort(entries.mutable_items().begin(), entries.mutable_items().end(), [](const Value& a, const Value& b) {
    auto key = [](const Value& e) { return std::tuple(!is_apply(e), std::string_view(e["time"].as_string()), std::string_view(e["manager"].as_string())); };
    return key(a) < key(b);
  });
}

// Whether a set has the field that a conflict names (".spec.replicas").
bool names_field(const Value& set, std::string_view field, const std::string& path) {
  for (const auto& [key, children, position] : set.members()) {
    if (key == ".") continue;
    const std::string here = path + readable(key);
    if (here == field || (field.starts_with(here) && names_field(children, field, here))) return true;
  }
  return false;
}

// What kubectl applied from its own side before it came to apply on the server's: those fields are its own. Null otherwise.
Value last_applied(const mesh::Kind& kind, const Value& live, const Applier& applier) {
  const Value& text = live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
  if (applier.manager != "kubectl" || applier.force || !text.is_string()) return {};
  auto parsed = base::parse_json(text.as_string());
  if (!parsed) return {};
  // Fields that have changed since are somebody else's.
  Value set = field_set(kind.root, *parsed), changed;
  const Value now = without_identity(live, "", false);
  if (differing({kind.root, nullptr, nullptr}, &now, without_identity(*parsed, "", false), false, changed)) take_away(set, changed);
  return set;
}

}  // namespace

Value field_set(const Schema* schema, const Value& config) {
  Value bare = config;
  bare.erase("apiVersion");
  bare.erase("kind");
  if (Value* metadata = bare.find("metadata"))
    for (const char* identity : {"name", "namespace", "managedFields", "uid", "resourceVersion", "creationTimestamp"}) metadata->erase(identity);
  if (const Value* metadata = bare.find("metadata"); metadata && metadata->empty()) bare.erase("metadata");
  return fields_of({schema, nullptr, nullptr}, bare);
}

Outcome<Value> server_side_apply(const mesh::Kind& kind, Value live, const Value& config, const Applier& applier) {
  Value entries = std::as_const(live)["metadata"]["managedFields"];
  if (!entries.is_array()) entries = Value::array();
  const Value wanted = field_set(kind.root, config);
  Value before = Value::object();
  std::vector<std::pair<std::string, std::string>> conflicts;  // manager, field
  const Value last = last_applied(kind, live, applier);
  for (Value& entry : entries.mutable_items()) {
    if (is_apply(entry) && entry["manager"].as_string() == applier.manager) {
      before = std::as_const(entry)["fieldsV1"];
      continue;
    }
    std::vector<std::string> fields;
    Value asked = config;
    collide({kind.root, nullptr, nullptr}, live, asked, wanted, entry["fieldsV1"], "", applier.force, fields);
    std::string who = fmt::format("\"{}\"", entry["manager"].as_string());
    if (!is_apply(entry) && entry.contains("subresource")) who += fmt::format(" with subresource \"{}\"", entry["subresource"].as_string());
    if (!is_apply(entry)) who += " using " + entry["apiVersion"].as_string();
    if (last.is_object()) std::erase_if(fields, [&](const std::string& f) { return names_field(last, f, ""); });
    for (auto& f : fields) conflicts.emplace_back(who, std::move(f));
  }
  if (!conflicts.empty() && !applier.force) {
    const bool one = conflicts.size() == 1;
    std::string message = fmt::format("Apply failed with {} conflict{}:", conflicts.size(), one ? "" : "s");
    Value causes = Value::array();
    std::stable_sort(conflicts.begin(), conflicts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string_view last;
    for (const auto& [manager, field] : conflicts) {
      const std::string with = "conflict with " + manager;
      if (one)
        message += fmt::format(" {}: {}", with, field);
      else
        message += fmt::format("{}- {}", last == manager ? "\n" : fmt::format("{}conflicts with {}:\n", last.empty() ? " " : "\n", manager), field);
      last = manager;
      causes.push(Value::object({{"reason", "FieldManagerConflict"}, {"message", with}, {"field", field}}));
    }
    Failure f = failure(409, "Conflict", message);
    f.status.set("details", Value::object({{"causes", std::move(causes)}}));
    return refuse(std::move(f));
  }
  // All that stood in the way was what kubectl itself had applied before.
  if (last.is_object() && !applier.force) {
    Applier forced = applier;
    forced.force = true;
    return server_side_apply(kind, std::move(live), config, forced);
  }
  Sets others;
  for (const Value& entry : entries.items())
    if (!is_apply(entry) || entry["manager"].as_string() != applier.manager) others.push_back(&entry["fieldsV1"]);
  prune(live, before, &wanted, others);
  live = apply_merge(kind.root, std::move(live), config);

  // An unchanged set keeps its time, so that an apply that changes nothing writes nothing.
  Value* own = nullptr;
  for (Value& entry : entries.mutable_items())
    if (is_apply(entry) && entry["manager"].as_string() == applier.manager) own = &entry;
  if (!own || !(std::as_const(*own)["fieldsV1"] == wanted)) {
    Value entry = Value::object({{"manager", applier.manager}, {"operation", "Apply"}, {"apiVersion", applier.api_version}, {"time", now_text()},
                                 {"fieldsType", "FieldsV1"}, {"fieldsV1", wanted}});
    if (own)
      *own = std::move(entry);
    else
      entries.push(std::move(entry));
  }
  put_in_order(entries);
  live["metadata"].set("managedFields", std::move(entries));
  return live;
}

void track_update(const mesh::Kind& kind, const Value& before, Value& after, const Applier& manager, std::string_view subresource) {
  const bool custom = kind.istio || !mesh::find_kind_by_resource(kind.resource());
  const Value was = before.is_object() ? without_identity(before, subresource, kind.has_status) : Value();
  Value is = without_identity(after, subresource, kind.has_status);
  if (before.is_object() && was == is) return;
  Value changed;
  const bool any = differing({kind.root, nullptr, nullptr}, before.is_object() ? &was : nullptr, is, custom, changed);
  changed.erase(".");

  Value entries = std::as_const(after)["metadata"]["managedFields"];
  if (!entries.is_array()) entries = Value::array();
  auto same_part = [&](const Value& e) { return (e["subresource"].as_string() == "status") == (subresource == "status"); };
  auto own = [&](const Value& e) { return !is_apply(e) && e["manager"].as_string() == manager.manager && e["subresource"].as_string() == subresource; };
  Value* mine = nullptr;
  for (Value& entry : entries.mutable_items()) {
    Value& fields = entry["fieldsV1"];
    if (same_part(std::as_const(entry))) keep_existing(fields, is);
    if (own(std::as_const(entry)))
      mine = &entry;
    else
      take_away(fields, changed);
  }
  if (any) {
    Value fields = mine ? std::as_const(*mine)["fieldsV1"] : Value::object();
    unite(fields, changed);
    Value entry = Value::object({{"manager", manager.manager}, {"operation", "Update"}, {"apiVersion", manager.api_version}, {"time", now_text()},
                                 {"fieldsType", "FieldsV1"}, {"fieldsV1", std::move(fields)}});
    if (!subresource.empty()) entry.set("subresource", subresource);
    if (mine)
      *mine = std::move(entry);
    else
      entries.push(std::move(entry));
  }
  put_in_order(entries);
  if (entries.empty())
    after["metadata"].erase("managedFields");
  else
    after["metadata"].set("managedFields", std::move(entries));
}

}  // namespace fairlead::api
