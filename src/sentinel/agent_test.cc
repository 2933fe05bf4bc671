// The agent over loopback sockets, on ports that the kernel picks.
#include "sentinel/agent.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "http/client.h"
#include "http/server.h"
#include "sentinel/commands.h"

namespace fairlead::sentinel {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

template <class F>
bool until(F condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

class AgentTest : public testing::Test {
 protected:
  AgentTest() {
    std::string name = fs::temp_directory_path() / "fairlead-agent-XXXXXX";
    folder = mkdtemp(name.data());
  }
  ~AgentTest() override { fs::remove_all(folder); }

  AgentOptions options() {
    AgentOptions out;
    out.app = "demo";
    out.address = "127.0.0.1";
    out.port = 0;
    out.log_folder = folder;
    return out;
  }
  static base::Result<http::Response> ask(const Agent& agent, std::string_view method, const std::string& target, std::string body = {}, http::Headers headers = {}) {
    return http::fetch_blocking(method, "http://127.0.0.1:" + std::to_string(agent.port()) + target, std::move(headers), std::move(body), 10s);
  }

  std::string folder;
  flow::Engine engine;
};

// Takes heartbeats; a loop on a thread of its own.
class FakeDashboard {
 public:
  explicit FakeDashboard(int status = 200) {
    server_ = std::make_unique<http::Server>(loop_, http::ServerOptions{}, [this, status](const std::shared_ptr<http::Exchange>& exchange) {
      exchange->read_body(10'000, [this, exchange, status](const std::string& body) {
        {
          const std::scoped_lock lock(mutex_);
          Parameters beat;
          read_parameters(body, beat);
          beat["target"] = exchange->request().method + " " + exchange->request().target + " " + std::string(exchange->request().headers.get("content-type"));
          beats_.push_back(std::move(beat));
        }
        exchange->respond(status, "application/json", "{}");
      });
    });
    at_ = server_->listen(*io::Address::parse_ip("127.0.0.1", 0))->text();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~FakeDashboard() {
    loop_.post([this] {
      server_.reset();
      loop_.stop();
    });
    thread_.join();
  }
  const std::string& at() const { return at_; }
  std::vector<Parameters> beats() {
    const std::scoped_lock lock(mutex_);
    return beats_;
  }

 private:
  io::Loop loop_;
  std::unique_ptr<http::Server> server_;
  std::string at_;
  std::mutex mutex_;
  std::vector<Parameters> beats_;
  std::thread thread_;
};

TEST_F(AgentTest, AnswersCommandsAndObeysRules) {
  const Agent agent(engine, options());
  ASSERT_NE(agent.port(), 0) << agent.problem();
  EXPECT_EQ(ask(agent, "GET", "/version")->body, "1.8.8");
  http::Headers form;
  form.add("content-type", "application/x-www-form-urlencoded");
  const auto set = ask(agent, "POST", "/setRules", "type=flow&data=" + base::url_encode(R"([{"resource":"a","count":0}])"), form);
  ASSERT_TRUE(set);
  EXPECT_EQ(set->body, "success");
  EXPECT_EQ(set->status, 200);
  EXPECT_FALSE(engine.enter("a"));
  EXPECT_EQ(ask(agent, "GET", "/nothing")->status, 400);
  EXPECT_EQ(ask(agent, "POST", "/version")->status, 411);
}

TEST_F(AgentTest, TakesTheNextPortIfOneIsTaken) {
  const Agent first(engine, options());
  AgentOptions same = options();
  same.port = first.port();
  const Agent second(engine, same);
  EXPECT_GT(second.port(), first.port()) << second.problem();
  EXPECT_EQ(ask(second, "GET", "/version")->body, "1.8.8");
}

TEST_F(AgentTest, SaysWhyItServesNoCommands) {
  AgentOptions bad = options();
  bad.address = "nowhere";
  EXPECT_NE(Agent(engine, bad).problem().find("nowhere"), std::string::npos);
  bad.address = "192.0.2.1";  // of no machine
  const Agent foreign(engine, bad);
  EXPECT_EQ(foreign.port(), 0);
  EXPECT_NE(foreign.problem(), "");
  bad.commands = false;
  EXPECT_EQ(Agent(engine, bad).port(), 0);
}

TEST_F(AgentTest, SendsHeartbeatsToEveryDashboardAlsoIfOneIsAway) {
  FakeDashboard one, two, broken(500);
  AgentOptions with = options();
  with.app = "demo app";
  with.heartbeat_ip = "10.1.2.3";
  with.heartbeat_interval = 20ms;
  with.dashboards = {"127.0.0.1:1", one.at(), "http://" + two.at() + "/", broken.at(), "nonsense:port"};
  const Agent agent(engine, with);
  ASSERT_TRUE(until([&] { return one.beats().size() > 1 && two.beats().size() > 1 && broken.beats().size() > 1 && agent.heartbeats() > 3; }));
  Parameters beat = one.beats()[0];
  EXPECT_EQ(beat["target"], "POST /registry/machine application/x-www-form-urlencoded; charset=UTF-8");
  EXPECT_EQ(beat["app"], "demo app");
  EXPECT_EQ(beat["app_type"], "0");
  EXPECT_EQ(beat["ip"], "10.1.2.3");
  EXPECT_EQ(beat["v"], "1.8.8");
  EXPECT_EQ(beat["port"], std::to_string(agent.port()));
  EXPECT_EQ(beat["pid"], std::to_string(getpid()));
  EXPECT_FALSE(beat["hostname"].empty());
  EXPECT_GT(std::stoll(beat["version"]), 1'600'000'000'000);
}

TEST_F(AgentTest, WritesTheMetricLogAndAnswersItsSeconds) {
  const Agent agent(engine, options());
  EXPECT_TRUE(engine.enter("a"));
  std::string lines;
  ASSERT_TRUE(until([&] {
    lines = ask(agent, "GET", "/metric?startTime=0&endTime=99999999999999&identity=a")->body;
    return !lines.empty();
  }));
  const auto line = parse_thin(lines.substr(0, lines.find('\n')));
  ASSERT_TRUE(line) << lines;
  EXPECT_EQ(line->values.pass, 1);
  const std::string all = ask(agent, "GET", "/metric?startTime=0&endTime=99999999999999")->body;
  for (const MetricLine& each : parse_thin_lines(all, 1000).lines) EXPECT_TRUE(each.values.resource == "a" || each.values.resource.starts_with("__")) << each.values.resource;
  EXPECT_GE(engine.system_load(), 0);
}

TEST_F(AgentTest, AsksNothingOfOtherPeersAndOfPagesOfOtherSites) {
  AgentOptions closed = options();
  closed.peers = {"192.0.2.1"};
  EXPECT_FALSE(ask(Agent(engine, closed), "GET", "/version"));
  closed.peers = {"192.0.2.1", "127.0.0.1"};
  const Agent agent(engine, closed);
  EXPECT_EQ(ask(agent, "GET", "/version")->status, 200);
  http::Headers page;
  page.add("origin", "https://elsewhere.example");
  EXPECT_EQ(ask(agent, "GET", "/setSwitch?value=false", {}, page)->status, 403);
  http::Headers image;
  image.add("sec-fetch-site", "cross-site");
  EXPECT_EQ(ask(agent, "GET", "/setSwitch?value=false", {}, image)->status, 403);
  EXPECT_TRUE(engine.on());
}

TEST_F(AgentTest, ServesAllInterfacesIfNoneIsNamed) {
  AgentOptions all = options();
  all.address.clear();
  all.peers = {"127.0.0.1"};
  const Agent agent(engine, all);
  ASSERT_NE(agent.port(), 0) << agent.problem();
  EXPECT_EQ(ask(agent, "GET", "/version")->status, 200);
}

TEST_F(AgentTest, RefusesBodiesBeyondTheLimit) {
  const Agent agent(engine, options());
  http::Headers form;
  form.add("content-type", "application/x-www-form-urlencoded");
  const auto answer = ask(agent, "POST", "/setRules", "type=flow&data=" + std::string(5 * 1024 * 1024, 'x'), form);
  EXPECT_TRUE(!answer || answer->status == 413);
  EXPECT_EQ(ask(agent, "GET", "/version")->status, 200);
}

TEST_F(AgentTest, ConnectionsThatSayNothingAreCutAndTheirNumberIsLimited) {
  const Agent agent(engine, options());
  const auto at = *io::Address::parse_ip("127.0.0.1", static_cast<std::uint16_t>(agent.port()));
  std::vector<io::Fd> silent;
  for (int i = 0; i < 100; ++i) {
    io::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(fd.get(), at.get(), at.length()), 0);
    silent.push_back(std::move(fd));
  }
  // Each of them ends: those beyond the limit at once, the others when they have been silent for too long.
  for (const io::Fd& fd : silent) {
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char bytes[1000];
    ssize_t n = 0;
    while ((n = ::recv(fd.get(), bytes, sizeof bytes, 0)) > 0) {}
    EXPECT_TRUE(n == 0 || errno == ECONNRESET) << errno;
  }
  EXPECT_EQ(ask(agent, "GET", "/version")->status, 200);
}

TEST_F(AgentTest, ReadsSentinelsSettings) {
  std::ofstream(folder + "/sentinel.properties") << "# a comment\ncsp.sentinel.app.name = from-file\ncsp.sentinel.log.dir=/tmp/from-file\ncsp.sentinel.api.port=9000\n";
  setenv("CSP_SENTINEL_CONFIG_FILE", (folder + "/sentinel.properties").c_str(), 1);
  setenv("PROJECT_NAME", "project", 1);
  setenv("CSP_SENTINEL_DASHBOARD_SERVER", "a:1, b:2,,", 1);
  setenv("csp.sentinel.api.port", "9001", 1);
  setenv("CSP_SENTINEL_HEARTBEAT_INTERVAL_MS", "often", 1);
  const AgentOptions options = AgentOptions::from_environment();
  for (const char* name : {"CSP_SENTINEL_CONFIG_FILE", "PROJECT_NAME", "CSP_SENTINEL_DASHBOARD_SERVER", "csp.sentinel.api.port", "CSP_SENTINEL_HEARTBEAT_INTERVAL_MS"}) unsetenv(name);
  EXPECT_EQ(options.app, "from-file");
  EXPECT_EQ(options.dashboards, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(options.port, 9001);
  EXPECT_EQ(options.log_folder, "/tmp/from-file");
  EXPECT_EQ(options.heartbeat_interval, 10s);
}

}  // namespace
}  // namespace fairlead::sentinel
