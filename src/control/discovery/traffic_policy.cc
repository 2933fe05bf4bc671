#include "control/discovery/traffic_policy.h"

#include <limits>

#include "control/discovery/mutual_tls.h"
#include "control/discovery/proto.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

// match_subject_alt_names is deprecated in Envoy and still what Istio sends.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace fairlead::control {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

uint32_t positive(const base::Value& v) { return v.as_int() > 0 ? static_cast<uint32_t>(v.as_int()) : 0; }

void connection_pool(cluster::Cluster& c, HttpProtocolOptions& options, const base::Value& pool) {
  const auto& http = pool["http"];
  const auto& tcp = pool["tcp"];
  auto& limits = *c.mutable_circuit_breakers()->mutable_thresholds(0);
  if (auto n = positive(http["http2MaxRequests"])) limits.mutable_max_requests()->set_value(n);
  if (auto n = positive(http["http1MaxPendingRequests"])) limits.mutable_max_pending_requests()->set_value(n);
  if (auto n = positive(http["maxRetries"])) limits.mutable_max_retries()->set_value(n);
  if (auto n = positive(tcp["maxConnections"])) limits.mutable_max_connections()->set_value(n);
  if (auto timeout = base::parse_duration(tcp["connectTimeout"].as_string())) set_duration(c.mutable_connect_timeout(), *timeout);
  if (const auto& keepalive = tcp["tcpKeepalive"]; keepalive.is_object()) {
    auto& out = *c.mutable_upstream_connection_options()->mutable_tcp_keepalive();
    if (auto n = positive(keepalive["probes"])) out.mutable_keepalive_probes()->set_value(n);
    auto seconds = [](const base::Value& v) {
      auto d = base::parse_duration(v.as_string());
      return d ? static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(*d).count()) : 0u;
    };
    if (auto n = seconds(keepalive["time"])) out.mutable_keepalive_time()->set_value(n);
    if (auto n = seconds(keepalive["interval"])) out.mutable_keepalive_interval()->set_value(n);
  }
  const auto& idle = http["idleTimeout"].is_string() ? http["idleTimeout"] : tcp["idleTimeout"];
  if (auto d = base::parse_duration(idle.as_string()))
    set_duration(options.mutable_common_http_protocol_options()->mutable_idle_timeout(), *d);
  if (auto n = positive(http["maxRequestsPerConnection"]))
    options.mutable_common_http_protocol_options()->mutable_max_requests_per_connection()->set_value(n);
  if (auto d = base::parse_duration(tcp["maxConnectionDuration"].as_string()))
    set_duration(options.mutable_common_http_protocol_options()->mutable_max_connection_duration(), *d);
  if (http["useClientProtocol"].as_bool()) {
    options.clear_explicit_http_config();
    options.mutable_use_downstream_protocol_config()->mutable_http_protocol_options();
    options.mutable_use_downstream_protocol_config()->mutable_http2_protocol_options();
  } else if (http["h2UpgradePolicy"].as_string() == "UPGRADE") {
    options.mutable_explicit_http_config()->mutable_http2_protocol_options();
  }
  if (auto n = positive(http["maxConcurrentStreams"]); n && options.explicit_http_config().has_http2_protocol_options())
    options.mutable_explicit_http_config()->mutable_http2_protocol_options()->mutable_max_concurrent_streams()->set_value(n);
}

