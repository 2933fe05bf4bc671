// The command operators of formats, as they are compiled: what LogFormat's parts share with one another.
//
// access_log_parse.cc makes pieces of text; access_log_request.cc, access_log_connection.cc and access_log_time.cc say
// what a piece prints for one request or connection. Immutable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "proxy/log/access_log.h"

namespace fairlead::proxy {

// In the order of who answers: see LogFormat's value().
enum class LogCommand : uint8_t {
  kLiteral,
  // access_log_request.cc
  kRequestHeader, kResponseHeader, kTrailer, kRequestHeaderBytes, kResponseHeaderBytes, kTrailerBytes, kProtocol, kStatus, kFlags,
  kFlagsLong, kDetails, kTermination, kFailureReason, kBytesReceived, kBytesSent, kUpstreamHost, kUpstreamCluster, kUpstreamClusterRaw,
  kUpstreamLocal, kDownstreamLocal, kDownstreamRemote, kServerName, kRouteName, kVirtualHost, kAttempts, kHostname, kConnectionId,
  kGrpcStatus, kMethod, kPath, kScheme, kFixed, kLocalReplyBody, kPathArgument, kQueryParameter, kQuery, kStreamId, kUniqueId, kLogType,
  kPathWithoutQuery, kRouteCount, kMetadata, kZero, kEmpty,
  // access_log_connection.cc
  kDownstreamLocalIp, kUpstreamRemote, kUpstreamEmpty, kDownstreamLocalPort, kDownstreamRemoteIp, kDownstreamRemotePort, kDownstreamDirect, kDownstreamDirectIp,
  kDownstreamDirectPort, kDirectLocal, kDirectLocalIp, kDirectLocalPort, kUpstreamIp, kUpstreamPort, kUpstreamLocalIp, kUpstreamLocalPort,
  kUpstreamName, kUpstreamNameOnly, kUpstreamProtocol, kUpstreamConnectionId, kAttemptedHosts, kAttemptedIps, kAttemptedNames,
  kAttemptedNamesOnly, kAttemptedConnections, kDownstreamBytes, kUpstreamBytes, kDownstreamPlainBytes, kUpstreamPlainBytes, kChainName,
  kListenerName, kRoundTrip, kTls,
  // access_log_time.cc
  kStartTime, kStartTimeLocal, kEmitTime, kEmitTimeLocal, kDuration, kRequestDuration, kRequestTxDuration, kResponseDuration,
  kResponseTxDuration, kHandshakeDuration, kPoolDuration, kCommonDuration,
  // Nothing: a missing value.
  kDash,
};

// Ones that print something else in typed JSON than in text, or have a choice.
enum : uint8_t {
  kByteWireReceived, kByteWireSent, kByteHeaderReceived, kByteHeaderSent,     // of ...Bytes
  kGrpcCamel, kGrpcSnake, kGrpcNumber,                                        // of kGrpcStatus
  kMetadataCluster, kMetadataHost, kMetadataRoute, kMetadataVirtualHost,      // of kMetadata
  kQueryPath, kQueryOriginal, kQueryEither,                                   // of kQuery, and kPathArgument with 4 for NQ
};
constexpr uint8_t kWithoutQuery = 64;

struct LogPiece {
  std::string before;      // text in front of it
  bool (*print)(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number) = nullptr;
  LogCommand command = LogCommand::kLiteral;
  LogShape shape = LogShape::kText;
  uint8_t option = 0;
  std::string text;        // literal, header name, time format, environment value
  std::string fallback;    // second header of "A?B"
  size_t max_length = 0;   // 0: no bound
};

// One command. Errors say what was meant, where something near is known.
base::Result<LogPiece> parse_log_command(std::string_view name, std::string_view argument, size_t max_length);
// Text with commands, in pieces.
base::Status parse_log_text(std::string_view text, LogShape shape, std::vector<LogPiece>& out);

// For those that answer: a text, nothing when it is empty; a number.
bool put_text(std::string_view text, std::string& out);
bool put_count(uint64_t n, std::string& out, bool& number);
// Each appends what its commands print; false: nothing ("-"). number: no quotes in typed JSON.
bool request_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number);
bool metadata_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number);  // of kMetadata
bool connection_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number);
bool time_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number);

bool is_tls_operator(std::string_view name);
// What the format must be told of for this command (LogFormat::Need).
uint8_t needs_of(const LogPiece& piece);
// "a:b:c" of %COMMON_DURATION% is well formed.
base::Status check_common_duration(std::string_view argument);

}  // namespace fairlead::proxy
