// Sessions and users.
#include "base/strings.h"
#include "console/accounts.h"
#include "console/console.h"

namespace fairlead::console {

using base::Value;

namespace {

Value user_value(const User& user) {
  Value apps = Value::array();
  for (const std::string& app : user.apps) apps.push(app);
  Value value = Value::object({{"name", user.name}, {"role", to_string(user.role)}, {"apps", std::move(apps)}, {"created", user.created_ms}});
  value.set("last_login", user.last_login_ms == 0 ? Value() : Value(user.last_login_ms));
  return value;
}

Value session_value(const User& user) { return Value::object({{"user", user_value(user)}, {"must_change_password", user.must_change_password}}); }

constexpr std::string_view kNoRole = "role: must be admin, editor or viewer";

// What accounts.cc and this file refuse, in Chinese; {}: the part that differs.
struct Sentence {
  std::string_view en, zh;
};
constexpr Sentence kSentences[] = {
    {kNoRole, "role：须为 admin、editor 或 viewer"},
    {"name: must have 1 to 64 letters, digits, '.', '-', '_' or '@'", "name：须为 1 到 64 个字母、数字、'.'、'-'、'_' 或 '@'"},
    {"name: there is a user {} already", "name：用户 {} 已存在"},
    {"password: must have at least {} characters", "password：至少 {} 个字符"},
    {"password: must have at most {} bytes", "password：最多 {} 字节"},
    {"old: is not the password", "old：密码不正确"},
    {"{} is the last admin; make another user admin first", "{} 是最后一个管理员，请先将其他用户设为管理员"},
    {"there is no user {}", "没有用户 {}"},
    {"too many failed log-ins; try again in {} s", "登录失败次数过多，请在 {} 秒后重试"},
};

base::Error in_language(base::Error error, Language language) {
  if (language == Language::English) return error;
  const std::string said = error.message;
  for (const Sentence& each : kSentences) {
    const std::size_t gap = each.en.find("{}");
    const std::string_view head = each.en.substr(0, gap), tail = gap == std::string_view::npos ? std::string_view() : each.en.substr(gap + 2);
    if (gap == std::string_view::npos ? said != head : said.size() < head.size() + tail.size() || !said.starts_with(head) || !said.ends_with(tail)) continue;
    error.message = gap == std::string_view::npos ? std::string(each.zh) : base::replace_all(each.zh, "{}", said.substr(gap, said.size() - head.size() - tail.size()));
    break;
  }
  return error;
}

void refuse(const RequestPtr& r, const base::Error& error) { r->refuse(in_language(error, r->language)); }
void refuse_role(const RequestPtr& r) { refuse(r, {base::Code::kInvalidArgument, std::string(kNoRole), {}}); }

std::optional<std::vector<std::string>> apps_of(const Value& body) {
  const Value* apps = body.find("apps");
  if (!apps || !apps->is_array()) return std::nullopt;
  std::vector<std::string> out;
  for (const Value& app : apps->items()) out.push_back(app.as_string());
  return out;
}

}  // namespace

void Console::add_session_routes() {
  const std::string flags = std::string("; Path=/; HttpOnly; SameSite=Strict") + (options_.secure_cookies ? "; Secure" : "");
  const auto cookie_of = [this, flags](std::string_view token) { return std::string(router_.cookie_name()) + "=" + std::string(token) + flags; };

  router_.add("GET", "/api/session", Access::Session, [](const RequestPtr& r) { r->answer(session_value(*r->user)); });
  router_.add("POST", "/api/session", Access::Open, [this, cookie_of](const RequestPtr& r) {
    const std::string name = r->body["username"].as_string();
    auto token = accounts_.log_in(name, r->body["password"].as_string(), r->address);
    audit(*r, "log in", name.substr(0, 64), token.has_value(), token ? "" : token.error().message);
    if (!token) {
      if (token.error().code == base::Code::kUnauthenticated) return r->refuse(401, "unauthenticated", r->say("name or password is wrong", "用户名或密码错误"));
      return refuse(r, token.error());
    }
    http::Headers headers;
    headers.add("set-cookie", cookie_of(*token));
    r->answer(200, session_value(*accounts_.find(name)), std::move(headers));
  });
  router_.add("DELETE", "/api/session", Access::Open, [this, cookie_of](const RequestPtr& r) {
    accounts_.log_out(cookie(r->exchange->request().headers.get("cookie"), router_.cookie_name()));
    http::Headers headers;
    headers.add("set-cookie", cookie_of("") + "; Max-Age=0");
    r->answer(200, Value::object(), std::move(headers));
  });
  router_.add("PUT", "/api/session/password", Access::Session, [this](const RequestPtr& r) {
    const auto done = accounts_.change_own_password(r->user->name, r->body["old"].as_string(), r->body["new"].as_string());
    audit(*r, "change password", r->user->name, done.has_value(), done ? "" : done.error().message);
    if (!done) return refuse(r, done.error());
    r->answer(session_value(*accounts_.find(r->user->name)));
  });
}

void Console::add_user_routes() {
  router_.add("GET", "/api/users", Access::Admin, [this](const RequestPtr& r) {
    Value list = Value::array();
    for (const User& user : accounts_.users()) list.push(user_value(user));
    r->answer(list);
  });
  router_.add("POST", "/api/users", Access::Admin, [this](const RequestPtr& r) {
    User user{.name = r->body["name"].as_string(), .apps = apps_of(r->body).value_or(std::vector<std::string>{}), .must_change_password = true};
    const auto as = role(r->body["role"].as_string());
    if (!as) return refuse_role(r);
    user.role = *as;
    const auto done = accounts_.add(user, r->body["password"].as_string());
    audit(*r, "add user", user.name.substr(0, 64), done.has_value(), done ? std::string(to_string(user.role)) : done.error().message);
    if (!done) return refuse(r, done.error());
    r->answer(201, user_value(*accounts_.find(user.name)));
  });
  router_.add("PUT", "/api/users/{}", Access::Admin, [this](const RequestPtr& r) {
    std::optional<Role> as;
    if (const Value* given = r->body.find("role")) {
      as = role(given->as_string());
      if (!as) return refuse_role(r);
    }
    const Value* password = r->body.find("password");
    const auto done = accounts_.change(r->parts[0], as, apps_of(r->body), password && password->is_string() ? std::optional<std::string_view>(password->as_string()) : std::nullopt);
    audit(*r, "change user", r->parts[0], done.has_value(), done ? (password ? "password" : "role, apps") : done.error().message);
    if (!done) return refuse(r, done.error());
    r->answer(user_value(*accounts_.find(r->parts[0])));
  });
  router_.add("DELETE", "/api/users/{}", Access::Admin, [this](const RequestPtr& r) {
    const auto done = accounts_.remove(r->parts[0]);
    audit(*r, "remove user", r->parts[0], done.has_value(), done ? "" : done.error().message);
    if (!done) return refuse(r, done.error());
    r->answer(Value::object());
  });
  router_.add("GET", "/api/audit", Access::Admin, [this](const RequestPtr& r) {
    const std::string user = r->parameter("user");
    Query rows = database_->query("SELECT id, time, user, address, action, target, ok, detail FROM audit WHERE (?1 = 0 OR id < ?1) AND (?2 = '' OR user = ?2) ORDER BY id DESC LIMIT ?3")
                     .with(r->number("before", 0, 0, INT64_MAX), user, r->number("limit", 100, 1, 1000));
    Value list = Value::array();
    while (rows.next())
      list.push(Value::object({{"id", rows.integer(0)}, {"time", rows.integer(1)}, {"user", rows.text(2)}, {"address", rows.text(3)}, {"action", rows.text(4)},
                               {"target", rows.text(5)}, {"ok", rows.integer(6) != 0}, {"detail", rows.text(7)}}));
    r->answer(list);
  });
}

}  // namespace fairlead::console
