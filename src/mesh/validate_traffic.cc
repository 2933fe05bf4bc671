// VirtualService: routes, matches, faults, retries.
#include <map>
#include <set>

#include "base/strings.h"
#include "base/time.h"
#include "mesh/istio_rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

bool header_name(std::string_view s) {
  if (s.empty()) return false;
  for (char c : s)
    if (!std::isalnum(static_cast<unsigned char>(c)) && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) return false;
  return true;
}

void match_header(const std::string& name, Findings& out) {
  if (name.empty()) {
    out.error("header name cannot be empty");
    return;
  }
  if (name.starts_with("@request.auth.claims")) return;
  for (std::string_view pseudo : {":method", ":scheme", ":authority", ":path", ":status"})
    if (name == pseudo) return;
  if (!header_name(name)) out.error("header name {} is not a valid header name", name);
}

// `authority`: the request's host may be set, nowhere else.
void operation_header(const std::string& name, bool authority, Findings& out) {
  bool host = base::iequals(name, "host");
  if (name.empty()) {
    out.error("header name cannot be empty");
  } else if (authority && (host || base::iequals(name, ":authority"))) {
    return;
  } else if (host) {
    out.error("invalid header \"{}\": cannot set Host header", name);
  } else if (name.starts_with(':')) {
    out.error("invalid header \"{}\": header cannot have \":\" prefix", name);
  }
}

void header_value(const std::string& value, Findings& out) {
  for (char c : value) {
    auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && u != '\t') || u == 0x7f) {
      out.error("header value configuration {} is invalid", value);
      return;
    }
  }
}

void headers(const Value& h, Findings& out) {
  for (const char* side : {"request", "response"}) {
    bool request = std::string_view(side) == "request";
    for (const char* action : {"add", "set"}) {
      for (const auto& m : h[side][action].members()) {
        operation_header(m.key, request, out);
        header_value(m.value.as_string(), out);
      }
    }
    for (const Value& name : h[side]["remove"].items()) operation_header(name.as_string(), false, out);
  }
}

void string_match(const Value& m, std::string_view where, bool empty_prefix_allowed, Findings& out) {
  if (m.contains("regex")) {
    check_regex(m["regex"].as_string(), where, out);
  } else if (!empty_prefix_allowed && m.contains("prefix") && m["prefix"].as_string().empty()) {
    out.error("\"{}\": prefix string match should not be empty", where);
  }
}

void http_match(const Value& m, Findings& out) {
  for (const auto& h : m["headers"].members()) {
    match_header(h.key, out);
    string_match(h.value, "headers", false, out);
  }
  for (const auto& h : m["withoutHeaders"].members()) {
    match_header(h.key, out);
    if (h.value["regex"].as_string() != "*") string_match(h.value, "withoutHeaders", false, out);
  }
  string_match(m["uri"], "uri", true, out);
  for (const char* part : {"scheme", "method", "authority"}) string_match(m[part], part, false, out);
  for (const auto& q : m["queryParams"].members()) string_match(q.value, "queryParams", false, out);
  if (m["port"].as_int() != 0) check_port(m["port"].as_int(), out);
  check_labels(m["sourceLabels"], out);
  check_gateway_names(m["gateways"], out);
  if (const std::string& ns = m["sourceNamespace"].as_string(); !ns.empty() && !is_dns_label(ns))
    out.error("sourceNamespace match {} is invalid", ns);
}

void destination(const Value& d, Findings& out) {
  if (d.is_null()) return;
  const std::string& host = d["host"].as_string();
  if (host == "*") {
    out.error("invalid destination host {}", host);
  } else {
    check_wildcard_domain(host, out);
  }
  if (!d["subset"].as_string().empty()) check_subset_name(d["subset"].as_string(), out);
  if (!d["port"].is_null()) check_port(d["port"]["number"].as_int(), out);
}

void destinations(const Value& routes, bool http, Findings& out) {
  int64_t total = 0;
  for (const Value& r : routes.items()) {
    if (r["destination"].is_null()) out.error("destination is required");
    if (http) headers(r["headers"], out);
    destination(r["destination"], out);
    int64_t weight = r["weight"].as_int();
    if (weight < 0) out.error("weight {} < 0", weight);
    total += weight;
  }
  if (routes.size() > 1 && total == 0) out.error("total destination weight = 0");
}

