#include "flow/engine.h"

#include <time.h>

#include <algorithm>
#include <bit>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "flow/breaker.h"
#include "flow/epoch.h"
#include "flow/gateway.h"
#include "flow/param_check.h"
#include "flow/regex.h"
#include "flow/resource.h"
#include "flow/shaper.h"

namespace fairlead::flow {

namespace {

struct FlowCheck {
  enum class Who : std::uint8_t { Everyone, Others, One };
  Who who;
  int rank;  // rules are asked by it: those for one resource first, those for everyone last
  int strategy;
  int index;
  std::string app;
  std::string context;          // chain
  Node* reference = nullptr;    // relate
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

bool lists(const std::vector<std::string>& apps, std::string_view origin) {
  return std::any_of(apps.begin(), apps.end(), [&](const std::string& app) { return app == origin; });
}

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

  void each(auto visit) const {
    for (const auto& loaded : authority) visit(loaded);
    for (const auto& loaded : gateway) visit(loaded);
    for (const auto& loaded : params) visit(loaded);
    for (const auto& loaded : flow) visit(loaded);
    for (const auto& loaded : degrade) visit(loaded);
  }
};

std::string_view to_string(Verdict verdict) {
  static constexpr std::array<std::string_view, 11> names{"pass",       "flow",          "degrade",   "authority", "system qps",
                                                         "system threads", "system RT", "system load", "system CPU", "param flow", "gateway"};
  return names[static_cast<std::size_t>(verdict)];
}

std::string_view to_string(BreakerState state) {
  return state == BreakerState::Closed ? "CLOSED" : state == BreakerState::Open ? "OPEN" : "HALF_OPEN";
}

std::string_view to_string(Limit limit) {
  static constexpr std::array<std::string_view, 4> names{"resources", "nodes of a resource", "values of a parameter", "values with calls in progress"};
  return names[static_cast<std::size_t>(limit)];
}

Entry& Entry::operator=(Entry&& other) noexcept {
  if (this == &other) return *this;
  leave();
  engine_ = std::exchange(other.engine_, nullptr);
  resource_ = other.resource_;
  origin_ = other.origin_;
  context_ = other.context_;
  held_ = std::exchange(other.held_, nullptr);
  begun_ms_ = other.begun_ms_;
  wait_ns_ = other.wait_ns_;
  count_ = other.count_;
  rule_ = other.rule_;
  verdict_ = other.verdict_;
  inbound_ = other.inbound_;
  failed_ = other.failed_;
  return *this;
}

void Entry::leave() {
  if (Engine* engine = std::exchange(engine_, nullptr)) engine->leave(*this);
}

Engine::Engine() : Engine(Options{}) {}

Engine::Engine(const Options& options)
    : options_(options),
      table_(new std::atomic<Resource*>[kTableSize]()),
      overflow_(std::make_unique<Resource>("")),
      loaded_(std::make_unique<Loaded>()) {}

Engine::~Engine() {
  for (std::size_t i = 0; i < kTableSize; ++i)
    for (Resource* resource = table_[i].load(); resource != nullptr;) {
      delete static_cast<const Checks*>(resource->checks.load());
      delete std::exchange(resource, resource->next.load());
    }
  delete expressions_.load();
}

std::int64_t Engine::now() const {
  if (options_.now_ms != nullptr) return options_.now_ms(options_.clock);
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

Resource* Engine::find(std::string_view name, std::size_t hash) const {
  Resource* resource = table_[hash % kTableSize].load(std::memory_order_acquire);
  for (; resource != nullptr; resource = resource->next.load(std::memory_order_acquire))
    if (resource->name == name) return resource;
  return nullptr;
}

// With changing_ held.
Resource& Engine::named(const std::string& name) {
  const std::size_t hash = std::hash<std::string_view>{}(name);
  Resource* resource = find(name, hash);
  if (resource == nullptr) resource = link(std::make_unique<Resource>(name), hash);
  resource->named_in = loads_;
  return *resource;
}

Resource* Engine::link(std::unique_ptr<Resource> resource, std::size_t hash) {
  Resource* added = resource.release();
  auto& head = table_[hash % kTableSize];
  added->next.store(head.load(std::memory_order_relaxed), std::memory_order_relaxed);
  head.store(added, std::memory_order_release);
  resources_.fetch_add(1, std::memory_order_relaxed);
  return added;
}

// Finds or makes the resource; null: there are too many.
Resource* Engine::make(std::string_view name, std::size_t hash, bool hold) {
  const bool full = resources() >= options_.max_resources, checked = full && matches_some(name);
  const std::int64_t now = full ? this->now() : 0;
  if (full && !checked && !hold && !may_make_room(now)) {
    met(Limit::Resources, name);
    return nullptr;
  }
  const std::scoped_lock lock(changing_);
  Resource* resource = find(name, hash);
  if (resource == nullptr && full && !checked && may_make_room(now)) make_room(now);
  if (resource == nullptr && (checked || resources() < options_.max_resources)) {
    auto born = std::make_unique<Resource>(name);
    born->checks.store(matching(*born, nullptr).release(), std::memory_order_relaxed);
    resource = link(std::move(born), hash);
  }
  if (resource == nullptr) met(Limit::Resources, name);
  else if (hold) resource->held = true;
  return resource;
}

// At most once a second, because it looks at all resources.
bool Engine::may_make_room(std::int64_t now) const {
  return now - made_room_ms_.load(std::memory_order_relaxed) >= std::min<std::int64_t>(1000, options_.min_idle_ms);
}

// With changing_ held: a sixteenth of the resources goes, those idle longest.
void Engine::make_room(std::int64_t now) {
  made_room_ms_.store(now, std::memory_order_relaxed);
  std::vector<std::pair<std::int64_t, Resource*>> idle;
  for (std::size_t i = 0; i < kTableSize; ++i)
    for (Resource* resource = table_[i].load(std::memory_order_relaxed); resource != nullptr; resource = resource->next.load(std::memory_order_relaxed)) {
      if (resource->held || resource->named_in == loads_ || resource->checks.load(std::memory_order_relaxed) != nullptr) continue;
      const std::int64_t used = resource->node.last_used();
      if (resource->node.threads() == 0 && now - used >= options_.min_idle_ms) idle.emplace_back(used, resource);
    }
  const std::size_t most = std::max<std::size_t>(1, options_.max_resources / 16);
  if (idle.size() > most) {
    std::nth_element(idle.begin(), idle.begin() + static_cast<std::ptrdiff_t>(most), idle.end());
    idle.resize(most);
  }
  for (const auto& [used, resource] : idle) {
    auto* at = &table_[std::hash<std::string_view>{}(resource->name) % kTableSize];
    while (at->load(std::memory_order_relaxed) != resource) at = &at->load(std::memory_order_relaxed)->next;
    at->store(resource->next.load(std::memory_order_relaxed), std::memory_order_release);
    leaving_.emplace_back(resource);
  }
  resources_.fetch_sub(idle.size(), std::memory_order_relaxed);
  evicted_.fetch_add(idle.size(), std::memory_order_relaxed);
  // Who found one of them has entered it by then, and it stays until that call has ended.
  Epoch::wait_for_readers();
  std::erase_if(leaving_, [](const auto& each) { return each->node.threads() == 0; });
}

Resource& Engine::resource(std::string_view name) {
  Resource* resource = make(name, std::hash<std::string_view>{}(name), true);
  return resource != nullptr ? *resource : *overflow_;
}

Node& Engine::node(Resource& resource) { return resource.node; }

void Engine::on_breaker_change(BreakerListener listener) { listener_ = std::move(listener); }

void Engine::on_limit(LimitListener listener) { limit_listener_ = std::move(listener); }

void Engine::met(Limit limit, std::string_view resource, std::uint64_t times) {
  auto& hits = limit_hits_[static_cast<std::size_t>(limit)];
  const std::uint64_t before = hits.fetch_add(times, std::memory_order_relaxed);
  if (limit_listener_ && std::bit_width(before) != std::bit_width(before + times)) limit_listener_(limit, resource, before + times);
}

Node* Engine::node_of(NodeTable& table, std::string_view name, const Resource& resource) {
  bool beyond = false;
  Node* node = &table.get(name, options_.max_nodes_per_resource, beyond);
  if (beyond) met(Limit::NodesPerResource, resource.name);
  return node;
}

void Engine::set_system_status(double load, double cpu) {
  load_now_.store(load, std::memory_order_relaxed);
  cpu_now_.store(cpu, std::memory_order_relaxed);
}

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
  auto problems = sift(rules, [](const GatewayFlowRule&, int) {});
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
  max_load_ = least.highest_system_load;
  max_cpu_ = least.highest_cpu_usage;
  max_qps_ = least.qps;
  max_rt_ = least.avg_rt;
  max_thread_ = least.max_thread;
  system_set_ = any;
  return problems;
}

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
      if (resource->checks.load(std::memory_order_relaxed) != checks.get())
        old.emplace_back(static_cast<const Checks*>(resource->checks.exchange(checks.release())));
    }
  Epoch::wait_for_readers();
}

