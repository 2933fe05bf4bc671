// Formats as text: from "%COMMAND(argument):length%" to pieces.
#include <cstdlib>
#include <optional>

#include "base/strings.h"
#include "proxy/log/access_log_command.h"

namespace fairlead::proxy {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

using C = LogCommand;

struct Row {
  std::string_view name;
  C command;
  uint8_t option = 0;
};

constexpr Row kPlain[] = {
    {"PROTOCOL", C::kProtocol},
    {"RESPONSE_CODE", C::kStatus},
    {"RESPONSE_FLAGS", C::kFlags},
    {"RESPONSE_FLAGS_LONG", C::kFlagsLong},
    {"LOCAL_REPLY_BODY", C::kLocalReplyBody},
    {"CONNECTION_TERMINATION_DETAILS", C::kTermination},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", C::kFailureReason},
    {"BYTES_RECEIVED", C::kBytesReceived},
    {"BYTES_SENT", C::kBytesSent},
    {"REQUEST_HEADER_BYTES", C::kRequestHeaderBytes},
    {"REQUEST_HEADERS_BYTES", C::kRequestHeaderBytes},
    {"RESPONSE_HEADERS_BYTES", C::kResponseHeaderBytes},
    {"RESPONSE_TRAILERS_BYTES", C::kTrailerBytes},
    {"DURATION", C::kDuration},
    {"REQUEST_DURATION", C::kRequestDuration},
    {"REQUEST_TX_DURATION", C::kRequestTxDuration},
    {"RESPONSE_DURATION", C::kResponseDuration},
    {"RESPONSE_TX_DURATION", C::kResponseTxDuration},
    {"DOWNSTREAM_HANDSHAKE_DURATION", C::kHandshakeDuration},
    {"UPSTREAM_CONNECTION_POOL_READY_DURATION", C::kPoolDuration},
    {"UPSTREAM_HOST", C::kUpstreamHost},
    {"UPSTREAM_HOST_NAME", C::kUpstreamName},
    {"UPSTREAM_HOST_NAME_WITHOUT_PORT", C::kUpstreamNameOnly},
    {"UPSTREAM_PROTOCOL", C::kUpstreamProtocol},
    {"UPSTREAM_CONNECTION_ID", C::kUpstreamConnectionId},
    {"UPSTREAM_HOSTS_ATTEMPTED", C::kAttemptedHosts},
    {"UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", C::kAttemptedIps},
    {"UPSTREAM_HOST_NAMES_ATTEMPTED", C::kAttemptedNames},
    {"UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", C::kAttemptedNamesOnly},
    {"UPSTREAM_CONNECTION_IDS_ATTEMPTED", C::kAttemptedConnections},
    {"UPSTREAM_REMOTE_ADDRESS", C::kUpstreamRemote},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", C::kUpstreamIp},
    {"UPSTREAM_REMOTE_PORT", C::kUpstreamPort},
    {"UPSTREAM_CLUSTER", C::kUpstreamCluster},
    {"UPSTREAM_CLUSTER_RAW", C::kUpstreamClusterRaw},
    {"UPSTREAM_LOCAL_ADDRESS", C::kUpstreamLocal},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", C::kUpstreamLocalIp},
    {"UPSTREAM_LOCAL_PORT", C::kUpstreamLocalPort},
    {"DOWNSTREAM_LOCAL_ADDRESS", C::kDownstreamLocal},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", C::kDownstreamLocalIp},
    {"DOWNSTREAM_LOCAL_PORT", C::kDownstreamLocalPort},
    {"DOWNSTREAM_REMOTE_ADDRESS", C::kDownstreamRemote},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", C::kDownstreamRemoteIp},
    {"DOWNSTREAM_REMOTE_PORT", C::kDownstreamRemotePort},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", C::kDownstreamDirect},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", C::kDownstreamDirectIp},
    {"DOWNSTREAM_DIRECT_REMOTE_PORT", C::kDownstreamDirectPort},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS", C::kDirectLocal},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", C::kDirectLocalIp},
    {"DOWNSTREAM_DIRECT_LOCAL_PORT", C::kDirectLocalPort},
    {"DOWNSTREAM_CX_RTT", C::kRoundTrip},
    {"DOWNSTREAM_WIRE_BYTES_RECEIVED", C::kDownstreamBytes, kByteWireReceived},
    {"DOWNSTREAM_WIRE_BYTES_SENT", C::kDownstreamBytes, kByteWireSent},
    {"DOWNSTREAM_HEADER_BYTES_RECEIVED", C::kDownstreamBytes, kByteHeaderReceived},
    {"DOWNSTREAM_HEADER_BYTES_SENT", C::kDownstreamBytes, kByteHeaderSent},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", C::kDownstreamPlainBytes, kByteHeaderReceived},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", C::kDownstreamPlainBytes, kByteHeaderSent},
    {"UPSTREAM_WIRE_BYTES_RECEIVED", C::kUpstreamBytes, kByteWireReceived},
    {"UPSTREAM_WIRE_BYTES_SENT", C::kUpstreamBytes, kByteWireSent},
    {"UPSTREAM_HEADER_BYTES_RECEIVED", C::kUpstreamBytes, kByteHeaderReceived},
    {"UPSTREAM_HEADER_BYTES_SENT", C::kUpstreamBytes, kByteHeaderSent},
    {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", C::kUpstreamPlainBytes, kByteHeaderReceived},
    {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", C::kUpstreamPlainBytes, kByteHeaderSent},
    {"REQUESTED_SERVER_NAME", C::kServerName},
    {"FILTER_CHAIN_NAME", C::kChainName},
    {"LISTENER_NAME", C::kListenerName},
    {"ROUTE_NAME", C::kRouteName},
    {"ROUTE_RESOLUTION_COUNT", C::kRouteCount},
    {"VIRTUAL_HOST_NAME", C::kVirtualHost},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", C::kAttempts},
    {"HOSTNAME", C::kHostname},
    {"CONNECTION_ID", C::kConnectionId},
    {"STREAM_ID", C::kStreamId},
    {"UNIQUE_ID", C::kUniqueId},
    {"ACCESS_LOG_TYPE", C::kLogType},
    {"GRPC_STATUS_NUMBER", C::kGrpcStatus, kGrpcNumber},
    // Of QUIC, and of filters that are not built in: the same with Envoy, where these are not in use.
    {"BYTES_RETRANSMITTED", C::kZero},
    {"PACKETS_RETRANSMITTED", C::kZero},
    {"CUSTOM_FLAGS", C::kEmpty},
    {"ROUNDTRIP_DURATION", C::kDash},
    {"TRACE_ID", C::kDash},
    {"SPAN_ID", C::kDash},
    {"UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", C::kUpstreamEmpty},
    {"DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", C::kEmpty},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", C::kEmpty},
};

constexpr Row kWithArgument[] = {
    {"REQ", C::kRequestHeader},
    {"REQUEST_HEADER", C::kRequestHeader},
    {"STREAM_INFO_REQ", C::kRequestHeader},
    {"RESP", C::kResponseHeader},
    {"RESPONSE_HEADER", C::kResponseHeader},
    {"TRAILER", C::kTrailer},
    {"RESPONSE_TRAILER", C::kTrailer},
    {"REQ_WITHOUT_QUERY", C::kPathWithoutQuery},
    {"GRPC_STATUS", C::kGrpcStatus, kGrpcCamel},
    {"RESPONSE_CODE_DETAILS", C::kDetails},
    {"ENVIRONMENT", C::kFixed},
    {"START_TIME", C::kStartTime},
    {"START_TIME_LOCAL", C::kStartTimeLocal},
    {"EMIT_TIME", C::kEmitTime},
    {"EMIT_TIME_LOCAL", C::kEmitTimeLocal},
    {"COMMON_DURATION", C::kCommonDuration},
    {"PATH", C::kPathArgument, kQueryEither},
    {"CLUSTER_METADATA", C::kMetadata, kMetadataCluster},
    {"UPSTREAM_METADATA", C::kMetadata, kMetadataHost},
    {"METADATA", C::kMetadata},
    {"QUERY_PARAM", C::kQueryParameter},
    {"QUERY_PARAMS", C::kQuery, kQueryEither},
};

// Taken, and always a missing value: what they print comes from parts that are not built in, or is not kept.
constexpr std::string_view kUnfilled[] = {
    "DYNAMIC_METADATA", "FILTER_STATE", "UPSTREAM_FILTER_STATE", "VIRTUAL_CLUSTER_NAME",
    "TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT", "DOWNSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_LOCAL_CLOSE_REASON",
    "ROUTE_RESOLUTION_TIME_US", "DOWNSTREAM_DETECTED_CLOSE_TYPE", "UPSTREAM_DETECTED_CLOSE_TYPE",
};

std::optional<uint8_t> path_choice(std::string_view word) {
  if (word == "ORIG") return kQueryOriginal;
  if (word == "PATH") return kQueryPath;
  if (word == "ORIG_OR_PATH") return kQueryEither;
  return std::nullopt;
}

Status take_argument(LogPiece& piece, std::string_view name, std::string_view argument) {
  switch (piece.command) {
    case C::kCommonDuration:
      if (auto ok = check_common_duration(argument); !ok) return ok;
      break;
    case C::kPathArgument:
      for (std::string_view part : base::split(argument, ':')) {
        if (part == "NQ") piece.option |= kWithoutQuery;
        else if (auto choice = path_choice(part)) piece.option = static_cast<uint8_t>((piece.option & kWithoutQuery) | *choice);
        else if (!part.empty() && part != "WQ")
          return fail(Code::kInvalidArgument, "%PATH({})%: WQ or NQ, then ORIG, PATH or ORIG_OR_PATH", argument);
      }
      return {};
    case C::kMetadata: {
      if (name == "METADATA") {
        size_t colon = std::min(argument.find(':'), argument.size());
        std::string_view of = argument.substr(0, colon);
        argument.remove_prefix(std::min(colon + 1, argument.size()));
        if (of == "CLUSTER") piece.option = kMetadataCluster;
        else if (of == "UPSTREAM_HOST") piece.option = kMetadataHost;
        else if (of == "ROUTE") piece.option = kMetadataRoute;
        else if (of == "VIRTUAL_HOST") piece.option = kMetadataVirtualHost;
        else if (of == "DYNAMIC" || of == "LISTENER" || of == "LISTENER_FILTER_CHAIN") piece.command = C::kDash, piece.fallback = fmt::format("METADATA({})", of);
        else return fail(Code::kInvalidArgument, "%METADATA({}:...)%: CLUSTER, ROUTE, VIRTUAL_HOST, UPSTREAM_HOST, DYNAMIC, LISTENER or LISTENER_FILTER_CHAIN", of);
      }
      if (argument.empty() && piece.command == C::kMetadata) return fail(Code::kInvalidArgument, "%{}(...)% needs a namespace", name);
      break;
    }
    case C::kQuery: {
      auto choice = argument.empty() ? std::optional<uint8_t>(kQueryEither) : path_choice(argument);
      if (!choice) return fail(Code::kInvalidArgument, "%QUERY_PARAMS({})%: ORIG, PATH or ORIG_OR_PATH", argument);
      piece.option = *choice == kQueryPath ? kQueryPath : kQueryEither;
      return {};
    }
    case C::kQueryParameter: {
      size_t colon = argument.rfind(':');
      piece.option = kQueryEither;
      if (colon != std::string_view::npos)
        if (auto choice = path_choice(argument.substr(colon + 1))) piece.option = *choice == kQueryPath ? kQueryPath : kQueryEither, argument = argument.substr(0, colon);
      if (argument.empty()) return fail(Code::kInvalidArgument, "%QUERY_PARAM(...)% needs the name of a parameter");
      break;
    }
    case C::kGrpcStatus:
      if (argument == "SNAKE_STRING") piece.option = kGrpcSnake;
      else if (argument == "NUMBER") piece.option = kGrpcNumber;
      else if (!argument.empty() && argument != "CAMEL_STRING")
        return fail(Code::kInvalidArgument, "%GRPC_STATUS({})%: CAMEL_STRING, SNAKE_STRING or NUMBER", argument);
      return {};
    case C::kDetails:
      piece.option = argument == "ALLOW_WHITESPACES";
      return {};
    case C::kFixed: {
      const char* value = std::getenv(std::string(argument).c_str());
      piece.text = value ? value : "-";
      return {};
    }
    case C::kRequestHeader:
    case C::kResponseHeader:
    case C::kTrailer:
    case C::kPathWithoutQuery: {
      size_t q = argument.find('?');
      piece.text = base::to_lower(argument.substr(0, q));
      if (q != std::string_view::npos) piece.fallback = base::to_lower(argument.substr(q + 1));
      if (piece.text.empty()) return fail(Code::kInvalidArgument, "%{}(...)% needs the name of a header", name);
      // Not among the fields: taken from the head itself.
      auto pseudo = [](const std::string& field) { return field.starts_with(':') || field == "host"; };
      piece.option = static_cast<uint8_t>(pseudo(piece.text) | pseudo(piece.fallback) << 1);
      return {};
    }
    default:
      break;
  }
  piece.text = argument;
  return {};
}

}  // namespace

