// ApiServer: the Kubernetes REST API over a store: what kubectl and every client library talk to.
//
// Loop thread only. Owner: the node (or `fairlead api-server`), which also owns the http::Server that handler() is given
// to, the store and the pod backend; all of them outlive the ApiServer's last request.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/admission.h"
#include "api/client.h"
#include "api/pod_backend.h"
#include "api/tokens.h"
#include "api/webhook.h"
#include "http/server.h"
#include "io/loop.h"
#include "store/store.h"

namespace fairlead::api {

class ApiServer {
 public:
  struct Options {
    std::string ca_pem;                 // what pods find as ca.crt (kube-root-ca.crt in every namespace)
    std::string token_key_pem;          // EC P-256 key that signs ServiceAccount tokens
    WebhookTransport webhook;           // how mutating webhooks are reached; unset: calling one fails
    ServiceRange services;
    // Namespaces whose ServiceAccounts may do everything; those of others get what Kubernetes gives without roles.
    std::set<std::string> system_namespaces{"istio-system", "kube-system"};
    std::string version = "v1.32.0";    // gitVersion that /version reports
  };

  // `pods` nullptr: logs, exec and port-forward answer that no node runs here.
  ApiServer(io::Loop& loop, store::Store& store, PodBackend* pods, Options options);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // Creates what every cluster has and finishes what a crash left half done. Once, before serving.
  base::Status bootstrap();
  void set_pod_backend(PodBackend* pods);
  // For http::Server. The TLS side has to ask for (not require) client certificates and verify them.
  http::Handler handler();

  Client& client();                     // writes for controllers and the kubelet
  const Tokens& tokens() const;         // for the kubelet's projected volumes

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace fairlead::api
