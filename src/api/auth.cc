#include "api/auth.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/ids.h"
#include "base/strings.h"
#include "io/tls.h"

namespace fairlead::api {

using base::Value;

static Failure unauthorized() { return failure(401, "Unauthorized", "Unauthorized"); }

Outcome<Caller> Auth::authenticate(http::Exchange& exchange) const {
  std::string_view header = exchange.request().headers.get("authorization");
  if (base::iequals(header.substr(0, 7), "bearer ")) {
    auto caller = authenticate_token(base::trim(header.substr(7)), kTokenIssuer);
    if (!caller) return refuse(unauthorized());
    return *caller;
  }
  if (const std::string pem = exchange.peer_certificate_pem(); !pem.empty()) {
    auto info = io::inspect_certificate(pem);
    if (!info || info->common_name.empty()) return refuse(unauthorized());
    Caller caller{info->common_name, "", info->organizations};
    caller.groups.push_back("system:authenticated");
    return caller;
  }
  return refuse(unauthorized());
}

Outcome<Caller> Auth::impersonated(const Caller& caller, const http::Headers& headers) const {
  const std::string user(headers.get("impersonate-user"));
  if (user.empty()) return caller;
  if (!allowed(caller, "impersonate", "", "users")) {
    Target target;
    target.plural = "users";
    target.name = user;
    if (auto ok = authorize(caller, "impersonate", target); !ok) return std::unexpected(ok.error());
  }
  Caller out{user, std::string(headers.get("impersonate-uid")), {}};
  for (const auto& [name, value] : headers)
    if (name == "impersonate-group") out.groups.push_back(value);
  // Without groups of its own, a ServiceAccount is in those that follow from its name.
  const auto parts = base::split(user, ':');
  if (out.groups.empty() && parts.size() == 4 && parts[0] == "system" && parts[1] == "serviceaccount")
    out.groups = {"system:serviceaccounts", "system:serviceaccounts:" + std::string(parts[2])};
  if (user != "system:anonymous" && std::find(out.groups.begin(), out.groups.end(), "system:authenticated") == out.groups.end())
    out.groups.emplace_back("system:authenticated");
  return out;
}

base::Result<Caller> Auth::authenticate_token(std::string_view token, std::string_view audience) const {
  auto claims = tokens_.verify(token);
  if (!claims) return std::unexpected(claims.error());
  if (!audience.empty() && std::find(claims->audiences.begin(), claims->audiences.end(), audience) == claims->audiences.end())
    return base::fail(base::Code::kUnauthenticated, "token audiences do not include {}", audience);
  // A token ends with what it was made for.
  auto account = store_.get({"serviceaccounts", claims->ns, claims->service_account});
  if (!account || (**account)["metadata"]["uid"].as_string() != claims->service_account_uid)
    return base::fail(base::Code::kUnauthenticated, "service account {}/{} is gone", claims->ns, claims->service_account);
  if (!claims->pod.empty()) {
    auto pod = store_.get({"pods", claims->ns, claims->pod});
    if (!pod || (**pod)["metadata"]["uid"].as_string() != claims->pod_uid)
      return base::fail(base::Code::kUnauthenticated, "pod {}/{} is gone", claims->ns, claims->pod);
  }
  return Caller{claims->user(), claims->service_account_uid,
                {"system:serviceaccounts", "system:serviceaccounts:" + claims->ns, "system:authenticated"}};
}

bool Auth::allowed(const Caller& caller, std::string_view verb, std::string_view group, std::string_view resource) const {
  for (const auto& g : caller.groups) {
    if (g == "system:masters") return true;
    constexpr std::string_view kPrefix = "system:serviceaccounts:";
    if (g.starts_with(kPrefix) && system_namespaces_.contains(g.substr(kPrefix.size()))) return true;
  }
  return verb == "create" && ((group == "authorization.k8s.io" && resource.starts_with("selfsubject")) ||
                              (group == "authentication.k8s.io" && resource == "selfsubjectreviews"));
}

Outcome<void> Auth::authorize(const Caller& caller, std::string_view verb, const Target& target) const {
  if (allowed(caller, verb, target.group, target.plural)) return {};
  std::string resource = target.plural;
  if (!target.subresource.empty()) resource += "/" + target.subresource;
  std::string subject = target.plural;
  if (!target.group.empty()) subject += "." + target.group;
  if (!target.name.empty()) subject += fmt::format(" \"{}\"", target.name);
  const std::string scope = target.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", target.ns);
  Failure f = failure(403, "Forbidden", fmt::format("{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}", subject,
                                                    caller.user, verb, resource, target.group, scope));
  Value details = Value::object();
  if (!target.name.empty()) details.set("name", target.name);
  if (!target.group.empty()) details.set("group", target.group);
  details.set("kind", target.plural);
  f.status.set("details", std::move(details));
  return refuse(std::move(f));
}

static Value user_info(const Caller& caller) {
  Value groups = Value::array();
  for (const auto& g : caller.groups) groups.push(g);
  Value out = Value::object({{"username", caller.user}, {"groups", std::move(groups)}});
  if (!caller.uid.empty()) out.set("uid", caller.uid);
  return out;
}

Outcome<Value> Auth::review(const Caller& caller, const Target& target, Value body) const {
  if (!body.is_object()) body = Value::object();
  auto access = [&](const Caller& who) {
    const Value& spec = std::as_const(body)["spec"];
    const Value& r = spec["resourceAttributes"];
    bool ok;
    if (r.is_object()) {
      ok = allowed(who, r["verb"].as_string(), r["group"].as_string(), r["resource"].as_string());
    } else {
      const std::string& path = spec["nonResourceAttributes"]["path"].as_string();
      ok = allowed(who, "*", "", "") || path.starts_with("/api") || path.starts_with("/openapi") || path == "/version" || path == "/healthz" ||
           path == "/livez" || path == "/readyz";
    }
    Value status = Value::object({{"allowed", ok}});
    if (ok) status.set("reason", "allowed by the caller's group");
    return status;
  };
  if (target.group == "authentication.k8s.io" && target.plural == "selfsubjectreviews") {
    body["metadata"].set("creationTimestamp", now_text());
    body.set("status", Value::object({{"userInfo", user_info(caller)}}));
    return body;
  }
  if (target.group == "authentication.k8s.io" && target.plural == "tokenreviews") {
    const Value spec = body["spec"];
    std::vector<std::string> audiences;
    for (const Value& a : spec["audiences"].items()) audiences.push_back(a.as_string());
    if (audiences.empty()) audiences.emplace_back(kTokenIssuer);
    Value status = Value::object();
    std::string why;
    for (const auto& audience : audiences) {
      auto who = authenticate_token(spec["token"].as_string(), audience);
      if (!who) {
        why = who.error().message;
        continue;
      }
      status.set("authenticated", true).set("user", user_info(*who)).set("audiences", Value::array({audience}));
      break;
    }
    if (status.empty()) status.set("authenticated", false).set("error", why);
    body.set("status", std::move(status));
    return body;
  }
  if (target.group == "authorization.k8s.io") {
    if (target.plural == "selfsubjectaccessreviews") {
      body.set("status", access(caller));
      return body;
    }
    if (target.plural == "subjectaccessreviews" || target.plural == "localsubjectaccessreviews") {
      const Value spec = body["spec"];
      Caller who{spec["user"].as_string(), spec["uid"].as_string(), {}};
      for (const Value& g : spec["groups"].items()) who.groups.push_back(g.as_string());
      // A ServiceAccount's groups follow from its name.
      auto parts = base::split(who.user, ':');
      if (parts.size() == 4 && parts[0] == "system" && parts[1] == "serviceaccount") who.groups.push_back("system:serviceaccounts:" + std::string(parts[2]));
      body.set("status", access(who));
      return body;
    }
    if (target.plural == "selfsubjectrulesreviews") {
      const bool all = allowed(caller, "*", "*", "*");
      Value rules = Value::array();
      if (all) {
        rules.push(Value::object({{"verbs", Value::array({"*"})}, {"apiGroups", Value::array({"*"})}, {"resources", Value::array({"*"})}}));
      } else {
        rules.push(Value::object({{"verbs", Value::array({"create"})},
                                  {"apiGroups", Value::array({"authorization.k8s.io"})},
                                  {"resources", Value::array({"selfsubjectaccessreviews", "selfsubjectrulesreviews"})}}));
      }
      Value paths = all ? Value::array({"*"}) : Value::array({"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version"});
      Value other = Value::array({Value::object({{"verbs", Value::array({all ? "*" : "get"})}, {"nonResourceURLs", std::move(paths)}})});
      body.set("status", Value::object({{"incomplete", false}, {"resourceRules", std::move(rules)}, {"nonResourceRules", std::move(other)}}));
      return body;
    }
  }
  return refuse(failure(404, "NotFound", "the server could not find the requested resource"));
}

}  // namespace fairlead::api
