// Rules come in: each list is judged, kept, made into the checks of every resource that it concerns, and swapped in.
#include <algorithm>
#include <concepts>
#include <sstream>
#include <unordered_map>

#include "flow/checks.h"
#include "flow/epoch.h"
#include "flow/gateway.h"
#include "flow/resource.h"

namespace fairlead::flow {
namespace {

// Hands the valid rules on with their positions, and answers a sentence for each of the others.
template <class Rule, class Take>
std::vector<std::string> sift(std::vector<Rule>& rules, Take take) {
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto note = [&](const std::string& text) { problems.push_back("rule " + std::to_string(i) + ": " + text); };
    if (const std::string text = problem(rules[i]); !text.empty()) {
      note(text);
      continue;
    }
    if constexpr (requires { ignored(rules[i]); })
      for (const std::string& text : ignored(rules[i])) note(text);
    take(rules[i], static_cast<int>(i));
  }
  return problems;
}

template <class Rule>
std::shared_ptr<const Regex> expression_of(const Rule& rule) {
  std::string problem;
  return rule.regex ? std::make_shared<const Regex>(*Regex::compile(rule.resource, problem)) : nullptr;
}

// Whether the rule is there already.
template <class List>
bool holds_equal(const List& list, const auto& rule) {
  return std::any_of(list.begin(), list.end(), [&rule](const auto& each) { return each.rule == rule; });
}

}  // namespace

std::vector<std::string> Engine::load(std::vector<FlowRule> rules) {
  const std::scoped_lock lock(changing_);
  loaded_->flow.clear();
  auto problems = sift(rules, [this](FlowRule& rule, int index) {
    if (rule.limit_app.empty()) rule.limit_app = "default";
    if (holds_equal(loaded_->flow, rule)) return;
    auto shaper = std::make_shared<Shaper>(rule);
    loaded_->flow.push_back({.rule = rule, .index = index, .expression = expression_of(rule), .shaper = std::move(shaper)});
  });
  publish();
  return problems;
}

std::vector<std::string> Engine::load(std::vector<DegradeRule> rules) {
  const std::scoped_lock lock(changing_);
  loaded_->degrade.clear();
  auto problems = sift(rules, [this](DegradeRule& rule, int index) {
    if (!holds_equal(loaded_->degrade, rule)) loaded_->degrade.push_back({.rule = rule, .index = index, .expression = expression_of(rule)});
  });
  publish();
  return problems;
}

std::vector<std::string> Engine::load(std::vector<AuthorityRule> rules) {
  const std::scoped_lock lock(changing_);
  loaded_->authority.clear();
  std::vector<std::string> second;
  auto problems = sift(rules, [&](AuthorityRule& rule, int index) {
    const auto same = [&](const Loaded::Authority& each) { return each.rule.resource == rule.resource; };
    if (const auto first = std::find_if(loaded_->authority.begin(), loaded_->authority.end(), same); first == loaded_->authority.end())
      loaded_->authority.push_back({.rule = rule, .index = index, .expression = expression_of(rule)});
    else
      second.push_back("rule " + std::to_string(index) + ": resource: has an authority rule already, rule " + std::to_string(first->index) + "; put the origins into that one");
  });
  publish();
  problems.insert(problems.end(), second.begin(), second.end());
  return problems;
}

std::vector<std::string> Engine::load(std::vector<ParamFlowRule> rules) {
  const std::scoped_lock lock(changing_);
  loaded_->params.clear();
  auto problems = sift(rules, [this](ParamFlowRule& rule, int index) {
    if (holds_equal(loaded_->params, rule)) return;
    loaded_->params.push_back({.rule = rule, .index = index, .verdict = Verdict::ParamFlow, .expression = expression_of(rule), .plan = std::make_shared<const ParamPlan>(rule)});
  });
  publish();
  return problems;
}

std::vector<std::string> Engine::load(std::vector<GatewayFlowRule> rules) {
  const std::scoped_lock lock(changing_);
  loaded_->gateway.clear();
  loaded_->gateway_rules.clear();
  auto problems = sift(rules, [this](const GatewayFlowRule& rule, int) { loaded_->gateway_rules.push_back(rule); });
  for (const auto& [index, rule] : to_param_rules(rules))
    loaded_->gateway.push_back({.rule = rule, .index = index, .verdict = Verdict::Gateway, .expression = nullptr, .plan = std::make_shared<const ParamPlan>(rule)});
  publish();
  return problems;
}

