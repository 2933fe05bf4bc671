// Durations and timestamps as Kubernetes and Istio spell them. Any thread; pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead::base {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Nanos = std::chrono::nanoseconds;
using Millis = std::chrono::milliseconds;

// Go's time.ParseDuration ("1h2m3.5s", "100ms", "-1s"); nothing when it does not parse.
std::optional<Nanos> parse_duration(std::string_view text);
// Go's Duration.String ("1h2m3.5s", "100ms").
std::string format_duration(Nanos duration);
// kubectl's AGE column ("5s", "3m20s", "47h", "12d").
std::string human_age(std::chrono::seconds age);

using WallTime = std::chrono::system_clock::time_point;
std::string format_rfc3339(WallTime time);         // 2024-05-01T10:20:30Z
std::string format_rfc3339_micro(WallTime time);   // 2024-05-01T10:20:30.123456Z
std::string format_rfc3339_milli(WallTime time);   // 2024-05-01T10:20:30.123Z
std::optional<WallTime> parse_rfc3339(std::string_view text);

}  // namespace fairlead::base