void percentage(const Value& p, Findings& out) {
  if (p.is_null()) return;
  double v = p["value"].as_double();
  if (v < 0 || v > 100 || (v > 0 && v < 0.0001)) out.error("percentage {} is neither 0.0, nor in range [0.0001, 100.0]", v);
}

void http_status(int64_t status, Findings& out) {
  if (status < 200 || status > 600) out.error("HTTP status {} is not in range 200-599", status);
}

void fault(const Value& f, Findings& out) {
  if (f.is_null()) return;
  const Value& abort = f["abort"];
  const Value& delay = f["delay"];
  if (abort.is_null() && delay.is_null()) out.error("HTTP fault injection must have an abort and/or a delay");
  if (!abort.is_null()) {
    percentage(abort["percentage"], out);
    if (abort.contains("grpcStatus")) {
      static const std::set<std::string> kStatus{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
                                                 "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
                                                 "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
                                                 "UNAUTHENTICATED"};
      if (!kStatus.contains(abort["grpcStatus"].as_string()))
        out.error("gRPC status \"{}\" is not supported. See https://github.com/grpc/grpc/blob/master/doc/statuscodes.md for a list of "
                  "supported codes, for example 'NOT_FOUND'",
                  abort["grpcStatus"].as_string());
    } else if (abort.contains("http2Error")) {
      out.error("HTTP/2 abort fault injection not supported yet");
    } else if (abort.contains("httpStatus")) {
      http_status(abort["httpStatus"].as_int(), out);
    } else {
      out.warn("abort configured, but error type not set");
    }
  }
  if (!delay.is_null()) {
    percentage(delay["percentage"], out);
    if (delay.contains("percent")) check_percent(delay["percent"].as_int(), out);
    check_duration(delay["fixedDelay"], out);
    if (delay.contains("exponentialDelay")) out.error("exponentialDelay not supported yet");
  }
}

void redirect(const Value& r, const Value& matches, Findings& out) {
  if (r.is_null()) return;
  auto has = [&](const char* field) { return !r[field].as_string().empty(); };
  if (has("uri") && has("prefixRewrite")) return out.error("redirect may only specify one of uri or prefix_rewrite");
  if (has("prefixRewrite"))
    for (const Value& m : matches.items())
      if (!m["uri"].is_null() && !m["uri"].contains("prefix"))
        return out.error("redirect prefix_rewrite requires all URI matches to use prefix match type");
  if (!has("uri") && !has("prefixRewrite") && !has("authority") && !has("scheme") && r["port"].is_null() && r["derivePort"].is_null())
    return out.error("redirect must specify URI, authority, scheme, or port");
  int64_t code = r["redirectCode"].as_int();
  if (code != 0 && (code < 300 || code > 399)) return out.error("{} is not a valid redirect code, must be 3xx", code);
  const std::string& scheme = r["scheme"].as_string();
  if (!scheme.empty() && scheme != "http" && scheme != "https") return out.error("invalid redirect scheme, must be \"http\" or \"https\"");
  if (r["port"].as_int() > 0) check_port(r["port"].as_int(), out);
}

void rewrite(const Value& r, const Value& route_headers, Findings& out) {
  if (!r.is_null()) {
    const Value& regex = r["uriRegexRewrite"];
    bool uri = !r["uri"].as_string().empty(), authority = !r["authority"].as_string().empty();
    if (uri && !regex.is_null()) {
      out.error("rewrite may only contain one of URI or UriRegexRewrite");
    } else if (!uri && regex.is_null() && !authority) {
      out.error("rewrite must specify at least one of URI, UriRegexRewrite, or authority. Only one of URI or UriRegexRewrite may be specified");
    } else if (!regex.is_null()) {
      if (regex["match"].as_string().empty() || regex["rewrite"].as_string().empty()) {
        out.error("UriRegexRewrite has errors\nUriRegexRewrite requires both Rewrite and Match fields to be specified");
      } else {
        check_regex(regex["match"].as_string(), "HTTPRewrite.UriRegexRewrite.Match", out);
      }
    }
  }
  std::string current = r["authority"].as_string();
  for (const char* action : {"set", "add"}) {
    for (const auto& m : route_headers["request"][action].members()) {
      if (!base::iequals(m.key, ":authority") && !base::iequals(m.key, "host")) continue;
      if (!current.empty())
        return out.error("authority header cannot be set multiple times: have \"{}\", attempting to set \"{}\"", current, m.value.as_string());
      current = m.value.as_string();
    }
  }
}

