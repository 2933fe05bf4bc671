// FileWatch: says when one of some files may have changed. Their folders are watched, because files that matter are
// moved into place (and Kubernetes moves a link above them). Main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "io/fd.h"
#include "io/loop.h"

namespace fairlead::proxy {

class FileWatch {
 public:
  // changed runs a moment after the last of a burst of changes, for whatever file: the owner compares.
  FileWatch(io::Loop& loop, std::function<void()> changed);
  ~FileWatch();
  void watch(const std::set<std::string>& files);  // exactly these from now on

 private:
  void open();
  io::Fd fd_;
  io::Loop& loop_;
  io::Timer settle_;
  std::unique_ptr<io::FdWatch> events_;
  std::map<std::string, int> folders_;
};

}  // namespace fairlead::proxy
