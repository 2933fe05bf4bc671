// Gateway, ServiceEntry, WorkloadEntry, WorkloadGroup, Sidecar: what is at the edges of the mesh.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "mesh/istio_rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

void server_tls(const Value& tls, Findings& out) {
  if (tls.is_null()) return;
  const std::string& mode = tls["mode"].as_string();
  auto has = [&](const char* field) { return !tls[field].as_string().empty(); };
  bool names = !tls["credentialNames"].empty(), certificates = !tls["tlsCertificates"].empty();
  const std::string& lowest = tls["minProtocolVersion"].as_string();
  if ((lowest == "TLSV1_0" || lowest == "TLSV1_1") && tls["cipherSuites"].empty())
    out.warn("TLS version below TLSV1_2 require setting compatible ciphers as by default they no longer include compatible ciphers.");
  if (mode == "ISTIO_MUTUAL") {
    if (has("serverCertificate")) out.error("ISTIO_MUTUAL TLS cannot have associated server certificate");
    if (has("privateKey")) out.error("ISTIO_MUTUAL TLS cannot have associated private key");
    if (has("caCertificates")) out.error("ISTIO_MUTUAL TLS cannot have associated CA bundle");
    if (certificates) out.error("ISTIO_MUTUAL TLS cannot have associated tlsCertificates");
    if (has("credentialName")) out.error("ISTIO_MUTUAL TLS cannot have associated credentialName");
    if (names) out.error("ISTIO_MUTUAL TLS cannot have associated credentialNames");
    return;
  }
  bool passthrough = mode.empty() || mode == "PASSTHROUGH" || mode == "AUTO_PASSTHROUGH";
  if (passthrough && (has("serverCertificate") || has("privateKey") || has("caCertificates") || certificates || has("credentialName") || names))
    out.warn("{} mode does not use certificates, they will be ignored", mode.empty() ? "PASSTHROUGH" : mode);
  int sources = (has("serverCertificate") && has("privateKey")) + has("credentialName") + names + certificates;
  if (sources > 1)
    out.error("only one of credential_name, credential_names, server_certificate/private_key, tls_certificates should be specified");
  bool mutual = mode == "MUTUAL" || mode == "OPTIONAL_MUTUAL";
  if (mode != "SIMPLE" && !mutual) return;
  if (has("credentialName") || names) return;
  std::string prefix = mutual ? "MUTUAL TLS" : "SIMPLE TLS";
  if (mutual && !has("caCertificates")) out.error("{} requires a client CA bundle", prefix);
  Value own = Value::array({tls});
  const Value& list = certificates ? tls["tlsCertificates"] : own;
  for (const Value& c : list.items()) {
    if (c["serverCertificate"].as_string().empty()) out.error("{} requires a server certificate", prefix);
    if (c["privateKey"].as_string().empty()) out.error("{} requires a private key", prefix);
  }
  if (has("caCrl") && mode == "SIMPLE") out.error("CRL is not supported with SIMPLE TLS");
}

void gateway_host(const std::string& entry, Findings& out) {
  std::string_view host = entry;
  if (size_t slash = entry.find('/'); slash != std::string::npos) {
    std::string_view ns = host.substr(0, slash);
    host = host.substr(slash + 1);
    if (ns.empty() || host.empty()) out.error("config namespace and dnsName in host entry cannot be empty");
    if (ns != "*" && ns != "." && !is_dns_label(ns)) out.error("invalid namespace value \"{}\" in gateway", ns);
  }
  if (host == "*") return;
  if (is_ip_address(host)) return;
  Findings own;
  check_wildcard_domain(host, own);
  for (std::string& e : own.errors) out.errors.push_back(std::move(e));
  if (host.find('*') != std::string_view::npos && !host.starts_with("*."))
    out.error("partial wildcard \"{}\" not allowed", host);
}

