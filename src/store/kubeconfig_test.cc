#include "store/kubeconfig.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace fairlead::store {
namespace {

struct KubeConfigFile : testing::Test {
  KubeConfigFile() {
    char pattern[] = "/tmp/fairlead-kubeconfig-XXXXXX";
    folder = mkdtemp(pattern);
    path = folder + "/sub/config";
  }
  ~KubeConfigFile() override { std::filesystem::remove_all(folder); }
  std::string text() const {
    std::ifstream in(path);
    std::stringstream s;
    s << in.rdbuf();
    return s.str();
  }
  std::string folder, path;
};

KubeContext sample() {
  KubeContext c;
  c.server = "https://127.0.0.1:6443";
  c.ca_pem = "CA";
  c.client_cert_pem = "CERT";
  c.client_key_pem = "KEY";
  return c;
}

TEST_F(KubeConfigFile, WritesAContextThatItReadsBack) {
  ASSERT_TRUE(merge_context(path, "fairlead", sample()));
  struct stat s{};
  ASSERT_EQ(stat(path.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600u);
  auto read = load_kubeconfig(path);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->context, "fairlead");
  EXPECT_EQ(read->server, "https://127.0.0.1:6443");
  EXPECT_EQ(read->client_key_pem, "KEY");
}

TEST_F(KubeConfigFile, LeavesOtherContextsAsTheyWere) {
  std::filesystem::create_directories(folder + "/sub");
  std::ofstream(path) << R"(apiVersion: v1
kind: Config
current-context: work
clusters:
- name: work
  cluster: {server: "https://work:6443", certificate-authority: ca.pem, extensions: [{name: x}]}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: team}
users:
- name: me
  user: {exec: {command: get-token}}
)";
  std::ofstream(folder + "/sub/ca.pem") << "WORK-CA";
  ASSERT_TRUE(merge_context(path, "fairlead", sample()));
  EXPECT_EQ(load_kubeconfig(path)->context, "fairlead");
  ASSERT_TRUE(merge_context(path, "fairlead", sample()));
  ASSERT_TRUE(remove_context(path, "fairlead"));
  EXPECT_EQ(load_kubeconfig(path)->context, "work");
  auto work = load_kubeconfig(path, "work");
  ASSERT_TRUE(work) << work.error().text();
  EXPECT_EQ(work->ca_pem, "WORK-CA");
  EXPECT_EQ(work->ns, "team");
  EXPECT_NE(text().find("get-token"), std::string::npos);
  EXPECT_EQ(text().find("fairlead"), std::string::npos);
}

TEST_F(KubeConfigFile, DoesNotTouchAFileItCannotRead) {
  std::filesystem::create_directories(folder + "/sub");
  std::ofstream(path) << "clusters: [unclosed\n";
  EXPECT_FALSE(merge_context(path, "fairlead", sample()));
  EXPECT_EQ(text(), "clusters: [unclosed\n");
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
}

TEST_F(KubeConfigFile, SaysWhichContextsThereAre) {
  ASSERT_TRUE(merge_context(path, "fairlead", sample()));
  auto missing = load_kubeconfig(path, "other");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("fairlead"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::store
