#include "proxy/file_config.h"

#include <sys/inotify.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/value.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/config/document.h"

namespace fairlead::proxy {

using base::Code;

namespace {

// Resources have their name in field 1, whatever their type.
template <class T>
std::string name_as(const std::string& bytes) {
  T m;
  if (!m.ParseFromString(bytes)) return {};
  if constexpr (requires { m.cluster_name(); }) return m.cluster_name();
  else return m.name();
}

std::string name_of(std::string_view type_url, const std::string& bytes) {
  if (type_url.ends_with(".Cluster")) return name_as<envoy::config::cluster::v3::Cluster>(bytes);
  if (type_url.ends_with(".ClusterLoadAssignment")) return name_as<envoy::config::endpoint::v3::ClusterLoadAssignment>(bytes);
  if (type_url.ends_with(".Listener")) return name_as<envoy::config::listener::v3::Listener>(bytes);
  return name_as<envoy::config::route::v3::RouteConfiguration>(bytes);
}

}  // namespace

base::Result<xds::ReceivedUpdate> read_config_file(const std::string& path, std::string_view type_url) {
  auto text = base::read_file(path);
  if (!text) return std::unexpected(text.error());
  (void)load_bootstrap("{}", path);  // the types that stand inside Any
  auto parsed = base::parse_yaml(*text, path);
  if (!parsed) return std::unexpected(parsed.error());
  if (parsed->size() != 1 || !(*parsed)[0].is_object()) return base::fail(Code::kInvalidArgument, "{}: one object with `resources` is expected", path);
  envoy::service::discovery::v3::DiscoveryResponse response;
  if (auto problems = to_message((*parsed)[0], response); !problems.empty()) return base::fail(Code::kInvalidArgument, "{}", to_text(problems, path));
  xds::ReceivedUpdate update;
  update.type_url = type_url;
  update.version = response.version_info();
  update.complete = true;
  for (int i = 0; i < response.resources_size(); ++i) {
    const auto& any = response.resources(i);
    if (any.type_url() != type_url) return base::fail(Code::kInvalidArgument, "{}: resources[{}]: {} is expected, this is {}", path, i, type_url, any.type_url());
    update.changed.push_back({name_of(type_url, any.value()), update.version, any.value()});
  }
  return update;
}

FileWatcher::FileWatcher(io::Loop& loop) : loop_(loop), inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (inotify_.valid()) events_ = std::make_unique<io::FdWatch>(loop_, inotify_.get(), EPOLLIN, [this](uint32_t) { read_events(); });
}

FileWatcher::~FileWatcher() = default;

base::Status FileWatcher::watch(const std::string& path, std::function<void()> moved_in) {
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  int wd = inotify_.valid() ? ::inotify_add_watch(inotify_.get(), folder.c_str(), IN_MOVED_TO) : -1;
  if (wd < 0) return base::fail(Code::kNotFound, "{} can't be watched: {}", folder, std::strerror(errno));
  folders_[wd].path = folder;
  folders_[wd].files[name] = std::move(moved_in);
  return {};
}

void FileWatcher::forget(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  for (auto at = folders_.begin(); at != folders_.end(); ++at) {
    if (at->second.path != folder) continue;
    at->second.files.erase(slash == std::string::npos ? path : path.substr(slash + 1));
    if (at->second.files.empty()) {
      ::inotify_rm_watch(inotify_.get(), at->first);
      folders_.erase(at);
    }
    return;
  }
}

void FileWatcher::read_events() {
  alignas(inotify_event) char buffer[4096];
  std::vector<std::function<void()>> due;
  for (ssize_t n; (n = ::read(inotify_.get(), buffer, sizeof buffer)) > 0;) {
    for (char* p = buffer; p < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(p);
      p += sizeof(inotify_event) + event->len;
      auto folder = folders_.find(event->wd);
      if (folder == folders_.end()) continue;
      // A folder of links that is swapped as a whole (a mounted ConfigMap: "..data") replaces every file in it.
      bool all = event->len && std::string_view(event->name) == "..data";
      for (auto& [name, moved_in] : folder->second.files)
        if (all || (event->len && name == event->name)) due.push_back(moved_in);
    }
  }
  for (auto& moved_in : due) moved_in();
}

}  // namespace fairlead::proxy
