#include "node/network/rtnetlink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace fairlead::node {

// A request under construction: header, fixed part, attributes.
struct Rtnetlink::Request {
  alignas(nlmsghdr) char bytes[1024] = {};
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes); }

  Request(uint16_t type, uint16_t flags) {
    header()->nlmsg_len = NLMSG_LENGTH(0);
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  template <class T>
  void fixed(const T& part) {
    std::memcpy(bytes + NLMSG_ALIGN(header()->nlmsg_len), &part, sizeof part);
    header()->nlmsg_len = static_cast<uint32_t>(NLMSG_ALIGN(header()->nlmsg_len) + sizeof part);
  }
  // All attributes of one request are short names, addresses and numbers: the buffer cannot overflow.
  rtattr* attribute(uint16_t type, const void* data, size_t size) {
    uint32_t at = NLMSG_ALIGN(header()->nlmsg_len);
    auto* a = reinterpret_cast<rtattr*>(bytes + at);
    a->rta_type = type;
    a->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    if (size) std::memcpy(RTA_DATA(a), data, size);
    header()->nlmsg_len = at + static_cast<uint32_t>(RTA_ALIGN(a->rta_len));
    return a;
  }
  rtattr* text(uint16_t type, const std::string& s) { return attribute(type, s.c_str(), s.size() + 1); }
  void number(uint16_t type, uint32_t n) { attribute(type, &n, sizeof n); }
  rtattr* begin(uint16_t type) { return attribute(type, nullptr, 0); }
  void end(rtattr* nest) {
    nest->rta_len = static_cast<uint16_t>(bytes + header()->nlmsg_len - reinterpret_cast<char*>(nest));
  }
};

namespace {

struct Ip {
  int family = 0;
  unsigned char bytes[16] = {};
  size_t size = 0;
};
base::Result<Ip> parse(const std::string& text) {
  Ip ip;
  if (::inet_pton(AF_INET, text.c_str(), ip.bytes) == 1) {
    ip.family = AF_INET;
    ip.size = 4;
  } else if (::inet_pton(AF_INET6, text.c_str(), ip.bytes) == 1) {
    ip.family = AF_INET6;
    ip.size = 16;
  } else {
    return base::fail(base::Code::kInvalidArgument, "\"{}\" is no IP address", text);
  }
  return ip;
}

base::Result<uint32_t> index_of(const std::string& link) {
  uint32_t index = ::if_nametoindex(link.c_str());
  if (index == 0) return base::fail_errno("link " + link);
  return index;
}

rtmsg route_header(int family, int prefix, unsigned char scope, unsigned char type = RTN_UNICAST) {
  rtmsg m{};
  m.rtm_family = static_cast<unsigned char>(family);
  m.rtm_dst_len = static_cast<unsigned char>(prefix);
  m.rtm_table = RT_TABLE_MAIN;
  m.rtm_protocol = RTPROT_STATIC;
  m.rtm_scope = scope;
  m.rtm_type = type;
  return m;
}

}  // namespace

base::Result<Rtnetlink> Rtnetlink::open() {
  Rtnetlink r;
  r.socket_ = io::Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!r.socket_.valid()) return base::fail_errno("netlink socket");
  return r;
}

