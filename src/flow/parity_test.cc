// Replays the recorded sequences of tests/flow/ and compares every answer with that of Sentinel 1.8.8 (tests/flow/README.md).
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <deque>
#include <fstream>
#include <map>
#include <sstream>

#include "flow/engine.h"
#include "flow/gateway.h"
#include "flow/regex.h"
#include "flow/rules_json.h"

namespace fairlead::flow {
namespace {

// Arguments as the sequences write them.
struct Arguments {
  explicit Arguments(const std::string& text) {
    std::istringstream in(text);
    for (std::string word; std::getline(in, word, ',');) {
      if (word[0] != '[') {
        values.push_back(value(word));
        continue;
      }
      std::vector<Param>& list = lists.emplace_back();
      std::istringstream inner(word.substr(1));
      for (std::string each; std::getline(inner, each, '|');) list.push_back(value(each));
      values.emplace_back(std::span<const Param>(list));
    }
  }
  Param value(const std::string& word) {
    const std::string& rest = texts.emplace_back(word.substr(1));
    switch (word[0]) {
      case 'i':
        return std::stoi(rest);
      case 'l':
        return std::int64_t{std::stoll(rest)};
      case 'b':
        return static_cast<std::int8_t>(std::stoi(rest));
      case 'h':
        return static_cast<std::int16_t>(std::stoi(rest));
      case 'd':
        return std::stod(rest);
      case 'f':
        return std::stof(rest);
      case 'c':
        return static_cast<char16_t>(rest[0]);
      case 't':
        return rest == "true";
      case 'n':
        return nullptr;
      default:
        return rest;
    }
  }
  std::deque<std::string> texts;
  std::deque<std::vector<Param>> lists;
  std::vector<Param> values;
};

struct Request : GatewayRequest {
  Request(auto... words) : values{words...} {}
  Value value(std::size_t index) const { return values[index] == "-" ? Value() : values[index]; }
  Value remote_address() const override { return value(0); }
  Value header(std::string_view name) const override { return value(name == "Host" ? 1 : 2); }
  Value url_param(std::string_view) const override { return value(3); }
  Value cookie(std::string_view) const override { return value(4); }
  std::array<std::string, 5> values;
};

class Replay {
 public:
  explicit Replay(int number) : now_(1'700'000'000'000 + std::int64_t{number} * 600'000), engine_({.now_ms = &Replay::clock, .clock = this}) {}

  void line(const std::string& text) {
    std::istringstream in(text);
    std::string kind;
    in >> kind;
    const bool regex = kind.ends_with('*');
    if (regex) kind.pop_back();
    if (kind == "F") {
      FlowRule rule;
      std::string ref;
      in >> rule.resource >> rule.limit_app >> rule.grade >> rule.count >> rule.strategy >> ref >> rule.control_behavior >>
          rule.warm_up_period_sec >> rule.max_queueing_time_ms;
      rule.ref_resource = rule.strategy == kStrategyChain ? "c" + ref : ref;
      rule.regex = regex;
      flow_.push_back(rule);
    } else if (kind == "D") {
      DegradeRule rule;
      in >> rule.resource >> rule.grade >> rule.count >> rule.time_window >> rule.min_request_amount >> rule.slow_ratio_threshold >>
          rule.stat_interval_ms;
      rule.regex = regex;
      degrade_.push_back(rule);
    } else if (kind == "A") {
      AuthorityRule rule;
      in >> rule.resource >> rule.limit_app >> rule.strategy;
      rule.regex = regex;
      authority_.push_back(rule);
    } else if (kind == "P") {
      ParamFlowRule rule;
      std::string items, item;
      int index = 0;
      in >> rule.resource >> index >> rule.grade >> rule.count >> rule.control_behavior >> rule.burst_count >> rule.duration_in_sec >>
          rule.max_queueing_time_ms >> items;
      rule.param_idx = index;
      for (std::istringstream list(items == "-" ? "" : items); std::getline(list, item, ',');) {
        const std::size_t first = item.find(':'), last = item.rfind(':');
        rule.items.push_back({.object = item.substr(first + 1, last - first - 1), .count = std::stoi(item.substr(last + 1)), .class_type = item.substr(0, first)});
      }
      rule.regex = regex;
      params_.push_back(rule);
    } else if (kind == "G") {
      GatewayFlowRule rule;
      std::string parse, pattern;
      int match = 0;
      in >> rule.resource >> rule.resource_mode >> rule.grade >> rule.count >> rule.interval_sec >> rule.control_behavior >> rule.burst >>
          rule.max_queueing_timeout_ms >> parse >> pattern >> match;
      if (parse != "-") rule.param_item = GatewayParamFlowItem{std::stoi(parse), "f", pattern == "-" ? "" : pattern, match};
      gateway_.push_back(rule);
    } else if (kind == "Y") {
      SystemRule rule;
      in >> rule.qps >> rule.avg_rt >> rule.max_thread;
      system_.push_back(rule);
    } else {
      event(kind, in);
    }
  }

  std::string answers;

 private:
  static std::int64_t clock(void* self) { return static_cast<Replay*>(self)->now_; }

  void event(const std::string& kind, std::istringstream& in) {
    if (!std::exchange(loaded_, true)) {
      EXPECT_TRUE(engine_.load(flow_).empty());
      EXPECT_TRUE(engine_.load(degrade_).empty());
      EXPECT_TRUE(engine_.load(authority_).empty());
      for (const std::string& note : engine_.load(params_)) EXPECT_NE(note.find("the exception is ignored"), std::string::npos) << note;
      engine_.load(system_);
      engine_.load(gateway_);
      requests_ = std::make_unique<Gateway>(gateway_, std::vector<ApiDefinition>{});
    }
    std::int64_t step = 0;
    in >> step;
    now_ += step;
    if (kind == "X") {
      int id = 0, failed = 0;
      in >> id >> failed;
      if (const auto found = running_.find(id); found != running_.end()) {
        if (failed != 0) found->second.trace();
        running_.erase(found);
      }
      return;
    }
    if (kind == "B") return burst(in);
    if (kind == "S") return look(in);
    if (kind == "M") return seconds(in);
    std::string resource, context, origin, words;
    int count = 0, flags = 0, id = 0;
    in >> resource >> context >> origin >> count >> flags >> id >> words;
    Arguments arguments(kind == "Q" ? "" : words);
    Request request{words, "", "", "", ""};
    if (kind == "Q") {
      for (std::size_t i = 1; i < 5; ++i) in >> request.values[i];
      requests_->params(resource, kResourceRoute, request, arguments.values);
    }
    context = "c" + context;
    if (origin == "-") origin.clear();
    Entry entry = engine_.enter(
        resource, {.context = context, .origin = origin, .count = count, .prioritized = (flags & 1) != 0, .inbound = (flags & 2) != 0,
                   .params = arguments.values});
    if (!answers.empty()) answers += ' ';
    switch (entry.verdict()) {
      case Verdict::Pass:
        answers += entry.wait_ns() == 0 ? "." : "w" + std::to_string(entry.wait_ns());
        running_.emplace(id, std::move(entry));
        break;
      case Verdict::Flow:
        answers += "F" + std::to_string(entry.rule());
        break;
      case Verdict::Degrade:
        answers += "D" + std::to_string(entry.rule());
        break;
      case Verdict::Authority:
        answers += "A" + std::to_string(entry.rule());
        break;
      case Verdict::Gateway:
        answers += "G" + std::to_string(entry.rule());
        break;
      case Verdict::ParamFlow:
        answers += "P" + std::to_string(entry.rule());
        break;
      default:
        answers += entry.verdict() == Verdict::SystemQps ? "Yqps" : entry.verdict() == Verdict::SystemThread ? "Ythread" : "Yrt";
    }
  }

  void burst(std::istringstream& in) {
    std::string resource;
    int from = 0, count = 0, passed = 0;
    in >> resource >> from >> count;
    for (int i = from; i < from + count; ++i) {
      const std::string text = "v" + std::to_string(i);
      const std::array<Param, 1> params{text};
      if (engine_.enter(resource, {.params = params})) ++passed;
    }
    answers += (answers.empty() ? "" : " ") + std::to_string(passed);
  }

  void look(std::istringstream& in) {
    std::string what, name, of;
    in >> what >> name >> of;
    std::optional<Statistics> found;
    const auto pick = [&](const std::string& key, const auto& list) {
      for (const auto& each : list)
        if (each.name == key) found = each.values;
    };
    if (what == "r") pick(name, engine_.statistics());
    else if (what == "o") pick(of, engine_.origins(name));
    else if (what == "c") pick("c" + of, engine_.contexts(name));
    else pick("c" + name, engine_.tree().children);
    if (!found && what == "e") found = Statistics{};  // in the recording entrances stay from one sequence to the next
    answers += answers.empty() ? "" : " ";
    if (!found) {
      answers += '-';
      return;
    }
    const Statistics& s = *found;
    const bool entrance = what == "e";
    for (const std::int64_t value : {s.threads, s.pass, s.block, s.success, entrance ? -1 : s.exception, std::int64_t{std::llround(s.average_rt_ms * 1000)}, s.minute_pass,
                                     s.minute_block, entrance ? -1 : s.minute_exception})
      answers += std::to_string(value) + "/";
    answers.pop_back();
  }

  void seconds(std::istringstream& in) {
    std::string name, text;
    in >> name;
    std::int64_t& after = seen_.try_emplace(name, -1).first->second;
    for (const Metric& each : engine_.metrics(after)) {
      if (each.resource != name) continue;
      after = each.time_ms;
      text += text.empty() ? "" : "+";
      for (const std::int64_t value : {(each.time_ms - 1'700'000'000'000) / 1000, each.pass, each.block, each.success, each.exception, each.rt_ms, each.occupied})
        text += std::to_string(value) + "/";
      text.pop_back();
    }
    answers += (answers.empty() ? "[" : " [") + text + "]";
  }

  std::int64_t now_;
  Engine engine_;
  std::map<std::string, std::int64_t> seen_;
  bool loaded_ = false;
  std::vector<FlowRule> flow_;
  std::vector<DegradeRule> degrade_;
  std::vector<AuthorityRule> authority_;
  std::vector<SystemRule> system_;
  std::vector<ParamFlowRule> params_;
  std::vector<GatewayFlowRule> gateway_;
  std::unique_ptr<Gateway> requests_;
  std::map<int, Entry> running_;
};

class Parity : public testing::TestWithParam<const char*> {};

TEST_P(Parity, EveryAnswerIsThatOfSentinel) {
  const std::string base = std::string(FAIRLEAD_SOURCE_DIR) + "/tests/flow/";
  std::ifstream sequences(base + "sequences/" + GetParam() + ".txt"), answers(base + "answers/" + GetParam() + ".txt");
  ASSERT_TRUE(sequences && answers);
  std::string line, step, expected;
  int number = 0, wrong = 0;
  while (std::getline(sequences, line)) {
    Replay replay(++number);
    std::istringstream steps(line);
    while (std::getline(steps, step, ';')) replay.line(step);
    ASSERT_TRUE(std::getline(answers, expected));
    if (replay.answers == expected) continue;
    if (++wrong <= 2) {
      EXPECT_EQ(replay.answers, expected) << "sequence " << number << ": " << line;
    }
  }
  EXPECT_EQ(wrong, 0) << "of " << number << " sequences";
  EXPECT_GE(number, std::string_view(GetParam()) == "param_many" ? 40 : 200);
}

// Hands each line of the sequences on with the answer to it.
void each_line(const std::string& name, auto compare) {
  const std::string base = std::string(FAIRLEAD_SOURCE_DIR) + "/tests/flow/";
  std::ifstream lines(base + "sequences/" + name + ".txt"), answers(base + "answers/" + name + ".txt");
  std::string line, answer;
  int number = 0;
  while (std::getline(lines, line)) {
    ++number;
    ASSERT_TRUE(std::getline(answers, answer));
    SCOPED_TRACE("line " + std::to_string(number) + ": " + line);
    compare(line, answer);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(number, 1000);
}

template <class Rule>
std::string as_sentinel(const std::string& json) {
  const RuleList<Rule> list = read_rules<Rule>(json);
  std::map<int, std::string> words;
  for (const auto& each : list.rules) {
    const std::string text = print_rules<Rule>({each});
    words[each.index] = text.substr(1, text.size() - 2);
  }
  for (const RuleFault& fault : list.faults) {
    EXPECT_GE(fault.index, 0) << fault.sentence();
    EXPECT_TRUE(words.emplace(fault.index, "-").second) << "both valid and not: " << fault.sentence();
  }
  std::string all;
  for (const auto& [index, word] : words) all += (all.empty() ? "" : "\t") + word;
  return all;
}

TEST(RulesParity, EachRuleIsReadJudgedAndPrintedAsBySentinel) {
  each_line("rules", [](const std::string& line, const std::string& answer) {
    const std::size_t space = line.find(' ');
    const std::string kind = line.substr(0, space), json = line.substr(space + 1);
    if (kind == "flow") {
      EXPECT_EQ(as_sentinel<FlowRule>(json), answer);
    } else if (kind == "degrade") {
      EXPECT_EQ(as_sentinel<DegradeRule>(json), answer);
    } else if (kind == "authority") {
      EXPECT_EQ(as_sentinel<AuthorityRule>(json), answer);
    } else if (kind == "system") {
      EXPECT_EQ(as_sentinel<SystemRule>(json), answer);
    } else if (kind == "gateway") {
      EXPECT_EQ(as_sentinel<GatewayFlowRule>(json), answer);
    } else {
      EXPECT_EQ(as_sentinel<ParamFlowRule>(json), answer);
    }
  });
}

TEST(RegexParity, EachExpressionMatchesWhatItMatchesInJava) {
  each_line("patterns", [](const std::string& line, const std::string& answer) {
    std::istringstream parts(line);
    std::string expression, text, problem, found;
    std::getline(parts, expression, '\t');
    const auto regex = Regex::compile(expression, problem);
    EXPECT_EQ(!regex, answer == "!") << problem;
    if (!regex) return;
    while (std::getline(parts, text, '\t')) found += regex->matches(text) ? '1' : '0';
    EXPECT_EQ(found, answer);
  });
}

TEST(PathPatternParity, EachPatternTakesWhatItTakesInSpring) {
  each_line("paths", [](const std::string& line, const std::string& answer) {
    std::istringstream parts(line);
    std::string pattern, path, problem, found;
    std::getline(parts, pattern, '\t');
    const auto compiled = PathPattern::compile(pattern, problem);
    ASSERT_TRUE(compiled) << problem;
    for (std::size_t i = 0; i < answer.size(); ++i) {
      path.clear();
      std::getline(parts, path, '\t');
      found += compiled->matches(path) ? '1' : '0';
    }
    EXPECT_EQ(found, answer);
  });
}

INSTANTIATE_TEST_SUITE_P(Kinds, Parity,
                         testing::Values("reject", "thread", "origin", "relation", "warmup", "throttle", "warmup_throttle", "priority",
                                         "degrade", "authority", "system", "param_reject", "param_throttle", "param_thread", "param_value",
                                         "param_mixed", "param_many", "regex", "gateway", "statistics"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace fairlead::flow
