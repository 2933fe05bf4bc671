#include "proxy/config_manager_util.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

// "hosts | those tried when they do not answer"
std::string used(DnsLookup lookup, std::vector<std::string> texts) {
  std::vector<io::Address> addresses;
  for (const auto& t : texts) addresses.push_back(*io::Address::parse_ip(t, 0));
  addresses = order_addresses(lookup, std::move(addresses));
  size_t hosts = count_hosts(lookup, addresses);
  std::string out;
  for (size_t i = 0; i < addresses.size(); ++i) out += (i == 0 ? "" : i == hosts ? " | " : " ") + addresses[i].ip();
  return out;
}

TEST(DnsLookup, AutoPrefersIpv6AndFallsBack) {
  EXPECT_EQ(used(DnsLookup::kAuto, {"10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"}), "fd00::1 fd00::2 | 10.0.0.1 10.0.0.2");
  EXPECT_EQ(used(DnsLookup::kAuto, {"10.0.0.1", "10.0.0.2"}), "10.0.0.1 10.0.0.2");
  EXPECT_EQ(used(DnsLookup::kAuto, {"fd00::1"}), "fd00::1");
  EXPECT_EQ(used(DnsLookup::kAuto, {}), "");
}

TEST(DnsLookup, V4PreferredTakesIpv6OnlyWhereThereIsNothingElse) {
  EXPECT_EQ(used(DnsLookup::kV4Preferred, {"10.0.0.1", "fd00::1"}), "10.0.0.1");
  EXPECT_EQ(used(DnsLookup::kV4Preferred, {"fd00::1", "fd00::2"}), "fd00::1 fd00::2");
}

TEST(DnsLookup, AllTakesBoth) { EXPECT_EQ(used(DnsLookup::kAll, {"10.0.0.1", "fd00::1"}), "10.0.0.1 fd00::1"); }

}  // namespace
}  // namespace fairlead::proxy
