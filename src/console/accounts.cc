#include "console/accounts.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>

#include "base/strings.h"
#include "base/value.h"

namespace fairlead::console {

using base::Code;
using base::fail;

namespace {

constexpr std::size_t kHashBytes = 32;
constexpr std::size_t kMaxPassword = 1024;
constexpr std::size_t kMaxFailures = 10'000;

std::string scrypt(std::string_view password, std::string_view salt, unsigned log_n, unsigned r, unsigned p) {
  std::string out(kHashBytes, '\0');
  const int done = EVP_PBE_scrypt(password.data(), password.size(), reinterpret_cast<const unsigned char*>(salt.data()), salt.size(), 1ULL << log_n, r, p,
                                  64ULL << 20, reinterpret_cast<unsigned char*>(out.data()), out.size());
  return done == 1 ? out : std::string();
}

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1) std::abort();  // no randomness: nothing may go on
  return out;
}

// What is stored of a token: who reads the file can't use it.
std::string token_key(std::string_view token) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest);
  return base::hex_encode({reinterpret_cast<const char*>(digest), sizeof digest});
}

std::string apps_text(const std::vector<std::string>& apps) {
  base::Value list = base::Value::array();
  for (const std::string& app : apps) list.push(app);
  return list.dump();
}

User user_of(const Query& row) {
  User user;
  user.name = row.text(0);
  user.role = role(row.text(1)).value_or(Role::Viewer);
  if (const auto apps = base::parse_json(row.text(2)))
    for (const base::Value& app : apps->items()) user.apps.push_back(app.as_string());
  user.created_ms = row.integer(3);
  user.last_login_ms = row.integer(4);
  user.must_change_password = row.integer(5) != 0;
  return user;
}

constexpr std::string_view kColumns = "SELECT name, role, apps, created, last_login, must_change FROM users ";

base::Status acceptable(std::string_view password) {
  if (password.size() < Accounts::kMinPassword) return fail(Code::kInvalidArgument, "password: must have at least {} characters", Accounts::kMinPassword);
  if (password.size() > kMaxPassword) return fail(Code::kInvalidArgument, "password: must have at most {} bytes", kMaxPassword);
  return {};
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::Viewer:
      return "viewer";
    case Role::Editor:
      return "editor";
    case Role::Admin:
      break;
  }
  return "admin";
}

std::optional<Role> role(std::string_view text) {
  for (Role each : {Role::Viewer, Role::Editor, Role::Admin})
    if (to_string(each) == text) return each;
  return std::nullopt;
}

bool User::may_edit(std::string_view app) const {
  if (role == Role::Admin) return true;
  return role == Role::Editor && std::ranges::any_of(apps, [&](const std::string& a) { return a == "*" || a == app; });
}

std::string hash_password(std::string_view password) {
  const std::string salt = random_bytes(16);
  return "scrypt$14$8$1$" + base::base64url_encode(salt) + "$" + base::base64url_encode(scrypt(password, salt, 14, 8, 1));
}

bool password_matches(std::string_view password, std::string_view hash) {
  const auto parts = base::split(hash, '$');
  if (parts.size() != 6 || parts[0] != "scrypt") return false;
  const auto log_n = base::to_int(parts[1]), r = base::to_int(parts[2]), p = base::to_int(parts[3]);
  const auto salt = base::base64url_decode(parts[4]), expected = base::base64url_decode(parts[5]);
  if (!log_n || *log_n < 1 || *log_n > 20 || !r || !p || !salt || !expected) return false;
  const std::string found = scrypt(password, *salt, static_cast<unsigned>(*log_n), static_cast<unsigned>(*r), static_cast<unsigned>(*p));
  return found.size() == expected->size() && CRYPTO_memcmp(found.data(), expected->data(), found.size()) == 0;
}

std::string random_token(std::size_t bytes) { return base::base64url_encode(random_bytes(bytes)); }

Accounts::Accounts(Database& database, std::function<std::int64_t()> now_ms)
    : database_(database), now_ms_(std::move(now_ms)), nobody_(hash_password(random_token(16))) {}

base::Result<std::optional<std::string>> Accounts::first_start() {
  if (!users().empty()) return std::nullopt;
  const std::string password = random_token(15);
  User admin{.name = "admin", .role = Role::Admin, .apps = {"*"}, .must_change_password = true};
  if (auto added = add(admin, password); !added) return std::unexpected(added.error());
  return password;
}

std::vector<User> Accounts::users() const {
  std::vector<User> out;
  Query rows = database_.query(std::string(kColumns) + "ORDER BY name");
  while (rows.next()) out.push_back(user_of(rows));
  return out;
}

std::optional<User> Accounts::find(std::string_view name) const {
  Query row = database_.query(std::string(kColumns) + "WHERE name = ?1").with(name);
  if (!row.next()) return std::nullopt;
  return user_of(row);
}

bool Accounts::check(std::string_view name, std::string_view password) {
  std::string hash = nobody_;
  bool known = false;
  if (Query row = database_.query("SELECT password FROM users WHERE name = ?1").with(name); row.next()) hash = row.text(0), known = true;
  const bool right = password_matches(password, hash);
  return right && known;
}

