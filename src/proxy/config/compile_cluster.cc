// Cluster -> ClusterConfig, ClusterLoadAssignment -> EndpointSet.
#include <google/protobuf/struct.pb.h>
#include <netinet/tcp.h>

#include <algorithm>

#include "base/strings.h"
#include "envoy/config/cluster/v3/circuit_breaker.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/cluster/v3/outlier_detection.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/health_check.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/config/core/v3/resolver.pb.h"
#include "envoy/config/core/v3/socket_option.pb.h"
#include "envoy/type/v3/http.pb.h"
#include "envoy/type/v3/range.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/endpoint/v3/endpoint_components.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "proxy/config/compile_balancing.h"
#include "proxy/config/compile_filters.h"
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

using SocketLabels = std::vector<std::pair<std::string, std::string>>;

SocketLabels socket_labels(const google::protobuf::Struct& from) {
  SocketLabels out;
  for (const auto& [key, value] : from.fields())
    out.emplace_back(key, value.kind_case() == google::protobuf::Value::kStringValue ? value.string_value() : value.ShortDebugString());
  std::ranges::sort(out);
  return out;
}

SocketLabels socket_labels(const core_v3::Metadata& metadata) {
  auto at = metadata.filter_metadata().find("envoy.transport_socket_match");
  return at == metadata.filter_metadata().end() ? SocketLabels() : socket_labels(at->second);
}

bool is_canary(const core_v3::Metadata& metadata) {
  auto at = metadata.filter_metadata().find("envoy.lb");
  if (at == metadata.filter_metadata().end()) return false;
  auto canary = at->second.fields().find("canary");
  return canary != at->second.fields().end() && canary->second.bool_value();
}

// "name;namespace;canonical name;canonical revision;cluster", for telemetry.
std::string workload_text(const core_v3::Metadata& metadata) {
  auto at = metadata.filter_metadata().find("istio");
  if (at == metadata.filter_metadata().end()) return {};
  auto text = at->second.fields().find("workload");
  return text == at->second.fields().end() ? std::string() : text->second.string_value();
}

