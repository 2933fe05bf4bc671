#include "api/status.h"

#include <fmt/core.h>

namespace fairlead::api {

using base::Code;
using base::Value;

Failure failure(int code, std::string_view reason, std::string_view message, const mesh::Kind* kind, std::string_view name) {
  Value status = Value::object({{"kind", "Status"},
                                {"apiVersion", "v1"},
                                {"metadata", Value::object()},
                                {"status", "Failure"},
                                {"message", message},
                                {"reason", reason}});
  Value details = Value::object();
  if (!name.empty()) details.set("name", name);
  if (kind) {
    if (!kind->group.empty()) details.set("group", kind->group);
    details.set("kind", kind->plural);
  }
  if (!details.empty()) status.set("details", std::move(details));
  status.set("code", code);
  return {std::move(status), {}};
}

std::unexpected<Failure> refuse(Failure f) { return std::unexpected(std::move(f)); }

Failure not_found(const mesh::Kind& kind, std::string_view name) {
  return failure(404, "NotFound", fmt::format("{} \"{}\" not found", mesh::qualified_resource(kind), name), &kind, name);
}

Failure already_exists(const mesh::Kind& kind, std::string_view name) {
  return failure(409, "AlreadyExists", fmt::format("{} \"{}\" already exists", mesh::qualified_resource(kind), name), &kind,
                 name);
}

Failure conflict(const mesh::Kind& kind, std::string_view name, std::string_view why) {
  if (why.empty()) why = "the object has been modified; please apply your changes to the latest version and try again";
  return failure(409, "Conflict",
                 fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", mesh::qualified_resource(kind), name, why), &kind,
                 name);
}

Failure forbidden(const mesh::Kind& kind, std::string_view name, std::string_view why) {
  std::string subject = mesh::qualified_resource(kind);
  if (!name.empty()) subject += fmt::format(" \"{}\"", name);
  return failure(403, "Forbidden", fmt::format("{} is forbidden: {}", subject, why), &kind, name);
}

Failure bad_request(std::string_view message) { return failure(400, "BadRequest", message); }

Failure method_not_allowed() {
  return failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
}

Failure expired(std::string_view message) { return failure(410, "Expired", message); }

Failure unsupported_media(std::string_view accepted) {
  return failure(415, "UnsupportedMediaType",
                 fmt::format("the body of the request was in an unknown format - accepted media types include: {}", accepted));
}

Failure internal(std::string_view message) {
  Failure f = failure(500, "InternalError", fmt::format("Internal error occurred: {}", message));
  f.status["details"].set("causes", Value::array({Value::object({{"message", message}})}));
  return f;
}

Failure from_store(const base::Error& error, const mesh::Kind& kind, std::string_view name) {
  switch (error.code) {
    case Code::kNotFound: return not_found(kind, name);
    case Code::kAlreadyExists: return already_exists(kind, name);
    case Code::kConflict: return conflict(kind, name);
    case Code::kExpired: return expired(error.message);
    default: return internal(error.text());
  }
}

base::Error to_error(const Failure& f) {
  Code code = Code::kInternal;
  switch (f.code()) {
    case 400:
    case 422: code = Code::kInvalidArgument; break;
    case 401: code = Code::kUnauthenticated; break;
    case 403: code = Code::kPermissionDenied; break;
    case 404: code = Code::kNotFound; break;
    case 405: code = Code::kUnimplemented; break;
    case 409: code = f.status["reason"].as_string() == "AlreadyExists" ? Code::kAlreadyExists : Code::kConflict; break;
    case 410: code = Code::kExpired; break;
    case 413:
    case 429: code = Code::kResourceExhausted; break;
    case 503: code = Code::kUnavailable; break;
    case 504: code = Code::kDeadlineExceeded; break;
    default: break;
  }
  return {code, f.message(), {}};
}

Value success(const mesh::Kind& kind, std::string_view name, std::string_view uid) {
  Value details = Value::object({{"name", name}});
  if (!kind.group.empty()) details.set("group", kind.group);
  details.set("kind", kind.plural);
  details.set("uid", uid);
  return Value::object({{"kind", "Status"},
                        {"apiVersion", "v1"},
                        {"metadata", Value::object()},
                        {"status", "Success"},
                        {"details", std::move(details)}});
}

}  // namespace fairlead::api
