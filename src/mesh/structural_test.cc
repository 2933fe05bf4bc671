#include "mesh/structural.h"

#include <gtest/gtest.h>

namespace fairlead::mesh {
namespace {

base::Value json(std::string_view text) { return *base::parse_json(text); }

std::vector<std::string> texts(const Problems& problems) {
  std::vector<std::string> out;
  for (const auto& p : problems) out.push_back(p.text());
  return out;
}

const char* const kSchema = R"({"type":"object","properties":{"spec":{"type":"object","required":["cron"],"properties":{
  "cron":{"type":"string","pattern":"^\\S+ \\S+$"},"image":{"type":"string","maxLength":5},"mode":{"type":"string","enum":["a","b"]},
  "replicas":{"type":"integer","minimum":1,"maximum":10},"list":{"type":"array","maxItems":2,"items":{"type":"string"}},
  "counts":{"type":"object","additionalProperties":{"type":"integer"}},"either":{"x-kubernetes-int-or-string":true},
  "one":{"type":"object","oneOf":[{"required":["x"]},{"required":["y"]}]}}}}})";

std::vector<std::string> check(std::string_view spec) {
  return texts(check_structural(json(kSchema), json(fmt::format(R"({{"apiVersion":"a/v1","kind":"K","metadata":{{"name":"n"}},"spec":{}}})", spec))));
}

TEST(Structural, AcceptsWhatTheSchemaAllows) {
  EXPECT_TRUE(check(R"({"cron":"a b","image":"x","mode":"a","replicas":10,"list":["x"],"counts":{"a":1},"either":"25%","one":{"x":1}})").empty());
}

TEST(Structural, SaysEverythingThatIsWrongAsKubernetesDoes) {
  EXPECT_EQ(check(R"({"cron":"bad","image":"xxxxxx","mode":"c","replicas":20,"list":["a","b","c"],"counts":{"a":"x"}})"),
            (std::vector<std::string>{R"(spec.cron: Invalid value: "bad": spec.cron in body should match '^\S+ \S+$')",
                                      "spec.image: Too long: may not be more than 5 bytes",
                                      R"(spec.mode: Unsupported value: "c": supported values: "a", "b")",
                                      "spec.replicas: Invalid value: 20: spec.replicas in body should be less than or equal to 10",
                                      "spec.list: Too many: 3: must have at most 2 items",
                                      R"(spec.counts.a: Invalid value: "string": spec.counts.a in body must be of type integer: "string")"}));
  EXPECT_EQ(check("{}"), std::vector<std::string>{"spec.cron: Required value"});
  EXPECT_EQ(check(R"({"cron":"a b","one":{}})"),
            std::vector<std::string>{R"(<nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). Found none valid)"});
}

TEST(Structural, SaysThatRulesWaitForTheFields) {
  const auto schema = json(R"({"type":"object","required":["spec"],"x-kubernetes-validations":[{"rule":"true"}]})");
  EXPECT_EQ(check_structural(schema, json("{}")).back().path, "<nil>");
}

TEST(Definitions, NameStorageAndTypesAreChecked) {
  Problems out;
  validate_definition(json(R"({"metadata":{"name":"xs.y"},"spec":{"group":"g","names":{"plural":"xs"},
      "versions":[{"name":"v1","storage":false,"schema":{"openAPIV3Schema":{"type":"objekt"}}}]}})"), out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].text(), R"(metadata.name: Invalid value: "xs.y": must be spec.names.plural+"."+spec.group)");
  EXPECT_EQ(out[1].path, "spec.validation.openAPIV3Schema.type");
  EXPECT_TRUE(out[2].message.ends_with("must have exactly one version marked as storage version"));
}

}  // namespace
}  // namespace fairlead::mesh
