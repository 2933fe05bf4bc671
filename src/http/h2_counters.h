// What happens on HTTP/2 connections, by the names of Envoy's codec statistics (http2.*). Their owner adds up as many
// connections in one of these as it likes; all of it is rare, but for streams and trailers. One thread.
// Source of the names and meanings: Envoy's source/common/http/http2/codec_stats.h.
#pragma once

#include <cstdint>

namespace fairlead::http {

#define FL_H2_COUNTERS(COUNTER)                                                                                        \
  COUNTER(dropped_headers_with_underscores) COUNTER(goaway_sent) COUNTER(header_overflow) COUNTER(headers_cb_no_stream) \
  COUNTER(inbound_empty_frames_flood) COUNTER(inbound_priority_frames_flood) COUNTER(inbound_window_update_frames_flood) \
  COUNTER(keepalive_timeout) COUNTER(outbound_control_flood) COUNTER(outbound_flood)                                   \
  COUNTER(requests_rejected_with_underscores_in_headers) COUNTER(rx_messaging_error) COUNTER(rx_reset)                 \
  COUNTER(stream_refused_errors) COUNTER(trailers) COUNTER(tx_flush_timeout) COUNTER(tx_reset)

// trailers: of requests alone. goaway_sent: announcements of one, too.

struct H2Counters {
#define FL_FIELD(name) uint64_t name = 0;
  FL_H2_COUNTERS(FL_FIELD)
#undef FL_FIELD
};

}  // namespace fairlead::http
