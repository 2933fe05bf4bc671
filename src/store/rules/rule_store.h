// RuleStore: where lists of flow-control rules live, one document for each app and kind, so that every instance of an app obeys the
// same ones and no restart forgets them. A document is the JSON array that Sentinel's datasources read (flow/rules_json.h); a store
// keeps and returns its bytes unchanged and judges nothing in it.
//
// Threads: any; calls block, each no longer than its store's time-out. Owner: whoever opened it (console, control plane).
// Sources: Sentinel's ReadableDataSource and DynamicRulePublisher (what is stored where), ZooKeeper's setData with a version, Nacos'
// casMd5, Apollo's releases (why versions are opaque texts).
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::store {

enum class RuleKind : std::uint8_t { Flow, Degrade, ParamFlow, System, Authority, GatewayFlow, GatewayApi };
inline constexpr std::array kRuleKinds = {RuleKind::Flow,      RuleKind::Degrade,     RuleKind::ParamFlow, RuleKind::System,
                                          RuleKind::Authority, RuleKind::GatewayFlow, RuleKind::GatewayApi};
// "flow_rule", "degrade_rule", "param_flow_rule", "system_rule", "authority_rule", "gateway_flow_rule", "gateway_api_definition".
std::string_view to_string(RuleKind kind);
std::optional<RuleKind> rule_kind(std::string_view text);

struct RuleKey {
  std::string app;
  RuleKind kind = RuleKind::Flow;
  auto operator<=>(const RuleKey&) const = default;
};

// What is stored. `version` is opaque, differs after every write (also one of equal bytes), and is "" where nothing is stored.
struct RuleDocument {
  std::string text;
  std::string version;
};

// Ends the watch when it is destroyed; no callback runs afterwards. Not to be destroyed inside its own callback.
class RuleWatch {
 public:
  virtual ~RuleWatch() = default;
};

// A value in the layout of Sentinel's own sample: an app's node holds its flow rules (or whatever was written there) itself.
struct FlatRules {
  std::string app;
  RuleDocument document;
};

struct RuleStoreHealth {
  bool reachable = true;
  bool writable = true;
  std::string detail;  // what is wrong and what to do; "" when nothing is
};

class RuleStore {
 public:
  virtual ~RuleStore() = default;

  // What was asked for at start: "sqlite:PATH", "dir:PATH", "zk:HOSTS/ROOT". Without secrets.
  virtual std::string name() const = 0;
  virtual RuleStoreHealth health() const = 0;

  // Sorted by app and kind. What lies in the store and is none of its documents is passed over.
  virtual base::Result<std::vector<RuleKey>> list() = 0;
  virtual base::Result<RuleDocument> read(const RuleKey& key) = 0;  // nothing stored: an empty document, no error

  // Compare and set: writes only if what is stored has the version `expected` ("": nothing is stored). Answers the new version.
  // Errors: kConflict (somebody was faster; read again), kResourceExhausted (too large), kUnavailable (it may have been written or not:
  // read again), kPermissionDenied (read-only, wrong ACL), kInvalidArgument (an app's name that the store can't have). After any other error nothing was written. What was
  // answered with a version survives every crash that the store itself survives.
  virtual base::Result<std::string> write(const RuleKey& key, std::string_view text, std::string_view expected) = 0;
  virtual base::Status remove(const RuleKey& key, std::string_view expected) = 0;  // errors as write()'s

  // Calls for every change of a document, whoever made it, own writes included, and with nullopt when changes may have been missed
  // (session lost and found): read everything again then. Health changes call with nullopt too. From a thread of the store's, one
  // call at a time; the callback must not block for long and must not call the store.
  virtual base::Result<std::unique_ptr<RuleWatch>> watch(std::function<void(const std::optional<RuleKey>&)> changed) = 0;

  // Sorted by app; only ZooKeeper has any. Whether a value makes sense is for migrate.h to say.
  virtual base::Result<std::vector<FlatRules>> flat() { return std::vector<FlatRules>{}; }
  virtual base::Status clear_flat(const std::string& app, std::string_view expected);  // to an empty value; errors as write()'s
};

struct RuleStoreOptions {
  std::string root = "/sentinel_rule_config";   // ZooKeeper
  std::chrono::milliseconds session_timeout{10'000};
  std::chrono::milliseconds operation_timeout{5'000};
  std::string digest;                           // "user:password": identity and, for new nodes, the ACL; "": open to all
  bool digest_reads_too = false;                // with a digest: others may not read new nodes either; Sentinel's clients need it then
};

// `where` as name() has it. Errors say what is wrong with it and what to do. A ZooKeeper that is not there is no error: its store opens
// and says so in health() until it comes.
base::Result<std::unique_ptr<RuleStore>> open_rule_store(std::string_view where, const RuleStoreOptions& options = {});

}  // namespace fairlead::store
