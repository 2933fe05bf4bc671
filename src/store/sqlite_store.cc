#include "store/sqlite_store.h"

#include <sqlite3.h>

#include <algorithm>

namespace fairlead::store {

using base::Code;
using base::fail;

// A removal leaves no row that carries its revision; this row (no resource has an empty name) keeps it, so that
// revisions never run backwards over a restart.
static constexpr std::string_view kRevisionRow = "";

base::Result<std::unique_ptr<SqliteStore>> SqliteStore::open(io::Loop& loop, const std::string& path) {
  std::unique_ptr<SqliteStore> store(new SqliteStore(loop));
  if (auto started = store->start(path); !started) return std::unexpected(started.error());
  return store;
}

SqliteStore::~SqliteStore() {
  sqlite3_finalize(put_);
  sqlite3_finalize(erase_);
  sqlite3_close(db_);
}

std::unexpected<base::Error> SqliteStore::failure(const char* what) {
  int code = db_ ? sqlite3_errcode(db_) : SQLITE_NOMEM;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return fail(Code::kResourceExhausted, "{}: the disk under {} is full; free some space and try again", what, path_);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(Code::kFailedPrecondition, "{}: {} is in use by another process; is this mesh running already?", what, path_);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return fail(Code::kFailedPrecondition, "{}: {} is damaged or no SQLite file; move it away to begin anew", what, path_);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return fail(Code::kFailedPrecondition, "{}: cannot write {}: {}", what, path_, sqlite3_errmsg(db_));
    default:
      return fail(Code::kInternal, "{}: {}: {}", what, path_, sqlite3_errmsg(db_));
  }
}

base::Status SqliteStore::execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure("opening the store");
  return {};
}

base::Status SqliteStore::start(const std::string& path) {
  path_ = path;
  if (sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    return failure("opening the store");
  sqlite3_busy_timeout(db_, 2000);  // the process before us may still be dying
  // WAL with synchronous=NORMAL: a commit is a write() to the log without fsync. What the kernel has taken survives the
  // death of any process, which is the promise; only a power cut may lose the newest commits, never the file's order.
  // EXCLUSIVE keeps the lock between transactions: a second node on the same folder is refused, and no shared memory
  // file is needed.
  for (const char* sql : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL",
                          "CREATE TABLE IF NOT EXISTS objects (resource TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL, "
                          "revision INTEGER NOT NULL, object TEXT NOT NULL, PRIMARY KEY (resource, ns, name)) WITHOUT ROWID"})
    if (auto done = execute(sql); !done) return done;
  const char* put = "INSERT INTO objects (resource, ns, name, revision, object) VALUES (?1, ?2, ?3, ?4, ?5) "
                    "ON CONFLICT DO UPDATE SET revision = ?4, object = ?5";
  const char* erase = "DELETE FROM objects WHERE resource = ?1 AND ns = ?2 AND name = ?3";
  if (sqlite3_prepare_v3(db_, put, -1, SQLITE_PREPARE_PERSISTENT, &put_, nullptr) != SQLITE_OK ||
      sqlite3_prepare_v3(db_, erase, -1, SQLITE_PREPARE_PERSISTENT, &erase_, nullptr) != SQLITE_OK)
    return failure("opening the store");
  return load();
}

static std::string_view column(sqlite3_stmt* statement, int index) {
  auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
  return text ? std::string_view(text, static_cast<size_t>(sqlite3_column_bytes(statement, index))) : std::string_view();
}

base::Status SqliteStore::load() {
  sqlite3_stmt* select = nullptr;
  if (sqlite3_prepare_v2(db_, "SELECT resource, ns, name, revision, object FROM objects", -1, &select, nullptr) != SQLITE_OK)
    return failure("reading the store");
  uint64_t newest = 0;
  base::Status status;
  int step;
  while ((step = sqlite3_step(select)) == SQLITE_ROW) {
    newest = std::max(newest, static_cast<uint64_t>(sqlite3_column_int64(select, 3)));
    if (column(select, 0) == kRevisionRow) continue;
    Key key{std::string(column(select, 0)), std::string(column(select, 1)), std::string(column(select, 2))};
    auto object = base::parse_json(column(select, 4));
    if (!object) {
      status = fail(Code::kFailedPrecondition, "{}: {} {}/{} does not parse: {}", path_, key.resource, key.ns, key.name,
                    object.error().text());
      break;
    }
    restore(std::move(key), std::move(*object));
  }
  if (status && step != SQLITE_DONE) status = failure("reading the store");
  sqlite3_finalize(select);
  restore_revision(newest);
  return status;
}

// Not "bind": with a std::string argument that would find std::bind.
static void bind_text(sqlite3_stmt* statement, int index, std::string_view text) {
  // Not nullptr for empty text: that would bind NULL.
  sqlite3_bind_text(statement, index, text.empty() ? "" : text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

base::Status SqliteStore::persist(const Key& key, const base::Value* object, uint64_t revision) {
  auto put = [&](std::string_view resource, std::string_view ns, std::string_view name, std::string_view text) {
    bind_text(put_, 1, resource);
    bind_text(put_, 2, ns);
    bind_text(put_, 3, name);
    sqlite3_bind_int64(put_, 4, static_cast<sqlite3_int64>(revision));
    bind_text(put_, 5, text);
    bool done = sqlite3_step(put_) == SQLITE_DONE;
    sqlite3_reset(put_);
    sqlite3_clear_bindings(put_);
    return done;
  };
  if (object) {
    const std::string text = object->dump();
    if (!put(key.resource, key.ns, key.name, text)) return failure("storing an object");
    return {};
  }
  if (sqlite3_exec(db_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) != SQLITE_OK) return failure("removing an object");
  bind_text(erase_, 1, key.resource);
  bind_text(erase_, 2, key.ns);
  bind_text(erase_, 3, key.name);
  bool done = sqlite3_step(erase_) == SQLITE_DONE;
  sqlite3_reset(erase_);
  done = done && put(kRevisionRow, "", "", "") && sqlite3_exec(db_, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK;
  if (!done) {
    auto error = failure("removing an object");
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    return error;
  }
  return {};
}

}  // namespace fairlead::store
