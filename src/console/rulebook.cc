#include "console/rulebook.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace fairlead::console {

using base::Value;
using store::RuleDocument;
using store::RuleKey;
using store::RuleKind;

namespace {

// Values of changes.pending.
constexpr int kSettled = 0;
constexpr int kOnItsWay = 1;  // after a restart: as kUnknown
constexpr int kUnknown = 2;   // the store did not say whether it wrote; the next reading does

constexpr std::string_view kChangeColumns = "SELECT id, time, user, source, app, kind, comment, version, before, after FROM changes ";

Change change_of(const Query& row) {
  Change change;
  change.id = row.integer(0);
  change.time_ms = row.integer(1);
  change.user = row.text(2);
  change.source = row.text(3);
  change.app = row.text(4);
  change.kind = store::rule_kind(row.text(5)).value_or(RuleKind::Flow);
  change.comment = row.text(6);
  change.version = row.text(7);
  change.before = row.text(8);
  change.after = row.text(9);
  return change;
}

// [{"at": place, "rule": {...}}]
std::string disabled_text(const std::vector<std::pair<std::size_t, Value>>& disabled) {
  Value list = Value::array();
  for (const auto& [at, rule] : disabled) list.push(Value::object({{"at", at}, {"rule", rule}}));
  return list.dump();
}

std::vector<std::pair<std::size_t, Value>> read_disabled(std::string_view text) {
  std::vector<std::pair<std::size_t, Value>> out;
  if (const auto list = base::parse_json(text))
    for (const Value& each : list->items()) out.emplace_back(static_cast<std::size_t>(each["at"].as_int()), each["rule"]);
  return out;
}

std::int64_t greatest_id(const std::vector<Value>& rules) {
  std::int64_t greatest = 0;
  for (const Value& rule : rules) greatest = std::max(greatest, rule["id"].as_int());
  return greatest;
}

}  // namespace

std::string Document::version() const {
  if (disabled_revision == 0) return stored_version;
  return stored_version + "~" + std::to_string(disabled_revision);
}

std::vector<Value> Document::all() const {
  std::vector<Value> out;
  for (const Value& rule : rules) out.emplace_back(rule).set("enabled", true);
  for (const auto& [at, rule] : disabled) {
    const auto place = out.begin() + static_cast<std::ptrdiff_t>(std::min(at, out.size()));
    out.insert(place, rule)->set("enabled", false);
  }
  return out;
}

// A write, from the request to its answer.
struct Rulebook::Pending {
  RuleWrite write;
  std::function<void(WriteOutcome)> done;
  std::string text;      // to be stored
  std::vector<std::pair<std::size_t, Value>> disabled;
  std::int64_t change = 0;
};

Rulebook::Rulebook(io::Loop& loop, std::shared_ptr<store::RuleStore> store, Database& database, std::function<std::int64_t()> now_ms)
    : loop_(loop), store_(std::move(store)), database_(database), now_ms_(std::move(now_ms)), worker_([this](const std::stop_token& stop) { work(stop); }) {}

Rulebook::~Rulebook() {
  watch_.reset();
  worker_.request_stop();
  wake_.notify_all();
  worker_.join();
}

