// Generic validation, from the tables: metadata, required fields, enum values, durations, one-of groups; then the rules of
// the kind (validate_*.cc).
#include "mesh/validate.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "base/time.h"
#include "mesh/rules.h"
#include "mesh/tables.h"

namespace fairlead::mesh {

using base::Value;

namespace {

std::string shown(const Value& v) { return v.dump(0, true); }

bool absent(const Field& f, const Value* v) {
  if (!v || v->is_null()) return true;
  switch (f.type) {
    case Type::kArray: return v->empty();
    case Type::kString:
    case Type::kEnum:
    case Type::kDuration: return v->is_string() && v->as_string().empty();
    case Type::kIntOrString: return v->is_string() && v->as_string().empty();
    default: return false;
  }
}

class TableRules {
 public:
  explicit TableRules(const Kind& kind) : kind_(kind) {}

  void object(const Schema& schema, const Value& v, const At& at) {
    for (const Field& f : schema.fields) {
      const Value* member = v.find(f.name);
      // Types shared with status are checked where they are written by people: status is the controllers' own business.
      if (f.required && (kind_.istio ? member == nullptr || member->is_null() : absent(f, member))) {
        if (!kind_.istio || !suppressed(schema, f)) (at / f.name).required(member ? *member : v);
        continue;
      }
      if (member && !member->is_null()) field(schema, f, *member, at / f.name);
    }
    one_of(schema, v, at);
  }

 private:
  static bool suppressed(const Schema&, const Field&) { return false; }

  void field(const Schema& owner, const Field& f, const Value& v, const At& at) {
    switch (f.type) {
      case Type::kObject:
        if (v.is_object()) object(*f.object, v, at);
        break;
      case Type::kArray: {
        size_t i = 0;
        for (const Value& item : v.items()) field(owner, *f.element, item, at[i++]);
        break;
      }
      case Type::kMap:
        for (const auto& m : v.members()) field(owner, *f.element, m.value, kind_.istio ? at / m.key : at.key(m.key));
        break;
      case Type::kEnum: {
        if (!v.is_string() || (v.as_string().empty() && !f.required)) break;
        if (std::find(f.values.begin(), f.values.end(), v.as_string()) != f.values.end()) break;
        std::vector<std::string> names;
        for (std::string_view name : f.values)
          if (!name.empty()) names.push_back(fmt::format("\"{}\"", name));
        // Two lists that Kubernetes does not sort.
        if (!kind_.istio && f.name != "restartPolicy" && f.name != "dnsPolicy") std::sort(names.begin(), names.end());
        at.not_supported(v, base::join(names, ", "));
        break;
      }
      case Type::kDuration:
        if (auto d = base::parse_duration(v.as_string()); !d || *d < base::Millis(1))
          at.add(Cause::kInvalid, v, fmt::format("Invalid value: {}: must be a valid duration greater than 1ms", shown(v)));
        break;
      default: break;
    }
  }

  void one_of(const Schema& schema, const Value& v, const At& at) {
    std::vector<std::pair<std::string_view, std::vector<std::string>>> groups;
    for (const Field& f : schema.fields) {
      if (f.one_of.empty() || !v.contains(f.name) || v[f.name].is_null()) continue;
      auto it = std::find_if(groups.begin(), groups.end(), [&](auto& g) { return g.first == f.one_of; });
      if (it == groups.end()) it = groups.insert(groups.end(), {f.one_of, {}});
      it->second.emplace_back(f.name);
    }
    for (auto& [group, names] : groups)
      if (names.size() > 1)
        at.add(Cause::kInvalid, v, fmt::format("Invalid value: \"object\": at most one of {} may be set", base::join(names, ", ")));
  }

