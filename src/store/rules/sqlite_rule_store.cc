// The embedded store of rules: one table in one SQLite file that several processes may open.
//
// WAL with synchronous=FULL: each commit is on the disk before it is acknowledged. A row has the number of its last change (`seq`, rising
// over the whole file) and stays when its document is removed (its text is NULL then), so that who follows the file finds every change by
// asking for higher numbers. A version is that number and a hash of the bytes: what is changed by hand with other tools shows too.
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "store/rules/backend.h"

namespace fairlead::store {

using base::Code;
using base::fail;

namespace {

constexpr std::chrono::milliseconds kPoll{100};  // how late a foreign process's change is seen
constexpr std::chrono::milliseconds kRetry{1000};

constexpr const char* kSchema[] = {
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "CREATE TABLE IF NOT EXISTS rule_documents (app TEXT NOT NULL, kind TEXT NOT NULL, text BLOB, seq INTEGER NOT NULL, PRIMARY KEY (app, kind))",
    "CREATE INDEX IF NOT EXISTS rule_documents_seq ON rule_documents (seq)",
};

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

FileId file_id(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino};
}

std::string version_of(sqlite3_int64 seq, std::string_view text) { return fmt::format("{}-{:016x}", seq, hash_bytes(text)); }

// One connection, for one thread at a time.
class Connection {
 public:
  Connection(std::string path, std::chrono::milliseconds timeout) : path_(std::move(path)), timeout_(timeout) {}
  ~Connection() { sqlite3_close_v2(db_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Opens what lies at the path now; again if that is another file than before. True: it is another one.
  base::Result<bool> ensure() {
    if (db_ && file_id(path_) == id_) return false;
    sqlite3_close_v2(db_);
    db_ = nullptr;
    // A file that was there and is gone is not made again: its rules would seem to be removed.
    const bool anew = id_ == FileId{};
    if (!anew && file_id(path_) == FileId{})
      return fail(Code::kUnavailable, "{} was there and is gone; put it back, or start anew to begin with an empty store", path_);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (anew ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(path_.c_str(), &db_, flags, nullptr) != SQLITE_OK) return drop();
    sqlite3_extended_result_codes(db_, 1);
    sqlite3_busy_timeout(db_, static_cast<int>(timeout_.count()));
    for (const char* sql : kSchema)
      if (auto done = prepare(sql); !done) return std::unexpected(close(done.error()));
    id_ = file_id(path_);
    return true;
  }

  base::Status execute(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure();
    return {};
  }

  std::unexpected<base::Error> failure() const {
    const int code = db_ ? sqlite3_extended_errcode(db_) : SQLITE_NOMEM;
    const bool no_space = db_ && (code & 0xff) == SQLITE_IOERR && sqlite3_system_errno(db_) == ENOSPC;
    switch (no_space ? SQLITE_FULL : code & 0xff) {
      case SQLITE_FULL:
        return fail(Code::kResourceExhausted, "the disk under {} is full; free some space and try again", path_);
      case SQLITE_TOOBIG:
        return fail(Code::kResourceExhausted, "{}: the document is too large for SQLite; remove rules or divide the app", path_);
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return fail(Code::kUnavailable, "{} was held by another process for {} ms; find who keeps it open, or try again", path_, timeout_.count());
      case SQLITE_NOTADB:
      case SQLITE_CORRUPT:
        return fail(Code::kFailedPrecondition, "{} is damaged or no SQLite file; restore it from a copy, or move it away to begin anew", path_);
      case SQLITE_READONLY:
      case SQLITE_CANTOPEN:
      case SQLITE_PERM:
        return fail(Code::kPermissionDenied, "cannot write {} ({}); its folder must exist, and file and folder must be writable for this user", path_,
                    sqlite3_errmsg(db_));
      case SQLITE_IOERR:
        return fail(Code::kUnavailable, "{}: {}; look after the disk, then read again", path_, sqlite3_errmsg(db_));
      default:
        return fail(Code::kInternal, "{}: {}", path_, sqlite3_errmsg(db_));
    }
  }

  sqlite3* db() { return db_; }

 private:
  // Two processes that make the same file meet here, and SQLite does not wait for each other by itself then.
  base::Status prepare(const char* sql) {
    const auto end = std::chrono::steady_clock::now() + timeout_;
    for (;;) {
      auto done = execute(sql);
      if (done || (sqlite3_errcode(db_) & 0xff) != SQLITE_BUSY || std::chrono::steady_clock::now() >= end) return done;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  std::unexpected<base::Error> drop() { return std::unexpected(close(failure().error())); }
  base::Error close(base::Error error) {
    sqlite3_close_v2(db_);
    db_ = nullptr;
    return error;
  }

  const std::string path_;
  const std::chrono::milliseconds timeout_;
  sqlite3* db_ = nullptr;
  FileId id_;
};

class Statement {
 public:
  Statement(Connection& connection, const char* sql) : connection_(connection) { sqlite3_prepare_v2(connection.db(), sql, -1, &statement_, nullptr); }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // The text lives until the statement ends.
  Statement& text(int index, std::string_view value) {
    sqlite3_bind_text(statement_, index, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    return *this;
  }
  Statement& blob(int index, std::string_view value) {
    // Not nullptr for empty text: that would bind NULL.
    sqlite3_bind_blob(statement_, index, value.empty() ? "" : value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    return *this;
  }
  Statement& integer(int index, sqlite3_int64 value) {
    sqlite3_bind_int64(statement_, index, value);
    return *this;
  }
  // False after the last row.
  base::Result<bool> row() {
    const int step = statement_ ? sqlite3_step(statement_) : SQLITE_ERROR;
    if (step == SQLITE_ROW) return true;
    if (step == SQLITE_DONE) return false;
    return connection_.failure();
  }
  sqlite3_int64 integer(int column) { return sqlite3_column_int64(statement_, column); }
  std::string_view bytes(int column) {
    const void* data = sqlite3_column_blob(statement_, column);
    return {static_cast<const char*>(data), data ? static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)) : 0};
  }

 private:
  Connection& connection_;
  sqlite3_stmt* statement_ = nullptr;
};

class SqliteRuleStore final : public RuleStore {
 public:
  SqliteRuleStore(std::string path, std::chrono::milliseconds timeout) : path_(path), connection_(path, timeout), follower_(path, timeout) {}
  base::Status start() {
    std::lock_guard lock(mutex_);
    auto open = connection_.ensure();
    if (!open) return std::unexpected(open.error());
    return {};
  }

  std::string name() const override { return "sqlite:" + path_; }
  RuleStoreHealth health() const override { return signals_.health(); }
  base::Result<std::vector<RuleKey>> list() override {
    std::lock_guard lock(mutex_);
    return noted(read_list());
  }
  base::Result<RuleDocument> read(const RuleKey& key) override {
    if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
    std::lock_guard lock(mutex_);
    if (auto open = connection_.ensure(); !open) return noted(base::Result<RuleDocument>(std::unexpected(open.error())));
    return noted(read_document(key));
  }
  base::Result<std::string> write(const RuleKey& key, std::string_view text, std::string_view expected) override {
    if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
    if (auto fine = check_size(key, text.size(), kMaxDocumentBytes, "this store"); !fine) return std::unexpected(fine.error());
    return replace(key, text, expected);
  }
  base::Status remove(const RuleKey& key, std::string_view expected) override {
    if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
    auto removed = replace(key, std::nullopt, expected);
    if (!removed) return std::unexpected(removed.error());
    return {};
  }
  base::Result<std::unique_ptr<RuleWatch>> watch(std::function<void(const std::optional<RuleKey>&)> changed) override;

 private:
  base::Result<std::vector<RuleKey>> read_list();
  base::Result<RuleDocument> read_document(const RuleKey& key);
  base::Result<std::string> replace(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected);
  base::Result<std::string> replace_in_transaction(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected);

  // The follower's, on its thread.
  base::Status begin_to_follow();
  base::Status follow();
  base::Result<sqlite3_int64> data_version();
  void run(const std::stop_token& stop);

  template <class T>
  base::Result<T> noted(base::Result<T> result) {
    signals_.set_readable(result.has_value(), result ? std::string() : result.error().text());
    return result;
  }

  const std::string path_;
  RuleSignals signals_;

  std::mutex mutex_;  // guards connection_
  Connection connection_;

  std::mutex follow_mutex_;  // guards starting the thread, and wake_
  std::condition_variable_any follow_wake_;
  bool wake_ = false;  // somebody here wrote: look at once
  Connection follower_;
  sqlite3_int64 seen_version_ = 0;
  sqlite3_int64 seen_seq_ = 0;
  std::jthread thread_;
};

base::Result<std::vector<RuleKey>> SqliteRuleStore::read_list() {
  if (auto open = connection_.ensure(); !open) return std::unexpected(open.error());
  Statement select(connection_, "SELECT app, kind FROM rule_documents WHERE text IS NOT NULL");
  std::vector<RuleKey> keys;
  auto row = select.row();
  for (; row && *row; row = select.row()) {
    auto kind = rule_kind(select.bytes(1));
    if (kind && check_app(select.bytes(0))) keys.push_back({std::string(select.bytes(0)), *kind});
  }
  if (!row) return std::unexpected(row.error());
  std::ranges::sort(keys);
  return keys;
}

base::Result<RuleDocument> SqliteRuleStore::read_document(const RuleKey& key) {
  Statement select(connection_, "SELECT text, seq FROM rule_documents WHERE app = ?1 AND kind = ?2 AND text IS NOT NULL");
  auto row = select.text(1, key.app).text(2, to_string(key.kind)).row();
  if (!row) return std::unexpected(row.error());
  if (!*row) return RuleDocument{};
  return RuleDocument{std::string(select.bytes(0)), version_of(select.integer(1), select.bytes(0))};
}

base::Result<std::string> SqliteRuleStore::replace(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected) {
  base::Result<std::string> result;
  {
    std::lock_guard lock(mutex_);
    if (auto open = connection_.ensure(); !open) return noted(base::Result<std::string>(std::unexpected(open.error())));
    auto begun = connection_.execute("BEGIN IMMEDIATE");
    result = begun ? replace_in_transaction(key, text, expected) : std::unexpected(begun.error());
    if (result)
      if (auto committed = connection_.execute("COMMIT"); !committed) result = std::unexpected(committed.error());
    if (!result) sqlite3_exec(connection_.db(), "ROLLBACK", nullptr, nullptr, nullptr);  // fails where SQLite has done it already
  }
  if (result || result.error().code == Code::kConflict)
    signals_.set_writable(true);
  else
    signals_.set_writable(false, result.error().text());
  if (result) {
    std::lock_guard lock(follow_mutex_);
    wake_ = true;
    follow_wake_.notify_one();
  }
  return result;
}

base::Result<std::string> SqliteRuleStore::replace_in_transaction(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected) {
  auto stored = read_document(key);
  if (!stored) return std::unexpected(stored.error());
  if (stored->version != expected) return conflict(key, expected, stored->version);
  if (!text && expected.empty()) return std::string();
  sqlite3_int64 seq = 1;
  {
    Statement last(connection_, "SELECT max(seq) FROM rule_documents");
    auto row = last.row();
    if (!row) return std::unexpected(row.error());
    seq += last.integer(0);
  }
  Statement put(connection_, "INSERT INTO rule_documents (app, kind, text, seq) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET text = ?3, seq = ?4");
  put.text(1, key.app).text(2, to_string(key.kind)).integer(4, seq);
  if (text) put.blob(3, *text);
  if (auto row = put.row(); !row) return std::unexpected(row.error());
  return version_of(seq, text.value_or(""));
}

base::Result<std::unique_ptr<RuleWatch>> SqliteRuleStore::watch(std::function<void(const std::optional<RuleKey>&)> changed) {
  std::lock_guard lock(follow_mutex_);
  if (!thread_.joinable()) {
    if (auto begun = begin_to_follow(); !begun) return std::unexpected(begun.error());
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  return signals_.add(std::move(changed));
}

base::Result<sqlite3_int64> SqliteRuleStore::data_version() {
  Statement pragma(follower_, "PRAGMA data_version");
  auto row = pragma.row();
  if (!row) return std::unexpected(row.error());
  return pragma.integer(0);
}

base::Status SqliteRuleStore::begin_to_follow() {
  if (auto open = follower_.ensure(); !open) return std::unexpected(open.error());
  // The version first: what is written between the two is found again, not missed.
  auto version = data_version();
  if (!version) return std::unexpected(version.error());
  Statement last(follower_, "SELECT max(seq) FROM rule_documents");
  auto row = last.row();
  if (!row) return std::unexpected(row.error());
  seen_version_ = *version;
  seen_seq_ = last.integer(0);
  return {};
}

base::Status SqliteRuleStore::follow() {
  auto open = follower_.ensure();
  if (!open) return std::unexpected(open.error());
  if (*open) {  // another file lies there
    if (auto begun = begin_to_follow(); !begun) return begun;
    signals_.changed(std::nullopt);
    return {};
  }
  auto version = data_version();
  if (!version) return std::unexpected(version.error());
  if (*version == seen_version_) return {};
  Statement select(follower_, "SELECT app, kind, seq FROM rule_documents WHERE seq > ?1 ORDER BY seq");
  select.integer(1, seen_seq_);
  bool any = false;
  auto row = select.row();
  for (; row && *row; row = select.row()) {
    any = true;
    seen_seq_ = select.integer(2);
    if (auto kind = rule_kind(select.bytes(1))) signals_.changed(RuleKey{std::string(select.bytes(0)), *kind});
  }
  if (!row) return std::unexpected(row.error());
  seen_version_ = *version;
  if (any) return {};
  // Changed with other tools, or put back to an older state.
  signals_.changed(std::nullopt);
  return begin_to_follow();
}

void SqliteRuleStore::run(const std::stop_token& stop) {
  std::chrono::milliseconds pause = kPoll;
  for (;;) {
    {
      std::unique_lock lock(follow_mutex_);
      follow_wake_.wait_for(lock, stop, pause, [this] { return wake_; });
      if (stop.stop_requested()) return;
      wake_ = false;
    }
    auto followed = follow();
    signals_.set_readable(followed.has_value(), followed ? std::string() : followed.error().text());
    pause = followed ? kPoll : kRetry;
  }
}

}  // namespace

base::Result<std::unique_ptr<RuleStore>> open_sqlite_rules(const std::string& path, const RuleStoreOptions& options) {
  std::error_code ignored;  // SQLite's own error is the better one
  if (auto folder = std::filesystem::path(path).parent_path(); !folder.empty()) std::filesystem::create_directories(folder, ignored);
  auto store = std::make_unique<SqliteRuleStore>(path, options.operation_timeout);
  if (auto started = store->start(); !started) return std::unexpected(started.error());
  return store;
}

}  // namespace fairlead::store
