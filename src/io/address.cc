#include "io/address.h"

#include <arpa/inet.h>

#include "base/strings.h"

namespace fairlead::io {

base::Result<Address> Address::parse_ip(std::string_view ip, uint16_t port) {
  if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
  std::string text(ip);
  Address out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage_);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.length_ = sizeof(sockaddr_in);
    return out;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage_);
  if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.length_ = sizeof(sockaddr_in6);
    return out;
  }
  return base::fail(base::Code::kInvalidArgument, "\"{}\" is not an IP address", ip);
}

base::Result<Address> Address::parse(std::string_view text) {
  if (text.starts_with("unix:")) return unix_path(text.substr(5));
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return base::fail(base::Code::kInvalidArgument, "\"{}\" has no port: expected IP:PORT", text);
  auto port = base::to_int(text.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535)
    return base::fail(base::Code::kInvalidArgument, "\"{}\": the port has to be a number from 0 to 65535", text);
  std::string_view host = text.substr(0, colon);
  return parse_ip(host.empty() ? "0.0.0.0" : host, static_cast<uint16_t>(*port));
}

Address Address::from_sockaddr(const sockaddr* sa, socklen_t length) {
  Address out;
  out.length_ = std::min<socklen_t>(length, sizeof out.storage_);
  // Some calls (SO_ORIGINAL_DST) leave the length as it was asked with: an address has that of its family, or two equal
  // ones would compare unequal.
  if (sa->sa_family == AF_INET) out.length_ = std::min<socklen_t>(out.length_, sizeof(sockaddr_in));
  if (sa->sa_family == AF_INET6) out.length_ = std::min<socklen_t>(out.length_, sizeof(sockaddr_in6));
  std::memcpy(&out.storage_, sa, out.length_);
  // A v4 address inside v6 is a v4 address to everyone above.
  if (out.family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(sa);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = v6->sin6_port;
      std::memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, 4);
      out.storage_ = {};
      std::memcpy(&out.storage_, &v4, sizeof v4);
      out.length_ = sizeof v4;
    }
  }
  return out;
}

Address Address::unix_path(std::string_view path) {
  Address out;
  auto* un = reinterpret_cast<sockaddr_un*>(&out.storage_);
  un->sun_family = AF_UNIX;
  size_t n = std::min(path.size(), sizeof un->sun_path - 1);
  std::memcpy(un->sun_path, path.data(), n);
  if (n && path[0] == '@') {
    un->sun_path[0] = '\0';  // abstract
    out.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + n);
  } else {
    out.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + n + 1);
  }
  return out;
}

bool Address::is_loopback() const {
  if (family() == AF_INET) return (ntohl(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr.s_addr) >> 24) == 127;
  if (family() == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr);
  return family() == AF_UNIX;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  return 0;
}

void Address::set_port(uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
}

namespace {

char* put_number(char* at, unsigned n) {
  char digits[10];
  int count = 0;
  do digits[count++] = static_cast<char>('0' + n % 10);
  while (n /= 10);
  while (count) *at++ = digits[--count];
  return at;
}

// Every connection's addresses are printed: inet_ntop goes through sprintf, 2,000 instructions for one.
char* put_v4(char* at, const sockaddr_storage& storage) {
  uint32_t ip = ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr);
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (shift < 24) *at++ = '.';
    at = put_number(at, ip >> shift & 255);
  }
  return at;
}

}  // namespace

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) return {text, put_v4(text, storage_)};
  if (family() == AF_INET6) ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, text, sizeof text);
  else if (family() == AF_UNIX && length_ > offsetof(sockaddr_un, sun_path)) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(&storage_);
    std::string path(un->sun_path, length_ - offsetof(sockaddr_un, sun_path));
    if (!path.empty() && path[0] == '\0') path[0] = '@';
    return path.c_str();
  }
  return text;
}

std::string Address::text() const {
  if (family() == AF_INET) {
    char out[INET_ADDRSTRLEN + 6];
    char* at = put_v4(out, storage_);
    *at++ = ':';
    return {out, put_number(at, port())};
  }
  if (family() == AF_INET6) return fmt::format("[{}]:{}", ip(), port());
  return ip();
}

}  // namespace fairlead::io
