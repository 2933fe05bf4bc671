#include "node/console_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "base/log.h"

namespace fairlead::node {

using namespace std::chrono_literals;

namespace {
constexpr int kListenFd = 3;  // as cmd_console.cc is told with --listen-fd
}

ConsoleProcess::ConsoleProcess(io::Loop& loop, Options options, io::Fd host_listener, std::function<void(const std::string&)> said)
    : loop_(loop), options_(std::move(options)), listener_(std::move(host_listener)), said_(std::move(said)), again_(loop, [this] { start(); }) {
  start();
}

ConsoleProcess::~ConsoleProcess() {
  on_end_.reset();
  if (pid_ > 0) ::kill(pid_, SIGTERM);
}

void ConsoleProcess::start() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return again_.arm(1s);
  output_ = io::Fd(ends[0]);
  io::Fd write(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int out = ::fcntl(write.get(), F_DUPFD_CLOEXEC, 10), listening = ::fcntl(listener_.get(), F_DUPFD_CLOEXEC, 10);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(listening, kListenFd);
    ::syscall(SYS_close_range, kListenFd + 1u, ~0u, 0u);
    ::execl(options_.executable.c_str(), "fairlead", "console", "--listen-fd", std::to_string(kListenFd).c_str(), "--listen", options_.node_address.c_str(), "--data",
            options_.data_dir.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  if (pid < 0) return again_.arm(1s);
  pid_ = pid;
  process_ = io::Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  on_output_ = std::make_unique<io::FdWatch>(loop_, output_.get(), EPOLLIN, [this](uint32_t) { read_lines(); });
  on_end_ = std::make_unique<io::FdWatch>(loop_, process_.get(), EPOLLIN, [this](uint32_t) { ended(); });
}

void ConsoleProcess::read_lines() {
  char bytes[4096];
  const ssize_t n = ::read(output_.get(), bytes, sizeof bytes);
  if (n <= 0) {
    if (n == 0 || errno != EAGAIN) on_output_.reset();  // its end is seen by the process's own descriptor
    return;
  }
  line_.append(bytes, static_cast<size_t>(n));
  for (size_t end; (end = line_.find('\n')) != std::string::npos; line_.erase(0, end + 1)) said_(line_.substr(0, end));
}

void ConsoleProcess::ended() {
  int status = 0;
  ::waitpid(pid_, &status, WNOHANG);
  FL_LOG_WARN("node", "the console ended with {}; it is started again", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  pid_ = 0;
  loop_.defer([watch = std::move(on_end_)] {});
  again_.arm(1s);
}

}  // namespace fairlead::node
