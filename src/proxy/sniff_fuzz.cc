// The first bytes of a connection decide where it goes: whatever they are, looking at them ends, and more bytes never
// take a verdict back.
#include "proxy/listener.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fairlead::proxy::Sniffed;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Sniffed whole = fairlead::proxy::sniff(bytes, true, true);
  Sniffed half = fairlead::proxy::sniff(bytes.substr(0, size / 2), true, true);
  if (size > 1 && half.verdict != Sniffed::Verdict::kNeedMore && half.verdict != whole.verdict) __builtin_trap();
  return 0;
}
