// security.istio.io and telemetry.istio.io.
#include "base/strings.h"
#include "mesh/istio_rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

void targets(const Value& spec, Findings& out) {
  int ways = !spec["selector"].is_null() + !spec["targetRef"].is_null() + !spec["targetRefs"].empty();
  if (ways > 1) out.error("only one of targetRefs or workloadSelector can be set");
  if (!spec["selector"].is_null()) check_selector(spec["selector"]["matchLabels"], out);
  Value single = Value::array();
  if (!spec["targetRef"].is_null()) single.push(spec["targetRef"]);
  for (const Value* list : {const_cast<const Value*>(&single), &spec["targetRefs"]}) {
    for (const Value& ref : list->items()) {
      if (ref["name"].as_string().empty()) out.error("targetRef name must be set");
      if (!ref["namespace"].as_string().empty())
        out.error("targetRef namespace must not be set; cross namespace referencing is not supported");
    }
  }
}

void no_empty(const char* name, const Value& list, Findings& out) {
  for (const Value& v : list.items())
    if (v.as_string().empty()) out.error("empty value not allowed, found in {}", name);
}

constexpr std::pair<const char*, const char*> kSources[] = {
    {"principals", "Principals"}, {"requestPrincipals", "RequestPrincipals"}, {"namespaces", "Namespaces"},
    {"serviceAccounts", "ServiceAccounts"}, {"trustDomains", "TrustDomains"}, {"ipBlocks", "IpBlocks"},
    {"remoteIpBlocks", "RemoteIpBlocks"}, {"notPrincipals", "NotPrincipals"}, {"notRequestPrincipals", "NotRequestPrincipals"},
    {"notNamespaces", "NotNamespaces"}, {"notServiceAccounts", "NotServiceAccounts"}, {"notTrustDomains", "NotTrustDomains"},
    {"notIpBlocks", "NotIpBlocks"}, {"notRemoteIpBlocks", "NotRemoteIpBlocks"}};
constexpr std::pair<const char*, const char*> kOperations[] = {
    {"ports", "Ports"}, {"methods", "Methods"}, {"paths", "Paths"}, {"hosts", "Hosts"},
    {"notPorts", "NotPorts"}, {"notMethods", "NotMethods"}, {"notPaths", "NotPaths"}, {"notHosts", "NotHosts"}};

void rule(const Value& r, size_t index, const std::string& action, Findings& out) {
  bool from = false, to = false, tcp_from = false, tcp_to = false;
  if (r.contains("from") && r["from"].empty()) out.error("`from` must not be empty, found at rule {}", index);
  for (const Value& f : r["from"].items()) {
    const Value& source = f["source"];
    if (source.is_null()) {
      out.error("`from.source` must not be nil, found at rule {}", index);
      continue;
    }
    from = true;
    bool any = false;
    for (auto [field, name] : kSources) {
      any = any || !source[field].empty();
      no_empty(name, source[field], out);
      bool l4 = std::string_view(field).find("equestPrincipals") == std::string_view::npos &&
                std::string_view(field).find("rustDomains") == std::string_view::npos;
      if (l4 && source.contains(field)) tcp_from = true;
    }
    if (!any) out.error("`from.source` must not be empty, found at rule {}", index);
    bool accounts = !source["serviceAccounts"].empty() || !source["notServiceAccounts"].empty();
    bool names = !source["principals"].empty() || !source["notPrincipals"].empty() || !source["namespaces"].empty() || !source["notNamespaces"].empty();
    if (accounts && names) out.error("cannot set serviceAccounts with namespaces or principals, found at rule {}", index);
    for (const char* list : {"ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"})
      for (const Value& ip : source[list].items()) {
        Findings own;
        check_subnet(ip.as_string(), own);
        if (!own.errors.empty()) out.error("invalid ip range ({})", ip.as_string());
      }
  }
  if (r.contains("to") && r["to"].empty()) out.error("`to` must not be empty, found at rule {}", index);
  for (const Value& t : r["to"].items()) {
    const Value& operation = t["operation"];
    if (operation.is_null()) {
      out.error("`to.operation` must not be nil, found at rule {}", index);
      continue;
    }
    to = true;
    bool any = false;
    for (auto [field, name] : kOperations) {
      any = any || !operation[field].empty();
      no_empty(name, operation[field], out);
    }
    if (!any) out.error("`to.operation` must not be empty, found at rule {}", index);
    for (const char* list : {"ports", "notPorts"}) {
      if (operation.contains(list)) tcp_to = true;
      for (const Value& p : operation[list].items()) {
        auto n = base::to_int(p.as_string());
        if (!n || *n < 1 || *n > 65535) out.error("invalid port {}", p.as_string());
      }
    }
  }
  for (const Value& w : r["when"].items()) {
    const std::string& key = w["key"].as_string();
    if (key.empty()) {
      out.error("`key` must not be empty");
    } else if (w["values"].empty() && w["notValues"].empty()) {
      out.error("at least one of `values` or `notValues` must be set for key {}", key);
    }
  }
  if (action == "DENY" && ((from && !to && !tcp_from) || (to && !tcp_to)))
    out.warn("configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the use of only HTTP attributes in a "
             "DENY rule; it is recommended to explicitly specify the port");
}

}  // namespace

