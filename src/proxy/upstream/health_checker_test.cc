#include "proxy/upstream/health_checker.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

using Kind = CheckResult::Kind;

// Answers come when the test gives them; intervals are short, so that the loop's clock is the only one.
class HealthCheckerTest : public ::testing::Test {
 protected:
  struct FakeProbe : Probe {
    explicit FakeProbe(HealthCheckerTest& t) : test(t) {}
    ~FakeProbe() override { test.done_ = nullptr; }
    HealthCheckerTest& test;
  };
  struct FakeProber : Prober {
    explicit FakeProber(HealthCheckerTest& t) : test(t) {}
    std::unique_ptr<Probe> check(CheckDone done) override {
      ++test.probes_;
      test.done_ = std::move(done);
      return std::make_unique<FakeProbe>(test);
    }
    HealthCheckerTest& test;
  };
  void make() {
    HealthChecker::Hooks hooks;
    hooks.changed = [this] { ++changes_; };
    hooks.has_traffic = [this] { return traffic_; };
    hooks.random = [] { return uint64_t{0}; };
    hooks.log = [this](const std::string&, std::string line) { events_ += line; };
    hooks.prober = [this](const HostPtr&) { return std::make_unique<FakeProber>(*this); };
    checker_ = std::make_unique<HealthChecker>(loop_, std::make_shared<ClusterConfig>(), check_, std::move(hooks));
    set_.hosts = {host_};
    checker_->update(set_);
  }
  void answer(CheckResult result) {
    for (int i = 0; i < 100 && !done_; ++i) loop_.run_once(std::chrono::milliseconds(5));
    ASSERT_TRUE(done_);
    auto done = std::exchange(done_, nullptr);
    done(result);
    loop_.run_once(base::Nanos(0));
  }
  bool out() const { return host_->failed_check; }

  io::Loop loop_;
  HealthCheckConfig check_ = [] {
    HealthCheckConfig c;
    c.interval = c.no_traffic_interval = std::chrono::milliseconds(1);
    c.timeout = std::chrono::seconds(10);
    c.unhealthy_threshold = 3;
    c.healthy_threshold = 2;
    return c;
  }();
  HostPtr host_ = std::make_shared<Host>();
  EndpointSet set_;
  bool traffic_ = true;
  int changes_ = 0, probes_ = 0;
  std::string events_;
  CheckDone done_;
  std::unique_ptr<HealthChecker> checker_;
};

TEST_F(HealthCheckerTest, AHostIsOutUntilItsFirstCheckPasses) {
  make();
  EXPECT_TRUE(out());
  EXPECT_FALSE(checker_->all_checked());
  answer({Kind::kPassed});
  EXPECT_FALSE(out());
  EXPECT_TRUE(checker_->all_checked());
  EXPECT_EQ(changes_, 1);
}

TEST_F(HealthCheckerTest, NetworkFailuresCountToTheThreshold) {
  make();
  answer({Kind::kPassed});
  answer({Kind::kNetwork});
  answer({Kind::kRetriable});
  EXPECT_FALSE(out());
  answer({Kind::kNetwork});
  EXPECT_TRUE(out());
  answer({Kind::kPassed});
  EXPECT_TRUE(out());  // two are asked for
  answer({Kind::kPassed});
  EXPECT_FALSE(out());
  EXPECT_EQ(changes_, 3);
}

TEST_F(HealthCheckerTest, AnAnswerThatSaysNoIsEnough) {
  check_.event_log = "x";
  make();
  answer({Kind::kPassed});
  answer({Kind::kFailed});
  EXPECT_TRUE(out());
  EXPECT_NE(events_.find("\"add_healthy_event\""), std::string::npos) << events_;
  EXPECT_NE(events_.find("\"eject_unhealthy_event\""), std::string::npos) << events_;
}

TEST_F(HealthCheckerTest, ACheckThatTakesTooLongIsAFailure) {
  check_.timeout = std::chrono::milliseconds(1);
  check_.unhealthy_threshold = 1;
  make();
  for (int i = 0; i < 100 && checker_->counts().network_failure == 0; ++i) loop_.run_once(std::chrono::milliseconds(5));
  EXPECT_GE(checker_->counts().network_failure, 1u);
  EXPECT_TRUE(checker_->all_checked());
  EXPECT_TRUE(out());
}

TEST_F(HealthCheckerTest, DegradedIsToldApart) {
  make();
  answer({Kind::kPassed, true});
  EXPECT_EQ(host_->health(), HealthStatus::kDegraded);
  answer({Kind::kPassed, false});
  EXPECT_EQ(host_->health(), HealthStatus::kHealthy);
  EXPECT_EQ(changes_, 2);
}

TEST_F(HealthCheckerTest, HostsThatWereInUseStayInUse) {
  HealthChecker::Hooks hooks;
  hooks.random = [] { return uint64_t{0}; };
  hooks.prober = [this](const HostPtr&) { return std::make_unique<FakeProber>(*this); };
  set_.hosts = {host_};
  HealthChecker checker(loop_, std::make_shared<ClusterConfig>(), check_, std::move(hooks));
  checker.adopt(set_);
  EXPECT_FALSE(out());
  EXPECT_TRUE(checker.all_checked());
}

}  // namespace
}  // namespace fairlead::proxy
