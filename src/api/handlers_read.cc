#include <fmt/core.h>

#include <algorithm>

#include "api/handlers.h"
#include "api/selection.h"
#include "api/table.h"
#include "api/watch.h"
#include "base/strings.h"

namespace fairlead::api {

using base::Value;
using store::ObjectPtr;

std::string_view verb_of(const http::RequestHead& head, const Target& target) {
  if (head.method == "GET" || head.method == "HEAD") {
    const std::string watch = http::query_param(head.query(), "watch");
    if (watch == "true" || watch == "1") return "watch";
    return target.collection() ? "list" : "get";
  }
  if (head.method == "POST") return "create";
  if (head.method == "PUT") return "update";
  if (head.method == "PATCH") return "patch";
  if (head.method == "DELETE") return target.collection() ? "deletecollection" : "delete";
  return "";
}

void handle_resource(Services& services, const RequestPtr& request, std::string_view verb, std::string body) {
  const Target& t = request->target;
  const mesh::Kind& kind = *request->kind;
  if (!t.subresource.empty() && t.subresource != "status") {
    if (t.subresource == "scale" && kind.has_scale) return handle_scale(services, request, verb, std::move(body));
    if (kind.resource() == "serviceaccounts" && t.subresource == "token" && verb == "create") return handle_token(services, request, body);
    if (kind.resource() == "pods" && t.subresource == "eviction" && verb == "create") return handle_eviction(services, request, body);
    if (kind.resource() == "pods" && t.subresource == "binding" && verb == "create") return handle_binding(services, request, body);
    return request->answer(failure(404, "NotFound", "the server could not find the requested resource"));
  }
  if (t.subresource == "status" && !kind.has_status)
    return request->answer(failure(404, "NotFound", "the server could not find the requested resource"));
  if (verb == "get") return handle_get(services, request);
  if (verb == "list") return handle_list(services, request);
  if (verb == "watch") return serve_watch(services.loop, services.store, request);
  if (verb == "create" && t.collection()) return handle_create(services, request, std::move(body));
  if (verb == "update" && !t.collection()) return handle_update(services, request, std::move(body));
  if (verb == "patch" && !t.collection()) return handle_patch(services, request, std::move(body));
  if (verb == "delete" && t.subresource.empty()) return handle_delete(services, request, body);
  if (verb == "deletecollection") return handle_delete_collection(services, request, body);
  request->answer(method_not_allowed());
}

void handle_get(Services& services, const RequestPtr& request) {
  const Target& t = request->target;
  auto object = services.store.get(key_of(*request->kind, t.ns, t.name));
  if (!object) return request->answer(not_found(*request->kind, t.name));
  request->answer_object(200, **object);
}

// Where a limited list goes on: the key it ended with, and the revision its first page was read at.
struct Continue {
  uint64_t revision = 0;
  std::string ns, name;
  static std::optional<Continue> parse(std::string_view token) {
    auto text = base::base64url_decode(token);
    auto value = text ? base::parse_json(*text) : base::Result<Value>(base::fail(base::Code::kInvalidArgument, "no base64"));
    if (!value || (*value)["v"].as_string() != "meta.k8s.io/v1") return std::nullopt;
    return Continue{static_cast<uint64_t>((*value)["rv"].as_int()), (*value)["ns"].as_string(), (*value)["name"].as_string()};
  }
  std::string text() const {
    return base::base64url_encode(
        Value::object({{"v", "meta.k8s.io/v1"}, {"rv", static_cast<long long>(revision)}, {"ns", ns}, {"name", name}}).dump());
  }
};

void handle_list(Services& services, const RequestPtr& request) {
  const Target& t = request->target;
  const mesh::Kind& kind = *request->kind;
  auto selection = parse_selection(*request);
  if (!selection) return request->answer(selection.error());
  const int64_t limit = base::to_int(request->query("limit")).value_or(0);
  Continue from;
  if (const std::string token = request->query("continue"); !token.empty()) {
    auto parsed = Continue::parse(token);
    if (!parsed) return request->answer(bad_request("continue key is not valid: it is no token of this server"));
    if (parsed->revision < services.store.oldest_revision())
      return request->answer(expired("The provided continue parameter is too old to display a consistent list result. You can start a new list "
                                     "without the continue parameter."));
    from = *parsed;
  }
  const uint64_t revision = from.revision ? from.revision : services.store.revision();

  std::vector<ObjectPtr> objects = services.store.list(kind.resource(), kind.namespaced ? t.ns : "");
  if (!from.name.empty())
    std::erase_if(objects, [&](const ObjectPtr& o) {
      const Value& meta = (*o)["metadata"];
      return std::tie(meta["namespace"].as_string(), meta["name"].as_string()) <= std::tie(from.ns, from.name);
    });
  if (!selection->everything()) std::erase_if(objects, [&](const ObjectPtr& o) { return !selection->matches(*o); });
  std::string token;
  int64_t remaining = -1;
  if (limit > 0 && objects.size() > static_cast<size_t>(limit)) {
    if (selection->everything()) remaining = static_cast<int64_t>(objects.size()) - limit;
    objects.resize(static_cast<size_t>(limit));
    const Value& last = (*objects.back())["metadata"];
    token = Continue{revision, last["namespace"].as_string(), last["name"].as_string()}.text();
  }

  const Format format = request->format();
  if (format.shape == Format::Shape::kTable) {
    TableOptions options;
    options.version = format.table_version;
    options.include = request->query("includeObject");
    options.continue_token = token;
    options.remaining = remaining;
    return request->answer_text(200, "application/json", table_text(kind, t.version, objects, std::to_string(revision), options));
  }
  Value metadata = Value::object({{"resourceVersion", std::to_string(revision)}});
  if (!token.empty()) metadata.set("continue", token);
  if (remaining >= 0) metadata.set("remainingItemCount", static_cast<long long>(remaining));
  const bool partial = format.shape == Format::Shape::kMetadata;
  const std::string list_kind = partial ? "PartialObjectMetadataList" : std::string(kind.list_kind);
  const std::string api_version = partial ? "meta.k8s.io/v1" : kind.api_version(t.version);
  if (format.yaml) {
    Value items = Value::array();
    for (const auto& o : objects) items.push(*o).set("apiVersion", api_version);
    return request->answer(200, Value::object({{"kind", list_kind}, {"apiVersion", api_version}, {"metadata", metadata}, {"items", items}}));
  }
  std::string text = fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{},"items":[)", list_kind, api_version, metadata.dump());
  for (size_t i = 0; i < objects.size(); ++i) {
    if (i) text += ',';
    text += partial ? partial_metadata(*objects[i]).dump() : dump_as(kind, t.version, *objects[i]);
  }
  text += "]}\n";
  request->answer_text(200, "application/json", text);
}

}  // namespace fairlead::api
