// What is done with each field of the tls messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kTlsFields = R"fields(
envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport
  1 config yes > envoy.config.core.v3.ProxyProtocolConfig
  2 transport_socket yes > envoy.config.core.v3.TransportSocket

envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
  1 common_tls_context yes > envoy.extensions.transport_sockets.tls.v3.CommonTlsContext
  2 require_client_certificate yes
  3 require_sni yes
  4 session_ticket_keys yes > *
  5 session_ticket_keys_sds_secret_config yes > envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig
  6 session_timeout yes
  7 disable_stateless_session_resumption yes
  8 ocsp_staple_policy yes
  9 full_scan_certs_on_sni_mismatch yes
  10 disable_stateful_session_resumption yes

envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
  1 common_tls_context yes > envoy.extensions.transport_sockets.tls.v3.CommonTlsContext
  2 sni yes
  3 allow_renegotiation warn renegotiation is never allowed
  4 max_session_keys yes
  5 enforce_rsa_key_usage warn no effect

envoy.extensions.transport_sockets.tls.v3.Secret
  1 name yes
  2 tls_certificate yes > envoy.extensions.transport_sockets.tls.v3.TlsCertificate
  3 session_ticket_keys yes > *
  4 validation_context yes > envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext
  5 generic_secret refuse not known

envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer

envoy.extensions.transport_sockets.tls.v3.CommonTlsContext
  1 tls_params yes > envoy.extensions.transport_sockets.tls.v3.TlsParameters
  2 tls_certificates[] yes > envoy.extensions.transport_sockets.tls.v3.TlsCertificate
  3 validation_context yes > envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext
  4 alpn_protocols[] yes
  6 tls_certificate_sds_secret_configs[] yes > envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig
  7 validation_context_sds_secret_config yes > envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig
  8 combined_validation_context yes > envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext
  9 tls_certificate_certificate_provider refuse certificate providers are not known
  10 validation_context_certificate_provider refuse certificate providers are not known
  11 tls_certificate_certificate_provider_instance refuse certificate providers are not known
  12 validation_context_certificate_provider_instance refuse certificate providers are not known
  13 custom_handshaker refuse not known
  14 tls_certificate_provider_instance refuse certificate providers are not known
  15 key_log warn keys are not logged

envoy.extensions.transport_sockets.tls.v3.TlsParameters
  1 tls_minimum_protocol_version yes
  2 tls_maximum_protocol_version yes
  3 cipher_suites[] yes
  4 ecdh_curves[] yes
  5 signature_algorithms[] yes

envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig
  1 name yes
  2 sds_config yes > *

envoy.extensions.transport_sockets.tls.v3.TlsCertificate
  1 certificate_chain yes > envoy.config.core.v3.DataSource
  2 private_key yes > envoy.config.core.v3.DataSource
  3 password yes > envoy.config.core.v3.DataSource
  4 ocsp_staple warn not sent
  5 signed_certificate_timestamp[] warn not sent
  6 private_key_provider refuse give a plain PEM key
  7 watched_directory yes > *
  8 pkcs12 yes > envoy.config.core.v3.DataSource

envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext
  1 trusted_ca yes > envoy.config.core.v3.DataSource
  2 verify_certificate_hash[] yes
  3 verify_certificate_spki[] yes
  6 require_signed_certificate_timestamp refuse not checked
  7 crl yes > envoy.config.core.v3.DataSource
  8 allow_expired_certificate yes
  9 match_subject_alt_names[] yes > envoy.type.matcher.v3.StringMatcher
  10 trust_chain_verification yes
  11 watched_directory yes > *
  12 custom_validator_config refuse not known
  13 ca_certificate_provider_instance refuse not known
  14 only_verify_leaf_cert_crl yes
  15 match_typed_subject_alt_names[] yes > envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher
  16 max_verify_depth yes
  17 system_root_certs yes > *

envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext
  1 default_validation_context yes > envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext
  2 validation_context_sds_secret_config yes > envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig
  3 validation_context_certificate_provider refuse certificate providers are not known
  4 validation_context_certificate_provider_instance refuse certificate providers are not known

envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher
  1 san_type yes
  2 matcher yes > envoy.type.matcher.v3.StringMatcher
  3 oid refuse not known
)fields";

}  // namespace fairlead::proxy
