#include "store/informer.h"

#include <gtest/gtest.h>

#include "store/kube_client.h"

namespace fairlead::store {
namespace {

base::Value list(std::string_view items, std::string_view version) {
  return *base::parse_json(fmt::format(R"({{"metadata":{{"resourceVersion":"{}"}},"items":[{}]}})", version, items));
}
std::string pod(std::string_view name, std::string_view version) {
  return fmt::format(R"({{"metadata":{{"namespace":"default","name":"{}","resourceVersion":"{}"}}}})", name, version);
}
std::string told(const std::vector<InformerCore::Change>& changes) {
  std::string out;
  for (const auto& c : changes)
    out += fmt::format("{}{} ", c.type == EventType::kAdded ? '+' : c.type == EventType::kModified ? '~' : '-',
                       (*c.object)["metadata"]["name"].as_string());
  return out;
}

TEST(InformerCore, TellsTheDifferenceWhenItListsAgain) {
  InformerCore core("v1", "Pod");
  EXPECT_EQ(told(core.page(list(pod("a", "1") + "," + pod("b", "2"), "5"), true)), "+a +b ");
  EXPECT_EQ((*core.objects().at({"default", "a"}))["kind"].as_string(), "Pod");
  EXPECT_EQ(told(core.page(list(pod("a", "1") + "," + pod("c", "8"), "9"), true)), "+c -b ");
  EXPECT_EQ(core.version(), "9");
}

TEST(InformerCore, KeepsWhatEarlierPagesListed) {
  InformerCore core("v1", "Pod");
  core.page(list(pod("a", "1"), "5"), false);
  EXPECT_EQ(told(core.page(list(pod("b", "2"), "5"), true)), "+b ");
  EXPECT_EQ(core.objects().size(), 2u);
}

TEST(InformerCore, ReadsEventsSplitAtEveryByte) {
  InformerCore core("v1", "Pod");
  core.page(list(pod("a", "1"), "1"), true);
  std::string stream = R"({"type":"ADDED","object":)" + pod("b", "2") + "}\n" + R"({"type":"MODIFIED","object":)" + pod("a", "3") +
                       "}\n" + R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}})" + "\n" +
                       R"({"type":"DELETED","object":)" + pod("b", "8") + "}\n";
  std::vector<InformerCore::Change> changes;
  for (char c : stream) ASSERT_TRUE(core.feed(std::string_view(&c, 1), changes));
  EXPECT_EQ(told(changes), "+b ~a -b ");
  EXPECT_EQ(core.version(), "8");
}

TEST(InformerCore, SaysExpiredWhenHistoryIsGone) {
  InformerCore core("v1", "Pod");
  std::vector<InformerCore::Change> changes;
  auto fed = core.feed(R"({"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}})" "\n", changes);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, base::Code::kExpired);
}

TEST(KubeClient, MapsStatusObjectsToErrors) {
  auto exists = kube_error(409, R"({"kind":"Status","reason":"AlreadyExists","message":"pods \"a\" already exists"})");
  EXPECT_EQ(exists.code, base::Code::kAlreadyExists);
  EXPECT_EQ(exists.message, "pods \"a\" already exists");
  EXPECT_EQ(kube_error(409, "{}").code, base::Code::kConflict);
  EXPECT_EQ(kube_error(503, "").code, base::Code::kUnavailable);
}

TEST(KubeClient, BuildsPathsFromKinds) {
  EXPECT_EQ(*kube_path("pods", "default", "x", "log"), "/api/v1/namespaces/default/pods/x/log");
  EXPECT_EQ(*kube_path("virtualservices.networking.istio.io"), "/apis/networking.istio.io/v1/virtualservices");
  EXPECT_FALSE(kube_path("ponies"));
}

}  // namespace
}  // namespace fairlead::store
