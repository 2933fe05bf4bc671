// Address: an IPv4, IPv6 or Unix socket address. Any thread; a value.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fairlead::io {

class Address {
 public:
  Address() = default;
  // "1.2.3.4", "::1" or "[::1]" with a port 0..65535.
  static base::Result<Address> parse_ip(std::string_view ip, uint16_t port);
  // "1.2.3.4:80", "[::1]:80", ":80" (any address), "unix:/path".
  static base::Result<Address> parse(std::string_view text);
  static Address from_sockaddr(const sockaddr* sa, socklen_t length);
  static Address unix_path(std::string_view path);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }
  int family() const { return storage_.ss_family; }
  bool valid() const { return length_ > 0; }
  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }
  bool is_loopback() const;
  uint16_t port() const;
  void set_port(uint16_t port);
  std::string ip() const;    // "1.2.3.4", "::1"; the path for Unix sockets
  std::string text() const;  // "1.2.3.4:80", "[::1]:80"; the path for Unix sockets
  bool operator==(const Address& other) const {
    return length_ == other.length_ && std::memcmp(&storage_, &other.storage_, length_) == 0;
  }

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

}  // namespace fairlead::io
