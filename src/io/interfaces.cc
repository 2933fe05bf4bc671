#include "io/interfaces.h"

#include <ifaddrs.h>

#include "io/address.h"

namespace fairlead::io {

std::string own_address() {
  std::string found = "127.0.0.1";
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return found;
  for (ifaddrs* i = list; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET) continue;
    Address a = Address::from_sockaddr(i->ifa_addr, sizeof(sockaddr_in));
    if (a.is_loopback()) continue;
    found = a.ip();
    break;
  }
  freeifaddrs(list);
  return found;
}

}  // namespace fairlead::io
