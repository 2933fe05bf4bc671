// Shape: does a document fit its kind's tables? Unknown fields, duplicates, wrong types.
#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "base/time.h"
#include "mesh/quantity.h"
#include "mesh/validate.h"

namespace fairlead::mesh {
namespace {

using base::Value;

std::string_view json_type(const Value& v) {
  switch (v.type()) {
    case Value::Type::kNull: return "null";
    case Value::Type::kBool: return "bool";
    case Value::Type::kInt:
    case Value::Type::kDouble: return "number";
    case Value::Type::kString: return "string";
    case Value::Type::kArray: return "array";
    case Value::Type::kObject: return "object";
  }
  return "";
}

std::string_view schema_type(Type t) {
  switch (t) {
    case Type::kBool: return "boolean";
    case Type::kInt32:
    case Type::kInt64:
    case Type::kUint32: return "integer";
    case Type::kDouble: return "number";
    case Type::kArray: return "array";
    case Type::kObject:
    case Type::kMap: return "object";
    default: return "string";
  }
}

std::string go_type(const Field& f) {
  switch (f.type) {
    case Type::kBool: return "bool";
    case Type::kInt32: return "int32";
    case Type::kUint32: return "uint32";
    case Type::kInt64: return "int64";
    case Type::kDouble: return "float64";
    case Type::kArray: return "[]" + go_type(*f.element);
    case Type::kMap: return "map[string]" + go_type(*f.element);
    case Type::kObject: return "v1." + std::string(f.object->name);
    case Type::kBytes: return "[]uint8";
    default: return "string";
  }
}

// Where Go's decoder stops: at the first byte that is none of base64's, or at the last group when that is cut short.
size_t base64_mistake(std::string_view s) {
  const size_t at = s.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  return at == std::string_view::npos || s[at] == '=' ? s.size() / 4 * 4 : at;
}

class Checker {
 public:
  Checker(const Kind& kind, Problems& out) : kind_(kind), out_(out) {}

  void object(const Schema& schema, const Value& v) {
    for (const auto& m : v.members()) {
      const Field* f = schema.find(m.key);
      size_t length = path_.size(), plain = plain_.size();
      append(m.key);
      if (!f) {
        if (!schema.open) unknown(schema, m);
      } else {
        value(schema, *f, m.value);
      }
      path_.resize(length);
      plain_.resize(plain);
    }
  }

 private:
  void append(std::string_view key) {
    if (!path_.empty()) path_ += '.';
    path_ += key;
    if (!plain_.empty()) plain_ += '.';
    plain_ += key;
  }

  void unknown(const Schema& schema, const base::Member& m) {
    Problem p{Cause::kUnknownField, path_, "", "", m.key_position.line ? m.key_position : m.value.position};
    std::vector<std::string_view> names;
    for (const Field& f : schema.fields) names.push_back(f.name);
    if (auto near = base::nearest(m.key, names)) p.hint = fmt::format("did you mean \"{}\"?", *near);
    out_.push_back(std::move(p));
  }

  void wrong(const Schema& owner, const Field& f, const Value& v, bool with_number = false) {
    Problem p{Cause::kWrongType, path_, "", "", v.position};
    std::string what(json_type(v));
    if (with_number) what += " " + v.dump();
    if (kind_.istio) {
      std::string_view have = v.is_bool() ? "boolean" : v.is_int() ? "integer" : json_type(v);
      p.message = fmt::format("Invalid value: \"{}\": {} in body must be of type {}: \"{}\"", have, path_, schema_type(f.type), have);
    } else {
      p.message = fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}", what, owner.name, plain_, go_type(f));
    }
    out_.push_back(std::move(p));
  }

  void plain(const Value& v, std::string message) { out_.push_back({Cause::kWrongType, path_, std::move(message), "", v.position}); }

  void integer(const Schema& owner, const Field& f, const Value& v, int64_t low, int64_t high) {
    if (!v.is_number()) return wrong(owner, f, v);
    int64_t n = v.as_int(std::numeric_limits<int64_t>::min());
    bool whole = v.is_int() || static_cast<double>(n) == v.as_double();
    if (!whole) return wrong(owner, f, v, true);
    if (n < low || n > high) {
      if (kind_.istio && n < low && low == 0)
        return plain(v, fmt::format("Invalid value: {}: {} in body should be greater than or equal to 0", n, path_));
      wrong(owner, f, v, true);
    }
  }

