// What a call costs: entering and leaving together, and a refused call, which has nothing to leave.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "flow/engine.h"

namespace {
std::atomic<std::int64_t> allocations{0};
}  // namespace

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace fairlead::flow {
namespace {

Engine& engine(int rules) {
  static Engine none, one, five;
  static const bool loaded = [] {
    one.load({FlowRule{.resource = "orders", .count = 1e9}});
    std::vector<FlowRule> rules;
    for (int i = 0; i < 5; ++i) rules.push_back({.resource = "orders", .count = 1e9 + i});  // equal ones would be taken once
    five.load(rules);
    return true;
  }();
  static_cast<void>(loaded);
  return rules == 0 ? none : rules == 1 ? one : five;
}

void enter_and_leave(benchmark::State& state) {
  Engine& with = engine(static_cast<int>(state.range(0)));
  Resource& resource = with.resource("orders");
  { Entry warm = with.enter(resource); }
  const std::int64_t before = allocations.load();
  for (auto _ : state) {
    Entry entry = with.enter(resource);
    benchmark::DoNotOptimize(entry);
  }
  if (state.threads() == 1) state.counters["allocations"] = static_cast<double>(allocations.load() - before);
}
BENCHMARK(enter_and_leave)->ArgName("rules")->Arg(0)->Arg(1)->Arg(5);
BENCHMARK(enter_and_leave)->ArgName("rules")->Arg(1)->Threads(2);

void enter_by_name(benchmark::State& state) {
  Engine& with = engine(1);
  for (auto _ : state) {
    Entry entry = with.enter("orders");
    benchmark::DoNotOptimize(entry);
  }
}
BENCHMARK(enter_by_name);

// A rule for each value of an argument, with 1,000 values: the interval is long, so that no place is given back meanwhile.
void enter_with_parameter(benchmark::State& state) {
  static Engine with;
  if (state.thread_index() == 0) with.load(std::vector<ParamFlowRule>{{.resource = "orders", .param_idx = 0, .count = 1e15}});
  Resource& resource = with.resource("orders");
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("customer " + std::to_string(i));
  for (const std::string& name : names) static_cast<void>(with.enter(resource, {.params = std::array<Param, 1>{name}}));
  const std::int64_t before = allocations.load();
  std::size_t next = 0;
  for (auto _ : state) {
    const std::array<Param, 1> params{names[next]};
    next = next + 1 < names.size() ? next + 1 : 0;
    Entry entry = with.enter(resource, {.params = params});
    benchmark::DoNotOptimize(entry);
  }
  if (state.threads() == 1) state.counters["allocations"] = static_cast<double>(allocations.load() - before);
}
BENCHMARK(enter_with_parameter)->Threads(1)->Threads(2);

// A refused call has nothing to leave: the check alone, with its statistics.
void refused(benchmark::State& state) {
  Engine with;
  with.load({FlowRule{.resource = "orders", .count = 0}});
  Resource& resource = with.resource("orders");
  for (auto _ : state) {
    Entry entry = with.enter(resource);
    benchmark::DoNotOptimize(entry);
  }
}
BENCHMARK(refused);

}  // namespace
}  // namespace fairlead::flow
