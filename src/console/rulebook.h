// Rulebook: every app's rules as they are stored, held in memory, followed live, and changed by compare-and-set. Writes go to the store
// first; what was acknowledged is in the store. Keeps the last good rules of a document that became garbage, the rules that people
// disabled (those are not in the store's document, so that no client obeys them), and the history of every change.
//
// Loop thread only; the store is asked on a thread of its own, one call after another. Owner: the console.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/value.h"
#include "console/database.h"
#include "console/rule_documents.h"
#include "io/loop.h"
#include "store/rules/rule_store.h"

namespace fairlead::console {

struct Document {
  std::string stored_version;            // the store's
  std::string text;                      // as stored
  std::string good;                      // the last text without a fault, or the good rules of this one
  std::vector<base::Value> rules;        // of `good`
  std::vector<flow::RuleFault> faults;   // of `text`; not empty: it can't be read, whole or in part
  std::int64_t disabled_revision = 0;
  // With their places in the list that people see.
  std::vector<std::pair<std::size_t, base::Value>> disabled;

  // What writers must name: changes with the store's version and with the disabled rules. "": nothing is there.
  std::string version() const;
  // Stored and disabled ones, each with its "enabled".
  std::vector<base::Value> all() const;
};

struct Change {
  std::int64_t id = 0, time_ms = 0;
  std::string user, source, app;
  store::RuleKind kind = store::RuleKind::Flow;
  std::string comment, version, before, after;
};

struct RuleWrite {
  store::RuleKey key;
  std::string expected;
  std::vector<base::Value> rules;  // with "enabled": false for those to be kept out of the store
  std::string user;
  std::string comment;
  bool overwrite_garbage = false;
};

struct WriteOutcome {
  enum class What : std::uint8_t { Done, Invalid, Conflict, Garbage, Failed };
  What what = What::Done;
  std::vector<flow::RuleFault> faults;  // Invalid: index in RuleWrite::rules
  base::Error error;                    // Failed: the store's, to be shown
};

class Rulebook {
 public:
  // After a document changed, whoever changed it.
  using Listener = std::function<void(const store::RuleKey&)>;

  Rulebook(io::Loop& loop, std::shared_ptr<store::RuleStore> store, Database& database, std::function<std::int64_t()> now_ms);
  ~Rulebook();  // waits for the call to the store that runs
  Rulebook(const Rulebook&) = delete;
  Rulebook& operator=(const Rulebook&) = delete;

  // Reads all and follows changes; `ready` runs once everything was read or the store has said that it can't be.
  void start(std::function<void()> ready);
  void on_change(Listener listener) { listeners_.push_back(std::move(listener)); }
  void on_health(std::function<void()> listener) { health_listeners_.push_back(std::move(listener)); }

  const Document& find(const store::RuleKey& key) const;  // an empty one if there is none
  std::vector<std::string> apps() const;                  // with a document or disabled rules
  store::RuleStoreHealth health() const { return store_->health(); }
  std::string store_name() const { return store_->name(); }

  void write(RuleWrite write, std::function<void(WriteOutcome)> done);

  // Takes an app's documents that hold no rule out of the store; others stay, and so does what somebody writes meanwhile. Answers the
  // store's first error.
  void remove_empty(const std::string& app, std::function<void(base::Status)> done);

  // Newest first, of one app ("": all) and kind; ids below `before` (0: from the newest).
  std::vector<Change> history(std::string_view app, std::optional<store::RuleKind> kind, std::int64_t before, int limit) const;
  std::optional<Change> change(std::int64_t id) const;

 private:
  struct Pending;

  void run(std::function<void()> job);  // on the store's thread
  void work(const std::stop_token& stop);
  void read(const store::RuleKey& key);
  void read_all(std::function<void()> done);
  void adopt(const store::RuleKey& key, const store::RuleDocument& found);
  void set_text(Document& document, store::RuleKind kind, const store::RuleDocument& found);
  void remember(const store::RuleKey& key, const Document& document);
  void settle_unknown(const store::RuleKey& key, const std::string& known_version, const store::RuleDocument& found, bool& ours);
  void load_memory();
  void attempt(std::shared_ptr<Pending> pending);
  void finish(const std::shared_ptr<Pending>& pending, WriteOutcome outcome);
  void commit(const std::shared_ptr<Pending>& pending, const std::string& version);
  std::int64_t add_change(const RuleWrite& write, std::string_view source, std::string_view before, std::string_view after, std::string_view version, int pending);
  void tell(const store::RuleKey& key);

  io::Loop& loop_;
  std::shared_ptr<store::RuleStore> store_;
  Database& database_;
  std::function<std::int64_t()> now_ms_;
  std::map<store::RuleKey, Document> documents_;
  std::map<store::RuleKey, std::deque<std::shared_ptr<Pending>>> writing_;  // the first of each is on its way, the others wait
  std::int64_t next_id_ = 1;
  std::vector<Listener> listeners_;
  std::vector<std::function<void()>> health_listeners_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  std::unique_ptr<store::RuleWatch> watch_;
  std::mutex mutex_;  // guards jobs_
  std::condition_variable_any wake_;
  std::deque<std::function<void()>> jobs_;
  std::jthread worker_;  // last: it uses all of the above
};

}  // namespace fairlead::console
