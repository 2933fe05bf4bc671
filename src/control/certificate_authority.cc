#include "control/certificate_authority.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "http/grpc.h"
#include "xds/ca_messages.h"

namespace fairlead::control {
namespace {

using base::Value;

constexpr std::string_view kRootMap = "istio-ca-root-cert";
constexpr std::chrono::seconds kDefaultLifetime{24 * 3600}, kMaxLifetime{90 * 24 * 3600};

void refuse(http::Exchange& exchange, base::Code code, std::string_view message) {
  http::Headers headers;
  headers.add("content-type", "application/grpc");
  exchange.start(200, std::move(headers));
  exchange.finish(http::grpc_trailers(http::grpc_status(code), message));
}

std::string bearer(const http::Exchange& exchange) {
  std::string_view header = exchange.request().headers.get("authorization");
  if (!base::iequals(header.substr(0, 7), "bearer ")) return {};
  return std::string(base::trim(header.substr(7)));
}

}  // namespace

CertificateAuthority::CertificateAuthority(store::KubeClient& client, SigningCa ca, std::function<std::string()> trust_domain)
    : client_(client), ca_(std::move(ca)), trust_domain_(std::move(trust_domain)) {
  namespaces_ = client_.inform("namespaces", "", "", "",
                               {.on_event =
                                    [this](store::EventType type, const store::ObjectPtr& object) {
                                      if (type == store::EventType::kAdded) publish((*object)["metadata"]["name"].as_string());
                                    },
                                .on_synced = {},
                                .on_error = {}});
  // Whoever deletes or changes it (kubectl delete cm --all) gets it back: without it no pod of the namespace joins the mesh.
  root_maps_ = client_.inform("configmaps", "", "", fmt::format("metadata.name={}", kRootMap),
                              {.on_event =
                                   [this](store::EventType type, const store::ObjectPtr& object) {
                                     bool right = (*object)["data"]["root-cert.pem"].as_string() == ca_.root_pem;
                                     if (type == store::EventType::kDeleted || !right) publish((*object)["metadata"]["namespace"].as_string());
                                   },
                               .on_synced = {},
                               .on_error = {}});
}

CertificateAuthority::~CertificateAuthority() { *alive_ = false; }

void CertificateAuthority::publish(const std::string& ns) {
  Value data = Value::object({{"root-cert.pem", ca_.root_pem}});
  Value object = Value::object({{"apiVersion", "v1"},
                                {"kind", "ConfigMap"},
                                {"metadata", Value::object({{"name", kRootMap}, {"namespace", ns}, {"labels", Value::object({{"istio.io/config", "true"}})}})},
                                {"data", data}});
  client_.create(object, [this, alive = alive_, ns, data](base::Result<Value> made) {
    if (!*alive || made) return;
    if (made.error().code == base::Code::kNotFound || made.error().code == base::Code::kPermissionDenied) return;  // the namespace ends
    if (made.error().code != base::Code::kAlreadyExists && made.error().code != base::Code::kConflict) {
      FL_LOG_WARN("ca", "ConfigMap {}/{}: {}", ns, kRootMap, made.error().text());
      return;
    }
    // There from an earlier run, maybe of another root.
    client_.patch("configmaps", ns, kRootMap, store::PatchType::kMerge, Value::object({{"data", data}}), [ns](base::Result<Value> patched) {
      if (!patched) FL_LOG_WARN("ca", "ConfigMap {}/{}: {}", ns, kRootMap, patched.error().text());
    });
  });
}

void CertificateAuthority::identify(const std::string& token, std::function<void(base::Result<Caller>)> done) {
  Value review = Value::object({{"apiVersion", "authentication.k8s.io/v1"},
                                {"kind", "TokenReview"},
                                {"spec", Value::object({{"token", token}, {"audiences", Value::array({"istio-ca"})}})}});
  client_.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", "application/json", review.dump(),
                  [alive = alive_, done = std::move(done)](base::Result<Value> answer) {
                    if (!*alive) return;
                    if (!answer) return done(std::unexpected(answer.error()));
                    const Value& status = (*answer)["status"];
                    auto parts = base::split(status["user"]["username"].as_string(), ':');
                    if (!status["authenticated"].as_bool() || parts.size() != 4 || parts[0] != "system" || parts[1] != "serviceaccount")
                      return done(base::fail(base::Code::kUnauthenticated, "the token is not accepted: {}", status["error"].string_or("it is of no ServiceAccount")));
                    done(Caller{std::string(parts[2]), std::string(parts[3])});
                  });
}

