// Command operators of a request and its answer.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "base/strings.h"
#include "http/grpc.h"
#include "http/message.h"
#include "proxy/config/matchers.h"
#include "proxy/downstream.h"
#include "proxy/log/access_log_command.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {
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
    {kFlagInvalidEnvoyHeaders, "IH", "InvalidEnvoyRequestHeaders"},
    {kFlagDropOverload, "DO", "DropOverload"},
    {kFlagDropOverloadAlways, "UDO", "UnconditionalDropOverload"},
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

const std::string& host_name() {
  static const std::string name = [] {
    char buffer[256] = {};
    gethostname(buffer, sizeof buffer - 1);
    return std::string(buffer);
  }();
  return name;
}

std::string new_uuid() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  uint64_t high = (random() & ~0xf000ULL) | 0x4000, low = (random() & ~(3ULL << 62)) | (2ULL << 62);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffffffffffff);
}

constexpr std::string_view kGrpcCamelNames[] = {"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
    "Unauthenticated"};
constexpr std::string_view kGrpcSnakeNames[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    "UNAUTHENTICATED"};

bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The path that a request came with, before the route rewrote it; empty: it was not rewritten.
std::string_view original_path(const StreamInfo& info) { return info.request->fields.get("x-envoy-original-path"); }

std::string_view path_of(uint8_t choice, const StreamInfo& info) {
  if (!info.request) return {};
  if (choice == kQueryPath) return info.request->target;
  std::string_view original = original_path(info);
  return original.empty() && choice == kQueryEither ? info.request->target : original;
}

}  // namespace

uint64_t plain_bytes(const HeaderMap& fields) { return fields.byte_size() - 4 * fields.fields().size(); }
uint64_t plain_bytes(const RequestHeaders& r) {
  auto pseudo = [](std::string_view name, std::string_view value) { return value.empty() ? 0 : name.size() + value.size(); };
  return plain_bytes(r.fields) + pseudo(":method", r.method) + pseudo(":path", r.target) + pseudo(":authority", r.authority) +
         pseudo(":scheme", r.scheme.empty() ? std::string_view("http") : r.scheme);
}

std::string flags_text(uint32_t flags) { return join_flags(flags, false); }

uint32_t parse_flag(std::string_view name) {
  for (const FlagName& f : kFlagNames)
    if (f.name == name) return f.bit;
  return 0;
}

std::optional<int> grpc_status_of(const StreamInfo& info, bool asked) {
  if (asked && (!info.request || !http::is_grpc_type(info.request->fields.get("content-type")))) return std::nullopt;
  std::string_view text;
  if (info.response_trailers) text = info.response_trailers->get("grpc-status");
  if (text.empty() && info.response) text = info.response->fields.get("grpc-status");
  if (auto n = base::to_int(text); n && *n >= 0) return static_cast<int>(*n);
  if (!text.empty() || info.status == 0) return std::nullopt;
  return http::grpc_status_from_http(info.status);
}

bool put_text(std::string_view text, std::string& out) {
  out += text;
  return !text.empty();
}

bool put_count(uint64_t n, std::string& out, bool& number) {
  number = true;
  fmt::format_int digits(n);
  out.append(digits.data(), digits.size());
  return true;
}

