// ByteCounts: what one request and its answer took on a connection, for access logs (Envoy's BytesMeter).
#pragma once

#include <cstdint>

namespace fairlead::http {

// wire: framing included. header: of HTTP/1.1 the field lines, of HTTP/2 the frames of header sections.
struct ByteCounts {
  uint64_t wire_received = 0, wire_sent = 0;
  uint64_t header_received = 0, header_sent = 0;
};

}  // namespace fairlead::http
