#include "node/sandbox/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "base/strings.h"

namespace fairlead::node {
namespace {

using base::Value;

// Finds the program as execvp would, in the container's PATH, so that the error can name what was looked for.
base::Result<std::string> find_program(const std::string& name, const std::vector<std::pair<std::string, std::string>>& env) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), F_OK) != 0) return base::fail(base::Code::kNotFound, "exec: \"{}\": stat {}: no such file or directory", name, name);
    if (::access(name.c_str(), X_OK) != 0) return base::fail(base::Code::kPermissionDenied, "exec: \"{}\": permission denied", name);
    return name;
  }
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (auto& [key, value] : env)
    if (key == "PATH") path = value;
  for (auto dir : base::split(path, ':')) {
    std::string full = std::string(dir.empty() ? "." : dir) + "/" + name;
    struct stat st;
    if (::stat(full.c_str(), &st) == 0 && S_ISREG(st.st_mode) && ::access(full.c_str(), X_OK) == 0) return full;
  }
  return base::fail(base::Code::kNotFound, "exec: \"{}\": executable file not found in $PATH", name);
}

// In the child, inside the container's namespaces.
base::Status become(const ProcessSpec& spec) {
  if (!spec.cwd.empty() && ::chdir(spec.cwd.c_str()) != 0) return base::fail_errno("chdir to cwd (\"" + spec.cwd + "\")");
  if (spec.memory_limit_bytes > 0) {
    // pod-init ends a container that is over its limit. This is for one that is faster than it looks: private
    // writable memory of the process, mapped files and reserved space not counted, stacks of threads in full.
    rlim_t bytes = 2 * static_cast<rlim_t>(spec.memory_limit_bytes) + (rlim_t{256} << 20);
    rlimit limit{bytes, bytes};
    (void)::setrlimit(RLIMIT_DATA, &limit);
  }
  rlimit core{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &core);
  auto program = find_program(spec.argv.at(0), spec.env);
  if (!program) return std::unexpected(program.error());
  if (auto ok = drop_privileges(spec.privileges); !ok) return ok;
  std::vector<char*> argv;
  for (auto& a : spec.argv) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> variables;
  for (auto& [key, value] : spec.env) variables.push_back(key + "=" + value);
  std::vector<char*> envp;
  for (auto& v : variables) envp.push_back(v.data());
  envp.push_back(nullptr);
  ::execve(program->c_str(), argv.data(), envp.data());
  return base::fail_errno("exec: \"" + *program + "\"");
}

struct Stdio {
  io::Fd child[3];
  Started parent;
};

// Whoever the process runs as may open its /dev/stdout again (access logs do): that checks the pipe's owner.
void give(int fd, const Privileges& to) {
  if (to.uid != 0 || to.gid != 0) (void)!::fchown(fd, to.uid, to.gid);
}

base::Result<Stdio> pipes(bool want_stdin, const Privileges& owner) {
  Stdio s;
  int p[2];
  if (want_stdin) {
    if (::pipe2(p, O_CLOEXEC) != 0) return base::fail_errno("pipe");
    s.child[0] = io::Fd(p[0]);
    s.parent.stdin_write = io::Fd(p[1]);
  } else {
    s.child[0] = io::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  for (int i = 1; i <= 2; ++i) {
    if (::pipe2(p, O_CLOEXEC) != 0) return base::fail_errno("pipe");
    (i == 1 ? s.parent.stdout_read : s.parent.stderr_read) = io::Fd(p[0]);
    s.child[i] = io::Fd(p[1]);
    give(p[0], owner);  // both ends are one inode
  }
  return s;
}

// A terminal from the devpts under `root` ("" or "/proc/PID/root").
base::Result<std::pair<io::Fd, io::Fd>> open_terminal(const std::string& root) {
  std::string path = root + "/dev/pts/ptmx";
  io::Fd master(::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master.valid()) return base::fail_errno("open " + path);
  int unlock = 0;
  if (::ioctl(master.get(), TIOCSPTLCK, &unlock) != 0) return base::fail_errno("unlock terminal");
  io::Fd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY));
  if (!slave.valid()) return base::fail_errno("open terminal");
  return std::pair(std::move(master), std::move(slave));
}

