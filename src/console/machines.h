// Machines: the instances of apps that send heartbeats (Sentinel's /registry/machine). Kept in memory: they come again by themselves
// within ten seconds of a restart.
//
// Loop thread only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/rules/rule_store.h"

namespace fairlead::console {

enum class RuleState : std::uint8_t { Unknown, Same, Differs, Unsupported };
std::string_view to_string(RuleState state);

struct Machine {
  std::string app, ip, hostname, version;
  int app_type = 0;
  int port = 0;                    // of its command centre
  std::optional<std::int64_t> pid;
  std::int64_t first_ms = 0, heartbeat_ms = 0;
  std::array<RuleState, store::kRuleKinds.size()> state{};
  std::array<std::optional<int>, store::kRuleKinds.size()> loaded{};  // how many rules it has
  std::string problem;             // why it can't be asked
  std::array<std::string, store::kRuleKinds.size()> refusals;  // what it answered instead of taking the rules of a kind

  std::string id() const { return (ip.find(':') == std::string::npos ? ip : "[" + ip + "]") + ":" + std::to_string(port); }
  RuleState& of(store::RuleKind kind) { return state[static_cast<std::size_t>(kind)]; }
  std::string& refusal(store::RuleKind kind) { return refusals[static_cast<std::size_t>(kind)]; }
  // What somebody who looks at it must know; empty: nothing.
  const std::string& trouble() const;
};

struct Heartbeat {
  std::string app, ip, hostname, version;
  int app_type = 0;
  int port = 0;
  std::optional<std::int64_t> pid;
};
// From the parameters of a request, as the original's MachineRegistryController judges them; an error is a sentence for the client.
base::Result<Heartbeat> read_heartbeat(const std::vector<std::pair<std::string, std::string>>& parameters, std::string_view peer_ip);

class Machines {
 public:
  static constexpr std::int64_t kHealthyMs = 60'000;         // Sentinel's: unhealthy after a minute without a heartbeat
  static constexpr std::int64_t kForgottenMs = 24LL * 3'600'000;
  static constexpr std::size_t kMax = 50'000;                // beyond it those longest silent go; then new ones are refused

  explicit Machines(std::function<std::int64_t()> now_ms) : now_ms_(std::move(now_ms)) {}

  // The machine is new, or was silent: it should be asked and told everything. kResourceExhausted: too many.
  base::Result<bool> beat(const Heartbeat& heartbeat);
  bool healthy(const Machine& machine) const { return now_ms_() - machine.heartbeat_ms < kHealthyMs; }
  Machine* find(std::string_view app, std::string_view id);
  std::vector<const Machine*> of(std::string_view app) const;   // by id
  std::vector<Machine*> all();
  std::vector<std::string> apps() const;
  bool remove(std::string_view app, std::string_view id);
  void forget_old();
  std::size_t size() const { return machines_.size(); }

 private:
  std::function<std::int64_t()> now_ms_;
  std::map<std::pair<std::string, std::string>, Machine> machines_;  // by app and id
};

}  // namespace fairlead::console
