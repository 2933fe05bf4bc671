// Rules: what the validation of single kinds is made of. Internal to mesh/.
#pragma once

#include <string>
#include <string_view>

#include "mesh/validate.h"

namespace fairlead::mesh {

// Collects problems under a path. Cheap to copy; sub-paths are new values.
class At {
 public:
  At(Problems& out, std::string path) : out_(&out), path_(std::move(path)) {}
  At operator/(std::string_view key) const { return {*out_, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key)}; }
  At operator[](size_t index) const { return {*out_, fmt::format("{}[{}]", path_, index)}; }
  At key(std::string_view map_key) const { return {*out_, fmt::format("{}[{}]", path_, map_key)}; }

  void required(const base::Value& at, std::string_view detail = "") const;
  void invalid(const base::Value& value, std::string_view detail) const;
  void not_supported(const base::Value& value, std::string_view supported) const;  // supported: `"A", "B"`
  void duplicate(const base::Value& value) const;
  void forbidden(const base::Value& at, std::string_view detail) const;
  void not_found(const base::Value& value) const;
  void too_long(const base::Value& at, size_t limit) const;
  void immutable(const base::Value& now, const base::Value& before) const;  // a problem when they differ
  void add(Cause cause, const base::Value& at, std::string message) const;

  const std::string& path() const { return path_; }

 private:
  Problems* out_;
  std::string path_;
};

void validate_labels(const base::Value& labels, const At& at);
void validate_label_selector(const base::Value& selector, const At& at);

// By kind; validate.cc calls the one that fits. The generic rules (required, enums, metadata) have run already.
void validate_pod_spec(const base::Value& spec, const At& at);
void validate_pod_update(const base::Value& now, const base::Value& before, Problems& out);
void validate_core(const Kind& kind, const base::Value& object, Problems& out);
void validate_core_update(const Kind& kind, const base::Value& now, const base::Value& before, Problems& out);
void core_warnings(const Kind& kind, const base::Value& object, std::vector<std::string>& out);
void pod_warnings(const base::Value& spec, const std::string& path, std::vector<std::string>& out);
// A port's name; Kubernetes lists all that is wrong with it.
std::vector<std::string_view> port_name_errors(std::string_view s);
bool is_ip_address(std::string_view s);
inline constexpr std::string_view kNoIpAddress = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
void validate_flow(const Kind& kind, const base::Value& object, Problems& out);
void validate_istio(const Kind& kind, const base::Value& object, Problems& out);
std::vector<std::string> istio_warnings(const Kind& kind, const base::Value& object);

}  // namespace fairlead::mesh
