// A RuleStore in memory that fails when told to: for tests of what stands above stores.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "store/rules/rule_store.h"

namespace fairlead::store {

class MemoryRuleStore final : public RuleStore {
 public:
  std::string name() const override { return "memory"; }
  RuleStoreHealth health() const override { return {.reachable = !away, .writable = !away, .detail = away ? "away" : ""}; }

  base::Result<std::vector<RuleKey>> list() override {
    if (away) return gone();
    const std::lock_guard lock(mutex_);
    std::vector<RuleKey> keys;
    for (const auto& [key, document] : documents_) keys.push_back(key);
    return keys;
  }
  base::Result<RuleDocument> read(const RuleKey& key) override {
    if (away) return gone();
    const std::lock_guard lock(mutex_);
    const auto found = documents_.find(key);
    return found == documents_.end() ? RuleDocument{} : found->second;
  }
  base::Result<std::string> write(const RuleKey& key, std::string_view text, std::string_view expected) override {
    if (away) return gone();
    std::string version;
    {
      const std::lock_guard lock(mutex_);
      const auto found = documents_.find(key);
      if (expected != (found == documents_.end() ? "" : found->second.version)) return base::fail(base::Code::kConflict, "somebody was faster");
      version = std::to_string(++writes_);
      documents_[key] = {std::string(text), version};
    }
    tell(key);
    if (silent) return gone();
    return version;
  }
  base::Status remove(const RuleKey& key, std::string_view expected) override {
    if (away) return gone();
    {
      const std::lock_guard lock(mutex_);
      const auto found = documents_.find(key);
      if (expected != (found == documents_.end() ? "" : found->second.version)) return base::fail(base::Code::kConflict, "somebody was faster");
      documents_.erase(key);
    }
    tell(key);
    return {};
  }
  base::Result<std::unique_ptr<RuleWatch>> watch(std::function<void(const std::optional<RuleKey>&)> changed) override {
    const std::lock_guard lock(mutex_);
    changed_ = std::move(changed);
    struct Watch final : RuleWatch {
      explicit Watch(MemoryRuleStore& s) : store(s) {}
      ~Watch() override {
        const std::lock_guard lock(store.mutex_);
        store.changed_ = nullptr;
      }
      MemoryRuleStore& store;
    };
    return std::make_unique<Watch>(*this);
  }

  // As another writer does it: whatever is stored.
  void put(const RuleKey& key, std::string_view text) {
    {
      const std::lock_guard lock(mutex_);
      documents_[key] = {std::string(text), std::to_string(++writes_)};
    }
    tell(key);
  }
  void come_back() {
    away = false;
    tell(std::nullopt);
  }

  std::atomic<bool> away{false};    // every call fails, nothing is done
  std::atomic<bool> silent{false};  // writes are done, and then fail: the answer was lost

 private:
  static std::unexpected<base::Error> gone() { return base::fail(base::Code::kUnavailable, "the store does not answer"); }
  void tell(const std::optional<RuleKey>& key) {
    const std::lock_guard lock(mutex_);
    if (changed_) changed_(key);
  }

  std::mutex mutex_;
  std::map<RuleKey, RuleDocument> documents_;
  std::uint64_t writes_ = 0;
  std::function<void(const std::optional<RuleKey>&)> changed_;
};

}  // namespace fairlead::store
