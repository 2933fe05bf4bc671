#include "mesh/structural.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/strings.h"
#include "base/time.h"
#include "mesh/rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

std::string_view type_name(const Value& v) {
  switch (v.type()) {
    case Value::Type::kNull: return "null";
    case Value::Type::kBool: return "boolean";
    case Value::Type::kInt: return "integer";
    case Value::Type::kDouble: return "number";
    case Value::Type::kString: return "string";
    case Value::Type::kArray: return "array";
    case Value::Type::kObject: return "object";
  }
  return "";
}

bool fits(const Value& v, std::string_view type) {
  if (type == "object") return v.is_object();
  if (type == "array") return v.is_array();
  if (type == "string") return v.is_string();
  if (type == "boolean") return v.is_bool();
  if (type == "integer") return v.is_int() || (v.is_number() && std::trunc(v.as_double()) == v.as_double());
  if (type == "number") return v.is_number();
  return true;
}

size_t characters(std::string_view s) {
  return static_cast<size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Formats that Kubernetes checks; the others are only a remark.
bool has_format(std::string_view format, const std::string& s) {
  if (format == "date-time") return base::parse_rfc3339(s).has_value();
  if (format == "ipv4") return is_ip_address(s) && s.find(':') == std::string::npos;
  if (format == "ipv6") return is_ip_address(s) && s.find(':') != std::string::npos;
  if (format == "byte") return base::base64_decode(s).has_value();
  if (format == "date") return RE2::FullMatch(s, R"(\d{4}-\d{2}-\d{2})");
  if (format == "email") return RE2::FullMatch(s, R"([^@\s]+@[^@\s]+)");
  if (format == "uuid") return RE2::FullMatch(s, R"([0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12})");
  return true;
}

class Checker {
 public:
  explicit Checker(Problems& out) : out_(out) {}

  void check(const Value& schema, const Value& v, const At& at, bool root = false) {
    const std::string& path = at.path();
    if (v.is_null()) {
      if (!schema["nullable"].as_bool() && schema.contains("type")) wrong_type(schema["type"].as_string(), v, at);
      return;
    }
    if (schema["x-kubernetes-int-or-string"].as_bool()) {
      if (!v.is_string() && !fits(v, "integer")) at.add(Cause::kWrongType, v, fmt::format("Invalid value: \"{0}\": {1} in body must be of type integer,string: \"{0}\"", type_name(v), path));
    } else if (const std::string& type = schema["type"].as_string(); !type.empty() && !fits(v, type)) {
      return wrong_type(type, v, at);
    }
    if (const Value& values = schema["enum"]; values.is_array() && std::find(values.items().begin(), values.items().end(), v) == values.items().end()) {
      std::vector<std::string> names;
      for (const Value& name : values.items()) names.push_back(name.is_string() ? fmt::format("\"{}\"", name.as_string()) : fmt::format("\"{}\"", name.dump()));
      at.not_supported(v, base::join(names, ", "));
    }
    if (v.is_string()) text(schema, v, at);
    if (v.is_number()) number(schema, v, at);
    if (v.is_array()) list(schema, v, at);
    if (v.is_object()) object(schema, v, at, root);
    combinations(schema, v, at);
  }

 private:
  void wrong_type(std::string_view type, const Value& v, const At& at) {
    at.add(Cause::kWrongType, v, fmt::format("Invalid value: \"{0}\": {1} in body must be of type {2}: \"{0}\"", type_name(v), at.path(), type));
  }

  void text(const Value& schema, const Value& v, const At& at) {
    const std::string& s = v.as_string();
    const int64_t length = static_cast<int64_t>(characters(s));
    if (schema.contains("maxLength") && length > schema["maxLength"].as_int()) at.too_long(v, static_cast<size_t>(schema["maxLength"].as_int()));
    if (schema.contains("minLength") && length < schema["minLength"].as_int())
      at.invalid(v, fmt::format("{} in body should be at least {} chars long", at.path(), schema["minLength"].as_int()));
    if (const std::string& pattern = schema["pattern"].as_string(); !pattern.empty()) {
      RE2::Options quiet;
      quiet.set_log_errors(false);
      const RE2 expression(pattern, quiet);
      if (expression.ok() && !RE2::PartialMatch(s, expression)) at.invalid(v, fmt::format("{} in body should match '{}'", at.path(), pattern));
    }
    if (const std::string& format = schema["format"].as_string(); !format.empty() && !has_format(format, s))
      at.invalid(v, fmt::format("{} in body must be of type {}: \"{}\"", at.path(), format, s));
  }

  void number(const Value& schema, const Value& v, const At& at) {
    const double n = v.as_double();
    auto bound = [&](const char* key, const char* exclusive, bool upper) {
      if (!schema.contains(key)) return;
      const double limit = schema[key].as_double();
      const bool strict = schema[exclusive].as_bool();
      if (upper ? (strict ? n < limit : n <= limit) : (strict ? n > limit : n >= limit)) return;
      at.invalid(v, fmt::format("{} in body should be {} than {}{}", at.path(), upper ? "less" : "greater", strict ? "" : "or equal to ", schema[key].dump()));
    };
    bound("minimum", "exclusiveMinimum", false);
    bound("maximum", "exclusiveMaximum", true);
    if (const double step = schema["multipleOf"].as_double(); step > 0 && std::abs(std::remainder(n, step)) > 1e-9)
      at.invalid(v, fmt::format("{} in body should be a multiple of {}", at.path(), schema["multipleOf"].dump()));
  }

  void count(const Value& schema, const Value& v, const At& at, const char* most, const char* least, const char* what) {
    const int64_t size = static_cast<int64_t>(v.size());
    if (schema.contains(most) && size > schema[most].as_int())
      at.add(Cause::kTooMany, v, fmt::format("Too many: {}: must have at most {} items", size, schema[most].as_int()));
    if (schema.contains(least) && size < schema[least].as_int())
      at.invalid(Value(size), fmt::format("{} in body should have at least {} {}", at.path(), schema[least].as_int(), what));
  }

  void list(const Value& schema, const Value& v, const At& at) {
    count(schema, v, at, "maxItems", "minItems", "items");
    const std::string& type = schema["x-kubernetes-list-type"].as_string();
    std::set<std::string> seen;
    size_t i = 0;
    for (const Value& item : v.items()) {
      const At here = at[i++];
      if (schema["items"].is_object()) check(schema["items"], item, here);
      if (type != "set" && type != "map") continue;
      Value id = item;
      if (type == "map") {
        id = Value::object();
        for (const Value& key : schema["x-kubernetes-list-map-keys"].items())
          if (const Value* part = item.find(key.as_string())) id.set(key.as_string(), *part);
      }
      if (!seen.insert(id.dump()).second) here.duplicate(id);
    }
  }

  void object(const Value& schema, const Value& v, const At& at, bool root) {
    if (!root) count(schema, v, at, "maxProperties", "minProperties", "properties");
    for (const Value& name : schema["required"].items())
      if (!v.contains(name.as_string())) (at / name.as_string()).required(v);
    const Value& properties = schema["properties"];
    const Value& rest = schema["additionalProperties"];
    for (const auto& m : v.members()) {
      if (root && (m.key == "metadata" || m.key == "apiVersion" || m.key == "kind")) continue;
      if (const Value* own = properties.find(m.key))
        check(*own, m.value, at / m.key);
      else if (rest.is_object())
        check(rest, m.value, at / m.key);
    }
  }

  static bool holds(const Value& schema, const Value& v, const At& at) {
    Problems found;
    Checker(found).check(schema, v, At(found, at.path()));
    return found.empty();
  }

  void combinations(const Value& schema, const Value& v, const At& at) {
    for (const Value& each : schema["allOf"].items()) check(each, v, at);
    auto holding = [&](const Value& all) { return std::count_if(all.items().begin(), all.items().end(), [&](const Value& each) { return holds(each, v, at); }); };
    auto refuse = [&](std::string why) { At(out_, "<nil>").add(Cause::kInvalid, v, fmt::format("Invalid value: \"\": \"{}\" must {}", at.path(), why)); };
    if (const Value& any = schema["anyOf"]; any.is_array() && !any.empty() && holding(any) == 0) refuse("validate at least one schema (anyOf)");
    if (const Value& one = schema["oneOf"]; one.is_array() && !one.empty()) {
      if (const auto n = holding(one); n != 1)
        refuse(n == 0 ? "validate one and only one schema (oneOf). Found none valid" : fmt::format("validate one and only one schema (oneOf). Found {} valid alternatives", n));
    }
    if (const Value& no = schema["not"]; no.is_object() && holds(no, v, at)) refuse("not validate the schema (not)");
  }

  Problems& out_;
};

bool has_rules(const Value& schema) {
  if (!schema.is_object()) return false;
  if (!schema["x-kubernetes-validations"].empty()) return true;
  for (const auto& m : schema["properties"].members())
    if (has_rules(m.value)) return true;
  return has_rules(schema["items"]) || has_rules(schema["additionalProperties"]);
}

void types_of_schema(const Value& schema, const At& at) {
  static constexpr std::string_view kTypes[] = {"array", "boolean", "integer", "number", "object", "string"};
  if (!schema.is_object()) return;
  const bool free = schema["x-kubernetes-int-or-string"].as_bool() || schema["x-kubernetes-preserve-unknown-fields"].as_bool();
  if (const std::string& type = schema["type"].as_string(); type.empty()) {
    if (!free) (at / "type").required(schema, "must not be empty for specified object fields");
  } else if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes)) {
    (at / "type").not_supported(schema["type"], R"("array", "boolean", "integer", "number", "object", "string")");
  }
  for (const auto& m : schema["properties"].members()) types_of_schema(m.value, (at / "properties").key(m.key));
  if (schema["items"].is_object()) types_of_schema(schema["items"], at / "items");
  if (schema["additionalProperties"].is_object()) types_of_schema(schema["additionalProperties"], at / "additionalProperties");
}

}  // namespace

