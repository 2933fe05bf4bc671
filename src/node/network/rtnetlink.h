// The few rtnetlink requests that the node needs (rtnetlink(7)), without libraries and without running `ip`.
//
// Each function is one blocking round trip to the kernel (tens of microseconds) in the caller's network namespace.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "io/fd.h"

namespace fairlead::node {

class Rtnetlink {
 public:
  static base::Result<Rtnetlink> open();

  base::Status link_up(const std::string& name);
  base::Status link_rename(const std::string& from, const std::string& to);
  base::Status link_delete(const std::string& name);  // NotFound when there is none
  // A veth pair: `name` here, `peer_name` in the network namespace of process `peer_pid`.
  base::Status add_veth(const std::string& name, const std::string& peer_name, pid_t peer_pid);
  // ip is IPv4 or IPv6; an address that is there already is fine. link_scope: not chosen as a source address.
  base::Status add_address(const std::string& link, const std::string& ip, int prefix, bool link_scope = false);
  // ip/prefix by the link itself; source: preferred source address, "" none.
  base::Status add_link_route(const std::string& ip, int prefix, const std::string& link, const std::string& source = "");
  base::Status add_default_route(const std::string& gateway, const std::string& link);
  // TPROXY's delivery: packets with `mark` look up `table`, in which everything is local.
  base::Status add_mark_rule(uint32_t mark, uint32_t table);
  base::Status add_local_default(uint32_t table);

 private:
  struct Request;
  base::Status talk(Request& request, const std::string& what);
  io::Fd socket_;
  uint32_t sequence_ = 0;
};

// Writes a value under /proc/sys ("net/ipv4/ip_forward").
base::Status write_sysctl(const std::string& path, const std::string& value);

}  // namespace fairlead::node
