#include "proxy/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <ctime>

#include "base/strings.h"
#include "base/value.h"
#include "http/message.h"
#include "proxy/config/matchers.h"
#include "proxy/access_log_tls.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

const std::string_view kIstioLogFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% "
    "%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

const std::string_view kEnvoyLogFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

namespace {

struct FlagName {
  uint32_t bit;
  std::string_view name, long_name;
};
constexpr FlagName kFlagNames[] = {
    {kFlagUpstreamUnhealthy, "UH", "NoHealthyUpstream"},
    {kFlagUpstreamConnectFailure, "UF", "UpstreamConnectionFailure"},
    {kFlagUpstreamOverflow, "UO", "UpstreamOverflow"},
    {kFlagNoRoute, "NR", "NoRouteFound"},
    {kFlagRetryLimit, "URX", "UpstreamRetryLimitExceeded"},
    {kFlagNoCluster, "NC", "NoClusterFound"},
    {kFlagDurationTimeout, "DT", "DurationTimeout"},
    {kFlagDownstreamTermination, "DC", "DownstreamConnectionTermination"},
    {kFlagLocalReset, "LR", "LocalReset"},
    {kFlagUpstreamReset, "UR", "UpstreamRemoteReset"},
    {kFlagUpstreamTermination, "UC", "UpstreamConnectionTermination"},
    {kFlagUpstreamTimeout, "UT", "UpstreamRequestTimeout"},
    {kFlagDelayInjected, "DI", "DelayInjected"},
    {kFlagFaultInjected, "FI", "FaultInjected"},
    {kFlagDownstreamProtocolError, "DPE", "DownstreamProtocolError"},
    {kFlagUpstreamProtocolError, "UPE", "UpstreamProtocolError"},
    {kFlagStreamIdleTimeout, "SI", "StreamIdleTimeout"},
    {kFlagOverloadManager, "OM", "OverloadManagerTerminated"},
    {kFlagDownstreamReset, "DR", "DownstreamRemoteReset"},
    {kFlagMaxDuration, "UMSDR", "UpstreamMaxStreamDurationReached"},
    {kFlagRateLimited, "RL", "RateLimited"},
    {kFlagFailedLocalHealthCheck, "LH", "FailedLocalHealthCheck"},
};

std::string join_flags(uint32_t flags, bool long_names) {
  if (flags == 0) return "-";
  std::string out;
  for (const FlagName& f : kFlagNames) {
    if (!(flags & f.bit)) continue;
    if (!out.empty()) out += ',';
    out += long_names ? f.long_name : f.name;
  }
  return out;
}

std::string_view ip_of(std::string_view address) {
  size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || address.starts_with('/')) return address;
  std::string_view ip = address.substr(0, colon);
  if (ip.size() > 1 && ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  return ip;
}

std::string_view port_of(std::string_view address) {
  size_t colon = address.rfind(':');
  return colon == std::string_view::npos ? std::string_view() : address.substr(colon + 1);
}

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

// The points in time that %COMMON_DURATION(FROM:TO:PRECISION)% may name, since the request began.
std::optional<base::Nanos> time_point(std::string_view name, const StreamInfo& info) {
  if (name == "DS_RX_BEG") return base::Nanos(0);
  base::Nanos at{-1};
  if (name == "DS_RX_END") at = info.request_received;
  else if (name == "US_RX_BEG" || name == "DS_TX_BEG") at = info.response_first;
  else if (name == "US_RX_END") at = info.response_last;
  else if (name == "DS_TX_END") at = info.end;
  return at.count() < 0 ? std::nullopt : std::optional(at);
}

Status parse_common_duration(std::string_view argument) {
  static constexpr std::string_view kPoints[] = {"DS_RX_BEG", "DS_RX_END", "US_CX_BEG", "US_CX_END", "US_HS_END", "US_TX_BEG", "US_TX_END", "US_RX_BEG", "US_RX_END", "DS_TX_BEG", "DS_TX_END"};
  auto parts = base::split(argument, ':');
  auto point = [](std::string_view name) { return std::ranges::find(kPoints, name) != std::end(kPoints); };
  bool unit = parts.size() == 2 || (parts.size() == 3 && (parts[2] == "ms" || parts[2] == "us" || parts[2] == "ns"));
  if (parts.size() >= 2 && unit && point(parts[0]) && point(parts[1])) return {};
  return fail(Code::kInvalidArgument, "%COMMON_DURATION({})%: two points in time such as DS_RX_BEG:DS_TX_END and ms, us or ns are expected", argument);
}

int64_t to_millis(base::Nanos d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

const std::string& host_name() {
  static const std::string name = [] {
    char buffer[256] = {};
    gethostname(buffer, sizeof buffer - 1);
    return std::string(buffer);
  }();
  return name;
}

}  // namespace

std::string flags_text(uint32_t flags) { return join_flags(flags, false); }

uint32_t parse_flag(std::string_view name) {
  for (const FlagName& f : kFlagNames)
    if (f.name == name) return f.bit;
  return 0;
}

const std::string& LogFormat::empty() {
  static const std::string none;
  return none;
}

LogFormat LogFormat::literal(std::string_view text) {
  LogFormat f;
  if (!text.empty()) f.pieces_.push_back({Command::kLiteral, Shape::kText, std::string(text), {}, 0});
  return f;
}

Result<LogFormat::Piece> LogFormat::parse_command(std::string_view name, std::string_view argument, size_t max_length) {
  struct Row {
    std::string_view name;
    Command command;
  };
  static constexpr Row kPlain[] = {
      {"PROTOCOL", Command::kProtocol},
      {"RESPONSE_CODE", Command::kStatus},
      {"RESPONSE_FLAGS", Command::kFlags},
      {"RESPONSE_FLAGS_LONG", Command::kFlagsLong},
      {"RESPONSE_CODE_DETAILS", Command::kDetails},
      {"LOCAL_REPLY_BODY", Command::kLocalReplyBody},
      {"CONNECTION_TERMINATION_DETAILS", Command::kTermination},
      {"UPSTREAM_TRANSPORT_FAILURE_REASON", Command::kFailureReason},
      {"BYTES_RECEIVED", Command::kBytesReceived},
      {"BYTES_SENT", Command::kBytesSent},
      {"REQUEST_HEADER_BYTES", Command::kRequestHeaderBytes},
      {"RESPONSE_HEADERS_BYTES", Command::kResponseHeaderBytes},
      {"REQUEST_HEADERS_BYTES", Command::kRequestHeaderBytes},
      {"DURATION", Command::kDuration},
      {"REQUEST_DURATION", Command::kRequestDuration},
      {"RESPONSE_DURATION", Command::kResponseDuration},
      {"RESPONSE_TX_DURATION", Command::kResponseTxDuration},
      {"UPSTREAM_HOST", Command::kUpstreamHost},
      {"UPSTREAM_REMOTE_ADDRESS", Command::kUpstreamHost},
      {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Command::kUpstreamIp},
      {"UPSTREAM_REMOTE_PORT", Command::kUpstreamPort},
      {"UPSTREAM_CLUSTER", Command::kUpstreamCluster},
      {"UPSTREAM_CLUSTER_RAW", Command::kUpstreamClusterRaw},
      {"UPSTREAM_LOCAL_ADDRESS", Command::kUpstreamLocal},
      {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Command::kUpstreamLocalIp},
      {"UPSTREAM_LOCAL_PORT", Command::kUpstreamLocalPort},
      {"DOWNSTREAM_LOCAL_ADDRESS", Command::kDownstreamLocal},
      {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Command::kDownstreamLocalIp},
      {"DOWNSTREAM_LOCAL_PORT", Command::kDownstreamLocalPort},
      {"DOWNSTREAM_REMOTE_ADDRESS", Command::kDownstreamRemote},
      {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Command::kDownstreamRemoteIp},
      {"DOWNSTREAM_REMOTE_PORT", Command::kDownstreamRemotePort},
      {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Command::kDownstreamDirect},
      {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Command::kDownstreamDirectIp},
      {"REQUESTED_SERVER_NAME", Command::kServerName},
      {"ROUTE_NAME", Command::kRouteName},
      {"VIRTUAL_CLUSTER_NAME", Command::kDash},
      {"VIRTUAL_HOST_NAME", Command::kVirtualHost},
      {"UPSTREAM_REQUEST_ATTEMPT_COUNT", Command::kAttempts},
      {"HOSTNAME", Command::kHostname},
      {"CONNECTION_ID", Command::kConnectionId},
      // Known to Envoy, nothing behind them here: printed as a missing value.
      {"STREAM_ID", Command::kDash},
      {"TRACE_ID", Command::kDash},
  };
  static constexpr Row kWithArgument[] = {
      {"START_TIME", Command::kStartTime},        {"REQ", Command::kRequestHeader},
      {"REQUEST_HEADER", Command::kRequestHeader}, {"RESP", Command::kResponseHeader},
      {"TRAILER", Command::kTrailer},             {"GRPC_STATUS", Command::kGrpcStatus},
      {"ENVIRONMENT", Command::kEnvironment},     {"DYNAMIC_METADATA", Command::kDash},
      {"CLUSTER_METADATA", Command::kDash},       {"UPSTREAM_METADATA", Command::kDash},
      {"FILTER_STATE", Command::kDash},           {"METADATA", Command::kDash},
      {"START_TIME_LOCAL", Command::kStartTimeLocal}, {"EMIT_TIME", Command::kEmitTime},
      {"COMMON_DURATION", Command::kCommonDuration},  {"PATH", Command::kPathArgument},
      {"QUERY_PARAM", Command::kQueryParameter},
  };
  Piece piece;
  piece.max_length = max_length;
  for (const Row& row : kPlain) {
    if (row.name != name) continue;
    if (!argument.empty()) return fail(Code::kInvalidArgument, "%{}% takes no argument", name);
    piece.command = row.command;
    return piece;
  }
  for (const Row& row : kWithArgument) {
    if (row.name != name) continue;
    piece.command = row.command;
    if (row.command == Command::kCommonDuration) {
      if (auto ok = parse_common_duration(argument); !ok) return std::unexpected(ok.error());
      piece.text = argument;
    } else if (row.command == Command::kPathArgument) {
      for (std::string_view part : base::split(argument, ':'))
        if (!part.empty() && part != "WQ" && part != "NQ" && part != "ORIG" && part != "PATH" && part != "ORIG_OR_PATH")
          return fail(Code::kInvalidArgument, "%PATH({})%: WQ or NQ, then ORIG, PATH or ORIG_OR_PATH", argument);
      piece.text = argument;
    } else if (row.command == Command::kQueryParameter) {
      if (argument.empty()) return fail(Code::kInvalidArgument, "%QUERY_PARAM(...)% needs the name of a parameter");
      piece.text = argument;
    } else if (row.command == Command::kStartTime || row.command == Command::kStartTimeLocal || row.command == Command::kEmitTime || row.command == Command::kEnvironment) {
      piece.text = argument;
      if (row.command == Command::kEnvironment) {
        const char* value = std::getenv(piece.text.c_str());
        piece.text = value ? value : "";
      }
    } else if (row.command == Command::kRequestHeader || row.command == Command::kResponseHeader || row.command == Command::kTrailer) {
      size_t q = argument.find('?');
      piece.text = base::to_lower(argument.substr(0, q));
      if (q != std::string_view::npos) piece.fallback = base::to_lower(argument.substr(q + 1));
      if (piece.text.empty()) return fail(Code::kInvalidArgument, "%{}(...)% needs the name of a header", name);
    }
    return piece;
  }
  if (is_tls_operator(name)) {
    piece.command = Command::kTls;
    piece.text = name;
    piece.fallback = argument;  // the time format of ..._CERT_V_START and _END
    return piece;
  }
  std::vector<std::string_view> known;
  for (const Row& row : kPlain) known.push_back(row.name);
  for (const Row& row : kWithArgument) known.push_back(row.name);
  auto guess = base::nearest(name, known);
  return fail(Code::kInvalidArgument, "unknown command %{}%{}", name,
              guess ? ". Did you mean %" + std::string(*guess) + "%?" : std::string());
}

Status LogFormat::parse_into(std::string_view text, Shape shape, std::vector<Piece>& out) {
  std::string literal;
  auto end_literal = [&] {
    if (literal.empty()) return;
    out.push_back({Command::kLiteral, shape, std::move(literal), {}, 0});
    literal.clear();
  };
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '%') {
      literal += text[i++];
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == '%') {
      literal += '%';
      i += 2;
      continue;
    }
    size_t at = i + 1;
    size_t name_end = at;
    while (name_end < text.size() && ((text[name_end] >= 'A' && text[name_end] <= 'Z') || text[name_end] == '_' ||
                                      (text[name_end] >= '0' && text[name_end] <= '9')))
      ++name_end;
    std::string_view name = text.substr(at, name_end - at);
    std::string_view argument;
    size_t p = name_end;
    if (p < text.size() && text[p] == '(') {
      size_t close = text.find(')', p);
      if (close == std::string_view::npos) return fail(Code::kInvalidArgument, "offset {}: %{}( has no closing parenthesis", i, name);
      argument = text.substr(p + 1, close - p - 1);
      p = close + 1;
    }
    size_t max_length = 0;
    if (p < text.size() && text[p] == ':') {
      size_t digits = p + 1;
      while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
      auto n = base::to_int(text.substr(p + 1, digits - p - 1));
      if (!n || *n <= 0 || *n > 1 << 20) return fail(Code::kInvalidArgument, "offset {}: the length after ':' must be a number from 1 to 1048576", i);
      max_length = static_cast<size_t>(*n);
      p = digits;
    }
    if (name.empty() || p >= text.size() || text[p] != '%')
      return fail(Code::kInvalidArgument, "offset {}: '%' begins no command; write %% for a percent sign", i);
    auto piece = parse_command(name, argument, max_length);
    if (!piece) return fail(Code::kInvalidArgument, "offset {}: {}", i, piece.error().message);
    piece->shape = shape;
    end_literal();
    out.push_back(std::move(*piece));
    i = p + 1;
  }
  end_literal();
  return {};
}