void validate_authorization_policy(const Value& object, Findings& out) {
  const Value& spec = object["spec"];
  size_t before = out.errors.size();
  targets(spec, out);
  std::string action = spec["action"].string_or("ALLOW");
  constexpr const char* kMeaningless =
      "{} action without `rules` is meaningless as it will never be triggered, add an empty rule `{{}}` if you want it be triggered for every request";
  if (action == "CUSTOM") {
    if (!spec.contains("rules")) {
      out.error(kMeaningless, "CUSTOM");
    } else if (spec["provider"]["name"].as_string().empty()) {
      out.error("`provider.name` must not be empty");
    }
  } else if (!spec["provider"].is_null()) {
    out.error("`provider` must not be with non CUSTOM action, found {}", action);
  }
  if (action == "DENY" && !spec.contains("rules")) out.error(kMeaningless, "DENY");
  size_t index = 0;
  for (const Value& r : spec["rules"].items()) rule(r, index++, action, out);
  std::string prefix = fmt::format("invalid policy {}.{}: ", object["metadata"]["name"].as_string(), object["metadata"]["namespace"].as_string());
  for (size_t i = before; i < out.errors.size(); ++i) out.errors[i] = prefix + out.errors[i];
}

void validate_request_authentication(const Value& spec, Findings& out) {
  targets(spec, out);
  for (const Value& r : spec["jwtRules"].items()) {
    for (const Value& a : r["audiences"].items())
      if (a.as_string().empty()) out.error("audience must be non-empty string");
    const std::string& uri = r["jwksUri"].as_string().empty() ? r["jwks_uri"].as_string() : r["jwksUri"].as_string();
    if (r["issuer"].as_string().empty() && uri.empty()) out.error("issuer or jwksUri must be non-empty string");
    if (!uri.empty() && !uri.starts_with("http://") && !uri.starts_with("https://")) out.error("URI scheme \"{}\" is not supported", uri.substr(0, uri.find(':')));
    if (const std::string& keys = r["jwks"].as_string(); !keys.empty())
      if (auto parsed = base::parse_json(keys); !parsed) out.error("jwks parse error: {}", parsed.error().message);
    for (const Value& h : r["fromHeaders"].items())
      if (h["name"].as_string().empty()) out.error("location header name must be non-empty string");
    for (const Value& p : r["fromParams"].items())
      if (p.as_string().empty()) out.error("location query must be non-empty string");
    for (const Value& c : r["fromCookies"].items())
      if (c.as_string().empty()) out.error("cookie name must be non-empty string");
    for (const Value& c : r["outputClaimToHeaders"].items())
      if (c["claim"].as_string().empty() || c["header"].as_string().empty())
        out.error("outputClaimToHeaders header and claim value must be non-empty string");
    check_duration(r["timeout"], out);
  }
}

void validate_peer_authentication(const Value& spec, Findings& out) {
  bool everywhere = spec["selector"]["matchLabels"].empty();
  const Value& ports = spec["portLevelMtls"];
  if (everywhere && !ports.empty()) out.error("mesh/namespace peer authentication cannot have port level mTLS");
  if (!ports.is_null() && ports.empty()) out.error("port level mTLS, if defined, must have at least one element");
  for (const auto& m : ports.members()) {
    auto n = base::to_int(m.key);
    if (!n || *n < 1 || *n > 65535) out.error("port must be in range 1..65535");
  }
  if (!spec["selector"].is_null()) check_selector(spec["selector"]["matchLabels"], out);
}

void validate_telemetry(const Value& spec, Findings& out) {
  targets(spec, out);
  if (spec["accessLogging"].size() > 1) out.warn("multiple accessLogging is not currently supported");
  if (spec["tracing"].size() > 1) out.warn("multiple tracing is not currently supported");
  for (const Value& t : spec["tracing"].items()) {
    double v = t["randomSamplingPercentage"].as_double();
    if (v < 0 || v > 100) out.error("randomSamplingPercentage must be in range [0.0, 100.0]");
    if (t["providers"].size() > 1) out.warn("multiple providers is not currently supported");
  }
}

}  // namespace fairlead::mesh
