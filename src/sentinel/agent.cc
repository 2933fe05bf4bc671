#include "sentinel/agent.h"

#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "http/client.h"
#include "http/server.h"
#include "io/interfaces.h"
#include "io/loop.h"
#include "sentinel/commands.h"
#include "sentinel/metric_log.h"
#include "sentinel/system_status.h"

namespace fairlead::sentinel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxBodyBytes = 4 * 1024 * 1024;  // of a command: rules come in them
constexpr std::size_t kMaxConnections = 32;
constexpr base::Nanos kHeaderTimeout = 3s;              // as the Java client waits
constexpr base::Nanos kExchangeTimeout = 10s;           // for a request, its answer and the peer to take it
constexpr base::Nanos kHeartbeatTimeout = 3s;
constexpr std::string_view kSystemCa = "/etc/ssl/certs/ca-certificates.crt";

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

std::string program_name() {
  std::error_code error;
  const std::string name = std::filesystem::read_symlink("/proc/self/exe", error).filename();
  return error || name.empty() ? "program" : name;
}

std::string home_folder() {
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr && *home != '\0' ? home : "/tmp") + "/logs/csp";
}

// "host:port", "http://host", ...: its URL without a path, or nothing.
std::string url_of(const std::string& dashboard) {
  const bool named = dashboard.starts_with("http://") || dashboard.starts_with("https://");
  std::string url = named ? dashboard : "http://" + dashboard;
  while (url.ends_with('/')) url.pop_back();
  const auto parsed = http::parse_url(url);
  return parsed && !parsed->host.empty() && parsed->port != 0 ? url : "";
}

struct Dashboard {
  std::string url;
  bool waiting = false;  // for an answer
  bool failing = false;  // was said already
};

}  // namespace

struct Agent::Core {
  Core(flow::Engine& engine_of_program, AgentOptions given)
      : engine(engine_of_program), options(complete(std::move(given))), ip(options.heartbeat_ip.empty() ? io::own_address() : options.heartbeat_ip),
        log({.folder = options.log_folder, .app = options.app, .pid = options.log_name_has_pid ? getpid() : 0, .max_file_bytes = options.log_file_bytes, .max_files = options.log_files}),
        commands(engine, {.host = host_name(), .ip = ip, .metrics = [this](const MetricQuery& query) { return find(query); }, .refuse_rules = options.refuse_rules, .on_gateway = options.on_gateway}),
        second(loop, [this] { each_second(); }), beat(loop, [this] { send_heartbeats(); }) {}

  static AgentOptions complete(AgentOptions options) {
    if (options.app.empty()) options.app = program_name();
    if (options.log_folder.empty()) options.log_folder = home_folder();
    if (!options.heartbeat_path.starts_with('/')) options.heartbeat_path.insert(0, 1, '/');
    return options;
  }

  std::vector<MetricLine> find(const MetricQuery& query) const { return options.metric_log ? log.find(query) : remembered(query); }
  std::vector<MetricLine> remembered(const MetricQuery& query) const;
  void start();
  void listen();
  void serve(const std::shared_ptr<http::Exchange>& exchange);
  void each_second();
  void send_heartbeats();

  flow::Engine& engine;
  const AgentOptions options;
  const std::string ip;
  std::string problem;
  int port = 0;

  // The agent's thread, once it runs.
  io::Loop loop;
  MetricLog log;
  Commands commands;
  SystemStatus status;
  io::Timer second, beat;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<io::Acceptor> acceptor;
  std::unique_ptr<http::Client> client;
  std::vector<Dashboard> dashboards;
  std::int64_t logged_ms = 0;
  bool log_failing = false, refused_peer = false;  // were said already

  std::atomic<std::uint64_t> accepted{0};  // heartbeats
  std::thread thread;
};

