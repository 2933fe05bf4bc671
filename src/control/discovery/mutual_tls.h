// TLS contexts with the mesh's own identities, and secrets by SDS. Internal; include only in sources.
// Source: Istio's pilot/pkg/networking/core/cluster_tls.go, pilot/pkg/security.
#pragma once

#include <string>
#include <vector>

#include "control/authentication.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace fairlead::control {

using SdsSecretConfig = envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;

// "default", "ROOTCA", "file-cert:...": from the agent of the proxy's pod.
void agent_secret(SdsSecretConfig* out, const std::string& name);
std::string file_certificate(const std::string& certificate, const std::string& key);  // their names, by file
std::string file_root(const std::string& ca);                                          // "system": the host's
// "kubernetes://NAME": a Secret, from the control plane.
void kubernetes_secret(SdsSecretConfig* out, const std::string& name);

// "outbound_.9080_.v1_.reviews.default.svc.cluster.local" of "outbound|9080|v1|reviews.default.svc.cluster.local"
std::string sni_of(const std::string& cluster_name);

// Who a service's endpoints are, when the mesh knows: a certificate with none of these names is not believed.
using Names = std::vector<std::string>;

// ISTIO_MUTUAL as a cluster's transport socket. The settings' own names count, if there are any.
void mutual_tls_socket(envoy::config::core::v3::TransportSocket* out, const envoy::config::cluster::v3::Cluster& cluster, bool http2,
                       const base::Value& settings, const Names& accounts);
// The same for endpoints that carry tlsMode=istio, plain text for others.
void auto_mutual_tls(envoy::config::cluster::v3::Cluster& cluster, bool http2, const Names& accounts);

// What a sidecar shows to its callers.
void inbound_mutual_tls(envoy::config::listener::v3::FilterChain& chain, bool http, const Names& trust_domains);

}  // namespace fairlead::control
