#include "xds/wire.h"

#include <gtest/gtest.h>

namespace fairlead::xds {
namespace {

// field 2: "ab"; field 6: 1; field 8 says five bytes and has one.
constexpr std::string_view kCutOff("\x12\x02" "ab\x30\x01\x42\x05x", 9);

TEST(WireReader, StopsAtWhatIsCutOff) {
  WireReader wire(kCutOff);
  ASSERT_TRUE(wire.next());
  EXPECT_EQ(wire.field(), 2u);
  EXPECT_EQ(wire.bytes(), "ab");
  ASSERT_TRUE(wire.next());
  EXPECT_EQ(wire.field(), 6u);
  EXPECT_EQ(wire.number(), 1u);
  EXPECT_FALSE(wire.next());
  EXPECT_FALSE(wire.whole());
  EXPECT_FALSE(wire.next());
}

TEST(WireReader, IsWholeAtTheEndOfAMessage) {
  WireReader wire(kCutOff.substr(0, 6));
  EXPECT_FALSE(wire.whole());
  while (wire.next()) {
  }
  EXPECT_TRUE(wire.whole());
}

}  // namespace
}  // namespace fairlead::xds