std::vector<std::string> Engine::load(std::vector<SystemRule> rules) {
  const std::scoped_lock lock(changing_);
  SystemRule least;
  bool any = false;
  const auto lower = [&any](auto& to, auto value) {
    if (value < 0) return;
    any = true;
    to = to < 0 ? value : std::min(to, value);
  };
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const SystemRule& rule = rules[i];
    lower(least.highest_system_load, rule.highest_system_load);
    if (const std::string text = problem(rule); !text.empty()) problems.push_back("rule " + std::to_string(i) + ": " + text + "; the other fields hold");
    else lower(least.highest_cpu_usage, rule.highest_cpu_usage);
    lower(least.qps, rule.qps);
    lower(least.avg_rt, rule.avg_rt);
    lower(least.max_thread, rule.max_thread);
  }
  loaded_->system = rules;
  max_load_ = least.highest_system_load;
  max_cpu_ = least.highest_cpu_usage;
  max_qps_ = least.qps;
  max_rt_ = least.avg_rt;
  max_thread_ = least.max_thread;
  system_set_ = any;
  return problems;
}

template <class Rule>
std::vector<Rule> Engine::rules() const {
  const std::scoped_lock lock(changing_);
  std::vector<Rule> out;
  const auto take = [&out](const auto& list) {
    for (const auto& each : list) out.push_back(each.rule);
  };
  if constexpr (std::same_as<Rule, FlowRule>) take(loaded_->flow);
  else if constexpr (std::same_as<Rule, DegradeRule>) take(loaded_->degrade);
  else if constexpr (std::same_as<Rule, AuthorityRule>) take(loaded_->authority);
  else if constexpr (std::same_as<Rule, ParamFlowRule>) take(loaded_->params);
  else if constexpr (std::same_as<Rule, SystemRule>) out = loaded_->system;
  else out = loaded_->gateway_rules;
  return out;
}
template std::vector<FlowRule> Engine::rules<FlowRule>() const;
template std::vector<DegradeRule> Engine::rules<DegradeRule>() const;
template std::vector<AuthorityRule> Engine::rules<AuthorityRule>() const;
template std::vector<SystemRule> Engine::rules<SystemRule>() const;
template std::vector<ParamFlowRule> Engine::rules<ParamFlowRule>() const;
template std::vector<GatewayFlowRule> Engine::rules<GatewayFlowRule>() const;

void Engine::Loaded::Flow::add(Engine& engine, Resource&, Checks& checks) const {
  if (rule.cluster_mode && !rule.cluster_config->fallback_to_local_when_fail) return;
  FlowCheck check{.who = rule.limit_app == "default" ? FlowCheck::Who::Everyone
                         : rule.limit_app == "other" ? FlowCheck::Who::Others
                                                     : FlowCheck::Who::One,
                  .rank = 0,
                  .strategy = rule.strategy,
                  .index = index,
                  .app = rule.limit_app,
                  .context = rule.ref_resource,
                  .shaper = shaper};
  check.rank = (rule.regex ? 4 : 0) + (rule.cluster_mode ? 2 : 0) + (check.who == FlowCheck::Who::Everyone ? 1 : 0);
  if (rule.strategy == kStrategyRelate)
    check.reference = &engine.named(rule.ref_resource).node;
  if (rule.strategy == kStrategyChain && rule.ref_resource == kDefaultContext) checks.default_context = true;
  const auto at = std::upper_bound(checks.flow.begin(), checks.flow.end(), check.rank, [](int rank, const FlowCheck& each) { return rank < each.rank; });
  checks.flow.insert(at, std::move(check));
}

// What an equal rule has counted for the resource is taken over, here and for parameters.
void Engine::Loaded::Degrade::add(Engine& engine, Resource& resource, Checks& checks) const {
  BreakerCheck check{.index = index, .breaker = nullptr};
  if (const auto* before = static_cast<const Checks*>(resource.checks.load(std::memory_order_relaxed)))
    for (const BreakerCheck& each : before->breakers)
      if (each.breaker->rule() == rule) check.breaker = each.breaker;
  if (!check.breaker) check.breaker = std::make_shared<Breaker>(rule, &engine.listener_);
  checks.breakers.push_back(std::move(check));
}

