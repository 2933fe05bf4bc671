#include "console/request.h"

#include <algorithm>

#include "base/strings.h"

namespace fairlead::console {

using base::Code;

std::string Request::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return {};
}

std::int64_t Request::number(std::string_view name, std::int64_t fallback, std::int64_t low, std::int64_t high) const {
  return std::clamp<std::int64_t>(base::to_int(parameter(name)).value_or(fallback), low, high);
}

void Request::answer(int status, const base::Value& value, http::Headers headers) const {
  headers.set("content-type", "application/json; charset=utf-8");
  headers.set("cache-control", "no-store");
  exchange->respond(status, std::move(headers), value.dump());
}

void Request::refuse(int status, std::string_view code, std::string message, base::Value more) const {
  base::Value error = base::Value::object({{"code", code}, {"message", std::move(message)}});
  for (base::Member& member : more.mutable_members()) error.set(member.key, std::move(member.value));
  answer(status, base::Value::object({{"error", std::move(error)}}));
}

void Request::refuse(const base::Error& error) const {
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
      return refuse(400, "invalid", error.text());
    case Code::kNotFound:
      return refuse(404, "not_found", error.text());
    case Code::kUnauthenticated:
      return refuse(401, "unauthenticated", error.text());
    case Code::kPermissionDenied:
      return refuse(403, "forbidden", error.text());
    case Code::kConflict:
      return refuse(409, "conflict", error.text());
    case Code::kResourceExhausted:
      return refuse(429, "throttled", error.text());
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return refuse(503, "unavailable", error.text());
    default:
      return refuse(500, "internal", error.text());
  }
}

std::string_view cookie(std::string_view field, std::string_view name) {
  for (std::string_view pair : base::split(field, ';')) {
    pair = base::trim(pair);
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') return pair.substr(name.size() + 1);
  }
  return {};
}

}  // namespace fairlead::console
