// Subresources that are no part of the object: scale, token, eviction, binding.
#include <fmt/core.h>

#include <algorithm>

#include "api/handlers.h"
#include "api/ids.h"
#include "api/patch.h"
#include "base/strings.h"
#include "base/time.h"
#include "mesh/selector.h"

namespace fairlead::api {

using base::Value;

// ".spec.replicas": plain members only, as definitions have to have it.
static const Value& at_path(const Value& object, std::string_view path) {
  const Value* v = &object;
  for (auto name : base::split(path.substr(path.starts_with('.') ? 1 : 0), '.')) v = &(*v)[name];
  return *v;
}

static void set_path(Value& object, std::string_view path, Value value) {
  path.remove_prefix(path.starts_with('.') ? 1 : 0);
  Value* v = &object;
  for (size_t dot; (dot = path.find('.')) != std::string_view::npos; path.remove_prefix(dot + 1)) v = &(*v)[path.substr(0, dot)];
  v->set(path, std::move(value));
}

static Value scale_of(const Value& object, const KindTable::ScalePaths& paths) {
  const Value& meta = object["metadata"];
  Value metadata = Value::object();
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) metadata.set(key, meta[key]);
  Value status = Value::object({{"replicas", at_path(object, paths.status).as_int()}});
  if (!paths.selector.empty()) {
    if (const Value& text = at_path(object, paths.selector); !text.as_string().empty()) status.set("selector", text);
  } else if (auto selector = mesh::LabelSelector::from_object(object["spec"]["selector"]); selector && object["spec"]["selector"].is_object()) {
    status.set("selector", selector->text());
  }
  return Value::object({{"kind", "Scale"},
                        {"apiVersion", "autoscaling/v1"},
                        {"metadata", std::move(metadata)},
                        {"spec", Value::object({{"replicas", at_path(object, paths.spec).as_int()}})},
                        {"status", std::move(status)}});
}

void handle_scale(Services& services, const RequestPtr& request, std::string_view verb, std::string body) {
  const Target& t = request->target;
  const mesh::Kind& kind = *request->kind;
  const store::Key key = key_of(kind, t.ns, t.name);
  const KindTable::ScalePaths paths = services.registry.kinds().scale_paths(kind);
  if (verb == "get") {
    auto object = services.store.get(key);
    if (!object) return request->answer(not_found(kind, t.name));
    return request->answer(200, scale_of(**object, paths));
  }
  if (verb != "update" && verb != "patch") return request->answer(method_not_allowed());
  auto options = write_options(*request);
  if (!options) return request->answer(options.error());
  options->field_validation = FieldValidation::kIgnore;
  options->manager_part = "scale";
  const bool json = request->head().headers.get("content-type").starts_with("application/json-patch");
  Value given;
  if (verb == "update") {
    auto document = parse_body(*request, body);
    if (!document) return request->answer(document.error());
    given = std::move(document->value);
  } else {
    auto parsed = base::parse_json(body);
    if (!parsed) return request->answer(bad_request(parsed.error().text()));
    given = std::move(*parsed);
  }
  auto transform = [patch = std::move(given), verb = std::string(verb), json, paths](const Value& current) -> Outcome<Value> {
    Value scale = scale_of(current, paths);
    const Value before = scale;
    if (verb == "update") {
      scale = patch;
    } else if (json) {
      auto patched = json_patch(std::move(scale), patch);
      if (!patched) return refuse(failure(422, "Invalid", patched.error().message));
      scale = std::move(*patched);
    } else {
      scale = merge_patch(std::move(scale), patch);
    }
    Value replicas = std::as_const(scale)["spec"]["replicas"];
    if (replicas.is_null()) replicas = 0;
    if (replicas.as_int() < 0 || !replicas.is_int())
      return refuse(failure(422, "Invalid", fmt::format("Scale.autoscaling \"{}\" is invalid: spec.replicas: Invalid value: {}: must be greater than or equal to 0",
                                                        current["metadata"]["name"].as_string(), replicas.dump())));
    Value next = current;
    set_path(next, paths.spec, replicas.as_int());
    const Value& revision = std::as_const(scale)["metadata"]["resourceVersion"];
    if (revision.as_string().empty())
      next["metadata"].erase("resourceVersion");
    else
      next["metadata"].set("resourceVersion", revision);
    return next;
  };
  services.registry.modify(kind, key, Part::kMain, std::move(transform), *options, [request, paths](Outcome<Written> written) {
    if (!written) return request->answer(written.error());
    request->answer(200, scale_of(*written->object, paths));
  });
}

