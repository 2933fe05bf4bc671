// The kubelet's answers to the API server: exec and port-forward (logs are in log_stream.cc).
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <array>
#include <csignal>

#include "node/kubelet/kubelet.h"
#include "node/kubelet/log_stream.h"

namespace fairlead::node {

using base::Code;
using base::fail;

namespace {

// One process started by exec, or a container that is attached to, and its ends of the pipes or the terminal.
class Session final : public api::ExecSession {
 public:
  Session(io::Loop& loop, api::ExecOptions options, Callbacks callbacks)
      : loop_(loop), options_(std::move(options)), callbacks_(std::move(callbacks)), linger_(loop, [this] { report(); }), alive_(std::make_shared<bool>(true)) {}

  ~Session() override {
    *alive_ = false;
    // The node shares the PID namespace above the pod's: the process can be signalled by its number here.
    if (!exited_ && handles_.pid > 0) ::kill(handles_.pid, SIGKILL);
  }

  // Over when the container's outputs end.
  void attach(Sandbox& sandbox, const std::string& container) {
    attached_ = exited_ = true;
    sandbox.attach(container, options_.stdin_open, [this, alive = alive_](base::Result<Sandbox::ExecHandles> handles) {
      if (!*alive) return;
      started(std::move(handles));
      if (open_outputs() == 0) report();
    });
  }

  void begin(Sandbox& sandbox, const std::string& container) {
    sandbox.exec(
        container, options_.command, options_.tty, options_.stdin_open,
        [this, alive = alive_](base::Result<Sandbox::ExecHandles> handles) {
          if (!*alive) return;
          started(std::move(handles));
        },
        [this, alive = alive_](Exit exit) {
          if (!*alive) return;
          exited_ = true;
          exit_code_ = exit.code;
          // What it wrote is still in the pipes; a child that keeps them open is not waited for long.
          drain_all();
          if (open_outputs() == 0)
            report();
          else
            linger_.arm(base::Millis(200));
        });
  }

  void write_stdin(std::string_view bytes) override {
    pending_ += bytes;
    flush();
  }
  void close_stdin() override {
    closing_ = true;
    flush();
  }
  // What is not read here fills the pipe and holds up whoever writes to it.
  void pause(bool paused) override {
    paused_ = paused;
    if (!paused) loop_.post([this, alive = alive_] {
      if (*alive) drain_all();
    });
  }
  void resize(uint16_t columns, uint16_t rows) override {
    columns_ = columns;
    rows_ = rows;
    if (!handles_.tty.valid()) return;
    winsize size{rows, columns, 0, 0};
    (void)::ioctl(handles_.tty.get(), TIOCSWINSZ, &size);
  }

 private:
  struct Output {
    io::Fd* fd = nullptr;
    std::function<void(std::string_view)> sink;
    std::unique_ptr<io::FdWatch> watch;
    bool open = false;
  };