bool LogFormat::uses_tls() const {
  return std::ranges::any_of(pieces_, [](const Piece& p) { return p.command == Command::kTls; });
}

void LogFormat::finish() {
  std::vector<Piece> merged;
  for (Piece& p : pieces_) {
    if (p.command == Command::kLiteral && !merged.empty() && merged.back().command == Command::kLiteral &&
        merged.back().shape == p.shape)
      merged.back().text += p.text;
    else
      merged.push_back(std::move(p));
  }
  pieces_ = std::move(merged);
  commands_ = 0;
  for (const Piece& p : pieces_) commands_ += p.command != Command::kLiteral;
}

Result<LogFormat> LogFormat::parse(std::string_view text) {
  LogFormat f;
  if (auto ok = parse_into(text, Shape::kText, f.pieces_); !ok) return std::unexpected(ok.error());
  f.finish();
  return f;
}

Status LogFormat::parse_node(const base::Value& node, std::vector<Piece>& out) {
  auto raw = [&](std::string text) { out.push_back({Command::kLiteral, Shape::kText, std::move(text), {}, 0}); };
  if (node.is_object()) {
    raw("{");
    bool first = true;
    for (const auto& m : node.members()) {
      std::string key = first ? "" : ",";
      base::append_json_string(key, m.key);
      raw(key + ":");
      first = false;
      if (auto ok = parse_node(m.value, out); !ok) return ok;
    }
    raw("}");
    return {};
  }
  if (node.is_array()) {
    raw("[");
    bool first = true;
    for (const auto& item : node.items()) {
      if (!first) raw(",");
      first = false;
      if (auto ok = parse_node(item, out); !ok) return ok;
    }
    raw("]");
    return {};
  }
  if (!node.is_string()) {
    raw(node.dump());
    return {};
  }
  std::vector<Piece> parts;
  if (auto ok = parse_into(node.as_string(), Shape::kJsonString, parts); !ok) return ok;
  if (parts.size() == 1 && parts[0].command != Command::kLiteral) {
    parts[0].shape = Shape::kJsonValue;
    out.push_back(std::move(parts[0]));
    return {};
  }
  raw("\"");
  for (Piece& p : parts) out.push_back(std::move(p));
  raw("\"");
  return {};
}

