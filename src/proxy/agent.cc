#include "proxy/agent.h"

#include <algorithm>
#include <cstdlib>

#include "base/strings.h"
#include "base/time.h"

extern char** environ;

namespace fairlead::proxy {

base::Value parse_downward(std::string_view text) {
  base::Value out = base::Value::object();
  for (std::string_view line : base::split(text, '\n')) {
    size_t eq = line.find('=');
    if (eq == std::string_view::npos) continue;
    std::string_view quoted = base::trim(line.substr(eq + 1));
    std::string value;
    if (auto parsed = base::parse_json(quoted); parsed && parsed->is_string()) value = parsed->as_string();
    else value = quoted;
    out.set(base::trim(line.substr(0, eq)), value);
  }
  return out;
}

base::Result<AgentIdentity> make_identity(const AgentOptions& o) {
  auto env = [&](const char* name, std::string_view fallback = {}) {
    std::string v = o.environment(name);
    return v.empty() ? std::string(fallback) : v;
  };
  AgentIdentity id;
  std::string ns = env("POD_NAMESPACE", "default");
  std::string pod = env("POD_NAME", env("HOSTNAME", "unknown"));
  std::string domain = o.domain.empty() ? ns + ".svc.cluster.local" : o.domain;
  id.node.id = fmt::format("{}~{}~{}.{}~{}", o.role, o.ip, pod, ns, domain);

  base::Value labels = parse_downward(o.labels);
  base::Value metadata = base::Value::object();
  metadata.set("NAME", pod).set("NAMESPACE", ns);
  metadata.set("INSTANCE_IPS", o.ip);
  metadata.set("CLUSTER_ID", env("ISTIO_META_CLUSTER_ID", "Kubernetes"));
  metadata.set("ISTIO_VERSION", env("ISTIO_META_ISTIO_VERSION", "1.28.0"));
  metadata.set("FLOW_CONTROL", true);  // it has the filters of fairlead.flow.v1
  metadata.set("SERVICE_ACCOUNT", env("SERVICE_ACCOUNT"));
  metadata.set("PILOT_SAN", base::Value::array({"istiod.istio-system.svc"}));
  // ISTIO_META_X becomes X, ISTIO_METAJSON_X becomes X as JSON.
  for (char** e = environ; e && *e; ++e) {
    std::string_view entry = *e;
    size_t eq = entry.find('=');
    if (eq == std::string_view::npos) continue;
    std::string_view key = entry.substr(0, eq), value = entry.substr(eq + 1);
    if (key.starts_with("ISTIO_METAJSON_")) {
      if (auto parsed = base::parse_json(value)) metadata.set(key.substr(15), std::move(*parsed));
    } else if (key.starts_with("ISTIO_META_")) {
      metadata.set(key.substr(11), value);
    }
  }
  if (!metadata.contains("INTERCEPTION_MODE")) metadata.set("INTERCEPTION_MODE", "REDIRECT");
  if (!metadata.contains("WORKLOAD_NAME")) metadata.set("WORKLOAD_NAME", pod);
  std::string workload = metadata["WORKLOAD_NAME"].as_string();
  metadata.set("LABELS", labels);
  if (!o.annotations.empty()) metadata.set("ANNOTATIONS", parse_downward(o.annotations));
  id.node.cluster = labels["istio.io/dataplane-mode"].is_null() && !labels["app"].as_string().empty() ? labels["app"].as_string() + "." + ns
                                                                                                       : workload + "." + ns;

  base::Value config = base::Value::object();
  if (auto parsed = base::parse_yaml(o.proxy_config, "PROXY_CONFIG"); !parsed) return std::unexpected(parsed.error());
  else if (!parsed->empty()) config = (*parsed)[0];
  std::string discovery = config["discoveryAddress"].string_or(env("DISCOVERY_ADDRESS", "istiod.istio-system.svc:15010"));
  size_t colon = discovery.rfind(':');
  auto port = colon == std::string::npos ? std::optional<long long>(15010) : base::to_int(std::string_view(discovery).substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) return base::fail(base::Code::kInvalidArgument, "discoveryAddress {}: host:port is expected", discovery);
  id.discovery_host = discovery.substr(0, colon);
  id.discovery_port = static_cast<uint16_t>(*port);
  // With istiod's root and a token of the ServiceAccount (mounted by injection) everything goes by TLS; a proxy that was
  // started without them speaks to the plain port of the same server, and has no identity.
  id.trust_domain = env("TRUST_DOMAIN", "cluster.local");
  id.spiffe_id = fmt::format("spiffe://{}/ns/{}/sa/{}", id.trust_domain, ns, env("SERVICE_ACCOUNT", "default"));
  std::string ca = env("CA_ADDR", id.discovery_host + ":15012");
  size_t ca_colon = ca.rfind(':');
  id.ca_host = ca.substr(0, ca_colon);
  if (ca_colon != std::string::npos) id.ca_port = static_cast<uint16_t>(base::to_int(std::string_view(ca).substr(ca_colon + 1)).value_or(15012));
  id.secure = o.secure;
  if (o.secure && id.discovery_port == 15010) id.discovery_port = 15012;
  if (!o.secure && id.discovery_port == 15012) id.discovery_port = 15010;
  if (auto ttl = base::parse_duration(env("SECRET_TTL"))) id.secret_ttl = std::chrono::duration_cast<std::chrono::seconds>(*ttl);
  if (std::string grace = env("SECRET_GRACE_PERIOD_RATIO"); !grace.empty()) id.secret_grace = std::atof(grace.c_str());
  if (config["concurrency"].is_int()) id.concurrency = static_cast<unsigned>(std::max<int64_t>(config["concurrency"].as_int(), 0));
  if (auto drain = base::parse_duration(config["terminationDrainDuration"].as_string())) id.drain_time = *drain;
  if (auto drain = base::parse_duration(env("TERMINATION_DRAIN_DURATION_SECONDS").empty() ? "" : env("TERMINATION_DRAIN_DURATION_SECONDS") + "s")) id.drain_time = *drain;
  metadata.set("PROXY_CONFIG", config);
  id.node.metadata = std::move(metadata);
  return id;
}

}  // namespace fairlead::proxy
