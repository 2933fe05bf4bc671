// Formats come from users: whatever the text, parsing ends, and what parses can be printed.
#include "proxy/log/access_log.h"
#include "proxy/stream_info.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto format = fairlead::proxy::LogFormat::parse(text)) {
    std::string out;
    format->append(out, fairlead::proxy::StreamInfo{});
  }
  return 0;
}