Result<LogFormat> LogFormat::parse_json(const base::Value& object) {
  LogFormat f;
  if (!object.is_object()) return fail(Code::kInvalidArgument, "a JSON format must be an object");
  if (auto ok = parse_node(object, f.pieces_); !ok) return std::unexpected(ok.error());
  f.pieces_.push_back({Command::kLiteral, Shape::kText, "\n", {}, 0});
  f.finish();
  return f;
}

// Appends the value; false when there is none.
bool LogFormat::value_of(const Piece& piece, const StreamInfo& info, std::string& out, bool& number) {
  auto text = [&](std::string_view s) {
    if (s.empty()) return false;
    out += s;
    return true;
  };
  auto count = [&](uint64_t n) {
    number = true;
    fmt::format_int digits(n);
    out.append(digits.data(), digits.size());
    return true;
  };
  auto duration = [&](base::Nanos d) { return d.count() >= 0 && count(static_cast<uint64_t>(to_millis(d))); };
  auto header = [&](const HeaderMap* fields, std::string_view name) {
    if (!fields || name.empty()) return false;
    const HeaderMap::Field* f = fields->find(name);
    return f && text(f->value);
  };
  auto request_field = [&](const std::string& name) {
    if (!info.request || name.empty()) return false;
    std::string_view value;
    std::string scratch;
    return request_header(*info.request, name, value, scratch) && text(value);
  };
  switch (piece.command) {
    case Command::kLiteral:
      return text(piece.text);
    case Command::kStartTime:
      append_time(out, piece.text, info.start_wall);
      return true;
    case Command::kRequestHeader:
      return request_field(piece.text) || request_field(piece.fallback);
    case Command::kResponseHeader:
      if (piece.text == ":status") return info.status ? count(static_cast<uint64_t>(info.status)) : false;
      return header(info.response ? &info.response->fields : nullptr, piece.text) ||
             header(info.response ? &info.response->fields : nullptr, piece.fallback);
    case Command::kTrailer:
      return header(info.response_trailers, piece.text) || header(info.response_trailers, piece.fallback);
    case Command::kGrpcStatus:
      return header(info.response_trailers, "grpc-status") || header(info.response ? &info.response->fields : nullptr, "grpc-status");
    case Command::kRequestHeaderBytes:
      return count(info.request_header_bytes);
    case Command::kProtocol:
      return text(info.protocol);
    case Command::kStatus:
      return count(static_cast<uint64_t>(info.status));
    case Command::kFlags:
      if (info.flags == 0) return false;
      return text(join_flags(info.flags, false));
    case Command::kFlagsLong:
      if (info.flags == 0) return false;
      return text(join_flags(info.flags, true));
    case Command::kLocalReplyBody:
      return text(info.local_reply_body);
    case Command::kDetails:
      return text(info.details);
    case Command::kTermination:
      return text(info.termination_details);
    case Command::kFailureReason:
      return text(info.failure_reason);
    case Command::kBytesReceived:
      return count(info.bytes_received);
    case Command::kBytesSent:
      return count(info.bytes_sent);
    case Command::kDuration:
      return duration(info.end);
    case Command::kRequestDuration:
      return duration(info.request_received);
    case Command::kResponseDuration:
      return duration(info.response_first);
    case Command::kResponseTxDuration:
      return info.response_first.count() >= 0 && info.response_last.count() >= 0 && duration(info.response_last - info.response_first);
    case Command::kUpstreamHost:
      return text(info.upstream_host);
    case Command::kUpstreamCluster:
      return text(info.cluster);
    case Command::kUpstreamClusterRaw:
      return text(info.cluster_raw.empty() ? info.cluster : info.cluster_raw);
    case Command::kUpstreamIp:
      return text(ip_of(info.upstream_host));
    case Command::kUpstreamPort:
      return text(port_of(info.upstream_host));
    case Command::kUpstreamLocalIp:
      return text(ip_of(info.upstream_local));
    case Command::kUpstreamLocalPort:
      return text(port_of(info.upstream_local));
    case Command::kResponseHeaderBytes:
      return count(info.response_header_bytes);
    case Command::kUpstreamLocal:
      return text(info.upstream_local);
    case Command::kDownstreamLocal:
      return text(info.downstream_local);
    case Command::kDownstreamLocalIp:
      return text(ip_of(info.downstream_local));
    case Command::kDownstreamLocalPort:
      return text(port_of(info.downstream_local));
    case Command::kDownstreamRemote:
      return text(info.downstream_remote);
    case Command::kDownstreamRemoteIp:
      return text(ip_of(info.downstream_remote));
    case Command::kDownstreamRemotePort:
      return text(port_of(info.downstream_remote));
    case Command::kDownstreamDirect:
      return text(info.downstream_direct_remote);
    case Command::kDownstreamDirectIp:
      return text(ip_of(info.downstream_direct_remote));
    case Command::kServerName:
      return text(info.server_name);
    case Command::kRouteName:
      return text(info.route);
    case Command::kVirtualHost:
      return text(info.virtual_host);
    case Command::kAttempts:
      return count(info.attempts);
    case Command::kHostname:
      return text(host_name());
    case Command::kConnectionId:
      return count(info.connection_id);
    case Command::kMethod:
      return info.request && text(info.request->method);
    case Command::kPath:
      return info.request && text(info.request->target);
    case Command::kScheme:
      return info.request && text(info.request->scheme);
    case Command::kStartTimeLocal:
      append_time(out, piece.text, info.start_wall, true);
      return true;
    case Command::kEmitTime:
      append_time(out, piece.text, info.start_wall + std::chrono::duration_cast<base::WallTime::duration>(std::max(info.end, base::Nanos(0))));
      return true;
    case Command::kCommonDuration: {
      auto parts = base::split(piece.text, ':');
      auto from = time_point(parts[0], info), to = time_point(parts[1], info);
      if (!from || !to || *to < *from) return false;
      auto ns = static_cast<uint64_t>((*to - *from).count());
      return count(parts.size() < 3 || parts[2] == "ms" ? ns / 1'000'000 : parts[2] == "us" ? ns / 1'000 : ns);
    }
    case Command::kPathArgument: {
      if (!info.request) return false;
      std::string_view path = info.request->target;
      if (piece.text.find(":PATH") == std::string::npos) {
        std::string_view original;
        std::string scratch;
        if (request_header(*info.request, "x-envoy-original-path", original, scratch) && !original.empty()) path = original;
      }
      return text(piece.text.starts_with("NQ") ? path.substr(0, path.find('?')) : path);
    }
    case Command::kQueryParameter: {
      if (!info.request) return false;
      std::string_view path = info.request->target;
      size_t question = path.find('?');
      return question != std::string_view::npos && text(http::query_param(path.substr(question + 1), piece.text));
    }
    case Command::kEnvironment:
      return text(piece.text);
    case Command::kTls: {
      std::string value;
      return tls_operator(piece.text, piece.fallback, info, value) && text(value);
    }
    case Command::kDash:
      return false;
  }
  return false;
}

void LogFormat::append(std::string& out, const StreamInfo& info) const {
  for (const Piece& piece : pieces_) {
    if (piece.command == Command::kLiteral && piece.shape == Shape::kText) {
      out += piece.text;
      continue;
    }
    bool number = false;
    if (piece.shape == Shape::kText) {
      size_t before = out.size();
      if (!value_of(piece, info, out, number)) {
        if (!empty_values_omitted) out += '-';
      } else if (piece.max_length && out.size() - before > piece.max_length) {
        out.resize(before + piece.max_length);
      }
      continue;
    }
    std::string value;
    bool found = value_of(piece, info, value, number);
    if (piece.max_length && value.size() > piece.max_length) value.resize(piece.max_length);
    if (piece.shape == Shape::kJsonValue) {
      if (!found) out += "null";
      else if (number) out += value;
      else base::append_json_string(out, value);
    } else {
      if (!found) value = empty_values_omitted ? "" : "-";
      std::string quoted;
      base::append_json_string(quoted, value);
      out.append(quoted, 1, quoted.size() - 2);
    }
  }
}

void LogBuffer::flush() {
  if (empty()) return;
  std::map<std::string, std::string> batch;
  for (auto& [path, text] : pending_)
    if (!text.empty()) batch[path] = std::exchange(text, {});
  flush_(std::move(batch));
}

bool LogBuffer::empty() const { return bytes() == 0; }

size_t LogBuffer::bytes() const {
  size_t n = 0;
  for (const auto& [path, text] : pending_) n += text.size();
  return n;
}

LogFiles::~LogFiles() {
  if (writer_.joinable()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::seconds(1), [this] { return waiting_bytes_ == 0 && figures_.total_buffered == 0; });
      giving_up_ = true;
    }
    writer_.request_stop();
    writer_.join();
  }
  for (auto& [path, file] : files_)
    if (file.fd > STDERR_FILENO) ::close(file.fd);
}

