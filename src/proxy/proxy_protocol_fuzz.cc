#include "proxy/proxy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto h = fairlead::proxy::parse_proxy_header(bytes);
  if (h.verdict == fairlead::proxy::ProxyHeader::Verdict::kFound && h.length > size) __builtin_trap();
  return 0;
}