void Accounts::count_failure(const std::string& key) {
  if (failures_.size() >= kMaxFailures) std::erase_if(failures_, [now = now_ms_()](const auto& each) { return each.second.not_before_ms < now; });
  if (failures_.size() >= kMaxFailures) failures_.clear();
  Failures& failures = failures_[key];
  if (++failures.count < kFreeFailures) return;
  const int doubled = std::min(failures.count - kFreeFailures, 9);
  failures.not_before_ms = now_ms_() + std::min<std::int64_t>(1000LL << doubled, 300'000);
}

base::Result<std::string> Accounts::log_in(std::string_view name, std::string_view password, std::string_view address) {
  const std::string keys[] = {"a:" + std::string(address), "n:" + std::string(name.substr(0, 256))};
  const std::int64_t now = now_ms_();
  for (const std::string& key : keys) {
    const auto found = failures_.find(key);
    if (found == failures_.end() || found->second.not_before_ms <= now) continue;
    return fail(Code::kResourceExhausted, "too many failed log-ins; try again in {} s", (found->second.not_before_ms - now + 999) / 1000);
  }
  if (password.size() > kMaxPassword || !check(name, password)) {
    for (const std::string& key : keys) count_failure(key);
    return fail(Code::kUnauthenticated, "name or password is wrong");
  }
  for (const std::string& key : keys) failures_.erase(key);
  const std::string token = random_token(32);
  database_.query("DELETE FROM sessions WHERE seen < ?1").with(now - kSessionIdleMs).run();
  const bool stored = database_.query("INSERT INTO sessions (token, user, created, seen) VALUES (?1, ?2, ?3, ?3)").with(token_key(token), name, now).run() &&
                      database_.query("UPDATE users SET last_login = ?2 WHERE name = ?1").with(name, now).run();
  if (!stored) return fail(Code::kUnavailable, "{}", database_.problem());
  return token;
}

void Accounts::log_out(std::string_view token) { database_.query("DELETE FROM sessions WHERE token = ?1").with(token_key(token)).run(); }

std::optional<User> Accounts::session(std::string_view token) {
  if (token.empty()) return std::nullopt;
  const std::string key = token_key(token);
  const std::int64_t now = now_ms_();
  std::string name;
  std::int64_t seen = 0;
  {
    Query row = database_.query("SELECT user, seen FROM sessions WHERE token = ?1").with(key);
    if (!row.next()) return std::nullopt;
    name = row.text(0);
    seen = row.integer(1);
  }
  if (now - seen > kSessionIdleMs) return std::nullopt;
  if (now - seen > 60'000) database_.query("UPDATE sessions SET seen = ?2 WHERE token = ?1").with(key, now).run();  // not a write for each request
  return find(name);
}

base::Status Accounts::add(const User& user, std::string_view password) {
  const bool plain = std::ranges::all_of(user.name, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '@'; });
  if (user.name.empty() || user.name.size() > 64 || !plain)
    return fail(Code::kInvalidArgument, "name: must have 1 to 64 letters, digits, '.', '-', '_' or '@'");
  if (auto good = acceptable(password); !good) return good;
  if (find(user.name)) return fail(Code::kAlreadyExists, "name: there is a user {} already", user.name);
  const bool stored = database_.query("INSERT INTO users (name, role, apps, password, created, must_change) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
                          .with(user.name, to_string(user.role), apps_text(user.apps), hash_password(password), now_ms_(), user.must_change_password)
                          .run();
  if (!stored) return fail(Code::kUnavailable, "{}", database_.problem());
  return {};
}

bool Accounts::last_admin(std::string_view name) const {
  const auto all = users();
  return std::ranges::none_of(all, [&](const User& u) { return u.role == Role::Admin && u.name != name; });
}

base::Status Accounts::set_password(std::string_view name, std::string_view password, bool must_change) {
  if (auto good = acceptable(password); !good) return good;
  if (!database_.query("UPDATE users SET password = ?2, must_change = ?3 WHERE name = ?1").with(name, hash_password(password), must_change).run())
    return fail(Code::kUnavailable, "{}", database_.problem());
  return {};
}

void Accounts::end_sessions(std::string_view name) { database_.query("DELETE FROM sessions WHERE user = ?1").with(name).run(); }

base::Status Accounts::change(std::string_view name, std::optional<Role> role, const std::optional<std::vector<std::string>>& apps,
                              std::optional<std::string_view> password) {
  const auto user = find(name);
  if (!user) return fail(Code::kNotFound, "there is no user {}", name);
  if (role && *role != Role::Admin && user->role == Role::Admin && last_admin(name))
    return fail(Code::kFailedPrecondition, "{} is the last admin; make another user admin first", name);
  if (password)
    if (auto set = set_password(name, *password, true); !set) return set;
  if (role && !database_.query("UPDATE users SET role = ?2 WHERE name = ?1").with(name, to_string(*role)).run())
    return fail(Code::kUnavailable, "{}", database_.problem());
  if (apps && !database_.query("UPDATE users SET apps = ?2 WHERE name = ?1").with(name, apps_text(*apps)).run())
    return fail(Code::kUnavailable, "{}", database_.problem());
  if (password) end_sessions(name);
  return {};
}

base::Status Accounts::change_own_password(std::string_view name, std::string_view old_password, std::string_view new_password) {
  if (!check(name, old_password)) return fail(Code::kPermissionDenied, "old: is not the password");
  if (auto set = set_password(name, new_password, false); !set) return set;
  return {};
}

base::Status Accounts::remove(std::string_view name) {
  const auto user = find(name);
  if (!user) return fail(Code::kNotFound, "there is no user {}", name);
  if (user->role == Role::Admin && last_admin(name)) return fail(Code::kFailedPrecondition, "{} is the last admin; make another user admin first", name);
  if (!database_.query("DELETE FROM users WHERE name = ?1").with(name).run()) return fail(Code::kUnavailable, "{}", database_.problem());
  end_sessions(name);
  return {};
}

}  // namespace fairlead::console
