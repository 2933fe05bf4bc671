// Logging on spdlog, one line an event: "2024-05-01T10:20:30.123456Z info scope message".
//
// Any thread. FL_LOG_INFO("scope", "format {}", args). Goes to stderr unless init says otherwise.
#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <string_view>

namespace fairlead::base {

enum class LogLevel : unsigned char { kTrace, kDebug, kInfo, kWarning, kError, kOff };

std::optional<LogLevel> parse_log_level(std::string_view text);  // Envoy's and Istio's names
std::string_view to_string(LogLevel level);
void set_log_level(LogLevel level);
LogLevel log_level();
bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view scope, std::string_view message);

}  // namespace fairlead::base

#define FL_LOG(level, scope, ...)                                                          \
  do {                                                                                     \
    if (::fairlead::base::log_enabled(level)) ::fairlead::base::log_line(level, scope, ::fmt::format(__VA_ARGS__)); \
  } while (false)
#define FL_LOG_TRACE(scope, ...) FL_LOG(::fairlead::base::LogLevel::kTrace, scope, __VA_ARGS__)
#define FL_LOG_DEBUG(scope, ...) FL_LOG(::fairlead::base::LogLevel::kDebug, scope, __VA_ARGS__)
#define FL_LOG_INFO(scope, ...) FL_LOG(::fairlead::base::LogLevel::kInfo, scope, __VA_ARGS__)
#define FL_LOG_WARN(scope, ...) FL_LOG(::fairlead::base::LogLevel::kWarning, scope, __VA_ARGS__)
#define FL_LOG_ERROR(scope, ...) FL_LOG(::fairlead::base::LogLevel::kError, scope, __VA_ARGS__)
