// IpAllocator: pod addresses out of 10.244.0.0/16. An address that was given back is the last to be given out again,
// since others may still remember who had it. A value; loop thread.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <set>
#include <string>

namespace fairlead::node {

class IpAllocator {
 public:
  static constexpr unsigned kFirst = 2;       // .0.1 is the node
  static constexpr unsigned kLast = 65534;

  // `wanted` when it is one of ours and free (a pod that is restarted keeps its address). Empty when all are taken.
  std::string allocate(const std::string& wanted = "") {
    if (auto n = number(wanted); n && taken_.insert(*n).second) return wanted;
    for (unsigned tried = kFirst; tried <= kLast; ++tried) {
      unsigned n = next_++;
      if (next_ > kLast) next_ = kFirst;
      if ((n & 255) == 0 || (n & 255) == 255) continue;
      if (taken_.insert(n).second) return fmt::format("10.244.{}.{}", n >> 8, n & 255);
    }
    return "";
  }
  void release(const std::string& ip) {
    if (auto n = number(ip)) taken_.erase(*n);
  }

 private:
  static std::optional<unsigned> number(const std::string& ip) {
    unsigned a = 0, b = 0;
    char rest = 0;
    if (std::sscanf(ip.c_str(), "10.244.%u.%u%c", &a, &b, &rest) != 2 || a > 255 || b > 255) return std::nullopt;
    unsigned n = a << 8 | b;
    if (n < kFirst || n > kLast) return std::nullopt;
    return n;
  }
  std::set<unsigned> taken_;
  unsigned next_ = kFirst;
};

}  // namespace fairlead::node
