// Resolver: asynchronous DNS on c-ares. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/address.h"
#include "io/loop.h"

namespace fairlead::io {

class Resolver {
 public:
  struct Answer {
    std::vector<Address> addresses;  // port 0
    std::chrono::seconds ttl{5};
  };
  using Callback = std::function<void(base::Result<Answer>)>;

  virtual ~Resolver() = default;
  // family: AF_INET, AF_INET6 or AF_UNSPEC (IPv4 first). Runs the callback once, never inside this call, not after
  // the resolver is gone. Search domains of /etc/resolv.conf apply to names with few dots, as for getaddrinfo.
  virtual void resolve(const std::string& name, int family, Callback done) = 0;
};

// servers: "1.2.3.4:53,..." or "" for /etc/resolv.conf.
std::unique_ptr<Resolver> make_resolver(Loop& loop, const std::string& servers = "");

}  // namespace fairlead::io
