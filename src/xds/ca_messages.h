// The two messages of istio.v1.auth.IstioCertificateService/CreateCertificate (istio.io/api security/v1alpha1/ca.proto), by
// hand: three fields are not worth a generated file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::xds {

inline constexpr std::string_view kCreateCertificate = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

struct CertificateSigning {
  std::string csr;               // field 1, PEM
  int64_t validity_seconds = 0;  // field 3
};
std::string encode(const CertificateSigning& request);
base::Result<CertificateSigning> decode_signing(std::string_view bytes);

// The answer's cert_chain (field 1): the leaf, intermediates, the root.
std::string encode_chain(const std::vector<std::string>& chain);
base::Result<std::vector<std::string>> decode_chain(std::string_view bytes);

}  // namespace fairlead::xds
