// Which of Istio's rules hold for a kind, and the small checks that they share.
#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "base/time.h"
#include "mesh/istio_rules.h"
#include "mesh/rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

constexpr std::string_view kHttp[] = {"http", "http2", "grpc", "grpc-web", "http_proxy"};
constexpr std::string_view kTls[] = {"https", "tls"};
constexpr std::string_view kOther[] = {"tcp", "udp", "mongo", "redis", "mysql"};

bool one_of(std::string_view protocol, std::span<const std::string_view> list) {
  std::string name = base::to_lower(protocol);
  return std::find(list.begin(), list.end(), name) != list.end();
}

// A label of a domain name; Istio allows upper case and underscores nowhere, but a leading "*" or "*-" in the first.
bool dns_label(std::string_view s, bool wildcard) {
  if (wildcard && s == "*") return true;
  if (wildcard && s.starts_with("*-")) s.remove_prefix(2);
  if (s.empty() || s.size() > 63) return false;
  auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (!alnum(s.front()) || !alnum(s.back())) return false;
  return std::all_of(s.begin(), s.end(), [&](char c) { return alnum(c) || c == '-'; });
}

bool domain_size(std::string_view name, Findings& out) {
  if (name.size() > 255) out.error("domain name \"{}\" too long (max 255)", name);
  if (name.empty()) out.error("empty domain name not allowed");
  return !name.empty() && name.size() <= 255;
}

void check_labels_of(std::string_view rest, Findings& out) {
  auto parts = base::split(rest, '.');
  std::string_view top = parts.back();
  if (top.empty() && parts.size() > 1) parts.pop_back();  // a final dot is fine
  if (std::all_of(parts.back().begin(), parts.back().end(), [](char c) { return c >= '0' && c <= '9'; }) && !parts.back().empty()) {
    out.error("domain name \"{}\" invalid (top level domain \"{}\" cannot be all-numeric)", rest, parts.back());
    return;
  }
  for (std::string_view label : parts) {
    if (dns_label(label, false)) continue;
    out.error("domain name \"{}\" invalid (label \"{}\" invalid)", rest, label);
    return;
  }
}

}  // namespace

bool is_http_protocol(std::string_view p) { return one_of(p, kHttp); }
bool is_tls_protocol(std::string_view p) { return one_of(p, kTls); }
bool known_protocol(std::string_view p) { return one_of(p, kHttp) || one_of(p, kTls) || one_of(p, kOther); }

