#include "node/interception/istio_iptables.h"

#include <gtest/gtest.h>

namespace fairlead::node {
namespace {

// As the injection template calls it.
const std::vector<std::string> kTemplate = {"-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*",
                                            "-d", "15090,15021,15020", "--log_output_level=default:info"};

TEST(IstioIptables, MakesIstiosChains) {
  auto options = parse_interception(kTemplate);
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(interception_rules(*options, true),
            "*nat\n"
            ":ISTIO_INBOUND - [0:0]\n:ISTIO_REDIRECT - [0:0]\n:ISTIO_IN_REDIRECT - [0:0]\n:ISTIO_OUTPUT - [0:0]\n"
            "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN\n"
            "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n"
            "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n"
            "-A PREROUTING -p tcp -j ISTIO_INBOUND\n"
            "-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN\n"
            "-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN\n"
            "-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN\n"
            "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT\n"
            "-A OUTPUT -p tcp -j ISTIO_OUTPUT\n"
            "-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN\n"
            "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m mark --mark 1337 -j ISTIO_IN_REDIRECT\n"
            "-A ISTIO_OUTPUT -m mark --mark 1337 -j RETURN\n"
            "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT\n"
            "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN\n"
            "-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN\n"
            "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT\n"
            "-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN\n"
            "-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN\n"
            "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN\n"
            "-A ISTIO_OUTPUT -j ISTIO_REDIRECT\n"
            "COMMIT\n");
}

TEST(IstioIptables, GoesByTheMarkAloneWhereThereIsOneUser) {
  std::string rules = interception_rules(*parse_interception(kTemplate), false);
  EXPECT_EQ(rules.find("owner"), std::string::npos);
  EXPECT_NE(rules.find("-A ISTIO_OUTPUT -o lo -m mark ! --mark 1337 -j RETURN\n"), std::string::npos);
}

TEST(IstioIptables, ExclusionsComeBeforeTheRedirect) {
  auto options = parse_interception({"--istio-service-cidr=10.0.0.0/8,172.16.0.0/12", "-x", "10.1.0.0/16", "-o", "3306", "-b", "80,443"});
  ASSERT_TRUE(options);
  std::string rules = interception_rules(*options, false);
  EXPECT_LT(rules.find("--dport 3306 -j RETURN"), rules.find("-s 127.0.0.6/32"));
  EXPECT_LT(rules.find("-d 10.1.0.0/16 -j RETURN"), rules.find("-d 10.0.0.0/8 -j ISTIO_REDIRECT"));
  EXPECT_NE(rules.find("-A ISTIO_INBOUND -p tcp --dport 443 -j ISTIO_IN_REDIRECT\n"), std::string::npos);
  EXPECT_NE(rules.find("-A ISTIO_OUTPUT -j RETURN\nCOMMIT"), std::string::npos);
}

TEST(IstioIptables, RefusesWhatItDoesNotUnderstand) {
  EXPECT_FALSE(parse_interception({"-d", "http"}));
  EXPECT_FALSE(parse_interception({"-i", "10.0.0.0/40"}));
  EXPECT_FALSE(parse_interception({"-m", "TPROXY"}));
  EXPECT_FALSE(parse_interception({"--no-such-flag"}));
  EXPECT_FALSE(parse_interception({"-p"}));
}

}  // namespace
}  // namespace fairlead::node
