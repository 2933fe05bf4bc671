// One second of one resource as a line of text: Sentinel's MetricNode (1.8.8), thin as the `metric` command answers it, fat as the
// metric log has it. Both sides: printed by clients, read by the console and by the log's searcher.
//
//   thin: timestamp|resource|pass|block|success|exception|rt|occupied|concurrency|classification
//   fat:  timestamp|yyyy-MM-dd HH:mm:ss|resource|... the same, and an end of line
//
// Plain functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flow/statistics.h"

namespace fairlead::sentinel {

// What a resource is, as Java's ResourceTypeConstants say.
inline constexpr std::int32_t kClassificationCommon = 0;

struct MetricLine {
  flow::Metric values;
  std::int32_t classification = kClassificationCommon;
};

inline constexpr std::size_t kMaxMetricLineBytes = 16 * 1024;
inline constexpr std::int64_t kMaxMetricTimeMs = 253'402'300'799'999;  // the end of the year 9999

// Bars and control characters in the name become '_', so that a name can't end a field or a line; what is no UTF-8 becomes '?'.
// Thin: without an end of line.
void append_thin(std::string& out, const MetricLine& line);
// The date is in the local time zone, as Java writes it; nobody reads it back.
void append_fat(std::string& out, const MetricLine& line);

// Without the end of line. Older clients leave out occupied, concurrency and classification: 0. Negative numbers, names that are empty
// or no UTF-8 and fields beyond the last are refused.
base::Result<MetricLine> parse_thin(std::string_view line);
base::Result<MetricLine> parse_fat(std::string_view line);

// A whole answer of the `metric` command. Lines that can't be read are left out and counted; reading stops after max_lines good ones.
struct MetricLines {
  std::vector<MetricLine> lines;
  std::size_t refused = 0;
  std::string first_fault;  // a sentence about the first line that was refused
  bool cut = false;         // there were more than max_lines
};
MetricLines parse_thin_lines(std::string_view text, std::size_t max_lines);

}  // namespace fairlead::sentinel
