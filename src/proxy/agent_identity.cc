#include "proxy/agent_identity.h"

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "http/grpc.h"
#include "xds/ca_messages.h"

namespace fairlead::proxy {

namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;

Identity::Identity(io::Loop& loop, IdentityOptions options) : loop_(loop), options_(std::move(options)), renew_(loop, [this] { request(); }) {
  request();  // at once: the first listener will ask for it
}

Identity::~Identity() { *alive_ = false; }

void Identity::want(const std::string& name) {
  wanted_.insert(name);
  if (auto secret = file_secret(name)) return options_.put(name, *secret);
  if (!certificate_.empty()) give(name);
}

void Identity::request() {
  if (asking_) return;
  std::string root = base::read_file(options_.ca_root_pem_file).value_or(""), token(base::trim(base::read_file(options_.token_file).value_or("")));
  if (root.empty() || token.empty()) return failed(fmt::format("{} or {} is not there", options_.ca_root_pem_file, options_.token_file));
  auto made = io::make_signing_request(options_.spiffe_id);
  if (!made) return failed(made.error().text());
  auto tls = io::TlsContext::client({.ca_pem = root, .alpn = {"h2"}});
  if (!tls) return failed(fmt::format("{}: {}", options_.ca_root_pem_file, tls.error().text()));
  pending_key_ = std::move(made->key_pem);
  http::ClientOptions c;
  c.tls = *tls;
  c.http2 = true;
  c.socket_mark = options_.socket_mark;
  client_ = std::make_unique<http::Client>(loop_, std::move(c));
  http::Headers headers;
  headers.add("content-type", "application/grpc");
  headers.add("te", "trailers");
  headers.add("authorization", "Bearer " + token);
  asking_ = true;
  client_->fetch("POST", fmt::format("https://{}:{}{}", options_.ca_host, options_.ca_port, xds::kCreateCertificate), std::move(headers),
                 http::grpc_frame(xds::encode(xds::CertificateSigning{made->csr_pem, options_.lifetime.count()})), std::chrono::seconds(10),
                 [this, alive = alive_](base::Result<http::Response> answer) {
                   if (*alive) answered(std::move(answer));
                 });
}

void Identity::answered(base::Result<http::Response> answer) {
  asking_ = false;
  loop_.defer([old = std::shared_ptr<http::Client>(std::move(client_))] {});
  if (!answer) return failed(answer.error().text());
  const http::Headers& end = answer->trailers.find("grpc-status") ? answer->trailers : answer->headers;
  if (answer->status != 200 || end.get("grpc-status") != "0")
    return failed(fmt::format("the CA answered HTTP {}, gRPC status {} {}", answer->status, end.get("grpc-status"), end.get("grpc-message")));
  http::GrpcReader reader;
  reader.feed(answer->body);
  auto message = reader.next();
  if (!message || !*message) return failed("the CA's answer is cut short");
  auto chain = xds::decode_chain(**message);
  if (!chain) return failed(chain.error().text());
  std::string certificate;
  for (size_t i = 0; i + 1 < chain->size(); ++i) certificate += (*chain)[i];
  if (auto ok = io::check_key_pair({certificate, pending_key_}); !ok) return failed(ok.error().text());
  auto facts = io::certificate_facts(certificate);
  if (!facts) return failed(facts.error().text());
  attempts_ = 0;
  certificate_ = std::move(certificate);
  key_ = std::exchange(pending_key_, {});
  root_ = chain->back();
  // A little earlier for each, so that a mesh that began at once is not renewed at once.
  auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  double left = static_cast<double>(facts->not_after - now);
  double jitter = static_cast<double>(static_cast<unsigned char>(io::random_bytes(1)[0])) / 255 * 0.01;
  auto wait = std::chrono::seconds(std::max<int64_t>(static_cast<int64_t>(left * (1 - std::clamp(options_.grace + jitter, 0.0, 1.0))), 1));
  renew_.arm(wait);
  FL_LOG_INFO("identity", "certificate for {}, valid for {} s, renewed in {} s", base::join(facts->uris, ","), static_cast<int64_t>(left), wait.count());
  for (const std::string& name : wanted_)
    if (name == "default" || name == "ROOTCA") give(name);
}

void Identity::failed(const std::string& why) {
  // What there is stays in use until it ends.
  FL_LOG_WARN("identity", "no new certificate: {}", why);
  renew_.arm(std::chrono::milliseconds(std::min(30000u, 100u << std::min(attempts_++, 8u))));
}

void Identity::give(const std::string& name) {
  tls_v3::Secret secret;
  secret.set_name(name);
  if (name == "default") {
    secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_bytes(certificate_);
    secret.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes(key_);
  } else if (name == "ROOTCA") {
    secret.mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes(root_);
  } else {
    FL_LOG_WARN("identity", "no secret is called {}", name);
    return;
  }
  options_.put(name, secret.SerializeAsString());
}

// "file-cert:CERT~KEY", "file-root:CA" ("file-root:system": the host's). The proxy reads and watches the files itself.
std::optional<std::string> Identity::file_secret(const std::string& name) {
  bool pair = name.starts_with("file-cert:");
  if (!pair && !name.starts_with("file-root:")) return std::nullopt;
  tls_v3::Secret secret;
  secret.set_name(name);
  std::string files = name.substr(name.find(':') + 1);
  if (pair) {
    size_t tilde = files.find('~');
    if (tilde == std::string::npos) {
      FL_LOG_WARN("identity", "{}: file-cert:CERTIFICATE~KEY is expected", name);
      return std::nullopt;
    }
    secret.mutable_tls_certificate()->mutable_certificate_chain()->set_filename(files.substr(0, tilde));
    secret.mutable_tls_certificate()->mutable_private_key()->set_filename(files.substr(tilde + 1));
  } else {
    secret.mutable_validation_context()->mutable_trusted_ca()->set_filename(files == "system" ? "/etc/ssl/certs/ca-certificates.crt" : files);
  }
  return secret.SerializeAsString();
}

}  // namespace fairlead::proxy
