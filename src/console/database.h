// Database: one SQLite file of the console's own memory.
//
// One thread at a time. Errors are sentences that name the file and what to do. A statement that fails inside the console is not expected
// (the schema is our own): it is logged once by its owner and reported upwards.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fairlead::console {

// One use of a prepared statement: binds in order, steps, and gives it back when it goes.
class Query {
 public:
  Query(Query&& other) noexcept;
  ~Query();
  Query& operator=(Query&&) = delete;

  // Text is not copied: it must live until the query has run.
  Query& bind(std::string_view text) &;
  Query& bind(std::int64_t value) &;
  Query& bind(double value) &;
  template <class... Values>
  Query&& with(const Values&... values) && {
    (bind_one(values), ...);
    return std::move(*this);
  }

  bool next();           // true: a row is there. After false, failed() tells an end from an error.
  bool run();            // to its end; false: it failed
  bool failed() const { return failed_; }
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  bool null(int column) const;

 private:
  friend class Database;
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
  template <class T>
  void bind_one(const T& value) {
    if constexpr (std::is_convertible_v<T, std::string_view>) bind(std::string_view(value));
    else if constexpr (std::is_floating_point_v<T>) bind(static_cast<double>(value));
    else bind(static_cast<std::int64_t>(value));
  }

  sqlite3_stmt* statement_;
  int bound_ = 0;
  bool failed_ = false;
};

class Database {
 public:
  // Makes the file (0600, ":memory:" for tests) and its tables. `durable`: what was committed survives a power cut; otherwise the death
  // of the process only, and a commit waits for no disk.
  static base::Result<std::unique_ptr<Database>> open(const std::string& path, const char* schema = kConsoleSchema, bool durable = true);
  static const char* const kConsoleSchema;  // accounts, sessions, audit, documents, history
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Query query(std::string_view sql);  // prepared once for each text
  bool execute(const char* sql);
  std::int64_t last_id() const;
  std::int64_t changes() const;       // rows of the last statement
  std::string problem() const;        // of the last call that failed, with the file's name and what to do
  // All or nothing: rolls back unless commit() was called. They nest as one.
  class Transaction {
   public:
    explicit Transaction(Database& database);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    bool commit();

   private:
    Database& database_;
    bool open_;
  };

 private:
  Database() = default;
  base::Status start(const char* schema, bool durable);

  sqlite3* handle_ = nullptr;
  std::string path_;
  int depth_ = 0;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

}  // namespace fairlead::console
