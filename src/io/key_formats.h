// Keys and certificates in other wrappings than plain PEM, into plain PEM. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "io/tls.h"

namespace fairlead::io {

// A PEM key that is encrypted (PKCS #8 or the older form), opened. One that is not stays as it is.
base::Result<std::string> decrypt_key(std::string_view pem, std::string_view password);
// A PKCS #12 file (RFC 7292): its key, its certificate and the chain behind it.
base::Result<KeyPair> read_pkcs12(std::string_view der, std::string_view password);

}  // namespace fairlead::io
