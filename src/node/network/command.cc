#include "node/network/command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace fairlead::node {
namespace {

// Files in memory instead of pipes: nothing to pump, no way to block each other.
struct Running {
  pid_t pid = -1;
  io::Fd output;
  int error = 0;
};

Running launch(const std::vector<std::string>& args, std::string_view input) {
  Running r;
  io::Fd in(::memfd_create("input", MFD_CLOEXEC));
  r.output = io::Fd(::memfd_create("output", MFD_CLOEXEC));
  for (size_t done = 0; done < input.size();) {
    ssize_t n = ::write(in.get(), input.data() + done, input.size() - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  ::lseek(in.get(), 0, SEEK_SET);
  std::vector<char*> argv;
  for (auto& a : args) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  // Debian keeps iptables in /usr/sbin, which is not in an ordinary user's PATH; the lock of the old iptables would lie
  // in a folder that only root may write.
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lock[] = "XTABLES_LOCKFILE=/dev/null";
  char* env[] = {path, lock, nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, r.output.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, r.output.get(), 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  for (const char* dir : {"/usr/sbin/", "/sbin/", "/usr/local/sbin/", "/usr/bin/", "/bin/", ""}) {
    std::string program = args[0].find('/') == std::string::npos ? dir + args[0] : args[0];
    r.error = ::posix_spawn(&r.pid, program.c_str(), &actions, &attributes, argv.data(), env);
    if (r.error != ENOENT) break;
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return r;
}

CommandResult collect(Running& r) {
  CommandResult result;
  if (r.error) return {127, std::strerror(r.error)};
  int status = 0;
  while (::waitpid(r.pid, &status, 0) < 0 && errno == EINTR) {}
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  char buffer[4096];
  for (off_t at = 0;;) {
    ssize_t n = ::pread(r.output.get(), buffer, sizeof buffer, at);
    if (n <= 0) break;
    result.output.append(buffer, static_cast<size_t>(n));
    at += n;
  }
  return result;
}

}  // namespace

CommandResult run_command_blocking(const std::vector<std::string>& argv, std::string_view input) {
  Running r = launch(argv, input);
  return collect(r);
}

void run_command(io::Loop& loop, const std::vector<std::string>& argv, std::string_view input, std::function<void(CommandResult)> done) {
  auto r = std::make_shared<Running>(launch(argv, input));
  auto pidfd = std::make_shared<io::Fd>(r->error ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, r->pid, 0)));
  if (!pidfd->valid()) {
    loop.defer([r, done] { done(collect(*r)); });
    return;
  }
  auto watch = std::make_shared<std::unique_ptr<io::FdWatch>>();
  *watch = std::make_unique<io::FdWatch>(loop, pidfd->get(), EPOLLIN, [r, pidfd, watch, done](uint32_t) {
    auto ended = std::move(*watch);
    ended.reset();
    done(collect(*r));
  });
}

}  // namespace fairlead::node
