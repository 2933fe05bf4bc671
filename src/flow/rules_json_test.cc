#include "flow/rules_json.h"

#include <gtest/gtest.h>

#include "flow/json.h"

namespace fairlead::flow {
namespace {

template <class Rule>
std::vector<std::string> faults(std::string_view json) {
  std::vector<std::string> sentences;
  for (const RuleFault& fault : read_rules<Rule>(json).faults) sentences.push_back(fault.sentence());
  return sentences;
}

using Sentences = std::vector<std::string>;

TEST(RulesJson, KeepsGoodRulesAndSaysWhatIsWrongWithTheOthers) {
  const auto list = read_rules<FlowRule>(R"([{"resource": "a", "count": "x", "grade": 1.5, "regex": "yes"}, {"resource": "b", "count": 2},
    {"resource": "", "count": 1}, 7, {"resource": "c", "clusterMode": true, "clusterConfig": {"flowId": [], "new": 1}}])");
  ASSERT_EQ(list.rules.size(), 1U);
  EXPECT_EQ(list.rules[0].index, 1);
  EXPECT_EQ(list.plain(), (std::vector{FlowRule{.resource = "b", .count = 2}}));
  Sentences sentences;
  for (const RuleFault& fault : list.faults) sentences.push_back(fault.sentence());
  EXPECT_EQ(sentences, (Sentences{"rule 0: count: must be a number", "rule 0: grade: must be a whole number from -2147483648 to 2147483647",
                                  "rule 0: regex: must be true or false", "rule 2: resource: must not be blank", "rule 3: must be an object",
                                  "rule 4: clusterConfig.flowId: must be a whole number from -9223372036854775808 to 9223372036854775807"}));
  ASSERT_EQ(list.notes.size(), 1U);
  EXPECT_EQ(list.notes[0].sentence(), "rule 4: clusterConfig.new: is not known and not kept");
}

TEST(RulesJson, SaysWhereADocumentIsBroken) {
  EXPECT_EQ(faults<SystemRule>("[{},\n {\"qps\": 1,}]"), (Sentences{"line 2, column 12: a name in double quotes is missing"}));
  EXPECT_EQ(faults<SystemRule>("{}"), (Sentences{"the document must be a list of rules: [{...}, {...}]"}));
  EXPECT_EQ(faults<SystemRule>("[] x"), (Sentences{"line 1, column 4: something after the end of the document; remove it"}));
  EXPECT_EQ(faults<SystemRule>("[01]"), (Sentences{"line 1, column 3: ',' or ']' is missing"}));
  EXPECT_EQ(faults<SystemRule>("[\"\\ud800\"]"), (Sentences{"line 1, column 9: half a pair of \\u escapes"}));
  EXPECT_EQ(faults<SystemRule>("[\"\xC3(\"]"), (Sentences{"line 1, column 3: bytes that are not UTF-8"}));
  EXPECT_EQ(faults<SystemRule>(std::string(100, '[')), (Sentences{"line 1, column 66: more than 64 levels within each other"}));
  EXPECT_TRUE(faults<SystemRule>(" \n").empty());
  EXPECT_TRUE(faults<SystemRule>("null").empty());
}

TEST(RulesJson, PrintsAgainWhatItDoesNotKnow) {
  const std::string text = R"([{"app":"demo","id":12345678901234567890,"gmtCreate":null,"resource":"a","limitApp":"x","extra":{"b":[1.50,"\n\u0001",true]}}])";
  const auto list = read_rules<AuthorityRule>(text);
  EXPECT_EQ(print_rules(list.rules), R"([{"limitApp":"x","regex":false,"resource":"a","strategy":0,"app":"demo","id":12345678901234567890,"gmtCreate":null,)"
                                     R"("extra":{"b":[1.50,"\n\u0001",true]}}])");
  EXPECT_EQ(print_rules(read_rules<AuthorityRule>(print_rules(list.rules)).rules), print_rules(list.rules));
}

TEST(RulesJson, TakesTheLastOfTwoFieldsOfOneNameAndWholeNumbersInAnyForm) {
  const auto list = read_rules<ParamFlowRule>(R"([{"resource":"a","paramIdx":1,"paramIdx":"2","durationInSec":6e1,"paramFlowItemList":[{"object":1,"count":3.0}]}])");
  ASSERT_EQ(list.rules.size(), 1U);
  EXPECT_EQ(list.rules[0].rule, (ParamFlowRule{.resource = "a", .param_idx = 2, .duration_in_sec = 60, .items = {{"1", 3, ""}}}));
}

TEST(Json, PrintsNumbersAsJavaDoes) {
  const auto printed = [](double value) {
    std::string out;
    append_json_number(out, value);
    return out;
  };
  EXPECT_EQ(printed(0), "0.0");
  EXPECT_EQ(printed(-0.001), "-0.001");
  EXPECT_EQ(printed(0.00012), "1.2E-4");
  EXPECT_EQ(printed(9999999), "9999999.0");
  EXPECT_EQ(printed(1e7), "1.0E7");
  EXPECT_EQ(printed(1.7976931348623157e308), "1.7976931348623157E308");
}

TEST(Json, ReadsEscapesOfEveryLength) {
  Json json;
  std::string problem;
  ASSERT_TRUE(read_json(R"("\u0041\u00e9\u4e2d\ud83d\ude00\/")", json, problem)) << problem;
  EXPECT_EQ(json.text, "A\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80/");
}

}  // namespace
}  // namespace fairlead::flow