void retries(const Value& r, Findings& out) {
  if (r.is_null()) return;
  int64_t attempts = r["attempts"].as_int();
  if (attempts < 0) out.error("attempts cannot be negative");
  if (attempts == 0 && (r.contains("perTryTimeout") || !r["retryOn"].as_string().empty() || r.contains("retryRemoteLocalities")))
    out.error("http retry policy configured when attempts are set to 0 (disabled)");
  check_duration(r["perTryTimeout"], out);
  check_duration(r["backoff"], out);
  static const std::set<std::string_view> kPolicies{
      "5xx", "gateway-error", "reset", "connect-failure", "retriable-4xx", "refused-stream", "retriable-status-codes",
      "retriable-headers", "envoy-ratelimited", "http3-post-connect-failure", "reset-before-request", "cancelled",
      "deadline-exceeded", "internal", "resource-exhausted", "unavailable"};
  const std::string& on = r["retryOn"].as_string();
  if (on.empty()) return;
  for (std::string_view policy : base::split(on, ',')) {
    auto code = base::to_int(policy);
    bool status = code && *code >= 100 && *code <= 599;
    if (!status && !kPolicies.contains(policy)) out.error("\"{}\" is not a valid retryOn policy", policy);
  }
}

void cors(const Value& c, Findings& out) {
  if (c.is_null()) return;
  for (const Value& o : c["allowOrigins"].items()) {
    std::string text = o["exact"].as_string() + o["prefix"].as_string() + o["regex"].as_string();
    if (text.empty()) {
      out.error("'{}' is not a valid match type for CORS allow origins", text);
    } else if (o.contains("regex")) {
      check_regex(o["regex"].as_string(), "corsPolicy.allowOrigins", out);
    }
  }
  static const std::set<std::string_view> kMethods{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"};
  for (const Value& m : c["allowMethods"].items())
    if (!kMethods.contains(m.as_string())) out.error("\"{}\" is not a supported HTTP method", m.as_string());
  for (const char* list : {"allowHeaders", "exposeHeaders"})
    for (const Value& h : c[list].items()) {
      if (h.as_string() == "*") continue;
      if (h.as_string().empty()) {
        out.error("header name cannot be empty");
      } else if (!header_name(h.as_string())) {
        out.error("header name {} is not a valid header name", h.as_string());
      }
    }
  check_duration(c["maxAge"], out);
}

void mirrors(const Value& route, Findings& out) {
  if (route.contains("mirrorPercent") || route.contains("mirror_percent")) {
    int64_t v = route.contains("mirrorPercent") ? route["mirrorPercent"].as_int() : route["mirror_percent"].as_int();
    if (v > 100) out.error("mirror_percent must have a max value of 100 (it has {})", v);
    out.warn("using deprecated setting \"mirrorPercent\", use \"mirrorPercentage\" instead");
  }
  if (route.contains("mirrorPercentage")) {
    double v = route["mirrorPercentage"]["value"].as_double();
    if (v > 100) out.error("mirror_percentage must have a max value of 100 (it has {:f})", v);
    if (v < 0) out.error("mirror_percentage must have a min value of 0 (it has {:f})", v);
  }
  destination(route["mirror"], out);
  for (const Value& m : route["mirrors"].items()) {
    if (m["destination"].is_null()) {
      out.error("destination is required for mirrors");
      continue;
    }
    destination(m["destination"], out);
    double v = m["percentage"]["value"].as_double();
    if (v > 100) out.error("mirror percentage must have a max value of 100 (it has {:f})", v);
    if (v < 0) out.error("mirror percentage must have a min value of 0 (it has {:f})", v);
  }
}

void conflicts(const Value& r, bool delegate, Findings& out) {
  bool redirects = !r["redirect"].is_null(), direct = !r["directResponse"].is_null();
  bool routes = !r["route"].empty(), faults = !r["fault"].is_null(), rewrites = !r["rewrite"].is_null();
  if (!delegate && !r["delegate"].is_null()) {
    if (redirects) out.error("root HTTP route {} must not specify redirect", r["name"].as_string());
    if (r.contains("route")) out.error("root HTTP route {} must not specify route", r["name"].as_string());
    return;
  }
  if (delegate && !r["delegate"].is_null()) out.error("delegate HTTP route cannot contain delegate");
  if (redirects) {
    if (routes) out.error("HTTP route cannot contain both route and redirect");
    if (faults) out.error("HTTP route cannot contain both fault and redirect");
    if (rewrites) out.error("HTTP route rule cannot contain both rewrite and redirect");
    if (direct) out.error("HTTP route rule cannot contain both direct_response and redirect");
  } else if (direct) {
    if (routes) out.error("HTTP route cannot contain both route and direct_response");
    if (faults) out.error("HTTP route cannot contain both fault and direct_response");
    if (rewrites) out.error("HTTP route rule cannot contain both rewrite and direct_response");
  } else if (!routes) {
    out.error("HTTP route, redirect or direct_response is required");
  }
  if (!r["mirror"].is_null() && !r["mirrors"].empty()) out.error("HTTP route cannot contain both mirror and mirrors");
}

void http_route(const Value& r, bool delegate, Findings& out) {
  conflicts(r, delegate, out);
  for (const Value& m : r["match"].items()) http_match(m, out);
  headers(r["headers"], out);
  cors(r["corsPolicy"], out);
  fault(r["fault"], out);
  mirrors(r, out);
  redirect(r["redirect"], r["match"], out);
  if (!r["directResponse"].is_null()) {
    size_t size = r["directResponse"]["body"]["string"].as_string().size() + r["directResponse"]["body"]["bytes"].as_string().size() * 3 / 4;
    if (size > 1024 * 1024) {
      out.error("large direct_responses may impact control plane performance, must be less than 1MB");
    } else if (size > 100 * 1024) {
      out.warn("large direct_responses may impact control plane performance");
    }
    http_status(r["directResponse"]["status"].as_int(), out);
  }
  retries(r["retries"], out);
  rewrite(r["rewrite"], r["headers"], out);
  destinations(r["route"], true, out);
  check_duration(r["timeout"], out);
}

// Host name patterns: "*" matches all, "*.a.b" everything under a.b.
bool host_matches(std::string_view a, std::string_view b) {
  auto wild = [](std::string_view s) { return s.starts_with('*'); };
  auto tail = [](std::string_view s) { return s.substr(1); };
  if (wild(a) && wild(b)) return tail(a).size() < tail(b).size() ? tail(b).ends_with(tail(a)) : tail(a).ends_with(tail(b));
  if (wild(a)) return b.ends_with(tail(a));
  if (wild(b)) return a.ends_with(tail(b));
  return a == b;
}
bool subset_of(std::string_view a, std::string_view b) {
  if (!b.starts_with('*')) return a == b;
  std::string_view tail = b.substr(1);
  return a.starts_with('*') ? a.substr(1).ends_with(tail) : a.ends_with(tail);
}

std::string route_name(const Value& r, size_t index) {
  return r["name"].as_string().empty() ? fmt::format("#{}", index) : fmt::format("\"{}\"", r["name"].as_string());
}

void unreachable(const Value& routes, Findings& out) {
  std::map<std::string, size_t> seen;
  bool catch_all = false;
  size_t index = 0;
  for (const Value& r : routes.items()) {
    size_t n = index++;
    std::string name = route_name(r, n);
    if (r["match"].empty()) {
      if (catch_all) out.warn("virtualService rule {} not used (only the last rule can have no matches)", name);
      catch_all = true;
      continue;
    }
    size_t duplicates = 0, match_index = 0;
    for (const Value& m : r["match"].items()) {
      std::string match_name = route_name(m, match_index++);
      if (catch_all) {
        out.warn("virtualService rule {} not used (route without matches defined before)", name);
        continue;
      }
      Value key = m;
      key.erase("name");
      auto [it, fresh] = seen.emplace(key.dump(0, true), n);
      if (fresh) continue;
      ++duplicates;
      out.warn("virtualService rule {} match {} is not used (duplicate/overlapping match in rule {})", name, match_name,
               route_name(routes[it->second], it->second));
    }
    if (duplicates == r["match"].size()) out.warn("virtualService rule {} not used (all matches used by prior rules)", name);
  }
}

void tls_route(const Value& r, const Value& spec, Findings& out) {
  if (r["match"].empty()) out.error("TLS route must have at least one match condition");
  for (const Value& m : r["match"].items()) {
    if (m["sniHosts"].empty()) out.error("TLS match must have at least one SNI host");
    for (const Value& sni : m["sniHosts"].items()) {
      const std::string& host = sni.as_string();
      if (host.starts_with("outbound_")) continue;
      if (is_ip_address(host)) {
        out.warn("using an IP address (\"{}\") goes against SNI spec and most clients do not support this", host);
        continue;
      }
      size_t before = out.errors.size();
      check_wildcard_domain(host, out);
      if (out.errors.size() != before) continue;
      bool fits = false;
      std::vector<std::string> hosts;
      for (const Value& h : spec["hosts"].items()) {
        fits = fits || subset_of(host, h.as_string());
        hosts.push_back(h.as_string());
      }
      if (!fits)
        out.error("SNI host \"{}\" is not a compatible subset of any of the virtual service hosts: [{}]", host, base::join(hosts, ", "));
    }
    for (const Value& s : m["destinationSubnets"].items()) check_subnet(s.as_string(), out);
    if (m["port"].as_int() != 0) check_port(m["port"].as_int(), out);
    check_labels(m["sourceLabels"], out);
    check_gateway_names(m["gateways"], out);
  }
  if (r["route"].empty()) out.error("TLS route is required");
  destinations(r["route"], false, out);
}

void tcp_route(const Value& r, Findings& out) {
  for (const Value& m : r["match"].items()) {
    for (const Value& s : m["destinationSubnets"].items()) check_subnet(s.as_string(), out);
    if (m["port"].as_int() != 0) check_port(m["port"].as_int(), out);
    check_labels(m["sourceLabels"], out);
    check_gateway_names(m["gateways"], out);
  }
  if (r["route"].empty()) out.error("TCP route is required");
  destinations(r["route"], false, out);
}

}  // namespace

