// What the admin page /certs shows. Main thread.
#pragma once

#include "base/value.h"
#include "proxy/secrets.h"

namespace fairlead::proxy {

base::Value certificates_in_use(const SecretManager& secrets);

}  // namespace fairlead::proxy