void outlier_detection(cluster::Cluster& c, const base::Value& in) {
  auto& out = *c.mutable_outlier_detection();
  out.mutable_enforcing_success_rate()->set_value(0);
  auto count = [](const base::Value& v, auto* threshold, auto* enforcing) {
    threshold->set_value(positive(v));
    enforcing->set_value(v.as_int() > 0 ? 100 : 0);
  };
  if (in.contains("consecutive5xxErrors"))
    count(in["consecutive5xxErrors"], out.mutable_consecutive_5xx(), out.mutable_enforcing_consecutive_5xx());
  if (in.contains("consecutiveGatewayErrors")) {
    count(in["consecutiveGatewayErrors"], out.mutable_consecutive_gateway_failure(),
          out.mutable_enforcing_consecutive_gateway_failure());
  } else if (in["consecutiveErrors"].as_int() > 0) {
    // The old name meant gateway errors, alone. Istio itself no longer reads it; manifests of tutorials still have it.
    count(in["consecutiveErrors"], out.mutable_consecutive_gateway_failure(), out.mutable_enforcing_consecutive_gateway_failure());
    if (!in.contains("consecutive5xxErrors")) out.mutable_enforcing_consecutive_5xx()->set_value(0);
  }
  if (auto d = base::parse_duration(in["interval"].as_string())) set_duration(out.mutable_interval(), *d);
  if (auto d = base::parse_duration(in["baseEjectionTime"].as_string())) set_duration(out.mutable_base_ejection_time(), *d);
  if (auto n = positive(in["maxEjectionPercent"])) out.mutable_max_ejection_percent()->set_value(n);
  if (in["splitExternalLocalOriginErrors"].as_bool()) {
    out.set_split_external_local_origin_errors(true);
    if (auto n = positive(in["consecutiveLocalOriginFailures"])) {
      out.mutable_consecutive_local_origin_failure()->set_value(n);
      out.mutable_enforcing_consecutive_local_origin_failure()->set_value(100);
    }
    out.mutable_enforcing_local_origin_success_rate()->set_value(0);
  }
  // Panic routing is off unless asked for: with few endpoints it would defeat ejection.
  c.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(in["minHealthPercent"].as_double());
}

void load_balancer(cluster::Cluster& c, const base::Value& in) {
  if (c.lb_policy() == cluster::Cluster::CLUSTER_PROVIDED) return;
  if (const auto& hash = in["consistentHash"]; hash.is_object()) {
    if (hash["maglev"].is_object()) {
      c.set_lb_policy(cluster::Cluster::MAGLEV);
      if (auto n = positive(hash["maglev"]["tableSize"])) c.mutable_maglev_lb_config()->mutable_table_size()->set_value(n);
      return;
    }
    c.set_lb_policy(cluster::Cluster::RING_HASH);
    uint32_t size = positive(hash["ringHash"]["minimumRingSize"]);
    if (!size) size = positive(hash["minimumRingSize"]);
    c.mutable_ring_hash_lb_config()->mutable_minimum_ring_size()->set_value(size ? size : 1024);
    return;
  }
  const std::string& simple = in["simple"].as_string();
  if (simple == "ROUND_ROBIN") {
    c.set_lb_policy(cluster::Cluster::ROUND_ROBIN);
  } else if (simple == "RANDOM") {
    c.set_lb_policy(cluster::Cluster::RANDOM);
  } else if (simple == "PASSTHROUGH") {
    c.set_type(cluster::Cluster::ORIGINAL_DST);
    c.set_lb_policy(cluster::Cluster::CLUSTER_PROVIDED);
    c.clear_eds_cluster_config();
  } else {
    c.set_lb_policy(cluster::Cluster::LEAST_REQUEST);
  }
}