void take_stdio(const int (&fds)[3], bool terminal) {
  ::setsid();
  int copies[3];
  for (int i = 0; i < 3; ++i) copies[i] = ::fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
  for (int i = 0; i < 3; ++i) ::dup2(copies[i], i);
  if (terminal) ::ioctl(0, TIOCSCTTY, 0);
}

// Forks; the child runs `body`, which ends in exec or in an error, that is handed back through a pipe closed by exec.
base::Result<pid_t> fork_and_wait_for_exec(const std::function<base::Status(int report)>& body) {
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return base::fail_errno("pipe");
  io::Fd in(report[0]), out(report[1]);
  pid_t pid = ::fork();
  if (pid < 0) return base::fail_errno("fork");
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    auto status = body(out.get());
    std::string text = Value::object({{"code", static_cast<int>(status.error().code)}, {"message", status.error().message}}).dump();
    (void)!::write(out.get(), text.data(), text.size());
    ::_exit(status.error().code == base::Code::kNotFound ? 127 : 126);
  }
  out.reset();
  std::string text;
  char buffer[4096];
  for (;;) {
    ssize_t n = ::read(in.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  if (text.empty()) return pid;
  ::waitpid(pid, nullptr, 0);
  auto error = base::parse_json(text);
  if (!error) return base::fail(base::Code::kInternal, "the container's process ended before it started");
  return base::fail(static_cast<base::Code>((*error)["code"].as_int()), "{}", (*error)["message"].as_string());
}

}  // namespace

base::Result<Started> start_container(const ProcessSpec& spec, const RootfsSpec& rootfs) {
  auto stdio = pipes(spec.want_stdin, spec.privileges);
  if (!stdio) return std::unexpected(stdio.error());
  auto pair = std::make_pair(io::Fd(), io::Fd());
  int sockets[2] = {-1, -1};
  // With a terminal, the container's own devpts exists only in the child: it sends the master back over a pipe of
  // descriptors, which is a socket pair.
  if (spec.tty) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return base::fail_errno("socketpair");
    pair = {io::Fd(sockets[0]), io::Fd(sockets[1])};
  }
  auto pid = fork_and_wait_for_exec([&](int) -> base::Status {
    if (::unshare(CLONE_NEWNS) != 0) return base::fail_errno("unshare mounts");
    if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return base::fail_errno("make mounts private");
    if (!spec.tty) take_stdio({stdio->child[0].get(), stdio->child[1].get(), stdio->child[2].get()}, false);
    if (auto ok = enter_rootfs(rootfs); !ok) return ok;
    if (spec.tty) {
      auto terminal = open_terminal("");
      if (!terminal) return std::unexpected(terminal.error());
      char byte = 0;
      iovec iov{&byte, 1};
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
      msghdr m{};
      m.msg_iov = &iov;
      m.msg_iovlen = 1;
      m.msg_control = control;
      m.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&m);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      int master = terminal->first.get();
      std::memcpy(CMSG_DATA(c), &master, sizeof master);
      if (::sendmsg(sockets[1], &m, MSG_NOSIGNAL) != 1) return base::fail_errno("hand over the terminal");
      int slave = terminal->second.get();
      give(slave, spec.privileges);
      take_stdio({slave, slave, slave}, true);
    }
    return become(spec);
  });
  if (!pid) return std::unexpected(pid.error());
  Started started = std::move(stdio->parent);
  if (spec.tty) {
    char byte;
    iovec iov{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr m{};
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    if (::recvmsg(sockets[0], &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1)
      if (cmsghdr* c = CMSG_FIRSTHDR(&m); c && c->cmsg_type == SCM_RIGHTS) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
        started.tty = io::Fd(fd);
      }
    started.stdin_write.reset();
    started.stdout_read.reset();
    started.stderr_read.reset();
  }
  started.pid = *pid;
  return started;
}

