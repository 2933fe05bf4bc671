#include "node/kubelet/probe.h"

#include <gtest/gtest.h>

namespace fairlead::node {
namespace {

// Commands end as the test says; time is the loop's.
struct Target final : ActionTarget {
  std::string pod_ip() const override { return "10.244.0.9"; }
  uint16_t named_port(const std::string&) const override { return 0; }
  void dial(const std::string&, uint16_t, std::function<void(base::Result<io::Fd>)>) override {}
  void exec(const std::vector<std::string>&, std::function<void(base::Result<ExecResult>)> done) override {
    ++runs;
    loop.post([done, code = code] { done(ExecResult{code, ""}); });
  }
  io::Loop loop;
  int runs = 0, code = 1;
};

struct Probe {
  Probe(ProbeKind kind, std::string_view spec) {
    Prober::Hooks hooks;
    hooks.on_verdict = [this](bool healthy) { verdicts.push_back(healthy); };
    hooks.on_failure = [this](const std::string&) { ++failures; };
    prober = std::make_unique<Prober>(target.loop, target, base::parse_yaml(spec)->front(), kind, std::move(hooks));
  }
  template <class Condition>
  bool until(Condition condition) {
    auto deadline = base::Clock::now() + std::chrono::seconds(4);
    while (!condition() && base::Clock::now() < deadline) target.loop.run_once(std::chrono::milliseconds(5));
    return condition();
  }
  Target target;
  std::unique_ptr<Prober> prober;
  std::vector<bool> verdicts;
  int failures = 0;
};

TEST(Prober, TriesQuicklyUntilItFirstSucceedsAndCountsNothingMeanwhile) {
  Probe p(ProbeKind::kReadiness, "{exec: {command: [x]}, periodSeconds: 10, failureThreshold: 1}");
  ASSERT_TRUE(p.until([&] { return p.target.runs >= 4; }));
  EXPECT_EQ(p.failures, 0);
  p.target.code = 0;
  ASSERT_TRUE(p.until([&] { return !p.verdicts.empty(); })) << "long before the period is over";
  EXPECT_EQ(p.verdicts, std::vector<bool>{true});
}

TEST(Prober, CountsOneFailureAPeriodHoweverOftenItTries) {
  Probe p(ProbeKind::kStartup, "{exec: {command: [x]}, periodSeconds: 1, failureThreshold: 2}");
  ASSERT_TRUE(p.until([&] { return !p.verdicts.empty(); }));
  EXPECT_EQ(p.verdicts, std::vector<bool>{false});
  EXPECT_EQ(p.failures, 2);
  EXPECT_GT(p.target.runs, 4);
}

TEST(Prober, KeepsToThePeriodForLiveness) {
  Probe p(ProbeKind::kLiveness, "{exec: {command: [x]}, periodSeconds: 60, failureThreshold: 1}");
  ASSERT_TRUE(p.until([&] { return !p.verdicts.empty(); }));
  EXPECT_EQ(p.verdicts, std::vector<bool>{false});
  EXPECT_EQ(p.target.runs, 1);
}

}  // namespace
}  // namespace fairlead::node
