// What the backends of RuleStore share: names of apps, versions made of bytes, and how changes reach those who watch.
//
// Threads: as said below. For this folder only.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "store/rules/rule_store.h"

namespace fairlead::store {

inline constexpr std::size_t kMaxAppBytes = 255;             // a folder's name has no more on Linux; the same for all, so that apps can move
inline constexpr std::size_t kMaxDocumentBytes = 16U << 20;  // of stores that have no limit of their own

// Errors name the app and say what a name must be.
base::Status check_app(std::string_view app);
base::Status check_size(const RuleKey& key, std::size_t bytes, std::size_t limit, std::string_view whose);

// Names of apps where a backend can't have every character: those for which `escaped` is true of their first byte's position become %XX,
// and so does a '%' that would be read as such. `unescape_app` answers nothing for a text that escape_app() does not make.
using Escaped = std::function<bool(std::string_view app, std::size_t at)>;
std::string escape_app(std::string_view app, const Escaped& escaped);
std::optional<std::string> unescape_app(std::string_view text, const Escaped& escaped);
// The bytes of the character at `at` of a valid UTF-8 text, and its code point.
std::size_t character_at(std::string_view text, std::size_t at, char32_t& code_point);

// FNV-1a, 64 bits: parts of versions, so that an edit by other programs shows even where their time stamps don't.
std::uint64_t hash_bytes(std::string_view bytes);

// The error of a compare-and-set that lost.
std::unexpected<base::Error> conflict(const RuleKey& key, std::string_view expected, std::string_view stored);

// Health and watchers of a store. Callbacks run on one thread of this object's. Any thread.
class RuleSignals {
 public:
  RuleSignals();
  ~RuleSignals();  // no callback runs afterwards

  std::unique_ptr<RuleWatch> add(std::function<void(const std::optional<RuleKey>&)> changed);
  void changed(std::optional<RuleKey> key);

  RuleStoreHealth health() const;
  void set_health(RuleStoreHealth health);  // a change tells the watchers
  void set_readable(bool readable, std::string detail = {});
  void set_writable(bool writable, std::string detail = {});

 private:
  static constexpr std::size_t kMaxQueued = 10'000;  // more changes at once become one "read everything again"
  struct State;
  class Watch;
  static void run(std::stop_token stop, State& state);

  std::shared_ptr<State> state_;  // watches may outlive the store
  std::jthread thread_;           // from the first watch on
};

base::Result<std::unique_ptr<RuleStore>> open_sqlite_rules(const std::string& path, const RuleStoreOptions& options);
base::Result<std::unique_ptr<RuleStore>> open_directory_rules(const std::string& path, const RuleStoreOptions& options);
base::Result<std::unique_ptr<RuleStore>> open_zookeeper_rules(const std::string& hosts_and_chroot, const RuleStoreOptions& options);

}  // namespace fairlead::store
