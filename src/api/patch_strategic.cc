#include <algorithm>
#include <map>

#include "api/patch.h"

namespace fairlead::api {

using base::Code;
using base::fail;
using base::Result;
using base::Value;
using mesh::Field;
using mesh::Schema;

namespace {

constexpr std::string_view kPatch = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kSetElementOrder = "$setElementOrder/";
constexpr std::string_view kDeleteFromPrimitiveList = "$deleteFromPrimitiveList/";

Result<Value> merge_object(const Schema* schema, const Field* map_element, Value original, const Value& patch);

const Schema* object_schema(const Field* field) { return field && field->type == mesh::Type::kObject ? field->object : nullptr; }
const Field* map_element_of(const Field* field) { return field && field->type == mesh::Type::kMap ? field->element : nullptr; }

// A patch value that meets nothing in the original: stored as it is, without directives and nulls.
Value plain(const Value& patch) {
  if (patch.is_array()) {
    Value out = Value::array();
    for (const Value& item : patch.items())
      if (!item["$patch"].is_string() || item["$patch"].as_string() == "merge") out.push(plain(item));
    return out;
  }
  if (!patch.is_object()) return patch;
  Value out = Value::object();
  for (const auto& [key, value, position] : patch.members())
    if (!key.starts_with('$') && !value.is_null()) out.set(key, plain(value));
  return out;
}

// What identifies an element: its merge key's value as text, or the scalar itself.
std::string identity(const Value& item, std::string_view key) { return key.empty() ? item.dump() : item[key].dump(); }

// Orders a merged list as the client wants it: `order` names elements in their sequence; those that only the server
// knows keep their place relative to the neighbours they had before.
void reorder(Value& list, const Value& before, const Value& order, std::string_view key) {
  std::map<std::string, size_t> wanted, server;
  for (const Value& item : order.items()) wanted.emplace(identity(item, key), wanted.size());
  for (const Value& item : before.items()) server.emplace(identity(item, key), server.size());
  std::vector<Value> ours, theirs;
  for (Value& item : list.mutable_items())
    (wanted.contains(identity(item, key)) ? ours : theirs).push_back(std::move(item));
  std::stable_sort(ours.begin(), ours.end(), [&](const Value& a, const Value& b) {
    return wanted[identity(a, key)] < wanted[identity(b, key)];
  });
  base::Array out;
  size_t i = 0, j = 0;
  while (i < ours.size() || j < theirs.size()) {
    bool take_ours = i < ours.size();
    if (take_ours && j < theirs.size()) {
      auto a = server.find(identity(ours[i], key)), b = server.find(identity(theirs[j], key));
      take_ours = a == server.end() || b == server.end() || a->second < b->second;
    }
    out.push_back(std::move(take_ours ? ours[i++] : theirs[j++]));
  }
  list.mutable_items() = std::move(out);
}

Result<Value> merge_object_list(const Field& field, Value original, const Value& patch) {
  const std::string_view key = field.patch_key;
  const Schema* element = object_schema(field.element);
  bool replace = false;
  for (const Value& item : patch.items()) replace = replace || item[kPatch].as_string() == "replace";
  if (replace) {
    Value out = Value::array();
    for (const Value& item : patch.items())
      if (!item.contains(kPatch)) out.push(plain(item));
    return out;
  }
  if (!original.is_array()) original = Value::array();
  auto find = [&](const Value& wanted) -> Value* {
    for (Value& item : original.mutable_items())
      if (item[key] == wanted) return &item;
    return nullptr;
  };
  for (const Value& item : patch.items()) {
    const Value& id = item[key];
    if (!item.is_object() || id.is_null())
      return fail(Code::kInvalidArgument, "map: {} does not contain declared merge key: {}", item.dump(), key);
    const std::string& directive = item[kPatch].as_string();
    if (directive == "delete") {
      std::erase_if(original.mutable_items(), [&](const Value& v) { return v[key] == id; });
      continue;
    }
    if (!directive.empty() && directive != "merge")
      return fail(Code::kInvalidArgument, "unknown patch type found: {}", directive);
    if (Value* old = find(id)) {
      auto merged = merge_object(element, nullptr, std::move(*old), item);
      if (!merged) return merged;
      *old = std::move(*merged);
    } else {
      original.push(plain(item));
    }
  }
  return original;
}

Value merge_scalar_list(Value original, const Value& patch) {
  if (!original.is_array()) original = Value::array();
  for (const Value& item : patch.items())
    if (std::find(original.items().begin(), original.items().end(), item) == original.items().end()) original.push(item);
  return original;
}

Result<Value> merge_field(const Field* field, Value original, const Value& patch) {
  if (patch.is_object() && original.is_object())
    return merge_object(object_schema(field), map_element_of(field), std::move(original), patch);
  if (patch.is_array() && original.is_array() && field && field->patch_merge) {
    const Value before = original;
    auto merged = field->patch_key.empty() ? Result<Value>(merge_scalar_list(std::move(original), patch)) : merge_object_list(*field, std::move(original), patch);
    if (merged) reorder(*merged, before, patch, field->patch_key);  // the patch's order, unless $setElementOrder gives another
    return merged;
  }
  return plain(patch);
}

Result<Value> merge_object(const Schema* schema, const Field* map_element, Value original, const Value& patch) {
  if (const Value* directive = patch.find(kPatch)) {
    const std::string& how = directive->as_string();
    if (how == "replace") return plain(patch);
    if (how == "delete") return Value::object();
    if (how != "merge") return fail(Code::kInvalidArgument, "unknown patch type found: {}", how);
  }
  auto field_of = [&](std::string_view name) { return map_element ? map_element : schema ? schema->find(name) : nullptr; };
  if (const Value* retain = patch.find(kRetainKeys)) {
    std::erase_if(original.mutable_members(), [&](const base::Member& m) {
      return std::none_of(retain->items().begin(), retain->items().end(), [&](const Value& k) { return k.as_string() == m.key; });
    });
  }
  const Value before = original;
  for (const auto& [key, value, position] : patch.members()) {
    if (key == kPatch || key == kRetainKeys || key.starts_with(kSetElementOrder)) continue;
    if (key.starts_with(kDeleteFromPrimitiveList)) {
      if (Value* list = original.find(std::string_view(key).substr(kDeleteFromPrimitiveList.size())))
        std::erase_if(list->mutable_items(), [&, &gone = value](const Value& item) {
          return std::find(gone.items().begin(), gone.items().end(), item) != gone.items().end();
        });
      continue;
    }
    if (value.is_null()) {
      original.erase(key);
      continue;
    }
    Value* old = original.find(key);
    auto merged = old ? merge_field(field_of(key), std::move(*old), value) : Result<Value>(plain(value));
    if (!merged) return merged;
    original.set(key, std::move(*merged));
  }
  for (const auto& [key, value, position] : patch.members()) {
    if (!key.starts_with(kSetElementOrder)) continue;
    const std::string_view name = std::string_view(key).substr(kSetElementOrder.size());
    const Field* field = field_of(name);
    if (Value* list = original.find(name); list && list->is_array())
      reorder(*list, before[name], value, field ? field->patch_key : std::string_view());
  }
  return original;
}

Value apply_field(const Field* field, Value live, const Value& config);

Value apply_object(const Schema* schema, const Field* map_element, Value live, const Value& config) {
  for (const auto& [key, value, position] : config.members()) {
    const Field* field = map_element ? map_element : schema ? schema->find(key) : nullptr;
    Value* old = live.find(key);
    Value merged = apply_field(field, old ? std::move(*old) : Value(), value);
    live.set(key, std::move(merged));
  }
  return live;
}

Value apply_field(const Field* field, Value live, const Value& config) {
  if (config.is_object() && live.is_object()) return apply_object(object_schema(field), map_element_of(field), std::move(live), config);
  if (!config.is_array() || !live.is_array() || !field) return config;
  if (field->list_type == mesh::ListType::kSet) return merge_scalar_list(std::move(live), config);
  if (field->list_type != mesh::ListType::kMap) return config;
  auto same = [&](const Value& a, const Value& b) {
    return std::all_of(field->list_keys.begin(), field->list_keys.end(), [&](std::string_view key) {
      // A key that has a default (Service ports' protocol) may be left out of the configuration.
      return a[key] == b[key] || a[key].is_null() || b[key].is_null();
    });
  };
  for (const Value& item : config.items()) {
    auto& items = live.mutable_items();
    auto at = std::find_if(items.begin(), items.end(), [&](const Value& v) { return same(v, item); });
    if (at == items.end())
      live.push(item);
    else
      *at = apply_field(field->element, std::move(*at), item);
  }
  return live;
}

}  // namespace

Result<Value> strategic_merge(const Schema* schema, Value original, const Value& patch) {
  if (!patch.is_object()) return fail(Code::kInvalidArgument, "a strategic merge patch is an object");
  return merge_object(schema, nullptr, std::move(original), patch);
}

Value apply_merge(const Schema* schema, Value live, const Value& config) {
  return apply_object(schema, nullptr, std::move(live), config);
}

}  // namespace fairlead::api
