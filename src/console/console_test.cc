#include "console/console.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/strings.h"
#include "console/temporary_folder.h"
#include "http/client.h"
#include "store/rules/memory_rule_store.h"

namespace fairlead::console {
namespace {

using base::Value;

// The whole console over loopback, with a store in memory.
class ConsoleTest : public ::testing::Test {
 protected:
  ConsoleTest() {
    password_ = **console_.first_start();
    at_ = server_.listen(*io::Address::parse("127.0.0.1:0"))->text();
    bool ready = false;
    console_.start([&] { ready = true; });
    while (!ready) loop_.run_once(std::chrono::milliseconds(2));
  }

  struct Said {
    int status = 0;
    Value body;
    http::Headers headers;
  };
  Said ask(std::string_view method, std::string_view path, std::string body = "", http::Headers headers = {}) {
    if (!cookie_.empty()) headers.set("cookie", cookie_);
    Said said;
    bool done = false;
    client_.fetch(method, "http://" + at_ + std::string(path), std::move(headers), std::move(body), std::chrono::seconds(20), [&](base::Result<http::Response> answer) {
      done = true;
      ASSERT_TRUE(answer) << answer.error().text();
      said.status = answer->status;
      said.headers = answer->headers;
      if (auto parsed = base::parse_json(answer->body)) said.body = *parsed;
    });
    while (!done) loop_.run_once(std::chrono::milliseconds(2));
    return said;
  }
  void log_in() {
    const Said said = ask("POST", "/api/session", Value::object({{"username", "admin"}, {"password", password_}}).dump());
    ASSERT_EQ(said.status, 200);
    const std::string set = std::string(said.headers.get("set-cookie"));
    cookie_ = set.substr(0, set.find(';'));
  }
  static http::Headers field(std::string_view name, std::string_view value) {
    http::Headers headers;
    headers.add(name, value);
    return headers;
  }

