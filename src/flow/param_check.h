// What parameter rules ask of the values of one resource (Sentinel's ParamFlowChecker and ParameterMetric of 1.8.8). Any thread; a rule
// has a lock of its own, held for the look at one value.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "flow/param_table.h"
#include "flow/rules.h"

namespace fairlead::flow {

class ParamThreads;

// A value that a call in progress counts for.
struct ParamHeld {
  ParamThreads* owner = nullptr;
  ParamTable::Slot* slot = nullptr;  // null: among those beyond the limit
  ParamHeld* next = nullptr;         // of the same call
};

// Calls in progress by value of one parameter of a resource. Values beyond the limit share one count: rather refused than unchecked.
class ParamThreads {
 public:
  explicit ParamThreads(std::size_t most) : most_(most) {}
  std::int64_t running(const Param& value, std::size_t hash);
  // Puts in front of `chain` what release() takes back. `beyond`: the value shares a count.
  ParamHeld* hold(const Param& value, ParamHeld* chain, bool& beyond);
  static void release(ParamHeld* chain);

 private:
  const std::size_t most_;
  std::mutex lock_;
  ParamTable table_;  // only values with calls in progress
  std::int64_t rest_ = 0;
  std::deque<ParamHeld> all_held_;
  ParamHeld* free_ = nullptr;
};

// A rule made ready: its exceptions parsed.
class ParamPlan {
 public:
  explicit ParamPlan(ParamFlowRule rule);
  const ParamFlowRule& rule() const { return rule_; }
  std::int64_t threshold(const Param& value, std::size_t hash) const;
  std::size_t default_limit() const;  // Sentinel's number of values that are kept

 private:
  struct Exception {
    std::size_t hash;
    ParamKey key;
    std::int64_t count;
  };
  const ParamFlowRule rule_;
  std::int64_t threshold_;
  std::vector<Exception> exceptions_;  // by hash
};

// The argument that an index means, negative ones counted from the end; null if there is none.
inline const Param* param_at(std::span<const Param> params, int index) {
  const std::int64_t at = index < 0 ? static_cast<std::int64_t>(params.size()) + index : index;
  return at >= 0 && at < static_cast<std::int64_t>(params.size()) ? &params[static_cast<std::size_t>(at)] : nullptr;
}

// The state of one rule for one resource.
class ParamBuckets {
 public:
  ParamBuckets(std::shared_ptr<const ParamPlan> plan, std::size_t most) : plan_(std::move(plan)), most_(most) {}
  const ParamFlowRule& rule() const { return plan_->rule(); }
  // Adds to wait_ns what the call must wait. `forgot`: values that had places left to count were given up for new ones.
  bool ask(const Param& value, ParamThreads* threads, std::int64_t now, int count, std::int64_t& wait_ns, int& forgot);
  std::size_t values();

 private:
  bool reject(const Param& value, std::size_t hash, std::int64_t threshold, std::int64_t now, int count, int& forgot);
  bool throttle(const Param& value, std::size_t hash, std::int64_t threshold, std::int64_t now, int count, std::int64_t& wait_ns, int& forgot);
  ParamTable::Slot* place(const Param& value, std::size_t hash, std::int64_t now, bool& fresh, int& forgot);
  bool counts(const ParamTable::Slot& slot, std::int64_t now) const;
  bool due(const ParamTable::Slot& slot, std::int64_t now) const;
  std::int64_t tokens(const ParamTable::Slot& slot, std::int64_t threshold, std::int64_t now) const;

  const std::shared_ptr<const ParamPlan> plan_;
  const std::size_t most_;
  std::mutex lock_;
  ParamTable table_;
};

// An exception's value as its type says; None if it can't be read (`problem` says why). `text` must outlive it.
Param read_param(const std::string& text, const std::string& class_type, std::string& problem);

}  // namespace fairlead::flow