bool is_ip_address(std::string_view s) {
  unsigned char buffer[16];
  std::string text(s);
  return inet_pton(AF_INET, text.c_str(), buffer) == 1 || inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

bool is_dns_label(std::string_view s) { return dns1123_label_error(s) == nullptr; }

void check_port(int64_t port, Findings& out) {
  if (port < 1 || port > 65535) out.error("port number {} must be in the range 1..65535", port);
}

void check_fqdn(std::string_view name, Findings& out) {
  if (domain_size(name, out)) check_labels_of(name, out);
}

void check_wildcard_domain(std::string_view name, Findings& out) {
  if (!domain_size(name, out)) return;
  size_t dot = name.find('.');
  std::string_view first = name.substr(0, dot);
  if (!dns_label(first, true)) {
    out.error("domain name \"{}\" invalid (label \"{}\" invalid)", name, first);
  } else if (dot != std::string_view::npos) {
    check_labels_of(name.substr(dot + 1), out);
  }
}

void check_subnet(std::string_view subnet, Findings& out) {
  size_t slash = subnet.find('/');
  if (slash == std::string_view::npos) {
    if (!is_ip_address(subnet)) out.error("{} is not a valid IP", subnet);
    return;
  }
  std::string_view address = subnet.substr(0, slash);
  auto bits = base::to_int(subnet.substr(slash + 1));
  int limit = address.find(':') == std::string_view::npos ? 32 : 128;
  if (!is_ip_address(address) || !bits || *bits < 0 || *bits > limit) out.error("{} is not a valid CIDR block", subnet);
}

void check_regex(std::string_view regex, std::string_view where, Findings& out) {
  constexpr size_t kLimit = 1024;
  if (regex.empty()) {
    out.error("\"{}\": regex string match should not be empty", where);
  } else if (regex.size() > kLimit) {
    out.error("\"{}\": regex is too large, max length allowed is 1024", where);
  } else {
    re2::RE2 compiled(re2::StringPiece(regex.data(), regex.size()), re2::RE2::Quiet);
    if (!compiled.ok())
      out.error("\"{}\": error parsing regexp: {}; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)",
                where, compiled.error());
  }
}

void check_labels(const Value& labels, Findings& out) {
  for (const auto& m : labels.members()) {
    if (qualified_name_error(m.key)) out.error("invalid tag key: \"{}\"", m.key);
    if (label_value_error(m.value.as_string())) out.error("invalid tag value: \"{}\"", m.value.as_string());
  }
}

void check_gateway_names(const Value& names, Findings& out) {
  for (const Value& v : names.items()) {
    const std::string& name = v.as_string();
    size_t slash = name.find('/');
    if (slash == std::string::npos) {
      auto parts = base::split(name, '.');
      if (parts.size() > 1)
        out.warn("using legacy gatewayName format \"{}\"; prefer the <namespace>/<name> format: \"{}/{}\"", name, parts[1], parts[0]);
      check_fqdn(name, out);
      continue;
    }
    std::string_view ns = std::string_view(name).substr(0, slash), gateway = std::string_view(name).substr(slash + 1);
    if (ns.empty() || gateway.empty()) out.error("config namespace and gateway name cannot be empty");
    if (!is_dns_label(ns)) out.error("invalid value for namespace: \"{}\"", ns);
    if (!is_dns_label(gateway)) out.error("invalid value for gateway name: \"{}\"", gateway);
  }
}

void check_export_to(const Value& export_to, Findings& out) {
  std::set<std::string> seen;
  for (const Value& v : export_to.items()) {
    const std::string& name = v.as_string();
    if (!seen.insert(name).second) {
      out.error("duplicate entries in exportTo: {}", name);
    } else if (name != "." && name != "*" && name != "~" && !is_dns_label(name)) {
      out.error("only ., *, or a valid DNS 1123 label is allowed as exportTo entry");
    }
  }
  if (seen.contains("*") && seen.size() > 1) out.error("cannot have both public (*) and non-public exportTo values for a resource");
  if (seen.contains("~") && seen.size() > 1) out.error("cannot export service entry to no one (~) and someone");
}

void check_selector(const Value& match_labels, Findings& out) {
  for (const auto& m : match_labels.members()) {
    std::string pair = m.key + "=" + m.value.as_string();
    if (m.key.empty()) out.error("empty key is not supported in selector: \"{}\"", pair);
    if (pair.find('*') != std::string::npos) out.error("wildcard is not supported in selector: \"{}\"", pair);
  }
  if (match_labels.empty()) out.warn("workload selector specified without labels");
}

void check_duration(const Value& duration, Findings& out) {
  if (duration.is_null()) return;
  auto d = base::parse_duration(duration.as_string());
  if (!d) {
    out.error("invalid duration \"{}\"", duration.as_string());
  } else if (*d < base::Millis(1)) {
    out.error("duration must be greater than 1ms");
  } else if (*d % base::Millis(1) != base::Nanos(0)) {
    out.error("only durations to ms precision are supported");
  }
}

void check_subset_name(const std::string& name, Findings& out) {
  if (name.empty()) {
    out.error("subset name cannot be empty");
  } else if (!is_dns_label(name)) {
    out.error("subset name is invalid: {}", name);
  }
}

void check_percent(int64_t percent, Findings& out) {
  if (percent < 0 || percent > 100) out.error("percentage {} is not in range 0..100", percent);
}

namespace {

Findings findings(const Kind& kind, const Value& object) {
  Findings out;
  const Value& spec = object["spec"];
  if (kind.kind == "VirtualService") {
    validate_virtual_service(spec, out);
  } else if (kind.kind == "DestinationRule") {
    validate_destination_rule(spec, out);
  } else if (kind.kind == "Gateway") {
    validate_gateway(object, out);
  } else if (kind.kind == "ServiceEntry") {
    validate_service_entry(object, out);
  } else if (kind.kind == "WorkloadEntry") {
    validate_workload_entry(spec, nullptr, true, out);
  } else if (kind.kind == "WorkloadGroup") {
    validate_workload_group(spec, out);
  } else if (kind.kind == "Sidecar") {
    validate_sidecar(spec, out);
  } else if (kind.kind == "AuthorizationPolicy") {
    validate_authorization_policy(object, out);
  } else if (kind.kind == "RequestAuthentication") {
    validate_request_authentication(spec, out);
  } else if (kind.kind == "PeerAuthentication") {
    validate_peer_authentication(spec, out);
  } else if (kind.kind == "Telemetry") {
    validate_telemetry(spec, out);
  }
  return out;
}

}  // namespace

void validate_istio(const Kind& kind, const Value& object, Problems& out) {
  Findings found = findings(kind, object);
  for (std::string& e : found.errors) out.push_back({Cause::kRefused, "", std::move(e), "", object["spec"].position});
}

std::vector<std::string> istio_warnings(const Kind& kind, const Value& object) { return findings(kind, object).warnings; }

}  // namespace fairlead::mesh
