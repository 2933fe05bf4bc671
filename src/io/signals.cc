#include "io/signals.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace fairlead::io {

namespace {

Fd block(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return Fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

}  // namespace

SignalWatch::SignalWatch(Loop& loop, std::initializer_list<int> signals, Callback callback)
    : fd_(block(signals)), watch_(loop, fd_.get(), EPOLLIN, [fd = fd_.get(), callback = std::move(callback)](uint32_t) {
        signalfd_siginfo info;
        while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) callback(static_cast<int>(info.ssi_signo));
      }) {}

}  // namespace fairlead::io
