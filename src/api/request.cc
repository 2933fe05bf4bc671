#include "api/request.h"

#include <fmt/core.h>

#include "api/table.h"
#include "base/strings.h"

namespace fairlead::api {

using base::Value;

std::optional<Target> parse_target(std::string_view path) {
  std::vector<std::string> parts;
  for (auto piece : base::split(path.substr(path.starts_with('/') ? 1 : 0), '/')) parts.push_back(base::url_decode(piece));
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  Target t;
  size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    t.version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    t.group = parts[1];
    t.version = parts[2];
    at = 3;
  } else {
    return std::nullopt;
  }
  // "namespaces/x" alone is the object x, as are its own subresources.
  if (parts[at] == "namespaces" && parts.size() >= at + 3 && parts[at + 2] != "status" && parts[at + 2] != "finalize") {
    t.ns = parts[at + 1];
    at += 2;
  }
  for (size_t i = at; i < parts.size(); ++i)
    if (parts[i].empty()) return std::nullopt;
  if (parts.size() > at + 3) return std::nullopt;
  t.plural = parts[at];
  if (parts.size() > at + 1) t.name = parts[at + 1];
  if (parts.size() > at + 2) t.subresource = parts[at + 2];
  return t;
}

Format parse_accept(std::string_view accept) {
  // The first alternative that we can give; everything ends in JSON.
  for (auto alternative : base::split(accept, ',')) {
    auto params = base::split(alternative, ';');
    const auto type = base::trim(params[0]);
    Format f;
    std::string_view as, group, version;
    for (size_t i = 1; i < params.size(); ++i) {
      auto p = base::trim(params[i]);
      if (p.starts_with("as=")) as = p.substr(3);
      if (p.starts_with("g=")) group = p.substr(2);
      if (p.starts_with("v=")) version = p.substr(2);
    }
    if (type == "application/json" || type == "*/*" || type == "application/*" || type.empty()) {
      if (as == "Table" && group == "meta.k8s.io" && (version == "v1" || version == "v1beta1")) {
        f.shape = Format::Shape::kTable;
        f.table_version = version;
        return f;
      }
      if (as.starts_with("PartialObjectMetadata") && group == "meta.k8s.io") {
        f.shape = Format::Shape::kMetadata;
        return f;
      }
      if (as.empty()) return f;
    }
    if (type == "application/yaml" && as.empty()) {
      f.yaml = true;
      return f;
    }
  }
  return {};
}

bool Request::flag(std::string_view name) const {
  if (!http::has_query_param(head().query(), name)) return false;
  const std::string value = query(name);
  return value.empty() || value == "true" || value == "1" || value == "True";
}

// RFC 7234 section 5.5: 299 is a persistent miscellaneous warning; the text is a quoted string.
static std::string warning_value(std::string_view text) {
  std::string quoted;
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return "299 - \"" + quoted + "\"";
}

void Request::answer_text(int status, std::string_view content_type, std::string_view body, const std::vector<std::string>& warnings) {
  http::Headers headers;
  headers.add("content-type", content_type);
  headers.add("cache-control", "no-cache, private");
  for (const auto& w : warnings) headers.add("warning", warning_value(w));
  exchange_->respond(status, std::move(headers), body);
}

void Request::answer(int status, const Value& value, const std::vector<std::string>& warnings) {
  if (format().yaml)
    answer_text(status, "application/yaml", base::to_yaml(value), warnings);
  else
    answer_text(status, "application/json", value.dump() + "\n", warnings);
}

void Request::answer(const Failure& f) { answer(f.code(), f.status, f.warnings); }

void Request::answer_object(int status, const Value& object, const std::vector<std::string>& warnings) {
  const Format f = format();
  if (f.shape == Format::Shape::kTable) {
    TableOptions options;
    options.version = f.table_version;
    options.include = query("includeObject");
    const std::string table = table_text(*kind, target.version, {&object, 1}, object["metadata"]["resourceVersion"].as_string(), options);
    return answer_text(status, "application/json", table, warnings);
  }
  if (f.shape == Format::Shape::kMetadata) return answer(status, partial_metadata(object), warnings);
  if (f.yaml) {
    Value copy = object;
    copy.set("apiVersion", kind->api_version(target.version));
    return answer_text(status, "application/yaml", base::to_yaml(copy), warnings);
  }
  answer_text(status, "application/json", dump_as(*kind, target.version, object) + "\n", warnings);
}

std::string dump_as(const mesh::Kind& kind, std::string_view version, const Value& object) {
  const std::string wanted = kind.api_version(version);
  if (object["apiVersion"].as_string() == wanted) return object.dump();
  Value copy = object;
  copy.set("apiVersion", wanted);
  return copy.dump();
}

Value partial_metadata(const Value& object) {
  return Value::object({{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", object["metadata"]}});
}

}  // namespace fairlead::api