  void value(const Schema& owner, const Field& f, const Value& v) {
    if (v.is_null() || f.type == Type::kAny) return;
    switch (f.type) {
      case Type::kString:
      case Type::kEnum:
      case Type::kDuration:
        if (!v.is_string()) wrong(owner, f, v);
        break;
      case Type::kBool:
        if (!v.is_bool()) wrong(owner, f, v);
        break;
      case Type::kInt32: integer(owner, f, v, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()); break;
      case Type::kUint32: integer(owner, f, v, 0, std::numeric_limits<uint32_t>::max()); break;
      case Type::kInt64: integer(owner, f, v, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()); break;
      case Type::kDouble:
        if (!v.is_number()) wrong(owner, f, v);
        break;
      case Type::kIntOrString:
        if (!v.is_string()) integer(owner, f, v, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
        break;
      case Type::kQuantity:
        if (v.is_number()) break;
        if (!v.is_string()) {
          wrong(owner, f, v);
        } else if (!quantity_milli(v.as_string())) {
          plain(v, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
        }
        break;
      case Type::kTimestamp:
      case Type::kMicroTime:
        if (!v.is_string()) {
          wrong(owner, f, v);
        } else if (!base::parse_rfc3339(v.as_string())) {
          plain(v, fmt::format("parsing time \"{0}\" as \"2006-01-02T15:04:05{1}Z07:00\": cannot parse \"{0}\" as \"2006\"", v.as_string(),
                               f.type == Type::kMicroTime ? ".000000" : ""));
        }
        break;
      case Type::kBytes:
        if (!v.is_string()) {
          wrong(owner, f, v);
        } else if (!base::base64_decode(v.as_string())) {
          plain(v, fmt::format("illegal base64 data at input byte {}", base64_mistake(v.as_string())));
        }
        break;
      case Type::kObject:
        if (!v.is_object()) {
          wrong(owner, f, v);
        } else {
          object(*f.object, v);
        }
        break;
      case Type::kArray:
        if (!v.is_array()) {
          wrong(owner, f, v);
        } else {
          size_t length = path_.size(), index = 0;
          for (const Value& item : v.items()) {
            path_ += fmt::format("[{}]", index++);
            value(owner, *f.element, item);
            path_.resize(length);
          }
        }
        break;
      case Type::kMap:
        if (!v.is_object()) {
          wrong(owner, f, v);
        } else {
          size_t length = path_.size();
          for (const auto& m : v.members()) {
            path_ += "." + m.key;
            value(owner, *f.element, m.value);
            path_.resize(length);
          }
        }
        break;
      case Type::kAny: break;
    }
  }

  const Kind& kind_;
  Problems& out_;
  std::string path_;   // with indexes
  std::string plain_;  // without, as Go's decoder names fields
};

void prune(const Schema& schema, Value& v);

void prune_field(const Field& f, Value& v) {
  if (f.type == Type::kObject && v.is_object()) {
    prune(*f.object, v);
  } else if (f.type == Type::kArray && v.is_array()) {
    for (Value& item : v.mutable_items()) prune_field(*f.element, item);
  } else if (f.type == Type::kMap && v.is_object()) {
    for (auto& m : v.mutable_members()) prune_field(*f.element, m.value);
  }
}

void prune(const Schema& schema, Value& v) {
  auto& members = v.mutable_members();
  if (!schema.open) std::erase_if(members, [&](const base::Member& m) { return !schema.find(m.key); });
  for (auto& m : members)
    if (const Field* f = schema.find(m.key)) prune_field(*f, m.value);
}

}  // namespace

std::string_view reason(Cause cause) {
  switch (cause) {
    case Cause::kUnknownField:
    case Cause::kDuplicateField:
    case Cause::kRefused: return "";
    case Cause::kWrongType: return "FieldValueTypeInvalid";
    case Cause::kInvalid: return "FieldValueInvalid";
    case Cause::kRequired: return "FieldValueRequired";
    case Cause::kNotSupported: return "FieldValueNotSupported";
    case Cause::kDuplicate: return "FieldValueDuplicate";
    case Cause::kForbidden: return "FieldValueForbidden";
    case Cause::kTooLong: return "FieldValueTooLong";
    case Cause::kTooMany: return "FieldValueTooMany";
    case Cause::kNotFound: return "FieldValueNotFound";
  }
  return "";
}

std::string Problem::text() const {
  std::string out;
  if (cause == Cause::kUnknownField) {
    out = fmt::format("unknown field \"{}\"", path);
    return hint.empty() ? out : fmt::format("{} ({})", out, hint);
  }
  if (cause == Cause::kDuplicateField) return fmt::format("duplicate field \"{}\"", path);
  if (path.empty() || message.starts_with("json: ")) return message;
  return path + ": " + message;
}

Problems check_shape(const Kind& kind, const Value& object, const std::vector<base::DuplicateKey>* duplicates) {
  Problems out;
  if (!kind.root) return out;
  if (!object.is_object()) {
    out.push_back({Cause::kWrongType, "", fmt::format("json: cannot unmarshal {} into Go value of type v1.{}", json_type(object), kind.kind), "",
                   object.position});
    return out;
  }
  Checker(kind, out).object(*kind.root, object);
  if (duplicates)
    for (const auto& d : *duplicates) out.push_back({Cause::kDuplicateField, d.path, "", "", d.position});
  return out;
}

void drop_unknown(const Kind& kind, Value& object) {
  if (kind.root && object.is_object()) prune(*kind.root, object);
}

namespace {

Value status_object(int code, std::string_view reason_word, std::string message) {
  Value s = Value::object();
  s.set("kind", "Status").set("apiVersion", "v1").set("metadata", Value::object()).set("status", "Failure");
  s.set("message", std::move(message)).set("reason", reason_word).set("code", code);
  return s;
}

}  // namespace

// One sentence as it is; more as Istio lists them.
std::string refusal_text(const std::vector<std::string>& refusals) {
  if (refusals.size() == 1) return refusals.front();
  std::string out = fmt::format("{} errors occurred:\n", refusals.size());
  for (const std::string& r : refusals) out += "\t* " + r + "\n";
  return out + "\n";
}

Value shape_status(const Kind& kind, std::string_view version, std::string_view name, const Problems& problems) {
  // A built-in kind that does not decode fails by its first wrong type; a custom one lists them all as 422.
  std::string strict, first_wrong;
  Problems wrong;
  for (const Problem& p : problems) {
    if (p.cause == Cause::kWrongType) {
      wrong.push_back(p);
      if (first_wrong.empty()) first_wrong = kind.istio ? p.text() : p.message;
    } else {
      if (!strict.empty()) strict += ", ";
      strict += p.text();
    }
  }
  if (kind.istio && strict.empty()) return invalid_status(kind, name, wrong);
  std::string detail;
  if (!first_wrong.empty()) detail = first_wrong;
  if (!strict.empty()) detail += (detail.empty() ? "strict decoding error: " : ", strict decoding error: ") + strict;
  return status_object(400, "BadRequest",
                       fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", kind.kind, version, kind.kind, detail));
}

Value invalid_status(const Kind& kind, std::string_view name, const Problems& problems) {
  std::vector<std::string> refusals;
  for (const Problem& p : problems)
    if (p.cause == Cause::kRefused) refusals.push_back(p.message);
  if (!refusals.empty())
    return status_object(400, "", "admission webhook \"validation.istio.io\" denied the request: configuration is invalid: " +
                                      refusal_text(refusals));
  Value causes = Value::array();
  std::string list;
  Problems all = problems;
  // Istio's definitions have rules that look at several fields; they wait until the fields themselves are right.
  const bool blocked = kind.istio && std::any_of(problems.begin(), problems.end(), [](const Problem& p) {
    return p.cause == Cause::kRequired || p.cause == Cause::kNotSupported || p.cause == Cause::kWrongType || p.cause == Cause::kTooLong || p.cause == Cause::kTooMany;
  });
  if (blocked) all.push_back({Cause::kInvalid, "<nil>", std::string(kRulesNotChecked), "", {}});
  for (const Problem& p : all) {
    if (!list.empty()) list += ", ";
    list += p.path + ": " + p.message;
    Value c = Value::object();
    c.set("reason", reason(p.cause)).set("message", p.message).set("field", p.path);
    causes.push(std::move(c));
  }
  if (all.size() != 1) list = "[" + list + "]";
  std::string qualified(kind.kind);
  if (!kind.group.empty()) qualified += "." + std::string(kind.group);
  Value s = status_object(422, "Invalid", fmt::format("{} \"{}\" is invalid: {}", qualified, name, list));
  Value details = Value::object();
  details.set("name", name).set("group", kind.group).set("kind", kind.kind).set("causes", std::move(causes));
  s.set("details", std::move(details));
  return s;
}

}  // namespace fairlead::mesh