void server(const Value& s, Findings& out) {
  if (s["hosts"].empty()) out.error("server config must contain at least one host");
  for (const Value& h : s["hosts"].items()) gateway_host(h.as_string(), out);
  const Value& port = s["port"];
  if (port.is_null()) return out.error("port is required");
  const std::string& protocol = port["protocol"].as_string();
  bool known = known_protocol(protocol);
  if (!known)
    out.error("invalid protocol \"{}\", supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, TCP", protocol);
  check_port(port["number"].as_int(), out);
  if (port["targetPort"].as_int() > 0) out.error("targetPort has no impact on Gateways");
  if (port["name"].as_string().empty()) out.error("port name must be set: number:{} protocol:\"{}\"", port["number"].as_int(), protocol);
  if (const std::string& bind = s["bind"].as_string(); !bind.empty() && !bind.starts_with("unix://") && !is_ip_address(bind))
    out.error("{} is not a valid IP", bind);
  const Value& tls = s["tls"];
  server_tls(tls, out);
  if (!known) return;
  bool secure = is_tls_protocol(protocol);
  if (secure && tls.is_null()) {
    out.error("server must have TLS settings for HTTPS/TLS protocols");
  } else if (!secure && !tls.is_null()) {
    const std::string& mode = tls["mode"].as_string();
    bool plain = mode.empty() || mode == "PASSTHROUGH" || mode == "AUTO_PASSTHROUGH";
    bool files = !tls["caCertificates"].as_string().empty() || !tls["privateKey"].as_string().empty() ||
                 !tls["serverCertificate"].as_string().empty();
    if (!is_http_protocol(protocol)) {
      out.error("server cannot have TLS settings for non HTTPS/TLS ports");
    } else if (!plain || files) {
      out.error("server cannot have TLS settings for plain text HTTP ports");
    }
  }
}

bool fqdn(std::string_view name) {
  Findings f;
  check_fqdn(name, f);
  return f.errors.empty();
}

}  // namespace

void validate_gateway(const Value& object, Findings& out) {
  const std::string& name = object["metadata"]["name"].as_string();
  if (!name.empty() && !is_dns_label(name)) out.error("invalid gateway name: \"{}\"", name);
  const Value& servers = object["spec"]["servers"];
  if (servers.empty()) out.error("gateway must have at least one server");
  for (const Value& s : servers.items()) server(s, out);
  std::set<std::string> names;
  for (const Value& s : servers.items()) {
    if (s["port"].is_null()) continue;
    const std::string& port_name = s["port"]["name"].as_string();
    if (!names.insert(port_name).second) out.error("port names in servers must be unique: duplicate name {}", port_name);
    if (!is_http_protocol(s["port"]["protocol"].as_string()) && s["tls"]["httpsRedirect"].as_bool())
      out.warn("tls.httpsRedirect should only be used with http servers");
  }
}

void validate_workload_entry(const Value& spec, const std::vector<std::string>* service_ports, bool names_allowed, Findings& out) {
  const std::string& address = spec["address"].as_string();
  bool socket = address.starts_with("unix://");
  if (address.empty()) {
    if (spec["network"].as_string().empty()) return out.error("address is required");
    out.warn("address is unset with network \"{}\"", spec["network"].as_string());
  } else if (socket) {
    if (!spec["ports"].empty()) out.error("unix endpoint {} must not include ports", address);
  } else if (!is_ip_address(address)) {
    if (!names_allowed) {
      out.error("endpoint address \"{}\" is not a valid IP address", address);
    } else if (!fqdn(address)) {
      out.error("endpoint address \"{}\" is not a valid FQDN or an IP address", address);
    }
  }
  for (const auto& m : spec["ports"].members()) {
    if (service_ports && std::find(service_ports->begin(), service_ports->end(), m.key) == service_ports->end())
      out.error("endpoint port {} is not defined by the service entry", m.value.as_int());
    if (!is_dns_label(m.key)) out.error("invalid port name: {}", m.key);
    check_port(m.value.as_int(), out);
  }
  check_labels(spec["labels"], out);
  if (socket && service_ports && service_ports->size() != 1) out.error("exactly 1 service port required for unix endpoints");
}