void LogFiles::write(std::map<std::string, std::string> lines) {
  std::lock_guard lock(mutex_);
  for (auto& [path, text] : lines) {
    if (waiting_bytes_ + text.size() > kMostWaiting) {
      figures_.dropped_bytes += text.size();
      continue;
    }
    waiting_bytes_ += text.size();
    figures_.total_buffered += text.size();
    ++figures_.write_buffered;
    std::string& queue = waiting_[path];
    if (queue.empty()) queue = std::move(text);
    else queue += text;
  }
  if (!writer_.joinable()) writer_ = std::jthread([this](std::stop_token stop) { run(stop); });
  changed_.notify_all();
}

void LogFiles::reopen() {
  std::lock_guard lock(mutex_);
  reopen_ = true;
  changed_.notify_all();
}

LogFiles::Figures LogFiles::figures() const {
  std::lock_guard lock(mutex_);
  return figures_;
}

LogFiles::File LogFiles::open(const std::string& path) {
  File file;
  file.fd = path == "/dev/stdout"   ? STDOUT_FILENO
            : path == "/dev/stderr" ? STDERR_FILENO
                                    : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  struct stat status;
  file.regular = file.fd >= 0 && ::fstat(file.fd, &status) == 0 && S_ISREG(status.st_mode);
  return file;
}

