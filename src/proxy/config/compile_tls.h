// Transport sockets with certificates given in place. Inside config/ only.
#pragma once

#include "proxy/config/compile_util.h"

namespace fairlead::proxy {

// nullptr for raw_buffer. no_secrets: certificates by SDS, which are not taken.
std::shared_ptr<const io::TlsContext> downstream_tls(const CompileContext& at, const envoy::config::core::v3::TransportSocket& from, bool& no_secrets);
std::shared_ptr<const io::TlsContext> upstream_tls(const CompileContext& at, const envoy::config::core::v3::TransportSocket& from, std::string& sni);

}  // namespace fairlead::proxy
