#include "node/controllers/namespace_defaults.h"

#include "api/admission.h"

namespace fairlead::node {

using base::Value;

NamespaceDefaults::NamespaceDefaults(io::Loop& loop, store::Store& store, api::Client& client, std::string ca_pem)
    : store_(store), client_(client), ca_pem_(std::move(ca_pem)), queue_(loop, "namespace-defaults", [this](const ObjectName& n) { return reconcile(n.name); }) {
  auto gone = [this](const char* name) {
    return [this, name](const store::Event& e) {
      if (e.type == store::EventType::kDeleted && e.key.name == name) queue_.enqueue({"", e.key.ns});
    };
  };
  accounts_ = std::make_unique<Watch>(store, "serviceaccounts", gone("default"));
  maps_ = std::make_unique<Watch>(store, "configmaps", gone("kube-root-ca.crt"));
}

base::Status NamespaceDefaults::reconcile(const std::string& ns) {
  auto found = store_.get({"namespaces", "", ns});
  if (!found || being_deleted(**found)) return {};
  for (Value object : {api::default_service_account(ns), api::root_ca_config_map(ns, ca_pem_)}) {
    auto made = client_.create_now(std::move(object));
    if (!made && made.error().code != base::Code::kAlreadyExists) return std::unexpected(made.error());
  }
  return {};
}

}  // namespace fairlead::node
