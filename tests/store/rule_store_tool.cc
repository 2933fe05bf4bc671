// A store of rules driven by lines, for tests/store: each request on standard input is answered by one line on standard output.
//   rule_store_tool WHERE [root=/R] [digest=USER:PASSWORD] [session=MS] [timeout=MS]
// Requests and answers are JSON: {"do":"read","app":A,"kind":K}; "write" and "remove" with "expected" (and "text"); "list", "health", "watch", "name";
// "migrate" with "carry_out" and "clear_old" (booleans).
// A watch tells {"told":[A,K]} or {"told":null} at any time; everything else answers in order.
#include <algorithm>
#include <iostream>
#include <mutex>
#include <string>

#include "base/value.h"
#include "store/rules/migrate.h"
#include "store/rules/rule_store.h"

namespace fairlead::store {
namespace {

std::mutex output;

void say(const base::Value& line) {
  std::lock_guard lock(output);
  std::cout << line.dump() << std::endl;
}

base::Value refusal(const base::Error& error) {
  base::Value out;
  out["error"] = base::to_string(error.code);
  out["message"] = error.text();
  return out;
}

base::Value answer(RuleStore& store, const base::Value& request, std::unique_ptr<RuleWatch>& watch) {
  const std::string& what = request["do"].as_string();
  const RuleKey key{request["app"].as_string(), rule_kind(request["kind"].as_string()).value_or(RuleKind::Flow)};
  base::Value out;
  if (what == "read") {
    auto document = store.read(key);
    if (!document) return refusal(document.error());
    out["text"] = document->text;
    out["version"] = document->version;
  } else if (what == "write") {
    auto version = store.write(key, request["text"].as_string(), request["expected"].as_string());
    if (!version) return refusal(version.error());
    out["version"] = *version;
  } else if (what == "remove") {
    if (auto removed = store.remove(key, request["expected"].as_string()); !removed) return refusal(removed.error());
    out["removed"] = true;
  } else if (what == "list") {
    auto keys = store.list();
    if (!keys) return refusal(keys.error());
    std::string text;
    for (const auto& each : *keys) text += each.app + "/" + std::string(to_string(each.kind)) + "\n";
    out["keys"] = text;
  } else if (what == "health") {
    const auto health = store.health();
    out["reachable"] = health.reachable;
    out["writable"] = health.writable;
    out["detail"] = health.detail;
  } else if (what == "name") {
    out["name"] = store.name();
  } else if (what == "migrate") {
    auto plan = plan_migration(store);
    if (!plan) return refusal(plan.error());
    if (request["carry_out"].as_bool())
      if (auto done = carry_out(store, *plan, request["clear_old"].as_bool()); !done) return refusal(done.error());
    out["plan"] = to_text(*plan);
    out["anything"] = plan->anything();
  } else if (what == "watch") {
    auto begun = store.watch([](const std::optional<RuleKey>& changed) {
      base::Value line;
      line["told"] = changed ? changed->app + "/" + std::string(to_string(changed->kind)) : "*";
      say(line);
    });
    if (!begun) return refusal(begun.error());
    watch = std::move(*begun);
    out["watching"] = true;
  } else {
    out["error"] = "no such request";
  }
  return out;
}

int run(int count, char** arguments) {
  RuleStoreOptions options;
  for (int i = 2; i < count; ++i) {
    const std::string_view argument = arguments[i];
    const std::string value(argument.substr(std::min(argument.size(), argument.find('=') + 1)));
    if (argument.starts_with("root=")) options.root = value;
    if (argument.starts_with("digest=")) options.digest = value;
    if (argument.starts_with("session=")) options.session_timeout = std::chrono::milliseconds(std::stoi(value));
    if (argument.starts_with("timeout=")) options.operation_timeout = std::chrono::milliseconds(std::stoi(value));
  }
  auto store = open_rule_store(count > 1 ? arguments[1] : "", options);
  if (!store) {
    say(refusal(store.error()));
    return 1;
  }
  base::Value opened;
  opened["opened"] = true;
  say(opened);
  std::unique_ptr<RuleWatch> watch;
  for (std::string line; std::getline(std::cin, line);)
    if (auto request = base::parse_json(line)) say(answer(**store, *request, watch));
  return 0;
}

}  // namespace
}  // namespace fairlead::store

int main(int count, char** arguments) { return fairlead::store::run(count, arguments); }
