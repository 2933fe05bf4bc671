#include <fmt/core.h>

#include <algorithm>

#include "api/apply.h"
#include "api/handlers.h"
#include "api/ids.h"
#include "api/patch.h"
#include "api/protobuf.h"
#include "api/selection.h"
#include "base/strings.h"

namespace fairlead::api {

using base::Value;

static std::string media_type(const Request& request) {
  std::string_view type = request.head().headers.get("content-type");
  return base::to_lower(base::trim(type.substr(0, type.find(';'))));
}

static Outcome<Document> parse(std::string_view body, bool yaml) {
  Document out;
  base::ParseOptions options;
  options.duplicates = &out.duplicates;
  if (yaml) {
    auto documents = base::parse_yaml(body, "", options);
    if (!documents) return refuse(bad_request(fmt::format("error decoding YAML: {}", documents.error().text())));
    if (documents->size() != 1) return refuse(bad_request("the request body has to be one YAML document"));
    out.value = std::move(documents->front());
    return out;
  }
  auto value = base::parse_json(body, options);
  if (!value) return refuse(bad_request(fmt::format("couldn't get version/kind; json parse error: {}", value.error().text())));
  out.value = std::move(*value);
  return out;
}

Outcome<Document> parse_body(const Request& request, std::string_view body) {
  const std::string type = media_type(request);
  if (type == "application/yaml") return parse(body, true);
  if (type == kProtobufType) {
    auto value = decode_protobuf(body);
    if (!value) return refuse(bad_request(value.error().message));
    return Document{std::move(*value), {}};
  }
  if (type.empty() || type == "application/json" || type == "*/*") return parse(body, false);
  return refuse(unsupported_media("application/json, application/yaml, application/vnd.kubernetes.protobuf"));
}

Outcome<WriteOptions> write_options(const Request& request) {
  WriteOptions out;
  out.caller = request.caller();
  out.version = request.target.version;
  out.manager = request.query("fieldManager");
  if (out.manager.empty()) {
    const std::string_view agent = request.head().headers.get("user-agent");
    out.manager = agent.substr(0, agent.find('/'));
  }
  if (const std::string dry = request.query("dryRun"); dry == "All")
    out.dry_run = true;
  else if (!dry.empty())
    return refuse(failure(422, "Invalid", fmt::format("dryRun: Unsupported value: \"{}\": supported values: \"All\"", dry)));
  const std::string check = request.query("fieldValidation");
  if (check == "Strict")
    out.field_validation = FieldValidation::kStrict;
  else if (check.empty() || check == "Warn")
    out.field_validation = FieldValidation::kWarn;
  else if (check != "Ignore")
    return refuse(failure(422, "Invalid", fmt::format("fieldValidation: Unsupported value: \"{}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"", check)));
  return out;
}

// The body has to be of the kind that the URL names.
static Outcome<void> check_kind(const Request& request, const Value& object) {
  const mesh::Kind& kind = *request.kind;
  const std::string wanted = kind.api_version(request.target.version);
  const std::string& api_version = object["apiVersion"].as_string();
  const std::string& name = object["kind"].as_string();
  if (!object.is_object()) return refuse(bad_request("the object provided is unrecognized: a JSON object is needed"));
  if (!name.empty() && name != kind.kind)
    return refuse(bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: converting ({}).{} to {}.{}: unknown conversion", name,
                                          request.target.version, kind.kind, api_version, name, wanted, kind.kind)));
  if (!api_version.empty() && api_version != wanted)
    return refuse(bad_request(fmt::format("the API version in the data ({}) does not match the expected API version ({})", api_version, wanted)));
  return {};
}

static void answer_written(const RequestPtr& request, Outcome<Written> written, int status) {
  if (!written) return request->answer(written.error());
  request->answer_object(status, *written->object, written->warnings);
}

void handle_create(Services& services, const RequestPtr& request, std::string body) {
  auto options = write_options(*request);
  if (!options) return request->answer(options.error());
  auto document = parse_body(*request, body);
  if (!document) return request->answer(document.error());
  if (auto ok = check_kind(*request, document->value); !ok) return request->answer(ok.error());
  options->duplicates = &document->duplicates;
  document->value.set("kind", request->kind->kind).set("apiVersion", request->kind->api_version(request->target.version));
  services.registry.create(*request->kind, request->target.ns, std::move(document->value), *options,
                           [request](Outcome<Written> written) { answer_written(request, std::move(written), 201); });
}

static Part part_of(const Target& target) { return target.subresource == "status" ? Part::kStatus : Part::kMain; }

void handle_update(Services& services, const RequestPtr& request, std::string body) {
  auto options = write_options(*request);
  if (!options) return request->answer(options.error());
  auto document = parse_body(*request, body);
  if (!document) return request->answer(document.error());
  if (auto ok = check_kind(*request, document->value); !ok) return request->answer(ok.error());
  const Target& t = request->target;
  if (document->value["metadata"]["name"].as_string() != t.name)
    return request->answer(bad_request(fmt::format("the name of the object ({}) does not match the name on the URL ({})",
                                                   document->value["metadata"]["name"].as_string(), t.name)));
  options->duplicates = &document->duplicates;
  services.registry.modify(*request->kind, key_of(*request->kind, t.ns, t.name), part_of(t),
                           services.registry.replace_with(*request->kind, std::move(document->value)), *options,
                           [request](Outcome<Written> written) { answer_written(request, std::move(written), 200); });
}

static Failure patch_refused(const base::Error& error) {
  return failure(422, "Invalid", "the server rejected our request due to an error in our request: " + error.message);
}

static void handle_apply(Services& services, const RequestPtr& request, const Value& config, WriteOptions options) {
  const Target& t = request->target;
  const mesh::Kind& kind = *request->kind;
  if (request->query("fieldManager").empty())
    return request->answer(failure(422, "Invalid", "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"));
  if (auto ok = check_kind(*request, config); !ok) return request->answer(ok.error());
  if (!config["metadata"]["managedFields"].empty()) return request->answer(bad_request("metadata.managedFields must be nil"));
  const store::Key key = key_of(kind, t.ns, t.name);
  const Applier applier{request->query("fieldManager"), kind.api_version(t.version), request->flag("force")};
  options.keep_managed_fields = true;
  if (!services.store.get(key)) {
    if (part_of(t) == Part::kStatus) return request->answer(not_found(kind, t.name));
    auto object = server_side_apply(kind, Value::object({{"metadata", Value::object({{"name", t.name}})}}), config, applier);
    if (!object) return request->answer(object.error());
    return services.registry.create(kind, t.ns, std::move(*object), options,
                                    [request](Outcome<Written> written) { answer_written(request, std::move(written), 201); });
  }
  services.registry.modify(
      kind, key, part_of(t),
      [config, applier, &kind](const Value& current) -> Outcome<Value> {
        Value live = current;
        live["metadata"].erase("resourceVersion");
        return server_side_apply(kind, std::move(live), config, applier);
      },
      options, [request](Outcome<Written> written) { answer_written(request, std::move(written), 200); });
}

void handle_patch(Services& services, const RequestPtr& request, std::string body) {
  auto options = write_options(*request);
  if (!options) return request->answer(options.error());
  const Target& t = request->target;
  const mesh::Kind& kind = *request->kind;
  const std::string type = media_type(*request);
  const bool custom = services.registry.kinds().is_custom(kind);
  const bool json = type == "application/json-patch+json", merge = type == "application/merge-patch+json",
             strategic = type == "application/strategic-merge-patch+json", apply = type == "application/apply-patch+yaml";
  if (!(json || merge || apply || (strategic && !custom)))
    return request->answer(unsupported_media(custom ? "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                                                    : "application/json-patch+json, application/merge-patch+json, "
                                                      "application/strategic-merge-patch+json, application/apply-patch+yaml"));
  auto document = parse(body, apply);
  if (!document) return request->answer(document.error());
  options->duplicates = &document->duplicates;
  if (apply) return handle_apply(services, request, document->value, *options);
  if (json != document->value.is_array() || (!json && !document->value.is_object()))
    return request->answer(bad_request(json ? "error decoding patch: json: a JSON patch is a list of operations" : "error decoding patch: a patch is a JSON object"));

  auto transform = [=, &kind, patch = document->value, version = t.version](const Value& stored) -> Outcome<Value> {
    Value current = stored;
    current.set("apiVersion", kind.api_version(version));
    // A patch that names no revision is applied to whatever is there.
    current["metadata"].erase("resourceVersion");
    if (merge) return merge_patch(std::move(current), patch);
    if (json) {
      if (patch.items().end() != std::find_if(patch.items().begin(), patch.items().end(), [](const Value& op) {
            return op["path"].as_string() == "/metadata/resourceVersion";
          }))
        current = stored;
      auto patched = json_patch(std::move(current), patch);
      if (!patched) return refuse(patch_refused(patched.error()));
      return *patched;
    }
    auto patched = strategic_merge(kind.root, std::move(current), patch);
    if (!patched) return refuse(bad_request(patched.error().message));
    return *patched;
  };
  services.registry.modify(kind, key_of(kind, t.ns, t.name), part_of(t), std::move(transform), *options,
                           [request](Outcome<Written> written) { answer_written(request, std::move(written), 200); });
}

Outcome<DeleteOptions> delete_options(const Request& request, std::string_view body) {
  DeleteOptions out;
  Value given = Value::object();
  if (!base::trim(body).empty()) {
    auto parsed = parse_body(request, body);
    if (!parsed) return std::unexpected(parsed.error());
    given = std::move(parsed->value);
  }
  if (given["gracePeriodSeconds"].is_int()) out.grace_seconds = given["gracePeriodSeconds"].as_int();
  if (auto seconds = base::to_int(request.query("gracePeriodSeconds"))) out.grace_seconds = *seconds;
  if (out.grace_seconds && *out.grace_seconds < 0) out.grace_seconds.reset();
  std::string policy = given["propagationPolicy"].as_string();
  if (policy.empty()) policy = request.query("propagationPolicy");
  if (policy.empty() && (given["orphanDependents"].as_bool() || request.flag("orphanDependents"))) policy = "Orphan";
  if (policy == "Foreground")
    out.propagation = Propagation::kForeground;
  else if (policy == "Orphan")
    out.propagation = Propagation::kOrphan;
  else if (!policy.empty() && policy != "Background")
    return refuse(failure(422, "Invalid",
                          fmt::format("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"{}\": supported values: \"Background\", \"Foreground\", \"Orphan\"", policy)));
  out.uid = given["preconditions"]["uid"].as_string();
  out.resource_version = given["preconditions"]["resourceVersion"].as_string();
  out.dry_run = std::as_const(given)["dryRun"][0].as_string() == "All" || request.query("dryRun") == "All";
  return out;
}

void handle_delete(Services& services, const RequestPtr& request, std::string_view body) {
  auto options = delete_options(*request, body);
  if (!options) return request->answer(options.error());
  const Target& t = request->target;
  auto deleted = services.registry.remove(*request->kind, key_of(*request->kind, t.ns, t.name), *options);
  if (!deleted) return request->answer(deleted.error());
  // A pod is always shown as it went; of other kinds only what is still there.
  if (!deleted->gone || request->kind->resource() == "pods") return request->answer_object(200, *deleted->object);
  request->answer(200, success(*request->kind, t.name, (*deleted->object)["metadata"]["uid"].as_string()));
}

void handle_delete_collection(Services& services, const RequestPtr& request, std::string_view body) {
  auto options = delete_options(*request, body);
  if (!options) return request->answer(options.error());
  auto selection = parse_selection(*request);
  if (!selection) return request->answer(selection.error());
  const Target& t = request->target;
  const mesh::Kind& kind = *request->kind;
  Value items = Value::array();
  for (const auto& object : services.store.list(kind.resource(), kind.namespaced ? t.ns : "")) {
    if (!selection->matches(*object)) continue;
    const Value& meta = (*object)["metadata"];
    auto deleted = services.registry.remove(kind, key_of(kind, meta["namespace"].as_string(), meta["name"].as_string()), *options);
    if (!deleted && deleted.error().code() != 404) return request->answer(deleted.error());
    if (deleted) items.push(*deleted->object).set("apiVersion", kind.api_version(t.version));
  }
  request->answer(200, Value::object({{"kind", kind.list_kind},
                                      {"apiVersion", kind.api_version(t.version)},
                                      {"metadata", Value::object({{"resourceVersion", std::to_string(services.store.revision())}})},
                                      {"items", std::move(items)}}));
}

}  // namespace fairlead::api