Verdict Engine::check_system(const Call& call, std::int64_t now) {
  if (!call.inbound || !system_set_.load(std::memory_order_relaxed)) return Verdict::Pass;
  if (const double most = max_qps_.load(std::memory_order_relaxed); most >= 0 && static_cast<double>(inbound_.pass_qps(now) + call.count) > most)
    return Verdict::SystemQps;
  const std::int64_t threads = inbound_.threads();
  if (const std::int64_t most = max_thread_.load(std::memory_order_relaxed); most >= 0 && threads > most) return Verdict::SystemThread;
  if (const std::int64_t most = max_rt_.load(std::memory_order_relaxed); most >= 0 && inbound_.average_rt(now) > static_cast<double>(most))
    return Verdict::SystemRt;
  if (const double most = max_load_.load(std::memory_order_relaxed); most >= 0 && load_now_.load(std::memory_order_relaxed) > most) {
    // Under load as many calls may run as the best half second and the best RT allow (BBR's idea).
    const double capacity = inbound_.max_success_qps(now) * static_cast<double>(inbound_.min_rt(now)) / 1000;
    if (threads > 1 && static_cast<double>(threads) > capacity) return Verdict::SystemLoad;
  }
  if (const double most = max_cpu_.load(std::memory_order_relaxed); most >= 0 && cpu_now_.load(std::memory_order_relaxed) > most)
    return Verdict::SystemCpu;
  return Verdict::Pass;
}

