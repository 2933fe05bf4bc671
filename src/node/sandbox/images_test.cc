#include "node/sandbox/images.h"

#include <gtest/gtest.h>

namespace fairlead::node {
namespace {

TEST(Images, AreFoundWhateverTheirRegistryAndTag) {
  for (const char* name : {"docker.io/istio/proxyv2:1.24.0", "localhost:5000/x/proxyv2", "istio/proxyv2@sha256:0123", "proxyv2:latest"}) {
    auto image = builtin_image(name, "/d/images.yaml");
    ASSERT_TRUE(image) << name;
    EXPECT_EQ(image->entrypoint.at(0), "/usr/local/bin/pilot-agent");
  }
  EXPECT_EQ(image_repository("localhost:5000/a/b"), "localhost:5000/a/b");
}

TEST(Images, MadeOfBusyboxHaveItsTools) {
  EXPECT_TRUE(builtin_image("curlimages/curl", "t")->busybox);
  EXPECT_TRUE(builtin_image("docker.io/library/busybox:1.36", "t")->busybox);
  EXPECT_FALSE(builtin_image("debian:12", "t")->busybox);
}

TEST(Images, UnknownOnesSayHowToProvideThem) {
  auto image = builtin_image("example.com/shop:1", "/d/images.yaml");
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, base::Code::kNotFound);
  EXPECT_NE(image.error().message.find("/d/images.yaml"), std::string::npos);
  EXPECT_NE(image.error().message.find("example.com/shop: {command:"), std::string::npos);
}

TEST(Images, TheUsersTableGivesCommandAndFiles) {
  auto image = user_image("example.com/shop:2", "example.com/shop: {command: [python3, /s.py], args: [8080], files: {/s.py: /home/s.py}}\n", "t");
  ASSERT_TRUE(image) << image.error().text();
  EXPECT_EQ(image->entrypoint, (std::vector<std::string>{"python3", "/s.py"}));
  EXPECT_EQ(image->cmd, (std::vector<std::string>{"8080"}));
  EXPECT_EQ(image->files.at("/s.py"), "/home/s.py");
  EXPECT_EQ(user_image("x", "y: {comand: [a]}\nx: {comand: [a]}\n", "t").error().code, base::Code::kInvalidArgument);
}

}  // namespace
}  // namespace fairlead::node
