// Rules as files: PATH/APP/flow_rule.json and its likes, for a folder that people edit, keep in git or mount.
//
// A document is replaced by a rename, so a reader sees the old or the new one; file and folder are on the disk before a write is
// acknowledged. Writers of this kind take turns by a lock file. Programs that know nothing of the lock are noticed by the version (what
// stat(2) tells, and a hash of the bytes), up to the moment between the last look and the rename.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "store/rules/backend.h"

namespace fairlead::store {

using base::Code;
using base::fail;

namespace {

constexpr const char* kLockFile = ".lock";
constexpr std::string_view kSuffix = ".json";
constexpr std::string_view kNewSuffix = ".json.new";
// inotify sees what this machine does. Other machines' changes of a shared folder, and what is mounted over it, are found by looking.
constexpr std::chrono::milliseconds kLook{2000};

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

// Hidden folders (.git, ..data) belong to others, so an app's name does not begin with a dot here.
bool escaped(std::string_view app, std::size_t at) { return at == 0 && app[0] == '.'; }

std::string file_of(RuleKind kind) { return std::string(to_string(kind)) + std::string(kSuffix); }
std::optional<RuleKind> kind_of(std::string_view file) {
  return file.ends_with(kSuffix) ? rule_kind(file.substr(0, file.size() - kSuffix.size())) : std::nullopt;
}

std::unexpected<base::Error> system_failure(const std::string& what, int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return fail(Code::kPermissionDenied, "{}: {}; make it writable for this user", what, strerror(error));
    case EROFS:
      return fail(Code::kPermissionDenied, "{}: the file system is read-only; mount it for writing", what);
    case ENOSPC:
    case EDQUOT:
      return fail(Code::kResourceExhausted, "{}: the disk is full; free some space and try again", what);
    case ENAMETOOLONG:
      return fail(Code::kInvalidArgument, "{}: the app's name is too long for a folder; choose a shorter one", what);
    case ENOTDIR:
      return fail(Code::kFailedPrecondition, "{}: a part of this path is no folder; move it away", what);
    case EISDIR:
      return fail(Code::kFailedPrecondition, "{}: a folder lies where a file belongs; move it away", what);
    default:
      return fail(Code::kUnavailable, "{}: {}; look after the disk, then read again", what, strerror(error));
  }
}

std::vector<std::string> names_in(const std::string& folder, int& error) {
  std::vector<std::string> names;
  error = 0;
  DIR* dir = opendir(folder.c_str());
  if (!dir) {
    error = errno;
    return names;
  }
  while (dirent* entry = readdir(dir)) names.emplace_back(entry->d_name);
  closedir(dir);
  return names;
}

// What tells two states of a file apart without reading it.
struct Look {
  ino_t inode = 0;
  std::int64_t modified_ns = 0;
  std::int64_t bytes = 0;
  bool operator==(const Look&) const = default;
};
Look look_of(const struct stat& info) {
  return {info.st_ino, static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec, info.st_size};
}

class DirectoryRuleStore final : public RuleStore {
 public:
  DirectoryRuleStore(std::string path, std::chrono::milliseconds timeout) : path_(std::move(path)), timeout_(timeout) {}
  ~DirectoryRuleStore() override {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    eventfd_write(wake_.get(), 1);
  }

  std::string name() const override { return "dir:" + path_; }
  RuleStoreHealth health() const override {
    auto health = signals_.health();
    // Looked at now: the folder may have been made read-only or writable since the last write.
    if (health.reachable && health.writable && access(path_.c_str(), W_OK) != 0)
      return {true, false, system_failure("cannot write " + path_, errno).error().message};
    return health;
  }
  base::Result<std::vector<RuleKey>> list() override;
  base::Result<RuleDocument> read(const RuleKey& key) override {
    if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
    auto document = load(key);
    if (auto there = check_root(); !there) return std::unexpected(there.error());
    return document;
  }
  base::Result<std::string> write(const RuleKey& key, std::string_view text, std::string_view expected) override {
    if (auto fine = check_size(key, text.size(), kMaxDocumentBytes, "this store"); !fine) return std::unexpected(fine.error());
    return replace(key, text, expected);
  }
  base::Status remove(const RuleKey& key, std::string_view expected) override {
    auto removed = replace(key, std::nullopt, expected);
    if (!removed) return std::unexpected(removed.error());
    return {};
  }
  base::Result<std::unique_ptr<RuleWatch>> watch(std::function<void(const std::optional<RuleKey>&)> changed) override;

 private:
  std::string folder_of(const std::string& app) const { return path_ + "/" + escape_app(app, escaped); }
  std::string path_of(const RuleKey& key) const { return folder_of(key.app) + "/" + file_of(key.kind); }

