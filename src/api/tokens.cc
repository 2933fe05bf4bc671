#include "api/tokens.h"

#include "base/strings.h"
#include "io/tls.h"

namespace fairlead::api {

using base::Code;
using base::fail;
using base::Value;

static int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

base::Result<Tokens::Issued> Tokens::issue(const Request& request) const {
  const int64_t now = now_seconds();
  Value audiences = Value::array();
  for (const auto& audience : request.audiences) audiences.push(audience);
  if (audiences.empty()) audiences.push(kTokenIssuer);
  Value bound = Value::object({{"namespace", request.ns},
                               {"serviceaccount", Value::object({{"name", request.service_account},
                                                                 {"uid", request.service_account_uid}})}});
  if (!request.pod.empty()) bound.set("pod", Value::object({{"name", request.pod}, {"uid", request.pod_uid}}));
  Value claims = Value::object({{"aud", std::move(audiences)},
                                {"exp", static_cast<long long>(now + request.valid_for.count())},
                                {"iat", static_cast<long long>(now)},
                                {"iss", kTokenIssuer},
                                {"jti", base::hex_encode(io::random_bytes(16))},
                                {"kubernetes.io", std::move(bound)},
                                {"nbf", static_cast<long long>(now)},
                                {"sub", "system:serviceaccount:" + request.ns + ":" + request.service_account}});
  auto token = io::sign_jwt_es256(claims.dump(), key_pem_);
  if (!token) return std::unexpected(token.error());
  return Issued{std::move(*token), base::WallTime(std::chrono::seconds(now) + request.valid_for)};
}

base::Result<Tokens::Claims> Tokens::verify(std::string_view token) const {
  auto text = io::verify_jwt_es256(token, key_pem_);
  if (!text) return fail(Code::kUnauthenticated, "invalid bearer token: {}", text.error().message);
  auto claims = base::parse_json(*text);
  if (!claims) return fail(Code::kUnauthenticated, "invalid bearer token: claims are no JSON");
  if ((*claims)["iss"].as_string() != kTokenIssuer) return fail(Code::kUnauthenticated, "invalid bearer token: foreign issuer");
  const int64_t now = now_seconds();
  if ((*claims)["exp"].as_int() <= now) return fail(Code::kUnauthenticated, "invalid bearer token: token has expired");
  if ((*claims)["nbf"].as_int() > now + 60) return fail(Code::kUnauthenticated, "invalid bearer token: not valid yet");
  Claims out;
  const Value& bound = (*claims)["kubernetes.io"];
  out.ns = bound["namespace"].as_string();
  out.service_account = bound["serviceaccount"]["name"].as_string();
  out.service_account_uid = bound["serviceaccount"]["uid"].as_string();
  out.pod = bound["pod"]["name"].as_string();
  out.pod_uid = bound["pod"]["uid"].as_string();
  for (const Value& audience : (*claims)["aud"].items()) out.audiences.push_back(audience.as_string());
  if ((*claims)["aud"].is_string()) out.audiences.push_back((*claims)["aud"].as_string());
  if ((*claims)["sub"].as_string() != out.user()) return fail(Code::kUnauthenticated, "invalid bearer token: foreign subject");
  return out;
}

}  // namespace fairlead::api