// A full disk or a closed pipe costs log lines, nothing else. Polls, so that a reader that never reads can't keep the
// process from ending.
bool LogFiles::write_all(const File& file, std::string_view text) {
  while (!text.empty()) {
    size_t most = text.size();
    if (!file.regular) {
      pollfd writable{file.fd, POLLOUT, 0};
      if (::poll(&writable, 1, 200) == 0) {
        std::lock_guard lock(mutex_);
        if (giving_up_) return false;
        continue;
      }
      // No more than a pipe takes at once when it says that it can be written: a blocking descriptor does not block then.
      most = std::min<size_t>(most, PIPE_BUF);
    }
    ssize_t n = ::write(file.fd, text.data(), most);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void LogFiles::run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "log-writer");
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return reopen_ || !waiting_.empty(); })) {
    if (std::exchange(reopen_, false)) {
      for (auto& [path, file] : files_) {
        File fresh = open(path);
        if (fresh.fd < 0) ++figures_.reopen_failed;  // the old file goes on
        else if (int old = std::exchange(file, fresh).fd; old > STDERR_FILENO) ::close(old);
      }
    }
    auto batch = std::exchange(waiting_, {});
    waiting_bytes_ = 0;
    lock.unlock();
    uint64_t completed = 0, failed = 0, bytes = 0;
    for (auto& [path, text] : batch) {
      auto at = files_.find(path);
      if (at == files_.end() || at->second.fd < 0) at = files_.insert_or_assign(path, open(path)).first;
      ++(at->second.fd >= 0 && write_all(at->second, text) ? completed : failed);
      bytes += text.size();
    }
    lock.lock();
    figures_.write_completed += completed;
    figures_.write_failed += failed;
    figures_.total_buffered -= bytes;
    changed_.notify_all();
  }
}

}  // namespace fairlead::proxy
