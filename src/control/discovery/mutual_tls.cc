#include "control/discovery/mutual_tls.h"

#include "base/strings.h"
#include "control/discovery/proto.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"

// match_subject_alt_names is deprecated in Envoy and still what Istio sends.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace fairlead::control {

namespace tls = envoy::extensions::transport_sockets::tls::v3;
namespace core = envoy::config::core::v3;

void agent_secret(SdsSecretConfig* out, const std::string& name) {
  out->set_name(name);
  auto& source = *out->mutable_sds_config();
  source.set_resource_api_version(core::V3);
  if (!name.starts_with("file-")) source.mutable_initial_fetch_timeout();  // waited for without end
  auto& api = *source.mutable_api_config_source();
  api.set_api_type(core::ApiConfigSource::GRPC);
  api.set_transport_api_version(core::V3);
  api.set_set_node_on_first_message_only(true);
  api.add_grpc_services()->mutable_envoy_grpc()->set_cluster_name("sds-grpc");
}

std::string file_certificate(const std::string& certificate, const std::string& key) { return "file-cert:" + certificate + "~" + key; }
std::string file_root(const std::string& ca) { return "file-root:" + ca; }

void kubernetes_secret(SdsSecretConfig* out, const std::string& name) {
  out->set_name(name.starts_with("kubernetes://") ? name : "kubernetes://" + name);
  set_ads(out->mutable_sds_config());
  out->mutable_sds_config()->clear_initial_fetch_timeout();  // there may never be one; the rest of a listener goes on without
}

std::string sni_of(const std::string& cluster_name) { return base::replace_all(cluster_name, "|", "_."); }

void mutual_tls_socket(core::TransportSocket* out, const envoy::config::cluster::v3::Cluster& cluster, bool http2, const base::Value& settings,
                       const Names& accounts) {
  tls::UpstreamTlsContext context;
  const std::string& sni = settings["sni"].as_string();
  context.set_sni(sni.empty() ? sni_of(cluster.name()) : sni);
  auto& common = *context.mutable_common_tls_context();
  common.mutable_tls_params()->set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_2);
  common.mutable_tls_params()->set_tls_maximum_protocol_version(tls::TlsParameters::TLSv1_3);
  common.add_alpn_protocols("istio-peer-exchange");
  common.add_alpn_protocols("istio");
  if (http2) common.add_alpn_protocols("h2");
  agent_secret(common.add_tls_certificate_sds_secret_configs(), "default");
  auto& combined = *common.mutable_combined_validation_context();
  auto& rules = *combined.mutable_default_validation_context();
  for (const auto& name : settings["subjectAltNames"].items()) rules.add_match_subject_alt_names()->set_exact(name.as_string());
  if (!settings["subjectAltNames"].is_array())
    for (const auto& name : accounts) rules.add_match_subject_alt_names()->set_exact(name);
  agent_secret(combined.mutable_validation_context_sds_secret_config(), "ROOTCA");
  out->set_name("envoy.transport_sockets.tls");
  pack(out->mutable_typed_config(), context);
}

void auto_mutual_tls(envoy::config::cluster::v3::Cluster& cluster, bool http2, const Names& accounts) {
  auto* secure = cluster.add_transport_socket_matches();
  secure->set_name("tlsMode-istio");
  (*secure->mutable_match()->mutable_fields())["tlsMode"].set_string_value("istio");
  mutual_tls_socket(secure->mutable_transport_socket(), cluster, http2, {}, accounts);
  auto* plain = cluster.add_transport_socket_matches();
  plain->set_name("tlsMode-disabled");
  plain->mutable_match();
  plain->mutable_transport_socket()->set_name("envoy.transport_sockets.raw_buffer");
  pack(plain->mutable_transport_socket()->mutable_typed_config(), envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer());
}

void inbound_mutual_tls(envoy::config::listener::v3::FilterChain& chain, bool http, const Names& trust_domains) {
  tls::DownstreamTlsContext context;
  context.mutable_require_client_certificate()->set_value(true);
  auto& common = *context.mutable_common_tls_context();
  auto& params = *common.mutable_tls_params();
  params.set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_2);
  params.set_tls_maximum_protocol_version(tls::TlsParameters::TLSv1_3);
  for (const char* suite : {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
                            "ECDHE-RSA-AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-GCM-SHA256"})
    params.add_cipher_suites(suite);
  if (!http) common.add_alpn_protocols("istio-peer-exchange");
  common.add_alpn_protocols("h2");
  common.add_alpn_protocols("http/1.1");
  agent_secret(common.add_tls_certificate_sds_secret_configs(), "default");
  auto& combined = *common.mutable_combined_validation_context();
  for (const auto& domain : trust_domains) combined.mutable_default_validation_context()->add_match_subject_alt_names()->set_prefix("spiffe://" + domain + "/");
  agent_secret(combined.mutable_validation_context_sds_secret_config(), "ROOTCA");
  chain.mutable_transport_socket()->set_name("envoy.transport_sockets.tls");
  pack(chain.mutable_transport_socket()->mutable_typed_config(), context);
  // Istio limits this at gateways and outbound only; a peer that stops in its handshake is no less of a burden here.
  set_duration(chain.mutable_transport_socket_connect_timeout(), std::chrono::seconds(15));
}

}  // namespace fairlead::control
