#include "control/istiod_certificate.h"

#include "base/log.h"
#include "base/strings.h"

namespace fairlead::control {
namespace {

using base::Value;

constexpr std::string_view kSecret = "istio-ca-secret";
constexpr std::string_view kConfigurations = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
constexpr std::string_view kConfiguration = "istio-sidecar-injector";

}  // namespace

IstiodCertificate::IstiodCertificate(io::Loop& loop, store::KubeClient& client, std::string ns,
                                       std::function<void(std::shared_ptr<const io::TlsContext>, const SigningCa&)> on_ready)
    : client_(client), ns_(std::move(ns)), on_ready_(std::move(on_ready)), retry_(loop, [this] { load(); }) {
  load();
}

IstiodCertificate::~IstiodCertificate() { *alive_ = false; }

void IstiodCertificate::load() {
  client_.get("secrets", ns_, "cacerts", [this, alive = alive_](base::Result<Value> secret) {
    if (!*alive) return;
    if (!secret) {
      if (secret.error().code == base::Code::kNotFound) return load_own();
      FL_LOG_WARN("ca", "{}", secret.error().text());
      return retry_.arm(std::chrono::milliseconds(200));
    }
    auto part = [&](const char* key) { return base::base64_decode((*secret)["data"][key].as_string()).value_or(""); };
    SigningCa ca{{part("ca-cert.pem"), part("ca-key.pem")}, part("cert-chain.pem"), part("root-cert.pem")};
    if (auto fits = io::check_key_pair(ca.signer); !fits || ca.root_pem.empty()) {
      FL_LOG_ERROR("ca", "Secret {}/cacerts: {}; ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem are expected", ns_,
                   fits ? "root-cert.pem is missing" : fits.error().message);
      return retry_.arm(std::chrono::seconds(5));
    }
    use(std::move(ca));
  });
}

void IstiodCertificate::load_own() {
  client_.get("secrets", ns_, kSecret, [this, alive = alive_](base::Result<Value> secret) {
    if (!*alive) return;
    if (secret) {
      auto certificate = base::base64_decode((*secret)["data"]["ca-cert.pem"].as_string());
      auto key = base::base64_decode((*secret)["data"]["ca-key.pem"].as_string());
      if (certificate && key && !certificate->empty() && !key->empty()) return use({{*certificate, *key}, {}, *certificate});
      FL_LOG_ERROR("ca", "Secret {}/{} has no usable ca-cert.pem and ca-key.pem; delete it to have a new one made", ns_, kSecret);
      return retry_.arm(std::chrono::seconds(5));
    }
    if (secret.error().code != base::Code::kNotFound) {
      FL_LOG_WARN("ca", "{}", secret.error().text());
      return retry_.arm(std::chrono::milliseconds(200));
    }
    auto ca = io::issue_certificate({.organizations = {"cluster.local"}, .is_ca = true, .valid_for = std::chrono::hours(24 * 3650)}, nullptr);
    if (!ca) {
      FL_LOG_ERROR("ca", "{}", ca.error().text());
      return retry_.arm(std::chrono::seconds(5));
    }
    Value object = Value::object({{"apiVersion", "v1"},
                                  {"kind", "Secret"},
                                  {"type", "istio.io/ca-root"},
                                  {"metadata", Value::object({{"name", kSecret}, {"namespace", ns_}})},
                                  {"data", Value::object({{"ca-cert.pem", base::base64_encode(ca->certificate_pem)},
                                                          {"ca-key.pem", base::base64_encode(ca->key_pem)}})}});
    client_.create(object, [this, alive, ca = *ca](base::Result<Value> created) {
      if (!*alive) return;
      if (created) return use({ca, {}, ca.certificate_pem});
      retry_.arm(std::chrono::milliseconds(50));  // another replica may have been first; read its
    });
  });
}

void IstiodCertificate::use(SigningCa signing) {
  const io::KeyPair& ca = signing.signer;
  auto leaf = io::issue_certificate({.common_name = "istiod",
                                     .dns_names = {"istiod." + ns_ + ".svc", "istiod." + ns_ + ".svc.cluster.local", "istiod." + ns_,
                                                   "istiod-remote." + ns_ + ".svc", "localhost"},
                                     .ips = {"127.0.0.1"}},
                                    &ca);
  base::Result<std::shared_ptr<const io::TlsContext>> tls =
      leaf ? io::TlsContext::server({.certificate_pem = leaf->certificate_pem + (signing.chain_pem.empty() ? ca.certificate_pem : signing.chain_pem),
                                      .key_pem = leaf->key_pem,
                                      .ca_pem = signing.root_pem,
                                      .request_client_certificate = true,  // a proxy may show its own instead of a token
                                      .alpn = {"h2", "http/1.1"}})
           : std::unexpected(leaf.error());
  if (!tls) {
    FL_LOG_ERROR("ca", "{}", tls.error().text());
    return retry_.arm(std::chrono::seconds(5));
  }
  ca_bundle_ = base::base64_encode(signing.root_pem);
  on_ready_(*tls, signing);
  informer_ = client_.inform(kConfigurations, "", "", "metadata.name=" + std::string(kConfiguration),
                             {.on_event =
                                  [this](store::EventType type, const store::ObjectPtr& object) {
                                    if (type != store::EventType::kDeleted) publish(*object);
                                  },
                              .on_synced =
                                  [this] {
                                    if (informer_->objects().empty()) published_ = true;
                                  },
                              .on_error = {}});
}

void IstiodCertificate::publish(const Value& configuration) {
  bool stale = false;
  Value updated = configuration;
  for (auto& webhook : updated["webhooks"].mutable_items()) {
    if (webhook["clientConfig"]["caBundle"].as_string() == ca_bundle_) continue;
    stale = true;
    webhook["clientConfig"].set("caBundle", ca_bundle_);
  }
  if (!stale) {
    published_ = true;
    return;
  }
  // The resourceVersion is in it: when somebody else was faster, their event brings us back.
  client_.update(updated, [this, alive = alive_](base::Result<Value> done) {
    if (!*alive) return;
    if (done) published_ = true;
    else if (done.error().code != base::Code::kConflict) FL_LOG_WARN("ca", "caBundle cannot be set: {}", done.error().text());
  });
}

}  // namespace fairlead::control
