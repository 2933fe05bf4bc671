#include "node/sandbox/rootfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/strings.h"

namespace fairlead::node {
namespace {

using base::Status;

constexpr const char* kOwnFolders[] = {"dev", "home", "proc", "root", "run", "sys", "tmp"};
constexpr const char* kEmptyFolders[] = {"boot", "lost+found", "media", "mnt"};  // nothing in them is the image's business

bool is_one_of(std::string_view name, std::span<const char* const> list) {
  return std::any_of(list.begin(), list.end(), [&](const char* s) { return name == s; });
}

bool is_directory(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

Status make_directories(const std::string& path, mode_t mode = 0755) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at);
    std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return base::fail_errno("mkdir " + part);
    if (at != std::string::npos) ++at;
  }
  return {};
}

Status write_text(const std::string& path, const std::string& text) {
  ::unlink(path.c_str());
  io::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return base::fail_errno("create " + path);
  for (size_t done = 0; done < text.size();) {
    ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0) return base::fail_errno("write " + path);
    done += static_cast<size_t>(n);
  }
  return {};
}

Status mount_at(const char* source, const std::string& target, const char* type, unsigned long flags, const std::string& data = "") {
  if (::mount(source, target.c_str(), type, flags, data.empty() ? nullptr : data.c_str()) != 0)
    return base::fail_errno(fmt::format("mount {} on {}", type ? type : source, target));
  return {};
}

Status bind_mount(const std::string& source, const std::string& target, bool read_only, bool recursive) {
  if (auto ok = mount_at(source.c_str(), target, nullptr, MS_BIND | (recursive ? MS_REC : 0)); !ok)
    return base::fail(ok.error().code, "cannot mount {}: {}", source, ok.error().message);
  if (!read_only) return {};
  // mount_setattr keeps the flags that a user namespace has locked (nosuid, nodev ...), which a remount would have to
  // repeat one by one.
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, target.c_str(), recursive ? AT_RECURSIVE : 0, &attributes, sizeof attributes) != 0)
    return base::fail_errno("make read-only " + target);
  return {};
}

// Follows the symbolic links of the host's folders, as the container will see them: /var/run/x is /run/x.
// Folders that are the container's own have none.
std::string canonical(const std::string& path) {
  std::vector<std::string> todo, done;
  auto push = [&](std::string_view p) {
    auto parts = base::split(p, '/');
    for (auto it = parts.rbegin(); it != parts.rend(); ++it) todo.emplace_back(*it);
  };
  push(path);
  for (int links = 0; !todo.empty();) {
    std::string part = std::move(todo.back());
    todo.pop_back();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    bool own = done.empty() ? is_one_of(part, kOwnFolders) : is_one_of(done.front(), kOwnFolders);
    std::string here = "/" + base::join(done, "/") + (done.empty() ? "" : "/") + part;
    char target[4096];
    ssize_t n = own || links > 40 ? -1 : ::readlink(here.c_str(), target, sizeof target);
    // The last part is what will be mounted over or replaced, unless it leads to a folder.
    if (n > 0 && (!todo.empty() || is_directory(here))) {
      ++links;
      std::string_view to(target, static_cast<size_t>(n));
      if (to.starts_with('/')) done.clear();
      push(to);
      continue;
    }
    done.push_back(std::move(part));
  }
  return "/" + base::join(done, "/");
}

// What has to exist at a path before or after the host's folders are in place.
struct Entry {
  std::string path;  // canonical
  bool directory = false;
  const RootfsFile* file = nullptr;  // nullptr: a mount point
};

class Builder {
 public:
  explicit Builder(const RootfsSpec& spec) : spec_(spec), root_(spec.work_dir + "/rootfs"), upper_(spec.work_dir + "/upper") {}

  Status build() {
    if (auto ok = prepare(); !ok) return ok;
    if (auto ok = top_level(); !ok) return ok;
    if (auto ok = devices(); !ok) return ok;
    if (auto ok = hide(); !ok) return ok;
    for (auto& e : entries_)
      if (e.file && e.file->kind == RootfsFile::Kind::kBind)
        if (auto ok = bind_mount(e.file->text, root_ + e.path, true, e.directory); !ok) return ok;
    for (size_t i = 0; i < spec_.mounts.size(); ++i) {
      auto& m = spec_.mounts[i];
      // Mount points inside other volumes are made now: the volume hides what was made before it.
      std::string target = root_ + mount_targets_[i];
      struct stat st;
      if (::stat(target.c_str(), &st) != 0) {
        if (auto ok = make_entry(root_, {mount_targets_[i], is_directory(m.source), nullptr}); !ok) return ok;
      }
      if (auto ok = bind_mount(m.source, target, m.read_only, true); !ok) return ok;
    }
    return kernel_filesystems();
  }

