// NamespaceDefaults: what every namespace has, the ServiceAccount default and the ConfigMap kube-root-ca.crt, comes back when
// it is deleted: no pod starts without them. (The API server makes them with the namespace.)
// Source: Kubernetes' serviceaccount and root-ca-cert-publisher controllers. Loop thread only. Owner: Controllers.
#pragma once

#include <memory>
#include <string>

#include "api/client.h"
#include "node/controllers/reconciler.h"

namespace fairlead::node {

class NamespaceDefaults {
 public:
  NamespaceDefaults(io::Loop& loop, store::Store& store, api::Client& client, std::string ca_pem);

 private:
  base::Status reconcile(const std::string& ns);

  store::Store& store_;
  api::Client& client_;
  const std::string ca_pem_;
  Reconciler queue_;
  std::unique_ptr<Watch> accounts_, maps_;
};

}  // namespace fairlead::node