void Rulebook::run(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Rulebook::work(const std::stop_token& stop) {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, stop, [this] { return !jobs_.empty(); });
      if (stop.stop_requested()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void Rulebook::start(std::function<void()> ready) {
  load_memory();
  auto watch = store_->watch([this, alive = std::weak_ptr(alive_)](const std::optional<RuleKey>& key) {
    loop_.post([this, alive, key] {
      if (alive.expired()) return;
      if (key) read(*key);
      else {
        for (const auto& listener : health_listeners_) listener();
        read_all([] {});
      }
    });
  });
  if (watch) watch_ = std::move(*watch);
  else FL_LOG_WARN("console", "rules are not followed: {}", watch.error().text());
  read_all(std::move(ready));
}

// What was known when the console ended: the last good rules are there even if the store is not.
void Rulebook::load_memory() {
  Query known = database_.query("SELECT app, kind, version, text, good FROM documents");
  while (known.next()) {
    const auto kind = store::rule_kind(known.text(1));
    if (!kind) continue;
    Document& document = documents_[{known.text(0), *kind}];
    document.stored_version = known.text(2);
    document.text = known.text(3);
    document.good = known.text(4);
    document.rules = read_document(*kind, document.good).rules;
    document.faults = read_document(*kind, document.text).faults;
    next_id_ = std::max(next_id_, greatest_id(document.rules) + 1);
  }
  Query disabled = database_.query("SELECT app, kind, revision, rules FROM disabled");
  while (disabled.next()) {
    const auto kind = store::rule_kind(disabled.text(1));
    if (!kind) continue;
    Document& document = documents_[{disabled.text(0), *kind}];
    document.disabled_revision = disabled.integer(2);
    document.disabled = read_disabled(disabled.text(3));
    for (const auto& [at, rule] : document.disabled) next_id_ = std::max(next_id_, rule["id"].as_int() + 1);
  }
  database_.query("UPDATE changes SET pending = ?1 WHERE pending = ?2").with(kUnknown, kOnItsWay).run();
}

void Rulebook::read(const RuleKey& key) {
  run([this, key, alive = std::weak_ptr(alive_)] {
    auto found = store_->read(key);
    loop_.post([this, key, alive, found = std::move(found)] {
      if (alive.expired()) return;
      if (found) adopt(key, *found);
      else FL_LOG_WARN("console", "{} {} can't be read: {}", key.app, store::to_string(key.kind), found.error().text());
    });
  });
}

void Rulebook::read_all(std::function<void()> done) {
  run([this, done = std::move(done), alive = std::weak_ptr(alive_)] {
    std::vector<std::pair<RuleKey, RuleDocument>> all;
    const auto keys = store_->list();
    bool complete = keys.has_value();
    if (!keys) FL_LOG_WARN("console", "rules can't be listed: {}", keys.error().text());
    else
      for (const RuleKey& key : *keys) {
        auto found = store_->read(key);
        if (found) all.emplace_back(key, std::move(*found));
        else complete = false;
      }
    loop_.post([this, alive, complete, all = std::move(all), done] {
      if (alive.expired()) return;
      for (const auto& [key, found] : all) adopt(key, found);
      if (complete) {
        std::vector<RuleKey> gone;
        for (const auto& [key, document] : documents_)
          if (!document.stored_version.empty() && std::ranges::none_of(all, [&](const auto& each) { return each.first == key; })) gone.push_back(key);
        for (const RuleKey& key : gone) read(key);  // once more: it may have come in the meantime
      }
      done();
    });
  });
}

void Rulebook::set_text(Document& document, RuleKind kind, const RuleDocument& found) {
  ReadRules read = read_document(kind, found.text);
  document.stored_version = found.version;
  document.text = found.text;
  document.faults = std::move(read.faults);
  const bool unreadable = std::ranges::any_of(document.faults, [](const flow::RuleFault& f) { return f.index < 0; });
  if (unreadable) return;  // the last good rules stay
  document.rules = std::move(read.rules);
  document.good = found.text;
  if (document.faults.empty()) return;
  Value list = Value::array();
  for (const Value& rule : document.rules) list.push(rule);
  document.good = list.dump();
}

void Rulebook::remember(const RuleKey& key, const Document& document) {
  const std::string_view kind = store::to_string(key.kind);
  const bool done = document.stored_version.empty() && document.good.empty()
                        ? database_.query("DELETE FROM documents WHERE app = ?1 AND kind = ?2").with(key.app, kind).run()
                        : database_.query("INSERT INTO documents (app, kind, version, text, good) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET "
                                          "version = ?3, text = ?4, good = ?5")
                              .with(key.app, kind, document.stored_version, document.text, document.good)
                              .run();
  if (!done) FL_LOG_ERROR("console", "{}", database_.problem());
}

// Writes whose outcome was not known: the store's document tells.
void Rulebook::settle_unknown(const RuleKey& key, const std::string& known_version, const RuleDocument& found, bool& ours) {
  std::vector<std::pair<std::int64_t, std::string>> unknown;
  {
    Query rows = database_.query("SELECT id, after FROM changes WHERE app = ?1 AND kind = ?2 AND pending = ?3 ORDER BY id DESC")
                     .with(key.app, store::to_string(key.kind), kUnknown);
    while (rows.next()) unknown.emplace_back(rows.integer(0), rows.text(1));
  }
  for (const auto& [id, after] : unknown) {
    const bool written = !ours && found.version != known_version && found.text == after;
    if (written) ours = database_.query("UPDATE changes SET pending = ?2, version = ?3 WHERE id = ?1").with(id, kSettled, found.version).run();
    else database_.query("DELETE FROM changes WHERE id = ?1").with(id).run();
  }
}

void Rulebook::adopt(const RuleKey& key, const RuleDocument& found) {
  const auto known = documents_.find(key);
  const std::string known_version = known == documents_.end() ? "" : known->second.stored_version;
  bool ours = false;
  settle_unknown(key, known_version, found, ours);
  if (found.version == known_version) return;
  Document& document = documents_[key];
  const std::string before = document.text;
  set_text(document, key.kind, found);
  if (found.version.empty()) document.rules.clear(), document.good.clear(), document.faults.clear();
  next_id_ = std::max(next_id_, greatest_id(document.rules) + 1);
  remember(key, document);
  if (!ours && before != found.text) {
    RuleWrite outside;
    outside.key = key;
    add_change(outside, "outside", before, found.text, found.version, kSettled);
  }
  tell(key);
}

void Rulebook::tell(const RuleKey& key) {
  for (const Listener& listener : listeners_) listener(key);
}

const Document& Rulebook::find(const RuleKey& key) const {
  static const Document none;
  const auto found = documents_.find(key);
  return found == documents_.end() ? none : found->second;
}

std::vector<std::string> Rulebook::apps() const {
  std::vector<std::string> out;
  for (const auto& [key, document] : documents_)
    if (!document.stored_version.empty() || !document.disabled.empty())
      if (out.empty() || out.back() != key.app) out.push_back(key.app);
  return out;
}

std::int64_t Rulebook::add_change(const RuleWrite& write, std::string_view source, std::string_view before, std::string_view after, std::string_view version,
                                  int pending) {
  const bool done = database_.query("INSERT INTO changes (time, user, source, app, kind, comment, version, before, after, pending) VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
                                    "?7, ?8, ?9, ?10)")
                        .with(now_ms_(), write.user, source, write.key.app, store::to_string(write.key.kind), write.comment, version, before, after, pending)
                        .run();
  if (done) return database_.last_id();
  FL_LOG_ERROR("console", "{}", database_.problem());
  return 0;
}

void Rulebook::write(RuleWrite write, std::function<void(WriteOutcome)> done) {
  auto pending = std::make_shared<Pending>();
  pending->write = std::move(write);
  pending->done = std::move(done);
  auto& queue = writing_[pending->write.key];
  queue.push_back(pending);
  if (queue.size() == 1) attempt(pending);
}

void Rulebook::attempt(std::shared_ptr<Pending> pending) {
  const RuleWrite& write = pending->write;
  const Document& document = find(write.key);
  if (write.expected != document.version()) return finish(pending, {.what = WriteOutcome::What::Conflict, .faults = {}, .error = {}});
  if (!document.faults.empty() && !write.overwrite_garbage) return finish(pending, {.what = WriteOutcome::What::Garbage, .faults = {}, .error = {}});

  // All of them are judged, the disabled ones too: enabling one must not fail.
  Value all = Value::array();
  for (const Value& rule : write.rules) all.push(rule);
  if (ReadRules read = read_document(write.key.kind, all.dump()); !read.faults.empty())
    return finish(pending, {.what = WriteOutcome::What::Invalid, .faults = std::move(read.faults), .error = {}});

  std::vector<Value> enabled;
  for (std::size_t i = 0; i < write.rules.size(); ++i) {
    const Value& rule = write.rules[i];
    if (rule["enabled"].as_bool(true)) {
      enabled.push_back(rule);
      continue;
    }
    Value kept = rule;
    kept.erase("enabled");
    if (!std::as_const(kept)["id"].is_int()) kept.set("id", next_id_++);
    pending->disabled.emplace_back(i, std::move(kept));
  }
  pending->text = print_document(enabled, next_id_);
  const bool same = document.faults.empty() && (pending->text == document.text || (enabled.empty() && document.stored_version.empty()));
  if (same) {
    if (pending->disabled != document.disabled)
      pending->change = add_change(write, "console", disabled_text(document.disabled), disabled_text(pending->disabled), document.stored_version, kSettled);
    return commit(pending, document.stored_version);
  }
  pending->change = add_change(write, "console", document.text, pending->text, "", kOnItsWay);
  if (pending->change == 0)
    return finish(pending, {.what = WriteOutcome::What::Failed, .faults = {}, .error = {base::Code::kUnavailable, "nothing was written, since the change can't be recorded: " + database_.problem(), {}}});
  run([this, pending, key = write.key, text = pending->text, expected = document.stored_version, alive = std::weak_ptr(alive_)] {
    auto written = store_->write(key, text, expected);
    loop_.post([this, pending, alive, written = std::move(written)] {
      if (alive.expired()) return;
      if (written) return commit(pending, *written);
      const bool unknown = written.error().code == base::Code::kUnavailable || written.error().code == base::Code::kDeadlineExceeded;
      if (unknown) database_.query("UPDATE changes SET pending = ?2 WHERE id = ?1").with(pending->change, kUnknown).run();
      else database_.query("DELETE FROM changes WHERE id = ?1").with(pending->change).run();
      if (written.error().code != base::Code::kConflict) {
        if (unknown) read(pending->write.key);
        return finish(pending, {.what = WriteOutcome::What::Failed, .faults = {}, .error = written.error()});
      }
      // Who lost is shown what won: read it first.
      run([this, pending, alive] {
        auto found = store_->read(pending->write.key);
        loop_.post([this, pending, alive, found = std::move(found)] {
          if (alive.expired()) return;
          if (found) adopt(pending->write.key, *found);
          finish(pending, {.what = WriteOutcome::What::Conflict, .faults = {}, .error = {}});
        });
      });
    });
  });
}

void Rulebook::commit(const std::shared_ptr<Pending>& pending, const std::string& version) {
  const RuleKey& key = pending->write.key;
  Document& document = documents_[key];
  Database::Transaction all(database_);
  if (version != document.stored_version) {
    set_text(document, key.kind, {pending->text, version});
    remember(key, document);
    database_.query("UPDATE changes SET pending = ?2, version = ?3 WHERE id = ?1").with(pending->change, kSettled, version).run();
  }
  if (pending->disabled != document.disabled) {
    document.disabled = pending->disabled;
    ++document.disabled_revision;
    database_.query("INSERT INTO disabled (app, kind, revision, rules) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET revision = ?3, rules = ?4")
        .with(key.app, store::to_string(key.kind), document.disabled_revision, disabled_text(document.disabled))
        .run();
  }
  if (!all.commit()) FL_LOG_ERROR("console", "{}", database_.problem());
  tell(key);
  finish(pending, {});
}

void Rulebook::finish(const std::shared_ptr<Pending>& pending, WriteOutcome outcome) {
  const RuleKey key = pending->write.key;
  auto& queue = writing_[key];
  queue.pop_front();
  const std::shared_ptr<Pending> next = queue.empty() ? nullptr : queue.front();
  if (!next) writing_.erase(key);
  pending->done(std::move(outcome));
  if (next) attempt(next);
}

void Rulebook::remove_empty(const std::string& app, std::function<void(base::Status)> done) {
  std::vector<std::pair<RuleKey, std::string>> empty;
  for (RuleKind kind : store::kRuleKinds)
    if (const Document& document = find({app, kind}); !document.stored_version.empty() && document.all().empty() && document.faults.empty())
      empty.emplace_back(RuleKey{app, kind}, document.stored_version);
  run([this, empty = std::move(empty), done = std::move(done), alive = std::weak_ptr(alive_)] {
    std::vector<std::pair<RuleKey, std::string>> gone;
    base::Status result;
    for (const auto& each : empty) {
      if (auto removed = store_->remove(each.first, each.second)) gone.push_back(each);
      else if (result) result = std::move(removed);
    }
    loop_.post([this, gone = std::move(gone), result = std::move(result), done, alive] {
      if (alive.expired()) return;
      for (const auto& [key, version] : gone) {
        Document& document = documents_[key];
        if (document.stored_version != version) continue;
        document.stored_version.clear(), document.text.clear(), document.good.clear();
        remember(key, document);
        tell(key);
      }
      done(result);
    });
  });
}

std::vector<Change> Rulebook::history(std::string_view app, std::optional<RuleKind> kind, std::int64_t before, int limit) const {
  std::vector<Change> out;
  const std::string_view of = kind ? store::to_string(*kind) : "";
  Query rows = database_.query(std::string(kChangeColumns) + "WHERE pending = 0 AND (?1 = '' OR app = ?1) AND (?2 = '' OR kind = ?2) AND (?3 = 0 OR id < ?3) "
                                                             "ORDER BY id DESC LIMIT ?4")
                   .with(app, of, before, limit);
  while (rows.next()) out.push_back(change_of(rows));
  return out;
}

std::optional<Change> Rulebook::change(std::int64_t id) const {
  Query row = database_.query(std::string(kChangeColumns) + "WHERE id = ?1 AND pending = 0").with(id);
  if (!row.next()) return std::nullopt;
  return change_of(row);
}

}  // namespace fairlead::console
