// What this machine, or this network namespace, is called by others.
#pragma once

#include <string>

namespace fairlead::io {

// The first IPv4 address of an interface that is not loopback; 127.0.0.1 when there is none (Envoy's local address).
std::string own_address();

}  // namespace fairlead::io