std::shared_ptr<const ServiceIdentity> service_identity(const core_v3::Metadata& metadata) {
  auto at = metadata.filter_metadata().find("istio");
  if (at == metadata.filter_metadata().end()) return nullptr;
  base::Value fields = struct_to_value(at->second);
  auto service = std::make_shared<ServiceIdentity>();
  if (const auto& services = fields["services"].items(); !services.empty()) {
    service->host = services[0]["host"].as_string();
    service->name = services[0]["name"].as_string();
    service->ns = services[0]["namespace"].as_string();
  }
  service->external = fields["external"].as_bool();
  service->disable_mx = fields["disable_mx"].as_bool();
  return service;
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

// Hosts of the same address that say the same of themselves keep their identity; weight, priority and health are the
// set's own and change without a new host.
bool same_host(const Host& a, const Host& b) {
  return a.hostname == b.hostname && a.socket_labels == b.socket_labels && a.locality == b.locality && a.canary == b.canary && a.workload_text == b.workload_text && (a.metadata ? *a.metadata : std::string()) == (b.metadata ? *b.metadata : std::string()) && a.more_addresses == b.more_addresses &&
         a.check_address == b.check_address && a.check_hostname == b.check_hostname && a.check_disabled == b.check_disabled;
}

void health_check_config(const CompileContext& at, const endpoint_v3::Endpoint::HealthCheckConfig& from, Host& host) {
  if (from.has_address()) {
    host.check_address = compile_address(at.at("address"), from.address());
  } else if (from.port_value()) {
    host.check_address = host.address;
    host.check_address->set_port(compile_port(at, "port_value", from.port_value()));
  }
  host.check_hostname = from.hostname();
  host.check_disabled = from.disable_active_health_check();
}

std::shared_ptr<const EndpointSet> endpoint_set(const CompileContext& at, const endpoint_v3::ClusterLoadAssignment& from, const EndpointSet* previous) {
  auto set = std::make_shared<EndpointSet>();
  if (from.policy().drop_overloads_size() > 1) at.at("policy.drop_overloads").refuse("one category can be dropped, not {}", from.policy().drop_overloads_size());
  for (const auto& d : from.policy().drop_overloads()) set->dropped = compile_fraction(d.drop_percentage());
  if (from.policy().has_overprovisioning_factor()) set->overprovisioning = from.policy().overprovisioning_factor().value();
  StringMap<HostPtr> known;
  std::shared_ptr<const std::string> last_metadata;
  if (previous)
    for (const HostPtr& h : previous->hosts) known.emplace(h->text, h);
  for (int i = 0; i < from.endpoints_size(); ++i) {
    const auto& group = from.endpoints(i);
    CompileContext here = at.at("endpoints", i);
    if (group.has_leds_cluster_locality_config()) here.refuse("locality endpoint discovery is not taken");
    if (group.priority() > 128) here.at("priority").refuse("{} is more than 128", group.priority());
    auto locality = static_cast<uint32_t>(set->localities.size());
    set->localities.push_back({locality_text(group.locality()), group.priority(), group.has_load_balancing_weight() ? group.load_balancing_weight().value() : 0});
    for (int e = 0; e < group.lb_endpoints_size(); ++e) {
      const auto& one = group.lb_endpoints(e);
      CompileContext there = here.at("lb_endpoints", e);
      auto host = std::make_shared<Host>();
      host->address = compile_address(there.at("endpoint.address"), one.endpoint().address());
      host->text = host->address.text();
      host->hostname = one.endpoint().hostname();
      host->locality = set->localities.back().name;
      host->socket_labels = socket_labels(one.metadata());
      host->canary = is_canary(one.metadata());
      host->workload_text = workload_text(one.metadata());
      // Replicas say the same of themselves.
      host->metadata = compile_metadata(one.metadata());
      if (host->metadata && last_metadata && *host->metadata == *last_metadata) host->metadata = last_metadata;
      else last_metadata = host->metadata;
      host->workload = Workload::from_endpoint(host->workload_text);
      for (int m = 0; m < one.endpoint().additional_addresses_size(); ++m)
        host->more_addresses.push_back(compile_address(there.at("endpoint.additional_addresses", m).at("address"), one.endpoint().additional_addresses(m).address()));
      health_check_config(there.at("endpoint.health_check_config"), one.endpoint().health_check_config(), *host);
      EndpointSet::Entry entry;
      entry.weight = one.has_load_balancing_weight() ? one.load_balancing_weight().value() : 1;
      entry.priority = group.priority();
      entry.locality = locality;
      entry.health = health(one.health_status());
      // Each known host once: the same address may stand in two priorities.
      if (auto old = known.find(host->text); old != known.end() && old->second && same_host(*old->second, *host)) host = std::exchange(old->second, nullptr);
      set->hosts.push_back(std::move(host));
      set->entries.push_back(entry);
    }
  }
  // New hosts belong to nobody yet, so that they may have their values at once.
  for (size_t i = 0; i < set->hosts.size(); ++i) {
    if (set->hosts[i].use_count() > 1) continue;
    set->hosts[i]->weight = set->entries[i].weight;
    set->hosts[i]->priority = set->entries[i].priority;
    set->hosts[i]->eds_health = set->entries[i].health;
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
      CompileContext here = at.at("endpoints", i).at("lb_endpoints", e).at("endpoint");
      t.port = compile_port(here.at("address.socket_address"), "port_value", socket.port_value());
      t.weight = one.has_load_balancing_weight() ? one.load_balancing_weight().value() : 1;
      t.priority = group.priority();
      t.locality = locality_text(group.locality());
      t.locality_weight = group.has_load_balancing_weight() ? group.load_balancing_weight().value() : 0;
      t.hostname = one.endpoint().hostname().empty() ? t.name : one.endpoint().hostname();
      t.check_hostname = one.endpoint().health_check_config().hostname();
      if (uint32_t port = one.endpoint().health_check_config().port_value()) t.check_port = compile_port(here.at("health_check_config"), "port_value", port);
      c.dns.push_back(std::move(t));
    }
  }
  if (c.type == ClusterConfig::Type::kLogicalDns && c.dns.size() != 1) at.refuse("LOGICAL_DNS needs exactly one endpoint, this has {}", c.dns.size());
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
      if (from.has_load_assignment()) at.warn("Cluster.load_assignment: the endpoints of an EDS cluster come by EDS");
      c.eds_source = discovery_source(at.at("eds_cluster_config.eds_config"), from.eds_cluster_config().eds_config());
      break;
    case C::ORIGINAL_DST:
      c.type = ClusterConfig::Type::kOriginalDst;
      if (from.original_dst_lb_config().has_upstream_port_override())
        c.original_dst_port = compile_port(at.at("original_dst_lb_config"), "upstream_port_override", from.original_dst_lb_config().upstream_port_override().value());
      c.original_dst_by_header = from.original_dst_lb_config().use_http_header();
      if (!from.original_dst_lb_config().http_header_name().empty()) c.original_dst_header = base::to_lower(from.original_dst_lb_config().http_header_name());
      break;
    default:
      at.at("type").refuse("unknown discovery type {}", static_cast<int>(from.type()));
  }
  c.dns_refresh = from.has_dns_refresh_rate() ? nanos(from.dns_refresh_rate()) : Nanos(std::chrono::seconds(5));
  if (c.dns_refresh < std::chrono::seconds(1)) c.dns_refresh = std::chrono::seconds(1);
  c.respect_dns_ttl = from.respect_dns_ttl();
  if (from.has_dns_failure_refresh_rate()) {
    const auto& rate = from.dns_failure_refresh_rate();
    c.dns_failure_base = std::max<Nanos>(nanos(rate.base_interval()), std::chrono::milliseconds(1));
    c.dns_failure_max = rate.has_max_interval() ? nanos(rate.max_interval()) : 10 * c.dns_failure_base;
    if (c.dns_failure_max < c.dns_failure_base) at.at("dns_failure_refresh_rate.max_interval").refuse("it is less than base_interval");
  }
  switch (from.dns_lookup_family()) {
    case C::V4_ONLY: c.dns_lookup = DnsLookup::kV4Only; break;
    case C::V6_ONLY: c.dns_lookup = DnsLookup::kV6Only; break;
    case C::V4_PREFERRED: c.dns_lookup = DnsLookup::kV4Preferred; break;
    case C::ALL: c.dns_lookup = DnsLookup::kAll; break;
    default: c.dns_lookup = DnsLookup::kAuto; break;
  }
  c.dns_family = from.dns_lookup_family() == C::V4_ONLY ? AF_INET : from.dns_lookup_family() == C::V6_ONLY ? AF_INET6 : AF_UNSPEC;
}