Result<LogPiece> parse_log_command(std::string_view name, std::string_view argument, size_t max_length) {
  LogPiece piece;
  piece.max_length = max_length;
  for (const Row& row : kPlain) {
    if (row.name != name) continue;
    // Envoy takes (and ignores) arguments of addresses without port, which say how long a prefix to keep.
    if (!argument.empty() && !name.ends_with("_WITHOUT_PORT")) return fail(Code::kInvalidArgument, "%{}% takes no argument", name);
    piece.command = row.command;
    piece.option = row.option;
    return piece;
  }
  for (const Row& row : kWithArgument) {
    if (row.name != name) continue;
    piece.command = row.command;
    piece.option = row.option;
    if (auto ok = take_argument(piece, name, argument); !ok) return std::unexpected(ok.error());
    return piece;
  }
  if (is_tls_operator(name)) {
    piece.command = C::kTls;
    piece.text = name;
    piece.fallback = argument;  // the time format of ..._CERT_V_START and _END
    return piece;
  }
  for (std::string_view known : kUnfilled) {
    if (known != name) continue;
    piece.command = C::kDash;
    piece.fallback = name;
    return piece;
  }
  std::vector<std::string_view> known(std::begin(kUnfilled), std::end(kUnfilled));
  for (const Row& row : kPlain) known.push_back(row.name);
  for (const Row& row : kWithArgument) known.push_back(row.name);
  auto guess = base::nearest(name, known);
  return fail(Code::kInvalidArgument, "unknown command %{}%{}", name,
              guess ? ". Did you mean %" + std::string(*guess) + "%?" : std::string());
}

Status parse_log_text(std::string_view text, LogShape shape, std::vector<LogPiece>& out) {
  std::string literal;
  auto end_literal = [&] {
    if (literal.empty()) return;
    LogPiece piece;
    piece.shape = shape;
    piece.text = std::move(literal);
    out.push_back(std::move(piece));
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
    auto piece = parse_log_command(name, argument, max_length);
    if (!piece) return fail(Code::kInvalidArgument, "offset {}: {}", i, piece.error().message);
    piece->shape = shape;
    end_literal();
    out.push_back(std::move(*piece));
    i = p + 1;
  }
  end_literal();
  return {};
}

}  // namespace fairlead::proxy
