// What a container's process may do: capabilities, ids, no_new_privs. Called in the forked child, before exec.
#pragma once

#include <sys/types.h>

#include "base/result.h"

namespace fairlead::node {

struct Privileges {
  uid_t uid = 0;          // in the node's user namespace
  gid_t gid = 0;
  bool net_admin = false; // NET_ADMIN and NET_RAW in the pod's network, also when uid is not 0
};

// True when `id` stands in the map file (/proc/self/uid_map or gid_map) of this process.
bool id_is_mapped(const char* map_file, int64_t id);

// Gives away all but what a container usually has (the set that container engines leave), takes the ids, sets
// no_new_privs. Irreversible.
base::Status drop_privileges(const Privileges& p);

}  // namespace fairlead::node
