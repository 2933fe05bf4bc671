// The calls of src/flow/engine_bench.cc, with the same names, on alibaba/sentinel-cpp. It has no handles: resources go by name.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "sentinel-core/flow/flow_rule_manager.h"
#include "sentinel-core/log/logger.h"
#include "sentinel-core/param/param_flow_rule_manager.h"
#include "sentinel-core/public/sph_u.h"

namespace {

using Sentinel::SphU;

// Each resource has its rules from the start: none, 1, 5, one of 0, one about an argument.
void load_once() {
  static const bool loaded = [] {
    Sentinel::Log::Logger::InitDefaultLogger();
    std::vector<Sentinel::Flow::FlowRule> rules;
    auto add = [&](const char* resource, double count) {
      Sentinel::Flow::FlowRule rule{resource};
      rule.set_count(count);
      rules.push_back(rule);
    };
    add("rules 1", 1e9);
    for (int i = 0; i < 5; ++i) add("rules 5", 1e9 + i);
    add("refused", 0);
    Sentinel::Flow::FlowRuleManager::GetInstance().LoadRules(rules);
    Sentinel::Param::ParamFlowRule by_value{"parameter"};
    by_value.set_param_idx(0);
    by_value.set_threshold(1e9);
    Sentinel::Param::ParamFlowRuleManager::GetInstance().LoadRules({by_value});
    return true;
  }();
  static_cast<void>(loaded);
}

void enter_and_leave(benchmark::State& state) {
  load_once();
  const std::string resource = "rules " + std::to_string(state.range(0));
  for (auto _ : state) {
    auto entry = SphU::Entry(resource);
    if (entry->IsBlocked()) state.SkipWithError("was refused");
    entry->Exit();
  }
}
BENCHMARK(enter_and_leave)->ArgName("rules")->Arg(0)->Arg(1)->Arg(5);
BENCHMARK(enter_and_leave)->ArgName("rules")->Arg(1)->Threads(2);

void enter_with_parameter(benchmark::State& state) {
  load_once();
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("customer " + std::to_string(i));
  std::size_t next = 0;
  for (auto _ : state) {
    auto entry = SphU::Entry("parameter", Sentinel::EntryType::OUT, 1, 0, names[next]);
    next = next + 1 < names.size() ? next + 1 : 0;
    if (entry->IsBlocked()) state.SkipWithError("was refused");
    entry->Exit();
  }
}
BENCHMARK(enter_with_parameter)->Threads(1);

void refused(benchmark::State& state) {
  load_once();
  for (auto _ : state) {
    auto entry = SphU::Entry("refused");
    if (!entry->IsBlocked()) state.SkipWithError("passed");
  }
}
BENCHMARK(refused);

}  // namespace
