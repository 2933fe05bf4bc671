#include "proxy/config/compile_tls.h"

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "io/key_formats.h"
#include "io/tls.h"
#include "xds/wire.h"

namespace fairlead::proxy {

namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;
namespace core_v3 = envoy::config::core::v3;
using base::Code;
using base::Result;
using base::Status;

namespace {

bool is_plain(const core_v3::TransportSocket& from) {
  return from.name() == "envoy.transport_sockets.raw_buffer" || short_type(from.typed_config()).ends_with(".RawBuffer");
}

// files: what was read from, to be watched.
Result<std::string> read_pem(const core_v3::DataSource& from, std::string_view what, std::set<std::string>& files) {
  if (!from.filename().empty()) files.insert(from.filename());
  auto text = read_source(from);
  if (!text) return std::unexpected(base::Error{text.error().code, text.error().message, fmt::format("{}.{}", what, text.error().where)});
  return text;
}

struct SanMatcher {
  tls_v3::SubjectAltNameMatcher::SanType type = tls_v3::SubjectAltNameMatcher::SAN_TYPE_UNSPECIFIED;  // this: any
  StringMatcher string;

  bool fits(const io::CertificateFacts& facts) const {
    using M = tls_v3::SubjectAltNameMatcher;
    auto any = [this](const std::vector<std::string>& values) { return std::ranges::any_of(values, [this](const auto& v) { return string.matches(v); }); };
    auto dns = [this](const std::vector<std::string>& values) {
      return std::ranges::any_of(values, [this](const std::string& v) {
        if (string.matches(v)) return true;
        if (string.kind != StringMatcher::Kind::kExact || !v.starts_with("*.")) return false;
        // A wildcard certificate stands for one label.
        size_t dot = string.text.find('.');
        return dot != std::string::npos && base::to_lower(v.substr(1)) == base::to_lower(string.text.substr(dot));
      });
    };
    switch (type) {
      case M::EMAIL:
        return any(facts.emails);
      case M::DNS:
        return dns(facts.dns_names);
      case M::URI:
        return any(facts.uris);
      case M::IP_ADDRESS:
        return any(facts.ips);
      default:
        return any(facts.uris) || dns(facts.dns_names) || any(facts.emails) || any(facts.ips);
    }
  }
};

// A secret of static_resources.secrets, when the reference says not where it comes from. They do not change: it is as if what
// it has stood in place.
std::optional<tls_v3::Secret> static_secret(const CompileContext& at, const tls_v3::SdsSecretConfig& from, bool (tls_v3::Secret::*kind)() const, std::string_view wanted) {
  if (from.has_sds_config()) return std::nullopt;
  if (from.name().empty()) at.at("name").refuse("a name is required");
  const auto& known = at.compiler.static_secrets;
  auto bytes = known.find(from.name());
  if (bytes == known.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, unused] : known) names.push_back(name);
    auto near = base::nearest(from.name(), names);
    at.at("name").refuse("static_resources.secrets has no secret {}; {}", from.name(), near ? fmt::format("did you mean {}?", *near) : "add it there, or say with sds_config where it comes from");
  }
  tls_v3::Secret secret;
  if (!secret.ParseFromString(bytes->second) || !(secret.*kind)()) at.at("name").refuse("the secret {} has no {}", from.name(), wanted);
  return secret;
}

SecretRef secret_ref(const CompileContext& at, const tls_v3::SdsSecretConfig& from) {
  SecretRef ref;
  ref.name = from.name();
  if (ref.name.empty()) at.at("name").refuse("a name is required");
  static_cast<DiscoverySource&>(ref) = discovery_source(at.at("sds_config"), from.sds_config(), true);
  return ref;
}

// What a compiled transport socket was made of.
class CompiledTls final : public TlsSource {
 public:
  tls_v3::CommonTlsContext common;
  tls_v3::TlsSessionTicketKeys ticket_keys;
  std::vector<SecretRef> certificate_refs;
  std::optional<SecretRef> validation_ref, ticket_ref;
  bool require_client = false, tickets = true;
  unsigned max_sessions = 1;
  std::chrono::seconds session_timeout{0};
  std::string ticket_salt;