Entry Engine::enter(std::string_view name, const Call& call) {
  const std::size_t hash = std::hash<std::string_view>{}(name);
  for (;;) {
    {
      const Epoch::Reading reading;
      if (Resource* found = find(name, hash)) return enter_reading(*found, call);
    }
    if (make(name, hash, false) == nullptr) return enter(*overflow_, call);
  }
}

Entry Engine::enter(Resource& resource, const Call& call) {
  const Epoch::Reading reading;
  return enter_reading(resource, call);
}

// While reading, so that neither the checks nor the resource go away; once the call counts as a thread, the resource stays for it.
Entry Engine::enter_reading(Resource& resource, const Call& call) {
  Entry entry;
  const std::int64_t now = this->now();
  entry.engine_ = this;
  entry.resource_ = &resource;
  entry.begun_ms_ = now;
  entry.count_ = call.count;
  entry.inbound_ = call.inbound;
  if (!call.origin.empty()) entry.origin_ = node_of(resource.origins, call.origin, resource);
  const auto* checks = static_cast<const Checks*>(resource.checks.load(std::memory_order_seq_cst));
  if (!call.context.empty()) {
    entry.context_ = node_of(resource.contexts, call.context, resource);
  } else if (checks != nullptr && checks->default_context) {
    entry.context_ = node_of(resource.contexts, kDefaultContext, resource);
  }
  // The order of Sentinel's slots: authority, system, gateway, parameters, flow, breakers.
  bool borrowed = false;  // its place in the next window is counted already
  if (checks == nullptr) {
    entry.verdict_ = check_system(call, now);
  } else {
    borrowed = check(entry, *checks, call, now);
    if (!checks->threads.empty() && entry.verdict_ == Verdict::Pass) hold_params(entry, *checks, call);
  }
  const std::array<Node*, 4> nodes{&resource.node, entry.context_, entry.origin_, call.inbound ? &inbound_ : nullptr};
  for (Node* node : nodes) {
    if (node == nullptr) continue;
    if (entry.verdict_ != Verdict::Pass) {
      node->add_block(now, call.count);
    } else {
      node->add_threads(1);
      if (!borrowed) node->add_pass(now, call.count);
    }
  }
  if (entry.verdict_ != Verdict::Pass) entry.engine_ = nullptr;
  return entry;
}