bool request_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number) {
  using C = LogCommand;
  auto text = [&](std::string_view s) { return put_text(s, out); };
  auto count = [&](uint64_t n) { return put_count(n, out, number); };
  // An empty field is a value, too.
  auto header = [&](const HeaderMap* fields, std::string_view name) {
    if (!fields || name.empty()) return false;
    const HeaderMap::Field* f = fields->find(name);
    if (f) out += f->value;
    return f != nullptr;
  };
  auto request_field = [&](const std::string& name, bool pseudo) {
    if (!info.request || name.empty()) return false;
    if (!pseudo) return header(&info.request->fields, name);
    std::string_view value;
    std::string scratch;
    return request_header(*info.request, name, value, scratch) && text(value);
  };
  switch (piece.command) {
    case C::kLiteral:
    case C::kFixed:
      return text(piece.text);
    case C::kRequestHeader:
      return request_field(piece.text, piece.option & 1) || request_field(piece.fallback, piece.option & 2);
    case C::kResponseHeader: {
      if (piece.text == ":status") {
        fmt::format_int digits(info.status);
        return info.status && text({digits.data(), digits.size()});
      }
      const HeaderMap* fields = info.response ? &info.response->fields : nullptr;
      return header(fields, piece.text) || header(fields, piece.fallback);
    }
    case C::kTrailer:
      return header(info.response_trailers, piece.text) || header(info.response_trailers, piece.fallback);
    case C::kGrpcStatus: {
      auto status = grpc_status_of(info);
      if (!status) return false;
      auto i = static_cast<size_t>(*status);
      bool named = i < std::size(kGrpcCamelNames) && piece.option != kGrpcNumber;
      if (named) return text(piece.option == kGrpcSnake ? kGrpcSnakeNames[i] : kGrpcCamelNames[i]);
      count(i);
      number = piece.option == kGrpcNumber;
      return true;
    }
    case C::kRequestHeaderBytes:
      return count(info.request ? plain_bytes(*info.request) : 0);
    case C::kResponseHeaderBytes:
      return count(info.response && info.status ? plain_bytes(info.response->fields) + std::string_view(":status200").size() : 0);
    case C::kTrailerBytes:
      return count(info.response_trailers ? plain_bytes(*info.response_trailers) : 0);
    case C::kProtocol:
      return text(info.protocol);
    case C::kStatus:
      return count(static_cast<uint64_t>(info.status));
    case C::kFlags:
      return info.flags == 0 ? text("-") : text(join_flags(info.flags, false));
    case C::kFlagsLong:
      return info.flags == 0 ? text("-") : text(join_flags(info.flags, true));
    case C::kLocalReplyBody:
      out += info.local_reply_body;
      return true;
    case C::kDetails: {
      if (piece.option || info.details.find(' ') == std::string_view::npos) return text(info.details);
      size_t begin = out.size();
      out += info.details;
      std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), blank, '_');
      return true;
    }
    case C::kTermination:
      return text(info.termination_details);
    case C::kFailureReason: {
      if (info.failure_reason.empty()) return false;
      size_t begin = out.size();
      out += info.failure_reason;
      std::replace(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), ' ', '_');
      return true;
    }
    case C::kBytesReceived:
      return count(info.bytes_received);
    case C::kBytesSent:
      return count(info.bytes_sent);
    case C::kUpstreamHost:
      return text(info.upstream_host);
    case C::kUpstreamCluster:
      return text(info.cluster);
    case C::kUpstreamClusterRaw:
      return text(info.cluster_raw.empty() ? info.cluster : info.cluster_raw);
    case C::kUpstreamLocal:
      return text(info.upstream_local);
    case C::kDownstreamLocal:
      return text(info.downstream_local);
    case C::kDownstreamRemote:
      return text(info.downstream_remote);
    case C::kServerName:
      return text(info.server_name);
    case C::kRouteName:
      return text(info.route);
    case C::kRouteCount:
      return count(info.virtual_host.empty() ? 0 : 1);
    case C::kMetadata:
      return metadata_value(piece, info, out, number);
    case C::kVirtualHost:
      return text(info.virtual_host);
    case C::kAttempts:
      return count(info.attempts);
    case C::kHostname:
      return text(host_name());
    case C::kConnectionId:
      return count(info.connection_id);
    case C::kMethod:
      return info.request && text(info.request->method);
    case C::kPath:
      return info.request && text(info.request->target);
    case C::kScheme:
      return info.request && text(info.request->scheme);
    case C::kPathArgument: {
      std::string_view path = path_of(piece.option & ~kWithoutQuery, info);
      return text(piece.option & kWithoutQuery ? path.substr(0, path.find('?')) : path);
    }
    case C::kPathWithoutQuery: {
      size_t begin = out.size();
      if (!request_field(piece.text, piece.option & 1) && !request_field(piece.fallback, piece.option & 2)) return false;
      if (size_t question = out.find('?', begin); question != std::string::npos) out.resize(question);
      return true;
    }
    case C::kQueryParameter:
    case C::kQuery: {
      std::string_view path = path_of(piece.option, info);
      size_t question = path.find('?');
      if (question == std::string_view::npos) return false;
      return text(piece.command == C::kQuery ? std::string(path.substr(question + 1)) : http::query_param(path.substr(question + 1), piece.text));
    }
    case C::kStreamId:
      // Of TCP connections nothing is kept that would be the same in two lines: one line is all there is.
      return info.request ? text(info.request->fields.get("x-request-id")) : text(new_uuid());
    case C::kUniqueId:
      return text(new_uuid());
    case C::kLogType:
      return text(info.type == LogType::kDownstreamEnd ? "DownstreamEnd" : info.type == LogType::kTcpConnectionEnd ? "TcpConnectionEnd" : "NotSet");
    case C::kZero:
      return count(0);
    case C::kEmpty:
      return true;
    default:
      return false;
  }
}

}  // namespace fairlead::proxy
