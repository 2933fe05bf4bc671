#include "proxy/proxy_protocol.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace fairlead::proxy {
namespace {

using V = ProxyHeader::Verdict;
constexpr std::string_view kSignature1 = "PROXY ", kSignature2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr size_t kMostV1Bytes = 107;

std::optional<io::Address> text_address(std::string_view ip, std::string_view port, int family) {
  auto number = base::to_int(port);
  if (!number || *number < 0 || *number > 65535 || (port.size() > 1 && port[0] == '0')) return std::nullopt;
  auto a = io::Address::parse_ip(ip, static_cast<uint16_t>(*number));
  if (!a || a->family() != family) return std::nullopt;
  return *a;
}

ProxyHeader version_1(std::string_view bytes) {
  ProxyHeader h{.version = 1};
  size_t end = bytes.substr(0, kMostV1Bytes).find("\r\n");
  if (end == std::string_view::npos) {
    h.verdict = bytes.size() >= kMostV1Bytes ? V::kBad : V::kNeedMore;
    return h;
  }
  h.length = end + 2;
  h.verdict = V::kFound;
  auto words = base::split(bytes.substr(kSignature1.size(), end - kSignature1.size()), ' ');
  if (words[0] == "UNKNOWN") return h;
  int family = words[0] == "TCP4" ? AF_INET : words[0] == "TCP6" ? AF_INET6 : AF_UNSPEC;
  if (family == AF_UNSPEC || words.size() != 5) {
    h.verdict = V::kBad;
    return h;
  }
  h.source = text_address(words[1], words[3], family);
  h.destination = text_address(words[2], words[4], family);
  if (!h.source || !h.destination) h.verdict = V::kBad;
  return h;
}

io::Address ipv4(const char* ip, const char* port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  std::memcpy(&a.sin_addr, ip, 4);
  std::memcpy(&a.sin_port, port, 2);
  return io::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&a), sizeof a);
}
io::Address ipv6(const char* ip, const char* port) {
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  std::memcpy(&a.sin6_addr, ip, 16);
  std::memcpy(&a.sin6_port, port, 2);
  return io::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&a), sizeof a);
}

ProxyHeader version_2(std::string_view bytes) {
  ProxyHeader h{.version = 2};
  if (bytes.size() < 16) return h;
  auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned command = byte(12) & 15u, family = byte(13);
  size_t length = static_cast<size_t>(byte(14)) << 8 | byte(15);
  // Command LOCAL may carry anything; of PROXY, only streams are expected here.
  if (byte(12) >> 4 != 2 || command > 1 || (command == 1 && family != 0 && family != 0x11 && family != 0x21 && family != 0x31) ||
      (command == 1 && ((family == 0x11 && length < 12) || (family == 0x21 && length < 36) || (family == 0x31 && length < 216)))) {
    h.verdict = V::kBad;
    return h;
  }
  if (bytes.size() < 16 + length) return h;
  h.verdict = V::kFound;
  h.length = 16 + length;
  const char* at = bytes.data() + 16;
  if (command == 1 && family == 0x11) {
    h.source = ipv4(at, at + 8);
    h.destination = ipv4(at + 4, at + 10);
  } else if (command == 1 && family == 0x21) {
    h.source = ipv6(at, at + 32);
    h.destination = ipv6(at + 16, at + 34);
  }
  size_t addresses = family == 0x11 ? 12 : family == 0x21 ? 36 : family == 0x31 ? 216 : 0;
  if (length > addresses) h.tlvs = bytes.substr(16 + addresses, length - addresses);
  return h;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  for (std::string_view signature : {kSignature1, kSignature2}) {
    if (!bytes.starts_with(signature.substr(0, bytes.size()))) continue;
    if (bytes.size() < signature.size()) return {};
    return signature == kSignature1 ? version_1(bytes) : version_2(bytes);
  }
  return {.verdict = V::kAbsent};
}

namespace {

// 16 bytes, an IPv4 address mapped.
std::string ipv6_bytes(const io::Address& a) {
  if (a.family() == AF_INET6) return {reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6*>(a.get())->sin6_addr), 16};
  return std::string(10, '\0') + "\xff\xff" + std::string(reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in*>(a.get())->sin_addr), 4);
}

std::string number16(size_t n) { return {static_cast<char>(n >> 8), static_cast<char>(n)}; }

}  // namespace

std::string write_proxy_header(int version, const io::Address& source, const io::Address& destination, std::string_view tlvs) {
  bool known = source.is_ip() && destination.is_ip();
  bool six = known && (source.family() == AF_INET6 || destination.family() == AF_INET6);
  if (version == 1) {
    if (!known) return "PROXY UNKNOWN\r\n";
    auto text = [six](const io::Address& a) { return six && a.family() == AF_INET ? "::ffff:" + a.ip() : a.ip(); };
    return fmt::format("PROXY {} {} {} {} {}\r\n", six ? "TCP6" : "TCP4", text(source), text(destination), source.port(), destination.port());
  }
  std::string out(kSignature2);
  if (!known) return out + std::string("\x20\0\0\0", 4);
  std::string addresses = six ? ipv6_bytes(source) + ipv6_bytes(destination) : ipv6_bytes(source).substr(12) + ipv6_bytes(destination).substr(12);
  addresses += number16(source.port()) + number16(destination.port());
  if (addresses.size() + tlvs.size() <= 0xffff) addresses += tlvs;
  out += '\x21';
  out += six ? '\x21' : '\x11';
  return out + number16(addresses.size()) + addresses;
}

std::string pick_tlvs(std::string_view tlvs, bool all, std::span<const uint8_t> types) {
  std::string out;
  while (tlvs.size() >= 3) {
    auto type = static_cast<uint8_t>(tlvs[0]);
    size_t size = 3 + (static_cast<size_t>(static_cast<uint8_t>(tlvs[1])) << 8 | static_cast<uint8_t>(tlvs[2]));
    if (size > tlvs.size()) break;
    if (all || std::ranges::find(types, type) != types.end()) out += tlvs.substr(0, size);
    tlvs.remove_prefix(size);
  }
  return out;
}

}  // namespace fairlead::proxy