  base::Status check_root();
  base::Result<RuleDocument> load(const RuleKey& key) const;
  base::Result<Descriptor> lock() const;
  base::Result<std::string> replace(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected);
  base::Result<std::string> replace_locked(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected);
  base::Result<std::string> put(const RuleKey& key, std::string_view text) const;
  base::Status erase(const RuleKey& key) const;

  // The follower's, on its thread.
  base::Status begin_to_follow();
  void follow_app(const std::string& folder, std::set<RuleKey>& changes);
  void compare(const std::string& folder, std::set<RuleKey>& changes);
  void compare_all(std::set<RuleKey>& changes);
  bool take_events(std::set<RuleKey>& changes);
  void run(const std::stop_token& stop);

  const std::string path_;
  const std::chrono::milliseconds timeout_;
  mutable RuleSignals signals_;

  std::mutex follow_mutex_;  // guards starting the thread
  Descriptor wake_;          // an eventfd that ends the thread's wait
  Descriptor inotify_;
  int root_watch_ = -1;
  ino_t root_inode_ = 0;
  std::map<int, std::string> folders_;  // by their watch
  std::map<RuleKey, Look> seen_;
  std::jthread thread_;
};

// A folder that is gone holds no rules, but nobody removed them: an unmounted disk must not look like an empty store.
base::Status DirectoryRuleStore::check_root() {
  struct stat info {};
  base::Status status;
  if (stat(path_.c_str(), &info) != 0)
    status = fail(Code::kUnavailable, "{}: {}; mount or put back the folder of the rules", path_, strerror(errno));
  else if (!S_ISDIR(info.st_mode))
    status = fail(Code::kFailedPrecondition, "{} is no folder; name the folder of the rules", path_);
  signals_.set_readable(status.has_value(), status ? std::string() : status.error().message);
  return status;
}

base::Result<std::vector<RuleKey>> DirectoryRuleStore::list() {
  if (auto there = check_root(); !there) return std::unexpected(there.error());
  int error = 0;
  auto folders = names_in(path_, error);
  if (error) return system_failure("cannot read " + path_, error);
  std::vector<RuleKey> keys;
  for (const std::string& folder : folders) {
    auto app = folder.starts_with('.') ? std::nullopt : unescape_app(folder, escaped);
    if (!app) continue;
    for (const std::string& file : names_in(path_ + "/" + folder, error)) {
      struct stat info {};
      auto kind = kind_of(file);
      if (kind && stat((path_ + "/" + folder + "/" + file).c_str(), &info) == 0 && S_ISREG(info.st_mode)) keys.push_back({*app, *kind});
    }
    if (error && error != ENOTDIR && error != ENOENT) return system_failure("cannot read " + path_ + "/" + folder, error);
  }
  std::ranges::sort(keys);
  return keys;
}

base::Result<RuleDocument> DirectoryRuleStore::load(const RuleKey& key) const {
  const std::string path = path_of(key);
  for (int attempt = 0;; ++attempt) {
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
      if (errno == ENOENT) return RuleDocument{};
      return system_failure("cannot read " + path, errno);
    }
    struct stat before {};
    struct stat after {};
    if (fstat(file.get(), &before) != 0) return system_failure("cannot read " + path, errno);
    if (!S_ISREG(before.st_mode)) return system_failure("cannot read " + path, EISDIR);
    if (before.st_size > static_cast<off_t>(kMaxDocumentBytes))
      return fail(Code::kResourceExhausted, "{} has {} bytes, this store reads {}; make it smaller", path, before.st_size, kMaxDocumentBytes);
    RuleDocument document;
    document.text.resize(static_cast<std::size_t>(before.st_size));
    std::size_t at = 0;
    while (at < document.text.size()) {
      const ssize_t got = ::read(file.get(), document.text.data() + at, document.text.size() - at);
      if (got < 0 && errno != EINTR) return system_failure("cannot read " + path, errno);
      if (got == 0) break;
      if (got > 0) at += static_cast<std::size_t>(got);
    }
    document.text.resize(at);
    if (fstat(file.get(), &after) != 0) return system_failure("cannot read " + path, errno);
    // An editor that writes in place was seen at work: its change ends with another one of the same kind, which is told.
    if (look_of(before) != look_of(after) && attempt < 3) continue;
    const Look look = look_of(after);
    document.version = fmt::format("{:x}-{:x}-{:x}-{:016x}", look.inode, look.modified_ns, look.bytes, hash_bytes(document.text));
    return document;
  }
}

