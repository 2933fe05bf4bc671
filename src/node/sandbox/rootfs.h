// Rootfs: the file system that a container sees. Built in the container's own mount namespace, by its first process,
// before it gives its rights away.
//
// Layout: a tmpfs for `/`, on which /tmp, /run, /home, /root and /dev are the container's own folders; every other
// folder at the top of the host (/usr, /etc, /var ...) is an overlay with the host's as its read-only lower layer and
// a tmpfs above, so that a container may write where its image could, and the host never sees it. Reasons:
//  - One overlay over the whole of `/` is refused in a user namespace: the mounts beneath `/` are locked there and
//    the kernel does not clone a tree that would uncover what they hide.
//  - A folder with a mount of its own beneath it is refused for the same reason, and old kernels have no overlayfs in
//    user namespaces: such folders are bound read-only, and where files must be added or replaced in them (/etc/hosts,
//    /usr/local/bin/fairlead), they are composed of binds of their entries.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "node/runtime.h"

namespace fairlead::node {

struct RootfsFile {
  std::string path;        // in the container
  std::string text;        // content, or target of a link
  enum class Kind { kText, kLink, kBind } kind = Kind::kText;  // kBind: text is a path on the host
};

struct RootfsSpec {
  std::string work_dir;                 // an existing host folder of this container: two mount points are made in it
  std::vector<Mount> mounts;
  std::vector<RootfsFile> files;
  std::vector<std::string> hidden;      // host folders that must look empty (the mesh's data folder: keys)
  std::string working_dir;              // made when missing
};

// Enters the new root (pivot_root); the old one is gone afterwards. The error names the step.
base::Status enter_rootfs(const RootfsSpec& spec);

}  // namespace fairlead::node
