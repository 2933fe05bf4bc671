#include "node/sandbox/namespace_runtime.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "node/agent/message.h"
#include "node/interception/istio_iptables.h"
#include "node/network/rtnetlink.h"
#include "node/node.h"
#include "node/sandbox/images.h"
#include "node/sandbox/process.h"

namespace fairlead::node {
namespace {

using base::Value;

constexpr const char* kGateway = "169.254.1.1";
constexpr const char* kSelfInContainer = "/usr/local/bin/fairlead";

struct Child {
  pid_t pid = 0;
  io::Fd pidfd;
};

// Starts pod-init in namespaces of its own. Between clone and exec only system calls: the node may have threads.
base::Result<Child> spawn_pod_init(io::Fd channel) {
  std::string number = "3";
  char program[] = "fairlead", command[] = "pod-init";
  char* argv[] = {program, command, number.data(), nullptr};
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* envp[] = {path, nullptr};
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  int source = channel.get();
  long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return base::fail_errno("make the pod's namespaces");
  if (pid == 0) {
    if (source != 3) ::dup2(source, 3);
    else ::fcntl(3, F_SETFD, 0);
    ::syscall(SYS_close_range, 4u, ~0u, 0u);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve("/proc/self/exe", argv, envp);
    ::_exit(127);
  }
  return Child{static_cast<pid_t>(pid), io::Fd(pidfd)};
}

base::Error error_of(const Value& v) {
  return {static_cast<base::Code>(v["code"].as_int()), v["message"].as_string(), {}};
}

// The number of a process in this PID namespace (pidfd_open(2): fdinfo). 0 when it is gone.
pid_t pid_of(const io::Fd& pidfd) {
  std::ifstream in("/proc/self/fdinfo/" + std::to_string(pidfd.get()));
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("Pid:")) return std::max(0, std::atoi(line.c_str() + 4));
  return 0;
}

class NamespaceRuntime;

class NamespaceSandbox final : public Sandbox {
 public:
  NamespaceSandbox(NamespaceRuntime& runtime, SandboxSpec spec) : runtime_(runtime), spec_(std::move(spec)) {}
  ~NamespaceSandbox() override;

  base::Status begin(std::function<void(base::Status)> done);

  int init_pid() const override { return init_.pid; }
  void start(const ContainerSpec& spec, std::function<void(base::Result<int>)> started, std::function<void(Exit)> on_exit) override;
  void signal(const std::string& container, int signal_number) override {
    if (channel_) channel_->send(Value::object({{"op", "signal"}, {"container", container}, {"signal", signal_number}}));
  }
  void exec(const std::string& container, const std::vector<std::string>& command, bool tty, bool want_stdin,
            std::function<void(base::Result<ExecHandles>)> started, std::function<void(Exit)> on_exit) override;
  void attach(const std::string& container, bool want_stdin, std::function<void(base::Result<ExecHandles>)> started) override;
  void dial(const io::Address& to, std::function<void(base::Result<io::Fd>)> done) override;
  void on_lost(std::function<void()> callback) override { lost_ = std::move(callback); }

 private:
  using Reply = std::function<void(base::Result<Message>)>;
  int64_t request(Value body, std::vector<io::Fd> fds, Reply reply);
  void on_message(Message m);
  void on_gone();
  std::vector<RootfsFile> files(const Image& image) const;
  // Delivers later what must not be delivered inside the caller's call.
  void later(std::function<void()> f);