  Status build(const SecretLookup& lookup) override {
    std::vector<SecretBytes> values;
    for (const SecretRef& ref : secrets) {
      values.push_back(lookup(ref));
      if (!values.back()) return {};
    }
    bool lazy = !secrets.empty() && std::ranges::all_of(secrets, [](const SecretRef& r) { return r.from != SecretRef::From::kFile && !r.name.starts_with("file-"); }) && files_.empty();
    std::lock_guard lock(mutex_);
    std::vector<SecretBytes> before = std::exchange(values_, std::move(values));
    stale_ = true;
    if (lazy && !context_) return {};
    Status ok = make();
    if (!ok) {
      values_ = std::move(before);
      stale_ = false;
    }
    return ok;
  }

  std::set<std::string> files() const override {
    std::lock_guard lock(mutex_);
    return files_;
  }

  bool complete() const override {
    std::lock_guard lock(mutex_);
    return context_ || stale_;
  }

  std::shared_ptr<const io::TlsContext> context() override {
    std::lock_guard lock(mutex_);
    if (stale_)
      if (auto ok = make(); !ok) FL_LOG_WARN("secrets", "{}", ok.error().text());
    return context_;
  }

  InUse in_use() const override {
    InUse out;
    std::shared_ptr<const io::TlsContext> c;
    {
      std::lock_guard lock(mutex_);
      c = context_;
    }
    if (c) {
      if (!c->options().certificate_pem.empty()) out.certificates.push_back(c->options().certificate_pem);
      for (const auto& more : c->options().more_certificates) out.certificates.push_back(more.certificate_pem);
      out.ca = c->options().ca_pem;
    }
    return out;
  }

 private:
  Status make() {
    stale_ = false;
    std::set<std::string> files;
    auto options = gather(files);
    files_ = std::move(files);
    if (!options) return std::unexpected(options.error());
    auto context = server ? io::TlsContext::server(*options) : io::TlsContext::client(*options);
    if (!context) return std::unexpected(base::Error{files_.empty() ? context.error().code : Code::kFailedPrecondition, context.error().message, context.error().where});
    context_ = std::move(*context);
    return {};
  }
  const std::string& value_of(const SecretRef& ref) const {
    for (size_t i = 0; i < secrets.size(); ++i)
      if (secrets[i].key() == ref.key()) return *values_[i];
    static const std::string none;
    return none;
  }

  static Status parse(const std::string& bytes, const SecretRef& ref, tls_v3::Secret& secret) {
    if (!secret.ParseFromString(bytes)) return base::fail(Code::kInvalidArgument, "secret {}: the bytes are not a Secret", ref.name);
    return {};
  }

  static Status read_pair(const tls_v3::TlsCertificate& from, std::string_view what, std::set<std::string>& files, io::KeyPair& pair) {
    std::string password;
    if (from.has_password()) {
      auto text = read_pem(from.password(), fmt::format("{}.password", what), files);
      if (!text) return std::unexpected(text.error());
      password = std::move(*text);
    }
    if (from.has_pkcs12()) {
      if (from.has_certificate_chain() || from.has_private_key())
        return base::fail(Code::kInvalidArgument, "{}: pkcs12 has chain and key; leave out certificate_chain and private_key", what);
      auto file = read_pem(from.pkcs12(), fmt::format("{}.pkcs12", what), files);
      if (!file) return std::unexpected(file.error());
      auto opened = io::read_pkcs12(*file, password);
      if (!opened) return std::unexpected(base::Error{opened.error().code, opened.error().message, fmt::format("{}.pkcs12", what)});
      pair = std::move(*opened);
      return {};
    }
    auto chain = read_pem(from.certificate_chain(), fmt::format("{}.certificate_chain", what), files);
    auto key = read_pem(from.private_key(), fmt::format("{}.private_key", what), files);
    if (!chain) return std::unexpected(chain.error());
    if (!key) return std::unexpected(key.error());
    if (from.has_password()) {
      auto opened = io::decrypt_key(*key, password);
      if (!opened) return std::unexpected(base::Error{opened.error().code, opened.error().message, fmt::format("{}.private_key", what)});
      key = std::move(opened);
    }
    pair = {std::move(*chain), std::move(*key)};
    return {};
  }