void limits(const CompileContext& at, const cluster_v3::Cluster& from, ClusterConfig& c, const ClusterConfig* previous) {
  for (int i = 0; i < from.circuit_breakers().thresholds_size(); ++i) {
    const auto& t = from.circuit_breakers().thresholds(i);
    Thresholds& to = c.thresholds[t.priority() == core_v3::HIGH ? 1 : 0];
    if (t.has_max_connections()) to.max_connections = t.max_connections().value();
    if (t.has_max_pending_requests()) to.max_pending = t.max_pending_requests().value();
    if (t.has_max_requests()) to.max_requests = t.max_requests().value();
    if (t.has_max_retries()) to.max_retries = t.max_retries().value();
    if (t.has_retry_budget()) {
      to.budget_percent = t.retry_budget().has_budget_percent() ? t.retry_budget().budget_percent().value() : 20.0;
      if (!(*to.budget_percent >= 0 && *to.budget_percent <= 100))
        at.at("circuit_breakers").at("thresholds", i).at("retry_budget.budget_percent").refuse("{} is not a percentage from 0 to 100", *to.budget_percent);
      if (t.retry_budget().has_min_retry_concurrency()) to.budget_minimum = t.retry_budget().min_retry_concurrency().value();
    }
    to.track_remaining = t.track_remaining();
  }
  for (int i = 0; i < from.circuit_breakers().per_host_thresholds_size(); ++i) {
    const auto& t = from.circuit_breakers().per_host_thresholds(i);
    if (t.has_max_pending_requests() || t.has_max_requests() || t.has_max_retries() || t.has_max_connection_pools() || t.has_retry_budget())
      at.at("circuit_breakers").at("per_host_thresholds", i).refuse("a host's connections can be limited (max_connections), nothing else");
    if (t.has_max_connections()) c.thresholds[t.priority() == core_v3::HIGH ? 1 : 0].max_host_connections = t.max_connections().value();
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
  number(from.enforcing_success_rate(), from.has_enforcing_success_rate(), o.enforcing_success_rate);
  number(from.enforcing_local_origin_success_rate(), from.has_enforcing_local_origin_success_rate(), o.enforcing_local_success_rate);
  number(from.success_rate_minimum_hosts(), from.has_success_rate_minimum_hosts(), o.success_rate_hosts);
  number(from.success_rate_request_volume(), from.has_success_rate_request_volume(), o.success_rate_volume);
  number(from.success_rate_stdev_factor(), from.has_success_rate_stdev_factor(), o.success_rate_factor);
  number(from.failure_percentage_threshold(), from.has_failure_percentage_threshold(), o.failure_threshold);
  number(from.enforcing_failure_percentage(), from.has_enforcing_failure_percentage(), o.enforcing_failure);
  number(from.enforcing_failure_percentage_local_origin(), from.has_enforcing_failure_percentage_local_origin(), o.enforcing_local_failure);
  number(from.failure_percentage_minimum_hosts(), from.has_failure_percentage_minimum_hosts(), o.failure_hosts);
  number(from.failure_percentage_request_volume(), from.has_failure_percentage_request_volume(), o.failure_volume);
  o.always_eject_one = from.always_eject_one_host().value();
  if (from.has_successful_active_health_check_uneject_host()) o.check_unejects = from.successful_active_health_check_uneject_host().value();
  if (from.has_max_ejection_time_jitter()) o.max_ejection_jitter = nanos(from.max_ejection_time_jitter());
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
  if (from.common_http_protocol_options().has_max_connection_duration()) c.max_connection_duration = nanos(from.common_http_protocol_options().max_connection_duration());
  auto h2 = [&](const CompileContext& here, const core_v3::Http2ProtocolOptions& o) {
    c.keep_alive = compile_keep_alive(here, o);
    if (o.has_max_concurrent_streams()) c.max_concurrent_streams = o.max_concurrent_streams().value();
    if (o.has_initial_stream_window_size()) c.stream_window = o.initial_stream_window_size().value();
    if (o.has_initial_connection_window_size()) c.connection_window = o.initial_connection_window_size().value();
    if (o.has_max_outbound_control_frames()) c.max_outbound_control_frames = o.max_outbound_control_frames().value();
    // Servers are trusted further than clients: these are counted for clients only.
    if (o.has_max_outbound_frames()) at.warn("http2_protocol_options.max_outbound_frames of a cluster");
    if (o.has_max_consecutive_inbound_frames_with_empty_payload()) at.warn("http2_protocol_options.max_consecutive_inbound_frames_with_empty_payload of a cluster");
    if (o.has_max_inbound_priority_frames_per_stream()) at.warn("http2_protocol_options.max_inbound_priority_frames_per_stream of a cluster");
    if (o.has_max_inbound_window_update_frames_per_data_frame_sent()) at.warn("http2_protocol_options.max_inbound_window_update_frames_per_data_frame_sent of a cluster");
  };
  auto h1 = [&](const CompileContext& here, const core_v3::Http1ProtocolOptions& o) {
    c.http1_trailers = o.enable_trailers();
    c.header_case = compile_header_case(here, o);
  };
  if (from.has_http_protocol_options()) h1(at.at("http_protocol_options"), from.http_protocol_options());
  h2(at.at("http2_protocol_options"), from.http2_protocol_options());
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
          h2(here.at("explicit_http_config.http2_protocol_options"), o.explicit_http_config().http2_protocol_options());
        } else if (o.explicit_http_config().has_http3_protocol_options()) {
          here.at("explicit_http_config.http3_protocol_options").refuse("HTTP/3 is not taken");
        } else {
          c.protocol = ClusterConfig::Protocol::kHttp1;
          h1(here.at("explicit_http_config.http_protocol_options"), o.explicit_http_config().http_protocol_options());
        }
        break;
      case up::HttpProtocolOptions::kUseDownstreamProtocolConfig:
        c.protocol = ClusterConfig::Protocol::kDownstream;
        h2(here.at("use_downstream_protocol_config.http2_protocol_options"), o.use_downstream_protocol_config().http2_protocol_options());
        h1(here.at("use_downstream_protocol_config.http_protocol_options"), o.use_downstream_protocol_config().http_protocol_options());
        break;
      case up::HttpProtocolOptions::kAutoConfig:
        if (!from.has_transport_socket() && from.transport_socket_matches_size() == 0) here.at("auto_config").refuse("the protocol is chosen by ALPN: a TLS transport_socket is required");
        c.protocol = ClusterConfig::Protocol::kAuto;
        h2(here.at("auto_config.http2_protocol_options"), o.auto_config().http2_protocol_options());
        h1(here.at("auto_config.http_protocol_options"), o.auto_config().http_protocol_options());
        break;
      default:
        break;
    }
    c.auto_sni = o.upstream_http_protocol_options().auto_sni();
    c.auto_san_validation = o.upstream_http_protocol_options().auto_san_validation();
    const auto& common = o.common_http_protocol_options();
    if (common.has_idle_timeout()) c.idle_timeout = nanos(common.idle_timeout());
    if (common.has_max_connection_duration()) c.max_connection_duration = nanos(common.max_connection_duration());
    if (common.has_max_requests_per_connection()) c.max_requests_per_connection = common.max_requests_per_connection().value();
  }
}

