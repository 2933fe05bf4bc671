#include "console/rule_kinds.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "console/rule_documents.h"

namespace fairlead::console {
namespace {

using base::Value;
using store::RuleKind;

// Names of members, "a.b" within objects; lists by the list's own name.
void names_in(const Value& object, const std::string& prefix, std::set<std::string>& out) {
  for (const base::Member& member : object.members()) {
    if (member.value.is_object()) names_in(member.value, prefix + member.key + ".", out);
    else out.insert(prefix + member.key);
  }
}

const Value& description(RuleKind kind) {
  for (const Value& each : rule_kinds().items())
    if (each["kind"].as_string() == api_name(kind)) return each;
  ADD_FAILURE();
  return rule_kinds();
}

TEST(RuleKinds, DescribeEveryFieldThatIsReadAndNoOther) {
  // A rule of each kind with everything set, printed by the reader's own list of fields.
  flow::FlowRule flow{.resource = "a", .ref_resource = "b", .cluster_config = flow::ClusterFlowConfig{.flow_id = 1}};
  flow::ParamFlowRule param{.resource = "a", .param_idx = 0, .cluster_config = flow::ParamFlowClusterConfig{.flow_id = 1}};
  flow::GatewayFlowRule gateway{.resource = "a", .param_item = flow::GatewayParamFlowItem{.field_name = "f", .pattern = "p"}};
  const std::pair<RuleKind, std::string> printed[] = {
      {RuleKind::Flow, flow::print_rules<flow::FlowRule>({{.rule = flow}})},
      {RuleKind::Degrade, flow::print_rules<flow::DegradeRule>({{.rule = {.resource = "a"}}})},
      {RuleKind::ParamFlow, flow::print_rules<flow::ParamFlowRule>({{.rule = param}})},
      {RuleKind::System, flow::print_rules<flow::SystemRule>({{.rule = {}}})},
      {RuleKind::Authority, flow::print_rules<flow::AuthorityRule>({{.rule = {.resource = "a", .limit_app = "b"}}})},
      {RuleKind::GatewayFlow, flow::print_rules<flow::GatewayFlowRule>({{.rule = gateway}})},
      {RuleKind::GatewayApi, flow::print_rules<flow::ApiDefinition>({{.rule = {.api_name = "a", .predicate_items = {}}}})},
  };
  for (const auto& [kind, text] : printed) {
    std::set<std::string> read, described;
    const auto document = base::parse_json(text);
    names_in(document->items()[0], "", read);
    for (const Value& field : description(kind)["fields"].items()) described.insert(field["name"].as_string());
    EXPECT_EQ(read, described) << api_name(kind);
  }
}

TEST(RuleKinds, DefaultsAreTheEngines) {
  for (RuleKind kind : store::kRuleKinds) {
    Value all = Value::object();
    for (const Value& field : description(kind)["fields"].items()) {
      const std::string& name = field["name"].as_string();
      if (name.find('.') != std::string::npos) continue;
      if (!field["default"].is_null()) all.set(name, field["default"]);
    }
    // With the defaults written down, and with nothing but what is required: the same rule.
    Value least = Value::object();
    for (Value* each : {&all, &least}) {
      if (!key_field(kind).empty()) each->set(key_field(kind), "a");
      if (kind == RuleKind::Authority) each->set("limitApp", "x");
      if (kind == RuleKind::ParamFlow) each->set("paramIdx", 0);
      if (kind == RuleKind::Degrade) each->set("timeWindow", 1);
    }
    const std::string one = Value::array({all}).dump(), other = Value::array({least}).dump();
    EXPECT_TRUE(read_document(kind, one).faults.empty()) << one << read_document(kind, one).faults[0].sentence();
    EXPECT_TRUE(compare_rules(kind, one, other).none()) << one << " " << other;
  }
}

TEST(RuleKinds, ConditionsNameFieldsAndTheirValues) {
  for (RuleKind kind : store::kRuleKinds) {
    std::set<std::string> names;
    for (const Value& field : description(kind)["fields"].items()) names.insert(field["name"].as_string());
    names.insert("clusterMode");
    for (const Value& field : description(kind)["fields"].items()) {
      EXPECT_FALSE(field["title"]["zh"].as_string().empty());
      EXPECT_FALSE(field["help"]["zh"].as_string().empty());
      if (field["type"].as_string() == "enum") {
        EXPECT_GT(field["options"].size(), 1u) << field["name"].as_string();
      }
      for (const Value& condition : field["shown_when"].items()) EXPECT_TRUE(names.contains(condition["field"].as_string())) << condition.dump();
    }
  }
}

// Every sentence about a bad rule has a Chinese one.
TEST(RuleKinds, FaultsSpeakChinese) {
  const auto known = known_remedies();
  int found = 0;
  for (const char* file : {"/src/flow/rules.cc", "/src/flow/rules_json.cc"}) {
    std::ifstream in(std::string(FAIRLEAD_SOURCE_DIR) + file);
    std::stringstream text;
    text << in.rdbuf();
    std::string source = text.str();
    // What is ignored is a warning, and those are in English.
    for (std::size_t at; (at = source.find("std::vector<std::string> ignored(")) != std::string::npos;) source.erase(at, source.find("\n}\n", at) - at);
    const std::regex literal(R"re("(?:[A-Za-z.]+: )?((?:must|is not)[^"]*)")re");
    for (auto at = std::sregex_iterator(source.begin(), source.end(), literal); at != std::sregex_iterator(); ++at) {
      std::string remedy = (*at)[1];
      if (remedy.ends_with("from ") || remedy.ends_with(": ")) remedy += "x";
      EXPECT_NE(fault_text(remedy, Language::Chinese), remedy) << remedy;
      ++found;
    }
  }
  EXPECT_GT(found, 30);
  EXPECT_EQ(fault_text("must be a whole number from 0 to 5", Language::Chinese), "须为整数，范围 0 to 5");
  EXPECT_EQ(fault_text("must be a number", Language::English), "must be a number");
}

TEST(Language, FollowsTheReadersPreference) {
  EXPECT_EQ(language_of("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
  EXPECT_EQ(language_of("en-US,zh;q=0.9"), Language::English);
  EXPECT_EQ(language_of("fr, zh;q=0.5"), Language::Chinese);
  EXPECT_EQ(language_of(""), Language::English);
}

}  // namespace
}  // namespace fairlead::console
