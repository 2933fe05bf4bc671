// Istio's own rules, beyond what a schema can say. Internal to mesh/. Messages are the ones users know from istiod's
// webhook. Source: Istio pkg/config/validation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

namespace fairlead::mesh {

// Collects sentences; every check adds its own and goes on.
struct Findings {
  std::vector<std::string> errors, warnings;
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    errors.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    warnings.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
};

// Protocol names of ports.
bool known_protocol(std::string_view protocol);
bool is_http_protocol(std::string_view protocol);  // HTTP, HTTP2, GRPC, GRPC-WEB, HTTP_PROXY
bool is_tls_protocol(std::string_view protocol);   // HTTPS, TLS

bool is_ip_address(std::string_view s);
bool is_dns_label(std::string_view s);

void check_port(int64_t port, Findings& out);
void check_fqdn(std::string_view name, Findings& out);
void check_wildcard_domain(std::string_view name, Findings& out);
void check_subnet(std::string_view subnet, Findings& out);
void check_regex(std::string_view regex, std::string_view where, Findings& out);
void check_labels(const base::Value& labels, Findings& out);
void check_gateway_names(const base::Value& names, Findings& out);
void check_export_to(const base::Value& export_to, Findings& out);
void check_selector(const base::Value& match_labels, Findings& out);
void check_duration(const base::Value& duration, Findings& out);
void check_subset_name(const std::string& name, Findings& out);
void check_percent(int64_t percent, Findings& out);

void validate_virtual_service(const base::Value& spec, Findings& out);
void validate_destination_rule(const base::Value& spec, Findings& out);
void validate_traffic_policy(const base::Value& policy, Findings& out);
void validate_gateway(const base::Value& object, Findings& out);
void validate_service_entry(const base::Value& object, Findings& out);
void validate_workload_entry(const base::Value& spec, const std::vector<std::string>* service_ports, bool names_allowed, Findings& out);
void validate_workload_group(const base::Value& spec, Findings& out);
void validate_sidecar(const base::Value& spec, Findings& out);
void validate_authorization_policy(const base::Value& object, Findings& out);
void validate_request_authentication(const base::Value& spec, Findings& out);
void validate_peer_authentication(const base::Value& spec, Findings& out);
void validate_telemetry(const base::Value& spec, Findings& out);

}  // namespace fairlead::mesh
