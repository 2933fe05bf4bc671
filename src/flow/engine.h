// The flow control engine: asks, for each call of a resource, whether the rules let it pass. Decides as sentinel-core 1.8.8 does.
//
//   flow::Engine engine;
//   engine.load({flow::FlowRule{.resource = "orders", .count = 100}});
//   if (auto entry = engine.enter("orders")) { ...; if (failed) entry.trace(); } else { answer 429 }
//
// Any thread may call anything at any time. A check takes no lock and allocates nothing once it has seen the resource, origin and
// context. load() swaps the rules and waits until no check looks at the old ones (microseconds).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flow/param.h"
#include "flow/rules.h"
#include "flow/statistics.h"
#include "flow/window.h"

namespace fairlead::flow {

enum class Verdict : std::uint8_t { Pass, Flow, Degrade, Authority, SystemQps, SystemThread, SystemRt, SystemLoad, SystemCpu, ParamFlow, Gateway };
// What is kept is limited; none of the limits lets a call pass unchecked (what each does: Engine::Options).
enum class Limit : std::uint8_t { Resources, NodesPerResource, ParamValues, ParamThreads };
enum class BreakerState : std::uint8_t { Closed, Open, HalfOpen };
std::string_view to_string(Verdict verdict);
std::string_view to_string(BreakerState state);
std::string_view to_string(Limit limit);

class Entry;

struct Call {
  std::string_view context;  // name of the entrance; empty: the default one
  std::string_view origin;   // who calls; empty: unknown
  int count = 1;
  bool prioritized = false;  // may borrow from the next window instead of being refused
  bool inbound = false;      // counts for the system rules
  std::span<const Param> params;  // the arguments, for parameter rules; read only if the resource has some
  const Entry* within = nullptr;  // the call in progress, of the same context, that this one is part of: its place in the tree
};

class Resource;
class NodeTable;
class Engine;
class Regex;
class ParamThreads;
struct ParamHeld;

// One call in progress; leaving ends it. Movable, and may end on another thread than it began on. Must not outlive its engine.
class [[nodiscard]] Entry {
 public:
  Entry() = default;
  Entry(Entry&& other) noexcept { *this = std::move(other); }
  Entry& operator=(Entry&& other) noexcept;
  ~Entry() { leave(); }

  explicit operator bool() const { return verdict_ == Verdict::Pass; }
  Verdict verdict() const { return verdict_; }
  // Position, in the list that was loaded, of the rule that refused; -1 if none did.
  int rule() const { return rule_; }
  // A call that passed must wait this long before it goes on (rate limiter, borrowed place). The engine never sleeps by itself.
  std::int64_t wait_ns() const { return wait_ns_; }

  // The call failed: counts for exceptions and for breakers.
  void trace() { failed_ = true; }
  void leave();

 private:
  friend class Engine;

  Engine* engine_ = nullptr;  // null: nothing (more) to end
  Resource* resource_ = nullptr;
  Node* origin_ = nullptr;
  Node* context_ = nullptr;
  ParamHeld* held_ = nullptr;  // values that it counts for, of rules by threads
  std::int64_t begun_ms_ = 0;
  std::int64_t wait_ns_ = 0;
  int count_ = 1;
  int rule_ = -1;
  Verdict verdict_ = Verdict::Pass;
  bool inbound_ = false;
  bool failed_ = false;
};

class Engine {
 public:
  struct Options {
    // Milliseconds; null: the system's clock. Must not be negative.
    std::int64_t (*now_ms)(void*) = nullptr;
    void* clock = nullptr;
    // When there are more resources, those that no rule names and no handle holds go, idle longest first. If none has been idle for
    // min_idle_ms (so that the minute's metrics stay), new ones without rules are counted together: overflow(). Those with rules are
    // always checked.
    std::size_t max_resources = 100'000;
    std::int64_t min_idle_ms = 60'000;
    // Origins (contexts) of a resource beyond this number share one node: checked together, so rather refused than unchecked.
    std::size_t max_nodes_per_resource = 1'024;
    // Values that a parameter rule keeps, for each resource; 0: Sentinel's number, 4,000 for each second of the rule's interval, at most
    // 200,000. Beyond it the value used longest ago is forgotten, and when it comes again has all its places.
    std::size_t max_param_values = 0;
    // Values of a parameter with calls in progress, for rules by threads; 0: Sentinel's number, 4,000. Those beyond share one count:
    // rather refused than unchecked.
    std::size_t max_param_threads = 0;
  };
  // Called inside a check or an exit, so it must be short; may call nothing of the engine.
  using BreakerListener = std::function<void(const DegradeRule&, BreakerState from, BreakerState to)>;
  // Called inside a check, like the breakers' listener, when a limit was met the first time and whenever the number has doubled.
  using LimitListener = std::function<void(Limit, std::string_view resource, std::uint64_t times)>;