  const Kind& kind_;
};

void validate_metadata(const Kind& kind, const Value& object, Problems& out) {
  const Value& meta = object["metadata"];
  At at(out, "metadata");
  const std::string& name = meta["name"].as_string();
  if (name.empty() && meta["generateName"].as_string().empty()) {
    (at / "name").required(meta, "name or generateName is required");
  } else if (!name.empty()) {
    const char* error = nullptr;
    if (kind.kind == "Service") {
      error = dns1035_label_error(name);
    } else if (kind.kind == "Namespace") {
      error = dns1123_label_error(name);
    } else {
      error = dns1123_subdomain_error(name);
    }
    if (error) (at / "name").invalid(meta["name"], error);
  }
  if (kind.namespaced) {
    const std::string& ns = meta["namespace"].as_string();
    if (!ns.empty())
      if (const char* e = dns1123_label_error(ns)) (at / "namespace").invalid(meta["namespace"], e);
  } else if (!meta["namespace"].as_string().empty()) {
    (at / "namespace").forbidden(meta["namespace"], "not allowed on this type");
  }
  validate_labels(meta["labels"], at / "labels");
  size_t size = 0;
  for (const auto& m : meta["annotations"].members()) {
    if (const char* e = qualified_name_error(base::to_lower(m.key))) (at / "annotations").invalid(Value(m.key), e);
    size += m.key.size() + m.value.as_string().size();
  }
  constexpr size_t kAnnotationsLimit = 256 * 1024;
  if (size > kAnnotationsLimit) (at / "annotations").too_long(meta["annotations"], kAnnotationsLimit);
  size_t i = 0;
  for (const Value& f : meta["finalizers"].items()) {
    if (const char* e = qualified_name_error(f.as_string())) {
      (at / "finalizers").invalid(f, e);
    } else if (const std::string& name = f.as_string(); !kind.istio && kind.group.find('.') == std::string_view::npos &&
               name.find('/') == std::string::npos && name != "kubernetes" && name != "orphan" && name != "foregroundDeletion") {
      (at / "finalizers")[i].invalid(f, "name is neither a standard finalizer name nor is it fully qualified");
    }
    ++i;
  }
}

Problems validate_all(const Kind& kind, const Value& object) {
  Problems out;
  if (!kind.root) return out;
  validate_metadata(kind, object, out);
  At root(out, "");
  TableRules rules(kind);
  for (const Field& f : kind.root->fields) {
    if (f.name == "metadata" || f.name == "status" || f.name == "apiVersion" || f.name == "kind") continue;
    const Value* v = object.find(f.name);
    if (f.required && absent(f, v)) {
      (root / f.name).required(object);
      continue;
    }
    if (!v || v->is_null()) continue;
    Schema one{"", "", std::span<const Field>(&f, 1), false};
    rules.object(one, Value::object({{std::string(f.name), *v}}), root);
  }
  if (kind.istio) {
    if (out.empty()) validate_istio(kind, object, out);  // the webhook runs after the schema
  } else if (kind.group == "flow.fairlead.dev") {
    validate_flow(kind, object, out);
  } else {
    validate_core(kind, object, out);
  }
  return out;
}

}  // namespace

// --- At -------------------------------------------------------------------------------------------------------------

void At::add(Cause cause, const Value& at, std::string message) const {
  out_->push_back({cause, path_, std::move(message), "", at.position});
}
void At::required(const Value& at, std::string_view detail) const {
  add(Cause::kRequired, at, detail.empty() ? "Required value" : fmt::format("Required value: {}", detail));
}
void At::invalid(const Value& value, std::string_view detail) const {
  add(Cause::kInvalid, value, fmt::format("Invalid value: {}: {}", shown(value), detail));
}
void At::not_supported(const Value& value, std::string_view supported) const {
  add(Cause::kNotSupported, value, fmt::format("Unsupported value: {}: supported values: {}", shown(value), supported));
}
void At::duplicate(const Value& value) const { add(Cause::kDuplicate, value, fmt::format("Duplicate value: {}", shown(value))); }
void At::forbidden(const Value& at, std::string_view detail) const { add(Cause::kForbidden, at, fmt::format("Forbidden: {}", detail)); }
void At::not_found(const Value& value) const { add(Cause::kNotFound, value, fmt::format("Not found: {}", shown(value))); }
void At::too_long(const Value& at, size_t limit) const {
  add(Cause::kTooLong, at, fmt::format("Too long: may not be more than {} bytes", limit));
}
void At::immutable(const Value& now, const Value& before) const {
  if (!(now == before)) invalid(now, "field is immutable");
}

void validate_labels(const Value& labels, const At& at) {
  for (const auto& m : labels.members()) {
    if (const char* e = qualified_name_error(m.key)) at.invalid(Value(m.key), e);
    if (const char* e = label_value_error(m.value.as_string())) at.invalid(m.value, e);
  }
}

void validate_label_selector(const Value& selector, const At& at) {
  for (const auto& m : selector["matchLabels"].members()) {
    if (const char* e = qualified_name_error(m.key)) (at / "matchLabels").invalid(Value(m.key), e);
    if (const char* e = label_value_error(m.value.as_string())) (at / "matchLabels").invalid(m.value, e);
  }
  size_t i = 0;
  for (const Value& e : selector["matchExpressions"].items()) {
    At here = (at / "matchExpressions")[i++];
    const std::string& op = e["operator"].as_string();
    if ((op == "In" || op == "NotIn") && e["values"].empty())
      (here / "values").required(e, "must be specified when `operator` is 'In' or 'NotIn'");
    if ((op == "Exists" || op == "DoesNotExist") && !e["values"].empty())
      (here / "values").forbidden(e["values"], "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    if (const char* bad = qualified_name_error(e["key"].as_string())) (here / "key").invalid(e["key"], bad);
  }
}

// --- public ---------------------------------------------------------------------------------------------------------

Problems validate_create(const Kind& kind, const Value& object) { return validate_all(kind, object); }

Problems validate_update(const Kind& kind, const Value& object, const Value& old) {
  Problems out = validate_all(kind, object);
  At meta(out, "metadata");
  const Value& now = object["metadata"];
  const Value& before = old["metadata"];
  for (const char* field : {"name", "namespace"}) (meta / field).immutable(now[field], before[field]);
  if (!now["uid"].as_string().empty()) (meta / "uid").immutable(now["uid"], before["uid"]);
  if (before.contains("deletionTimestamp")) {
    std::vector<std::string> added;
    const auto& had = before["finalizers"].items();
    for (const Value& f : now["finalizers"].items())
      if (std::find(had.begin(), had.end(), f) == had.end()) added.push_back(fmt::format("\"{}\"", f.as_string()));
    if (!added.empty())
      (meta / "finalizers").forbidden(now["finalizers"], fmt::format("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                                                                     base::join(added, ", ")));
  }
  if (!kind.istio) validate_core_update(kind, object, old, out);
  return out;
}

namespace {

void advise(const Schema& schema, const Value& v, const std::string& path, std::vector<std::string>& out) {
  for (const auto& m : v.members()) {
    const Field* f = schema.find(m.key);
    if (!f) continue;
    std::string here = path.empty() ? m.key : path + "." + m.key;
    if (!f->deprecated.empty()) out.push_back(fmt::format("{}: {}", here, f->deprecated));
    if (f->inert) out.push_back(fmt::format("{}: accepted, but Fairlead does not act on this field yet", here));
    const Field* leaf = f;
    std::vector<std::pair<const Value*, std::string>> nodes{{&m.value, here}};
    while (leaf && (leaf->type == Type::kArray || leaf->type == Type::kMap)) {
      std::vector<std::pair<const Value*, std::string>> next;
      for (auto& [node, where] : nodes) {
        for (size_t i = 0; i < node->items().size(); ++i) next.emplace_back(&node->items()[i], fmt::format("{}[{}]", where, i));
        for (const auto& member : node->members()) next.emplace_back(&member.value, where + "." + member.key);
      }
      nodes = std::move(next);
      leaf = leaf->element;
    }
    if (leaf && leaf->type == Type::kObject)
      for (auto& [node, where] : nodes) advise(*leaf->object, *node, where, out);
  }
}

}  // namespace

std::vector<std::string> warnings(const Kind& kind, const Value& object) {
  std::vector<std::string> out;
  if (kind.root) {
    for (const Field& f : kind.root->fields) {
      if (f.name != "spec" || f.type != Type::kObject) continue;
      if (f.inert) out.push_back(fmt::format("{}: accepted, but Fairlead does not act on this kind yet", kind.kind));
      advise(*f.object, object["spec"], "spec", out);
    }
  }
  if (!kind.istio) core_warnings(kind, object, out);
  if (kind.istio)
    for (auto& w : istio_warnings(kind, object)) out.push_back(std::move(w));
  return out;
}

Problems check_document(Value& object, const std::vector<base::DuplicateKey>* duplicates) {
  const Kind* kind = find_kind_of(object);
  if (!kind)
    return {{Cause::kInvalid, "",
             fmt::format("no matches for kind \"{}\" in version \"{}\"", object["kind"].as_string(), object["apiVersion"].as_string()), "",
             object.position}};
  Problems out = check_shape(*kind, object, duplicates);
  if (!out.empty()) return out;
  apply_defaults(*kind, object);
  return validate_create(*kind, object);
}

}  // namespace fairlead::mesh
