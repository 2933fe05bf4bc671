#include "mesh/quantity.h"

#include <array>
#include <limits>

namespace fairlead::mesh {
namespace {

__extension__ typedef __int128 Wide;

// A quantity as mantissa * 10^exponent10 * 2^exponent2.
struct Parsed {
  bool negative = false;
  Wide digits = 0;      // saturated
  int scale = 0;            // digits after the point
  int exponent10 = 0;
  int exponent2 = 0;
  char suffix_class = 'd';  // d decimal suffix, b binary suffix, e exponent
};

constexpr Wide kLimit = static_cast<Wide>(1) << 100;

std::optional<Parsed> parse(std::string_view s) {
  Parsed p;
  size_t i = 0;
  if (i < s.size() && (s[i] == '+' || s[i] == '-')) p.negative = s[i++] == '-';
  size_t digits = 0;
  bool point = false;
  for (; i < s.size(); ++i) {
    if (s[i] == '.' && !point) {
      point = true;
    } else if (s[i] >= '0' && s[i] <= '9') {
      ++digits;
      if (point) {
        if (p.scale >= 12 || p.digits > kLimit) continue;  // beyond nano nothing counts
        ++p.scale;
      }
      if (p.digits < kLimit) p.digits = p.digits * 10 + (s[i] - '0');
    } else {
      break;
    }
  }
  if (digits == 0) return std::nullopt;
  std::string_view suffix = s.substr(i);
  constexpr std::array<std::pair<std::string_view, int>, 10> kDecimal{{
      {"n", -9}, {"u", -6}, {"m", -3}, {"", 0}, {"k", 3}, {"M", 6}, {"G", 9}, {"T", 12}, {"P", 15}, {"E", 18}}};
  constexpr std::array<std::pair<std::string_view, int>, 6> kBinary{{
      {"Ki", 10}, {"Mi", 20}, {"Gi", 30}, {"Ti", 40}, {"Pi", 50}, {"Ei", 60}}};
  for (auto [name, exponent] : kDecimal)
    if (suffix == name) return p.exponent10 = exponent, p;
  for (auto [name, exponent] : kBinary)
    if (suffix == name) return p.exponent2 = exponent, p.suffix_class = 'b', p;
  if (suffix.size() >= 2 && (suffix[0] == 'e' || suffix[0] == 'E')) {
    size_t k = 1;
    bool minus = false;
    if (suffix[k] == '+' || suffix[k] == '-') minus = suffix[k++] == '-';
    if (k == suffix.size()) return std::nullopt;
    int exponent = 0;
    for (; k < suffix.size(); ++k) {
      if (suffix[k] < '0' || suffix[k] > '9') return std::nullopt;
      if (exponent < 1000) exponent = exponent * 10 + (suffix[k] - '0');
    }
    p.exponent10 = minus ? -exponent : exponent;
    p.suffix_class = 'e';
    return p;
  }
  return std::nullopt;
}

// The amount times 10^power, rounded away from zero, saturated to int64.
int64_t scaled(const Parsed& p, int power) {
  Wide v = p.digits;
  constexpr Wide kMax = std::numeric_limits<int64_t>::max();
  int exponent = p.exponent10 - p.scale + power;
  bool overflow = false;
  for (int i = 0; i < p.exponent2 && !overflow; ++i) {
    v *= 2;
    overflow = v > kLimit * 4096;
  }
  bool remainder = false;
  for (; exponent < 0 && v != 0; ++exponent) {
    remainder = remainder || v % 10 != 0;
    v /= 10;
  }
  if (v == 0 && exponent < 0) remainder = remainder || p.digits != 0;
  for (; exponent > 0 && v != 0 && !overflow; --exponent) {
    v *= 10;
    overflow = v > kMax;
  }
  if (remainder) ++v;
  if (overflow || v > kMax) v = kMax;
  return static_cast<int64_t>(p.negative ? -v : v);
}

}  // namespace

std::optional<int64_t> quantity_milli(std::string_view text) {
  auto p = parse(text);
  return p ? std::optional(scaled(*p, 3)) : std::nullopt;
}

std::optional<int64_t> quantity_value(std::string_view text) {
  auto p = parse(text);
  return p ? std::optional(scaled(*p, 0)) : std::nullopt;
}

std::optional<std::string> quantity_canonical(std::string_view text) {
  auto p = parse(text);
  if (!p) return std::nullopt;
  if (p->suffix_class == 'e' || p->digits > kLimit / 4096) return std::string(text);
  if (p->digits == 0) return "0";
  std::string sign = p->negative ? "-" : "";
  if (p->suffix_class == 'b') {
    // Kubernetes keeps binary suffixes only for whole amounts.
    if (p->scale == 0 || scaled(*p, 3) == scaled(*p, 0) * 1000) {
      Wide v = p->negative ? -static_cast<Wide>(scaled(*p, 0)) : static_cast<Wide>(scaled(*p, 0));
      constexpr const char* kNames[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
      int k = 0;
      while (k < 6 && v % 1024 == 0) v /= 1024, ++k;
      return sign + std::to_string(static_cast<int64_t>(v)) + kNames[k];
    }
    int64_t milli = scaled(*p, 3);
    return std::to_string(milli) + "m";
  }
  // Decimal: the biggest suffix that leaves a whole number.
  Wide v = p->digits;
  int exponent = p->exponent10 - p->scale;
  while (v % 10 == 0) v /= 10, ++exponent;
  int wanted = exponent >= 0 ? exponent / 3 * 3 : -((-exponent + 2) / 3) * 3;
  if (wanted < -9) {
    wanted = -9;
    v = scaled(*p, 9);
    if (v < 0) v = -v;
    exponent = -9;
  }
  if (wanted > 18) wanted = 18;
  for (; exponent > wanted; --exponent) v *= 10;
  constexpr const char* kNames[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  return sign + std::to_string(static_cast<int64_t>(v)) + kNames[wanted / 3 + 3];
}

}  // namespace fairlead::mesh