  static Status add_certificate(const tls_v3::TlsCertificate& from, std::string_view what, std::set<std::string>& files, io::TlsOptions& o) {
    if (from.has_private_key_provider()) return base::fail(Code::kInvalidArgument, "{}: private key providers are not taken", what);
    io::KeyPair pair;
    if (auto ok = read_pair(from, what, files, pair); !ok) return ok;
    // Files are the machine's, and may be mended without a change of the configuration.
    Code code = files.empty() ? Code::kInvalidArgument : Code::kFailedPrecondition;
    if (auto ok = io::check_key_pair(pair); !ok) return std::unexpected(base::Error{code, ok.error().message, std::string(what)});
    if (o.certificate_pem.empty()) {
      o.certificate_pem = std::move(pair.certificate_pem);
      o.key_pem = std::move(pair.key_pem);
    } else {
      o.more_certificates.push_back(std::move(pair));
    }
    return {};
  }

  static Status add_validation(const tls_v3::CertificateValidationContext& v, std::set<std::string>& files, io::TlsOptions& o) {
    constexpr std::string_view what = "validation_context";
    auto ca = read_pem(v.trusted_ca(), "validation_context.trusted_ca", files);
    auto crl = read_pem(v.crl(), "validation_context.crl", files);
    if (!ca) return std::unexpected(ca.error());
    if (!crl) return std::unexpected(crl.error());
    o.ca_pem = std::move(*ca);
    o.crl_pem = std::move(*crl);
    if (v.has_system_root_certs() && o.ca_pem.empty()) {
      core_v3::DataSource system;
      system.set_filename("/etc/ssl/certs/ca-certificates.crt");
      auto roots = read_pem(system, "validation_context.system_root_certs", files);
      if (!roots) return std::unexpected(roots.error());
      o.ca_pem = std::move(*roots);
    }
    if (v.has_ca_certificate_provider_instance()) return base::fail(Code::kInvalidArgument, "{}: certificate providers are not taken", what);
    if (v.has_custom_validator_config())
      return base::fail(Code::kInvalidArgument, "{}: the validator {} is not taken", what, v.custom_validator_config().name());
    if (v.require_signed_certificate_timestamp().value())
      return base::fail(Code::kInvalidArgument, "{}: signed certificate timestamps are not verified here", what);
    o.crl_leaf_only = v.only_verify_leaf_cert_crl();
    o.accept_expired = v.allow_expired_certificate();
    o.accept_untrusted = v.trust_chain_verification() == tls_v3::CertificateValidationContext::ACCEPT_UNTRUSTED;
    if (v.has_max_verify_depth()) o.max_verify_depth = static_cast<int>(v.max_verify_depth().value());
    for (const auto& pin : v.verify_certificate_spki()) o.spki_pins.push_back(pin);
    for (const auto& pin : v.verify_certificate_hash()) o.certificate_pins.push_back(base::to_lower(base::replace_all(pin, ":", "")));
    auto names = std::make_shared<std::vector<SanMatcher>>();
    ClusterNames none;
    Compiler compiler(none);
    CompileContext at(compiler, std::string(what));
    try {
      for (const auto& m : v.match_typed_subject_alt_names()) names->push_back({m.san_type(), compile_string(at.at("match_typed_subject_alt_names"), m.matcher())});
      if (v.match_typed_subject_alt_names_size() == 0)
        for (const auto& m : v.match_subject_alt_names())
          names->push_back({tls_v3::SubjectAltNameMatcher::SAN_TYPE_UNSPECIFIED, compile_string(at.at("match_subject_alt_names"), m)});
    } catch (Refused& refused) {
      return std::unexpected(refused.error);
    }
    if (names->empty()) return {};
    if (o.ca_pem.empty()) return base::fail(Code::kInvalidArgument, "{}: names are verified only with trusted_ca; without it anybody may carry them", what);
    o.accept_peer = [names = std::shared_ptr<const std::vector<SanMatcher>>(std::move(names))](const io::CertificateFacts& facts) {
      return std::ranges::any_of(*names, [&](const SanMatcher& m) { return m.fits(facts); });
    };
    return {};
  }

