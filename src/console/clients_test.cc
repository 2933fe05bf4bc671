#include "console/clients.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "http/server.h"
#include "console/temporary_folder.h"
#include "store/rules/memory_rule_store.h"

namespace fairlead::console {
namespace {

using store::RuleKey;
using store::RuleKind;

// A client's command centre.
class FakeClient {
 public:
  explicit FakeClient(io::Loop& loop) : server_(loop, {}, [this](std::shared_ptr<http::Exchange> e) { serve(std::move(e)); }) {
    port_ = server_.listen(*io::Address::parse("127.0.0.1:0"))->port();
  }
  Heartbeat beat() const { return {.app = "shop", .ip = "127.0.0.1", .hostname = "h", .version = "1.8.8", .port = port_}; }
  std::string id() const { return "127.0.0.1:" + std::to_string(port_); }

  std::map<std::string, std::string> rules;  // by type
  std::string metrics = "No metrics";
  bool answers = true;
  int sets = 0;
  std::size_t flood = 0;  // bytes of an answer without an end

 private:
  void serve(std::shared_ptr<http::Exchange> exchange) {
    if (!answers) return held_.push_back(std::move(exchange));
    exchange->read_body(1 << 20, [this, exchange](const std::string& body) {
      const std::string path(exchange->request().path());
      auto parameters = http::query_params(exchange->request().query());
      for (auto& each : http::query_params(body)) parameters.push_back(each);
      const auto get = [&](std::string_view name) {
        for (const auto& [key, value] : parameters)
          if (key == name) return value;
        return std::string();
      };
      std::string type = get("type");
      if (path.ends_with("ParamFlowRules")) type = "param";
      if (flood > 0) {
        exchange->start(200, {});
        for (std::size_t i = 0; i < flood; i += 1 << 16) exchange->write(std::string(1 << 16, 'x'));
        return held_.push_back(exchange);
      }
      if (path == "/metric") return exchange->respond(200, "text/plain", metrics);
      if (path.starts_with("/gateway/")) return exchange->respond(400, "text/plain", "Unknown command `" + path.substr(1) + "`");
      if (path == "/setRules" || path == "/setParamFlowRules") {
        ++sets;
        rules[type] = get("data");
        return exchange->respond(200, "text/plain", "success");
      }
      exchange->respond(200, "text/plain", rules.contains(type) ? rules[type] : "[]");
    });
  }
  http::Server server_;
  int port_ = 0;
  std::vector<std::shared_ptr<http::Exchange>> held_;
};

class ClientsTest : public ::testing::Test {
 protected:
  ClientsTest() {
    bool ready = false;
    book_.start([&] { ready = true; });
    until([&] { return ready; });
  }
  template <class F>
  void until(F holds) {
    for (int i = 0; i < 5000 && !holds(); ++i) loop_.run_once(std::chrono::milliseconds(2));
    ASSERT_TRUE(holds());
  }
  void come(FakeClient& client) {
    ASSERT_TRUE(machines_.beat(client.beat()).value());
    clients_.came("shop", client.id());
  }
  RuleState state(FakeClient& client, RuleKind kind) { return machines_.find("shop", client.id())->of(kind); }

  io::Loop loop_;
  std::shared_ptr<store::MemoryRuleStore> store_ = std::make_shared<store::MemoryRuleStore>();
  std::unique_ptr<Database> database_ = *Database::open(":memory:");
  std::int64_t now_ = 1'700'000'000'000;
  std::function<std::int64_t()> clock_ = [this] { return now_; };
  Rulebook book_{loop_, store_, *database_, clock_};
  Machines machines_{clock_};
  TemporaryFolder folder_;
  std::unique_ptr<Metrics> owned_ = *Metrics::open(folder_.path() + "/metrics.db", clock_, {});
  Metrics& metrics_ = *owned_;
  Clients clients_{loop_, machines_, book_, metrics_, clock_};
};

constexpr const char* kRules = R"([{"resource":"a","count":1}])";

TEST_F(ClientsTest, ANewMachineIsToldWhatIsStored) {
  store_->put({"shop", RuleKind::Flow}, kRules);
  until([&] { return !book_.find({"shop", RuleKind::Flow}).rules.empty(); });
  FakeClient client(loop_);
  client.rules["degrade"] = R"([{"resource":"own","count":1,"timeWindow":1}])";
  come(client);
  until([&] { return state(client, RuleKind::Flow) == RuleState::Same; });
  EXPECT_EQ(client.rules["flow"], kRules);
  // Nothing is stored for its other kinds: its own rules stay, and are shown.
  until([&] { return state(client, RuleKind::Degrade) == RuleState::Differs; });
  EXPECT_EQ(client.sets, 1);
}

TEST_F(ClientsTest, AClientThatDecodesTwiceReadsTheSame) {
  const RuleKey key{"shop", RuleKind::Flow};
  store_->put(key, R"([{"resource":"/a.+\"\\.","regex":true,"count":1e+2},{"resource":"%2B + 100%","count":1}])");
  until([&] { return book_.find(key).rules.size() == 2; });
  FakeClient client(loop_);
  come(client);
  until([&] { return state(client, RuleKind::Flow) == RuleState::Same; });
  const std::string twice = base::url_decode(client.rules["flow"]);
  EXPECT_EQ(twice, client.rules["flow"]);
  EXPECT_TRUE(compare_rules(RuleKind::Flow, book_.find(key).good, twice).none());
  EXPECT_EQ(read_document(RuleKind::Flow, twice).rules[1]["resource"].as_string(), "%2B + 100%");
}

