#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace fairlead::base {
namespace {

Result<std::string> read_all(int fd, const std::string& path) {
  std::string out;
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) out.append(buffer, static_cast<size_t>(n));
    else if (n == 0) return out;
    else if (errno != EINTR) return fail_errno("read " + path);
  }
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open " + path);
  auto out = read_all(fd, path);
  ::close(fd);
  return out;
}

Result<std::string> read_input(const std::string& path) { return path == "-" ? read_all(STDIN_FILENO, "standard input") : read_file(path); }

}  // namespace fairlead::base
