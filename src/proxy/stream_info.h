// StreamInfo: what access logs, header formatters and filters of logs may ask about one request or connection.
//
// Worker thread only; a member of the Exchange or of the TCP connection, which fill it in as things happen.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "http/byte_counts.h"
#include "proxy/headers.h"

namespace fairlead::io {
struct TlsInfo;
}

namespace fairlead::proxy {

// Envoy's response flags (source/common/stream_info/utility.cc has the names). Bits of StreamInfo::flags.
enum ResponseFlag : uint32_t {
  kFlagUpstreamUnhealthy = 1u << 0,            // UH no healthy upstream
  kFlagUpstreamConnectFailure = 1u << 1,       // UF
  kFlagUpstreamOverflow = 1u << 2,             // UO circuit breaker
  kFlagNoRoute = 1u << 3,                      // NR
  kFlagRetryLimit = 1u << 4,                   // URX
  kFlagNoCluster = 1u << 5,                    // NC
  kFlagDurationTimeout = 1u << 6,              // DT
  kFlagDownstreamTermination = 1u << 7,        // DC
  kFlagLocalReset = 1u << 8,                   // LR
  kFlagUpstreamReset = 1u << 9,                // UR upstream remote reset
  kFlagUpstreamTermination = 1u << 10,         // UC
  kFlagUpstreamTimeout = 1u << 11,             // UT
  kFlagDelayInjected = 1u << 12,               // DI
  kFlagFaultInjected = 1u << 13,               // FI
  kFlagDownstreamProtocolError = 1u << 14,     // DPE
  kFlagUpstreamProtocolError = 1u << 15,       // UPE
  kFlagStreamIdleTimeout = 1u << 16,           // SI
  kFlagOverloadManager = 1u << 17,             // OM
  kFlagDownstreamReset = 1u << 18,             // DR
  kFlagMaxDuration = 1u << 19,                 // UMSDR
  kFlagRateLimited = 1u << 20,                 // RL
  kFlagFailedLocalHealthCheck = 1u << 21,      // LH
  kFlagInvalidEnvoyHeaders = 1u << 22,         // IH strict_check_headers
  kFlagDropOverload = 1u << 23,                // DO drop_overloads
  kFlagDropOverloadAlways = 1u << 24,          // UDO all of them
};
std::string flags_text(uint32_t flags);        // "UH,URX"; "-" for none
uint32_t parse_flag(std::string_view name);    // 0 when unknown

struct ConnectionInfo;
struct Workload;

// Where a line is written (envoy.data.accesslog.v3.AccessLogType).
enum class LogType : uint8_t { kNotSet = 0, kTcpConnectionEnd = 3, kDownstreamEnd = 6 };

// Names and values alone, pseudo header fields included.
uint64_t plain_bytes(const HeaderMap& fields);
uint64_t plain_bytes(const RequestHeaders& request);

struct StreamInfo;
// What an answer says to gRPC: its trailers, its head, or what its HTTP status stands for. `asked`: nothing, when the
// request was not gRPC.
std::optional<int> grpc_status_of(const StreamInfo& info, bool asked = true);

struct StreamInfo {
  const RequestHeaders* request = nullptr;     // nullptr on TCP connections
  const ResponseHeaders* response = nullptr;
  const HeaderMap* response_trailers = nullptr;
  std::string_view protocol;                   // "HTTP/1.1", "HTTP/2", "" on TCP
  base::TimePoint start;
  base::WallTime start_wall;
  base::Nanos request_received{-1};            // since start; -1: not yet
  base::Nanos response_first{-1}, response_last{-1}, end{-1};
  // Of the last attempt.
  base::Nanos upstream_ready{-1};              // a stream was there
  base::Nanos request_sent{-1};                // the request was handed on whole
  base::Nanos upstream_first{-1}, response_body_first{-1};
  base::Nanos pool_wait{-1};                   // how long the pool took to give a stream
  base::TimePoint upstream_connect_began{}, upstream_connected{}, upstream_shaken{};  // of its connection
  uint64_t upstream_connection_id = 0;
  uint64_t bytes_received = 0, bytes_sent = 0;
  uint64_t request_header_bytes = 0, response_header_bytes = 0;
  uint64_t request_plain_bytes = 0;            // names and values as they came, HTTP/2
  uint64_t upstream_plain_sent = 0, upstream_plain_received = 0;  // the same towards the last endpoint, when a log asks
  uint64_t connection_id = 0;
  const http::ByteCounts* downstream_bytes = nullptr;  // nullptr: none were counted
  const http::ByteCounts* upstream_bytes = nullptr;
  const ConnectionInfo* connection = nullptr;
  LogType type = LogType::kNotSet;
  int status = 0;                              // 0: no response was begun
  uint32_t flags = 0;
  uint32_t attempts = 0;
  bool health_check = false;
  std::string_view details;                    // static text or in the request's arena
  std::string_view local_reply_body;           // of an answer of our own, while it is formatted
  std::string_view termination_details;
  std::string_view failure_reason;             // UPSTREAM_TRANSPORT_FAILURE_REASON
  std::string_view cluster, cluster_raw, route, virtual_host;
  std::string_view upstream_host;              // "ip:port"
  std::string_view upstream_local;
  std::string_view upstream_protocol;          // "HTTP/1.1", "HTTP/2"; empty: no stream was had
  std::string_view upstream_host_name;         // empty: the address is the name
  // Of all attempts that got as far, "a,b"; kept when a log asks (LogFormat::kAttempts).
  std::string_view attempted_hosts, attempted_names, attempted_connections;
  std::string_view downstream_local, downstream_remote, downstream_direct_remote;
  std::string_view server_name;
  // Serialized; nullptr: none. Those of endpoints are kept when a log asks (LogFormat::kMetadata).
  const std::string *route_metadata = nullptr, *virtual_host_metadata = nullptr;
  std::shared_ptr<const std::string> cluster_metadata, host_metadata;
  std::shared_ptr<const Workload> downstream_peer, upstream_peer;  // as istio.metadata_exchange heard; nullptr: it did not
  const io::TlsInfo* downstream_tls = nullptr;  // set when something asks for it
  const io::TlsInfo* upstream_tls = nullptr;
  std::string_view downstream_failure;         // DOWNSTREAM_TRANSPORT_FAILURE_REASON
};

}  // namespace fairlead::proxy
