// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what a load balancer in front says of the
// client, before its first byte. Reading only; pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "io/address.h"

namespace fairlead::proxy {

struct ProxyHeader {
  enum class Verdict : uint8_t {
    kNeedMore,
    kAbsent,   // the bytes begin with something else
    kBad,
    kFound,    // `length` bytes are the header
  };
  Verdict verdict = Verdict::kNeedMore;
  int version = 0;
  size_t length = 0;
  // Not set for connections of the balancer itself (LOCAL, UNKNOWN) and for families other than TCP over IP.
  std::optional<io::Address> source, destination;
};

ProxyHeader parse_proxy_header(std::string_view bytes);

}  // namespace fairlead::proxy
