// The writer of log lines: one thread, so that neither workers nor the main thread wait for a disk or a pipe.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "proxy/log/access_log.h"

namespace fairlead::proxy {

void LogBuffer::flush() {
  if (empty()) return;
  std::map<std::string, std::string> batch;
  for (auto& [path, text] : pending_)
    if (!text.empty()) batch[path] = std::exchange(text, {});
  flush_(std::move(batch));
}

bool LogBuffer::empty() const { return bytes() == 0; }

size_t LogBuffer::bytes() const {
  size_t n = 0;
  for (const auto& [path, text] : pending_) n += text.size();
  return n;
}

LogFiles::~LogFiles() {
  if (writer_.joinable()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::seconds(1), [this] { return waiting_bytes_ == 0 && figures_.total_buffered == 0; });
      giving_up_ = true;
    }
    writer_.request_stop();
    writer_.join();
  }
  for (auto& [path, file] : files_)
    if (file.fd > STDERR_FILENO) ::close(file.fd);
}

void LogFiles::write(std::map<std::string, std::string> lines) {
  std::lock_guard lock(mutex_);
  for (auto& [path, text] : lines) {
    if (waiting_bytes_ + text.size() > kMostWaiting) {
      figures_.dropped_bytes += text.size();
      continue;
    }
    waiting_bytes_ += text.size();
    figures_.total_buffered += text.size();
    ++figures_.write_buffered;
    std::string& queue = waiting_[path];
    if (queue.empty()) queue = std::move(text);
    else queue += text;
  }
  if (!writer_.joinable()) writer_ = std::jthread([this](std::stop_token stop) { run(stop); });
  changed_.notify_all();
}

void LogFiles::reopen() {
  std::lock_guard lock(mutex_);
  reopen_ = true;
  changed_.notify_all();
}

LogFiles::Figures LogFiles::figures() const {
  std::lock_guard lock(mutex_);
  return figures_;
}

LogFiles::File LogFiles::open(const std::string& path) {
  File file;
  file.fd = path == "/dev/stdout"   ? STDOUT_FILENO
            : path == "/dev/stderr" ? STDERR_FILENO
                                    : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  struct stat status;
  file.regular = file.fd >= 0 && ::fstat(file.fd, &status) == 0 && S_ISREG(status.st_mode);
  return file;
}

// A full disk or a closed pipe costs log lines, nothing else. Polls, so that a reader that never reads can't keep the
// process from ending.
bool LogFiles::write_all(const File& file, std::string_view text) {
  while (!text.empty()) {
    size_t most = text.size();
    if (!file.regular) {
      pollfd writable{file.fd, POLLOUT, 0};
      if (::poll(&writable, 1, 200) == 0) {
        std::lock_guard lock(mutex_);
        if (giving_up_) return false;
        continue;
      }
      // No more than a pipe takes at once when it says that it can be written: a blocking descriptor does not block then.
      most = std::min<size_t>(most, PIPE_BUF);
    }
    ssize_t n = ::write(file.fd, text.data(), most);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void LogFiles::run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "log-writer");
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return reopen_ || !waiting_.empty(); })) {
    if (std::exchange(reopen_, false)) {
      for (auto& [path, file] : files_) {
        File fresh = open(path);
        if (fresh.fd < 0) ++figures_.reopen_failed;  // the old file goes on
        else if (int old = std::exchange(file, fresh).fd; old > STDERR_FILENO) ::close(old);
      }
    }
    auto batch = std::exchange(waiting_, {});
    waiting_bytes_ = 0;
    lock.unlock();
    uint64_t completed = 0, failed = 0, bytes = 0;
    for (auto& [path, text] : batch) {
      auto at = files_.find(path);
      if (at == files_.end() || at->second.fd < 0) at = files_.insert_or_assign(path, open(path)).first;
      ++(at->second.fd >= 0 && write_all(at->second, text) ? completed : failed);
      bytes += text.size();
    }
    lock.lock();
    figures_.write_completed += completed;
    figures_.write_failed += failed;
    figures_.total_buffered -= bytes;
    changed_.notify_all();
  }
}

}  // namespace fairlead::proxy
