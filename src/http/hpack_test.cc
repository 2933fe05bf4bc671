#include "http/hpack.h"

#include <gtest/gtest.h>

namespace fairlead::http {
namespace {

TEST(Hpack, AnEmptyValueMayBeTheFirstLiteralOfAConnection) {
  HpackDecoder decoder;
  HpackSection section;
  // :authority by its static index, and nothing for a value.
  ASSERT_TRUE(decoder.decode(std::string_view("\x01\x00", 2), 1000, 10, section));
  ASSERT_EQ(section.fields.size(), 1u);
  EXPECT_EQ(section.fields[0].name, ":authority");
  EXPECT_EQ(section.fields[0].value, "");
  EXPECT_FALSE(section.malformed);
}

TEST(Hpack, AnEmptyNameIsMalformedAndKeepsTheTableInStep) {
  HpackDecoder decoder;
  HpackSection section;
  ASSERT_TRUE(decoder.decode(std::string_view("\x40\x00\x00\x40\x01" "a" "\x01" "b\xbe", 9), 1000, 10, section));
  EXPECT_TRUE(section.malformed);
  ASSERT_EQ(section.fields.size(), 3u);
  EXPECT_EQ(section.fields[2].name, "a");
  EXPECT_EQ(section.fields[2].value, "b");
}

}  // namespace
}  // namespace fairlead::http