  const std::string& root() const { return root_; }

 private:
  Status prepare() {
    ::mkdir(root_.c_str(), 0700);
    ::mkdir(upper_.c_str(), 0700);
    if (auto ok = mount_at("tmpfs", root_, "tmpfs", MS_NODEV | MS_NOSUID, "mode=0755"); !ok) return ok;
    if (auto ok = mount_at("tmpfs", upper_, "tmpfs", MS_NODEV | MS_NOSUID, "mode=0755"); !ok) return ok;
    for (auto* name : kOwnFolders) ::mkdir((root_ + "/" + name).c_str(), 0755);
    ::chmod((root_ + "/tmp").c_str(), 01777);
    ::mkdir((root_ + "/run/lock").c_str(), 01777);
    for (auto& f : spec_.files) entries_.push_back({canonical(f.path), f.kind == RootfsFile::Kind::kBind && is_directory(f.text), &f});
    for (auto& m : spec_.mounts) {
      mount_targets_.push_back(canonical(m.path));
      entries_.push_back({mount_targets_.back(), is_directory(m.source), nullptr});
    }
    if (!spec_.working_dir.empty() && !is_directory(spec_.working_dir)) entries_.push_back({canonical(spec_.working_dir), true, nullptr});
    return {};
  }

  // Makes the parents and the thing itself under `base`.
  static Status make_entry(const std::string& base, const Entry& e) {
    std::string full = base + e.path;
    if (auto ok = make_directories(e.directory ? full : full.substr(0, full.rfind('/'))); !ok) return ok;
    if (e.directory) return {};
    if (e.file && e.file->kind == RootfsFile::Kind::kLink) {
      ::unlink(full.c_str());
      if (::symlink(e.file->text.c_str(), full.c_str()) != 0) return base::fail_errno("link " + e.path);
      return {};
    }
    return write_text(full, e.file && e.file->kind == RootfsFile::Kind::kText ? e.file->text : "");
  }

