// DestinationRule: traffic policies, subsets.
#include <set>

#include "base/strings.h"
#include "base/time.h"
#include "mesh/istio_rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

void outlier(const Value& o, Findings& out) {
  if (o.is_null()) return;
  check_duration(o["baseEjectionTime"], out);
  if (o["consecutiveErrors"].as_int() != 0)
    out.warn("outlier detection consecutive errors is deprecated, use consecutiveGatewayErrors or consecutive5xxErrors instead");
  if (!o["splitExternalLocalOriginErrors"].as_bool() && o["consecutiveLocalOriginFailures"].as_int() > 0)
    out.error("outlier detection consecutive local origin failures is specified, but split external local origin errors is set to false");
  check_duration(o["interval"], out);
  check_percent(o["maxEjectionPercent"].as_int(), out);
  check_percent(o["minHealthPercent"].as_int(), out);
}

void connection_pool(const Value& p, Findings& out) {
  if (p.is_null()) return;
  const Value& http = p["http"];
  const Value& tcp = p["tcp"];
  if (http.is_null() && tcp.is_null()) return out.error("connection pool must have at least one field");
  constexpr std::pair<const char*, const char*> kCounts[] = {{"http1MaxPendingRequests", "http1 max pending requests"},
                                                             {"http2MaxRequests", "http2 max requests"},
                                                             {"maxRequestsPerConnection", "max requests per connection"},
                                                             {"maxRetries", "max retries"},
                                                             {"maxConcurrentStreams", "max concurrent streams"}};
  for (auto [field, name] : kCounts)
    if (http[field].as_int() < 0) out.error("{} must be non-negative", name);
  check_duration(http["idleTimeout"], out);
  if (http["h2UpgradePolicy"].as_string() == "UPGRADE" && http["useClientProtocol"].as_bool())
    out.error("use client protocol must not be true when H2UpgradePolicy is UPGRADE");
  if (const Value& alive = http["http2KeepAlive"]; !alive.is_null()) {
    for (const char* field : {"interval", "timeout"}) {
      if (alive[field].is_null()) {
        out.error("http2 keepalive {} is required", field);
      } else {
        check_duration(alive[field], out);
      }
    }
  }
  if (tcp["maxConnections"].as_int() < 0) out.error("max connections must be non-negative");
  check_duration(tcp["connectTimeout"], out);
  check_duration(tcp["maxConnectionDuration"], out);
  if (const std::string& idle = tcp["idleTimeout"].as_string(); !idle.empty()) {
    auto d = base::parse_duration(idle);
    if (!d || *d != base::Nanos(0)) check_duration(tcp["idleTimeout"], out);  // 0s: no time-out
  }
  check_duration(tcp["tcpKeepalive"]["time"], out);
  check_duration(tcp["tcpKeepalive"]["interval"], out);
}

bool prime(int64_t n) {
  if (n > 0 && n < 4) return true;
  if (n % 2 == 0) return false;
  for (int64_t f = 3; f * f <= n; f += 2)
    if (n % f == 0) return false;
  return true;
}

void locality(const Value& l, bool has_outlier, Findings& out) {
  if (l.is_null()) return;
  if (!l["distribute"].empty() && !l["failover"].empty()) return out.error("can not simultaneously specify 'distribute' and 'failover'");
  for (const Value& d : l["distribute"].items()) {
    int64_t total = 0;
    for (const auto& to : d["to"].members()) {
      int64_t weight = to.value.as_int();
      if (weight <= 0 || weight > 100) return out.error("locality weight must be in range [1, 100]");
      total += weight;
    }
    if (total != 100) return out.error("total locality weight {} != 100", total);
  }
  if ((!l["failover"].empty() || !l["failoverPriority"].empty()) && !has_outlier)
    out.warn("outlier detection policy must be provided for failover");
  for (const Value& f : l["failover"].items()) {
    const std::string& from = f["from"].as_string();
    const std::string& to = f["to"].as_string();
    if (from == to) out.error("locality lb failover settings must specify different regions");
    if ((from + to).find('/') != std::string::npos) out.error("locality lb failover only specify region");
    if ((from + to).find('*') != std::string::npos) out.error("locality lb failover region should not contain '*' wildcard");
  }
}

