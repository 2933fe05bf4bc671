// How a cluster's connections begin: with a PROXY header or without, plain text or TLS, by the endpoint's match. The cluster's thread, or for health
// checks the main one.
#pragma once

#include <memory>
#include <string>

#include "io/tls.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {

// auto_sni: what a request's authority asks for, as a server name.
std::string_view server_name_of(std::string_view authority);

struct ConnectionInfo;
// The PROXY header of a client's connections to `host`, where one is written; else "".
std::string lead_for(const ClusterConfig& cluster, const Host& host, const ConnectionInfo& client);

// What to wrap a connection to `host` in. http: the stream protocol of a pool; kTcp: bytes of a TCP proxy.
enum class DialFor : uint8_t { kTcp, kHttp1, kHttp2, kHttp };  // kHttp: either, by ALPN
struct Wrapped {
  std::unique_ptr<io::Transport> transport;
  bool handshake = false;                 // TLS: not to be used before its handshake
  bool ready = true;                      // false: secrets are missing; transport is null
};
// server_name: SNI instead of the configured one, when not empty. lead: lead_for() the client; where it is empty and a header
// is written, it says that the connection is the proxy's own.
Wrapped wrap_upstream(io::Loop& loop, const ClusterConfig& cluster, io::TlsCounters* counters, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use,
                      const std::string& server_name = {}, std::string lead = {});
Wrapped wrap_upstream(Cluster& cluster, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use, const std::string& server_name = {}, std::string lead = {});
// Writes `bytes` before anything else that goes out.
std::unique_ptr<io::Transport> lead_in(std::unique_ptr<io::Transport> transport, std::string bytes);

}  // namespace fairlead::proxy
