// Transport sockets. Inside config/ only.
#pragma once

#include "proxy/config/compile_util.h"
#include "proxy/tls_source.h"

namespace fairlead::proxy {

// nullptr for raw_buffer. A context whose secrets are all in place is made at once, and what is wrong with it refused.
std::shared_ptr<TlsSource> downstream_tls(const CompileContext& at, const envoy::config::core::v3::TransportSocket& from);
struct UpstreamSocket {
  std::shared_ptr<TlsSource> tls;
  std::optional<ProxyHeaderConfig> proxy_header;   // written before anything else
};
UpstreamSocket upstream_socket(const CompileContext& at, const envoy::config::core::v3::TransportSocket& from);

}  // namespace fairlead::proxy
