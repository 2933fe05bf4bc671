#include "node/agent/host_agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <list>
#include <map>

#include "base/log.h"
#include "base/strings.h"
#include "io/loop.h"
#include "io/signals.h"
#include "io/transport.h"
#include "node/agent/message.h"
#include "node/agent/node_namespaces.h"
#include "node/node.h"

namespace fairlead::node {

using base::Value;

namespace {

// A Unix socket's path is limited to 107 bytes; a data folder's is not. The folder by its descriptor is short.
struct ControlAddress {
  io::Fd folder;
  sockaddr_un address{};
};
base::Result<ControlAddress> control_address(const std::string& data_dir) {
  ControlAddress a;
  a.folder = io::Fd(::open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!a.folder.valid()) return base::fail_errno("open " + data_dir);
  a.address.sun_family = AF_UNIX;
  std::string path = "/proc/self/fd/" + std::to_string(a.folder.get()) + "/control.sock";
  std::memcpy(a.address.sun_path, path.c_str(), path.size() + 1);
  return a;
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

io::Fd memory_file(const std::string& text) {
  io::Fd fd(::memfd_create("config", MFD_CLOEXEC));
  (void)!::write(fd.get(), text.data(), text.size());
  return fd;
}

std::vector<std::string> host_resolvers() {
  std::vector<std::string> out;
  std::ifstream in("/etc/resolv.conf");
  for (std::string line; std::getline(in, line);) {
    std::string_view text = base::trim(std::string_view(line).substr(0, line.find_first_of("#;")));
    if (!text.starts_with("nameserver")) continue;
    std::string_view ip = base::trim(text.substr(10));
    if (auto a = io::Address::parse_ip(ip, 53)) out.push_back(a->text());
  }
  return out;
}

class HostAgent {
 public:
  explicit HostAgent(AgentConfig config) : config_(std::move(config)) {}

  int run() {
    ::signal(SIGPIPE, SIG_IGN);
    io::SignalWatch signals(loop_, {SIGTERM, SIGINT, SIGHUP}, [this](int) { shut_down(); });
    if (auto ok = start(); !ok) {
      tell({{"event", "failed"}, {"message", ok.error().message}});
      return 1;
    }
    loop_.run();
    if (auto a = control_address(config_.data_dir)) ::unlink(a->address.sun_path);
    return exit_code_;
  }

 private:
  using Fields = std::initializer_list<base::Member>;

  base::Status start() {
    auto control = control_address(config_.data_dir);
    if (!control) return std::unexpected(control.error());
    ::unlink(control->address.sun_path);
    control_ = io::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::bind(control_.get(), reinterpret_cast<sockaddr*>(&control->address), sizeof control->address) != 0 || ::listen(control_.get(), 16) != 0)
      return base::fail_errno("listen on " + config_.data_dir + "/control.sock");
    control_watch_ = std::make_unique<io::FdWatch>(loop_, control_.get(), EPOLLIN, [this](uint32_t) { accept_client(); });

    auto link = message_pair();
    if (!link) return std::unexpected(link.error());
    int report[2];
    if (::pipe2(report, O_CLOEXEC) != 0) return base::fail_errno("pipe");
    io::Fd report_write(report[1]);
    report_ = io::Fd(report[0]);
    std::string log_path = config_.data_dir + "/logs/node.log";
    ::rename(log_path.c_str(), (log_path + ".old").c_str());
    io::Fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!log.valid()) return base::fail_errno("open " + log_path);
    io::Fd config = memory_file(to_value(config_).dump());
    auto node = start_node(config_.rootful, {"node"}, {config.get(), link->second.get(), kAgentApiFd, report_write.get(), kAgentNodeLockFd}, log.get());
    if (!node) return std::unexpected(node.error());
    node_ = std::move(*node);
    ::close(kAgentApiFd);
    ::close(kAgentNodeLockFd);
    ::fcntl(report_.get(), F_SETFL, O_NONBLOCK);
    report_watch_ = std::make_unique<io::FdWatch>(loop_, report_.get(), EPOLLIN, [this](uint32_t) { read_report(); });
    node_watch_ = std::make_unique<io::FdWatch>(loop_, node_.pidfd.get(), EPOLLIN, [this](uint32_t) { node_ended(); });
    channel_ = std::make_unique<MessageChannel>(loop_, std::move(link->first), [this](Message m) { serve(m.body); }, [] {});
    return {};
  }

