// TLS termination of a Gateway's server. Internal to discovery/; include only in sources.
// Source: Istio's pilot/pkg/networking/core/listener.go (BuildListenerTLSContext), pilot/pkg/security/model.
#pragma once

#include "base/value.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace fairlead::control {

// settings: Server.tls of a mode that terminates. http: what is inside is HTTP.
void gateway_tls(envoy::config::listener::v3::FilterChain& chain, const base::Value& settings, bool http);

}  // namespace fairlead::control
