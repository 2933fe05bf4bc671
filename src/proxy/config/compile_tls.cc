#include "proxy/config/compile_tls.h"

#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "io/tls.h"

namespace fairlead::proxy {

namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;
namespace {

bool is_plain(const envoy::config::core::v3::TransportSocket& from) {
  return from.name() == "envoy.transport_sockets.raw_buffer" || short_type(from.typed_config()).ends_with(".RawBuffer");
}

io::TlsOptions common(const CompileContext& at, const tls_v3::CommonTlsContext& from) {
  io::TlsOptions o;
  if (from.tls_certificate_sds_secret_configs_size()) at.at("tls_certificate_sds_secret_configs").refuse("secrets by SDS are not taken; give tls_certificates");
  if (from.tls_certificates_size() > 1) at.at("tls_certificates").refuse("one certificate for each filter chain is taken");
  if (from.tls_certificates_size()) {
    CompileContext here = at.at("tls_certificates", 0);
    o.certificate_pem = data_source(here.at("certificate_chain"), from.tls_certificates(0).certificate_chain());
    o.key_pem = data_source(here.at("private_key"), from.tls_certificates(0).private_key());
  }
  if (from.has_validation_context()) {
    const auto& v = from.validation_context();
    o.ca_pem = data_source(at.at("validation_context.trusted_ca"), v.trusted_ca());
    if (v.match_typed_subject_alt_names_size() || v.match_subject_alt_names_size() || v.verify_certificate_hash_size() || v.verify_certificate_spki_size())
      at.at("validation_context").refuse("only trusted_ca is taken");
  } else if (from.validation_context_type_case() != tls_v3::CommonTlsContext::VALIDATION_CONTEXT_TYPE_NOT_SET) {
    at.refuse("a validation context by SDS is not taken; give validation_context");
  }
  for (const auto& p : from.alpn_protocols()) o.alpn.push_back(p);
  return o;
}

}  // namespace

std::shared_ptr<const io::TlsContext> downstream_tls(const CompileContext& parent, const envoy::config::core::v3::TransportSocket& from, bool& no_secrets) {
  if (is_plain(from)) return nullptr;
  CompileContext at = parent.at("typed_config");
  auto tls = unpack<tls_v3::DownstreamTlsContext>(at, from.typed_config());
  if (tls.common_tls_context().tls_certificate_sds_secret_configs_size()) {
    no_secrets = true;
    at.warn("tls_certificate_sds_secret_configs");
    return nullptr;
  }
  io::TlsOptions o = common(at.at("common_tls_context"), tls.common_tls_context());
  if (o.certificate_pem.empty()) at.at("common_tls_context.tls_certificates").refuse("a certificate is required");
  o.require_client_certificate = tls.require_client_certificate().value();
  o.request_client_certificate = !o.ca_pem.empty();
  auto context = io::TlsContext::server(o);
  if (!context) at.refuse("{}", context.error().text());
  return *context;
}

std::shared_ptr<const io::TlsContext> upstream_tls(const CompileContext& parent, const envoy::config::core::v3::TransportSocket& from, std::string& sni) {
  if (is_plain(from)) return nullptr;
  CompileContext at = parent.at("typed_config");
  auto tls = unpack<tls_v3::UpstreamTlsContext>(at, from.typed_config());
  sni = tls.sni();
  auto context = io::TlsContext::client(common(at.at("common_tls_context"), tls.common_tls_context()));
  if (!context) at.refuse("{}", context.error().text());
  return *context;
}

}  // namespace fairlead::proxy
