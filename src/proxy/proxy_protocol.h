// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what a load balancer in front says of the
// client, before its first byte. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
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
  std::string_view tlvs;   // version 2: what follows the addresses, in the bytes that were read
};

ProxyHeader parse_proxy_header(std::string_view bytes);

// Says that `source` is connected to `destination`. Where one is not an IP address (a pipe), nobody in particular is:
// UNKNOWN, LOCAL. Two families become one, IPv6. tlvs: of version 2, left out where they do not fit.
std::string write_proxy_header(int version, const io::Address& source, const io::Address& destination, std::string_view tlvs = {});
// Of type-length-value triples those that are wanted, up to the first that is cut short.
std::string pick_tlvs(std::string_view tlvs, bool all, std::span<const uint8_t> types);

}  // namespace fairlead::proxy
