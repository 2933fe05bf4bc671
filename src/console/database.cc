#include "console/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <utility>

namespace fairlead::console {

using base::Code;
using base::fail;

// Version 1. A later version adds its statements behind these and moves on from the file's user_version.
const char* const Database::kConsoleSchema = R"(
CREATE TABLE users (name TEXT PRIMARY KEY, role TEXT NOT NULL, apps TEXT NOT NULL, password TEXT NOT NULL, created INTEGER NOT NULL,
  last_login INTEGER, must_change INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE sessions (token TEXT PRIMARY KEY, user TEXT NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, user TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL,
  target TEXT NOT NULL, ok INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE TABLE documents (app TEXT NOT NULL, kind TEXT NOT NULL, version TEXT NOT NULL, text TEXT NOT NULL, good TEXT NOT NULL,
  PRIMARY KEY (app, kind)) WITHOUT ROWID;
CREATE TABLE disabled (app TEXT NOT NULL, kind TEXT NOT NULL, revision INTEGER NOT NULL, rules TEXT NOT NULL, PRIMARY KEY (app, kind)) WITHOUT ROWID;
CREATE TABLE changes (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, user TEXT NOT NULL, source TEXT NOT NULL, app TEXT NOT NULL,
  kind TEXT NOT NULL, comment TEXT NOT NULL, version TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, pending INTEGER NOT NULL);
CREATE INDEX changes_of ON changes (app, kind, id);
PRAGMA user_version = 1;
)";

base::Result<std::unique_ptr<Database>> Database::open(const std::string& path, const char* schema, bool durable) {
  std::unique_ptr<Database> database(new Database);
  database->path_ = path;
  if (auto started = database->start(schema, durable); !started) return std::unexpected(started.error());
  return database;
}

Database::~Database() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

base::Status Database::start(const char* schema, bool durable) {
  // It holds hashes of passwords: for its owner alone, before SQLite makes it for everybody.
  if (path_ != ":memory:")
    if (int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); fd >= 0) ::close(fd);
  if (sqlite3_open_v2(path_.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    return fail(Code::kFailedPrecondition, "{}", problem());
  sqlite3_busy_timeout(handle_, 2000);
  if (!execute("PRAGMA journal_mode=WAL") || !execute(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")) return fail(Code::kFailedPrecondition, "{}", problem());
  Query version = query("PRAGMA user_version");
  if (!version.next()) return fail(Code::kFailedPrecondition, "{}", problem());
  if (const auto found = version.integer(0); found > 1)
    return fail(Code::kFailedPrecondition, "{} was written by a newer console (version {}): use that one, or another file", path_, found);
  else if (found == 0) {
    version.run();
    Transaction all(*this);
    if (!execute(schema) || !all.commit()) return fail(Code::kFailedPrecondition, "{}", problem());
  }
  return {};
}

std::string Database::problem() const {
  const int code = handle_ ? sqlite3_errcode(handle_) : SQLITE_NOMEM;
  const std::string said = handle_ ? sqlite3_errmsg(handle_) : "out of memory";
  switch (code & 0xff) {
    case SQLITE_FULL:
      return "the disk under " + path_ + " is full; free some space and try again";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return path_ + " is in use by another process; is another console running on it?";
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return path_ + " is damaged or no SQLite file; move it away to begin anew";
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return "cannot write " + path_ + " (" + said + "); give its folder to this user, or name another with --data";
    default:
      return path_ + ": " + said;
  }
}

bool Database::execute(const char* sql) { return sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) == SQLITE_OK; }
std::int64_t Database::last_id() const { return sqlite3_last_insert_rowid(handle_); }
std::int64_t Database::changes() const { return sqlite3_changes64(handle_); }

Query Database::query(std::string_view sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (!statement) return Query(nullptr);
    found = statements_.emplace(std::string(sql), statement).first;
  }
  return Query(found->second);
}

Database::Transaction::Transaction(Database& database) : database_(database), open_(true) {
  if (database_.depth_++ == 0) database_.execute("BEGIN IMMEDIATE");
}

Database::Transaction::~Transaction() {
  if (!open_) return;
  if (--database_.depth_ == 0) database_.execute("ROLLBACK");
}

bool Database::Transaction::commit() {
  open_ = false;
  if (--database_.depth_ > 0) return true;
  if (database_.execute("COMMIT")) return true;
  database_.execute("ROLLBACK");
  return false;
}

Query::Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)), bound_(other.bound_), failed_(other.failed_) {}

Query::~Query() {
  if (!statement_) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

// Not nullptr for empty text: that would bind NULL.
Query& Query::bind(std::string_view text) & {
  sqlite3_bind_text(statement_, ++bound_, text.empty() ? "" : text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  return *this;
}

Query& Query::bind(std::int64_t value) & {
  sqlite3_bind_int64(statement_, ++bound_, value);
  return *this;
}

Query& Query::bind(double value) & {
  sqlite3_bind_double(statement_, ++bound_, value);
  return *this;
}

bool Query::next() {
  const int code = statement_ ? sqlite3_step(statement_) : SQLITE_ERROR;
  failed_ = code != SQLITE_ROW && code != SQLITE_DONE;
  return code == SQLITE_ROW;
}

bool Query::run() {
  while (next()) {
  }
  if (statement_) sqlite3_reset(statement_);
  return !failed_;
}

std::int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Query::real(int column) const { return sqlite3_column_double(statement_, column); }
bool Query::null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string Query::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text ? std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))) : std::string();
}

}  // namespace fairlead::console
