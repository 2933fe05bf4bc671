#include "control/discovery/gateway_tls.h"

#include <string>

#include "control/discovery/mutual_tls.h"
#include "control/discovery/proto.h"

// match_subject_alt_names is deprecated in Envoy and still what Istio sends.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace fairlead::control {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;
using base::Value;

tls::TlsParameters::TlsProtocol version(const std::string& name) {
  return name == "TLSV1_0"   ? tls::TlsParameters::TLSv1_0
         : name == "TLSV1_1" ? tls::TlsParameters::TLSv1_1
         : name == "TLSV1_2" ? tls::TlsParameters::TLSv1_2
                             : tls::TlsParameters::TLSv1_3;
}

bool is_set(const Value& version) { return !version.as_string().empty() && version.as_string() != "TLS_AUTO"; }

void parameters(tls::CommonTlsContext& common, const Value& in) {
  if (is_set(in["minProtocolVersion"])) common.mutable_tls_params()->set_tls_minimum_protocol_version(version(in["minProtocolVersion"].as_string()));
  if (is_set(in["maxProtocolVersion"])) common.mutable_tls_params()->set_tls_maximum_protocol_version(version(in["maxProtocolVersion"].as_string()));
  for (const auto& curve : in["ecdhCurves"].items()) common.mutable_tls_params()->add_ecdh_curves(curve.as_string());
  for (const auto& suite : in["cipherSuites"].items()) common.mutable_tls_params()->add_cipher_suites(suite.as_string());
}

// What a client's certificate has to be, beside being signed by the CA.
void client_rules(tls::CertificateValidationContext& out, const Value& in) {
  for (const auto& name : in["subjectAltNames"].items()) out.add_match_subject_alt_names()->set_exact(name.as_string());
  if (!in["caCrl"].as_string().empty()) out.mutable_crl()->set_filename(in["caCrl"].as_string());
  if (in["insecureSkipVerify"].as_bool()) out.set_trust_chain_verification(tls::CertificateValidationContext::ACCEPT_UNTRUSTED);
}

// By SDS from the control plane: rotated without a change of the listener, and never seen by a proxy that may not.
void from_secrets(tls::CommonTlsContext& common, const Value& in, bool verify) {
  std::string first = in["credentialName"].as_string();
  if (in["credentialNames"].empty()) {
    kubernetes_secret(common.add_tls_certificate_sds_secret_configs(), first);
  } else {
    for (const auto& name : in["credentialNames"].items()) kubernetes_secret(common.add_tls_certificate_sds_secret_configs(), name.as_string());
    first = in["credentialNames"][0].as_string();
  }
  if (!verify) {
    for (const auto& name : in["subjectAltNames"].items()) common.mutable_validation_context()->add_match_subject_alt_names()->set_exact(name.as_string());
    return;
  }
  auto& combined = *common.mutable_combined_validation_context();
  auto& rules = *combined.mutable_default_validation_context();
  client_rules(rules, in);
  rules.clear_crl();  // the CA's Secret brings its own
  for (const auto& pin : in["verifyCertificateSpki"].items()) rules.add_verify_certificate_spki(pin.as_string());
  for (const auto& pin : in["verifyCertificateHash"].items()) rules.add_verify_certificate_hash(pin.as_string());
  kubernetes_secret(combined.mutable_validation_context_sds_secret_config(), in["caCertCredentialName"].string_or(first + "-cacert"));
}

// From files in the gateway's pod, or with the mesh's own identity.
void from_agent(tls::CommonTlsContext& common, const Value& in, bool verify) {
  auto pair = [&](const Value& from) {
    const std::string& certificate = from["serverCertificate"].as_string();
    agent_secret(common.add_tls_certificate_sds_secret_configs(), certificate.empty() ? "default" : file_certificate(certificate, from["privateKey"].as_string()));
  };
  if (in["tlsCertificates"].empty()) pair(in);
  for (const auto& entry : in["tlsCertificates"].items()) pair(entry);
  if (!verify) return;
  auto& combined = *common.mutable_combined_validation_context();
  client_rules(*combined.mutable_default_validation_context(), in);
  const std::string& ca = in["caCertificates"].as_string();
  agent_secret(combined.mutable_validation_context_sds_secret_config(), ca.empty() ? "ROOTCA" : file_root(ca));
}

}  // namespace

void gateway_tls(envoy::config::listener::v3::FilterChain& chain, const Value& in, bool http) {
  tls::DownstreamTlsContext out;
  auto& common = *out.mutable_common_tls_context();
  const std::string mode = in["mode"].string_or("SIMPLE");
  bool mesh = mode == "ISTIO_MUTUAL";
  if (mesh && !http) common.add_alpn_protocols("istio-peer-exchange");
  common.add_alpn_protocols("h2");
  common.add_alpn_protocols("http/1.1");
  bool required = mode == "MUTUAL" || mesh, verify = required || mode == "OPTIONAL_MUTUAL";
  out.mutable_require_client_certificate()->set_value(required);
  if (mesh) {
    Value own = Value::object({{"subjectAltNames", in["subjectAltNames"]}, {"caCrl", in["caCrl"]}, {"insecureSkipVerify", in["insecureSkipVerify"]}});
    from_agent(common, own, verify);
  } else {
    if (!in["credentialName"].as_string().empty() || !in["credentialNames"].empty()) from_secrets(common, in, verify);
    else from_agent(common, in, verify);
    parameters(common, in);
  }
  chain.mutable_transport_socket()->set_name("envoy.transport_sockets.tls");
  pack(chain.mutable_transport_socket()->mutable_typed_config(), out);
}

}  // namespace fairlead::control
