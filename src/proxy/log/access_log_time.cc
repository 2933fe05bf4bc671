// Command operators of times and durations.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "proxy/downstream.h"
#include "proxy/log/access_log_command.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {

using base::Code;
using base::fail;
using base::Nanos;

namespace {

// strftime, with %3f, %6f, %9f and %f for fractions and %s for seconds since the epoch.
void append_time(std::string& out, const std::string& wanted, base::WallTime time, bool local = false) {
  if (wanted.empty() && !local) {
    // All but the milliseconds changes once a second.
    thread_local int64_t known = -1;
    thread_local std::string text;
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
    int64_t second = ms / 1000;
    if (second != known || text.size() < 5) {
      text = base::format_rfc3339_milli(time);
      known = second;
    }
    auto digits = static_cast<int>(ms % 1000);
    char* p = text.data() + text.size() - 4;  // before the Z
    p[0] = static_cast<char>('0' + digits / 100);
    p[1] = static_cast<char>('0' + digits / 10 % 10);
    p[2] = static_cast<char>('0' + digits % 10);
    out += text;
    return;
  }
  auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  std::time_t seconds = ns / 1'000'000'000;
  long fraction = ns % 1'000'000'000;
  std::string expanded;
  const std::string format = wanted.empty() ? "%Y-%m-%dT%H:%M:%S.%3f%z" : wanted;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      expanded += format[i];
      continue;
    }
    char next = format[i + 1];
    size_t skip = 1;
    int digits = 0;
    if (next == 'f') {
      digits = 9;
    } else if (next >= '1' && next <= '9' && i + 2 < format.size() && format[i + 2] == 'f') {
      digits = next - '0';
      skip = 2;
    }
    if (digits) {
      expanded += fmt::format("{:09}", fraction).substr(0, static_cast<size_t>(digits));
    } else if (next == 's') {
      expanded += std::to_string(seconds);
    } else {
      expanded += '%';
      expanded += next;
    }
    i += skip;
  }
  std::tm tm{};
  (local ? localtime_r : gmtime_r)(&seconds, &tm);
  char buffer[256];
  size_t n = std::strftime(buffer, sizeof buffer, expanded.c_str(), &tm);
  out.append(buffer, n);
}

std::optional<Nanos> since_start(base::TimePoint at, const StreamInfo& info) {
  if (at == base::TimePoint{}) return std::nullopt;
  return at - info.start;
}

// The points in time that %COMMON_DURATION(FROM:TO:PRECISION)% may name, since the request began. Names that nobody sets
// are taken, as Envoy takes them: filters may set some of their own there.
std::optional<Nanos> time_point(std::string_view name, const StreamInfo& info) {
  if (name == "DS_RX_BEG" || (name == "DS_RX_HDR_END" && info.request)) return Nanos(0);
  if (name == "DS_CX_BEG") return info.connection ? since_start(info.connection->accepted, info) : std::nullopt;
  if (name == "DS_HS_END") return info.connection ? since_start(info.connection->shaken, info) : std::nullopt;
  if (name == "US_CX_BEG") return since_start(info.upstream_connect_began, info);
  if (name == "US_HS_END") return since_start(info.upstream_shaken, info);
  if (name == "US_CX_END") return since_start(info.upstream_connected, info);
  Nanos at{-1};
  if (name == "DS_RX_END") at = info.request_received;
  else if (name == "US_TX_BEG") at = info.upstream_ready;
  else if (name == "US_TX_END") at = info.request_sent;
  else if (name == "US_RX_BEG") at = info.upstream_first;
  else if (name == "DS_TX_BEG") at = info.response_first;
  else if (name == "US_RX_BODY_BEG") at = info.response_body_first;
  else if (name == "US_RX_END") at = info.upstream_first.count() < 0 ? Nanos(-1) : info.response_last;
  else if (name == "DS_TX_END" && info.request) at = info.end;
  return at.count() < 0 ? std::nullopt : std::optional(at);
}

}  // namespace

base::Status check_common_duration(std::string_view argument) {
  auto parts = base::split(argument, ':');
  bool unit = parts.size() == 2 || (parts.size() == 3 && (parts[2] == "ms" || parts[2] == "us" || parts[2] == "ns"));
  if (unit && !parts[0].empty() && !parts[1].empty()) return {};
  return fail(Code::kInvalidArgument, "%COMMON_DURATION({})%: two points in time such as DS_RX_BEG:DS_TX_END and ms, us or ns are expected", argument);
}

bool time_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number) {
  auto count = [&](uint64_t n) {
    number = true;
    fmt::format_int digits(n);
    out.append(digits.data(), digits.size());
    return true;
  };
  auto duration = [&](Nanos d) { return d.count() >= 0 && count(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count())); };
  auto emitted = [&] { return info.start_wall + std::chrono::duration_cast<base::WallTime::duration>(std::max(info.end, Nanos(0))); };
  switch (piece.command) {
    case LogCommand::kStartTime:
      append_time(out, piece.text, info.start_wall);
      return true;
    case LogCommand::kStartTimeLocal:
      append_time(out, piece.text, info.start_wall, true);
      return true;
    case LogCommand::kEmitTime:
      append_time(out, piece.text, emitted());
      return true;
    case LogCommand::kEmitTimeLocal:
      append_time(out, piece.text, emitted(), true);
      return true;
    case LogCommand::kDuration:
      return duration(info.end);
    case LogCommand::kRequestDuration:
      return duration(info.request_received);
    case LogCommand::kRequestTxDuration:
      return duration(info.request_sent);
    case LogCommand::kResponseDuration:
      return duration(info.upstream_first);
    case LogCommand::kResponseTxDuration:
      return info.upstream_first.count() >= 0 && info.response_last.count() >= 0 && duration(info.response_last - info.upstream_first);
    case LogCommand::kHandshakeDuration:
      return info.connection && info.connection->shaken != base::TimePoint{} && duration(info.connection->shaken - info.connection->accepted);
    case LogCommand::kPoolDuration:
      return duration(info.pool_wait);
    case LogCommand::kCommonDuration: {
      auto parts = base::split(piece.text, ':');
      auto from = time_point(parts[0], info), to = time_point(parts[1], info);
      if (!from || !to || *to < *from) return false;
      auto ns = static_cast<uint64_t>((*to - *from).count());
      return count(parts.size() < 3 || parts[2] == "ms" ? ns / 1'000'000 : parts[2] == "us" ? ns / 1'000 : ns);
    }
    default:
      return false;
  }
}

}  // namespace fairlead::proxy
