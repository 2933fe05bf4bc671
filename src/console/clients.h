// Clients: talks to the command centres of machines. Tells each its app's stored rules whenever they change or the machine comes,
// looks whether it really has them, and fetches what it counted.
//
// Loop thread only. Owner: the console. Sources: SentinelApiClient and MetricFetcher of sentinel-dashboard 1.8.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "console/machines.h"
#include "console/metrics.h"
#include "console/rulebook.h"
#include "http/client.h"
#include "io/loop.h"

namespace fairlead::console {

class Clients {
 public:
  Clients(io::Loop& loop, Machines& machines, Rulebook& rulebook, Metrics& metrics, std::function<std::int64_t()> now_ms);
  ~Clients();

  void start();                                  // the ticking: metrics each second, rules every half minute
  void came(const std::string& app, const std::string& id);        // a new machine, or one that came back
  void on_machine_change(std::function<void(const std::string& app)> listener) { changed_ = std::move(listener); }

  // One command of one machine; a failure is a sentence for people.
  using Answer = std::function<void(base::Result<std::string>)>;
  void command(const Machine& machine, std::string_view path, std::string body, Answer done);
  // What it has really loaded, as JSON.
  void loaded_rules(const Machine& machine, store::RuleKind kind, Answer done);

  struct Counts {
    std::uint64_t pushed = 0, push_failures = 0, metric_lines = 0, bad_metric_lines = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  using MachineKey = std::pair<std::string, std::string>;
  struct Asking;

  void tick();
  void fetch_metrics(Machine& machine);
  void take_metrics(const MachineKey& key, std::string_view body);
  void push(const MachineKey& key, store::RuleKind kind);
  void look(const MachineKey& key, store::RuleKind kind, bool may_push);
  void look_at_all(const MachineKey& key);
  void answer(std::uint64_t number, base::Result<std::string> result);

  io::Loop& loop_;
  Machines& machines_;
  Rulebook& rulebook_;
  Metrics& metrics_;
  std::function<std::int64_t()> now_ms_;
  http::Client client_;
  io::Timer timer_;
  std::uint64_t ticks_ = 0;
  std::map<MachineKey, std::int64_t> fetched_until_;   // metrics
  std::set<MachineKey> fetching_;
  std::map<std::pair<MachineKey, store::RuleKind>, bool> pushing_;  // true: again, the rules changed meanwhile
  std::function<void(const std::string&)> changed_ = [](const std::string&) {};
  Counts counts_;
  std::uint64_t asked_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Asking>> asking_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::console