// TLS origination (SIMPLE, MUTUAL). Mutual TLS of the mesh (ISTIO_MUTUAL) is in mutual_tls.cc.
void upstream_tls(cluster::Cluster& c, HttpProtocolOptions& options, const base::Value& in, const PolicyOf& of) {
  const std::string& mode = in["mode"].as_string();
  if (mode != "SIMPLE" && mode != "MUTUAL") return;
  bool mutual = mode == "MUTUAL", verify = !in["insecureSkipVerify"].as_bool();
  const std::string& credential = in["credentialName"].as_string();
  // A Secret named for every sidecar would have to be one that every sidecar may read.
  if (!credential.empty() && !of.gateway) return;
  tls::UpstreamTlsContext context;
  context.set_sni(in["sni"].as_string());
  // Without an sni it is the request's host, and that is what the certificate has to be for.
  if (in["sni"].as_string().empty()) {
    auto& http = *options.mutable_upstream_http_protocol_options();
    http.set_auto_sni(true);
    if (in["subjectAltNames"].empty() && verify) http.set_auto_san_validation(true);
  }
  auto& common = *context.mutable_common_tls_context();
  common.mutable_tls_params()->set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_2);
  common.mutable_tls_params()->set_tls_maximum_protocol_version(tls::TlsParameters::TLSv1_3);
  auto names = [&](tls::CertificateValidationContext& out) {
    for (const auto& name : in["subjectAltNames"].items()) out.add_match_subject_alt_names()->set_exact(name.as_string());
    if (in["subjectAltNames"].empty() && !of.service.kubernetes)
      for (const auto& name : of.accounts) out.add_match_subject_alt_names()->set_exact(name);
  };
  if (!credential.empty()) {
    if (mutual) kubernetes_secret(common.add_tls_certificate_sds_secret_configs(), credential);
    if (verify) {
      names(*common.mutable_combined_validation_context()->mutable_default_validation_context());
      kubernetes_secret(common.mutable_combined_validation_context()->mutable_validation_context_sds_secret_config(), credential + "-cacert");
    }
  } else {
    if (mutual) agent_secret(common.add_tls_certificate_sds_secret_configs(), file_certificate(in["clientCertificate"].as_string(), in["privateKey"].as_string()));
    if (verify) {
      auto& rules = *common.mutable_combined_validation_context()->mutable_default_validation_context();
      names(rules);
      if (!in["caCrl"].as_string().empty()) rules.mutable_crl()->set_filename(in["caCrl"].as_string());
      agent_secret(common.mutable_combined_validation_context()->mutable_validation_context_sds_secret_config(), file_root(in["caCertificates"].string_or("system")));
    } else {
      common.mutable_validation_context();
    }
  }
  if (options.explicit_http_config().has_http2_protocol_options()) common.add_alpn_protocols("h2");
  c.mutable_transport_socket()->set_name("envoy.transport_sockets.tls");
  pack(c.mutable_transport_socket()->mutable_typed_config(), context);
}

}  // namespace

base::Value effective_policy(const base::Value* rule_policy, const base::Value* subset, const Port& port) {
  // Settings of a port stand alone: nothing is inherited from the level they are on.
  auto at_port = [&](base::Value policy) {
    for (const auto& level : policy["portLevelSettings"].items())
      if (level["port"]["number"].as_int() == port.number) return base::Value(level);
    return policy;
  };
  base::Value out = at_port(rule_policy ? *rule_policy : base::Value());
  if (!subset) return out;
  const auto& own = (*subset)["trafficPolicy"];
  out.erase("portLevelSettings");
  for (const auto& member : own.members()) out.set(member.key, member.value);
  return at_port(std::move(out));
}

void apply_traffic_policy(cluster::Cluster& c, HttpProtocolOptions& options, const base::Value& policy, const PolicyOf& of) {
  if (policy.is_null()) return;
  if (policy["connectionPool"].is_object()) connection_pool(c, options, policy["connectionPool"]);
  if (policy["outlierDetection"].is_object()) outlier_detection(c, policy["outlierDetection"]);
  if (policy["loadBalancer"].is_object()) load_balancer(c, policy["loadBalancer"]);
  if (policy["tls"].is_object()) upstream_tls(c, options, policy["tls"], of);
}

void unlimited_circuit_breakers(cluster::Cluster& c) {
  constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();
  auto& limits = *c.mutable_circuit_breakers()->add_thresholds();
  limits.mutable_max_connections()->set_value(kMax);
  limits.mutable_max_pending_requests()->set_value(kMax);
  limits.mutable_max_requests()->set_value(kMax);
  limits.mutable_max_retries()->set_value(kMax);
}

void set_http_options(cluster::Cluster& c, HttpProtocolOptions& options) {
  if (options.ByteSizeLong() == 0) return;
  // A specifier is required once the message is there; HTTP/1.1 is what a cluster without it speaks.
  if (options.upstream_protocol_options_case() == HttpProtocolOptions::UPSTREAM_PROTOCOL_OPTIONS_NOT_SET)
    options.mutable_explicit_http_config()->mutable_http_protocol_options();
  pack(&(*c.mutable_typed_extension_protocol_options())["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"], options);
}

}  // namespace fairlead::control