Problems check_structural(const Value& schema, const Value& object) {
  Problems out;
  Checker(out).check(schema, object, At(out, ""), true);
  const bool blocked = std::any_of(out.begin(), out.end(), [](const Problem& p) {
    return p.cause == Cause::kRequired || p.cause == Cause::kNotSupported || p.cause == Cause::kWrongType || p.cause == Cause::kTooLong || p.cause == Cause::kTooMany;
  });
  if (blocked && has_rules(schema)) out.push_back({Cause::kInvalid, "<nil>", std::string(kRulesNotChecked), "", {}});
  return out;
}

void validate_definition(const Value& crd, Problems& out) {
  const Value& spec = crd["spec"];
  const At at(out, "spec");
  const std::string name = spec["names"]["plural"].as_string() + "." + spec["group"].as_string();
  if (crd["metadata"]["name"].as_string() != name) At(out, "metadata.name").invalid(crd["metadata"]["name"], "must be spec.names.plural+\".\"+spec.group");
  size_t stored = 0, i = 0;
  std::set<std::string> names;
  const size_t versions = spec["versions"].size();
  for (const Value& v : spec["versions"].items()) {
    const At here = (at / "versions")[i++];
    stored += v["storage"].as_bool();
    if (!names.insert(v["name"].as_string()).second) (here / "name").duplicate(v["name"]);
    const At schema = versions == 1 ? at / "validation" / "openAPIV3Schema" : here / "schema" / "openAPIV3Schema";
    if (!v["schema"]["openAPIV3Schema"].is_object())
      (here / "schema" / "openAPIV3Schema").required(v, "schemas are required");
    else
      types_of_schema(v["schema"]["openAPIV3Schema"], schema);
  }
  if (stored != 1) (at / "versions").invalid(spec["versions"], "must have exactly one version marked as storage version");
}

std::vector<std::string> definition_warnings(const Value& crd) {
  size_t i = 0;
  for (const Value& v : crd["spec"]["versions"].items()) {
    if (has_rules(v["schema"]["openAPIV3Schema"]))
      return {fmt::format("spec.versions[{}].schema.openAPIV3Schema: x-kubernetes-validations are kept, but Fairlead does not evaluate them yet", i)};
    ++i;
  }
  return {};
}

}  // namespace fairlead::mesh