  Result<io::TlsOptions> gather(std::set<std::string>& files) {
    io::TlsOptions o;
    o.partial_chain = true;
    for (int i = 0; i < common.tls_certificates_size(); ++i)
      if (auto ok = add_certificate(common.tls_certificates(i), fmt::format("tls_certificates[{}]", i), files, o); !ok) return std::unexpected(ok.error());
    tls_v3::Secret secret;
    for (const SecretRef& ref : certificate_refs) {
      if (auto ok = parse(value_of(ref), ref, secret); !ok) return std::unexpected(ok.error());
      if (!secret.has_tls_certificate()) return base::fail(Code::kInvalidArgument, "secret {}: a tls_certificate is expected", ref.name);
      if (auto ok = add_certificate(secret.tls_certificate(), "secret " + ref.name, files, o); !ok) return std::unexpected(ok.error());
    }
    tls_v3::CertificateValidationContext validation = common.has_combined_validation_context() ? common.combined_validation_context().default_validation_context()
                                                                                                : common.validation_context();
    if (validation_ref) {
      if (auto ok = parse(value_of(*validation_ref), *validation_ref, secret); !ok) return std::unexpected(ok.error());
      if (!secret.has_validation_context()) return base::fail(Code::kInvalidArgument, "secret {}: a validation_context is expected", validation_ref->name);
      validation.MergeFrom(secret.validation_context());
    }
    if (auto ok = add_validation(validation, files, o); !ok) return std::unexpected(ok.error());
    o.verification_identity = validation.SerializeAsString();
    if (server && o.certificate_pem.empty()) return base::fail(Code::kInvalidArgument, "a certificate is required");
    if (ticket_ref) {
      if (auto ok = parse(value_of(*ticket_ref), *ticket_ref, secret); !ok) return std::unexpected(ok.error());
      ticket_keys = secret.session_ticket_keys();
    }
    for (const auto& k : ticket_keys.keys()) {
      auto key = read_pem(k, "session_ticket_keys", files);
      if (!key) return std::unexpected(key.error());
      o.ticket_keys.push_back(std::move(*key));
    }
    const auto& params = common.tls_params();
    using P = tls_v3::TlsParameters;
    auto version = [](P::TlsProtocol p) { return p == P::TLS_AUTO ? 0 : 9 + static_cast<int>(p); };
    o.min_version = version(params.tls_minimum_protocol_version());
    o.max_version = version(params.tls_maximum_protocol_version());
    auto joined = [](const auto& list) { return base::join(std::vector<std::string>(list.begin(), list.end()), ":"); };
    o.ciphers = joined(params.cipher_suites());
    o.groups = joined(params.ecdh_curves());
    o.signature_algorithms = joined(params.signature_algorithms());
    for (const auto& p : common.alpn_protocols()) {
      // Istio's test of several in one string: "h2,http/1.1".
      for (std::string_view one : base::split(p, ',')) o.alpn.emplace_back(one);
    }
    o.require_client_certificate = require_client;
    o.request_client_certificate = !validation.SerializeAsString().empty();
    o.tickets = tickets;
    o.max_sessions = server ? 0 : max_sessions;
    o.session_timeout = session_timeout;
    return o;
  }

  mutable std::mutex mutex_;                 // over what follows
  std::shared_ptr<const io::TlsContext> context_;
  std::vector<SecretBytes> values_;          // in the order of secrets
  bool stale_ = false;                       // a context is to be made of values_
  std::set<std::string> files_;
};

