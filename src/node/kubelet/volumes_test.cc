#include "node/kubelet/volumes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "store/memory_store.h"

namespace fairlead::node {
namespace {

namespace fs = std::filesystem;
using base::Value;

struct VolumesTest : testing::Test {
  VolumesTest() {
    std::string pattern = (fs::temp_directory_path() / "fairlead-volumes-XXXXXX").string();
    directory = mkdtemp(pattern.data());
    keep("one");
  }
  ~VolumesTest() override { fs::remove_all(directory); }

  void keep(std::string_view text) {
    Value map = Value::object({{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", Value::object({{"name", "conf"}, {"namespace", "default"}})},
                               {"data", Value::object({{"key", text}})}});
    const store::Key key{"configmaps", "default", "conf"};
    if (auto old = store.get(key))
      ASSERT_TRUE(store.update(key, std::move(map), std::stoull((**old)["metadata"]["resourceVersion"].as_string())));
    else
      ASSERT_TRUE(store.create(key, std::move(map)));
  }
  io::Loop loop;
  store::MemoryStore store{loop};
  TokenSource tokens = [](const TokenRequest&) -> base::Result<std::string> { return "token"; };
  std::string directory;
  const Value pod = *base::parse_json(R"({"metadata":{"name":"p","namespace":"default","uid":"u"},
    "spec":{"volumes":[{"name":"v","configMap":{"name":"conf"}}],"containers":[{"name":"c","volumeMounts":[{"name":"v","mountPath":"/v"}]}]}})");
};

// A second node finds the folder of the first, whose name it would choose itself within the same second: it must neither
// write into that folder nor take it for the old one.
TEST_F(VolumesTest, ARestartWithinTheSecondKeepsWhatItHasJustWritten) {
  for (int start = 0; start < 3; ++start) {
    Volumes volumes(store, tokens, directory);
    ASSERT_TRUE(volumes.prepare(pod, PodFacts{}));
    const auto mounts = volumes.mounts(pod["spec"]["containers"][0], Environment{});
    ASSERT_TRUE(mounts);
    std::ifstream in(mounts->front().source + "/key");
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "one") << "start " << start;
  }
}

TEST_F(VolumesTest, AChangeSwapsTheWholeSet) {
  Volumes volumes(store, tokens, directory);
  ASSERT_TRUE(volumes.prepare(pod, PodFacts{}));
  const auto mounts = volumes.mounts(pod["spec"]["containers"][0], Environment{});
  ASSERT_TRUE(mounts);
  keep("two");
  ASSERT_TRUE(volumes.prepare(pod, PodFacts{}));
  std::ifstream in(mounts->front().source + "/key");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "two");
}

}  // namespace
}  // namespace fairlead::node