// Leaves the answer in the entry. True: the call passes in a place borrowed from the next window.
bool Engine::check(Entry& entry, const Checks& checks, const Call& call, std::int64_t now) {
  const auto refuse = [&entry](Verdict verdict, int rule) {
    entry.verdict_ = verdict;
    entry.rule_ = rule;
    return false;
  };
  if (!call.origin.empty())
    for (const AuthorityCheck& rule : checks.authority)
      if (lists(rule.apps, call.origin) == rule.black) return refuse(Verdict::Authority, rule.index);

  if (const Verdict verdict = check_system(call, now); verdict != Verdict::Pass) return refuse(verdict, -1);

  if (!checks.params.empty() && !check_params(entry, checks, call, now)) return false;

  for (const FlowCheck& rule : checks.flow) {
    bool own = false;  // counted for the origin alone
    if (rule.who == FlowCheck::Who::One) {
      if (rule.app != call.origin) continue;
      own = true;
    } else if (rule.who == FlowCheck::Who::Others) {
      if (call.origin.empty()) continue;
      if (std::any_of(checks.flow.begin(), checks.flow.end(), [&](const FlowCheck& each) { return each.app == call.origin; })) continue;
      own = true;
    }
    Node* node = own ? entry.origin_ : &entry.resource_->node;
    if (rule.strategy == kStrategyRelate) {
      node = rule.reference;
    } else if (rule.strategy == kStrategyChain) {
      if (rule.context != (call.context.empty() ? kDefaultContext : call.context)) continue;
      node = entry.context_;
    }
    if (node == nullptr) continue;
    const Shaper::Answer answer = rule.shaper->ask(*node, now, call.count, call.prioritized, entry.wait_ns_);
    if (answer == Shaper::Answer::Refuse) return refuse(Verdict::Flow, rule.index);
    if (answer == Shaper::Answer::Borrowed) return true;
  }

  // A breaker that went half open for this call opens again if a later breaker refuses it.
  std::uint64_t probing = 0;
  for (std::size_t i = 0; i < checks.breakers.size(); ++i) {
    bool probe = false;
    if (!checks.breakers[i].breaker->pass(now, probe)) {
      for (std::size_t j = 0; j < std::min<std::size_t>(i, 64); ++j)
        if ((probing >> j & 1) != 0) checks.breakers[j].breaker->probe_refused();
      return refuse(Verdict::Degrade, checks.breakers[i].index);
    }
    if (probe && i < 64) probing |= std::uint64_t{1} << i;
  }
  return false;
}

bool Engine::check_params(Entry& entry, const Checks& checks, const Call& call, std::int64_t now) {
  int forgot = 0;
  for (const ParamCheck& rule : checks.params) {
    const Param* value = param_at(call.params, *rule.buckets->rule().param_idx);
    if (value == nullptr || rule.buckets->ask(*value, rule.threads, now, call.count, entry.wait_ns_, forgot)) continue;
    entry.verdict_ = rule.verdict;
    entry.rule_ = rule.index;
    break;
  }
  if (forgot > 0) met(Limit::ParamValues, entry.resource_->name, static_cast<std::uint64_t>(forgot));
  return entry.verdict_ == Verdict::Pass;
}

void Engine::hold_params(Entry& entry, const Checks& checks, const Call& call) {
  for (const auto& [index, threads] : checks.threads)
    if (const Param* value = param_at(call.params, index)) hold_param(entry, *threads, *value);
}

void Engine::hold_param(Entry& entry, ParamThreads& threads, const Param& value) {
  for (const Param& each : value.list()) hold_param(entry, threads, each);
  if (value.type() == Param::Type::None || value.type() == Param::Type::List) return;
  bool beyond = false;
  entry.held_ = threads.hold(value, entry.held_, beyond);
  if (beyond) met(Limit::ParamThreads, entry.resource_->name);
}

void Engine::leave(Entry& entry) {
  if (entry.held_ != nullptr) ParamThreads::release(std::exchange(entry.held_, nullptr));
  const std::int64_t now = this->now();
  const std::int64_t rt = now - entry.begun_ms_;
  if (entry.resource_->checks.load(std::memory_order_relaxed) != nullptr) {
    const Epoch::Reading reading;
    if (const auto* checks = static_cast<const Checks*>(entry.resource_->checks.load(std::memory_order_seq_cst)))
      for (const BreakerCheck& each : checks->breakers) each.breaker->done(now, rt, entry.failed_);
  }
  // The resource last: when its calls have ended it may go, with the other nodes.
  for (Node* node : {entry.context_, entry.origin_, entry.inbound_ ? &inbound_ : nullptr, &entry.resource_->node}) {
    if (node == nullptr) continue;
    node->add_done(now, rt, entry.count_, entry.failed_);
    node->end_thread();
  }
}

}  // namespace fairlead::flow
