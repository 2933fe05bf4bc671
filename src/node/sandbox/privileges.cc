#include "node/sandbox/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <initializer_list>
#include <string_view>

namespace fairlead::node {
namespace {

constexpr uint64_t bits(std::initializer_list<int> capabilities) {
  uint64_t mask = 0;
  for (int c : capabilities) mask |= uint64_t{1} << c;
  return mask;
}

constexpr uint64_t kUsual = bits({CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
                                  CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT});
constexpr uint64_t kNetAdmin = bits({CAP_NET_ADMIN, CAP_NET_RAW});

base::Status set_capabilities(uint64_t mask, uint64_t inheritable) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; ++i) {
    data[i].effective = data[i].permitted = static_cast<uint32_t>(mask >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>(inheritable >> (32 * i));
  }
  if (::syscall(SYS_capset, &header, data) != 0) return base::fail_errno("capset");
  return {};
}

struct Named {
  std::string_view name;
  int number;
};
constexpr Named kNames[] = {{"CHOWN", CAP_CHOWN},   {"DAC_OVERRIDE", CAP_DAC_OVERRIDE}, {"FOWNER", CAP_FOWNER},
                            {"FSETID", CAP_FSETID}, {"KILL", CAP_KILL},                 {"SETGID", CAP_SETGID},
                            {"SETUID", CAP_SETUID}, {"SETPCAP", CAP_SETPCAP},           {"NET_BIND_SERVICE", CAP_NET_BIND_SERVICE},
                            {"NET_RAW", CAP_NET_RAW}, {"SYS_CHROOT", CAP_SYS_CHROOT}};

uint64_t bits_of(std::span<const std::string> names) {
  uint64_t mask = 0;
  for (std::string_view name : names) {
    if (name == "ALL" || name == "CAP_ALL") mask |= kUsual;
    if (name.starts_with("CAP_")) name.remove_prefix(4);
    for (const auto& known : kNames)
      if (known.name == name) mask |= uint64_t{1} << known.number;
  }
  return mask;
}

}  // namespace

uint64_t dropped_capabilities(std::span<const std::string> drop, std::span<const std::string> add) { return bits_of(drop) & ~bits_of(add); }

bool id_is_mapped(const char* map_file, int64_t id) {
  FILE* f = std::fopen(map_file, "re");
  if (!f) return false;
  long long inside, outside, count;
  bool found = false;
  while (!found && std::fscanf(f, "%lld %lld %lld", &inside, &outside, &count) == 3) found = id >= inside && id < inside + count;
  std::fclose(f);
  return found;
}

base::Status drop_privileges(const Privileges& p) {
  uint64_t keep = (kUsual & ~p.dropped) | (p.net_admin ? kNetAdmin : 0);
  for (int c = 0; c <= 63; ++c)
    if (!(keep >> c & 1) && ::prctl(PR_CAPBSET_READ, c) == 1 && ::prctl(PR_CAPBSET_DROP, c) != 0) return base::fail_errno("drop a capability");
  ::prctl(PR_SET_KEEPCAPS, 1);
  if (p.gid != 0 || p.uid != 0) {
    gid_t groups[] = {p.gid};
    (void)::setgroups(1, groups);  // refused where setgroups is denied: then there is only one group anyway
    if (::setresgid(p.gid, p.gid, p.gid) != 0) return base::fail_errno("setgid");
    if (::setresuid(p.uid, p.uid, p.uid) != 0) return base::fail_errno("setuid");
  }
  // A process that is not root loses its capabilities at exec unless they are ambient (capabilities(7)).
  uint64_t ambient = p.uid != 0 && p.net_admin ? kNetAdmin : 0;
  if (auto ok = set_capabilities(p.uid == 0 ? keep : ambient, ambient); !ok) return ok;
  for (int c = 0; c <= 63; ++c)
    if (ambient >> c & 1)
      if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) != 0) return base::fail_errno("raise a capability");
  ::prctl(PR_SET_KEEPCAPS, 0);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return base::fail_errno("no_new_privs");
  return {};
}

}  // namespace fairlead::node
