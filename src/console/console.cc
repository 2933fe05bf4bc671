#include "console/console.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "base/log.h"

namespace fairlead::console {

using base::Value;
using store::RuleKey;
using store::RuleKind;

namespace {

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

base::Result<std::unique_ptr<Console>> Console::open(io::Loop& loop, const std::string& folder, std::shared_ptr<store::RuleStore> store, ConsoleOptions options) {
  auto database = Database::open(folder + "/console.db");
  if (!database) return std::unexpected(database.error());
  auto metrics = Metrics::open(folder + "/metrics.db", wall_ms, options.metric_limits);
  if (!metrics) return std::unexpected(metrics.error());
  return std::unique_ptr<Console>(new Console(loop, std::move(*database), std::move(*metrics), std::move(store), std::move(options)));
}

Console::Console(io::Loop& loop, std::unique_ptr<Database> database, std::unique_ptr<Metrics> metrics, std::shared_ptr<store::RuleStore> store, ConsoleOptions options)
    : loop_(loop),
      options_(std::move(options)),
      database_(std::move(database)),
      now_ms_(wall_ms),
      accounts_(*database_, now_ms_),
      machines_(now_ms_),
      rulebook_(loop, std::move(store), *database_, now_ms_),
      metrics_(std::move(metrics)),
      clients_(loop, machines_, rulebook_, *metrics_, now_ms_),
      events_(loop),
      // The name says that the cookie is for this host alone; browsers hold it to that.
      router_(accounts_, options_.secure_cookies ? "__Host-fairlead" : "fairlead") {
  add_session_routes();
  add_user_routes();
  add_app_routes();
  add_rule_routes();
  add_metric_routes();
  add_document_route();
  add_original_routes();
  add_original_rule_routes();
  router_.otherwise([this](const RequestPtr& request) { page(request); });
  rulebook_.on_change([this](const RuleKey& key) {
    events_.tell(Value::object({{"type", "rules"}, {"app", key.app}, {"kind", api_name(key.kind)}, {"version", rulebook_.find(key).version()}}));
  });
  rulebook_.on_health([this] { events_.tell(Value::object({{"type", "store"}, {"health", health()}})); });
  clients_.on_machine_change([this](const std::string& app) { events_.tell(Value::object({{"type", "machines"}, {"app", app}})); });
}

Console::~Console() = default;

void Console::start(std::function<void()> ready) {
  rulebook_.start(std::move(ready));
  clients_.start();
}

http::Handler Console::handler() {
  return [this](std::shared_ptr<http::Exchange> exchange) { router_.serve(std::move(exchange)); };
}

void Console::audit(const Request& request, std::string_view action, std::string_view target, bool ok, std::string_view detail) {
  const bool kept = database_->query("INSERT INTO audit (time, user, address, action, target, ok, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
                        .with(now_ms_(), request.user_name(), request.address, action, target, ok, detail)
                        .run();
  if (!kept) FL_LOG_ERROR("console", "audit: {}", database_->problem());
}

Value Console::health() const {
  const store::RuleStoreHealth health = rulebook_.health();
  return Value::object({{"name", rulebook_.store_name()}, {"reachable", health.reachable}, {"writable", health.writable}, {"detail", health.detail}});
}

std::vector<std::string> Console::app_names() const {
  std::set<std::string> names;
  for (const auto& some : {machines_.apps(), rulebook_.apps(), metrics_->apps()}) names.insert(some.begin(), some.end());
  return {names.begin(), names.end()};
}

int Console::healthy_machines(std::string_view app) const {
  const auto all = machines_.of(app);
  return static_cast<int>(std::ranges::count_if(all, [this](const Machine* m) { return machines_.healthy(*m); }));
}

std::function<bool(std::string_view)> Console::known_resources(const std::string& app) const {
  return [this, app](std::string_view resource) { return metrics_->knows(app, resource); };
}

std::optional<RuleKey> Console::rule_key(const Request& request) const {
  const auto kind = kind_of_api_name(request.parts[1]);
  if (!kind) {
    request.refuse(404, "not_found", request.say("there is no kind of rules of this name; /api/rule-kinds has all", "没有该规则类型；/api/rule-kinds 列出全部类型"));
    return std::nullopt;
  }
  return RuleKey{request.parts[0], *kind};
}

}  // namespace fairlead::console
