#include "flow/engine.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "flow/checks.h"
#include "flow/clock.h"
#include "flow/epoch.h"
#include "flow/resource.h"

namespace fairlead::flow {
namespace {

bool lists(const std::vector<std::string>& apps, std::string_view origin) {
  return std::any_of(apps.begin(), apps.end(), [&](const std::string& app) { return app == origin; });
}

}  // namespace

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
  return SystemClock::now_ms();
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
    swap_checks(*born, matching(*born, nullptr));
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

// Sentinel gives a resource its place in the tree of a context with the first call. While reading.
void Engine::nest(Resource& resource, const Call& call) {
  if (call.within->engine_ != this) return;  // refused, or over: its resource may be gone
  const Resource* around = call.within->resource_;
  const std::string_view context = call.context.empty() ? kDefaultContext : call.context;
  if (resource.within_in(context) != nullptr) return;
  const std::scoped_lock lock(nesting_);
  std::size_t places = 0;
  for (const Within* place = resource.within.load(std::memory_order_relaxed); place != nullptr; place = place->next) {
    if (place->context == context || ++places >= options_.max_nodes_per_resource) return;
  }
  std::string name = around->name;
  while (around != nullptr) {
    if (around == &resource) {
      name.clear();
      break;
    }
    const Within* place = around->within_in(context);
    around = place != nullptr && !place->resource.empty() ? find(place->resource, std::hash<std::string_view>{}(place->resource)) : nullptr;
  }
  resource.within.store(new Within{.context = std::string(context), .resource = std::move(name), .next = resource.within.load(std::memory_order_relaxed)},
                        std::memory_order_release);
}

void Engine::set_system_status(double load, double cpu) {
  load_now_.store(load, std::memory_order_relaxed);
  cpu_now_.store(cpu, std::memory_order_relaxed);
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
  if (!on()) return {};
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
  if (!on()) return {};
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
  if (call.within != nullptr) [[unlikely]] nest(resource, call);
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
  const auto count = [&](Node& node) {
    if (entry.verdict_ != Verdict::Pass) {
      node.add_block(now, call.count);
    } else {
      node.add_threads(1);
      if (!borrowed) node.add_pass(now, call.count);
    }
  };
  count(resource.node);
  if (entry.context_ != nullptr) count(*entry.context_);
  if (entry.origin_ != nullptr) count(*entry.origin_);
  if (call.inbound) count(inbound_);
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
  if (entry.resource_->has_breakers.load(std::memory_order_relaxed)) {
    const Epoch::Reading reading;
    if (const auto* checks = static_cast<const Checks*>(entry.resource_->checks.load(std::memory_order_seq_cst)))
      for (const BreakerCheck& each : checks->breakers) each.breaker->done(now, rt, entry.failed_);
  }
  // The resource last: when its calls have ended it may go, with the other nodes.
  const auto done = [&](Node& node) {
    node.add_done(now, rt, entry.count_, entry.failed_);
    node.end_thread();
  };
  if (entry.context_ != nullptr) done(*entry.context_);
  if (entry.origin_ != nullptr) done(*entry.origin_);
  if (entry.inbound_) done(inbound_);
  done(entry.resource_->node);
}

}  // namespace fairlead::flow
