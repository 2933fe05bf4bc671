// Probes of an injected pod go by the sidecar's agent: with mutual TLS required, the kubelet's own would be refused.
// Pure functions. Source: Istio's pkg/kube/inject/app_probe.go.
#pragma once

#include <string>

#include "base/value.h"

namespace fairlead::control {

// Rewrites httpGet, tcpSocket and grpc probes and lifecycle hooks of the containers (not of init containers: those run
// before there is an agent) to the agent's port, and returns what they were, for ISTIO_KUBE_APP_PROBERS; "" when there are
// none, or when the pod's annotation sidecar.istio.io/rewriteAppHTTPProbers says no.
std::string rewrite_probes(base::Value& pod);

}  // namespace fairlead::control