base::Result<Started> start_in_container(const ProcessSpec& spec, pid_t container_pid) {
  std::string proc = "/proc/" + std::to_string(container_pid);
  io::Fd mounts(::open((proc + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  if (!mounts.valid()) return base::fail(base::Code::kFailedPrecondition, "the container is not running");
  Stdio stdio;
  if (spec.tty) {
    auto terminal = open_terminal(proc + "/root");
    if (!terminal) return std::unexpected(terminal.error());
    stdio.parent.tty = std::move(terminal->first);
    stdio.child[0] = std::move(terminal->second);
    give(stdio.child[0].get(), spec.privileges);
  } else {
    auto made = pipes(spec.want_stdin, spec.privileges);
    if (!made) return std::unexpected(made.error());
    stdio = std::move(*made);
  }
  auto pid = fork_and_wait_for_exec([&](int) -> base::Status {
    if (spec.tty)
      take_stdio({stdio.child[0].get(), stdio.child[0].get(), stdio.child[0].get()}, true);
    else
      take_stdio({stdio.child[0].get(), stdio.child[1].get(), stdio.child[2].get()}, false);
    if (::setns(mounts.get(), CLONE_NEWNS) != 0) return base::fail_errno("enter the container");
    return become(spec);
  });
  if (!pid) return std::unexpected(pid.error());
  stdio.parent.pid = *pid;
  return std::move(stdio.parent);
}

// ---- as messages

Value to_value(const ProcessSpec& s) {
  Value argv = Value::array(), env = Value::array();
  for (auto& a : s.argv) argv.push(a);
  for (auto& [k, v] : s.env) env.push(Value::array({k, v}));
  return Value::object({{"argv", argv}, {"env", env}, {"cwd", s.cwd}, {"uid", s.privileges.uid}, {"gid", s.privileges.gid},
                        {"netAdmin", s.privileges.net_admin}, {"memory", s.memory_limit_bytes}, {"tty", s.tty}, {"stdin", s.want_stdin}, {"stdinOnce", s.stdin_once},
                        {"dropped", static_cast<int64_t>(s.privileges.dropped)}});
}

ProcessSpec process_from_value(const Value& v) {
  ProcessSpec s;
  for (auto& a : v["argv"].items()) s.argv.push_back(a.as_string());
  for (auto& e : v["env"].items()) s.env.emplace_back(e[0].as_string(), e[1].as_string());
  s.cwd = v["cwd"].as_string();
  s.privileges = {static_cast<uid_t>(v["uid"].as_int()), static_cast<gid_t>(v["gid"].as_int()), v["netAdmin"].as_bool(), static_cast<uint64_t>(v["dropped"].as_int())};
  s.memory_limit_bytes = v["memory"].as_int();
  s.tty = v["tty"].as_bool();
  s.want_stdin = v["stdin"].as_bool();
  s.stdin_once = v["stdinOnce"].as_bool();
  return s;
}

Value to_value(const RootfsSpec& s) {
  Value mounts = Value::array(), files = Value::array(), hidden = Value::array();
  for (auto& m : s.mounts) mounts.push(Value::array({m.path, m.source, m.read_only}));
  for (auto& f : s.files) files.push(Value::array({f.path, f.text, static_cast<int>(f.kind)}));
  for (auto& h : s.hidden) hidden.push(h);
  return Value::object({{"workDir", s.work_dir}, {"cwd", s.working_dir}, {"mounts", mounts}, {"files", files}, {"hidden", hidden}});
}

RootfsSpec rootfs_from_value(const Value& v) {
  RootfsSpec s;
  s.work_dir = v["workDir"].as_string();
  s.working_dir = v["cwd"].as_string();
  for (auto& m : v["mounts"].items()) s.mounts.push_back({m[0].as_string(), m[1].as_string(), m[2].as_bool()});
  for (auto& f : v["files"].items()) s.files.push_back({f[0].as_string(), f[1].as_string(), static_cast<RootfsFile::Kind>(f[2].as_int())});
  for (auto& h : v["hidden"].items()) s.hidden.push_back(h.as_string());
  return s;
}

}  // namespace fairlead::node
