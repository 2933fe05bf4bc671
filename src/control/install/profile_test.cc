#include "control/install/profile.h"

#include <gtest/gtest.h>

#include "mesh/validate.h"

namespace fairlead::control {
namespace {

TEST(Profiles, PassTheValidationOfTheApi) {
  for (std::string_view name : profile_names()) {
    auto objects = install_objects({std::string(name), {}});
    ASSERT_TRUE(objects) << objects.error().text();
    for (auto& o : *objects) {
      std::string text;
      for (const auto& p : mesh::check_document(o)) text += p.text() + "\n";
      EXPECT_EQ(text, "") << name << " " << o["kind"].as_string() << " " << o["metadata"]["name"].as_string();
    }
  }
}

TEST(Profiles, SpellTheOutboundPolicyThatTutorialsReplace) {
  auto objects = install_objects({"demo", {{"meshConfig.accessLogEncoding", "JSON"}}});
  ASSERT_TRUE(objects);
  std::string mesh;
  for (const auto& o : *objects)
    if (o["kind"].as_string() == "ConfigMap" && o["metadata"]["name"].as_string() == "istio") mesh = o["data"]["mesh"].as_string();
  EXPECT_NE(mesh.find("outboundTrafficPolicy:\n  mode: ALLOW_ANY"), std::string::npos) << mesh;
  EXPECT_NE(mesh.find("accessLogFile: /dev/stdout"), std::string::npos) << mesh;
  EXPECT_NE(mesh.find("accessLogEncoding: JSON"), std::string::npos) << mesh;
}

TEST(Profiles, RefuseWhatTheyDoNotKnow) {
  EXPECT_FALSE(install_objects({"dmeo", {}}));
  EXPECT_FALSE(install_objects({"demo", {{"nonsense", "1"}}}));
}

TEST(Profiles, OnlyDemoHasTheEgressGateway) {
  auto count = [](const char* profile) { return install_components({profile, {}})->size(); };
  EXPECT_EQ(count("demo"), 4u);
  EXPECT_EQ(count("default"), 3u);
  EXPECT_EQ(count("minimal"), 2u);
}

}  // namespace
}  // namespace fairlead::control
