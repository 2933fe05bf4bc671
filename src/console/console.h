// Console: Sentinel's dashboard with memory. Serves the pages (web/), an HTTP API (openapi.yaml, web/src/api/types.ts), and the paths of
// the original dashboard; registers clients, tells them their rules, gathers their metrics.
//
// Loop thread only. Owner: cmd_console.cc, or the node of `fairlead up --with console`.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "console/accounts.h"
#include "console/clients.h"
#include "console/database.h"
#include "console/events.h"
#include "console/insight.h"
#include "console/machines.h"
#include "console/metrics.h"
#include "console/router.h"
#include "console/rulebook.h"
#include "io/loop.h"
#include "store/rules/rule_store.h"

namespace fairlead::console {

struct ConsoleOptions {
  std::string version;               // of the program
  std::string registration_secret;   // heartbeats must have it as parameter or header "x-registration-secret"; "": none needed
  bool secure_cookies = false;       // the page is reached by https
  Metrics::Limits metric_limits;
};

class Console {
 public:
  // `folder`: where its own memory lies (console.db, metrics.db). kFailedPrecondition: it can't be used.
  static base::Result<std::unique_ptr<Console>> open(io::Loop& loop, const std::string& folder, std::shared_ptr<store::RuleStore> store, ConsoleOptions options);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // At the very first start answers the password of "admin"; to be printed once.
  base::Result<std::optional<std::string>> first_start() { return accounts_.first_start(); }
  void start(std::function<void()> ready);
  http::Handler handler();
  const Router& router() const { return router_; }

 private:
  Console(io::Loop& loop, std::unique_ptr<Database> database, std::unique_ptr<Metrics> metrics, std::shared_ptr<store::RuleStore> store, ConsoleOptions options);
  void add_session_routes();
  void add_user_routes();
  void add_app_routes();
  void add_rule_routes();
  void add_metric_routes();
  void add_document_route();
  void add_original_routes();
  void add_original_rule_routes();

  void register_machine(const RequestPtr& request);
  void list_apps(const RequestPtr& request);
  void show_resources(const RequestPtr& request);
  void write_rules(const RequestPtr& request, RuleWrite write, std::string_view action);
  void import_rules(const RequestPtr& request);
  void show_metrics(const RequestPtr& request);
  void prometheus(const RequestPtr& request);
  void page(const RequestPtr& request);

  void audit(const Request& request, std::string_view action, std::string_view target, bool ok, std::string_view detail);
  std::optional<store::RuleKey> rule_key(const Request& request) const;  // refuses when the kind is none
  base::Value rule_list(const store::RuleKey& key, Language language) const;
  base::Value health() const;
  std::vector<std::string> app_names() const;
  int healthy_machines(std::string_view app) const;
  std::function<bool(std::string_view)> known_resources(const std::string& app) const;

  io::Loop& loop_;
  ConsoleOptions options_;
  std::unique_ptr<Database> database_;
  std::function<std::int64_t()> now_ms_;
  Accounts accounts_;
  Machines machines_;
  Rulebook rulebook_;
  std::unique_ptr<Metrics> metrics_;
  Clients clients_;
  Events events_;
  Router router_;
};

}  // namespace fairlead::console
