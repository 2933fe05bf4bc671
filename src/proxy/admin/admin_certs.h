// What the admin page /certs shows. Main thread.
#pragma once

#include "base/value.h"
#include "proxy/secrets.h"

namespace fairlead::proxy {

base::Value certificates_in_use(const SecretManager& secrets);
// Of all certificates in use; the largest 32-bit number when there is none, as Envoy has it.
uint64_t days_until_first_certificate_expires(const SecretManager& secrets);
// SecretsConfigDump of /config_dump, keys still in it.
base::Value secrets_dump(const SecretManager& secrets);

}  // namespace fairlead::proxy