TEST_F(ClientsTest, AChangeReachesAllMachinesOfTheAppAndNoOther) {
  FakeClient one(loop_), two(loop_), other(loop_);
  come(one);
  come(two);
  Heartbeat bank = other.beat();
  bank.app = "bank";
  ASSERT_TRUE(machines_.beat(bank));
  clients_.came("bank", other.id());
  store_->put({"shop", RuleKind::ParamFlow}, R"([{"resource":"a","count":1,"paramIdx":0}])");
  until([&] { return state(one, RuleKind::ParamFlow) == RuleState::Same && state(two, RuleKind::ParamFlow) == RuleState::Same; });
  EXPECT_EQ(other.sets, 0);
}

TEST_F(ClientsTest, WhatSomebodyElseSetIsPutRight) {
  store_->put({"shop", RuleKind::Flow}, kRules);
  FakeClient client(loop_);
  until([&] { return !book_.find({"shop", RuleKind::Flow}).rules.empty(); });
  come(client);
  until([&] { return state(client, RuleKind::Flow) == RuleState::Same; });
  client.rules["flow"] = "[]";
  clients_.came("shop", client.id());  // as the half-minute's look does
  until([&] { return client.rules["flow"] == kRules; });
}

TEST_F(ClientsTest, GarbageInTheStoreTellsNobodyAnything) {
  store_->put({"shop", RuleKind::Flow}, kRules);
  FakeClient client(loop_);
  until([&] { return !book_.find({"shop", RuleKind::Flow}).rules.empty(); });
  come(client);
  until([&] { return state(client, RuleKind::Flow) == RuleState::Same; });
  store_->put({"shop", RuleKind::Flow}, "[{");
  until([&] { return client.sets == 2; });
  EXPECT_EQ(client.rules["flow"], kRules);
}

TEST_F(ClientsTest, AClientWithoutTheCommandIsNoProblem) {
  store_->put({"shop", RuleKind::GatewayFlow}, R"([{"resource":"a","count":1}])");
  FakeClient client(loop_);
  until([&] { return !book_.find({"shop", RuleKind::GatewayFlow}).rules.empty(); });
  come(client);
  until([&] { return state(client, RuleKind::GatewayFlow) == RuleState::Unsupported; });
  EXPECT_EQ(machines_.find("shop", client.id())->problem, "");
}

TEST_F(ClientsTest, AnAnswerWithoutEndIsCut) {
  FakeClient client(loop_);
  client.flood = 16u << 20;
  ASSERT_TRUE(machines_.beat(client.beat()));
  std::optional<base::Result<std::string>> said;
  clients_.command(*machines_.find("shop", client.id()), "/jsonTree", "", [&](base::Result<std::string> answer) { said = std::move(answer); });
  until([&] { return said.has_value(); });
  EXPECT_EQ(said->error().code, base::Code::kResourceExhausted);
}

TEST_F(ClientsTest, MetricsAreFetchedAndNonsenseIsCounted) {
  FakeClient client(loop_);
  come(client);
  const std::string second = std::to_string(now_ - 3000);
  client.metrics = second + "|a|5|1|5|0|3|0|1|0\nnonsense\n" + second + "|__system_load__|13000|0|0|0|0|0|0|0\n" + second + "|__cpu_usage__|2500|0|0|0|0|0|0|0\n" +
                   std::to_string(now_ - 10'000'000) + "|a|5|1|5|0|3|0|1|0\n";
  clients_.start();
  until([&] { return clients_.counts().metric_lines > 0; });
  metrics_.flush();
  metrics_.settle();
  const auto series = metrics_.series("shop", "a", now_ - 5000, now_, 1);
  ASSERT_EQ(series.size(), 1u);
  EXPECT_EQ(series[0].sums.pass % 5, 0);
  EXPECT_EQ(series[0].sums.rt_ms / series[0].sums.success, 3);
  EXPECT_GE(clients_.counts().bad_metric_lines, 2u);
  const auto top = metrics_.top("shop", now_ - 60'000, now_, "", 10);
  ASSERT_EQ(top.size(), 1u) << "load and processor time are no calls";
  EXPECT_EQ(top[0].first, "a");
}

}  // namespace
}  // namespace fairlead::console
