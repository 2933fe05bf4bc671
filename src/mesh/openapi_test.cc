#include "mesh/openapi.h"

#include <gtest/gtest.h>

#include "mesh/validate.h"

namespace fairlead::mesh {
namespace {

TEST(OpenApi, DescribesAPodWithMergeKeysAndPaths) {
  auto doc = openapi_v3("", "v1");
  const auto& schemas = doc["components"]["schemas"];
  const auto& ports = schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
  EXPECT_EQ(ports["x-kubernetes-patch-merge-key"].as_string(), "containerPort");
  const auto& patch = doc["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
  EXPECT_EQ(patch["x-kubernetes-group-version-kind"]["kind"].as_string(), "Pod");
  EXPECT_TRUE(patch["requestBody"]["content"].contains("application/strategic-merge-patch+json"));
  EXPECT_TRUE(openapi_v3("nosuch", "v1").is_null());
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  for (auto [group, version] : {std::pair{"", "v1"}, {"apps", "v1"}, {"networking.istio.io", "v1"}, {"apiextensions.k8s.io", "v1"}}) {
    auto doc = openapi_v3(group, version);
    std::string text = doc.dump();
    const std::string key = "\"#/components/schemas/";
    for (size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1)) {
      size_t begin = at + key.size();
      std::string name = text.substr(begin, text.find('"', begin) - begin);
      EXPECT_TRUE(doc["components"]["schemas"].contains(name)) << name;
    }
  }
}

TEST(OpenApi, CustomResourceDefinitionsAreValidThemselves) {
  for (auto crd : crd_objects()) {
    std::string text;
    for (const auto& p : check_document(crd)) text += p.text() + "\n";
    EXPECT_EQ(text, "") << crd["metadata"]["name"].as_string();
  }
}

TEST(OpenApi, ProtobufDocumentIsWellFormedAndEmpty) {
  std::string doc = openapi_v2_protobuf();
  for (size_t at = 0; at < doc.size();) {
    ASSERT_LT(at + 1, doc.size());
    EXPECT_EQ(doc[at] & 7, 2);
    at += 2 + static_cast<unsigned char>(doc[at + 1]);
    EXPECT_LE(at, doc.size());
  }
}

}  // namespace
}  // namespace fairlead::mesh
