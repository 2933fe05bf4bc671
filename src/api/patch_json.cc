#include <vector>

#include "api/patch.h"
#include "base/strings.h"

namespace fairlead::api {

using base::Code;
using base::fail;
using base::Result;
using base::Value;

namespace {

// RFC 6901. "" is the whole document.
Result<std::vector<std::string>> parse_pointer(std::string_view text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  if (text[0] != '/') return fail(Code::kInvalidArgument, "JSON pointer \"{}\" must begin with /", text);
  for (auto piece : base::split(text.substr(1), '/'))
    out.push_back(base::replace_all(base::replace_all(piece, "~1", "/"), "~0", "~"));
  return out;
}

// An array index below `limit`; nothing for anything else.
std::optional<size_t> parse_index(const std::string& step, size_t limit) {
  if (step.empty() || step.size() > 9 || (step.size() > 1 && step[0] == '0')) return std::nullopt;
  for (char c : step)
    if (c < '0' || c > '9') return std::nullopt;
  size_t index = std::stoul(step);
  if (index >= limit) return std::nullopt;
  return index;
}

Value* step_into(Value& v, const std::string& step) {
  if (v.is_object()) return v.find(step);
  if (v.is_array())
    if (auto index = parse_index(step, v.size())) return &v.mutable_items()[*index];
  return nullptr;
}

// The node at all but the last `leave` steps.
Value* walk(Value& document, const std::vector<std::string>& path, size_t leave) {
  Value* at = &document;
  for (size_t i = 0; i + leave < path.size() && at; ++i) at = step_into(*at, path[i]);
  return at;
}

std::unexpected<base::Error> missing(std::string_view op, std::string_view pointer) {
  return fail(Code::kInvalidArgument, "{} operation does not apply: doc is missing path: {}", op, pointer);
}

base::Status add(Value& document, const std::vector<std::string>& path, std::string_view pointer, Value value) {
  if (path.empty()) {
    document = std::move(value);
    return {};
  }
  Value* parent = walk(document, path, 1);
  if (!parent) return missing("add", pointer);
  if (parent->is_object()) {
    parent->set(path.back(), std::move(value));
    return {};
  }
  if (!parent->is_array()) return missing("add", pointer);
  auto& items = parent->mutable_items();
  if (path.back() == "-") {
    items.push_back(std::move(value));
    return {};
  }
  auto index = parse_index(path.back(), items.size() + 1);
  if (!index) return fail(Code::kInvalidArgument, "add operation does not apply: invalid index in path {}", pointer);
  items.insert(items.begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
  return {};
}

Result<Value> take(Value& document, const std::vector<std::string>& path, std::string_view op, std::string_view pointer) {
  Value* parent = path.empty() ? nullptr : walk(document, path, 1);
  Value* node = parent ? step_into(*parent, path.back()) : nullptr;
  if (!node) return missing(op, pointer);
  Value out = std::move(*node);
  if (parent->is_object()) {
    parent->erase(path.back());
  } else {
    auto& items = parent->mutable_items();
    items.erase(items.begin() + (node - items.data()));
  }
  return out;
}

base::Status apply_one(Value& document, const Value& operation) {
  const std::string& op = operation["op"].as_string();
  const std::string& pointer = operation["path"].as_string();
  if (!operation["path"].is_string()) return fail(Code::kInvalidArgument, "a patch operation needs a path");
  auto path = parse_pointer(pointer);
  if (!path) return std::unexpected(path.error());
  const Value* value = operation.find("value");
  auto need_value = [&]() -> base::Status {
    if (!value) return fail(Code::kInvalidArgument, "{} operation at {} needs a value", op, pointer);
    return {};
  };
  if (op == "add") {
    if (auto ok = need_value(); !ok) return ok;
    return add(document, *path, pointer, *value);
  }
  if (op == "remove") {
    auto taken = take(document, *path, op, pointer);
    if (!taken) return std::unexpected(taken.error());
    return {};
  }
  if (op == "replace") {
    if (auto ok = need_value(); !ok) return ok;
    Value* node = walk(document, *path, 0);
    if (!node) return missing(op, pointer);
    *node = *value;
    return {};
  }
  if (op == "test") {
    // A missing member equals null, as in the library that Kubernetes uses.
    Value* node = walk(document, *path, 0);
    if (!node && (!value || value->is_null())) return {};
    if (!node || !(*node == (value ? *value : Value())))
      return fail(Code::kInvalidArgument, "testing value {} failed", pointer);
    return {};
  }
  if (op == "move" || op == "copy") {
    const std::string& from_pointer = operation["from"].as_string();
    auto from = parse_pointer(from_pointer);
    if (!from) return std::unexpected(from.error());
    if (op == "copy") {
      Value* node = walk(document, *from, 0);
      if (!node) return missing(op, from_pointer);
      Value copy = *node;
      return add(document, *path, pointer, std::move(copy));
    }
    auto taken = take(document, *from, op, from_pointer);
    if (!taken) return std::unexpected(taken.error());
    return add(document, *path, pointer, std::move(*taken));
  }
  return fail(Code::kInvalidArgument, "unexpected patch operation \"{}\"", op);
}

}  // namespace

Result<Value> json_patch(Value document, const Value& patch) {
  if (!patch.is_array()) return fail(Code::kInvalidArgument, "a JSON patch is a list of operations");
  constexpr size_t kMaxOperations = 10000;
  if (patch.size() > kMaxOperations)
    return fail(Code::kInvalidArgument, "The allowed maximum operations in a JSON patch is {}, got {}", kMaxOperations, patch.size());
  for (const Value& operation : patch.items())
    if (auto done = apply_one(document, operation); !done) return std::unexpected(done.error());
  return document;
}

Value merge_patch(Value target, const Value& patch) {
  if (!patch.is_object()) return patch;
  if (!target.is_object()) target = Value::object();
  for (const auto& [key, value, position] : patch.members()) {
    if (value.is_null()) {
      target.erase(key);
      continue;
    }
    Value* old = target.find(key);
    // An absent target still merges with {}: nulls inside the patch must not be stored.
    Value merged = merge_patch(old ? std::move(*old) : Value(), value);
    target.set(key, std::move(merged));
  }
  return target;
}

}  // namespace fairlead::api
