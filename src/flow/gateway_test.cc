#include "flow/gateway.h"

#include <gtest/gtest.h>

#include <map>

#include "flow/engine.h"
#include "flow/rules_json.h"

namespace fairlead::flow {
namespace {

struct Request : GatewayRequest {
  std::map<std::string, std::string, std::less<>> values;
  Value value(const std::string& kind, std::string_view name) const {
    const auto found = values.find(kind + std::string(name));
    return found == values.end() ? Value() : Value(found->second);
  }
  Value remote_address() const override { return value("ip", ""); }
  Value header(std::string_view name) const override { return value("header ", name); }
  Value url_param(std::string_view name) const override { return value("param ", name); }
  Value cookie(std::string_view name) const override { return value("cookie ", name); }
};

TEST(Gateway, FindsTheValuesThatRulesCount) {
  const auto rule = [](int parse, const char* field, const char* pattern = "", int match = kMatchExact, int mode = kResourceRoute) {
    return GatewayFlowRule{.resource = "r", .resource_mode = mode, .count = 1, .param_item = GatewayParamFlowItem{parse, field, pattern, match}};
  };
  const std::vector rules{GatewayFlowRule{.resource = "r", .count = 1}, rule(kParseClientIp, ""), rule(kParseHost, "", "demo", kMatchContains), rule(kParseHeader, "x", "v[0-9]", kMatchRegex),
                          rule(kParseUrlParam, "q"), rule(kParseCookie, "c", "", kMatchExact, kResourceApi), rule(kParseCookie, "c"), rule(kParseHeader, "")};
  const Gateway gateway(rules, {});
  Request request;
  request.values = {{"ip", "10.0.0.1"}, {"header Host", "demo.org"}, {"header x", "w1"}, {"cookie c", "id"}};
  std::vector<Param> params;
  gateway.params("r", kResourceRoute, request, params);
  ASSERT_EQ(params.size(), 7U);
  EXPECT_EQ(params[0].text(), "10.0.0.1");
  EXPECT_EQ(params[1].text(), "demo.org");
  EXPECT_EQ(params[2].text(), "$NM");
  EXPECT_EQ(params[3].type(), Param::Type::None);
  EXPECT_EQ(params[4].type(), Param::Type::None) << "of the API of that name";
  EXPECT_EQ(params[5].text(), "id");
  EXPECT_EQ(params[6].text(), "$D");
  gateway.params("other", kResourceRoute, request, params);
  EXPECT_TRUE(params.empty());

  Engine engine;
  EXPECT_EQ(engine.load(rules), (std::vector<std::string>{"rule 7: paramItem.fieldName: must be set for a header, a URL parameter or a cookie"}));
  gateway.params("r", kResourceRoute, request, params);
  EXPECT_TRUE(engine.enter("r", {.params = params}));
  const Entry refused = engine.enter("r", {.params = params});
  EXPECT_EQ(refused.verdict(), Verdict::Gateway);
  EXPECT_EQ(refused.rule(), 1);
}

TEST(Gateway, PicksTheApisOfAPath) {
  const auto list = read_rules<ApiDefinition>(R"([{"apiName": "orders", "predicateItems": [{"pattern": "/orders"}, {"pattern": "/orders/**", "matchStrategy": 1}]},
    {"apiName": "ids", "predicateItems": [{"pattern": "/[a-z]+/\\d+", "matchStrategy": 2}]}, {"apiName": " ", "predicateItems": []},
    {"apiName": "never", "predicateItems": [{"pattern": "/orders", "matchStrategy": 1}, {"pattern": ""}, {"pattern": "(", "matchStrategy": 2}]}])");
  ASSERT_EQ(list.faults.size(), 1U);
  EXPECT_EQ(list.faults[0].sentence(), "rule 2: apiName: must not be blank");
  EXPECT_EQ(ignored(list.rules[2].rule), (std::vector<std::string>{"predicateItems[0].pattern: has no wildcard, so it takes no path; write /orders/**",
                                                                    "predicateItems[1].pattern: must not be blank; it takes no path",
                                                                    "predicateItems[2].pattern: at character 2: '(' without ')'; it takes no path"}));
  const Gateway gateway({}, list.plain());
  std::vector<std::string_view> names;
  const auto apis = [&](std::string_view path) {
    gateway.apis(path, names);
    return names;
  };
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(apis("/orders"), (Names{"orders"}));
  EXPECT_EQ(apis("/orders/7"), (Names{"orders", "ids"}));
  EXPECT_EQ(apis("/users/7"), (Names{"ids"}));
  EXPECT_EQ(apis("/"), Names{});
}

TEST(Gateway, TellsPatternsThatAreNotActedOn) {
  const auto notes = [](const char* pattern, int match) {
    return ignored(GatewayFlowRule{.resource = "r", .param_item = GatewayParamFlowItem{kParseClientIp, "", pattern, match}});
  };
  EXPECT_EQ(notes("10.", kMatchPrefix),
            (std::vector<std::string>{"paramItem.matchStrategy: is not acted on (nor is it in Sentinel): every value counts; write 2 and a regular expression"}));
  EXPECT_EQ(notes("(", kMatchRegex), (std::vector<std::string>{"paramItem.pattern: is not a regular expression that can be used: at character 2: '(' without ')'; every value counts"}));
  EXPECT_TRUE(notes("", kMatchPrefix).empty());
}

}  // namespace
}  // namespace fairlead::flow
