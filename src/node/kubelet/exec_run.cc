#include "node/kubelet/exec_run.h"

#include <fcntl.h>

#include <array>
#include <memory>

namespace fairlead::node {
namespace {

constexpr size_t kMaxOutput = 10 * 1024;

// Kept alive by the callbacks of its own watches and by the sandbox's; let go when the process has ended.
struct Run : std::enable_shared_from_this<Run> {
  Run(io::Loop& l, std::function<void(base::Result<std::pair<int, std::string>>)> d) : loop(l), done(std::move(d)) {}
  io::Loop& loop;
  std::function<void(base::Result<std::pair<int, std::string>>)> done;
  std::string output;
  Sandbox::ExecHandles handles;
  std::unique_ptr<io::FdWatch> watches[2];

  void drain(int fd) {
    std::array<char, 4096> buffer;
    ssize_t n;
    while ((n = ::read(fd, buffer.data(), buffer.size())) > 0)
      if (output.size() < kMaxOutput) output.append(buffer.data(), std::min(static_cast<size_t>(n), kMaxOutput - output.size()));
  }
  void attach(int index, const io::Fd& fd) {
    if (!fd.valid()) return;
    ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    watches[index] = std::make_unique<io::FdWatch>(loop, fd.get(), EPOLLIN | EPOLLET, [this, raw = fd.get()](uint32_t) { drain(raw); });
  }
  void finish(base::Result<int> code) {
    for (auto* fd : {&handles.stdout_read, &handles.stderr_read})
      if (fd->valid()) drain(fd->get());
    for (auto& w : watches) w.reset();
    if (auto d = std::exchange(done, nullptr)) {
      if (code)
        d(std::pair(*code, std::move(output)));
      else
        d(std::unexpected(code.error()));
    }
  }
};

}  // namespace

void exec_to_end(io::Loop& loop, Sandbox& sandbox, const std::string& container, const std::vector<std::string>& command,
                 std::function<void(base::Result<std::pair<int, std::string>>)> done) {
  auto run = std::make_shared<Run>(loop, std::move(done));
  sandbox.exec(
      container, command, false, false,
      [run](base::Result<Sandbox::ExecHandles> handles) {
        if (!handles) return run->finish(std::unexpected(handles.error()));
        run->handles = std::move(*handles);
        run->handles.stdin_write.reset();
        run->attach(0, run->handles.stdout_read);
        run->attach(1, run->handles.stderr_read);
      },
      [run](Exit exit) { run->finish(exit.code); });
}

}  // namespace fairlead::node
