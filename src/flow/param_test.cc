#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "flow/engine.h"
#include "flow/param_check.h"

namespace fairlead::flow {
namespace {

struct Manual {
  std::int64_t now = 1'700'000'000'000;
  static std::int64_t read(void* self) { return static_cast<Manual*>(self)->now; }
  Engine::Options options() { return {.now_ms = &Manual::read, .clock = this}; }
};

Entry enter(Engine& engine, const Param& value) { return engine.enter("a", {.params = std::array<Param, 1>{value}}); }

TEST(ParamRules, SayWhatIsWrongAndWhichExceptionsAreIgnored) {
  Engine engine;
  const auto problems = engine.load(std::vector<ParamFlowRule>{
      {.resource = "a", .count = 1},
      {.resource = "a", .grade = 2, .param_idx = 0},
      {.resource = "a", .param_idx = 0, .duration_in_sec = 0},
      {.resource = "a", .param_idx = 0, .items = {{"300", 1, "byte"}, {"x", {}, ""}, {"x", -1, ""}, {"", 1, "char"}, {" 1e3f ", 1, "double"}}}});
  EXPECT_EQ(problems, (std::vector<std::string>{
                          "rule 0: paramIdx: must be set, to the argument's position from 0 (or from -1 backwards)",
                          "rule 1: grade: must be 0 (threads) or 1 (QPS)",
                          "rule 2: durationInSec: must be above 0",
                          "rule 3: paramFlowItemList[0].object: must be a whole number from -128 to 127, as classType byte says; the exception is ignored",
                          "rule 3: paramFlowItemList[1].count: must be set; the exception is ignored",
                          "rule 3: paramFlowItemList[2].count: must be 0 or more; the exception is ignored",
                          "rule 3: paramFlowItemList[3].object: must be a character, as classType char says; the exception is ignored"}));
}

TEST(ParamRules, ReadsValuesAsJavaDoes) {
  const auto same = [](const char* text, const char* type, const Param& expected) {
    std::string problem;
    const std::string kept = text;
    return ParamKey(read_param(kept, type, problem)).is(expected) && problem.empty();
  };
  EXPECT_TRUE(same("+7", "int", 7));
  EXPECT_TRUE(same("-7", "java.lang.Long", std::int64_t{-7}));
  EXPECT_TRUE(same("-1.5D", "double", -1.5));
  EXPECT_TRUE(same("-Infinity", "float", -std::numeric_limits<float>::infinity()));
  EXPECT_TRUE(same("NaN", "double", std::nan("1")));
  EXPECT_TRUE(same("yes", "boolean", false));
  EXPECT_TRUE(same("\xF0\x9F\x98\x80", "char", u'\xD83D'));
  EXPECT_FALSE(same("7", "int", std::int64_t{7}));
  EXPECT_FALSE(same("0.0", "double", -0.0));
  for (const char* text : {"", "+", "0x1", "1 ", "--1", "2147483648"}) EXPECT_FALSE(same(text, "int", 1)) << text;
  for (const char* text : {"", "+-1", "inf", "nan", "1e", "f"}) EXPECT_FALSE(same(text, "double", 1.0)) << text;
}

TEST(ParamRules, KeepWhatAnEqualRuleHasCounted) {
  Manual clock;
  Engine engine(clock.options());
  std::vector<ParamFlowRule> rules{{.resource = "a", .param_idx = 0, .count = 1}};
  engine.load(rules);
  EXPECT_TRUE(enter(engine, "x"));
  rules.insert(rules.begin(), {.resource = "a", .param_idx = 5, .count = 0});
  engine.load(rules);
  Entry refused = enter(engine, "x");
  EXPECT_EQ(refused.verdict(), Verdict::ParamFlow);
  EXPECT_EQ(refused.rule(), 1);
  EXPECT_EQ(to_string(refused.verdict()), "param flow");
  rules[1].count = 2;
  engine.load(rules);
  EXPECT_TRUE(enter(engine, "x"));
}

TEST(ParamRules, CountNegativeIndexesFromTheEndOfEachCall) {
  Manual clock;
  Engine engine(clock.options());
  engine.load(std::vector<ParamFlowRule>{{.resource = "a", .param_idx = -1, .count = 1}});
  const std::array<Param, 2> two{1, "x"};
  const std::array<Param, 1> one{"x"};
  EXPECT_TRUE(engine.enter("a", {.params = two}));
  EXPECT_FALSE(engine.enter("a", {.params = one}));
  EXPECT_TRUE(engine.enter("a"));
}

// The first value is forgotten while it still counts: that is said, and the next time it counts anew.
TEST(ParamRules, TellWhenAValueThatCountsIsForgotten) {
  Manual clock;
  auto options = clock.options();
  options.max_param_values = 2;
  Engine engine(options);
  std::vector<std::string> told;
  engine.on_limit([&](Limit limit, std::string_view resource, std::uint64_t times) {
    told.push_back(std::string(to_string(limit)) + " " + std::string(resource) + " " + std::to_string(times));
  });
  engine.load(std::vector<ParamFlowRule>{{.resource = "a", .param_idx = 0, .count = 1}});
  EXPECT_TRUE(enter(engine, "x"));
  EXPECT_TRUE(enter(engine, "y"));
  EXPECT_FALSE(enter(engine, "x"));
  EXPECT_TRUE(enter(engine, "z"));
  EXPECT_TRUE(enter(engine, "y"));
  EXPECT_EQ(engine.limit_hits(Limit::ParamValues), 2U);
  clock.now += 1001;
  EXPECT_TRUE(enter(engine, "w"));
  EXPECT_EQ(engine.limit_hits(Limit::ParamValues), 2U) << "what would be full again is forgotten without loss";
  EXPECT_EQ(told, (std::vector<std::string>{"values of a parameter a 1", "values of a parameter a 2"}));
}

TEST(ParamRules, CheckValuesBeyondTheLimitOfThreadsTogether) {
  Manual clock;
  auto options = clock.options();
  options.max_param_threads = 1;
  Engine engine(options);
  engine.load(std::vector<ParamFlowRule>{{.resource = "a", .grade = kGradeThread, .param_idx = 0, .count = 1}});
  {
    Entry x = enter(engine, "x"), y = enter(engine, "y");
    EXPECT_TRUE(x && y);
    EXPECT_FALSE(enter(engine, "x"));
    EXPECT_FALSE(enter(engine, "z")) << "shares a count with y";
    EXPECT_EQ(engine.limit_hits(Limit::ParamThreads), 1U);
    Entry moved = std::move(x);
    EXPECT_FALSE(enter(engine, "x"));
    std::thread([ended = std::move(moved)]() mutable { ended.leave(); }).join();
    EXPECT_TRUE(enter(engine, "x"));
  }
  EXPECT_TRUE(enter(engine, "z"));
}

TEST(ParamRules, EndCallsOfRulesThatAreGone) {
  Manual clock;
  Engine engine(clock.options());
  const std::vector<ParamFlowRule> rules{{.resource = "a", .grade = kGradeThread, .param_idx = 0, .count = 1}};
  engine.load(rules);
  Entry first = enter(engine, "x");
  engine.load(std::vector<ParamFlowRule>{});
  EXPECT_TRUE(enter(engine, "x"));
  engine.load(rules);
  EXPECT_FALSE(enter(engine, "x"));
  first.leave();
  EXPECT_TRUE(enter(engine, "x"));
}

TEST(ParamRules, AreSwappedWhileOthersCheck) {
  Engine engine;
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&, i] {
      for (std::int64_t n = i; !stop.load(); ++n) {
        const std::array<Param, 2> params{n % 100, "x"};
        Entry entry = engine.enter("a", {.params = params});
        EXPECT_TRUE(entry);
      }
    });
  for (int i = 0; i < 300; ++i)
    engine.load(std::vector<ParamFlowRule>{{.resource = "a", .param_idx = 0, .count = 1e15}, {.resource = "a", .grade = kGradeThread, .param_idx = i % 2, .count = 10}});
  stop = true;
  threads.clear();
  engine.load(std::vector<ParamFlowRule>{{.resource = "a", .grade = kGradeThread, .param_idx = 1, .count = 1}});
  EXPECT_TRUE(engine.enter("a", {.params = std::array<Param, 2>{0, "x"}})) << "nothing is left in progress";
}

}  // namespace
}  // namespace fairlead::flow