std::string check_payload(const CompileContext& at, const core_v3::HealthCheck::Payload& from) {
  if (from.payload_case() == core_v3::HealthCheck::Payload::kBinary) return from.binary();
  // Hexadecimal text.
  const std::string& text = from.text();
  std::string out;
  auto digit = [&](char c) -> int { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) at.at("text").refuse("\"{}\" is not hexadecimal", text);
    out += static_cast<char>(high << 4 | low);
  }
  if (text.empty() || text.size() % 2) at.at("text").refuse("an even number of hexadecimal digits is expected, this is \"{}\"", text);
  return out;
}

HealthCheckConfig health_check(const CompileContext& at, const core_v3::HealthCheck& from) {
  using H = core_v3::HealthCheck;
  HealthCheckConfig c;
  auto positive = [&](std::string_view field, bool has, const google::protobuf::Duration& value) {
    if (!has || nanos(value) <= Nanos(0)) at.at(field).refuse("more than 0s is required");
    return nanos(value);
  };
  c.timeout = positive("timeout", from.has_timeout(), from.timeout());
  c.interval = positive("interval", from.has_interval(), from.interval());
  if (!from.has_unhealthy_threshold()) at.at("unhealthy_threshold").refuse("a number is required");
  if (!from.has_healthy_threshold()) at.at("healthy_threshold").refuse("a number is required");
  c.unhealthy_threshold = from.unhealthy_threshold().value();
  c.healthy_threshold = from.healthy_threshold().value();
  c.initial_jitter = nanos(from.initial_jitter());
  c.interval_jitter = nanos(from.interval_jitter());
  c.interval_jitter_percent = std::min(from.interval_jitter_percent(), 100u);
  if (from.has_no_traffic_interval()) c.no_traffic_interval = nanos(from.no_traffic_interval());
  if (from.has_no_traffic_healthy_interval()) c.no_traffic_healthy_interval = nanos(from.no_traffic_healthy_interval());
  if (from.has_unhealthy_interval()) c.unhealthy_interval = nanos(from.unhealthy_interval());
  if (from.has_unhealthy_edge_interval()) c.unhealthy_edge_interval = nanos(from.unhealthy_edge_interval());
  if (from.has_healthy_edge_interval()) c.healthy_edge_interval = nanos(from.healthy_edge_interval());
  if (from.has_alt_port()) c.alt_port = compile_port(at, "alt_port", from.alt_port().value());
  c.reuse_connection = !from.has_reuse_connection() || from.reuse_connection().value();
  c.log_failures = from.always_log_health_check_failures();
  c.log_successes = from.always_log_health_check_success();
  c.event_log = from.event_log_path();
  switch (from.health_checker_case()) {
    case H::kHttpHealthCheck: {
      CompileContext here = at.at("http_health_check");
      const auto& h = from.http_health_check();
      c.kind = HealthCheckConfig::Kind::kHttp;
      c.host = h.host();
      c.path = h.path();
      if (c.path.empty()) here.at("path").refuse("a path is required");
      c.http2 = h.codec_client_type() == envoy::type::v3::HTTP2;
      if (h.codec_client_type() == envoy::type::v3::HTTP3) here.at("codec_client_type").refuse("HTTP/3 is not spoken");
      if (h.method() != core_v3::METHOD_UNSPECIFIED) c.method = core_v3::RequestMethod_Name(h.method());
      if (c.method == "CONNECT") here.at("method").refuse("CONNECT is no check");
      for (const auto& add : h.request_headers_to_add()) c.headers.emplace_back(base::to_lower(add.header().key()), add.header().value());
      for (const auto& name : h.request_headers_to_remove()) c.headers_removed.push_back(base::to_lower(name));
      for (const auto& r : h.expected_statuses()) c.expected.emplace_back(r.start(), r.end());
      for (const auto& r : h.retriable_statuses()) c.retriable.emplace_back(r.start(), r.end());
      if (h.has_service_name_matcher()) {
        if (!h.service_name_matcher().has_prefix()) here.at("service_name_matcher").refuse("only prefix is taken");
        c.service_prefix = h.service_name_matcher().prefix();
      }
      if (h.has_send()) here.at("send").refuse("checks have no body");
      int i = 0;
      for (const auto& part : h.receive()) c.expected_body.push_back(check_payload(here.at("receive", i++), part));
      break;
    }
    case H::kTcpHealthCheck: {
      CompileContext here = at.at("tcp_health_check");
      c.kind = HealthCheckConfig::Kind::kTcp;
      if (from.tcp_health_check().has_send()) c.send = check_payload(here.at("send"), from.tcp_health_check().send());
      if (from.tcp_health_check().has_proxy_protocol_config()) c.proxy_version = proxy_version(from.tcp_health_check().proxy_protocol_config());
      int i = 0;
      for (const auto& part : from.tcp_health_check().receive()) c.receive.push_back(check_payload(here.at("receive", i++), part));
      break;
    }
    case H::kGrpcHealthCheck:
      c.kind = HealthCheckConfig::Kind::kGrpc;
      c.service = from.grpc_health_check().service_name();
      c.authority = from.grpc_health_check().authority();
      if (c.service.size() > 120) at.at("grpc_health_check.service_name").refuse("it is longer than 120 bytes");
      for (const auto& add : from.grpc_health_check().initial_metadata()) c.headers.emplace_back(base::to_lower(add.header().key()), add.header().value());
      break;
    default:
      at.refuse("one of http_health_check, tcp_health_check, grpc_health_check is required");
  }
  return c;
}