  io::Loop loop_;
  std::shared_ptr<store::MemoryRuleStore> store_ = std::make_shared<store::MemoryRuleStore>();
  TemporaryFolder folder_;
  std::unique_ptr<Console> owned_ = *Console::open(loop_, folder_.path(), store_, {.version = "test"});
  Console& console_ = *owned_;
  http::Server server_{loop_, {}, console_.handler()};
  http::Client client_{loop_, {}};
  std::string at_, password_, cookie_;
};

TEST_F(ConsoleTest, OpensNothingWithoutASession) {
  for (const auto& [method, pattern] : console_.router().routes()) {
    const std::string path = base::replace_all(pattern, "{}", "flow");
    const int status = ask(method, path, method == "GET" ? "" : "{}").status;
    static const std::set<std::string> open = {"/api/session", "/api/about", "/api/openapi.json", "/metrics", "/registry/machine", "/auth/login", "/auth/check", "/auth/logout", "/version"};
    if (open.contains(path) && !(method == "GET" && path == "/api/session")) EXPECT_NE(status, 403) << method << " " << path;
    else EXPECT_EQ(status, 401) << method << " " << path;
  }
}

TEST_F(ConsoleTest, OtherSitesChangeNothing) {
  log_in();
  const char* body = R"({"expected":"","rules":[]})";
  EXPECT_EQ(ask("PUT", "/api/apps/a/rules/flow", body, field("origin", "http://evil.example")).status, 403);
  EXPECT_EQ(ask("PUT", "/api/apps/a/rules/flow", body, field("sec-fetch-site", "cross-site")).status, 403);
  EXPECT_EQ(ask("PUT", "/api/apps/a/rules/flow", body, field("origin", "http://" + at_)).status, 200);
  EXPECT_EQ(ask("PUT", "/api/apps/a/rules/flow", body, field("sec-fetch-site", "same-origin")).status, 200);
}

TEST_F(ConsoleTest, RefusalsSayWhatIsWrongInBothLanguages) {
  log_in();
  const char* body = R"({"expected":"","rules":[{"resource":"a","count":-1},{"count":"x"}]})";
  const Said english = ask("PUT", "/api/apps/a/rules/flow", body);
  EXPECT_EQ(english.status, 400);
  ASSERT_EQ(english.body.at("error.faults").size(), 2u);
  EXPECT_EQ(english.body.at("error.faults.0.message").as_string(), "must be 0 or more");
  EXPECT_EQ(english.body.at("error.faults.0.field").as_string(), "count");
  const Said chinese = ask("PUT", "/api/apps/a/rules/flow", body, field("accept-language", "zh-CN"));
  EXPECT_EQ(chinese.body.at("error.faults.0.message").as_string(), "须大于或等于 0");
  EXPECT_EQ(ask("PUT", "/api/apps/a/rules/flow", "{").status, 400);
  EXPECT_EQ(ask("PUT", "/api/apps/a/rules/flow", "{}").status, 400);
  EXPECT_EQ(ask("PUT", "/api/apps/a/rules/nothing", "{}").status, 404);
  EXPECT_EQ(ask("PATCH", "/api/apps/a/rules/flow", "{}").status, 405);
  EXPECT_EQ(ask("GET", "/api/nothing").status, 404);
}

TEST_F(ConsoleTest, TwoEditorsSeeEachOther) {
  log_in();
  const std::string rule = R"({"resource":"a","count":1})";
  ASSERT_EQ(ask("PUT", "/api/apps/a/rules/flow", R"({"expected":"","rules":[)" + rule + "]}").status, 200);
  const Said lost = ask("PUT", "/api/apps/a/rules/flow", R"({"expected":"","rules":[]})");
  EXPECT_EQ(lost.status, 409);
  EXPECT_EQ(lost.body.at("error.stored.rules.0.resource").as_string(), "a");
  EXPECT_EQ(lost.body.at("error.stored.version").as_string(), "1");
}

TEST_F(ConsoleTest, TheDocumentNamesEveryPathOfTheApi) {
  const Said said = ask("GET", "/api/openapi.json");
  ASSERT_EQ(said.status, 200);
  std::set<std::string> documented, served;
  for (const base::Member& path : said.body["paths"].members())
    for (const base::Member& method : path.value.members()) {
      if (method.key == "parameters") continue;
      std::string pattern;
      bool in = false;
      for (char c : path.key) {
        if (c == '{') in = true, pattern += "{}";
        else if (c == '}') in = false;
        else if (!in) pattern += c;
      }
      documented.insert(method.key + " " + pattern);
    }
  for (const auto& [method, pattern] : console_.router().routes())
    if (pattern.starts_with("/api/") || pattern == "/metrics" || pattern == "/registry/machine") served.insert(base::to_lower(method) + " " + pattern);
  EXPECT_EQ(documented, served);
}

TEST_F(ConsoleTest, AStoreThatIsAwayIsSaid) {
  log_in();
  store_->away = true;
  const Said said = ask("PUT", "/api/apps/a/rules/flow", R"({"expected":"","rules":[{"resource":"a","count":1}]})");
  EXPECT_EQ(said.status, 503);
  EXPECT_EQ(ask("GET", "/api/about").body.at("store.reachable").as_bool(true), false);
  EXPECT_EQ(ask("GET", "/api/apps/a/history").body.size(), 0u);
}

TEST_F(ConsoleTest, TheOriginalsPathsChangeOneRuleAtATime) {
  log_in();
  const Said added = ask("POST", "/v2/flow/rule", R"({"app":"a","ip":"1.2.3.4","port":8719,"resource":"x","count":5,"grade":1})");
  EXPECT_TRUE(added.body["success"].as_bool());
  const int64_t id = added.body.at("data.id").as_int();
  EXPECT_TRUE(ask("PUT", "/v2/flow/rule/" + std::to_string(id), R"({"app":"a","resource":"x","count":7})").body["success"].as_bool());
  EXPECT_EQ(ask("GET", "/v2/flow/rules?app=a").body.at("data.0.count").as_int(), 7);
  EXPECT_TRUE(ask("POST", "/degrade/rule", R"({"app":"a","resource":"x","count":5,"grade":0,"timeWindow":3})").body["success"].as_bool());
  EXPECT_EQ(ask("GET", "/v2/flow/rules?app=a").body["data"].size(), 1u);
  EXPECT_TRUE(ask("POST", "/paramFlow/rule", R"({"app":"a","rule":{"resource":"x","count":5,"paramIdx":0}})").body["success"].as_bool());
  EXPECT_EQ(ask("GET", "/paramFlow/rules?app=a").body.at("data.0.rule.paramIdx").as_int(-1), 0);
  EXPECT_TRUE(ask("POST", "/system/new.json", "app=a&qps=50", field("content-type", "application/x-www-form-urlencoded")).body["success"].as_bool());
  EXPECT_EQ(ask("GET", "/system/rules.json?app=a").body.at("data.0.qps").as_double(), 50);
  EXPECT_FALSE(ask("POST", "/v2/flow/rule", R"({"app":"a","resource":"","count":5})").body["success"].as_bool(true));
  EXPECT_TRUE(ask("DELETE", "/v2/flow/rule/" + std::to_string(id)).body["success"].as_bool());
  EXPECT_EQ(ask("GET", "/v2/flow/rules?app=a").body["data"].size(), 0u);
  EXPECT_EQ(ask("GET", "/degrade/rules.json?app=a").body["data"].size(), 1u);
}

TEST_F(ConsoleTest, PagesAreForBrowsersAndFilesAreNotPages) {
  EXPECT_EQ(ask("GET", "/nothing.js").status, 404);
  EXPECT_EQ(ask("POST", "/apps/a").status, 404);
}

}  // namespace
}  // namespace fairlead::console