void common_tls(const CompileContext& at, const tls_v3::CommonTlsContext& from, CompiledTls& out) {
  out.common = from;
  if (from.has_tls_certificate_provider_instance() || from.has_tls_certificate_certificate_provider() ||
      from.has_tls_certificate_certificate_provider_instance())
    at.at("tls_certificate_provider_instance").refuse("certificate providers are not taken; give tls_certificates or SDS");
  if (from.has_custom_handshaker()) at.at("custom_handshaker").refuse("custom handshakers are not taken");
  if (from.has_key_log()) at.warn("tls.key_log");
  for (int i = 0; i < from.tls_certificate_sds_secret_configs_size(); ++i) {
    const auto& config = from.tls_certificate_sds_secret_configs(i);
    CompileContext here = at.at("tls_certificate_sds_secret_configs", i);
    if (auto secret = static_secret(here, config, &tls_v3::Secret::has_tls_certificate, "tls_certificate")) *out.common.add_tls_certificates() = secret->tls_certificate();
    else out.certificate_refs.push_back(secret_ref(here, config));
  }
  auto validation = [&](std::string_view field, const tls_v3::SdsSecretConfig& config, auto&& put) {
    CompileContext here = at.at(field);
    if (auto secret = static_secret(here, config, &tls_v3::Secret::has_validation_context, "validation_context")) put(secret->validation_context());
    else out.validation_ref = secret_ref(here, config);
  };
  switch (from.validation_context_type_case()) {
    case tls_v3::CommonTlsContext::kValidationContextSdsSecretConfig:
      validation("validation_context_sds_secret_config", from.validation_context_sds_secret_config(),
                 [&](const auto& context) { *out.common.mutable_validation_context() = context; });
      break;
    case tls_v3::CommonTlsContext::kCombinedValidationContext:
      if (from.combined_validation_context().has_validation_context_sds_secret_config())
        validation("combined_validation_context.validation_context_sds_secret_config", from.combined_validation_context().validation_context_sds_secret_config(),
                   [&](const auto& context) { out.common.mutable_combined_validation_context()->mutable_default_validation_context()->MergeFrom(context); });
      break;
    case tls_v3::CommonTlsContext::kValidationContext:
    case tls_v3::CommonTlsContext::VALIDATION_CONTEXT_TYPE_NOT_SET:
      break;
    default:
      at.refuse("certificate providers are not taken; give validation_context or SDS");
  }
  out.secrets = out.certificate_refs;
  if (out.validation_ref) out.secrets.push_back(*out.validation_ref);
  if (out.ticket_ref) out.secrets.push_back(*out.ticket_ref);
}

// Equal transport sockets share one source, and with it one context: a sidecar has many chains of one kind.
std::shared_ptr<TlsSource> finish(const CompileContext& at, std::shared_ptr<CompiledTls> out) {
  if (out->secrets.size() && out->files().empty()) {
    auto& known = at.compiler.tls_sources[(out->server ? "s" : "c") + out->identity];
    if (auto same = known.lock()) return same;
    known = out;
    return out;
  }
  if (out->secrets.empty()) {
    if (auto ok = out->build([](const SecretRef&) -> SecretBytes { return nullptr; }); !ok) {
      CompileContext here = at.at("common_tls_context");
      throw Refused{{ok.error().code, ok.error().message, ok.error().where.empty() ? here.path : here.at(ok.error().where).path}};
    }
  }
  return out;
}

// A top-level bool that this version of the message does not know yet.
bool unknown_bool(const std::string& bytes, unsigned field) {
  for (xds::WireReader wire(bytes); wire.next();)
    if (wire.field() == field) return wire.number() != 0;
  return false;
}

}  // namespace