void load_balancer(const Value& lb, bool has_outlier, Findings& out) {
  if (lb.is_null()) return;
  if (const Value& hash = lb["consistentHash"]; !hash.is_null()) {
    const Value& cookie = hash["httpCookie"];
    if (!cookie.is_null() && cookie["name"].as_string().empty()) out.error("name required for HttpCookie");
    if (hash["minimumRingSize"].as_int() != 0) {
      out.warn("consistent hash MinimumRingSize is deprecated, use ConsistentHashLB's RingHash configuration instead");
      if (!hash["ringHash"].is_null() || !hash["maglev"].is_null())
        out.error("only one of MinimumRingSize or Maglev/Ringhash can be specified");
    }
    if (const Value& maglev = hash["maglev"]; !maglev.is_null()) {
      int64_t size = maglev["tableSize"].as_int();
      if (size == 0) out.error("tableSize must be set for maglev");
      if (size >= 5000011) {
        out.error("tableSize must be less than 5000011 for maglev");
      } else if (!prime(size)) {
        out.error("tableSize must be a prime number for maglev");
      }
    }
  }
  locality(lb["localityLbSetting"], has_outlier, out);
  if (const Value& warmup = lb["warmup"]; !warmup.is_null()) {
    if (warmup["duration"].is_null()) {
      out.error("duration is required");
    } else {
      check_duration(warmup["duration"], out);
    }
    if (warmup["minimumPercent"].as_double() > 100) out.error("minimumPercent value should be less than or equal to 100");
    if (warmup.contains("aggression") && warmup["aggression"].as_double() <= 0) out.error("aggression should be greater than 0");
  }
}

void client_tls(const Value& tls, Findings& out) {
  if (tls.is_null()) return;
  const std::string& mode = tls["mode"].as_string();
  auto has = [&](const char* field) { return !tls[field].as_string().empty(); };
  bool names = tls.contains("subjectAltNames");
  if (tls["insecureSkipVerify"].as_bool()) {
    if (mode == "SIMPLE" && (has("caCertificates") || has("credentialName") || names))
      out.error("cannot specify CaCertificates or CredentialName or SubjectAltNames when InsecureSkipVerify is set true");
    if (mode == "MUTUAL" && (has("caCertificates") || names))
      out.error("cannot specify CaCertificates or SubjectAltNames when InsecureSkipVerify is set true");
  }
  if ((mode == "SIMPLE" || mode == "MUTUAL") && has("credentialName")) {
    if (has("clientCertificate") || has("caCertificates") || has("privateKey") || has("caCrl"))
      out.error("cannot specify client certificates or CA certificate or CA CRL If credentialName is set");
    return;
  }
  if (mode == "MUTUAL") {
    if (!has("clientCertificate")) out.error("client certificate required for mutual tls");
    if (!has("privateKey")) out.error("private key required for mutual tls");
  }
}

void policy_parts(const Value& p, Findings& out) {
  outlier(p["outlierDetection"], out);
  connection_pool(p["connectionPool"], out);
  load_balancer(p["loadBalancer"], !p["outlierDetection"].is_null(), out);
  client_tls(p["tls"], out);
}

}  // namespace

void validate_traffic_policy(const Value& p, Findings& out) {
  if (p.is_null()) return;
  size_t fields = 0;
  for (const auto& m : p.members()) fields += !m.value.is_null();
  if (fields == 0) return out.error("traffic policy must have at least one field");
  if (!p["tunnel"].is_null() && !p["proxyProtocol"].is_null()) return out.error("tunnel and proxyProtocol must not be set together");
  policy_parts(p, out);
  for (const Value& port : p["portLevelSettings"].items()) {
    if (port["port"].is_null()) out.error("portTrafficPolicy must have valid port");
    bool any = false;
    for (const char* part : {"outlierDetection", "connectionPool", "loadBalancer", "tls"}) any = any || !port[part].is_null();
    if (any) {
      policy_parts(port, out);
    } else {
      out.error("port traffic policy must have at least one field");
    }
  }
  if (const Value& tunnel = p["tunnel"]; !tunnel.is_null()) {
    const std::string& protocol = tunnel["protocol"].as_string();
    if (!protocol.empty() && protocol != "CONNECT" && protocol != "POST") out.error("tunnel protocol must be \"CONNECT\" or \"POST\"");
    check_port(tunnel["targetPort"].as_int(), out);
  }
}

void validate_destination_rule(const Value& spec, Findings& out) {
  check_wildcard_domain(spec["host"].as_string(), out);
  validate_traffic_policy(spec["trafficPolicy"], out);
  std::set<std::string> names;
  for (const Value& s : spec["subsets"].items()) {
    const std::string& name = s["name"].as_string();
    if (!names.insert(name).second) out.error("duplicate subset names: {}", name);
    check_subset_name(name, out);
    check_labels(s["labels"], out);
    validate_traffic_policy(s["trafficPolicy"], out);
  }
  check_export_to(spec["exportTo"], out);
  if (!spec["workloadSelector"].is_null()) check_selector(spec["workloadSelector"]["matchLabels"], out);
}

}  // namespace fairlead::mesh
