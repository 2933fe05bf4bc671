// What a container's process may do: capabilities, ids, no_new_privs. Called in the forked child, before exec.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace fairlead::node {

struct Privileges {
  uid_t uid = 0;          // in the node's user namespace
  gid_t gid = 0;
  bool net_admin = false; // NET_ADMIN and NET_RAW in the pod's network, also when uid is not 0
  uint64_t dropped = 0;   // capabilities of the usual set that are given away as well: bits by their kernel number
};

// What securityContext.capabilities leaves of the usual set: the bits to drop. "ALL" stands for every one; names come with or
// without "CAP_". An added one beyond the usual set is not given: it would reach the host.
uint64_t dropped_capabilities(std::span<const std::string> drop, std::span<const std::string> add);

// True when `id` stands in the map file (/proc/self/uid_map or gid_map) of this process.
bool id_is_mapped(const char* map_file, int64_t id);

// Gives away all but what a container usually has (the set that container engines leave), takes the ids, sets
// no_new_privs. Irreversible.
base::Status drop_privileges(const Privileges& p);

}  // namespace fairlead::node
