// What rules have become: lists that a check goes through, and the loaded rules that they are made from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flow/breaker.h"
#include "flow/engine.h"
#include "flow/param_check.h"
#include "flow/regex.h"
#include "flow/shaper.h"

namespace fairlead::flow {

struct FlowCheck {
  enum class Who : std::uint8_t { Everyone, Others, One };
  Who who;
  int rank;  // rules are asked by it: those for one resource first, those for everyone last
  int strategy;
  int index;
  std::string app;
  std::string context;        // chain
  Node* reference = nullptr;  // relate
  std::shared_ptr<Shaper> shaper;
};

struct BreakerCheck {
  int index;
  std::shared_ptr<Breaker> breaker;
};

struct AuthorityCheck {
  int index;
  bool black;
  std::vector<std::string> apps;
};

struct ParamCheck {
  int index;
  Verdict verdict;  // of a refusal: a parameter rule or a gateway's
  std::shared_ptr<ParamBuckets> buckets;
  ParamThreads* threads;  // of a rule by threads
};

// What one resource's rules ask, ready to be run. Immutable; replaced as a whole.
struct Engine::Checks {
  std::vector<AuthorityCheck> authority;
  std::vector<FlowCheck> flow;
  std::vector<BreakerCheck> breakers;
  std::vector<ParamCheck> params;
  std::vector<std::pair<int, ParamThreads*>> threads;  // by argument: where calls in progress are counted
  bool default_context = false;  // a chain rule names it
};

// The rules as they were loaded, without the invalid ones. `expression`: of a rule for many resources, else null.
struct Engine::Loaded {
  struct Flow {
    FlowRule rule;
    int index;
    std::shared_ptr<const Regex> expression;
    std::shared_ptr<Shaper> shaper;
    void add(Engine& engine, Resource& resource, Checks& checks) const;
  };
  struct Degrade {
    DegradeRule rule;
    int index;
    std::shared_ptr<const Regex> expression;
    void add(Engine& engine, Resource& resource, Checks& checks) const;
  };
  struct Authority {
    AuthorityRule rule;
    int index;
    std::shared_ptr<const Regex> expression;
    void add(Engine& engine, Resource& resource, Checks& checks) const;
  };
  struct ParamFlow {
    ParamFlowRule rule;
    int index;
    Verdict verdict;
    std::shared_ptr<const Regex> expression;
    std::shared_ptr<const ParamPlan> plan;
    void add(Engine& engine, Resource& resource, Checks& checks) const;
  };
  std::vector<Flow> flow;
  std::vector<Degrade> degrade;
  std::vector<Authority> authority;
  std::vector<ParamFlow> gateway, params;
  std::vector<SystemRule> system;                // as they came: what is checked is the strictest of each field
  std::vector<GatewayFlowRule> gateway_rules;    // as they came

  void each(auto visit) const {
    for (const auto& loaded : authority) visit(loaded);
    for (const auto& loaded : gateway) visit(loaded);
    for (const auto& loaded : params) visit(loaded);
    for (const auto& loaded : flow) visit(loaded);
    for (const auto& loaded : degrade) visit(loaded);
  }
};

}  // namespace fairlead::flow