void Agent::Core::listen() {
  constexpr int kLastPort = 65'535;
  const std::string first = options.address.empty() ? "::" : options.address;
  auto at = io::Address::parse_ip(first, 0);
  if (!at) {
    problem = "the address for commands, " + options.address + ", is no IP address; write one of this machine's, or nothing for all";
    return;
  }
  for (int candidate = options.port; candidate <= kLastPort; ++candidate) {
    at->set_port(static_cast<std::uint16_t>(candidate));
    auto socket = io::listen(*at);
    const auto taken = [&socket] { return !socket && socket.error().code == base::Code::kFailedPrecondition; };
    // A kernel without IPv6.
    if (!socket && !taken() && options.address.empty() && at->family() == AF_INET6) {
      at = io::Address::parse_ip("0.0.0.0", static_cast<std::uint16_t>(candidate));
      socket = io::listen(*at);
    }
    if (!socket) {
      problem = socket.error().text();
      if (taken() && options.port != 0) continue;
      return;
    }
    const auto local = io::local_address(socket->get());
    if (!local) {
      problem = local.error().text();
      return;
    }
    problem.clear();
    port = local->port();
    server = std::make_unique<http::Server>(loop, http::ServerOptions{.max_header_bytes = 64 * 1024, .max_header_count = 100, .idle_timeout = 5s, .header_timeout = kHeaderTimeout, .max_streams = 8},
                                            [this](const std::shared_ptr<http::Exchange>& exchange) { serve(exchange); });
    acceptor = std::make_unique<io::Acceptor>(loop, std::move(*socket), [this](io::Fd connection, const io::Address& peer) {
      std::string from = peer.ip();
      if (from.starts_with("::ffff:")) from.erase(0, 7);  // an IPv4 address on a socket for both
      if (!options.peers.empty() && std::find(options.peers.begin(), options.peers.end(), from) == options.peers.end()) {
        if (!std::exchange(refused_peer, true)) FL_LOG_WARN("sentinel", "a connection from {} is closed: it is not among csp.sentinel.api.peers; further ones are closed silently", from);
        return;
      }
      if (server->connections() < kMaxConnections) server->accept(std::move(connection));
    });
    return;
  }
}

void Agent::Core::serve(const std::shared_ptr<http::Exchange>& exchange) {
  // Whoever is slow, in asking or in taking the answer, is cut.
  auto deadline = std::make_shared<std::unique_ptr<io::Timer>>();
  *deadline = std::make_unique<io::Timer>(loop, [weak = std::weak_ptr(exchange)] {
    if (const auto late = weak.lock()) late->abort();
  });
  (*deadline)->arm(kExchangeTimeout);
  exchange->on_close([this, deadline](bool) { loop.dispose(std::move(*deadline)); });

  const auto answer = [](http::Exchange& to, const Answer& what) {
    http::Headers headers;
    headers.add("content-type", "text/plain; charset=utf-8");
    headers.add("connection", "close");
    to.respond(what.status, std::move(headers), what.body);
  };
  const http::Headers& headers = exchange->request().headers;
  // A page of another site in a browser on this machine must not change rules; dashboards send neither.
  const std::string_view site = headers.get("sec-fetch-site");
  if (headers.has("origin") || !(site.empty() || site == "none" || site == "same-origin"))
    return answer(*exchange, {.status = 403, .body = "commands are not for pages of other sites; ask from the dashboard, or open the address itself"});
  exchange->read_body(kMaxBodyBytes, [this, exchange, answer](const std::string& body) {
    const http::RequestHead& request = exchange->request();
    const std::string* type = request.headers.find("content-type");
    answer(*exchange, commands.serve({.method = request.method, .target = request.target, .content_type = type != nullptr ? std::string_view(*type) : std::string_view(),
                                      .has_content_type = type != nullptr, .body = body}));
  });
}

void Agent::Core::each_second() {
  second.arm(1s);
  engine.set_system_status(status.load(), status.cpu());
  if (!options.metric_log) return;
  const std::vector<flow::Metric> seconds = engine.metrics(logged_ms);
  if (seconds.empty()) return;
  logged_ms = seconds.back().time_ms;
  const auto written = log.write(seconds);
  if (!written && !log_failing)
    FL_LOG_ERROR("sentinel", "{}; metrics are not kept until this folder can be written: {}", written.error().text(), options.log_folder);
  log_failing = !written;
}