void Engine::Loaded::Authority::add(Engine&, Resource&, Checks& checks) const {
  AuthorityCheck check{.index = index, .black = rule.strategy == kAuthorityBlack, .apps = {}};
  std::istringstream apps(rule.limit_app);
  for (std::string app; std::getline(apps, app, ',');) check.apps.push_back(app);
  checks.authority.push_back(std::move(check));
}

void Engine::Loaded::ParamFlow::add(Engine& engine, Resource& resource, Checks& checks) const {
  if (rule.cluster_mode && rule.grade == kGradeQps && !rule.cluster_config->fallback_to_local_when_fail) return;
  ParamCheck check{.index = index, .verdict = verdict, .buckets = nullptr, .threads = nullptr};
  if (const auto* before = static_cast<const Checks*>(resource.checks.load(std::memory_order_relaxed)))
    for (const ParamCheck& each : before->params)
      if (each.verdict == verdict && each.buckets->rule() == rule) check.buckets = each.buckets;
  const auto limit = [&](std::size_t option) { return option != 0 ? option : plan->default_limit(); };
  if (!check.buckets) check.buckets = std::make_shared<ParamBuckets>(plan, limit(engine.options_.max_param_values));
  if (rule.grade == kGradeThread) {
    check.threads = &resource.threads.try_emplace(*rule.param_idx, limit(engine.options_.max_param_threads)).first->second;
    const std::pair pair{*rule.param_idx, check.threads};
    if (std::find(checks.threads.begin(), checks.threads.end(), pair) == checks.threads.end()) checks.threads.push_back(pair);
  }
  checks.params.push_back(std::move(check));
}

// With changing_ held: adds the rules for many resources that match this one. Null in and none that match: null.
std::unique_ptr<Engine::Checks> Engine::matching(Resource& resource, std::unique_ptr<Checks> checks) {
  loaded_->each([&](const auto& loaded) {
    if (!loaded.expression || !loaded.expression->matches(resource.name)) return;
    if (!checks) checks = std::make_unique<Checks>();
    loaded.add(*this, resource, *checks);
  });
  return checks;
}

// Answers the old ones, which readers may still look at.
std::unique_ptr<const Engine::Checks> Engine::swap_checks(Resource& resource, std::unique_ptr<const Checks> checks) {
  resource.has_breakers.store(checks != nullptr && !checks->breakers.empty(), std::memory_order_relaxed);
  return std::unique_ptr<const Checks>(static_cast<const Checks*>(resource.checks.exchange(checks.release())));
}

bool Engine::matches_some(std::string_view name) const {
  const Epoch::Reading reading;
  const auto* expressions = expressions_.load(std::memory_order_seq_cst);
  return expressions != nullptr && std::any_of(expressions->begin(), expressions->end(), [&](const auto& each) { return each->matches(name); });
}

// With changing_ held: builds the checks of every resource that has rules, swaps them in, and frees the old ones.
void Engine::publish() {
  ++loads_;
  // First, so that no rule has to make one while a resource is being made for it.
  for (const auto& loaded : loaded_->flow)
    if (loaded.rule.strategy == kStrategyRelate) named(loaded.rule.ref_resource);
  std::unordered_map<Resource*, std::unique_ptr<Checks>> fresh;
  auto expressions = std::make_unique<std::vector<std::shared_ptr<const Regex>>>();
  loaded_->each([&](const auto& loaded) {
    if (loaded.expression) {
      expressions->push_back(loaded.expression);
      return;
    }
    Resource& resource = named(loaded.rule.resource);
    auto& checks = fresh[&resource];
    if (!checks) checks = std::make_unique<Checks>();
    loaded.add(*this, resource, *checks);
  });
  if (expressions->empty()) expressions.reset();
  const bool any = expressions != nullptr;
  const std::unique_ptr<const std::vector<std::shared_ptr<const Regex>>> old_expressions(expressions_.exchange(expressions.release()));

  std::vector<std::unique_ptr<const Checks>> old;
  for (std::size_t i = 0; i < kTableSize; ++i)
    for (Resource* resource = table_[i].load(std::memory_order_relaxed); resource != nullptr; resource = resource->next.load(std::memory_order_relaxed)) {
      const auto at = fresh.find(resource);
      std::unique_ptr<Checks> checks = at != fresh.end() ? std::move(at->second) : nullptr;
      if (any) checks = matching(*resource, std::move(checks));
      if (resource->checks.load(std::memory_order_relaxed) != checks.get()) old.push_back(swap_checks(*resource, std::move(checks)));
    }
  Epoch::wait_for_readers();
}

}  // namespace fairlead::flow