  NamespaceRuntime& runtime_;
  SandboxSpec spec_;
  Child init_;
  std::string link_;
  std::unique_ptr<MessageChannel> channel_;
  int64_t next_id_ = 1;
  std::map<int64_t, Reply> waiting_;
  std::map<int64_t, std::function<void(Exit)>> running_;
  std::function<void()> lost_;
  std::map<std::string, ProcessSpec> containers_;  // for exec: environment, directory, rights
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class NamespaceRuntime final : public Runtime {
 public:
  NamespaceRuntime(io::Loop& loop, RuntimeOptions options) : loop_(loop), options_(std::move(options)) {
    auto net = Rtnetlink::open();
    if (net) net_ = std::make_unique<Rtnetlink>(std::move(*net));
  }

  base::Result<Image> image(const std::string& name) const override {
    std::string path = options_.data_dir + "/images.yaml";
    if (auto text = base::read_file(path)) {
      auto image = user_image(name, *text, path);
      if (image || image.error().code != base::Code::kNotFound) return image;
    }
    return builtin_image(name, path);
  }

  void create(const SandboxSpec& spec, std::function<void(base::Result<std::unique_ptr<Sandbox>>)> done) override {
    // The sandbox is handed over once the pod's own side of the network answers.
    auto sandbox = std::make_shared<std::unique_ptr<NamespaceSandbox>>(std::make_unique<NamespaceSandbox>(*this, spec));
    auto finish = [this, sandbox, done](base::Status status) {
      loop_.defer([sandbox, done, status] {
        if (status) done(std::move(*sandbox));
        else {
          sandbox->reset();
          done(std::unexpected(status.error()));
        }
      });
    };
    if (auto ok = (*sandbox)->begin(finish); !ok) finish(ok);
  }

  io::Loop& loop() { return loop_; }
  const RuntimeOptions& options() const { return options_; }
  Rtnetlink* net() { return net_.get(); }
  std::string next_link() { return "pod" + std::to_string(++links_); }

  // The kernel has to be told that the process is no longer of interest, some time after it was killed.
  void reap(Child child) {
    auto fd = std::make_shared<Child>(std::move(child));
    auto watch = std::make_shared<std::unique_ptr<io::FdWatch>>();
    *watch = std::make_unique<io::FdWatch>(loop_, fd->pidfd.get(), EPOLLIN, [fd, watch](uint32_t) {
      ::waitpid(fd->pid, nullptr, WNOHANG);
      auto ended = std::move(*watch);
    });
  }

 private:
  io::Loop& loop_;
  RuntimeOptions options_;
  std::unique_ptr<Rtnetlink> net_;
  uint64_t links_ = 0;
};

NamespaceSandbox::~NamespaceSandbox() {
  *alive_ = false;
  if (init_.pid > 0) {
    ::kill(init_.pid, SIGKILL);
    runtime_.reap(std::move(init_));
  }
}

base::Status NamespaceSandbox::begin(std::function<void(base::Status)> done) {
  if (!runtime_.net()) return base::fail(base::Code::kInternal, "no netlink socket");
  auto pair = message_pair();
  if (!pair) return std::unexpected(pair.error());
  auto child = spawn_pod_init(std::move(pair->second));
  if (!child) return std::unexpected(child.error());
  init_ = std::move(*child);
  channel_ = std::make_unique<MessageChannel>(runtime_.loop(), std::move(pair->first), [this](Message m) { on_message(std::move(m)); },
                                              [this] { on_gone(); });
  link_ = runtime_.next_link();
  auto& net = *runtime_.net();
  if (auto ok = net.add_veth(link_, "pod0", init_.pid); !ok) return ok;
  (void)write_sysctl("net/ipv6/conf/" + link_ + "/disable_ipv6", "1");
  // The node answers for the gateway address on every pod link. Its scope keeps it from being picked as a source.
  if (auto ok = net.add_address(link_, kGateway, 32, true); !ok) return ok;
  if (auto ok = net.link_up(link_); !ok) return ok;
  if (auto ok = net.add_link_route(spec_.ip, 32, link_, kNodeIp); !ok) return ok;
  request(Value::object({{"op", "setup"}, {"hostname", spec_.hostname}, {"ip", spec_.ip}, {"gateway", kGateway}}), {},
          [done](base::Result<Message> reply) { done(reply ? base::Status() : base::Status(std::unexpected(reply.error()))); });
  return {};
}

int64_t NamespaceSandbox::request(Value body, std::vector<io::Fd> fds, Reply reply) {
  int64_t id = next_id_++;
  if (!channel_) {
    later([reply] { reply(base::fail(base::Code::kUnavailable, "the pod has ended")); });
    return id;
  }
  waiting_[id] = std::move(reply);
  body.set("id", id);
  channel_->send(body, std::move(fds));
  return id;
}

void NamespaceSandbox::later(std::function<void()> f) {
  runtime_.loop().defer([alive = alive_, f = std::move(f)] {
    if (*alive) f();
  });
}

void NamespaceSandbox::on_message(Message m) {
  if (auto* exit = m.body.find("exit")) {
    auto it = running_.find(exit->as_int());
    if (it == running_.end()) return;
    auto callback = std::move(it->second);
    running_.erase(it);
    Exit e;
    e.code = static_cast<int>(m.body["code"].as_int());
    e.signal = static_cast<int>(m.body["signal"].as_int());
    e.oom_killed = m.body["oom"].as_bool();
    if (callback) callback(e);
    return;
  }
  auto it = waiting_.find(m.body["id"].as_int());
  if (it == waiting_.end()) return;
  auto reply = std::move(it->second);
  waiting_.erase(it);
  if (auto* error = m.body.find("error")) reply(std::unexpected(error_of(*error)));
  else reply(std::move(m));
}

// pod-init died (killed from outside, or the kernel was out of memory): everything in the pod is gone.
void NamespaceSandbox::on_gone() {
  FL_LOG_WARN("sandbox", "{}/{}: the pod's init process is gone", spec_.ns, spec_.name);
  auto alive = alive_;
  channel_.reset();
  auto waiting = std::move(waiting_);
  auto running = std::move(running_);
  waiting_.clear();
  running_.clear();
  for (auto& [id, reply] : waiting) {
    if (!*alive) return;
    reply(base::fail(base::Code::kUnavailable, "the pod has ended"));
  }
  for (auto& [id, exited] : running) {
    if (!*alive) return;
    if (exited) exited({137, SIGKILL, false});
  }
  if (!*alive || !lost_) return;
  auto lost = std::move(lost_);
  lost();
}

// Names under which images made of busybox find its tools. What Debian's programs of the same name do otherwise is its own
// here (nc ends when its input does, time prints "real"); of the rest only what the host lacks.
std::map<std::string, std::string> busybox_links() {
  std::string program = "/usr/bin/busybox";
  if (::access(program.c_str(), X_OK) != 0) program = "/bin/busybox";
  if (::access(program.c_str(), X_OK) != 0) return {};
  std::map<std::string, std::string> links;
  for (const char* tool : {"nc", "time", "nslookup"}) links[std::string("/usr/local/bin/") + tool] = program;
  for (const char* tool : {"wget", "telnet", "ping", "traceroute", "netstat", "ifconfig", "route", "ps", "top", "free", "vi", "less", "watch", "killall", "unzip", "xxd", "hexdump"}) {
    bool there = false;
    for (const char* folder : {"/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) there = there || ::access((std::string(folder) + tool).c_str(), X_OK) == 0;
    if (!there) links[std::string("/usr/local/bin/") + tool] = program;
  }
  return links;
}

std::vector<RootfsFile> NamespaceSandbox::files(const Image& image) const {
  using Kind = RootfsFile::Kind;
  std::string resolv = spec_.dns_server.empty() ? "" : "nameserver " + spec_.dns_server + "\n";
  if (!spec_.dns_search.empty()) resolv += "search " + base::join(spec_.dns_search, " ") + "\n";
  if (!spec_.dns_options.empty()) resolv += "options " + base::join(spec_.dns_options, " ") + "\n";
  std::string hosts =
      "# Managed by fairlead.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
  // The longer name first, as the kubelet does: it is what `hostname -f` and a reverse question find.
  hosts += spec_.ip + "\t" + (spec_.fqdn.empty() ? "" : spec_.fqdn + "\t") + spec_.hostname + "\n";
  for (auto& [name, ip] : spec_.hosts) hosts += ip + "\t" + name + "\n";
  std::vector<RootfsFile> out = {{"/etc/resolv.conf", resolv, Kind::kText},
                                 {"/etc/hosts", hosts, Kind::kText},
                                 {"/etc/hostname", spec_.hostname + "\n", Kind::kText},
                                 {kSelfInContainer, runtime_.options().executable, Kind::kBind},
                                 {"/usr/local/bin/pilot-agent", kSelfInContainer, Kind::kLink}};
  // Root's ids are mapped one to one: what only root of the host may read, root of a container could too.
  for (const char* secret : {"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers"})
    if (::access(secret, R_OK) == 0) out.push_back({secret, "", Kind::kText});
  if (image.busybox)
    for (auto& [path, program] : busybox_links()) out.push_back({path, program, Kind::kLink});
  for (auto& [path, source] : image.files) {
    if (source.empty()) out.push_back({path, kSelfInContainer, Kind::kLink});
    else out.push_back({path, source, Kind::kBind});
  }
  return out;
}

void NamespaceSandbox::start(const ContainerSpec& spec, std::function<void(base::Result<int>)> started, std::function<void(Exit)> on_exit) {
  auto refuse = [&](base::Error error) { later([started, error] { started(std::unexpected(error)); }); };
  auto image = runtime_.image(spec.image);
  if (!image) return refuse(image.error());
  ProcessSpec process;
  process.argv = spec.command.empty() ? image->entrypoint : spec.command;
  auto& rest = spec.command.empty() && spec.args.empty() ? image->cmd : spec.args;
  process.argv.insert(process.argv.end(), rest.begin(), rest.end());
  if (process.argv.empty()) return refuse({base::Code::kInvalidArgument, "no command specified", {}});
  process.cwd = !spec.working_dir.empty() ? spec.working_dir : !image->working_dir.empty() ? image->working_dir : "/";
  process.tty = spec.tty;
  process.memory_limit_bytes = spec.memory_limit_bytes;
  // Ids that are not mapped cannot be taken: rootless, everything is uid 0 inside.
  int64_t uid = spec.run_as_user.value_or(0), gid = spec.run_as_group.value_or(0);
  if (uid > 0 && id_is_mapped("/proc/self/uid_map", uid)) process.privileges.uid = static_cast<uid_t>(uid);
  if (gid > 0 && id_is_mapped("/proc/self/gid_map", gid)) process.privileges.gid = static_cast<gid_t>(gid);
  // The sidecar is known by its uid where that can be taken; where not, it has to mark its sockets, which needs NET_ADMIN.
  bool sidecar_by_mark = uid == kSidecarUid && process.privileges.uid != static_cast<uid_t>(uid);
  process.privileges.net_admin = spec.net_admin || sidecar_by_mark;
  process.privileges.dropped = dropped_capabilities(spec.drop_capabilities, spec.add_capabilities);
  process.want_stdin = spec.stdin_open;
  process.stdin_once = spec.stdin_once;
  auto set = [&](const std::string& key, const std::string& value) {
    for (auto& e : process.env)
      if (e.first == key) {
        e.second = value;
        return;
      }
    process.env.emplace_back(key, value);
  };
  set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  set("HOSTNAME", spec_.hostname);
  if (spec.tty) set("TERM", "xterm");
  for (auto& [k, v] : image->env) set(k, v);
  for (auto& [k, v] : spec.env) set(k, v);
  set("HOME", [&] {
    for (auto& [k, v] : spec.env)
      if (k == "HOME") return v;
    return std::string(process.privileges.uid == 0 ? "/root" : "/");
  }());

  RootfsSpec rootfs;
  rootfs.work_dir = spec_.directory + "/fs-" + spec.name;
  rootfs.mounts = spec.mounts;
  rootfs.files = files(*image);
  rootfs.hidden = {runtime_.options().data_dir, "/var/lib/fairlead", "/etc/ssh"};
  rootfs.working_dir = process.cwd;
  ::mkdir(spec_.directory.c_str(), 0755);
  if (::mkdir(rootfs.work_dir.c_str(), 0755) != 0 && errno != EEXIST)
    return refuse({base::Code::kInternal, base::fail_errno("mkdir " + rootfs.work_dir).error().message, {}});
  io::Fd log(::open(spec.log_path.empty() ? "/dev/null" : spec.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!log.valid()) return refuse(base::fail_errno("open " + spec.log_path).error());
  std::vector<io::Fd> fds;
  fds.push_back(std::move(log));
  containers_[spec.name] = process;
  auto id = std::make_shared<int64_t>(0);
  *id = request(Value::object({{"op", "start"}, {"container", spec.name}, {"process", to_value(process)}, {"rootfs", to_value(rootfs)}}), std::move(fds),
                [this, id, started](base::Result<Message> reply) {
                  if (reply) return started(reply->fds.empty() ? 0 : pid_of(reply->fds[0]));
                  running_.erase(*id);
                  started(std::unexpected(reply.error()));
                });
  running_[*id] = std::move(on_exit);
}

void NamespaceSandbox::exec(const std::string& container, const std::vector<std::string>& command, bool tty, bool want_stdin,
                            std::function<void(base::Result<ExecHandles>)> started, std::function<void(Exit)> on_exit) {
  auto it = containers_.find(container);
  if (it == containers_.end() || command.empty()) {
    std::string message = command.empty() ? "no command to run" : "container \"" + container + "\" is not running";
    return later([started, message] { started(base::fail(base::Code::kFailedPrecondition, "{}", message)); });
  }
  ProcessSpec process = it->second;
  process.argv = command;
  process.tty = tty;
  process.want_stdin = want_stdin;
  process.memory_limit_bytes = 0;
  if (tty) process.env.emplace_back("TERM", "xterm");
  auto id = std::make_shared<int64_t>(0);
  *id = request(Value::object({{"op", "exec"}, {"container", container}, {"process", to_value(process)}}), {},
                [this, id, started, tty, want_stdin](base::Result<Message> reply) {
                  if (!reply) {
                    running_.erase(*id);
                    return started(std::unexpected(reply.error()));
                  }
                  ExecHandles handles;
                  auto& fds = reply->fds;
                  size_t expected = tty ? 2 : want_stdin ? 4 : 3;
                  if (fds.size() != expected) return started(base::fail(base::Code::kInternal, "descriptors are missing"));
                  handles.pid = pid_of(fds[0]);
                  for (auto& fd : fds) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
                  if (tty) {
                    handles.tty = std::move(fds[1]);
                  } else {
                    size_t i = 1;
                    if (want_stdin) handles.stdin_write = std::move(fds[i++]);
                    handles.stdout_read = std::move(fds[i++]);
                    handles.stderr_read = std::move(fds[i]);
                  }
                  started(std::move(handles));
                });
  running_[*id] = std::move(on_exit);
}

void NamespaceSandbox::attach(const std::string& container, bool want_stdin, std::function<void(base::Result<ExecHandles>)> started) {
  auto it = containers_.find(container);
  const bool tty = it != containers_.end() && it->second.tty;
  request(Value::object({{"op", "attach"}, {"container", container}, {"stdin", want_stdin}}), {}, [started, tty, want_stdin](base::Result<Message> reply) {
    if (!reply) return started(std::unexpected(reply.error()));
    auto& fds = reply->fds;
    if (fds.size() != (tty ? 2u : want_stdin ? 3u : 2u)) return started(base::fail(base::Code::kInternal, "descriptors are missing"));
    for (auto& fd : fds) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    ExecHandles handles;
    size_t i = 0;
    if (tty) handles.tty = std::move(fds[i++]);
    else if (want_stdin) handles.stdin_write = std::move(fds[i++]);
    handles.stdout_read = std::move(fds[i++]);
    if (!tty) handles.stderr_read = std::move(fds[i]);
    started(std::move(handles));
  });
}

void NamespaceSandbox::dial(const io::Address& to, std::function<void(base::Result<io::Fd>)> done) {
  request(Value::object({{"op", "dial"}, {"ip", to.ip()}, {"port", to.port()}}), {}, [done](base::Result<Message> reply) {
    if (!reply) return done(std::unexpected(reply.error()));
    if (reply->fds.empty()) return done(base::fail(base::Code::kInternal, "descriptor is missing"));
    done(std::move(reply->fds[0]));
  });
}

// ---- the hosts of --outside

class OutsideHosts final : public OutsideWorld {
 public:
  OutsideHosts(io::Loop& loop, Runtime& runtime, std::string directory) : loop_(loop), runtime_(runtime), directory_(std::move(directory)) {}
  void add(const std::string& host, const std::string& sample, const std::string& ip) {
    SandboxSpec spec;
    spec.ns = "outside";
    spec.name = host;
    spec.hostname = host.substr(0, 63);
    spec.ip = ip;
    spec.directory = directory_ + "/" + host;
    ::mkdir(spec.directory.c_str(), 0755);
    runtime_.create(spec, [this, alive = alive_, host, sample](base::Result<std::unique_ptr<Sandbox>> made) {
      if (!*alive) return;
      if (!made) {
        FL_LOG_ERROR("outside", "{}: {}", host, made.error().text());
        return;
      }
      sandboxes_[host] = std::move(*made);
      run(host, sample);
    });
  }
  ~OutsideHosts() override { *alive_ = false; }

 private:
  void run(const std::string& host, const std::string& sample) {
    ContainerSpec c;
    c.name = "server";
    c.image = "fairlead";
    c.args = {"sample", sample, "-b", "0.0.0.0:80"};
    if (sample == "go-httpbin") c.env = {{"PORT", "80"}};
    else if (sample != "httpbin") c.args = {"sample", sample, "80"};
    c.log_path = directory_ + "/" + host + "/server.log";
    sandboxes_[host]->start(
        c,
        [host](base::Result<int> started) {
          if (!started) FL_LOG_ERROR("outside", "{}: {}", host, started.error().text());
        },
        [this, alive = alive_, host, sample](Exit e) {
          FL_LOG_WARN("outside", "{}: ended with code {}", host, e.code);
          loop_.after(std::chrono::seconds(1), [this, alive, host, sample] {
            if (*alive) run(host, sample);
          });
        });
  }
  io::Loop& loop_;
  Runtime& runtime_;
  std::string directory_;
  std::map<std::string, std::unique_ptr<Sandbox>> sandboxes_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Runtime> make_namespace_runtime(io::Loop& loop, RuntimeOptions options) {
  return std::make_unique<NamespaceRuntime>(loop, std::move(options));
}

std::unique_ptr<OutsideWorld> start_outside_world(io::Loop& loop, Runtime& runtime, const std::string& data_dir,
                                                  const std::vector<std::pair<std::string, std::string>>& hosts,
                                                  std::map<std::string, std::string>& addresses) {
  std::string directory = data_dir + "/outside";
  ::mkdir(directory.c_str(), 0755);
  auto world = std::make_unique<OutsideHosts>(loop, runtime, directory);
  int number = 0;
  for (auto& [host, sample] : hosts) {
    std::string ip = "198.51.100." + std::to_string(++number);
    addresses[host] = ip;
    world->add(host, sample, ip);
  }
  return world;
}

}  // namespace fairlead::node
