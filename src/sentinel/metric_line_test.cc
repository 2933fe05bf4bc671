#include "sentinel/metric_line.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace fairlead::sentinel {
namespace {

MetricLine example() {
  return {.values = {.time_ms = 1700000000000, .resource = "GET:/orders", .pass = 1, .block = 2, .success = 3, .exception = 4, .rt_ms = 5, .occupied = 6, .threads = 7}, .classification = 8};
}

TEST(MetricLine, PrintsThinAsSentinelDoes) {
  std::string text;
  append_thin(text, example());
  EXPECT_EQ(text, "1700000000000|GET:/orders|1|2|3|4|5|6|7|8");
}

TEST(MetricLine, PrintsFatWithTheLocalDate) {
  setenv("TZ", "UTC", 1);
  tzset();
  std::string text;
  append_fat(text, example());
  EXPECT_EQ(text, "1700000000000|2023-11-14 22:13:20|GET:/orders|1|2|3|4|5|6|7|8\n");
}

TEST(MetricLine, NamesCannotEndAFieldOrALine) {
  MetricLine line = example();
  line.values.resource = "a|b\nc\r\td";
  std::string text;
  append_thin(text, line);
  EXPECT_EQ(text, "1700000000000|a_b_c__d|1|2|3|4|5|6|7|8");
}

TEST(MetricLine, ReadsBackWhatItPrints) {
  std::string thin, fat;
  append_thin(thin, example());
  append_fat(fat, example());
  fat.pop_back();
  for (const auto& read : {parse_thin(thin), parse_fat(fat)}) {
    ASSERT_TRUE(read) << read.error().text();
    std::string again;
    append_thin(again, *read);
    EXPECT_EQ(again, thin);
  }
}

TEST(MetricLine, ReadsLinesOfOlderClients) {
  const auto seven = parse_thin("1700000000000|r|1|2|3|4|5");
  ASSERT_TRUE(seven);
  EXPECT_EQ(seven->values.rt_ms, 5);
  EXPECT_EQ(seven->values.occupied, 0);
  const auto nine = parse_thin("1700000000000|r|1|2|3|4|5|6|7\r");
  ASSERT_TRUE(nine);
  EXPECT_EQ(nine->values.threads, 7);
  EXPECT_EQ(nine->classification, 0);
}

TEST(MetricLine, RefusesWhatIsNoLine) {
  for (const char* text : {"", "|", "x|r|1|2|3|4|5", "1|r", "1||1|2|3|4|5", "1|r|1|2|3|4", "1|r|1|2|3|4|", "1|r|-1|2|3|4|5", "1|r|1|2|3|4|5|6|7|8|9", "1|r|1|2|3|4|5|6|7|8|",
                           "1|r|1 |2|3|4|5", "1|r|99999999999999999999|2|3|4|5", "1|r|1|2|3|4|5|6|7|99999999999", "-1|r|1|2|3|4|5", "999999999999999999|r|1|2|3|4|5",
                           "1|\xFF|1|2|3|4|5", "1|\xC0\x80|1|2|3|4|5", "1|\xED\xA0\x80|1|2|3|4|5"}) {
    EXPECT_FALSE(parse_thin(text)) << text;
  }
  EXPECT_FALSE(parse_fat("1|r|1|2|3|4|5"));
  EXPECT_FALSE(parse_thin("1|" + std::string(kMaxMetricLineBytes, 'r') + "|1|2|3|4|5"));
  EXPECT_EQ(parse_thin("1|r|1|2|x|4|5").error().text(), "metric line: success must be a whole number from 0");
}

TEST(MetricLine, BadLinesOfAnAnswerAreLeftOutAndCounted) {
  const auto read = parse_thin_lines("1|a|1|2|3|4|5\r\nnonsense\n\n2|b|1|2|3|4|5", 10);
  ASSERT_EQ(read.lines.size(), 2U);
  EXPECT_EQ(read.lines[1].values.resource, "b");
  EXPECT_EQ(read.refused, 1U);
  EXPECT_NE(read.first_fault, "");
  EXPECT_FALSE(read.cut);
}

TEST(MetricLine, AnAnswerIsCutAtTheLimit) {
  const auto read = parse_thin_lines("1|a|1|2|3|4|5\n2|b|1|2|3|4|5\n3|c|1|2|3|4|5\n", 2);
  EXPECT_EQ(read.lines.size(), 2U);
  EXPECT_TRUE(read.cut);
  EXPECT_FALSE(parse_thin_lines("1|a|1|2|3|4|5\n\n", 1).cut);
}

}  // namespace
}  // namespace fairlead::sentinel
