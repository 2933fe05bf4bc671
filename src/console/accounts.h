// Accounts: who may use the console. Users with roles, passwords kept as scrypt hashes, sessions that survive a restart, and log-ins
// that slow down after failures.
//
// Loop thread only. A log-in costs some 50 ms of CPU (the hash), so failures are counted before it is computed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "console/database.h"

namespace fairlead::console {

enum class Role : std::uint8_t { Viewer, Editor, Admin };
std::string_view to_string(Role role);
std::optional<Role> role(std::string_view text);

struct User {
  std::string name;
  Role role = Role::Viewer;
  std::vector<std::string> apps;  // that an editor may change; "*": all
  std::int64_t created_ms = 0;
  std::int64_t last_login_ms = 0;  // 0: never
  bool must_change_password = false;

  bool may_edit(std::string_view app) const;
};

class Accounts {
 public:
  static constexpr std::size_t kMinPassword = 8;
  static constexpr std::int64_t kSessionIdleMs = 12LL * 3600 * 1000;  // a session that nobody used for so long is over
  static constexpr int kFreeFailures = 5;                             // then each further failure doubles the wait, from 1 s to 5 min

  // `now_ms`: milliseconds since 1970.
  Accounts(Database& database, std::function<std::int64_t()> now_ms);

  // At the very first start makes "admin" and answers its password, which is nowhere else; nothing afterwards.
  base::Result<std::optional<std::string>> first_start();

  // The session's token. kUnauthenticated: wrong name or password (the same answer for both); kResourceExhausted: too many failures, wait.
  base::Result<std::string> log_in(std::string_view name, std::string_view password, std::string_view address);
  void log_out(std::string_view token);
  std::optional<User> session(std::string_view token);

  std::vector<User> users() const;
  std::optional<User> find(std::string_view name) const;
  // kInvalidArgument: bad name, short password; kAlreadyExists; kNotFound; kFailedPrecondition: the last admin would be gone.
  base::Status add(const User& user, std::string_view password);
  base::Status change(std::string_view name, std::optional<Role> role, const std::optional<std::vector<std::string>>& apps,
                      std::optional<std::string_view> password);
  base::Status change_own_password(std::string_view name, std::string_view old_password, std::string_view new_password);
  base::Status remove(std::string_view name);

 private:
  struct Failures {
    int count = 0;
    std::int64_t not_before_ms = 0;
  };
  bool check(std::string_view name, std::string_view password);
  bool last_admin(std::string_view name) const;
  base::Status set_password(std::string_view name, std::string_view password, bool must_change);
  void end_sessions(std::string_view name);
  void count_failure(const std::string& key);

  Database& database_;
  std::function<std::int64_t()> now_ms_;
  std::map<std::string, Failures, std::less<>> failures_;  // by address and by name; bounded
  std::string nobody_;                                     // a hash to check when there is no such user, so that both take as long
};

// "scrypt$14$8$1$SALT$HASH". Plain functions, for tests.
std::string hash_password(std::string_view password);
bool password_matches(std::string_view password, std::string_view hash);
std::string random_token(std::size_t bytes);  // base64url

}  // namespace fairlead::console
