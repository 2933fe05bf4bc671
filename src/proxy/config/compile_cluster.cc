// Cluster -> ClusterConfig, ClusterLoadAssignment -> EndpointSet.
#include <google/protobuf/struct.pb.h>

#include <algorithm>

#include "base/strings.h"
#include "envoy/config/cluster/v3/circuit_breaker.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/cluster/v3/outlier_detection.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/health_check.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/config/core/v3/resolver.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/endpoint/v3/endpoint_components.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "proxy/config/compile_tls.h"

namespace fairlead::proxy {

namespace cluster_v3 = envoy::config::cluster::v3;
namespace endpoint_v3 = envoy::config::endpoint::v3;
namespace core_v3 = envoy::config::core::v3;
namespace {

std::string locality_text(const core_v3::Locality& from) {
  std::string out = from.region();
  if (!from.zone().empty() || !from.sub_zone().empty()) out += "/" + from.zone();
  if (!from.sub_zone().empty()) out += "/" + from.sub_zone();
  return out;
}

bool is_tls_endpoint(const core_v3::Metadata& metadata) {
  auto at = metadata.filter_metadata().find("envoy.transport_socket_match");
  if (at == metadata.filter_metadata().end()) return false;
  auto mode = at->second.fields().find("tlsMode");
  return mode != at->second.fields().end() && mode->second.string_value() == "istio";
}

HealthStatus health(core_v3::HealthStatus from) {
  switch (from) {
    case core_v3::UNHEALTHY:
    case core_v3::DRAINING:
    case core_v3::TIMEOUT:
      return HealthStatus::kUnhealthy;
    case core_v3::DEGRADED:
      return HealthStatus::kDegraded;
    default:
      return HealthStatus::kHealthy;
  }
}

std::shared_ptr<const EndpointSet> endpoint_set(const CompileContext& at, const endpoint_v3::ClusterLoadAssignment& from, const EndpointSet* previous) {
  auto set = std::make_shared<EndpointSet>();
  if (from.policy().has_overprovisioning_factor()) set->overprovisioning = from.policy().overprovisioning_factor().value();
  if (from.policy().drop_overloads_size()) at.at("policy.drop_overloads").refuse("dropping by overload is not taken");
  StringMap<HostPtr> known;
  if (previous)
    for (const HostPtr& h : previous->hosts) known[h->text + "/" + std::to_string(h->priority)] = h;
  for (int i = 0; i < from.endpoints_size(); ++i) {
    const auto& group = from.endpoints(i);
    CompileContext here = at.at("endpoints", i);
    if (group.has_leds_cluster_locality_config()) here.refuse("locality endpoint discovery is not taken");
    for (int e = 0; e < group.lb_endpoints_size(); ++e) {
      const auto& one = group.lb_endpoints(e);
      CompileContext there = here.at("lb_endpoints", e);
      io::Address address = compile_address(there.at("endpoint.address"), one.endpoint().address());
      std::string text = address.text();
      uint32_t weight = one.has_load_balancing_weight() ? one.load_balancing_weight().value() : 1;
      auto at_known = known.find(text + "/" + std::to_string(group.priority()));
      HostPtr host;
      if (at_known != known.end() && at_known->second->weight == weight && at_known->second->hostname == one.endpoint().hostname() &&
          at_known->second->tls == is_tls_endpoint(one.metadata())) {
        host = at_known->second;
      } else {
        host = std::make_shared<Host>();
        host->address = address;
        host->text = text;
        host->hostname = one.endpoint().hostname();
        host->weight = weight;
        host->priority = group.priority();
        host->locality = locality_text(group.locality());
        host->tls = is_tls_endpoint(one.metadata());
      }
      host->eds_health.store(health(one.health_status()), std::memory_order_relaxed);
      set->hosts.push_back(std::move(host));
    }
  }
  return set;
}

void dns_targets(const CompileContext& at, const endpoint_v3::ClusterLoadAssignment& from, ClusterConfig& c) {
  for (int i = 0; i < from.endpoints_size(); ++i) {
    const auto& group = from.endpoints(i);
    for (int e = 0; e < group.lb_endpoints_size(); ++e) {
      const auto& one = group.lb_endpoints(e);
      const auto& socket = one.endpoint().address().socket_address();
      if (socket.address().empty()) at.at("endpoints", i).at("lb_endpoints", e).refuse("an address with a name and a port_value is required");
      ClusterConfig::DnsTarget t;
      t.name = socket.address();
      t.port = static_cast<uint16_t>(socket.port_value());
      t.weight = one.has_load_balancing_weight() ? one.load_balancing_weight().value() : 1;
      t.priority = group.priority();
      t.locality = locality_text(group.locality());
      c.dns.push_back(std::move(t));
    }
  }
  if (c.dns.empty() && c.type == ClusterConfig::Type::kLogicalDns) at.refuse("LOGICAL_DNS needs one endpoint");
}

void discovery(const CompileContext& at, const cluster_v3::Cluster& from, ClusterConfig& c, const ClusterConfig* previous) {
  using C = cluster_v3::Cluster;
  if (from.has_cluster_type()) at.at("cluster_type").refuse("custom cluster types ({}) are not taken", from.cluster_type().name());
  switch (from.type()) {
    case C::STATIC:
      c.type = ClusterConfig::Type::kStatic;
      c.endpoints = endpoint_set(at.at("load_assignment"), from.load_assignment(), previous ? previous->endpoints.get() : nullptr);
      break;
    case C::STRICT_DNS:
      c.type = ClusterConfig::Type::kStrictDns;
      dns_targets(at.at("load_assignment"), from.load_assignment(), c);
      break;
    case C::LOGICAL_DNS:
      c.type = ClusterConfig::Type::kLogicalDns;
      dns_targets(at.at("load_assignment"), from.load_assignment(), c);
      break;
    case C::EDS:
      c.type = ClusterConfig::Type::kEds;
      c.eds_name = from.eds_cluster_config().service_name().empty() ? from.name() : from.eds_cluster_config().service_name();
      if (from.has_load_assignment()) c.endpoints = endpoint_set(at.at("load_assignment"), from.load_assignment(), nullptr);
      break;
    case C::ORIGINAL_DST:
      c.type = ClusterConfig::Type::kOriginalDst;
      if (from.original_dst_lb_config().has_upstream_port_override())
        c.original_dst_port = static_cast<uint16_t>(from.original_dst_lb_config().upstream_port_override().value());
      c.original_dst_by_header = from.original_dst_lb_config().use_http_header();
      break;
    default:
      at.at("type").refuse("unknown discovery type {}", static_cast<int>(from.type()));
  }
  c.dns_refresh = from.has_dns_refresh_rate() ? nanos(from.dns_refresh_rate()) : Nanos(std::chrono::seconds(5));
  if (c.dns_refresh < std::chrono::seconds(1)) c.dns_refresh = std::chrono::seconds(1);
  c.respect_dns_ttl = from.respect_dns_ttl();
  c.dns_family = from.dns_lookup_family() == C::V4_ONLY ? AF_INET : from.dns_lookup_family() == C::V6_ONLY ? AF_INET6 : AF_UNSPEC;
}

void balancing(const CompileContext& at, const cluster_v3::Cluster& from, ClusterConfig& c) {
  using C = cluster_v3::Cluster;
  switch (from.lb_policy()) {
    case C::ROUND_ROBIN:
      c.balance = ClusterConfig::Balance::kRoundRobin;
      break;
    case C::LEAST_REQUEST:
      c.balance = ClusterConfig::Balance::kLeastRequest;
      if (from.least_request_lb_config().has_choice_count()) c.choices = from.least_request_lb_config().choice_count().value();
      break;
    case C::RANDOM:
      c.balance = ClusterConfig::Balance::kRandom;
      break;
    case C::RING_HASH:
      c.balance = ClusterConfig::Balance::kRingHash;
      if (from.ring_hash_lb_config().has_minimum_ring_size()) c.ring_min = from.ring_hash_lb_config().minimum_ring_size().value();
      if (from.ring_hash_lb_config().has_maximum_ring_size()) c.ring_max = from.ring_hash_lb_config().maximum_ring_size().value();
      break;
    case C::MAGLEV:
      c.balance = ClusterConfig::Balance::kMaglev;
      if (from.maglev_lb_config().has_table_size()) c.maglev_size = from.maglev_lb_config().table_size().value();
      break;
    case C::CLUSTER_PROVIDED:
      c.balance = ClusterConfig::Balance::kClusterProvided;
      break;
    default:
      at.at("lb_policy").refuse("load_balancing_policy is not taken; use ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH or MAGLEV");
  }
  if (from.has_lb_subset_config() && from.lb_subset_config().subset_selectors_size()) at.at("lb_subset_config").refuse("subset load balancing is not taken");
  if (from.common_lb_config().has_healthy_panic_threshold()) c.panic_percent = static_cast<uint32_t>(from.common_lb_config().healthy_panic_threshold().value());
  c.close_on_host_change = from.common_lb_config().close_connections_on_host_set_change();
}

void limits(const cluster_v3::Cluster& from, ClusterConfig& c, const ClusterConfig* previous) {
  for (const auto& t : from.circuit_breakers().thresholds()) {
    Thresholds& to = c.thresholds[t.priority() == core_v3::HIGH ? 1 : 0];
    if (t.has_max_connections()) to.max_connections = t.max_connections().value();
    if (t.has_max_pending_requests()) to.max_pending = t.max_pending_requests().value();
    if (t.has_max_requests()) to.max_requests = t.max_requests().value();
    if (t.has_max_retries()) to.max_retries = t.max_retries().value();
  }
  for (int i = 0; i < 2; ++i) c.breakers[i] = previous ? previous->breakers[i] : std::make_shared<Breakers>();
}

void outliers(const cluster_v3::OutlierDetection& from, OutlierConfig& o) {
  auto number = [](const auto& wrapper, bool has, uint32_t& to) {
    if (has) to = wrapper.value();
  };
  number(from.consecutive_5xx(), from.has_consecutive_5xx(), o.consecutive_5xx);
  number(from.enforcing_consecutive_5xx(), from.has_enforcing_consecutive_5xx(), o.enforcing_5xx);
  number(from.consecutive_gateway_failure(), from.has_consecutive_gateway_failure(), o.consecutive_gateway);
  number(from.enforcing_consecutive_gateway_failure(), from.has_enforcing_consecutive_gateway_failure(), o.enforcing_gateway);
  number(from.consecutive_local_origin_failure(), from.has_consecutive_local_origin_failure(), o.consecutive_local);
  number(from.enforcing_consecutive_local_origin_failure(), from.has_enforcing_consecutive_local_origin_failure(), o.enforcing_local);
  number(from.max_ejection_percent(), from.has_max_ejection_percent(), o.max_ejection_percent);
  o.split_local = from.split_external_local_origin_errors();
  if (from.has_interval()) o.interval = nanos(from.interval());
  if (from.has_base_ejection_time()) o.base_ejection = nanos(from.base_ejection_time());
  if (from.has_max_ejection_time()) o.max_ejection = nanos(from.max_ejection_time());
  o.max_ejection = std::max(o.max_ejection, o.base_ejection);
}

void protocols(const CompileContext& at, const cluster_v3::Cluster& from, ClusterConfig& c) {
  if (from.has_http2_protocol_options()) c.protocol = ClusterConfig::Protocol::kHttp2;
  if (from.protocol_selection() == cluster_v3::Cluster::USE_DOWNSTREAM_PROTOCOL) c.protocol = ClusterConfig::Protocol::kDownstream;
  if (from.has_max_requests_per_connection()) c.max_requests_per_connection = from.max_requests_per_connection().value();
  if (from.common_http_protocol_options().has_idle_timeout()) c.idle_timeout = nanos(from.common_http_protocol_options().idle_timeout());
  auto h2 = [&](const core_v3::Http2ProtocolOptions& o) {
    if (o.has_max_concurrent_streams()) c.max_concurrent_streams = o.max_concurrent_streams().value();
    if (o.has_initial_stream_window_size()) c.stream_window = o.initial_stream_window_size().value();
    if (o.has_initial_connection_window_size()) c.connection_window = o.initial_connection_window_size().value();
  };
  h2(from.http2_protocol_options());
  std::map<std::string, const google::protobuf::Any*> sorted;
  for (const auto& [name, any] : from.typed_extension_protocol_options()) sorted[name] = &any;
  for (auto& [name, any] : sorted) {
    CompileContext here = at.at("typed_extension_protocol_options").at("\"" + name + "\"");
    namespace up = envoy::extensions::upstreams::http::v3;
    if (!any_is<up::HttpProtocolOptions>(*any)) {
      here.warn("typed_extension_protocol_options " + name);
      continue;
    }
    auto o = unpack<up::HttpProtocolOptions>(here, *any);
    switch (o.upstream_protocol_options_case()) {
      case up::HttpProtocolOptions::kExplicitHttpConfig:
        if (o.explicit_http_config().has_http2_protocol_options()) {
          c.protocol = ClusterConfig::Protocol::kHttp2;
          h2(o.explicit_http_config().http2_protocol_options());
        } else if (o.explicit_http_config().has_http3_protocol_options()) {
          here.at("explicit_http_config.http3_protocol_options").refuse("HTTP/3 is not taken");
        } else {
          c.protocol = ClusterConfig::Protocol::kHttp1;
        }
        break;
      case up::HttpProtocolOptions::kUseDownstreamProtocolConfig:
        c.protocol = ClusterConfig::Protocol::kDownstream;
        h2(o.use_downstream_protocol_config().http2_protocol_options());
        break;
      case up::HttpProtocolOptions::kAutoConfig:
        break;
      default:
        break;
    }
    const auto& common = o.common_http_protocol_options();
    if (common.has_idle_timeout()) c.idle_timeout = nanos(common.idle_timeout());
    if (common.has_max_requests_per_connection()) c.max_requests_per_connection = common.max_requests_per_connection().value();
  }
}

}  // namespace

base::Result<std::shared_ptr<const EndpointSet>> Compiler::endpoints(const endpoint_v3::ClusterLoadAssignment& from, const EndpointSet* previous) {
  try {
    auto set = endpoint_set(CompileContext(*this), from, previous);
    CompileContext(*this).check(from);
    return set;
  } catch (Refused& refused) {
    return std::unexpected(std::move(refused.error));
  }
}

base::Result<std::shared_ptr<const ClusterConfig>> Compiler::cluster(const cluster_v3::Cluster& from, const std::string& version,
                                                                     const ClusterConfig* previous) {
  try {
    CompileContext at(*this);
    auto c = std::make_shared<ClusterConfig>();
    c->name = from.name();
    if (c->name.empty()) at.at("name").refuse("a name is required");
    c->version = version;
    c->id = names_.id(c->name);
    c->stat_name = base::replace_all(from.alt_stat_name().empty() ? from.name() : from.alt_stat_name(), ":", "_");
    if (from.has_connect_timeout()) c->connect_timeout = nanos(from.connect_timeout());
    discovery(at, from, *c, previous);
    balancing(at, from, *c);
    limits(from, *c, previous);
    if (from.has_outlier_detection()) outliers(from.outlier_detection(), c->outlier.emplace());
    protocols(at, from, *c);
    if (from.has_per_connection_buffer_limit_bytes()) c->buffer_limit_bytes = from.per_connection_buffer_limit_bytes().value();
    if (from.upstream_bind_config().has_source_address()) c->bind = compile_socket_address(at.at("upstream_bind_config.source_address"), from.upstream_bind_config().source_address());
    if (from.upstream_connection_options().has_tcp_keepalive()) {
      const auto& k = from.upstream_connection_options().tcp_keepalive();
      c->keepalive = ClusterConfig::Keepalive{k.keepalive_probes().value(), k.keepalive_time().value(), k.keepalive_interval().value()};
    }
    if (from.has_transport_socket()) c->tls = upstream_tls(at.at("transport_socket"), from.transport_socket(), c->sni);
    // Istio's matches choose mutual TLS for endpoints that carry tlsMode=istio; without certificates here the plain
    // match is the one that counts, so that a TLS match is an error only when nothing else is offered.
    bool plain = from.transport_socket_matches_size() == 0;
    for (const auto& m : from.transport_socket_matches())
      plain |= m.transport_socket().name() == "envoy.transport_sockets.raw_buffer" || short_type(m.transport_socket().typed_config()).ends_with(".RawBuffer");
    if (!plain) at.at("transport_socket_matches").refuse("one of the matches must be plain text");
    at.check(from);
    return c;
  } catch (Refused& refused) {
    return std::unexpected(std::move(refused.error));
  }
}

}  // namespace fairlead::proxy