// What the engine has of the last minute, as the log would answer.
std::vector<MetricLine> Agent::Core::remembered(const MetricQuery& query) const {
  std::vector<MetricLine> out;
  for (flow::Metric& second : engine.metrics(query.begin_ms / 1000 * 1000 - 1)) {
    if (query.end_ms ? second.time_ms > *query.end_ms : out.size() >= query.max_lines && second.time_ms != out.back().values.time_ms) break;
    if (!query.identity || second.resource == *query.identity) out.push_back({.values = std::move(second)});
  }
  return out;
}

void Agent::Core::send_heartbeats() {
  beat.arm(options.heartbeat_interval);
  const std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const std::string body = fmt::format("hostname={}&ip={}&app={}&app_type={}&v={}&version={}&port={}&pid={}", base::url_encode(host_name()), base::url_encode(ip), base::url_encode(options.app),
                                       options.app_type, kSentinelVersion, now, port, getpid());
  for (Dashboard& dashboard : dashboards) {
    if (std::exchange(dashboard.waiting, true)) continue;
    http::Headers headers;
    headers.add("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    client->fetch("POST", dashboard.url + options.heartbeat_path, std::move(headers), body, kHeartbeatTimeout, [this, &dashboard](const base::Result<http::Response>& response) {
      dashboard.waiting = false;
      const bool good = response && response->status == 200;
      if (good) accepted.fetch_add(1, std::memory_order_relaxed);
      if (good && dashboard.failing) FL_LOG_INFO("sentinel", "the dashboard {} takes heartbeats again", dashboard.url);
      if (!good && !dashboard.failing)
        FL_LOG_WARN("sentinel", "the dashboard {} takes no heartbeat: {}; this goes on trying", dashboard.url, response ? fmt::format("status {}", response->status) : response.error().text());
      dashboard.failing = !good;
    });
  }
}

void Agent::Core::start() {
  if (options.commands) {
    listen();
    if (port != 0) FL_LOG_INFO("sentinel", "{} answers Sentinel's commands on port {}", options.app, port);
    else FL_LOG_ERROR("sentinel", "Sentinel's commands are not served: {}", problem);
  } else {
    problem = "commands are turned off";
  }
  http::ClientOptions http{.connect_timeout = kHeartbeatTimeout, .idle_timeout = 15s};
  for (const std::string& each : options.dashboards) {
    std::string url = url_of(each);
    if (url.empty()) {
      FL_LOG_ERROR("sentinel", "the dashboard {} is left out; write host:port, http://host:port or https://host:port", each);
      continue;
    }
    if (url.starts_with("https://") && http.tls == nullptr) {
      const std::string path = options.dashboard_ca.empty() ? std::string(kSystemCa) : options.dashboard_ca;
      const auto ca = base::read_file(path);
      auto context = ca ? io::TlsContext::client({.ca_pem = *ca}) : std::unexpected(ca.error());
      if (!context) {
        FL_LOG_ERROR("sentinel", "the dashboard {} is left out: {}; name a file of certificates by csp.sentinel.dashboard.ca", url, context.error().text());
        continue;
      }
      http.tls = std::move(*context);
    }
    dashboards.push_back({.url = std::move(url)});
  }
  client = std::make_unique<http::Client>(loop, std::move(http));
  // A dashboard can do nothing with a program whose commands it can't ask.
  if (!dashboards.empty() && port != 0) beat.arm(0s);
  else if (options.commands && dashboards.empty()) FL_LOG_INFO("sentinel", "no dashboard is named (csp.sentinel.dashboard.server); no heartbeats");
  second.arm(0s);

  // Signals are the program's: none of them is taken here.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread = std::thread([this] { loop.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Agent::Agent(flow::Engine& engine, AgentOptions options) : core_(std::make_unique<Core>(engine, std::move(options))) { core_->start(); }

Agent::~Agent() {
  core_->loop.post([this] {
    core_->client.reset();
    core_->acceptor.reset();
    core_->server.reset();
    core_->second.cancel();
    core_->beat.cancel();
    core_->loop.stop();
  });
  core_->thread.join();
}

int Agent::port() const { return core_->port; }
const std::string& Agent::problem() const { return core_->problem; }
std::uint64_t Agent::heartbeats() const { return core_->accepted.load(std::memory_order_relaxed); }

}  // namespace fairlead::sentinel