  Engine();
  explicit Engine(const Options& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Each replaces all rules of its kind. Invalid rules are left out; the answer holds a sentence for each, with its position, and for
  // what of a valid rule is not acted on. A rule that equals an earlier one is taken once. A resource has one authority rule of its own.
  std::vector<std::string> load(std::vector<FlowRule> rules);
  // Breakers whose rule stays equal keep their state.
  std::vector<std::string> load(std::vector<DegradeRule> rules);
  std::vector<std::string> load(std::vector<AuthorityRule> rules);
  std::vector<std::string> load(std::vector<SystemRule> rules);
  // What is counted for the values of a rule that stays equal is kept.
  std::vector<std::string> load(std::vector<ParamFlowRule> rules);
  // Their arguments are those that flow::Gateway finds in a request.
  std::vector<std::string> load(std::vector<GatewayFlowRule> rules);

  // The rules that are held, as load() took them: without the invalid ones and those that equal an earlier one. For each kind of load().
  template <class Rule>
  std::vector<Rule> rules() const;

  Entry enter(std::string_view resource, const Call& call = {});
  // The same without the search by name. A resource that was asked for here lives as long as the engine.
  Entry enter(Resource& resource, const Call& call = {});
  Resource& resource(std::string_view name);

  // For the rules of load (1 minute average) and CPU (0..1), which the program measures; -1: unknown.
  void set_system_status(double load, double cpu);
  double system_load() const { return load_now_.load(std::memory_order_relaxed); }
  double cpu_usage() const { return cpu_now_.load(std::memory_order_relaxed); }
  // Sentinel's switch: while it is off every call passes, unchecked and uncounted. Calls in progress end as they began.
  void set_on(bool on) { on_.store(on, std::memory_order_relaxed); }
  bool on() const { return on_.load(std::memory_order_relaxed); }
  void on_breaker_change(BreakerListener listener);  // before the first load()
  void on_limit(LimitListener listener);             // before the first load() and call

  // What was counted, sorted by name. The table of resources is locked meanwhile: no new one, no load(); calls go on. Looking does not
  // make a resource used.
  std::vector<NamedStatistics> statistics() const;                               // of every resource
  std::optional<Statistics> statistics(std::string_view resource) const;         // nothing: it is not known
  Statistics inbound_statistics() const;                                         // of all inbound calls
  std::vector<NamedStatistics> origins(std::string_view resource) const;         // of one resource by origin
  std::vector<NamedStatistics> contexts(std::string_view resource) const;        // and by context
  StatisticsTree tree() const;
  // Seconds that have ended and began after the given time, of the last minute, by time and resource; all inbound calls as
  // __total_inbound_traffic__. Give the newest time of the answer the next time.
  std::vector<Metric> metrics(std::int64_t after_ms) const;

  Node& node(Resource& resource);
  Node& inbound() { return inbound_; }
  std::int64_t now() const;  // milliseconds, of the engine's clock
  std::size_t resources() const { return resources_.load(std::memory_order_relaxed); }
  // How often a limit was met: calls counted together (resources, nodes, threads), values forgotten while they still counted.
  std::uint64_t limit_hits(Limit limit) const { return limit_hits_[static_cast<std::size_t>(limit)].load(std::memory_order_relaxed); }
  std::uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }  // resources that went because they were idle
  std::uint64_t overflow() const { return limit_hits(Limit::Resources); }

 private:
  friend class Entry;
  struct Checks;

  Entry enter_reading(Resource& resource, const Call& call);
  void leave(Entry& entry);
  Resource* make(std::string_view name, std::size_t hash, bool hold);
  void make_room(std::int64_t now);
  bool may_make_room(std::int64_t now) const;
  Resource* find(std::string_view name, std::size_t hash) const;
  Resource& named(const std::string& name);
  Resource* link(std::unique_ptr<Resource> resource, std::size_t hash);
  struct Loaded;
  void publish();
  std::unique_ptr<Checks> matching(Resource& resource, std::unique_ptr<Checks> checks);
  static std::unique_ptr<const Checks> swap_checks(Resource& resource, std::unique_ptr<const Checks> checks);
  bool matches_some(std::string_view name) const;
  Verdict check_system(const Call& call, std::int64_t now);
  bool check(Entry& entry, const Checks& checks, const Call& call, std::int64_t now);
  bool check_params(Entry& entry, const Checks& checks, const Call& call, std::int64_t now);
  void hold_params(Entry& entry, const Checks& checks, const Call& call);
  void hold_param(Entry& entry, ParamThreads& threads, const Param& value);
  Node* node_of(NodeTable& table, std::string_view name, const Resource& resource);
  void nest(Resource& resource, const Call& call);
  void each_resource(const std::function<void(const Resource&)>& visit) const;
  void met(Limit limit, std::string_view resource, std::uint64_t times = 1);

  const Options options_;
  static constexpr std::size_t kTableSize = 1 << 14;
  std::unique_ptr<std::atomic<Resource*>[]> table_;
  std::atomic<std::size_t> resources_{0};
  std::array<std::atomic<std::uint64_t>, 4> limit_hits_{};
  std::unique_ptr<Resource> overflow_;
  Node inbound_;

  std::atomic<double> max_load_{-1}, max_cpu_{-1}, max_qps_{-1};
  std::atomic<std::int64_t> max_rt_{-1}, max_thread_{-1};
  std::atomic<bool> system_set_{false}, on_{true};
  std::atomic<double> load_now_{-1}, cpu_now_{-1};

  std::atomic<const std::vector<std::shared_ptr<const Regex>>*> expressions_{nullptr};  // of rules for many resources

  mutable std::mutex changing_;  // load() and new resources
  std::mutex nesting_;           // new places in the tree
  BreakerListener listener_;
  LimitListener limit_listener_;
  std::unique_ptr<Loaded> loaded_;
  std::uint64_t loads_ = 1;                          // a resource that rules name has this number
  std::atomic<std::int64_t> made_room_ms_{-1'000};   // when it was tried last
  std::vector<std::unique_ptr<Resource>> leaving_;   // out of the table, with calls in progress
  std::atomic<std::uint64_t> evicted_{0};
};

}  // namespace fairlead::flow
