// Owning handles and conversions for OpenSSL's X.509 objects. For io/ alone: everyone else sees PEM.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::io {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using X509Ptr = std::unique_ptr<X509, FreeWith<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;

base::Result<std::vector<X509Ptr>> certificates_from_pem(std::string_view pem);  // at least one
base::Result<KeyPtr> key_from_pem(std::string_view pem);
std::string to_pem(X509* certificate);
std::unexpected<base::Error> openssl_failure(std::string_view what);  // with OpenSSL's own words

}  // namespace fairlead::io