std::string int_bytes(int64_t value) {
  int narrow = static_cast<int>(value);
  return std::string(reinterpret_cast<const char*>(&narrow), sizeof narrow);
}

void bind_config(const CompileContext& at, const core_v3::BindConfig& from, io::SocketSetup& to) {
  if (from.has_source_address()) to.bind.push_back(compile_socket_address(at.at("source_address"), from.source_address()));
  for (int i = 0; i < from.extra_source_addresses_size(); ++i)
    to.bind.push_back(compile_socket_address(at.at("extra_source_addresses", i).at("address"), from.extra_source_addresses(i).address()));
  for (int i = 0; i < from.additional_source_addresses_size(); ++i)
    to.bind.push_back(compile_socket_address(at.at("additional_source_addresses", i), from.additional_source_addresses(i)));
  if (to.bind.size() > 1 && !from.has_source_address()) at.at("source_address").refuse("it is required where there are others");
  for (size_t i = 2; i < to.bind.size(); ++i) at.refuse("two source addresses can be used, one of each family, not {}", to.bind.size());
  if (to.bind.size() == 2 && to.bind[0].family() == to.bind[1].family()) at.refuse("both source addresses ({}, {}) are of the same family", to.bind[0].text(), to.bind[1].text());
  to.freebind = from.freebind().value();
  for (const auto& o : from.socket_options())
    to.options.push_back({static_cast<int>(o.level()), static_cast<int>(o.name()), o.value_case() == core_v3::SocketOption::kIntValue ? int_bytes(o.int_value()) : o.buf_value()});
}