  // ---- sockets for the node

  void answer(int64_t id, base::Result<io::Fd> fd) {
    std::vector<io::Fd> fds;
    Value v = Value::object({{"id", id}});
    if (fd) fds.push_back(std::move(*fd));
    else v.set("error", Value::object({{"code", static_cast<int>(fd.error().code)}, {"message", fd.error().message}}));
    channel_->send(v, std::move(fds));
  }

  void serve(const Value& request) {
    int64_t id = request["id"].as_int();
    const std::string& op = request["op"].as_string();
    if (op == "resolvers") {
      Value list = Value::array();
      for (auto& r : host_resolvers()) list.push(r);
      return channel_->send(Value::object({{"id", id}, {"resolvers", list}}));
    }
    auto address = io::Address::parse(request["address"].as_string());
    if (!address) return answer(id, std::unexpected(address.error()));
    if (op == "listen") return answer(id, io::listen(*address));
    if (op == "udp") {
      io::Fd fd(::socket(address->family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (!fd.valid() || ::connect(fd.get(), address->get(), address->length()) != 0) return answer(id, base::fail_errno("connect"));
      return answer(id, std::move(fd));
    }
    if (op == "connect") {
      auto handle = std::make_shared<std::unique_ptr<io::Connecting>>();
      *handle = io::connect(loop_, *address, {.timeout = std::chrono::seconds(30)}, [this, id, handle](base::Result<std::unique_ptr<io::Transport>> r) {
        loop_.dispose(std::move(*handle));
        if (!r) return answer(id, std::unexpected(r.error()));
        answer(id, io::Fd(::fcntl((*r)->fd(), F_DUPFD_CLOEXEC, 3)));
      });
      return;
    }
    answer(id, base::fail(base::Code::kUnimplemented, "unknown request {}", op));
  }

  // ---- the node's progress

  void tell(Fields fields) { tell_text(Value::object(fields).dump()); }
  void tell_text(const std::string& line) {
    std::string text = line + "\n";
    (void)!::write(kAgentReportFd, text.data(), text.size());  // `fairlead up` may have gone: EPIPE
  }

  void read_report() {
    char buffer[4096];
    for (;;) {
      ssize_t n = ::read(report_.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) {
        report_watch_.reset();
        break;
      }
      report_text_.append(buffer, static_cast<size_t>(n));
    }
    for (size_t end; (end = report_text_.find('\n')) != std::string::npos; report_text_.erase(0, end + 1)) {
      std::string line = report_text_.substr(0, end);
      auto v = base::parse_json(line);
      if (!v) continue;
      const std::string& event = (*v)["event"].as_string();
      if (event == "progress") progress_ = (*v)["message"].as_string();
      if (event == "ready") state_ = "ready";
      if (event == "failed") {
        state_ = "failed";
        failure_ = (*v)["message"].as_string();
      }
      tell_text(line);
    }
  }

  void node_ended() {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(node_.init_pid), &info, WEXITED | WNOHANG);
    node_watch_.reset();
    if (report_watch_) read_report();
    int code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    if (!stopping_) {
      if (failure_.empty())
        tell({{"event", "failed"},
              {"message", fmt::format("the node process ended with code {}; the end of its log ({}/logs/node.log) says why", code, config_.data_dir)}});
      FL_LOG_ERROR("agent", "the node ended with code {}", code);
      exit_code_ = 1;
    }
    for (auto& c : clients_)
      if (c->wants_end) c->channel->send(Value::object({{"ended", true}}));
    // The answers leave with this round of the loop; then the end.
    loop_.defer([this] { loop_.stop(); });
  }

  // ---- status and down

  struct Client {
    std::unique_ptr<MessageChannel> channel;
    bool wants_end = false;
  };

  void accept_client() {
    io::Fd fd(::accept4(control_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) return;
    auto client = std::make_unique<Client>();
    Client* c = client.get();
    client->channel = std::make_unique<MessageChannel>(
        loop_, std::move(fd),
        [this, c](Message m) {
          const std::string& op = m.body["op"].as_string();
          if (op == "status") c->channel->send(status());
          if (op == "down") {
            c->wants_end = true;
            shut_down();
          }
        },
        [this, c] {
          clients_.remove_if([&](auto& p) {
            if (p.get() != c) return false;
            loop_.dispose(std::move(p));
            return true;
          });
        });
    clients_.push_back(std::move(client));
  }

  Value status() const {
    return Value::object({{"name", config_.name}, {"state", stopping_ ? "stopping" : state_}, {"failure", failure_}, {"progress", progress_}, {"profile", config_.profile},
                          {"rootful", config_.rootful}, {"port", config_.api_port}, {"agentPid", ::getpid()}, {"nodePid", node_.init_pid},
                          {"upSeconds", std::chrono::duration_cast<std::chrono::seconds>(base::Clock::now() - began_).count()}});
  }

  void shut_down() {
    if (stopping_) return;
    stopping_ = true;
    ::kill(node_.init_pid, SIGTERM);
    // The node gives pods their grace; what has not ended then is ended with the namespaces.
    loop_.after(std::chrono::seconds(8), [this] { ::kill(node_.init_pid, SIGKILL); });
  }

  AgentConfig config_;
  io::Loop loop_;
  io::Fd control_, report_;
  std::unique_ptr<io::FdWatch> control_watch_, report_watch_, node_watch_;
  NodeProcess node_;
  std::unique_ptr<MessageChannel> channel_;
  std::list<std::unique_ptr<Client>> clients_;
  std::string report_text_, state_ = "starting", failure_, progress_;
  bool stopping_ = false;
  int exit_code_ = 0;
  base::TimePoint began_ = base::Clock::now();
};

}  // namespace

Value to_value(const AgentConfig& c) {
  Value outside = Value::array();
  for (auto& [host, sample] : c.outside) outside.push(Value::array({host, sample}));
  return Value::object({{"name", c.name}, {"dataDir", c.data_dir}, {"profile", c.profile}, {"executable", c.executable}, {"rootful", c.rootful},
                        {"apiPort", c.api_port}, {"consolePort", c.console_port}, {"outside", outside}});
}

AgentConfig agent_config_from_value(const Value& v) {
  AgentConfig c;
  c.name = v["name"].as_string();
  c.data_dir = v["dataDir"].as_string();
  c.profile = v["profile"].as_string();
  c.executable = v["executable"].as_string();
  c.rootful = v["rootful"].as_bool();
  c.api_port = static_cast<uint16_t>(v["apiPort"].as_int(6443));
  c.console_port = static_cast<uint16_t>(v["consolePort"].as_int(0));
  for (auto& o : v["outside"].items()) c.outside.emplace_back(o[0].as_string(), o[1].as_string());
  return c;
}

int run_host_agent() {
  for (int fd = kAgentConfigFd; fd <= kAgentReportFd; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  auto config = base::parse_json(read_all(kAgentConfigFd));
  if (!config) return 2;
  HostAgent agent(agent_config_from_value(*config));
  return agent.run();
}

base::Result<Value> ask_agent(const std::string& data_dir, const std::string& op, int timeout_seconds) {
  auto control = control_address(data_dir);
  if (!control) return std::unexpected(control.error());
  io::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&control->address), sizeof control->address) != 0)
    return base::fail(base::Code::kUnavailable, "nobody answers at {}/control.sock", data_dir);
  io::Loop loop;
  base::Result<Value> result = base::fail(base::Code::kDeadlineExceeded, "the mesh's agent did not answer within {} s", timeout_seconds);
  bool over = false;
  MessageChannel channel(
      loop, std::move(fd),
      [&](Message m) {
        result = std::move(m.body);
        over = true;
      },
      [&] {
        if (!over) result = base::fail(base::Code::kUnavailable, "the mesh's agent ended");
        over = true;
      });
  channel.send(Value::object({{"op", op}}));
  auto deadline = base::Clock::now() + std::chrono::seconds(timeout_seconds);
  while (!over && base::Clock::now() < deadline) loop.run_once(std::chrono::milliseconds(100));
  return result;
}

}  // namespace fairlead::node