base::Result<Descriptor> DirectoryRuleStore::lock() const {
  const std::string path = path_ + "/" + kLockFile;
  const auto end = std::chrono::steady_clock::now() + timeout_;
  for (;;) {
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!file) return system_failure("cannot write " + path, errno);
    while (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return system_failure("cannot lock " + path, errno);
      if (std::chrono::steady_clock::now() >= end)
        return fail(Code::kUnavailable, "{} was held by another process for {} ms; find who keeps it open, or try again", path, timeout_.count());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    // Somebody may have removed the file that is locked now; then it locks nothing.
    struct stat here {};
    struct stat there {};
    if (fstat(file.get(), &here) == 0 && stat(path.c_str(), &there) == 0 && here.st_ino == there.st_ino && here.st_dev == there.st_dev) return file;
    if (std::chrono::steady_clock::now() >= end) return fail(Code::kUnavailable, "{} is removed again and again; find out by whom", path);
  }
}

base::Result<std::string> DirectoryRuleStore::replace(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected) {
  if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
  if (auto there = check_root(); !there) return std::unexpected(there.error());
  auto result = replace_locked(key, text, expected);
  if (result || result.error().code == Code::kConflict)
    signals_.set_writable(true);
  else if (result.error().code != Code::kInvalidArgument)
    signals_.set_writable(false, result.error().text());
  return result;
}

base::Result<std::string> DirectoryRuleStore::replace_locked(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected) {
  auto locked = lock();
  if (!locked) return std::unexpected(locked.error());
  auto stored = load(key);
  if (!stored) return std::unexpected(stored.error());
  if (stored->version != expected) return conflict(key, expected, stored->version);
  if (text) return put(key, *text);
  if (!expected.empty())
    if (auto erased = erase(key); !erased) return std::unexpected(erased.error());
  return std::string();
}

static int sync_folder(const std::string& path) {
  Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder && fsync(folder.get()) == 0 ? 0 : errno;
}

static int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put < 0 ? errno : EIO;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return 0;
}

base::Result<std::string> DirectoryRuleStore::put(const RuleKey& key, std::string_view text) const {
  const std::string folder = folder_of(key.app);
  const std::string path = path_of(key);
  if (mkdir(folder.c_str(), 0777) == 0) {
    if (int error = sync_folder(path_)) return system_failure("cannot write " + path_, error);
  } else if (errno != EEXIST) {
    return system_failure("cannot make " + folder, errno);
  }
  // One name is enough: whoever writes it holds the lock. What a killed process left is overwritten.
  const std::string fresh = folder + "/." + std::string(to_string(key.kind)) + std::string(kNewSuffix);
  Descriptor file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file) return system_failure("cannot write " + fresh, errno);
  // The clock's own nanoseconds: the kernel stamps by its tick, and inode numbers come again.
  timespec times[2] = {};
  clock_gettime(CLOCK_REALTIME, &times[0]);
  times[1] = times[0];
  int error = write_all(file.get(), text);
  if (!error && (futimens(file.get(), times) != 0 || fsync(file.get()) != 0)) error = errno;
  struct stat info {};
  if (!error && fstat(file.get(), &info) != 0) error = errno;
  if (!error && rename(fresh.c_str(), path.c_str()) != 0) error = errno;
  if (error) {
    unlink(fresh.c_str());
    return system_failure("cannot write " + path, error);
  }
  error = sync_folder(folder);
  if (error) return fail(Code::kUnavailable, "{} is written, but maybe not on the disk: {}; read it again", path, strerror(error));
  const Look look = look_of(info);
  return fmt::format("{:x}-{:x}-{:x}-{:016x}", look.inode, look.modified_ns, look.bytes, hash_bytes(text));
}

base::Status DirectoryRuleStore::erase(const RuleKey& key) const {
  const std::string path = path_of(key);
  const std::string folder = folder_of(key.app);
  if (unlink(path.c_str()) != 0) return system_failure("cannot remove " + path, errno);
  if (int error = sync_folder(folder)) return fail(Code::kUnavailable, "{} is removed, but maybe not on the disk: {}; read it again", path, strerror(error));
  rmdir(folder.c_str());  // if it was the last
  return {};
}

