// PID 1 of a pod: makes the pod's side of its network, starts containers and commands in them, writes their output to log files,
// reaps, reports exits. Ends when the node closes the channel, and the kernel ends everything in the pod with it.
//
// Requests from the node (each has "id"; the answer repeats it, with "error" {code, message} when it failed):
//   setup  hostname, ip          the veth's end is here already, as "pod0"
//   start  container, process, rootfs, log            -> pidfd
//   exec   container, process                         -> pidfd, then stdin?, stdout, stderr | tty
//   attach container, stdin                           -> stdin?, stdout, stderr | tty, output of the terminal
//   signal container, signal                          (no answer)
//   dial   ip, port                                   -> descriptor
// Reports: {"exit": id of the start or exec, "code", "signal", "oom"}
//
// Memory limits: there is no cgroup without changing the host, so pod-init looks at what a container's processes hold and
// ends the container when it is over, as the kernel would. It looks again before the container could get there.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>

#include "base/log.h"
#include "io/loop.h"
#include "io/signals.h"
#include "io/transport.h"
#include "node/agent/message.h"
#include "node/network/rtnetlink.h"
#include "node/sandbox/cri_log.h"
#include "node/sandbox/namespace_runtime.h"
#include "node/sandbox/process.h"

namespace fairlead::node {
namespace {

using base::Value;

ino_t mount_namespace_of(pid_t pid) {
  struct stat st;
  return ::stat(("/proc/" + std::to_string(pid) + "/ns/mnt").c_str(), &st) == 0 ? st.st_ino : 0;
}

// A process as the node can name it: its number here means nothing there.
std::vector<io::Fd> handle_of(pid_t pid) {
  std::vector<io::Fd> fds;
  fds.emplace_back(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  return fds;
}

// The end of somebody who has attached to a container's output: bytes as they come, held back while they are not read.
class Tap : public std::enable_shared_from_this<Tap> {
 public:
  Tap(io::Loop& loop, io::Fd to, std::function<void()> drained) : to_(std::move(to)), drained_(std::move(drained)) {
    ::fcntl(to_.get(), F_SETFL, ::fcntl(to_.get(), F_GETFL) | O_NONBLOCK);
    watch_ = std::make_unique<io::FdWatch>(loop, to_.get(), EPOLLOUT | EPOLLET, [this](uint32_t) {
      auto keep = shared_from_this();
      flush();
    });
  }
  void put(std::string_view bytes) {
    pending_ += bytes;
    flush();
  }
  // No more will come: closes once what there is has been read.
  void end() {
    ending_ = shared_from_this();
    drained_ = nullptr;
    flush();
  }
  bool gone() const { return gone_; }
  bool behind() const { return !gone_ && pending_.size() > kBehind; }

 private:
  static constexpr size_t kBehind = 256u << 10;
  void flush() {
    const bool was_behind = behind();
    while (!gone_ && !pending_.empty()) {
      ssize_t n = ::write(to_.get(), pending_.data(), pending_.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) gone_ = true;
      else pending_.erase(0, static_cast<size_t>(n));
    }
    if (was_behind && !behind() && drained_) drained_();
    if ((gone_ || pending_.empty()) && ending_) {
      gone_ = true;
      watch_.reset();
      to_.reset();
      auto last = std::move(ending_);
    }
  }

  io::Fd to_;
  std::function<void()> drained_;
  std::string pending_;
  std::unique_ptr<io::FdWatch> watch_;
  std::shared_ptr<Tap> ending_;
  bool gone_ = false;
};

// Copies a container's output into its log file, and to whoever has attached.
class LogPump {
 public:
  LogPump(io::Loop& loop, io::Fd source, std::string_view stream, std::shared_ptr<io::Fd> file)
      : loop_(loop), source_(std::move(source)), lines_(stream), file_(std::move(file)) {
    ::fcntl(source_.get(), F_SETFL, ::fcntl(source_.get(), F_GETFL) | O_NONBLOCK);
    watch_ = std::make_unique<io::FdWatch>(loop_, source_.get(), EPOLLIN, [this](uint32_t) { pump(); });
  }
  // What is in the pipe now, then an end to it: called when the container has ended, whoever else still holds the
  // other end.
  void finish() {
    finishing_ = true;
    pump();
    std::string text;
    lines_.finish(std::chrono::system_clock::now(), text);
    put(text);
    watch_.reset();
    source_.reset();
    for (auto& tap : taps_) tap->end();
    taps_.clear();
  }
  void attach(io::Fd to) {
    taps_.push_back(std::make_shared<Tap>(loop_, std::move(to), [this] {
      if (watch_) watch_->set_events(EPOLLIN);
    }));
  }
  const io::Fd& source() const { return source_; }

 private:
  void pump() {
    if (!source_.valid()) return;
    char buffer[65536];
    for (;;) {
      std::erase_if(taps_, [](auto& tap) { return tap->gone(); });
      // As a terminal does: who does not read holds up who writes. The end of the container waits for nobody.
      if (!finishing_ && std::any_of(taps_.begin(), taps_.end(), [](auto& tap) { return tap->behind(); })) {
        watch_->set_events(0);
        return;
      }
      ssize_t n = ::read(source_.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {  // EIO: the last holder of a terminal closed it
        watch_.reset();
        return;
      }
      for (auto& tap : taps_) tap->put({buffer, static_cast<size_t>(n)});
      std::string text;
      lines_.feed({buffer, static_cast<size_t>(n)}, std::chrono::system_clock::now(), text);
      put(text);
    }
  }
  // A full disk loses log lines, never the container.
  void put(const std::string& text) {
    for (size_t done = 0; done < text.size();) {
      ssize_t n = ::write(file_->get(), text.data() + done, text.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
  }
  io::Loop& loop_;
  io::Fd source_;
  CriLines lines_;
  std::shared_ptr<io::Fd> file_;
  std::unique_ptr<io::FdWatch> watch_;
  std::vector<std::shared_ptr<Tap>> taps_;
  bool finishing_ = false;
};

struct Process {
  int64_t id = 0;             // of the request that started it
  std::string container;      // name; set on a container's first process
  ino_t mounts = 0;
  io::Fd input;               // the other end of a container's standard input, when it is kept open
  bool tty = false, stdin_once = false;
  int64_t memory_limit_bytes = 0;
  bool out_of_memory = false;
  std::vector<std::unique_ptr<LogPump>> logs;
};

class PodInit {
 public:
  explicit PodInit(io::Fd channel)
      : channel_(loop_, std::move(channel), [this](Message m) { on_message(std::move(m)); }, [] { ::_exit(0); }) {}

  int run() {
    io::SignalWatch watch(loop_, {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}, [this](int signal) { on_signal(signal); });
    loop_.run();
    return 0;
  }

 private:
  void on_message(Message m) {
    const std::string& op = m.body["op"].as_string();
    int64_t id = m.body["id"].as_int();
    if (op == "setup") {
      auto ok = setup(m.body);
      answer(id, ok ? base::Result<Value>(Value::object()) : base::Result<Value>(std::unexpected(ok.error())));
    } else if (op == "start") {
      start(id, m);
    } else if (op == "exec") {
      exec(id, m.body);
    } else if (op == "attach") {
      attach(id, m.body);
    } else if (op == "signal") {
      for (auto& [pid, p] : processes_)
        if (p.container == m.body["container"].as_string()) ::kill(pid, static_cast<int>(m.body["signal"].as_int()));
    } else if (op == "dial") {
      dial(id, m.body);
    }
  }

  void answer(int64_t id, base::Result<Value> result, std::vector<io::Fd> fds = {}) {
    Value v = result ? std::move(*result) : Value::object({{"error", Value::object({{"code", static_cast<int>(result.error().code)}, {"message", result.error().message}})}});
    v.set("id", id);
    channel_.send(v, std::move(fds));
  }

  base::Status setup(const Value& v) {
    const std::string& hostname = v["hostname"].as_string();
    if (::sethostname(hostname.c_str(), hostname.size()) != 0) return base::fail_errno("sethostname");
    if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return base::fail_errno("make mounts private");
    if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return base::fail_errno("mount /proc");
    auto net = Rtnetlink::open();
    if (!net) return std::unexpected(net.error());
    const std::string& ip = v["ip"].as_string();
    const std::string& gateway = v["gateway"].as_string();
    // No IPv6 beyond loopback: the mesh has none, and its discovery would only add waiting.
    (void)write_sysctl("net/ipv6/conf/pod0/disable_ipv6", "1");
    for (auto& step : {net->link_up("lo"), net->link_rename("pod0", "eth0"), net->add_address("eth0", ip, 32), net->link_up("eth0"),
                       net->add_link_route(gateway, 32, "eth0"), net->add_default_route(gateway, "eth0")})
      if (!step) return step;
    // Rootless there is nobody who could give a container NET_BIND_SERVICE by other means; pods own their network.
    (void)write_sysctl("net/ipv4/ip_unprivileged_port_start", "0");
    if (!write_sysctl("net/ipv4/ping_group_range", "0 2147483647")) (void)write_sysctl("net/ipv4/ping_group_range", "0 0");
    return {};
  }

  void start(int64_t id, Message& m) {
    ProcessSpec spec = process_from_value(m.body["process"]);
    auto file = std::make_shared<io::Fd>(std::move(m.fds.at(0)));
    auto started = start_container(spec, rootfs_from_value(m.body["rootfs"]));
    if (!started) return answer(id, std::unexpected(started.error()));
    Process p;
    p.id = id;
    p.container = m.body["container"].as_string();
    p.mounts = mount_namespace_of(started->pid);
    p.memory_limit_bytes = spec.memory_limit_bytes;
    p.tty = spec.tty;
    p.stdin_once = spec.stdin_once;
    if (spec.tty) {
      p.logs.push_back(std::make_unique<LogPump>(loop_, std::move(started->tty), "stdout", file));
    } else {
      p.input = std::move(started->stdin_write);
      p.logs.push_back(std::make_unique<LogPump>(loop_, std::move(started->stdout_read), "stdout", file));
      p.logs.push_back(std::make_unique<LogPump>(loop_, std::move(started->stderr_read), "stderr", file));
    }
    answer(id, Value::object(), handle_of(started->pid));
    const bool limited = p.memory_limit_bytes > 0;
    processes_[started->pid] = std::move(p);
    if (limited) look_at_memory();
  }

  // Private memory of every process in a container's file system, in bytes.
  std::map<ino_t, int64_t> held_memory() const {
    std::map<ino_t, int64_t> out;
    for_each_process([&](pid_t pid, ino_t mounts) {
      FILE* f = std::fopen(("/proc/" + std::to_string(pid) + "/statm").c_str(), "re");
      if (!f) return;
      long long size = 0, resident = 0, shared = 0;
      if (std::fscanf(f, "%lld %lld %lld", &size, &resident, &shared) == 3) out[mounts] += (resident - shared) * ::sysconf(_SC_PAGESIZE);
      std::fclose(f);
    });
    return out;
  }

  void look_at_memory() {
    constexpr int64_t kBytesPerMilli = 512 * 1024;  // about as fast as fresh pages can be written
    constexpr int64_t kSoonest = 20, kLatest = 2000;
    const auto held = held_memory();
    int64_t wait = -1;
    for (auto& [pid, p] : processes_) {
      if (p.memory_limit_bytes <= 0 || p.out_of_memory) continue;
      auto it = held.find(p.mounts);
      const int64_t left = p.memory_limit_bytes - (it == held.end() ? 0 : it->second);
      if (left < 0) {
        p.out_of_memory = true;
        ::kill(pid, SIGKILL);
        kill_rest(p.mounts);
        continue;
      }
      const int64_t next = std::clamp(left / kBytesPerMilli, kSoonest, kLatest);
      wait = wait < 0 ? next : std::min(wait, next);
    }
    if (wait >= 0) memory_.arm(base::Millis(wait));
  }

  void exec(int64_t id, const Value& v) {
    pid_t container = 0;
    for (auto& [pid, p] : processes_)
      if (p.container == v["container"].as_string()) container = pid;
    if (!container) return answer(id, base::fail(base::Code::kFailedPrecondition, "container \"{}\" is not running", v["container"].as_string()));
    ProcessSpec spec = process_from_value(v["process"]);
    auto started = start_in_container(spec, container);
    if (!started) return answer(id, std::unexpected(started.error()));
    processes_[started->pid].id = id;
    std::vector<io::Fd> fds = handle_of(started->pid);
    if (spec.tty) {
      fds.push_back(std::move(started->tty));
    } else {
      if (spec.want_stdin) fds.push_back(std::move(started->stdin_write));
      fds.push_back(std::move(started->stdout_read));
      fds.push_back(std::move(started->stderr_read));
    }
    answer(id, Value::object(), std::move(fds));
  }

  void attach(int64_t id, const Value& v) {
    Process* p = nullptr;
    for (auto& [pid, process] : processes_)
      if (process.container == v["container"].as_string()) p = &process;
    if (!p) return answer(id, base::fail(base::Code::kFailedPrecondition, "container \"{}\" is not running", v["container"].as_string()));
    std::vector<io::Fd> fds;
    auto copy = [](const io::Fd& fd) { return io::Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); };
    if (p->tty) {
      fds.push_back(copy(p->logs.front()->source()));
    } else if (v["stdin"].as_bool()) {
      if (!p->input.valid()) return answer(id, base::fail(base::Code::kFailedPrecondition, "container \"{}\" has no open stdin", p->container));
      fds.push_back(p->stdin_once ? std::move(p->input) : copy(p->input));
    }
    for (auto& log : p->logs) {
      int pipe[2];
      if (::pipe2(pipe, O_CLOEXEC) != 0) return answer(id, std::unexpected(base::fail_errno("pipe").error()));
      fds.emplace_back(pipe[0]);
      log->attach(io::Fd(pipe[1]));
    }
    answer(id, Value::object(), std::move(fds));
  }

  void dial(int64_t id, const Value& v) {
    auto to = io::Address::parse_ip(v["ip"].as_string(), static_cast<uint16_t>(v["port"].as_int()));
    if (!to) return answer(id, std::unexpected(to.error()));
    auto handle = std::make_shared<std::unique_ptr<io::Connecting>>();
    *handle = io::connect(loop_, *to, {}, [this, id, handle](base::Result<std::unique_ptr<io::Transport>> r) {
      loop_.defer([handle] { handle->reset(); });
      if (!r) return answer(id, std::unexpected(r.error()));
      std::vector<io::Fd> fds;
      fds.emplace_back(::fcntl((*r)->fd(), F_DUPFD_CLOEXEC, 3));
      answer(id, Value::object(), std::move(fds));
    });
  }

  void on_signal(int signal) {
    if (signal != SIGCHLD) {
      for (auto& [pid, p] : processes_) ::kill(pid, signal);
      return;
    }
    int status;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) reaped(pid, status);
  }

  void reaped(pid_t pid, int status) {
    auto it = processes_.find(pid);
    if (it == processes_.end()) return;  // an orphan
    Process p = std::move(it->second);
    processes_.erase(it);
    if (!p.container.empty()) kill_rest(p.mounts);
    for (auto& log : p.logs) log->finish();
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    channel_.send(Value::object({{"exit", p.id}, {"code", signal ? 128 + signal : WEXITSTATUS(status)}, {"signal", signal}, {"oom", p.out_of_memory}}));
  }

  // A container ends with its first process; what else runs in its file system ends now.
  void kill_rest(ino_t mounts) {
    if (!mounts) return;
    for_each_process([&](pid_t pid, ino_t of) {
      if (of == mounts) ::kill(pid, SIGKILL);
    });
  }

  static void for_each_process(const std::function<void(pid_t, ino_t mounts)>& see) {
    DIR* dir = ::opendir("/proc");
    if (!dir) return;
    while (dirent* d = ::readdir(dir))
      if (pid_t pid = std::atoi(d->d_name); pid > 1) see(pid, mount_namespace_of(pid));
    ::closedir(dir);
  }

  io::Loop loop_;
  MessageChannel channel_;
  io::Timer memory_{loop_, [this] { look_at_memory(); }};
  std::map<pid_t, Process> processes_;
};

}  // namespace

int run_pod_init(int argc, char** argv) {
  if (argc < 2) return 2;
  ::prctl(PR_SET_NAME, "pod-init");
  ::signal(SIGPIPE, SIG_IGN);
  int fd = std::atoi(argv[1]);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  PodInit init{io::Fd(fd)};
  return init.run();
}

}  // namespace fairlead::node
