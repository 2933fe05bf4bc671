// Tokens: ServiceAccount tokens (ES256 JWTs, RFC 7519) with Kubernetes' claims. Loop thread only.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "base/value.h"

namespace fairlead::api {

inline constexpr std::string_view kTokenIssuer = "https://kubernetes.default.svc.cluster.local";

class Tokens {
 public:
  // An EC P-256 private key.
  explicit Tokens(std::string key_pem) : key_pem_(std::move(key_pem)) {}

  struct Request {
    std::string ns, service_account, service_account_uid;
    std::string pod, pod_uid;               // "": not bound to a pod
    std::vector<std::string> audiences;     // empty: the API server
    std::chrono::seconds valid_for{3600};
  };
  struct Issued {
    std::string token;
    base::WallTime expires;
  };
  base::Result<Issued> issue(const Request& request) const;

  // Signature, issuer, time. Unauthenticated with the reason.
  struct Claims {
    std::string ns, service_account, service_account_uid, pod, pod_uid;
    std::vector<std::string> audiences;
    std::string user() const { return "system:serviceaccount:" + ns + ":" + service_account; }
  };
  base::Result<Claims> verify(std::string_view token) const;

 private:
  std::string key_pem_;
};

}  // namespace fairlead::api
