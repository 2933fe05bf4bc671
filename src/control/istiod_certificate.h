// IstiodCertificate: the CA of the control plane, kept in Secret istio-ca-secret so that restarts and replicas share it,
// the serving certificate made from it, and caBundle in the injector's webhook configuration, put back whenever it is lost.
// Source: Istio's self-signed CA (names of Secret and keys), its webhook patcher. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "control/certificate_authority.h"
#include "io/tls.h"
#include "store/kube_client.h"

namespace fairlead::control {

class IstiodCertificate {
 public:
  // on_ready runs once, when there is a certificate to serve with.
  IstiodCertificate(io::Loop& loop, store::KubeClient& client, std::string ns,
                     std::function<void(std::shared_ptr<const io::TlsContext>, const SigningCa&)> on_ready);
  ~IstiodCertificate();

  // The API server has been told the CA (or there is no webhook configuration to tell it in).
  bool published() const { return published_; }

 private:
  void load();           // Secret cacerts (plugged in), else istio-ca-secret, else a new one
  void load_own();
  void use(SigningCa ca);
  void publish(const base::Value& configuration);

  store::KubeClient& client_;
  std::string ns_;
  std::function<void(std::shared_ptr<const io::TlsContext>, const SigningCa&)> on_ready_;
  std::string ca_bundle_;  // base64
  bool published_ = false;
  std::unique_ptr<store::Informer> informer_;
  io::Timer retry_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::control
