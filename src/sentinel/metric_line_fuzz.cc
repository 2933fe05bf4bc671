// Any bytes as metric lines, thin and fat. What was read is printed and read again, and is the same.
#include <cstdlib>

#include "sentinel/metric_line.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace fairlead::sentinel;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto thin = [](const MetricLine& line) {
    std::string out;
    append_thin(out, line);
    return out;
  };
  for (const MetricLine& line : parse_thin_lines(text, 1000).lines) {
    const std::string printed = thin(line);
    const auto again = parse_thin(printed);
    if (!again || thin(*again) != printed) std::abort();
  }
  if (const auto line = parse_fat(text)) {
    std::string printed;
    append_fat(printed, *line);
    printed.pop_back();
    const auto again = parse_fat(printed);
    if (!again || thin(*again) != thin(*line)) std::abort();
  }
  return 0;
}
