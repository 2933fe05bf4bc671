// CertificateAuthority: signs the workloads' requests (istio.v1.auth.IstioCertificateService) after the API server has
// said whose token it is, lets proxies that show one to xDS, and keeps the root in ConfigMap istio-ca-root-cert of every
// namespace. Source: Istio's security/pkg/server/ca, pilot/pkg/bootstrap/istio_ca.go. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/server.h"
#include "io/tls.h"
#include "store/kube_client.h"

namespace fairlead::control {

struct SigningCa {
  io::KeyPair signer;          // ca-cert.pem, ca-key.pem
  std::string chain_pem;       // cert-chain.pem: intermediates above the signer; may be empty
  std::string root_pem;        // root-cert.pem
};

class CertificateAuthority {
 public:
  // trust_domain: of now, as it may be configured later.
  CertificateAuthority(store::KubeClient& client, SigningCa ca, std::function<std::string()> trust_domain);
  ~CertificateAuthority();
  CertificateAuthority(const CertificateAuthority&) = delete;
  CertificateAuthority& operator=(const CertificateAuthority&) = delete;

  // CreateCertificate is answered here; other paths go on to `next` for callers with a token or a certificate of ours,
  // with the SPIFFE id that it proves.
  using Next = std::function<void(std::shared_ptr<http::Exchange>, std::string caller)>;
  http::Handler handler(Next next);

 private:
  struct Caller {
    std::string ns, service_account;
  };
  void identify(const std::string& token, std::function<void(base::Result<Caller>)> done);
  void create_certificate(std::shared_ptr<http::Exchange> exchange);
  void publish(const std::string& ns);

  std::string spiffe_id(const Caller& caller) const;

  store::KubeClient& client_;
  SigningCa ca_;
  std::function<std::string()> trust_domain_;
  std::unique_ptr<store::Informer> namespaces_, root_maps_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::control
