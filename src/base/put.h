// put(): copying short strings into a buffer that is known to be large enough. Names and values of header fields are
// mostly shorter than a call of memcpy is long; two overlapping moves copy them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace fairlead::base {

// Returns the end of what was written.
inline char* put(char* to, std::string_view from) {
  size_t n = from.size();
  const char* s = from.data();
  auto twice = [&]<class Word>(Word) {
    Word first, last;
    std::memcpy(&first, s, sizeof first);
    std::memcpy(&last, s + n - sizeof last, sizeof last);
    std::memcpy(to, &first, sizeof first);
    std::memcpy(to + n - sizeof last, &last, sizeof last);
  };
  struct Sixteen {
    uint64_t a, b;
  };
  if (n > 32) std::memcpy(to, s, n);
  else if (n >= 16) twice(Sixteen{});
  else if (n >= 8) twice(uint64_t{});
  else if (n >= 4) twice(uint32_t{});
  else if (n >= 2) twice(uint16_t{});
  else if (n == 1) *to = *s;
  return to + n;
}

}  // namespace fairlead::base
