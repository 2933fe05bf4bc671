#include "proxy/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"

namespace fairlead::proxy {

FileWatch::FileWatch(io::Loop& loop, std::function<void()> changed) : loop_(loop), settle_(loop, std::move(changed)) {}
FileWatch::~FileWatch() = default;

void FileWatch::open() {
  if (fd_.valid()) return;
  fd_ = io::Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd_.valid()) return;
  events_ = std::make_unique<io::FdWatch>(loop_, fd_.get(), EPOLLIN, [this](uint32_t) {
    alignas(inotify_event) char buffer[4096];
    while (::read(fd_.get(), buffer, sizeof buffer) > 0) {}
    settle_.arm(std::chrono::milliseconds(50));
  });
}

void FileWatch::watch(const std::set<std::string>& files) {
  std::set<std::string> wanted;
  for (const std::string& file : files) {
    size_t slash = file.rfind('/');
    wanted.insert(slash == std::string::npos ? "." : slash == 0 ? "/" : file.substr(0, slash));
  }
  if (wanted.empty() && folders_.empty()) return;
  open();
  for (auto it = folders_.begin(); it != folders_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    ::inotify_rm_watch(fd_.get(), it->second);
    it = folders_.erase(it);
  }
  for (const std::string& folder : wanted) {
    if (folders_.contains(folder)) continue;
    int id = ::inotify_add_watch(fd_.get(), folder.c_str(), IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE);
    if (id >= 0) folders_[folder] = id;
    else FL_LOG_WARN("secrets", "{} can not be watched; changes of its files are not seen", folder);
  }
}

}  // namespace fairlead::proxy