  bool anything_below(const std::string& path) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.path.starts_with(path + "/"); });
  }

  Status top_level() {
    DIR* dir = ::opendir("/");
    if (!dir) return base::fail_errno("read /");
    std::vector<std::string> names;
    while (dirent* d = ::readdir(dir))
      if (std::string_view(d->d_name) != "." && std::string_view(d->d_name) != "..") names.emplace_back(d->d_name);
    ::closedir(dir);
    std::set<std::string> covered;
    for (auto& name : names) {
      std::string host = "/" + name, here = root_ + "/" + name;
      struct stat st;
      if (is_one_of(name, kOwnFolders) || ::lstat(host.c_str(), &st) != 0) continue;
      if (S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t n = ::readlink(host.c_str(), target, sizeof target - 1);
        if (n > 0) {
          target[n] = 0;
          if (::symlink(target, here.c_str()) != 0) return base::fail_errno("link /" + name);
        }
      } else if (S_ISDIR(st.st_mode)) {
        covered.insert(host);
        ::mkdir(here.c_str(), 0755);
        if (is_one_of(name, kEmptyFolders)) continue;
        if (auto ok = folder(host); !ok) return ok;
      }
    }
    // What lies in no folder of the host: straight onto the tmpfs.
    for (auto& e : entries_) {
      std::string top = e.path.substr(0, e.path.find('/', 1));
      if (!covered.contains(top) || is_one_of(top.substr(1), kEmptyFolders))
        if (auto ok = make_entry(root_, e); !ok) return ok;
    }
    return {};
  }

  // One folder of the host, with our entries in it.
  Status folder(const std::string& host) {
    std::string upper = upper_ + host, work = upper_ + "/.work" + base::replace_all(host, "/", "-");
    if (auto ok = make_directories(upper); !ok) return ok;
    struct stat st;
    if (::stat(host.c_str(), &st) == 0) ::chmod(upper.c_str(), st.st_mode & 07777);
    ::mkdir(work.c_str(), 0700);
    for (auto& e : entries_)
      if (e.path.starts_with(host + "/"))
        if (auto ok = make_entry(upper_, e); !ok) return ok;
    std::string layers = fmt::format("lowerdir={},upperdir={},workdir={}", host, upper, work);
    bool plain = host.find_first_of(":,\\") == std::string::npos && upper.find_first_of(":,\\") == std::string::npos;
    // userxattr is what a user namespace needs; kernels whose tmpfs has no user attributes mount with a warning.
    if (plain && (mount_at("overlay", root_ + host, "overlay", MS_NODEV | MS_NOSUID, layers + ",userxattr") ||
                  mount_at("overlay", root_ + host, "overlay", MS_NODEV | MS_NOSUID, layers)))
      return {};
    if (!anything_below(host)) return bind_mount(host, root_ + host, true, true);
    return compose(host);
  }

  // Without overlayfs: the folder's entries are bound one by one beside ours.
  Status compose(const std::string& host) {
    for (auto& e : entries_)
      if (e.path.starts_with(host + "/"))
        if (auto ok = make_entry(root_, e); !ok) return ok;
    DIR* dir = ::opendir(host.c_str());
    if (!dir) return base::fail_errno("read " + host);
    std::vector<std::string> names;
    while (dirent* d = ::readdir(dir))
      if (std::string_view(d->d_name) != "." && std::string_view(d->d_name) != "..") names.emplace_back(d->d_name);
    ::closedir(dir);
    for (auto& name : names) {
      std::string from = host + "/" + name, to = root_ + from;
      struct stat st;
      if (::lstat(from.c_str(), &st) != 0) continue;
      bool ours = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.path == from; });
      if (ours) continue;
      if (S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t n = ::readlink(from.c_str(), target, sizeof target - 1);
        if (n <= 0) continue;
        target[n] = 0;
        (void)!::symlink(target, to.c_str());
      } else if (S_ISDIR(st.st_mode)) {
        ::mkdir(to.c_str(), 0755);
        auto ok = anything_below(from) ? compose(from) : bind_mount(from, to, true, true);
        if (!ok) return ok;
      } else if (S_ISREG(st.st_mode)) {
        if (auto ok = write_text(to, ""); !ok) return ok;
        if (auto ok = bind_mount(from, to, true, false); !ok) return ok;
      }
    }
    return {};
  }

  Status devices() {
    std::string dev = root_ + "/dev";
    for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
      if (auto ok = write_text(dev + "/" + name, ""); !ok) return ok;
      if (auto ok = bind_mount(std::string("/dev/") + name, dev + "/" + name, false, false); !ok) return ok;
    }
    ::mkdir((dev + "/pts").c_str(), 0755);
    ::mkdir((dev + "/shm").c_str(), 01777);
    ::chmod((dev + "/shm").c_str(), 01777);
    if (auto ok = mount_at("devpts", dev + "/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); !ok) return ok;
    const std::pair<const char*, const char*> links[] = {{"pts/ptmx", "/ptmx"}, {"/proc/self/fd", "/fd"}, {"/proc/self/fd/0", "/stdin"},
                                                         {"/proc/self/fd/1", "/stdout"}, {"/proc/self/fd/2", "/stderr"}};
    for (auto& [target, name] : links)
      if (::symlink(target, (dev + name).c_str()) != 0) return base::fail_errno(std::string("link /dev") + name);
    return {};
  }

  Status hide() {
    for (auto& path : spec_.hidden) {
      std::string here = root_ + canonical(path);
      if (!is_directory(here)) continue;
      if (auto ok = mount_at("tmpfs", here, "tmpfs", MS_NODEV | MS_NOSUID | MS_RDONLY, "size=4k,mode=0755"); !ok) return ok;
    }
    return {};
  }

  // /proc of this PID namespace with its switches read-only: as root, some of them would be the host's.
  Status kernel_filesystems() {
    std::string proc = root_ + "/proc";
    if (auto ok = mount_at("proc", proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC); !ok) return ok;
    for (const char* name : {"/sys", "/sysrq-trigger", "/irq", "/bus", "/fs"}) {
      std::string path = proc + name;
      if (::access(path.c_str(), F_OK) != 0) continue;
      if (auto ok = bind_mount(path, path, true, true); !ok) return ok;
    }
    for (const char* name : {"/kcore", "/keys", "/timer_list", "/latency_stats", "/sched_debug"})
      if (::access((proc + name).c_str(), F_OK) == 0) (void)bind_mount("/dev/null", proc + name, false, false);
    // Best effort: tools read /sys/class/net; nothing of ours needs it.
    (void)mount_at("sysfs", root_ + "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY);
    return {};
  }

  const RootfsSpec& spec_;
  std::string root_, upper_;
  std::vector<Entry> entries_;
  std::vector<std::string> mount_targets_;
};

}  // namespace

base::Status enter_rootfs(const RootfsSpec& spec) {
  ::umask(0022);
  Builder builder(spec);
  if (auto ok = builder.build(); !ok) return ok;
  if (::chdir(builder.root().c_str()) != 0) return base::fail_errno("chdir to the new root");
  // The old root is stacked on the new one and then taken off (pivot_root(2), "pivot_root(., .)").
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return base::fail_errno("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return base::fail_errno("leave the old root");
  if (::chdir("/") != 0) return base::fail_errno("chdir /");
  return {};
}

}  // namespace fairlead::node
