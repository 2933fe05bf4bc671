#include "sentinel/commands.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "base/strings.h"

namespace fairlead::sentinel {
namespace {

using flow::Engine;
using flow::FlowRule;

struct Program {
  std::int64_t now = 1'700'000'000'000;
  static std::int64_t read(void* self) { return static_cast<Program*>(self)->now; }
  Engine engine{{.now_ms = &Program::read, .clock = this}};
  Commands commands{engine, {.host = "HOST", .ip = "IP"}};

  Answer run(std::string_view name, const Parameters& parameters = {}) { return commands.run(name, parameters); }
};

// What differs on purpose (README.md) is taken out of both sides.
std::string comparable(const std::string& command, std::string text) {
  text = std::regex_replace(text, std::regex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID");
  text = std::regex_replace(text, std::regex("\"timestamp\":[0-9]+"), "\"timestamp\":0");
  text = std::regex_replace(text, std::regex("\"index\":[0-9]+,"), "");
  if (command.find("type=system") != std::string::npos) text = std::regex_replace(text, std::regex(",\"regex\":false"), "");
  if (command.find(" /api") != std::string::npos) text = std::regex_replace(text, std::regex(",\"desc\":\"[^\"]*\""), "");
  // Lists of Java's hash tables come in any order.
  if (text.find("},{") != std::string::npos && text.find("parentId") == std::string::npos) {
    std::vector<std::string> parts;
    std::string rest = text.substr(text.find('[') + 1);
    rest.pop_back();
    for (std::size_t at = 0; (at = rest.find("},{")) != std::string::npos; rest.erase(0, at + 2)) parts.push_back(rest.substr(0, at + 1));
    parts.push_back(rest);
    std::sort(parts.begin(), parts.end());
    text = text.substr(0, text.find('[')) + base::join(parts, "\n");
  }
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const std::size_t index = std::string_view("\\\n\r\t").find(c);
    if (index == std::string_view::npos) out += c;
    else (out += '\\') += "\\nrt"[index];
  }
  return out;
}

// tests/flow/README.md says what the script is; its answers are those of the Java client.
TEST(Commands, AnswerAsTheJavaClientDoes) {
  const std::string base = FAIRLEAD_SOURCE_DIR "/tests/flow/commands/";
  std::ifstream script(base + "script.txt"), answers(base + "answers.txt");
  ASSERT_TRUE(script && answers);
  Program program;
  std::map<std::string, flow::Entry> calls;
  int asked = 0;
  for (std::string line; std::getline(script, line);) {
    std::vector<std::string> w;
    for (const std::string_view word : base::split(line, ' ')) w.emplace_back(word);
    if (w[0] == "C") {
      program.now += std::stoll(w[1]);
    } else if (w[0] == "E") {
      auto entry = program.engine.enter(w[1], {.context = w[2] == "-" ? "" : w[2], .origin = w[3] == "-" ? "" : w[3], .count = std::stoi(w[4]), .inbound = w[5] == "2"});
      if (entry) calls[w[6]] = std::move(entry);
    } else if (w[0] == "X") {
      if (w[2] == "1") calls[w[1]].trace();
      calls.erase(w[1]);
    } else {
      const bool post = w[0] == "POST";
      std::string expected;
      ASSERT_TRUE(std::getline(answers, expected)) << line;
      const bool typed = post && w[2] != "-";
      const Answer answer = program.commands.serve({.method = w[0], .target = w[1], .content_type = typed ? std::string_view(w[2]) : std::string_view(), .has_content_type = typed,
                                                    .body = post && w.size() > 3 ? std::string_view(w[3]) : std::string_view()});
      EXPECT_EQ(comparable(line, std::to_string(answer.status) + " " + escaped(answer.body)), comparable(line, expected)) << line;
      ++asked;
    }
  }
  EXPECT_GT(asked, 100);
  std::string more;
  EXPECT_FALSE(std::getline(answers, more));
}

TEST(Commands, ABadListChangesNothingAndEveryFaultIsNamed) {
  Program program;
  ASSERT_EQ(program.run("setRules", {{"type", "flow"}, {"data", R"([{"resource":"a","count":1}])"}}).body, "success");
  const std::string before = program.run("getRules", {{"type", "flow"}}).body;
  const Answer answer = program.run("setRules", {{"type", "flow"}, {"data", R"([{"resource":"b","count":1},{"count":-1},{"resource":"c","count":"x"}])"}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("rule 1: resource"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("rule 2: count: must be a number"), std::string::npos) << answer.body;
  EXPECT_EQ(program.run("getRules", {{"type", "flow"}}).body, before);
  for (const char* data : {"null", "{}", "[", "1", "[}", "%5B"}) {
    EXPECT_EQ(program.run("setRules", {{"type", "flow"}, {"data", data}}).status, 400) << data;
    EXPECT_EQ(program.run("setParamFlowRules", {{"data", data}}).status, 400) << data;
    EXPECT_EQ(program.run("gateway/updateApiDefinitions", {{"data", data}}).status, 400) << data;
  }
  EXPECT_EQ(program.run("getRules", {{"type", "flow"}}).body, before);
}

TEST(Commands, FaultsAnsweredAreLimited) {
  Program program;
  std::string data = "[1";
  for (int i = 0; i < 100; ++i) data += ",1";
  const Answer answer = program.run("setRules", {{"type", "flow"}, {"data", data + "]"}});
  EXPECT_EQ(std::count(answer.body.begin(), answer.body.end(), '\n'), 21);
  EXPECT_TRUE(answer.body.ends_with("and 81 more\n")) << answer.body;
}

TEST(Commands, MembersOfOtherNamesAreKept) {
  Program program;
  program.run("setRules", {{"type", "flow"}, {"data", R"([{"resource":"a","count":1,"id":7,"app":"demo"},{"resource":"b","count":1,"gmtCreate":"x"}])"}});
  const std::string rules = program.run("getRules", {{"type", "flow"}}).body;
  EXPECT_NE(rules.find(R"("resource":"a","strategy":0,"warmUpPeriodSec":10,"id":7,"app":"demo"})"), std::string::npos) << rules;
  EXPECT_NE(rules.find(R"("gmtCreate":"x"})"), std::string::npos) << rules;
}

TEST(Commands, RulesThatTheProgramLoadedItselfAreAnsweredToo) {
  Program program;
  program.run("setRules", {{"type", "flow"}, {"data", R"([{"resource":"a","count":1,"id":7}])"}});
  program.engine.load({FlowRule{.resource = "b", .count = 2}, FlowRule{.resource = "a", .count = 1}});
  const std::string rules = program.run("getRules", {{"type", "flow"}}).body;
  EXPECT_LT(rules.find(R"("resource":"b")"), rules.find(R"("resource":"a")")) << rules;
  EXPECT_NE(rules.find(R"("id":7)"), std::string::npos) << rules;
}

TEST(Commands, RulesEncodedOnceMoreAndPlusSignsAreUnderstood) {
  Program program;
  const std::string data = R"([{"resource":"a+b%20","count":1}])";
  Parameters once, twice;
  read_parameters("type=flow&data=" + base::url_encode(data), once);
  read_parameters("type=flow&data=" + base::url_encode(base::url_encode(data)), twice);
  for (const Parameters& parameters : {once, twice}) {
    program.engine.load(std::vector<FlowRule>{});
    EXPECT_EQ(program.run("setRules", parameters).body, "success");
    EXPECT_EQ(program.engine.rules<FlowRule>().at(0).resource, "a+b%20");
  }
}

TEST(Commands, SetRulesAreObeyed) {
  Program program;
  EXPECT_TRUE(program.engine.enter("a"));
  program.run("setRules", {{"type", "flow"}, {"data", R"([{"resource":"a","count":0}])"}});
  EXPECT_FALSE(program.engine.enter("a"));
}

TEST(Commands, TheSwitchTakesTrueAndFalseAlone) {
  Program program;
  for (const char* value : {"", "0", "off", "truely"}) EXPECT_EQ(program.run("setSwitch", {{"value", value}}).status, 400) << value;
  EXPECT_TRUE(program.engine.on());
}

TEST(Commands, ChildrenOfTheTreeNameTheirParents) {
  Program program;
  { const auto entry = program.engine.enter("a", {.context = "web"}); }
  const std::string tree = program.run("jsonTree").body;
  std::vector<std::string> ids, parents;
  for (const std::string_view part : base::split(tree, '}')) {
    const std::string text(part);
    std::smatch match;
    if (std::regex_search(text, match, std::regex("\"id\":\"([^\"]+)\""))) ids.push_back(match[1]);
    if (std::regex_search(text, match, std::regex("\"parentId\":\"([^\"]+)\""))) parents.push_back(match[1]);
  }
  ASSERT_EQ(ids.size(), 4U) << tree;  // the root, two entrances, the resource
  ASSERT_EQ(parents.size(), 3U) << tree;
  EXPECT_EQ(parents, (std::vector{ids[0], ids[0], ids[2]}));
}

TEST(Commands, NamesThatAreNoTextAreAnsweredAsText) {
  Program program;
  { const auto entry = program.engine.enter(std::string_view("a\"\xFF\n\0b", 6)); }
  EXPECT_NE(program.run("clusterNode").body.find(R"("resource":"a\"?\n\u0000b")"), std::string::npos) << program.run("clusterNode").body;
  EXPECT_NE(program.run("cnode", {{"id", "a"}}).body.find("a\"?__b"), std::string::npos);
  EXPECT_NE(program.run("tree").body.find("--a\"?__b(t:0"), std::string::npos);
}

TEST(Commands, MetricAsksTheLogAndAddsLoadAndCpu) {
  Program program;
  program.engine.set_system_status(1.5, 0.25);
  std::vector<MetricQuery> asked;
  Commands commands(program.engine, {.metrics = [&](const MetricQuery& query) {
    asked.push_back(query);
    return std::vector<MetricLine>{{.values = {.time_ms = 1000, .resource = "a", .pass = 2}}};
  }});
  EXPECT_EQ(commands.run("metric", {{"startTime", "5"}, {"endTime", "9"}}).body,
            "1000|a|2|0|0|0|0|0|0|0\n1700000000000|__system_load__|15000|0|0|0|0|0|0|0\n1700000000000|__cpu_usage__|2500|0|0|0|0|0|0|0\n");
  EXPECT_EQ(commands.run("metric", {{"startTime", "5"}, {"endTime", "9"}, {"identity", "a"}}).body, "1000|a|2|0|0|0|0|0|0|0\n");
  commands.run("metric", {{"startTime", "5"}, {"maxLines", "99999999"}});
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_EQ(asked[0].begin_ms, 5);
  EXPECT_EQ(asked[0].end_ms, 9);
  EXPECT_FALSE(asked[0].identity);
  EXPECT_EQ(asked[1].identity, "a");
  EXPECT_FALSE(asked[2].end_ms);
  EXPECT_EQ(asked[2].max_lines, 12000U);
}

TEST(Commands, GatewayRulesAndDefinitionsReachTheProgram) {
  Program program;
  std::vector<flow::GatewayFlowRule> rules;
  std::vector<flow::ApiDefinition> apis;
  Commands commands(program.engine, {.on_gateway = [&](const auto& r, const auto& a) { rules = r, apis = a; }});
  commands.run("gateway/updateApiDefinitions", {{"data", R"([{"apiName":"api","predicateItems":[{"pattern":"/a"}]}])"}});
  commands.run("gateway/updateRules", {{"data", R"([{"resource":"api","resourceMode":1,"count":1}])"}});
  ASSERT_EQ(rules.size(), 1U);
  ASSERT_EQ(apis.size(), 1U);
  EXPECT_EQ(apis[0].api_name, "api");
}

TEST(Commands, ParametersAreLimitedAndReadAsJavaDoes) {
  Parameters parameters;
  read_parameters("a=1&b=&=c&d&e= 2 &a=3&f=%41+%zz&g=1#h=1", parameters);
  EXPECT_EQ(parameters, (Parameters{{"a", "3"}, {"e", "2"}, {"f", "A %zz"}, {"g", "1"}}));
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "p" + std::to_string(i) + "=1&";
  parameters.clear();
  read_parameters(many, parameters);
  EXPECT_EQ(parameters.size(), kMaxParameters);
}

}  // namespace
}  // namespace fairlead::sentinel