void validate_virtual_service(const Value& spec, Findings& out) {
  const Value& hosts = spec["hosts"];
  bool delegate = hosts.empty();
  if (delegate) {
    if (!spec["gateways"].empty()) out.error("delegate virtual service must have no gateways specified");
    if (!spec["tls"].empty()) out.error("delegate virtual service must have no tls route specified");
    if (!spec["tcp"].empty()) out.error("delegate virtual service must have no tcp route specified");
  }
  bool to_gateway = false;
  if (!spec["gateways"].empty()) {
    check_gateway_names(spec["gateways"], out);
    for (const Value& g : spec["gateways"].items()) to_gateway = to_gateway || g.as_string() != "mesh";
  }
  bool hosts_valid = true;
  for (const Value& h : hosts.items()) {
    const std::string& host = h.as_string();
    if (is_ip_address(host)) continue;
    size_t before = out.errors.size();
    if (!(to_gateway && host.starts_with("outbound_"))) check_wildcard_domain(host, out);
    if (before == out.errors.size() && !to_gateway && host == "*")
      out.error("wildcard host * is not allowed for virtual services bound to the mesh gateway");
    hosts_valid = hosts_valid && before == out.errors.size();
  }
  for (size_t i = 0; hosts_valid && i < hosts.size(); ++i)
    for (size_t j = i + 1; j < hosts.size(); ++j)
      if (host_matches(hosts[i].as_string(), hosts[j].as_string()))
        out.error("duplicate hosts in virtual service: {} & {}", hosts[i].as_string(), hosts[j].as_string());
  if (spec["http"].empty() && spec["tcp"].empty() && spec["tls"].empty()) out.error("http, tcp or tls must be provided in virtual service");
  for (const Value& r : spec["http"].items()) http_route(r, delegate, out);
  for (const Value& r : spec["tls"].items()) tls_route(r, spec, out);
  for (const Value& r : spec["tcp"].items()) tcp_route(r, out);
  check_export_to(spec["exportTo"], out);
  for (const char* list : {"http", "tcp", "tls"}) unreachable(spec[list], out);
}

}  // namespace fairlead::mesh