void validate_service_entry(const Value& object, Findings& out) {
  const Value& spec = object["spec"];
  const Value& hosts = spec["hosts"];
  const Value& endpoints = spec["endpoints"];
  std::string resolution = spec["resolution"].string_or("NONE");
  if (!spec["workloadSelector"].is_null()) {
    if (spec["workloadSelector"]["labels"].empty())
      out.warn("service entry: workload selector specified without labels, will be applied to all services in namespace");
    if (spec.contains("endpoints")) out.error("only one of WorkloadSelector or Endpoints is allowed in Service Entry");
  }
  if (hosts.empty()) out.error("service entry must have at least one host");
  for (const Value& h : hosts.items()) {
    const std::string& host = h.as_string();
    if (host == "*") {
      out.error("invalid host {}", host);
      continue;
    }
    check_wildcard_domain(host, out);
    if (resolution != "DYNAMIC_DNS" && host.find('*') != std::string::npos && !host.starts_with("*."))
      out.warn("partial wildcard \"{}\" not allowed", host);
  }
  bool cidr = false;
  for (const Value& a : spec["addresses"].items()) {
    cidr = cidr || a.as_string().find('/') != std::string::npos;
    check_subnet(a.as_string(), out);
  }
  if (cidr && resolution != "NONE" && resolution != "STATIC") out.error("CIDR addresses are allowed only for NONE/STATIC resolution types");

  // Addresses are handed out automatically where DNS is resolved and no host is a wildcard.
  bool automatic = resolution != "NONE" && std::none_of(hosts.items().begin(), hosts.items().end(),
                                                        [](const Value& h) { return h.as_string().find('*') != std::string::npos; });
  std::vector<std::string> port_names;
  std::set<int64_t> numbers;
  for (const Value& p : spec["ports"].items()) {
    const std::string& name = p["name"].as_string();
    const std::string& protocol = p["protocol"].as_string();
    if (std::find(port_names.begin(), port_names.end(), name) != port_names.end())
      out.error("service entry port name \"{}\" already defined", name);
    port_names.push_back(name);
    if (!numbers.insert(p["number"].as_int()).second) out.error("service entry port {} already defined", p["number"].as_int());
    if (p["targetPort"].as_int() != 0) check_port(p["targetPort"].as_int(), out);
    if (spec["addresses"].empty() && !automatic && (protocol.empty() || protocol == "TCP"))
      out.warn("addresses are required for ports serving TCP (or unset) protocol when IP Autoallocation is not enabled");
    if (!is_dns_label(name)) out.error("invalid port name: {}", name);
    if (!protocol.empty() && !known_protocol(protocol)) out.error("unsupported protocol: {}", protocol);
    check_port(p["number"].as_int(), out);
  }

  if (resolution == "NONE") {
    if (!endpoints.empty()) out.error("no endpoints should be provided for resolution type none");
    if (!spec["workloadSelector"].is_null()) out.warn("workloadSelector should not be set when resolution mode is NONE");
  } else if (resolution == "STATIC") {
    for (const Value& e : endpoints.items()) validate_workload_entry(e, &port_names, false, out);
  } else if (resolution == "DNS" || resolution == "DNS_ROUND_ROBIN") {
    if (endpoints.empty()) {
      for (const Value& h : hosts.items()) {
        Findings own;
        check_fqdn(h.as_string(), own);
        if (own.errors.empty()) continue;
        out.error("hosts must be FQDN or contain only prefix wildcards if no endpoints are provided for resolution mode {}, {}", resolution,
                  own.errors.front());
        break;
      }
    }
    if (resolution == "DNS_ROUND_ROBIN" && endpoints.size() > 1)
      out.error("there must only be 0 or 1 endpoint for resolution mode {}", resolution);
    for (const Value& e : endpoints.items()) {
      const std::string& address = e["address"].as_string();
      if (!is_ip_address(address) && !fqdn(address)) out.error("endpoint address \"{}\" is not a valid FQDN or an IP address", address);
      check_labels(e["labels"], out);
      for (const auto& m : e["ports"].members()) {
        if (std::find(port_names.begin(), port_names.end(), m.key) == port_names.end())
          out.error("endpoint port {} is not defined by the service entry", m.value.as_int());
        if (!is_dns_label(m.key)) out.error("invalid port name: {}", m.key);
        check_port(m.value.as_int(), out);
      }
    }
  }
  if (resolution != "NONE" && hosts.size() > 1) {
    for (const Value& p : spec["ports"].items()) {
      const std::string& protocol = p["protocol"].as_string();
      if (is_http_protocol(protocol) || is_tls_protocol(protocol)) continue;
      out.error("multiple hosts provided with non-HTTP, non-TLS ports");
      break;
    }
  }
  check_export_to(spec["exportTo"], out);
}

