// The node's namespaces: user, mount, PID, network, IPC, UTS, with a small init as PID 1 and the node as its child.
//
// Host agent only (single-threaded: the child may run ordinary code between clone and exec).
// Root and everybody else take the same way. Root gets a user namespace too: it costs nothing that can be measured, and it makes
// "nothing on the host changes" a rule of the kernel and not of our code: capabilities inside have no power outside.
// The difference is only the id map: root's ids are mapped one to one, so that pods can have users of their own; others
// have the one id that may be mapped without newuidmap.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "io/fd.h"

namespace fairlead::node {

struct NodeProcess {
  pid_t init_pid = 0;  // PID 1 of the namespaces, as the host counts; SIGTERM is passed on to the node
  io::Fd pidfd;
};

// Runs /proc/self/exe with `args` (argv[1]...) as the node. keep[i] becomes descriptor 3 + i there; the output goes to
// log. Fails with a sentence that says what the host refuses and what to do.
base::Result<NodeProcess> start_node(bool map_all_ids, const std::vector<std::string>& args, const std::vector<int>& keep, int log);

}  // namespace fairlead::node
