// SqliteStore: the store in one SQLite file; everything is read into memory at start and served from there.
//
// A write that returned survives kill -9 of the process. One process at a time: the file is locked while it is open.
#pragma once

#include <memory>
#include <string>

#include "store/cached_store.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fairlead::store {

class SqliteStore final : public CachedStore {
 public:
  // Opens or makes the file. Errors say what to do (another process holds it, not a database, no space).
  static base::Result<std::unique_ptr<SqliteStore>> open(io::Loop& loop, const std::string& path);
  ~SqliteStore() override;

 private:
  explicit SqliteStore(io::Loop& loop) : CachedStore(loop) {}
  base::Status start(const std::string& path);
  base::Status load();
  base::Status persist(const Key& key, const base::Value* object, uint64_t revision) override;
  base::Status execute(const char* sql);
  std::unexpected<base::Error> failure(const char* what);

  std::string path_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* erase_ = nullptr;
};

}  // namespace fairlead::store
