#include "api/table.h"

#include "api/request.h"

namespace fairlead::api {

using base::Value;

namespace {

class Writer {
 public:
  Writer(const mesh::Kind& kind, std::string_view version, std::string_view resource_version, const TableOptions& options)
      : kind_(kind), version_(version), options_(options), now_(std::chrono::system_clock::now()) {
    out_ = R"({"kind":"Table","apiVersion":"meta.k8s.io/)" + options.version + R"(","metadata":)";
    Value metadata = Value::object();
    if (!resource_version.empty()) metadata.set("resourceVersion", resource_version);
    if (!options.continue_token.empty()) metadata.set("continue", options.continue_token);
    if (options.remaining >= 0) metadata.set("remainingItemCount", static_cast<long long>(options.remaining));
    out_ += metadata.dump() + R"(,"columnDefinitions":)";
    if (!options.columns) {
      out_ += "null";
    } else {
      Value columns = Value::array();
      for (const auto& c : kind.columns)
        columns.push(Value::object({{"name", c.name}, {"type", c.type}, {"format", c.format}, {"description", c.doc}, {"priority", c.priority}}));
      out_ += columns.dump();
    }
    out_ += R"(,"rows":[)";
  }

  void row(const Value& object) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += R"({"cells":[)";
    bool first_cell = true;
    for (const auto& c : kind_.columns) {
      if (!first_cell) out_ += ',';
      first_cell = false;
      out_ += mesh::table_cell(c, object, now_).dump();
    }
    out_ += ']';
    if (options_.include == "Object") {
      out_ += R"(,"object":)" + dump_as(kind_, version_, object);
    } else if (options_.include != "None") {
      out_ += R"(,"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/)" + options_.version + R"(","metadata":)" +
              object["metadata"].dump() + '}';
    }
    out_ += '}';
  }

  std::string finish() { return std::move(out_) + "]}\n"; }

 private:
  const mesh::Kind& kind_;
  std::string_view version_;
  const TableOptions& options_;
  base::WallTime now_;
  std::string out_;
  bool first_ = true;
};

}  // namespace

std::string table_text(const mesh::Kind& kind, std::string_view version, std::span<const Value> objects,
                       std::string_view resource_version, const TableOptions& options) {
  Writer w(kind, version, resource_version, options);
  for (const Value& o : objects) w.row(o);
  return w.finish();
}

std::string table_text(const mesh::Kind& kind, std::string_view version, std::span<const store::ObjectPtr> objects,
                       std::string_view resource_version, const TableOptions& options) {
  Writer w(kind, version, resource_version, options);
  for (const auto& o : objects) w.row(*o);
  return w.finish();
}

}  // namespace fairlead::api