base::Status Rtnetlink::talk(Request& request, const std::string& what) {
  request.header()->nlmsg_seq = ++sequence_;
  if (::send(socket_.get(), request.bytes, request.header()->nlmsg_len, 0) < 0) return base::fail_errno(what);
  for (;;) {
    alignas(nlmsghdr) char answer[4096];
    ssize_t n = ::recv(socket_.get(), answer, sizeof answer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::fail_errno(what);
    auto* h = reinterpret_cast<nlmsghdr*>(answer);
    if (!NLMSG_OK(h, static_cast<size_t>(n)) || h->nlmsg_seq != sequence_ || h->nlmsg_type != NLMSG_ERROR) continue;
    int error = -static_cast<nlmsgerr*>(NLMSG_DATA(h))->error;
    if (error == 0) return {};
    if (error == ENODEV) return base::fail(base::Code::kNotFound, "{}: no such link", what);
    return base::fail_errno(what, error);
  }
}

base::Status Rtnetlink::link_up(const std::string& name) {
  auto index = index_of(name);
  if (!index) return std::unexpected(index.error());
  Request r(RTM_NEWLINK, 0);
  ifinfomsg m{};
  m.ifi_index = static_cast<int>(*index);
  m.ifi_flags = IFF_UP;
  m.ifi_change = IFF_UP;
  r.fixed(m);
  return talk(r, "bring up " + name);
}

base::Status Rtnetlink::link_rename(const std::string& from, const std::string& to) {
  auto index = index_of(from);
  if (!index) return std::unexpected(index.error());
  Request r(RTM_NEWLINK, 0);
  ifinfomsg m{};
  m.ifi_index = static_cast<int>(*index);
  r.fixed(m);
  r.text(IFLA_IFNAME, to);
  return talk(r, "rename " + from);
}

base::Status Rtnetlink::link_delete(const std::string& name) {
  auto index = index_of(name);
  if (!index) return base::fail(base::Code::kNotFound, "no link {}", name);
  Request r(RTM_DELLINK, 0);
  ifinfomsg m{};
  m.ifi_index = static_cast<int>(*index);
  r.fixed(m);
  return talk(r, "delete " + name);
}

base::Status Rtnetlink::add_veth(const std::string& name, const std::string& peer_name, pid_t peer_pid) {
  Request r(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  r.fixed(ifinfomsg{});
  r.text(IFLA_IFNAME, name);
  rtattr* info = r.begin(IFLA_LINKINFO);
  r.attribute(IFLA_INFO_KIND, "veth", 4);
  rtattr* data = r.begin(IFLA_INFO_DATA);
  rtattr* peer = r.begin(VETH_INFO_PEER);
  r.fixed(ifinfomsg{});
  r.text(IFLA_IFNAME, peer_name);
  r.number(IFLA_NET_NS_PID, static_cast<uint32_t>(peer_pid));
  r.end(peer);
  r.end(data);
  r.end(info);
  return talk(r, "make link " + name);
}

base::Status Rtnetlink::add_address(const std::string& link, const std::string& ip, int prefix, bool link_scope) {
  auto index = index_of(link);
  if (!index) return std::unexpected(index.error());
  auto address = parse(ip);
  if (!address) return std::unexpected(address.error());
  Request r(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  ifaddrmsg m{};
  m.ifa_family = static_cast<unsigned char>(address->family);
  m.ifa_prefixlen = static_cast<unsigned char>(prefix);
  m.ifa_scope = link_scope ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  m.ifa_index = *index;
  r.fixed(m);
  r.attribute(IFA_LOCAL, address->bytes, address->size);
  r.attribute(IFA_ADDRESS, address->bytes, address->size);
  return talk(r, "add address " + ip + " to " + link);
}

base::Status Rtnetlink::add_link_route(const std::string& ip, int prefix, const std::string& link, const std::string& source) {
  auto index = index_of(link);
  if (!index) return std::unexpected(index.error());
  auto to = parse(ip);
  if (!to) return std::unexpected(to.error());
  Request r(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  r.fixed(route_header(to->family, prefix, RT_SCOPE_LINK));
  r.attribute(RTA_DST, to->bytes, to->size);
  r.number(RTA_OIF, *index);
  if (!source.empty()) {
    auto from = parse(source);
    if (!from) return std::unexpected(from.error());
    r.attribute(RTA_PREFSRC, from->bytes, from->size);
  }
  return talk(r, "add route to " + ip + " by " + link);
}

base::Status Rtnetlink::add_default_route(const std::string& gateway, const std::string& link) {
  auto index = index_of(link);
  if (!index) return std::unexpected(index.error());
  auto by = parse(gateway);
  if (!by) return std::unexpected(by.error());
  Request r(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  r.fixed(route_header(by->family, 0, RT_SCOPE_UNIVERSE));
  r.attribute(RTA_GATEWAY, by->bytes, by->size);
  r.number(RTA_OIF, *index);
  return talk(r, "add default route by " + gateway);
}

base::Status Rtnetlink::add_mark_rule(uint32_t mark, uint32_t table) {
  Request r(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
  fib_rule_hdr m{};
  m.family = AF_INET;
  m.action = FR_ACT_TO_TBL;
  r.fixed(m);
  r.number(FRA_FWMARK, mark);
  r.number(FRA_FWMASK, mark);
  r.number(FRA_TABLE, table);
  return talk(r, "add routing rule");
}

base::Status Rtnetlink::add_local_default(uint32_t table) {
  auto index = index_of("lo");
  if (!index) return std::unexpected(index.error());
  Request r(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  rtmsg m = route_header(AF_INET, 0, RT_SCOPE_HOST, RTN_LOCAL);
  m.rtm_table = RT_TABLE_UNSPEC;
  r.fixed(m);
  r.number(RTA_TABLE, table);
  r.number(RTA_OIF, *index);
  return talk(r, "add local route");
}

base::Status write_sysctl(const std::string& path, const std::string& value) {
  std::string file = "/proc/sys/" + path;
  io::Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || ::write(fd.get(), value.data(), value.size()) < 0) return base::fail_errno("write " + file);
  return {};
}

}  // namespace fairlead::node