std::string CertificateAuthority::spiffe_id(const Caller& caller) const {
  return fmt::format("spiffe://{}/ns/{}/sa/{}", trust_domain_(), caller.ns, caller.service_account);
}

http::Handler CertificateAuthority::handler(Next next) {
  return [this, alive = alive_, next = std::move(next)](std::shared_ptr<http::Exchange> exchange) {
    if (!*alive) return exchange->abort();
    if (exchange->request().path() == xds::kCreateCertificate) return create_certificate(std::move(exchange));
    if (const std::string& pem = exchange->peer_certificate_pem(); !pem.empty()) {
      auto shown = io::inspect_certificate(pem);
      if (!shown || shown->uris.empty()) return refuse(*exchange, base::Code::kUnauthenticated, "the certificate names no workload");
      return next(std::move(exchange), shown->uris[0]);
    }
    std::string token = bearer(*exchange);
    if (token.empty()) return refuse(*exchange, base::Code::kUnauthenticated, "a token of a ServiceAccount is required");
    identify(token, [this, exchange, next](base::Result<Caller> caller) {
      if (!caller) {
        FL_LOG_WARN("ads", "{} is refused: {}", exchange->peer().text(), caller.error().message);
        return refuse(*exchange, base::Code::kUnauthenticated, caller.error().message);
      }
      next(exchange, spiffe_id(*caller));
    });
  };
}

void CertificateAuthority::create_certificate(std::shared_ptr<http::Exchange> exchange) {
  http::Exchange& e = *exchange;
  e.read_body(64 * 1024, [this, alive = alive_, exchange](std::string body) {
    if (!*alive) return;
    http::GrpcReader reader;
    reader.feed(body);
    auto message = reader.next();
    if (!message || !*message) return refuse(*exchange, base::Code::kInvalidArgument, "no request");
    auto request = xds::decode_signing(**message);
    if (!request) return refuse(*exchange, base::Code::kInvalidArgument, request.error().message);
    std::string token = bearer(*exchange);
    if (token.empty()) return refuse(*exchange, base::Code::kUnauthenticated, "a token of a ServiceAccount is required");
    identify(token, [this, exchange, request = *request](base::Result<Caller> caller) {
      if (!caller) {
        FL_LOG_WARN("ca", "{} is refused: {}", exchange->peer().text(), caller.error().message);
        return refuse(*exchange, base::Code::kUnauthenticated, caller.error().message);
      }
      // Whatever the request asks for: the identity is the token's.
      io::CertificateRequest names;
      names.uris = {spiffe_id(*caller)};
      names.valid_for_seconds = std::clamp(std::chrono::seconds(request.validity_seconds), std::chrono::seconds(0), kMaxLifetime);
      if (names.valid_for_seconds.count() == 0) names.valid_for_seconds = kDefaultLifetime;
      auto leaf = io::sign_request(request.csr, names, ca_.signer);
      if (!leaf) return refuse(*exchange, base::Code::kInvalidArgument, leaf.error().message);
      FL_LOG_INFO("ca", "certificate for {}", names.uris[0]);
      std::vector<std::string> chain{*leaf};
      if (!ca_.chain_pem.empty()) chain.push_back(ca_.chain_pem);
      chain.push_back(ca_.root_pem);
      http::Headers headers;
      headers.add("content-type", "application/grpc");
      exchange->start(200, std::move(headers));
      exchange->write(http::grpc_frame(xds::encode_chain(chain)));
      exchange->finish(http::grpc_trailers(0));
    });
  });
}

}  // namespace fairlead::control