void tcp_keepalive(const core_v3::TcpKeepalive& from, io::SocketSetup& to) {
  auto set = [&](int level, int name, uint32_t value) {
    if (value) to.options.push_back({level, name, int_bytes(value)});  // 0: the system's
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPCNT, from.keepalive_probes().value());
  set(IPPROTO_TCP, TCP_KEEPIDLE, from.keepalive_time().value());
  set(IPPROTO_TCP, TCP_KEEPINTVL, from.keepalive_interval().value());
}

}  // namespace

base::Result<std::shared_ptr<const EndpointSet>> Compiler::endpoints(const endpoint_v3::ClusterLoadAssignment& from, const EndpointSet* previous) {
  try {
    auto set = endpoint_set(CompileContext(*this), from, previous);
    CompileContext(*this).check(from);
    return set;
  } catch (Refused& refused) {
    return std::unexpected(error_of(refused, from));
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
    compile_balancing(at, from, *c);
    limits(at, from, *c, previous);
    if (from.has_outlier_detection()) outliers(from.outlier_detection(), c->outlier.emplace());
    protocols(at, from, *c);
    if (uint32_t limit = from.per_connection_buffer_limit_bytes().value()) c->watermark_bytes = limit;
    if (io::SocketSetup socket; from.has_upstream_bind_config() || from.upstream_connection_options().has_tcp_keepalive()) {
      if (from.upstream_connection_options().has_tcp_keepalive()) tcp_keepalive(from.upstream_connection_options().tcp_keepalive(), socket);
      bind_config(at.at("upstream_bind_config"), from.upstream_bind_config(), socket);
      c->socket = std::make_shared<const io::SocketSetup>(std::move(socket));
    }
    if (from.has_transport_socket()) {
      UpstreamSocket socket = upstream_socket(at.at("transport_socket"), from.transport_socket());
      c->tls = std::move(socket.tls);
      c->proxy_header = std::move(socket.proxy_header);
    }
    for (int i = 0; i < from.transport_socket_matches_size(); ++i) {
      const auto& m = from.transport_socket_matches(i);
      UpstreamSocket socket = upstream_socket(at.at("transport_socket_matches", i).at("transport_socket"), m.transport_socket());
      c->socket_matches.push_back({socket_labels(m.match()), std::move(socket.tls), std::move(socket.proxy_header)});
    }
    c->proxy_headers = c->proxy_header || std::ranges::any_of(c->socket_matches, [](const auto& m) { return m.proxy_header.has_value(); });
    for (int i = 0; i < from.health_checks_size(); ++i) c->health_checks.push_back(health_check(at.at("health_checks", i), from.health_checks(i)));
    c->service = service_identity(from.metadata());
    c->metadata = compile_metadata(from.metadata());
    at.check(from);
    return c;
  } catch (Refused& refused) {
    return std::unexpected(error_of(refused, from));
  }
}

}  // namespace fairlead::proxy
