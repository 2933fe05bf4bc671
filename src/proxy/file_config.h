// Configuration by file (path_config_source): a DiscoveryResponse in YAML or JSON, read again whenever a new file is
// moved into its place. Main thread; owned by the ConfigManager.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "io/fd.h"
#include "io/loop.h"
#include "xds/client.h"

namespace fairlead::proxy {

// The resources of a file, all of one type. Errors name the file, the line and the field.
base::Result<xds::ReceivedUpdate> read_config_file(const std::string& path, std::string_view type_url);

// Tells when a file is replaced by a rename. Watches its folder, so that the file may come and go.
class FileWatcher {
 public:
  explicit FileWatcher(io::Loop& loop);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  base::Status watch(const std::string& path, std::function<void()> moved_in);  // one for each path
  void forget(const std::string& path);

 private:
  void read_events();
  io::Loop& loop_;
  io::Fd inotify_;
  std::unique_ptr<io::FdWatch> events_;
  struct Folder {
    std::string path;
    std::map<std::string, std::function<void()>> files;
  };
  std::map<int, Folder> folders_;  // by watch descriptor
};

}  // namespace fairlead::proxy
