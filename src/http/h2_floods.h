// Limits against floods that a configuration may set. What is not set is covered by a budget that all that costs us more
// than the peer is paid from (h2_codec.h); what is set is counted by itself, and not paid from it.
// Source of the names and formulas: Envoy's Http2ProtocolOptions, source/common/http/http2/protocol_constraints.cc.
#pragma once

#include <cstdint>
#include <optional>

namespace fairlead::http {

struct H2Floods {
  std::optional<uint32_t> outbound_frames;          // waiting for the peer to read them, of all types
  std::optional<uint32_t> outbound_control_frames;  // the same of PING, SETTINGS and RST_STREAM
  std::optional<uint32_t> empty_frames;             // in a row: HEADERS, CONTINUATION, DATA without content or end of stream
  std::optional<uint32_t> priority_frames;          // for each stream that was opened, and one more
  std::optional<uint32_t> window_updates;           // for each DATA frame sent; at most 5 + 2 * (streams + this * DATA frames)
  bool any() const { return outbound_frames || outbound_control_frames || empty_frames || priority_frames || window_updates; }
  bool operator==(const H2Floods&) const = default;
};

}  // namespace fairlead::http
