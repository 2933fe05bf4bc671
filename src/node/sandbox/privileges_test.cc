#include "node/sandbox/privileges.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

#include <vector>

namespace fairlead::node {
namespace {

TEST(Capabilities, AllMeansTheWholeUsualSetSaveWhatIsAdded) {
  const std::vector<std::string> all{"ALL"}, bind{"NET_BIND_SERVICE"};
  const uint64_t dropped = dropped_capabilities(all, bind);
  EXPECT_TRUE(dropped >> CAP_CHOWN & 1);
  EXPECT_TRUE(dropped >> CAP_NET_RAW & 1);
  EXPECT_FALSE(dropped >> CAP_NET_BIND_SERVICE & 1);
}

TEST(Capabilities, NamesComeWithAndWithoutPrefix) {
  const std::vector<std::string> drop{"CAP_NET_RAW", "KILL", "NO_SUCH"};
  EXPECT_EQ(dropped_capabilities(drop, {}), uint64_t{1} << CAP_NET_RAW | uint64_t{1} << CAP_KILL);
}

}  // namespace
}  // namespace fairlead::node