std::shared_ptr<TlsSource> downstream_tls(const CompileContext& parent, const core_v3::TransportSocket& from) {
  if (is_plain(from)) return nullptr;
  CompileContext at = parent.at("typed_config");
  auto tls = unpack<tls_v3::DownstreamTlsContext>(at, from.typed_config());
  auto out = std::make_shared<CompiledTls>();
  out->server = true;
  out->identity = from.typed_config().value();
  using D = tls_v3::DownstreamTlsContext;
  switch (tls.session_ticket_keys_type_case()) {
    case D::kSessionTicketKeys:
      out->ticket_keys = tls.session_ticket_keys();
      break;
    case D::kSessionTicketKeysSdsSecretConfig: {
      CompileContext here = at.at("session_ticket_keys_sds_secret_config");
      const auto& config = tls.session_ticket_keys_sds_secret_config();
      if (auto secret = static_secret(here, config, &tls_v3::Secret::has_session_ticket_keys, "session_ticket_keys")) out->ticket_keys = secret->session_ticket_keys();
      else out->ticket_ref = secret_ref(here, config);
      break;
    }
    case D::kDisableStatelessSessionResumption:
      out->tickets = !tls.disable_stateless_session_resumption();
      break;
    default:
      break;
  }
  if (tls.ocsp_staple_policy() != D::LENIENT_STAPLING) at.at("ocsp_staple_policy").refuse("OCSP responses are not stapled; only LENIENT_STAPLING is taken");
  common_tls(at.at("common_tls_context"), tls.common_tls_context(), *out);
  if (out->certificate_refs.empty() && out->common.tls_certificates_size() == 0)
    at.at("common_tls_context.tls_certificates").refuse("a certificate is required");
  out->require_client = tls.require_client_certificate().value();
  out->require_sni = tls.require_sni().value();
  if (tls.has_session_timeout()) out->session_timeout = std::chrono::duration_cast<std::chrono::seconds>(nanos(tls.session_timeout()));
  return finish(at, std::move(out));
}

static std::shared_ptr<TlsSource> upstream_tls(const CompileContext& parent, const core_v3::TransportSocket& from) {
  if (is_plain(from)) return nullptr;
  CompileContext at = parent.at("typed_config");
  auto tls = unpack<tls_v3::UpstreamTlsContext>(at, from.typed_config());
  auto out = std::make_shared<CompiledTls>();
  out->identity = from.typed_config().value();
  out->sni = tls.sni();
  // Newer than the messages that we build with.
  out->auto_host_sni = unknown_bool(from.typed_config().value(), 6);
  out->auto_san_validation = unknown_bool(from.typed_config().value(), 7);
  if (tls.has_max_session_keys()) out->max_sessions = tls.max_session_keys().value();
  if (tls.allow_renegotiation()) at.warn("tls.allow_renegotiation");
  common_tls(at.at("common_tls_context"), tls.common_tls_context(), *out);
  if (out->common.tls_certificates_size() + static_cast<int>(out->certificate_refs.size()) > 1)
    at.at("common_tls_context").refuse("a client has one certificate");
  return finish(at, std::move(out));
}

UpstreamSocket upstream_socket(const CompileContext& parent, const core_v3::TransportSocket& from) {
  using P = envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
  if (!any_is<P>(from.typed_config())) return {upstream_tls(parent, from), std::nullopt};
  CompileContext at = parent.at("typed_config");
  auto outer = unpack<P>(at, from.typed_config());
  if (!outer.has_transport_socket()) at.at("transport_socket").refuse("what the header comes before is required: raw_buffer or tls");
  if (any_is<P>(outer.transport_socket().typed_config())) at.at("transport_socket").refuse("one PROXY header is enough");
  UpstreamSocket out{upstream_tls(at.at("transport_socket"), outer.transport_socket()), ProxyHeaderConfig()};
  if (outer.config().has_pass_through_tlvs()) out.proxy_header = compile_proxy_header(at.at("config"), 1, outer.config().pass_through_tlvs());
  out.proxy_header->version = proxy_version(outer.config());
  return out;
}

}  // namespace fairlead::proxy
