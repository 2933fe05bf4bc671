#include "base/time.h"

#include <fmt/chrono.h>

#include <charconv>
#include <cmath>
#include <cstdio>

namespace fairlead::base {

std::optional<Nanos> parse_duration(std::string_view s) {
  if (s.empty()) return std::nullopt;
  bool negative = s[0] == '-';
  if (s[0] == '-' || s[0] == '+') s.remove_prefix(1);
  if (s == "0") return Nanos(0);
  if (s.empty()) return std::nullopt;
  long double total = 0;
  while (!s.empty()) {
    size_t digits = s.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    double number = 0;
    std::string_view text = s.substr(0, digits);
    auto [end, ec] = std::from_chars(text.begin(), text.end(), number);
    if (ec != std::errc() || end != text.end()) return std::nullopt;
    s.remove_prefix(digits);
    size_t unit_length = s.find_first_of("0123456789.");
    std::string_view unit = s.substr(0, unit_length);
    long double scale;
    if (unit == "ns") scale = 1;
    else if (unit == "us" || unit == "\xc2\xb5s" || unit == "\xce\xbcs") scale = 1e3L;
    else if (unit == "ms") scale = 1e6L;
    else if (unit == "s") scale = 1e9L;
    else if (unit == "m") scale = 60e9L;
    else if (unit == "h") scale = 3600e9L;
    else return std::nullopt;
    total += static_cast<long double>(number) * scale;
    if (total > 9.2e18L) return std::nullopt;
    s.remove_prefix(unit.size());
  }
  int64_t n = std::llround(total);
  return Nanos(negative ? -n : n);
}

std::string format_duration(Nanos duration) {
  int64_t n = duration.count();
  if (n == 0) return "0s";
  std::string sign = n < 0 ? "-" : "";
  uint64_t u = n < 0 ? static_cast<uint64_t>(-(n + 1)) + 1 : static_cast<uint64_t>(n);
  auto fraction = [](uint64_t value, uint64_t unit) {
    std::string out = std::to_string(value / unit);
    if (uint64_t rest = value % unit) {
      std::string digits = std::to_string(rest + unit).substr(1);
      digits.erase(digits.find_last_not_of('0') + 1);
      out += '.' + digits;
    }
    return out;
  };
  if (u < 1000) return sign + std::to_string(u) + "ns";
  if (u < 1000'000) return sign + fraction(u, 1000) + "\xc2\xb5s";
  if (u < 1000'000'000) return sign + fraction(u, 1000'000) + "ms";
  uint64_t hours = u / 3600'000'000'000, minutes = u / 60'000'000'000 % 60;
  std::string out = sign;
  if (hours) out += std::to_string(hours) + "h";
  if (hours || minutes) out += std::to_string(minutes) + "m";
  return out + fraction(u % 60'000'000'000, 1000'000'000) + "s";
}

std::string human_age(std::chrono::seconds age) {
  // The steps of k8s.io/apimachinery's duration.HumanDuration.
  int64_t s = age.count();
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  if (s < 60 * 2) return fmt::format("{}s", s);
  int64_t m = s / 60;
  if (m < 10) return s % 60 ? fmt::format("{}m{}s", m, s % 60) : fmt::format("{}m", m);
  if (m < 60 * 3) return fmt::format("{}m", m);
  int64_t h = m / 60;
  if (h < 8) return m % 60 ? fmt::format("{}h{}m", h, m % 60) : fmt::format("{}h", h);
  if (h < 48) return fmt::format("{}h", h);
  if (h < 24 * 8) return h % 24 ? fmt::format("{}d{}h", h / 24, h % 24) : fmt::format("{}d", h / 24);
  if (h < 24 * 365 * 2) return fmt::format("{}d", h / 24);
  int64_t y = h / 24 / 365;
  if (h < 24 * 365 * 8) {
    int64_t d = h / 24 % 365;
    return d ? fmt::format("{}y{}d", y, d) : fmt::format("{}y", y);
  }
  return fmt::format("{}y", y);
}

namespace {
std::string stamp(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(std::chrono::system_clock::to_time_t(
                                                 std::chrono::floor<std::chrono::seconds>(time))));
}
int64_t micros(WallTime time) {
  auto since = time - std::chrono::floor<std::chrono::seconds>(time);
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}
}  // namespace

std::string format_rfc3339(WallTime time) { return stamp(time) + "Z"; }
std::string format_rfc3339_micro(WallTime time) { return fmt::format("{}.{:06}Z", stamp(time), micros(time)); }
std::string format_rfc3339_milli(WallTime time) { return fmt::format("{}.{:03}Z", stamp(time), micros(time) / 1000); }

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  int year, month, day, hour, minute, second, used = 0;
  std::string s(text);
  if (std::sscanf(s.c_str(), "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6 || used == 0)
    return std::nullopt;
  std::string_view rest = std::string_view(s).substr(static_cast<size_t>(used));
  int64_t nanos = 0;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    int64_t unit = 100'000'000;
    if (rest.empty() || !std::isdigit(static_cast<unsigned char>(rest[0]))) return std::nullopt;
    while (!rest.empty() && std::isdigit(static_cast<unsigned char>(rest[0]))) {
      nanos += (rest[0] - '0') * unit;
      unit /= 10;
      rest.remove_prefix(1);
    }
  }
  int offset_minutes = 0;
  if (rest == "Z" || rest == "z") {
  } else if (rest.size() == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':') {
    int h, m;
    if (std::sscanf(std::string(rest.substr(1)).c_str(), "%2d:%2d", &h, &m) != 2) return std::nullopt;
    offset_minutes = (rest[0] == '-' ? -1 : 1) * (h * 60 + m);
  } else {
    return std::nullopt;
  }
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  auto t = std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute - offset_minutes) +
           std::chrono::seconds(second) + Nanos(nanos);
  return std::chrono::time_point_cast<WallTime::duration>(t);
}

}  // namespace fairlead::base
