#include "node/sandbox/cri_log.h"

#include <gtest/gtest.h>

namespace fairlead::node {
namespace {

std::chrono::system_clock::time_point at(long long nanos) {
  return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(nanos)));
}

TEST(CriLines, JoinsPiecesAndStampsWholeLines) {
  CriLines lines("stdout");
  std::string out;
  lines.feed("he", at(0), out);
  EXPECT_EQ(out, "");
  lines.feed("llo\n\nrest", at(1000000005), out);
  lines.finish(at(2000000000), out);
  EXPECT_EQ(out, "1970-01-01T00:00:01.000000005Z stdout F hello\n1970-01-01T00:00:01.000000005Z stdout F \n1970-01-01T00:00:02.000000000Z stdout F rest\n");
}

TEST(CriLines, CutsLongLines) {
  CriLines lines("stderr");
  std::string out, text(CriLines::kMaxLineBytes + 3, 'x');
  lines.feed(text + "\n", at(0), out);
  EXPECT_EQ(out, "1970-01-01T00:00:00.000000000Z stderr P " + std::string(CriLines::kMaxLineBytes, 'x') + "\n1970-01-01T00:00:00.000000000Z stderr F xxx\n");
}

}  // namespace
}  // namespace fairlead::node
