// Request: one authenticated API request: what it is about, and how to answer it.
//
// Loop thread only; kept by shared_ptr until it is answered.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/registry.h"
#include "api/status.h"
#include "http/server.h"

namespace fairlead::api {

// /api/v1/namespaces/NS/PLURAL/NAME/SUBRESOURCE and its shorter and cluster-scoped forms.
struct Target {
  std::string group, version, ns, plural, name, subresource;
  bool collection() const { return name.empty(); }
};
std::optional<Target> parse_target(std::string_view path);

// What the client asked the answer to look like (Accept).
struct Format {
  enum class Shape : unsigned char { kObject, kTable, kMetadata };
  Shape shape = Shape::kObject;
  std::string table_version = "v1";  // meta.k8s.io version of a Table
  bool yaml = false;
};
Format parse_accept(std::string_view accept);

class Request {
 public:
  Request(std::shared_ptr<http::Exchange> exchange, Caller caller) : exchange_(std::move(exchange)), caller_(std::move(caller)) {}

  http::Exchange& exchange() { return *exchange_; }
  const std::shared_ptr<http::Exchange>& shared_exchange() const { return exchange_; }
  const http::RequestHead& head() const { return exchange_->request(); }
  const Caller& caller() const { return caller_; }
  std::string query(std::string_view name) const { return http::query_param(head().query(), name); }
  bool flag(std::string_view name) const;  // true, 1, or present without a value
  Format format() const { return parse_accept(head().headers.get("accept")); }

  Target target;
  const mesh::Kind* kind = nullptr;

  void answer(int status, const base::Value& value, const std::vector<std::string>& warnings = {});
  void answer_text(int status, std::string_view content_type, std::string_view body, const std::vector<std::string>& warnings = {});
  void answer(const Failure& failure);
  // A stored object in the version and shape that were asked for.
  void answer_object(int status, const base::Value& object, const std::vector<std::string>& warnings = {});

 private:
  std::shared_ptr<http::Exchange> exchange_;
  Caller caller_;
};
using RequestPtr = std::shared_ptr<Request>;

// The body limit that Kubernetes has; more is answered with 413.
inline constexpr size_t kMaxBodyBytes = 3u << 20;

// The object as JSON text, spelled in `version`.
std::string dump_as(const mesh::Kind& kind, std::string_view version, const base::Value& object);
// {"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":...}
base::Value partial_metadata(const base::Value& object);

}  // namespace fairlead::api
