#include "node/agent/node_namespaces.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

namespace fairlead::node {
namespace {

base::Status write_file(const std::string& path, const std::string& text) {
  io::Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return base::fail_errno("write " + path);
  return {};
}

// Every id that this process has, to itself.
std::string identity_map(const char* file) {
  std::ifstream in(file);
  std::string out;
  unsigned long inside, outside, count;
  while (in >> inside >> outside >> count) out += std::to_string(inside) + " " + std::to_string(inside) + " " + std::to_string(count) + "\n";
  return out;
}

volatile pid_t node_pid = 0;
extern "C" void pass_on(int signal) {
  if (node_pid > 0) ::kill(node_pid, signal);
}

// PID 1: nothing but reaping, and passing SIGTERM on. When the node ends, so does everything.
[[noreturn]] void run_init() {
  struct sigaction action {};
  action.sa_handler = pass_on;
  for (int s : {SIGTERM, SIGINT, SIGHUP}) ::sigaction(s, &action, nullptr);
  for (;;) {
    int status;
    pid_t pid = ::waitpid(-1, &status, 0);
    if (pid == node_pid) ::_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    if (pid < 0 && errno == ECHILD) ::_exit(1);
  }
}

base::Status prepare_inside() {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return base::fail_errno("take id 0");
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0)
    return base::fail_errno("the host gives no rights in new user namespaces (AppArmor's kernel.apparmor_restrict_unprivileged_userns=1 does that; "
                            "try: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root); mount");
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return base::fail_errno("cannot mount /proc in a namespace (inside a container, it needs an unmasked /proc: docker run --security-opt systempaths=unconfined); mount");
  (void)::sethostname("fairlead", 8);
  return {};
}

}  // namespace

base::Result<NodeProcess> start_node(bool map_all_ids, const std::vector<std::string>& args, const std::vector<int>& keep, int log) {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  int go[2], report[2];
  if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(report, O_CLOEXEC) != 0) return base::fail_errno("pipe");
  io::Fd go_read(go[0]), go_write(go[1]), report_read(report[0]), report_write(report[1]);
  int pidfd = -1;
  clone_args clone{};
  clone.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD;
  clone.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  clone.exit_signal = SIGCHLD;
  long pid = ::syscall(SYS_clone3, &clone, sizeof clone);
  if (pid < 0) {
    int error = errno;
    if (error == EPERM || error == EACCES)
      return base::fail(base::Code::kFailedPrecondition,
                        "this host does not let {} make user namespaces. Try: sudo sysctl kernel.unprivileged_userns_clone=1 (Debian), or run fairlead up as root",
                        uid == 0 ? "root" : "ordinary users");
    if (error == ENOSPC || error == EUSERS)
      return base::fail(base::Code::kFailedPrecondition, "this host allows no more user namespaces. Try: sudo sysctl user.max_user_namespaces=15000 user.max_net_namespaces=15000");
    return base::fail_errno("make the node's namespaces", error);
  }
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    go_write.reset();
    char byte;
    if (::read(go_read.get(), &byte, 1) != 1) ::_exit(1);  // the agent died, or could not map the ids
    auto complain = [&](const std::string& text) {
      (void)!::write(report_write.get(), text.data(), text.size());
      ::_exit(1);
    };
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (auto ok = prepare_inside(); !ok) complain(ok.error().message);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // taking ids had cleared it
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    pid_t node = ::fork();
    if (node < 0) complain(base::fail_errno("fork").error().message);
    if (node == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      std::vector<int> high;
      for (int fd : keep) high.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, 100));
      int high_log = ::fcntl(log, F_DUPFD_CLOEXEC, 100), high_report = ::fcntl(report_write.get(), F_DUPFD_CLOEXEC, 100);
      ::dup2(null, 0);
      ::dup2(high_log, 1);
      ::dup2(high_log, 2);
      for (size_t i = 0; i < high.size(); ++i) ::dup2(high[i], 3 + static_cast<int>(i));
      ::syscall(SYS_close_range, 3u + static_cast<unsigned>(keep.size()), 99u, 0u);
      ::setsid();
      std::vector<char*> argv{const_cast<char*>("fairlead")};
      for (auto& a : args) argv.push_back(const_cast<char*>(a.c_str()));
      argv.push_back(nullptr);
      ::execv("/proc/self/exe", argv.data());
      std::string text = base::fail_errno("exec fairlead").error().message;
      (void)!::write(high_report, text.data(), text.size());
      ::_exit(127);
    }
    node_pid = node;
    ::prctl(PR_SET_NAME, "fairlead-init");
    for (int fd = 0; fd < 3; ++fd) ::dup2(::open("/dev/null", O_RDWR | O_CLOEXEC), fd);
    ::syscall(SYS_close_range, 3u, ~0u, 0u);
    run_init();
  }
  NodeProcess node{static_cast<pid_t>(pid), io::Fd(pidfd)};
  go_read.reset();
  report_write.reset();
  std::string proc = "/proc/" + std::to_string(pid);
  base::Status mapped;
  if (map_all_ids) {
    mapped = write_file(proc + "/uid_map", identity_map("/proc/self/uid_map"));
    if (mapped) mapped = write_file(proc + "/gid_map", identity_map("/proc/self/gid_map"));
  } else {
    // setgroups must be given up before an ordinary user may map a group (user_namespaces(7)).
    mapped = write_file(proc + "/setgroups", "deny");
    if (mapped) mapped = write_file(proc + "/uid_map", "0 " + std::to_string(uid) + " 1\n");
    if (mapped) mapped = write_file(proc + "/gid_map", "0 " + std::to_string(gid) + " 1\n");
  }
  if (mapped) (void)!::write(go_write.get(), "g", 1);
  go_write.reset();
  std::string problem;
  char buffer[1024];
  for (ssize_t n; (n = ::read(report_read.get(), buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) problem.append(buffer, static_cast<size_t>(n));
  if (mapped && problem.empty()) return node;
  ::kill(node.init_pid, SIGKILL);
  ::waitpid(node.init_pid, nullptr, 0);
  if (!mapped) return base::fail(base::Code::kFailedPrecondition, "cannot map ids into a user namespace: {}", mapped.error().message);
  return base::fail(base::Code::kFailedPrecondition, "{}", problem);
}

}  // namespace fairlead::node