  void started(base::Result<Sandbox::ExecHandles> handles) {
    if (!handles) {
      // What a shell would say, on stderr, with a shell's exit code for "cannot be run".
      std::string text = handles.error().message + "\n";
      auto& sink = options_.tty ? callbacks_.on_stdout : callbacks_.on_stderr;
      if (sink) sink(text);
      exited_ = true;
      exit_code_ = handles.error().code == Code::kNotFound ? 127 : 126;
      return report();
    }
    handles_ = std::move(*handles);
    for (auto* fd : {&handles_.stdin_write, &handles_.stdout_read, &handles_.stderr_read, &handles_.tty})
      if (fd->valid()) ::fcntl(fd->get(), F_SETFL, ::fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
    if (attached_ && options_.tty) {
      // Input goes to the terminal; its output is handed on by pod-init, which also keeps the log.
      if (columns_) resize(columns_, rows_);
      watch(outputs_[0], handles_.stdout_read, callbacks_.on_stdout, EPOLLIN);
      input_watch_ = std::make_unique<io::FdWatch>(loop_, handles_.tty.get(), EPOLLOUT | EPOLLET, [this](uint32_t) { flush(); });
    } else if (options_.tty) {
      if (columns_) resize(columns_, rows_);
      watch(outputs_[0], handles_.tty, callbacks_.on_stdout, EPOLLIN | EPOLLOUT);
    } else {
      watch(outputs_[0], handles_.stdout_read, callbacks_.on_stdout, EPOLLIN);
      watch(outputs_[1], handles_.stderr_read, callbacks_.on_stderr, EPOLLIN);
      if (handles_.stdin_write.valid()) {
        if (!options_.stdin_open)
          handles_.stdin_write.reset();
        else
          input_watch_ = std::make_unique<io::FdWatch>(loop_, handles_.stdin_write.get(), EPOLLOUT | EPOLLET, [this](uint32_t) { flush(); });
      }
    }
    flush();
  }

  void watch(Output& output, io::Fd& fd, std::function<void(std::string_view)> sink, uint32_t events) {
    if (!fd.valid()) return;
    output.fd = &fd;
    output.sink = std::move(sink);
    output.open = true;
    output.watch = std::make_unique<io::FdWatch>(loop_, fd.get(), events | EPOLLET, [this, &output](uint32_t mask) {
      if (mask & EPOLLOUT) flush();
      if (mask & ~static_cast<uint32_t>(EPOLLOUT)) drain(output);
    });
  }

  void drain(Output& output) {
    std::array<char, 16384> buffer;
    auto alive = alive_;
    while (output.open && !paused_) {
      ssize_t n = ::read(output.fd->get(), buffer.data(), buffer.size());
      if (n > 0) {
        if (output.sink) output.sink({buffer.data(), static_cast<size_t>(n)});
        if (!*alive) return;
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      // End of file; EIO on a terminal whose other side is closed.
      output.open = false;
      output.watch->set_events(0);
      if (exited_ && open_outputs() == 0) report();
      return;
    }
  }
  void drain_all() {
    auto alive = alive_;
    for (auto& output : outputs_)
      if (*alive && output.open) drain(output);
  }
  int open_outputs() const { return outputs_[0].open + outputs_[1].open; }

  void flush() {
    io::Fd& fd = options_.tty ? handles_.tty : handles_.stdin_write;
    if (!fd.valid()) return;
    while (!pending_.empty()) {
      ssize_t n = ::write(fd.get(), pending_.data(), pending_.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (n <= 0) {
        pending_.clear();
        break;
      }
      pending_.erase(0, static_cast<size_t>(n));
    }
    if (!closing_) return;
    closing_ = false;
    if (options_.tty && attached_) return;  // whoever leaves a terminal leaves it as it is
    if (options_.tty) {
      pending_ = "\x04";  // a terminal has no end of its own: what Ctrl-D sends
      flush();
    } else {
      input_watch_.reset();
      handles_.stdin_write.reset();
    }
  }

  void report() {
    if (reported_) return;
    if (paused_) return linger_.arm(base::Millis(200));  // there is more to read
    reported_ = true;
    linger_.cancel();
    loop_.post([this, alive = alive_] {
      if (*alive && callbacks_.on_exit) callbacks_.on_exit(exit_code_);
    });
  }

  io::Loop& loop_;
  const api::ExecOptions options_;
  Callbacks callbacks_;
  Sandbox::ExecHandles handles_;
  Output outputs_[2];
  std::unique_ptr<io::FdWatch> input_watch_;
  std::string pending_;
  bool closing_ = false, exited_ = false, reported_ = false, attached_ = false, paused_ = false;
  int exit_code_ = 0;
  uint16_t columns_ = 0, rows_ = 0;
  io::Timer linger_;
  std::shared_ptr<bool> alive_;
};

}  // namespace

base::Result<std::unique_ptr<api::ExecSession>> Kubelet::exec(const api::PodRef& pod, const api::ExecOptions& options, api::ExecSession::Callbacks callbacks) {
  PodWorker* w = worker(pod.ns, pod.name);
  if (!w) return fail(Code::kNotFound, "pods \"{}\" not found", pod.name);
  Container* c = w->container(pod.container);
  if (!c) return fail(Code::kNotFound, "container {} is not valid for pod {}", pod.container, pod.name);
  if (!w->sandbox() || !c->up()) return fail(Code::kFailedPrecondition, "container not found (\"{}\")", pod.container);
  auto session = std::make_unique<Session>(parts_.loop, options, std::move(callbacks));
  session->begin(*w->sandbox(), pod.container);
  return session;
}

base::Result<std::unique_ptr<api::ExecSession>> Kubelet::attach(const api::PodRef& pod, const api::ExecOptions& options, api::ExecSession::Callbacks callbacks) {
  PodWorker* w = worker(pod.ns, pod.name);
  if (!w) return fail(Code::kNotFound, "pods \"{}\" not found", pod.name);
  Container* c = w->container(pod.container);
  if (!c || !w->sandbox() || !c->up()) return fail(Code::kFailedPrecondition, "container {} not found in pod {}_{}", pod.container, pod.name, pod.ns);
  auto session = std::make_unique<Session>(parts_.loop, options, std::move(callbacks));
  session->attach(*w->sandbox(), pod.container);
  return session;
}

void Kubelet::dial(const api::PodRef& pod, uint16_t port, std::function<void(base::Result<std::unique_ptr<io::Transport>>)> done) {
  PodWorker* w = worker(pod.ns, pod.name);
  if (!w || !w->sandbox()) {
    std::string text = w ? "unable to forward port because pod is not running" : "pods \"" + pod.name + "\" not found";
    parts_.loop.post([done = std::move(done), text] { done(fail(Code::kNotFound, "{}", text)); });
    return;
  }
  auto address = io::Address::parse_ip("127.0.0.1", port);
  w->sandbox()->dial(*address, [&loop = parts_.loop, done = std::move(done)](base::Result<io::Fd> fd) {
    if (!fd) return done(std::unexpected(fd.error()));
    done(io::make_socket_transport(loop, std::move(*fd)));
  });
}

base::Result<std::unique_ptr<api::LogStream>> Kubelet::logs(const api::PodRef& pod, const api::LogOptions& options, api::LogSink sink) {
  PodWorker* w = worker(pod.ns, pod.name);
  if (!w) return fail(Code::kNotFound, "pods \"{}\" not found", pod.name);
  Container* c = w->container(pod.container);
  if (!c) return fail(Code::kInvalidArgument, "container {} is not valid for pod {}", pod.container, pod.name);
  int64_t life = c->log_life();
  if (options.previous) {
    // In back-off the life that just ended is the previous one and the current one at once, as in Kubernetes.
    const bool backing_off = c->state() == ContainerState::kBackOff;
    if (c->restarts() == 0 && !backing_off)
      return fail(Code::kInvalidArgument, "previous terminated container \"{}\" in pod \"{}\" not found", pod.container, pod.name);
    if (!backing_off) life -= 1;
  } else if (!c->ever_ran()) {
    std::string reason = c->waiting_reason().empty() ? "ContainerCreating" : c->waiting_reason();
    return fail(Code::kInvalidArgument, "container \"{}\" in pod \"{}\" is waiting to start: {}", pod.container, pod.name, reason);
  }
  std::string path = w->log_directory() + "/" + pod.container + "/" + std::to_string(life) + ".log";
  bool live = options.follow && !options.previous && c->up();
  return open_log_stream(parts_.loop, path, options, std::move(sink), live ? w : nullptr, pod.container);
}

}  // namespace fairlead::node
