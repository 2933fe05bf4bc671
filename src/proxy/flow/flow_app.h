// The flow engines of this process, one for each app. All listeners and workers share them; statistics, breakers and rules in force
// outlive changes of configuration, so an app stays for the life of the process.
//
// Workers enter calls and ask for names(); the main thread loads rules.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "flow/engine.h"
#include "flow/gateway.h"
#include "proxy/flow/path_template.h"

namespace fairlead::proxy {

// By kind; nothing: that kind is not spoken of.
struct FlowRules {
  std::optional<std::vector<flow::FlowRule>> flow;
  std::optional<std::vector<flow::DegradeRule>> degrade;
  std::optional<std::vector<flow::ParamFlowRule>> param_flow;
  std::optional<std::vector<flow::SystemRule>> system;
  std::optional<std::vector<flow::AuthorityRule>> authority;
  std::optional<std::vector<flow::GatewayFlowRule>> gateway_flow;
  std::optional<std::vector<flow::ApiDefinition>> gateway_apis;

  bool operator==(const FlowRules&) const = default;
  // What `other` has beside these.
  void add(const FlowRules& other);
};

class FlowApp {
 public:
  // A process has no more resources of one app than this; those without rules that were idle longest go first (Engine::Options).
  static constexpr size_t kMostResources = 6'000;

  static FlowApp& of(const std::string& name);

  const std::string& name() const { return name_; }
  flow::Engine& engine() { return engine_; }
  flow::Entry enter(std::string_view resource, const flow::Call& call) {
    if (measured_.load(std::memory_order_relaxed)) measure();
    return engine_.enter(resource, call);
  }

  // Replaces the kinds that differ from what this loaded before; what was loaded and is not spoken of any more goes.
  void load(const FlowRules& rules);
  // Those that came by other ways than load().
  void set_gateway(const std::vector<flow::GatewayFlowRule>& rules, const std::vector<flow::ApiDefinition>& apis);
  // The engine has another master as well, who loads rules and tells load and CPU: to be called now and then, because rules may have
  // changed. false: it has none any more.
  void follow_engine(bool another);
  // Why another may not set rules of this kind (sentinel::AgentOptions::refuse_rules): load() spoke of it. Any thread.
  std::string refuse_rules(std::string_view kind) const;

  // What requests are called by the rules.
  struct Names {
    std::vector<PathTemplate> templates;             // of resources that look like one, in the order of the rules
    std::unique_ptr<const flow::Gateway> gateway;    // nullptr: no gateway rules and APIs
  };
  uint64_t names_version() const { return names_version_.load(std::memory_order_acquire); }
  std::shared_ptr<const Names> names() const;

 private:
  explicit FlowApp(std::string name);
  void rename();
  std::vector<PathTemplate> templates() const;
  void measure();

  const std::string name_;
  flow::Engine engine_;

  mutable std::mutex changing_;
  FlowRules loaded_;
  std::vector<flow::GatewayFlowRule> gateway_rules_;
  std::vector<flow::ApiDefinition> gateway_apis_;
  std::shared_ptr<const Names> names_;
  std::atomic<uint64_t> names_version_{0};

  std::atomic<bool> measured_{false};               // system rules want to know of load and CPU
  bool measures_ = true;
  std::atomic<int64_t> next_measure_ns_{0};
  std::mutex measuring_;
  uint64_t busy_ = 0, total_ = 0;
};

}  // namespace fairlead::proxy
