// A container's process as pod-init starts it: description, start, entering a running container.
//
// pod-init's thread only (single-threaded: the child may run ordinary code between fork and exec).
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "io/fd.h"
#include "node/sandbox/privileges.h"
#include "node/sandbox/rootfs.h"

namespace fairlead::node {

struct ProcessSpec {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;
  std::string cwd;
  Privileges privileges;
  int64_t memory_limit_bytes = 0;
  bool tty = false;
  bool want_stdin = false;
  bool stdin_once = false;  // a container's: the first to attach takes the input along when it leaves
};

base::Value to_value(const ProcessSpec& spec);
ProcessSpec process_from_value(const base::Value& v);
base::Value to_value(const RootfsSpec& spec);
RootfsSpec rootfs_from_value(const base::Value& v);

struct Started {
  pid_t pid = 0;
  io::Fd stdin_write, stdout_read, stderr_read;  // without tty
  io::Fd tty;                                    // with tty: the terminal's master
};

// Starts the first process of a container: its own mount namespace with the file system of `rootfs`.
// Returns after exec (or its failure).
base::Result<Started> start_container(const ProcessSpec& spec, const RootfsSpec& rootfs);
// Starts a process in the mount namespace of `container_pid`.
base::Result<Started> start_in_container(const ProcessSpec& spec, pid_t container_pid);

}  // namespace fairlead::node
