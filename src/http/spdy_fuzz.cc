// Fuzzes the SPDY/3.1 server. First byte: how the rest is cut, and after how many callbacks the session is destroyed
// from inside one.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "http/spdy.h"

using namespace fairlead::http;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  size_t step = 1u + (data[0] & 15), destroy_after = data[0] >> 4;
  std::unique_ptr<SpdySession> session;
  size_t callbacks = 0;
  auto called = [&] {
    if (destroy_after && ++callbacks == destroy_after) session.reset();
  };
  session = std::make_unique<SpdySession>(SpdyCallbacks{
      .on_stream = [&](SpdyStreamId id, const Headers& headers) { session->reply(id, headers); called(); },
      .on_data = [&](SpdyStreamId id, std::string_view bytes) { session->write(id, bytes); called(); },
      .on_end = [&](SpdyStreamId id) { session->finish(id); called(); },
      .on_reset = [&](SpdyStreamId) { called(); },
      .on_close = {}});
  for (size_t at = 1; at < size && session; at += step) {
    std::string piece(reinterpret_cast<const char*>(data) + at, std::min(step, size - at));
    if (!session->feed(piece)) break;
  }
  return 0;
}