void handle_token(Services& services, const RequestPtr& request, std::string_view body) {
  const Target& t = request->target;
  auto account = services.store.get(key_of(*request->kind, t.ns, t.name));
  if (!account) return request->answer(not_found(*request->kind, t.name));
  auto document = parse_body(*request, body);
  if (!document) return request->answer(document.error());
  Value& review = document->value;
  const Value spec = review["spec"];
  Tokens::Request wanted;
  wanted.ns = t.ns;
  wanted.service_account = t.name;
  wanted.service_account_uid = (**account)["metadata"]["uid"].as_string();
  for (const Value& a : spec["audiences"].items()) wanted.audiences.push_back(a.as_string());
  const int64_t seconds = spec["expirationSeconds"].as_int(3600);
  if (seconds < 600)
    return request->answer(failure(422, "Invalid", fmt::format("TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: {}: may not specify a duration less than 10 minutes", seconds)));
  wanted.valid_for = std::chrono::seconds(std::min<int64_t>(seconds, int64_t{1} << 32));
  if (const Value& bound = spec["boundObjectRef"]; bound["kind"].as_string() == "Pod") {
    auto pod = services.store.get({"pods", t.ns, bound["name"].as_string()});
    if (!pod) return request->answer(failure(404, "NotFound", fmt::format("pods \"{}\" not found", bound["name"].as_string())));
    if (!bound["uid"].as_string().empty() && !(bound["uid"] == (**pod)["metadata"]["uid"]))
      return request->answer(failure(409, "Conflict", fmt::format("the UID in the bound object reference ({}) does not match the UID in record", bound["uid"].as_string())));
    wanted.pod = bound["name"].as_string();
    wanted.pod_uid = (**pod)["metadata"]["uid"].as_string();
  }
  auto issued = services.tokens.issue(wanted);
  if (!issued) return request->answer(internal(issued.error().text()));
  review.set("kind", "TokenRequest").set("apiVersion", "authentication.k8s.io/v1");
  review["metadata"].set("name", t.name).set("namespace", t.ns).set("creationTimestamp", now_text());
  review["spec"].set("expirationSeconds", seconds);
  review.set("status", Value::object({{"token", issued->token}, {"expirationTimestamp", base::format_rfc3339(issued->expires)}}));
  request->answer(201, review);
}

void handle_eviction(Services& services, const RequestPtr& request, std::string_view body) {
  auto document = parse_body(*request, body);
  if (!document) return request->answer(document.error());
  DeleteOptions options;
  const Value given = document->value["deleteOptions"];
  if (given["gracePeriodSeconds"].is_int()) options.grace_seconds = given["gracePeriodSeconds"].as_int();
  options.uid = given["preconditions"]["uid"].as_string();
  options.dry_run = request->query("dryRun") == "All" || given["dryRun"][0].as_string() == "All";
  const Target& t = request->target;
  auto deleted = services.registry.remove(*request->kind, key_of(*request->kind, t.ns, t.name), options);
  if (!deleted) return request->answer(deleted.error());
  request->answer(201, Value::object({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Value::object()}, {"status", "Success"}, {"code", 201}}));
}

void handle_binding(Services& services, const RequestPtr& request, std::string_view body) {
  auto document = parse_body(*request, body);
  if (!document) return request->answer(document.error());
  const std::string node = std::as_const(document->value)["target"]["name"].as_string();
  const Target& t = request->target;
  auto bound = services.registry.patch(key_of(*request->kind, t.ns, t.name), Value::object({{"spec", Value::object({{"nodeName", node}})}}));
  if (!bound) return request->answer(from_store(bound.error(), *request->kind, t.name));
  request->answer(201, Value::object({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Value::object()}, {"status", "Success"}, {"code", 201}}));
}

}  // namespace fairlead::api
