#include "control/authentication.h"

#include <optional>

namespace fairlead::control {
namespace {

std::optional<Mtls> mode_of(const base::Value& mtls) {
  const std::string& mode = mtls["mode"].as_string();
  if (mode == "DISABLE") return Mtls::kDisable;
  if (mode == "PERMISSIVE") return Mtls::kPermissive;
  if (mode == "STRICT") return Mtls::kStrict;
  return std::nullopt;  // UNSET: what is above counts
}

Mtls find_mode(const Snapshot& snapshot, std::string_view ns, const Labels* labels, int port) {
  const Config *mesh = nullptr, *own_ns = nullptr, *workload = nullptr;
  for (const auto& policy : snapshot.peer_authentications) {  // oldest first
    bool selects = !policy->selector.empty();
    if (policy->ns == snapshot.mesh.root_namespace && !selects) {
      if (!mesh) mesh = policy.get();
    }
    if (policy->ns != ns) continue;
    if (!selects) {
      if (!own_ns) own_ns = policy.get();
    } else if (labels && !workload && subset_of(policy->selector, *labels)) {
      workload = policy.get();
    }
  }
  if (workload) {
    if (auto m = mode_of(workload->spec["portLevelMtls"][std::to_string(port)])) return *m;
    if (auto m = mode_of(workload->spec["mtls"])) return *m;
  }
  for (const Config* policy : {own_ns, mesh})
    if (policy)
      if (auto m = mode_of(policy->spec["mtls"])) return *m;
  return Mtls::kPermissive;
}

}  // namespace

Mtls mtls_mode(const Snapshot& snapshot, std::string_view ns, const Labels& labels, int port) { return find_mode(snapshot, ns, &labels, port); }
Mtls mtls_mode(const Snapshot& snapshot, std::string_view ns) { return find_mode(snapshot, ns, nullptr, 0); }

}  // namespace fairlead::control
