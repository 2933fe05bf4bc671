// XXH64 (its specification: github.com/Cyan4973/xxHash, doc/xxhash_spec.md) and MurmurHash64A.
#include <bit>
#include <cstring>

#include "proxy/upstream/balancer.h"

namespace fairlead::proxy {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87ULL, kPrime2 = 0xC2B2AE3D27D4EB4FULL, kPrime3 = 0x165667B19E3779F9ULL, kPrime4 = 0x85EBCA77C2B2AE63ULL,
                   kPrime5 = 0x27D4EB2F165667C5ULL;

uint64_t read64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;  // little-endian, as every machine this runs on
}
uint32_t read32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
uint64_t round(uint64_t accumulator, uint64_t lane) { return std::rotl(accumulator + lane * kPrime2, 31) * kPrime1; }
uint64_t merge(uint64_t accumulator, uint64_t other) { return (accumulator ^ round(0, other)) * kPrime1 + kPrime4; }

}  // namespace

uint64_t xxhash64(std::string_view bytes, uint64_t seed) {
  const char* p = bytes.data();
  const char* end = p + bytes.size();
  uint64_t h;
  if (bytes.size() >= 32) {
    uint64_t a = seed + kPrime1 + kPrime2, b = seed + kPrime2, c = seed, d = seed - kPrime1;
    for (; end - p >= 32; p += 32) {
      a = round(a, read64(p));
      b = round(b, read64(p + 8));
      c = round(c, read64(p + 16));
      d = round(d, read64(p + 24));
    }
    h = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
    h = merge(merge(merge(merge(h, a), b), c), d);
  } else {
    h = seed + kPrime5;
  }
  h += bytes.size();
  for (; end - p >= 8; p += 8) h = std::rotl(h ^ round(0, read64(p)), 27) * kPrime1 + kPrime4;
  if (end - p >= 4) {
    h = std::rotl(h ^ (read32(p) * kPrime1), 23) * kPrime2 + kPrime3;
    p += 4;
  }
  for (; p != end; ++p) h = std::rotl(h ^ (static_cast<unsigned char>(*p) * kPrime5), 11) * kPrime1;
  h ^= h >> 33;
  h *= kPrime2;
  h ^= h >> 29;
  h *= kPrime3;
  return h ^ (h >> 32);
}

uint64_t murmur64(std::string_view bytes) {
  constexpr uint64_t kMul = 0xC6A4A7935BD1E995ULL, kSeed = 0xC70F6907ULL;
  uint64_t h = kSeed ^ (bytes.size() * kMul);
  const char* p = bytes.data();
  const char* end = p + bytes.size() / 8 * 8;
  auto shift_mix = [](uint64_t v) { return v ^ (v >> 47); };
  for (; p != end; p += 8) {
    h ^= shift_mix(read64(p) * kMul) * kMul;
    h *= kMul;
  }
  if (size_t rest = bytes.size() & 7; rest) {
    uint64_t tail = 0;
    std::memcpy(&tail, p, rest);
    h ^= tail;
    h *= kMul;
  }
  h = shift_mix(h) * kMul;
  return shift_mix(h);
}

}  // namespace fairlead::proxy
