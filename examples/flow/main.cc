// A resource that may be called five times a second, and a breaker that opens when half of the calls fail.
#include <chrono>
#include <cstdio>
#include <thread>

#include "flow/engine.h"

namespace flow = fairlead::flow;

int main() {
  flow::Engine engine;
  engine.on_breaker_change([](const flow::DegradeRule& rule, flow::BreakerState from, flow::BreakerState to) {
    std::printf("breaker of %s: %s -> %s\n", rule.resource.c_str(), flow::to_string(from).data(), flow::to_string(to).data());
  });
  engine.load({flow::FlowRule{.resource = "orders", .count = 5}});
  engine.load({flow::DegradeRule{
      .resource = "payments", .grade = flow::kDegradeErrorRatio, .count = 0.5, .time_window = 1, .min_request_amount = 4}});

  int passed = 0;
  for (int i = 0; i < 8; ++i)
    if (auto entry = engine.enter("orders")) ++passed;
  std::printf("orders: %d of 8 passed\n", passed);

  for (int i = 0; i < 6; ++i) {
    auto entry = engine.enter("payments", {.origin = "shop"});
    if (!entry) {
      std::printf("payments: refused (%s)\n", flow::to_string(entry.verdict()).data());
    } else {
      entry.trace();  // it failed
    }
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  if (auto entry = engine.enter("payments")) std::puts("payments: passed again");
}
