#include "api/apply.h"

#include <fmt/core.h>

#include <algorithm>

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

Value fields_of(const Type& type, const Value& value) {
  Value out = Value::object();
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
    if (children.empty() || theirs->empty()) {
      if (*mine == *now) continue;
      out.push_back(path + readable(key));
      if (take) other.erase(key);
      continue;
    }
    collide(part_type(type, key), *now, *mine, children, *theirs, path + readable(key), take, out);
  }
}

bool is_apply(const Value& entry) { return entry["operation"].as_string() == "Apply"; }

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
  for (Value& entry : entries.mutable_items()) {
    if (!is_apply(entry)) continue;
    if (entry["manager"].as_string() == applier.manager) {
      before = std::as_const(entry)["fieldsV1"];
      continue;
    }
    std::vector<std::string> fields;
    Value asked = config;
    collide({kind.root, nullptr, nullptr}, live, asked, wanted, entry["fieldsV1"], "", applier.force, fields);
    for (auto& f : fields) conflicts.emplace_back(entry["manager"].as_string(), std::move(f));
  }
  if (!conflicts.empty() && !applier.force) {
    std::string message = fmt::format("Apply failed with {} conflict{}", conflicts.size(), conflicts.size() == 1 ? "" : "s");
    Value causes = Value::array();
    for (const auto& [manager, field] : conflicts) {
      const std::string with = fmt::format("conflict with \"{}\"", manager);
      message += conflicts.size() == 1 ? fmt::format(": {}: {}", with, field) : fmt::format("\n{}: {}", with, field);
      causes.push(Value::object({{"reason", "FieldManagerConflict"}, {"message", with}, {"field", field}}));
    }
    Failure f = failure(409, "Conflict", message);
    f.status.set("details", Value::object({{"causes", std::move(causes)}}));
    return refuse(std::move(f));
  }
  Sets others;
  for (const Value& entry : entries.items())
    if (is_apply(entry) && entry["manager"].as_string() != applier.manager) others.push_back(&entry["fieldsV1"]);
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
  std::erase_if(entries.mutable_items(), [](const Value& e) { return is_apply(e) && e["fieldsV1"].empty(); });
  live["metadata"].set("managedFields", std::move(entries));
  return live;
}

}  // namespace fairlead::api