void validate_workload_group(const Value& spec, Findings& out) {
  if (spec["template"].is_null()) return out.error("template is required");
  check_labels(spec["metadata"]["labels"], out);
  const Value& probe = spec["probe"];
  if (probe.is_null()) return;
  for (const char* field : {"periodSeconds", "initialDelaySeconds", "timeoutSeconds", "successThreshold", "failureThreshold"})
    if (probe[field].as_int() < 0) out.error("{} must be non-negative", field);
  if (const Value& get = probe["httpGet"]; !get.is_null()) {
    check_port(get["port"].as_int(), out);
    const std::string& scheme = get["scheme"].as_string();
    if (!scheme.empty() && scheme != "HTTP" && scheme != "HTTPS") out.error("httpGet.scheme must be one of \"HTTPS\", \"HTTP\"");
  } else if (const Value& tcp = probe["tcpSocket"]; !tcp.is_null()) {
    check_port(tcp["port"].as_int(), out);
  } else if (const Value& exec = probe["exec"]; !exec.is_null()) {
    if (exec["command"].empty()) out.error("exec.command is required");
  } else if (probe["grpc"].is_null()) {
    out.error("unknown health check method <nil>");
  }
}

void validate_sidecar(const Value& spec, Findings& out) {
  if (!spec["workloadSelector"].is_null() && spec["workloadSelector"]["labels"].empty())
    out.warn("sidecar: workload selector specified without labels, will be applied to all services in namespace");
  if (spec["egress"].empty() && spec["ingress"].empty() && spec["outboundTrafficPolicy"].is_null() && spec["inboundConnectionPool"].is_null())
    return out.error("sidecar: empty configuration provided");
  std::set<int64_t> ports;
  for (const Value& i : spec["ingress"].items()) {
    if (i["port"].is_null()) {
      out.error("sidecar: port is required for ingress listeners");
      continue;
    }
    int64_t number = i["port"]["number"].as_int();
    if (i["port"]["targetPort"].as_int() > 0) out.error("targetPort has no impact on Sidecars");
    check_port(number, out);
    if (!ports.insert(number).second) out.error("sidecar: ports on IP bound listeners must be unique");
  }
  size_t catch_all = 0;
  for (const Value& e : spec["egress"].items()) {
    if (e["port"].is_null() && ++catch_all > 1) out.error("sidecar: egress can have only one listener without port");
    if (e["hosts"].empty()) out.error("sidecar: egress listener must contain at least one host");
    for (const Value& h : e["hosts"].items()) {
      const std::string& entry = h.as_string();
      size_t slash = entry.find('/');
      if (slash == std::string::npos) {
        out.error("host must be of form namespace/dnsName");
        continue;
      }
      std::string_view ns = std::string_view(entry).substr(0, slash), host = std::string_view(entry).substr(slash + 1);
      if (ns.empty() || host.empty()) out.error("config namespace and dnsName in host entry cannot be empty");
      if (ns.starts_with('~')) ns.remove_prefix(1);
      if (!ns.empty() && ns != "*" && ns != "." && !is_dns_label(ns)) out.error("invalid namespace value \"{}\" in sidecar", entry.substr(0, slash));
      if (!host.empty() && host != "*") check_wildcard_domain(host, out);
    }
  }
}

}  // namespace fairlead::mesh
