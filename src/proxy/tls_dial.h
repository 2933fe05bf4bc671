// How a cluster's connections begin: plain text, or TLS by the endpoint's match. The cluster's thread, or for health
// checks the main one.
#pragma once

#include <memory>
#include <string>

#include "io/tls.h"
#include "proxy/upstream.h"

namespace fairlead::proxy {

// auto_sni: what a request's authority asks for, as a server name.
std::string_view server_name_of(std::string_view authority);

// What to wrap a connection to `host` in. http: the stream protocol of a pool; kTcp: bytes of a TCP proxy.
enum class DialFor : uint8_t { kTcp, kHttp1, kHttp2 };
struct Wrapped {
  std::unique_ptr<io::Transport> transport;
  bool handshake = false;                 // TLS: not to be used before its handshake
  bool ready = true;                      // false: secrets are missing; transport is null
};
// server_name: SNI instead of the configured one, when not empty.
Wrapped wrap_upstream(io::Loop& loop, const ClusterConfig& cluster, io::TlsCounters* counters, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use,
                      const std::string& server_name = {});
Wrapped wrap_upstream(Cluster& cluster, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use, const std::string& server_name = {});

}  // namespace fairlead::proxy