base::Result<std::unique_ptr<RuleWatch>> DirectoryRuleStore::watch(std::function<void(const std::optional<RuleKey>&)> changed) {
  std::lock_guard lock(follow_mutex_);
  if (!thread_.joinable()) {
    wake_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return base::fail_errno("eventfd");
    if (auto begun = begin_to_follow(); !begun) return std::unexpected(begun.error());
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  return signals_.add(std::move(changed));
}

base::Status DirectoryRuleStore::begin_to_follow() {
  if (auto there = check_root(); !there) return there;
  folders_.clear();
  seen_.clear();
  root_watch_ = -1;
  inotify_ = Descriptor(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  // Without inotify (its instances and watches are limited for each user) changes are found by looking.
  if (inotify_)
    root_watch_ = inotify_add_watch(inotify_.get(), path_.c_str(),
                                    IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
  struct stat info {};
  stat(path_.c_str(), &info);
  root_inode_ = info.st_ino;
  std::set<RuleKey> ignored;
  compare_all(ignored);
  return {};
}

// Watches first, then looks: what is written between the two is found twice, not missed.
void DirectoryRuleStore::follow_app(const std::string& folder, std::set<RuleKey>& changes) {
  if (inotify_) {
    const int watch = inotify_add_watch(inotify_.get(), (path_ + "/" + folder).c_str(),
                                        IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
    if (watch >= 0) folders_[watch] = folder;
  }
  compare(folder, changes);
}

void DirectoryRuleStore::compare(const std::string& folder, std::set<RuleKey>& changes) {
  auto app = folder.starts_with('.') ? std::nullopt : unescape_app(folder, escaped);
  if (!app) return;
  for (RuleKind kind : kRuleKinds) {
    const RuleKey key{*app, kind};
    struct stat info {};
    const bool there = stat((path_ + "/" + folder + "/" + file_of(kind)).c_str(), &info) == 0 && S_ISREG(info.st_mode);
    auto known = seen_.find(key);
    if (!there) {
      if (known == seen_.end()) continue;
      seen_.erase(known);
    } else if (known == seen_.end()) {
      seen_.emplace(key, look_of(info));
    } else if (known->second == look_of(info)) {
      continue;
    } else {
      known->second = look_of(info);
    }
    changes.insert(key);
  }
}

void DirectoryRuleStore::compare_all(std::set<RuleKey>& changes) {
  int error = 0;
  std::set<std::string> folders;
  for (const std::string& name : names_in(path_, error))
    if (!name.starts_with('.') && unescape_app(name, escaped)) folders.insert(name);
  if (error) return;
  for (const auto& [key, look] : seen_) folders.insert(escape_app(key.app, escaped));  // those that are gone too
  for (const std::string& folder : folders) follow_app(folder, changes);
}

// False: begin again.
bool DirectoryRuleStore::take_events(std::set<RuleKey>& changes) {
  alignas(inotify_event) char buffer[64 << 10];
  for (;;) {
    const ssize_t got = inotify_ ? ::read(inotify_.get(), buffer, sizeof buffer) : -1;
    if (got <= 0) return true;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if (event->mask & IN_Q_OVERFLOW) return false;
      const std::string name = event->len ? event->name : "";
      if (event->wd == root_watch_) {
        if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) return false;
        if (!name.starts_with('.') && (event->mask & (IN_CREATE | IN_MOVED_TO)))
          follow_app(name, changes);
        else
          compare(name, changes);
        continue;
      }
      auto folder = folders_.find(event->wd);
      if (folder == folders_.end()) continue;
      if (event->mask & IN_IGNORED) {
        folders_.erase(folder);
        continue;
      }
      if (name.starts_with('.') && name.ends_with(kNewSuffix)) continue;  // a write that is not done yet
      compare(folder->second, changes);
      // Also where stat(2) tells no difference: two edits in place may fall into one tick of the clock.
      auto kind = kind_of(name);
      auto app = unescape_app(folder->second, escaped);
      if (kind && app && !(event->mask & IN_CREATE)) changes.insert(RuleKey{*app, *kind});
    }
  }
}

void DirectoryRuleStore::run(const std::stop_token& stop) {
  bool lost = false;
  auto looked = std::chrono::steady_clock::now();
  while (!stop.stop_requested()) {
    pollfd wait[2] = {{wake_.get(), POLLIN, 0}, {lost ? -1 : inotify_.get(), POLLIN, 0}};
    poll(wait, 2, static_cast<int>(kLook.count() / (lost ? 4 : 1)));
    if (stop.stop_requested()) return;
    std::set<RuleKey> changes;
    if (!lost && !take_events(changes)) lost = true;
    struct stat info {};
    if (!lost && (stat(path_.c_str(), &info) != 0 || info.st_ino != root_inode_)) lost = true;
    if (lost) {
      if (!begin_to_follow()) continue;  // health tells
      lost = false;
      signals_.changed(std::nullopt);
      continue;
    }
    if (const auto now = std::chrono::steady_clock::now(); now - looked >= kLook) {
      looked = now;
      if (check_root()) compare_all(changes);
    }
    for (const RuleKey& key : changes) signals_.changed(key);
  }
}

}  // namespace

base::Result<std::unique_ptr<RuleStore>> open_directory_rules(const std::string& path, const RuleStoreOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error && !std::filesystem::is_directory(path)) return system_failure("cannot make " + path, error.value());
  return std::make_unique<DirectoryRuleStore>(path, options.operation_timeout);
}

}  // namespace fairlead::store
