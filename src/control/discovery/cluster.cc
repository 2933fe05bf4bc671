// Clusters and endpoints. Source: Istio's pilot/pkg/networking/core/cluster*.go, pilot/pkg/xds/endpoints.
#include <google/protobuf/struct.pb.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "control/discovery/context.h"
#include "control/discovery/gateway.h"
#include "control/discovery/generate.h"
#include "control/discovery/mutual_tls.h"
#include "control/discovery/proto.h"
#include "control/discovery/traffic_policy.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace fairlead::control {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace endpoint = envoy::config::endpoint::v3;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

void set_name(cluster::Cluster& c, const std::string& name) {
  c.set_name(name);
  c.set_alt_stat_name(name + ";");  // ends the name in statistics, so that one with dots can be cut out again
}

google::protobuf::Struct& istio_metadata(cluster::Cluster& c) {
  return (*c.mutable_metadata()->mutable_filter_metadata())["istio"];
}

void add_service_metadata(cluster::Cluster& c, const Service& service) {
  auto& list = *(*istio_metadata(c).mutable_fields())["services"].mutable_list_value();
  auto& fields = *list.add_values()->mutable_struct_value()->mutable_fields();
  fields["host"].set_string_value(service.host);
  fields["name"].set_string_value(service.name);
  fields["namespace"].set_string_value(service.ns);
}

bool has_sidecar(const Endpoint& endpoint) {
  auto mode = endpoint.labels.find("security.istio.io/tlsMode");
  return mode != endpoint.labels.end() && mode->second == "istio";
}

// The endpoint has a sidecar (the injector's label says so) that is not told to refuse mutual TLS.
bool takes_mutual_tls(const Context& context, const Service& service, const Endpoint& endpoint) {
  return has_sidecar(endpoint) && mtls_mode(context.snapshot(), service.ns, endpoint.labels, endpoint.port) != Mtls::kDisable;
}

// Whether a client of the service speaks mutual TLS by itself, where the endpoint can. A connection to an original
// destination has no endpoint that could tell: there all of them have to. Source: BestEffortInferServiceMTLSMode.
bool auto_mutual(const Context& context, const Service& service, int port, const base::Value& policy) {
  if (!context.snapshot().mesh.auto_mtls || service.mesh_external) return false;
  if (service.resolution == Resolution::kPassthrough || policy["loadBalancer"]["simple"].as_string() == "PASSTHROUGH") {
    const auto& endpoints = context.snapshot().endpoints_of(service, port);
    if (endpoints.empty() || !std::all_of(endpoints.begin(), endpoints.end(), has_sidecar)) return false;
  }
  return mtls_mode(context.snapshot(), service.ns) != Mtls::kDisable;
}

// The load assignment of one service port and subset, grouped by locality.
endpoint::ClusterLoadAssignment assignment(const Context& context, const Service& service, int port, const Labels& subset,
                                           const std::string& name, bool mutual_only = false) {
  endpoint::ClusterLoadAssignment out;
  out.set_cluster_name(name);
  std::map<std::string, std::vector<const Endpoint*>> by_locality;
  for (const auto& e : context.snapshot().endpoints_of(service, port))
    if (e.ready && subset_of(subset, e.labels)) {
      auto& list = by_locality[e.locality];
      if (!mutual_only || takes_mutual_tls(context, service, e)) list.push_back(&e);
    }
  for (const auto& [locality, list] : by_locality) {
    auto* group = out.add_endpoints();
    auto parts = base::split(locality, '/');
    group->mutable_locality();
    if (!parts[0].empty()) group->mutable_locality()->set_region(std::string(parts[0]));
    if (parts.size() > 1) group->mutable_locality()->set_zone(std::string(parts[1]));
    if (parts.size() > 2) group->mutable_locality()->set_sub_zone(std::string(parts[2]));
    uint32_t weight = 0;
    for (const auto* e : list) {
      auto* lb = group->add_lb_endpoints();
      set_address(lb->mutable_endpoint()->mutable_address(), e->address, e->port);
      lb->set_health_status(envoy::config::core::v3::HEALTHY);
      if (takes_mutual_tls(context, service, *e))
        (*(*lb->mutable_metadata()->mutable_filter_metadata())["envoy.transport_socket_match"].mutable_fields())["tlsMode"].set_string_value("istio");
      lb->mutable_load_balancing_weight()->set_value(std::max(1u, e->weight));
      weight += std::max(1u, e->weight);
    }
    if (!list.empty()) group->mutable_load_balancing_weight()->set_value(weight);
  }
  return out;
}

void use_http2(HttpProtocolOptions& options) {
  options.mutable_explicit_http_config()->mutable_http2_protocol_options();
}

void use_downstream_protocol(HttpProtocolOptions& options) {
  options.mutable_use_downstream_protocol_config()->mutable_http_protocol_options();
  options.mutable_use_downstream_protocol_config()->mutable_http2_protocol_options();
}

cluster::Cluster passthrough(const Context& context, const std::string& name, const std::string& alt_name, bool inbound) {
  cluster::Cluster c;
  c.set_name(name);
  c.set_alt_stat_name(alt_name + ";");
  c.set_type(cluster::Cluster::ORIGINAL_DST);
  c.set_lb_policy(cluster::Cluster::CLUSTER_PROVIDED);
  set_duration(c.mutable_connect_timeout(), context.snapshot().mesh.connect_timeout);
  unlimited_circuit_breakers(c);
  HttpProtocolOptions options;
  set_duration(options.mutable_common_http_protocol_options()->mutable_idle_timeout(), std::chrono::seconds(300));
  use_downstream_protocol(options);
  set_http_options(c, options);
  // The source address by which the pod's rules tell the sidecar's connections to its own application.
  if (inbound) {
    c.mutable_upstream_bind_config()->mutable_source_address()->set_address("127.0.0.6");
    c.mutable_upstream_bind_config()->mutable_source_address()->set_port_value(0);
  }
  return c;
}

// One outbound cluster: of a service port, or of a subset of it.
// by_sni: for connections that are passed on as they are (AUTO_PASSTHROUGH), named as their server name.
cluster::Cluster outbound(const Context& context, const Service& service, const Port& port, const Rule& rule,
                          const base::Value* subset, bool by_sni = false) {
  cluster::Cluster c;
  std::string subset_name = subset ? (*subset)["name"].as_string() : "";
  std::string name = cluster_name("outbound", port.number, subset_name, service.host);
  set_name(c, by_sni ? sni_of(name) : name);
  set_duration(c.mutable_connect_timeout(), context.snapshot().mesh.connect_timeout);
  c.mutable_common_lb_config()->mutable_healthy_panic_threshold();
  unlimited_circuit_breakers(c);
  c.set_lb_policy(cluster::Cluster::LEAST_REQUEST);
  Labels subset_labels = subset ? labels_of((*subset)["labels"]) : Labels{};
  switch (service.resolution) {
    case Resolution::kEds:
      c.set_type(cluster::Cluster::EDS);
      set_ads(c.mutable_eds_cluster_config()->mutable_eds_config());
      c.mutable_eds_cluster_config()->set_service_name(c.name());
      break;
    case Resolution::kDns:
    case Resolution::kDnsRoundRobin:
      c.set_type(service.resolution == Resolution::kDns ? cluster::Cluster::STRICT_DNS : cluster::Cluster::LOGICAL_DNS);
      c.set_dns_lookup_family(cluster::Cluster::V4_ONLY);
      set_duration(c.mutable_dns_refresh_rate(), std::chrono::seconds(60));
      c.set_respect_dns_ttl(true);
      *c.mutable_load_assignment() = assignment(context, service, port.number, subset_labels, c.name());
      for (auto& group : *c.mutable_load_assignment()->mutable_endpoints())
        for (auto& e : *group.mutable_lb_endpoints()) e.clear_health_status();
      break;
    case Resolution::kPassthrough:
    case Resolution::kAlias:
      if (context.proxy().router) {
        // A gateway has no original destination to go to; it balances over the endpoints.
        c.set_type(cluster::Cluster::EDS);
        set_ads(c.mutable_eds_cluster_config()->mutable_eds_config());
        c.mutable_eds_cluster_config()->set_service_name(c.name());
      } else {
        c.set_type(cluster::Cluster::ORIGINAL_DST);
        c.set_lb_policy(cluster::Cluster::CLUSTER_PROVIDED);
      }
      break;
  }
  HttpProtocolOptions options;
  if (is_http2(port.protocol)) {
    use_http2(options);
  } else if (port.protocol == Protocol::kAuto && !context.proxy().router) {
    use_downstream_protocol(options);  // sniffed: what the client speaks
  }
  auto known = context.snapshot().accounts.find(service.ns + "/" + service.host);
  static const Names kNobody;
  const Names& accounts = known == context.snapshot().accounts.end() ? kNobody : known->second;
  base::Value policy = effective_policy(rule.policy, subset, port);
  apply_traffic_policy(c, options, policy, {.service = service, .accounts = accounts, .gateway = context.proxy().router});
  bool http2 = options.explicit_http_config().has_http2_protocol_options();
  if (by_sni) {
    c.clear_transport_socket();
  } else if (std::as_const(policy)["tls"]["mode"].as_string() == "ISTIO_MUTUAL") {
    mutual_tls_socket(c.mutable_transport_socket(), c, http2, std::as_const(policy)["tls"], accounts);
  } else if (!std::as_const(policy)["tls"].is_object() && auto_mutual(context, service, port.number, policy)) {
    if (c.type() == cluster::Cluster::ORIGINAL_DST) mutual_tls_socket(c.mutable_transport_socket(), c, http2, {}, accounts);
    else auto_mutual_tls(c, http2, accounts);
  }
  set_http_options(c, options);
  auto& fields = *istio_metadata(c).mutable_fields();
  if (rule.config) fields["config"].set_string_value(config_path(*rule.config));
  if (subset) fields["subset"].set_string_value(subset_name);
  if (service.mesh_external) fields["external"].set_bool_value(true);
  add_service_metadata(c, service);
  return c;
}

}  // namespace

xds::ResourceMap Generator::clusters() const {
  const Context& context = *context_;
  xds::ResourceMap out;
  auto add = [&](const cluster::Cluster& c) { add_resource(out, c.name(), c); };

  cluster::Cluster black_hole;
  set_name(black_hole, "BlackHoleCluster");
  black_hole.set_type(cluster::Cluster::STATIC);
  set_duration(black_hole.mutable_connect_timeout(), context.snapshot().mesh.connect_timeout);
  add(black_hole);

  for (const auto& service : context.services()) {
    Rule rule = rule_of(context.snapshot(), context.proxy(), service->host, service->ns);
    for (const auto& port : service->ports) {
      if (port.protocol == Protocol::kUdp) continue;
      add(outbound(context, *service, port, rule, nullptr));
      for (const auto* subset : rule.subsets) add(outbound(context, *service, port, rule, subset));
    }
  }
  if (context.proxy().router) {
    if (passes_mutual_tls_on(context))
      for (const auto& service : context.services()) {
        if (service->mesh_external) continue;
        Rule rule = rule_of(context.snapshot(), context.proxy(), service->host, service->ns);
        for (const auto& port : service->ports) {
          if (port.protocol == Protocol::kUdp) continue;
          add(outbound(context, *service, port, rule, nullptr, true));
          for (const auto* subset : rule.subsets) add(outbound(context, *service, port, rule, subset, true));
        }
      }
    return out;
  }

  add(passthrough(context, "PassthroughCluster", "PassthroughCluster", false));
  add(passthrough(context, "InboundPassthroughCluster", "PassthroughCluster", true));
  std::map<int, cluster::Cluster> inbound;
  for (const auto& target : targets_of(context.snapshot(), context.proxy())) {
    auto& c = inbound[target.endpoint_port];
    if (c.name().empty()) {
      set_name(c, cluster_name("inbound", target.endpoint_port, "", ""));
      c.set_type(cluster::Cluster::ORIGINAL_DST);
      c.set_lb_policy(cluster::Cluster::CLUSTER_PROVIDED);
      set_duration(c.mutable_connect_timeout(), context.snapshot().mesh.connect_timeout);
      // Never forgets an address: there is only one, the application's.
      set_duration(c.mutable_cleanup_interval(), std::chrono::seconds(9223372035));
      unlimited_circuit_breakers(c);
      c.mutable_common_lb_config();
      c.mutable_upstream_bind_config()->mutable_source_address()->set_address("127.0.0.6");
      c.mutable_upstream_bind_config()->mutable_source_address()->set_port_value(0);
      HttpProtocolOptions options;
      if (is_http2(target.port->protocol)) {
        use_http2(options);
      } else if (target.port->protocol == Protocol::kAuto) {
        use_downstream_protocol(options);
      }
      set_http_options(c, options);
    }
    add_service_metadata(c, *target.service);
  }
  for (const auto& [port, c] : inbound) add(c);
  return out;
}

xds::ResourceMap Generator::endpoints(const std::set<std::string>* names) const {
  const Context& context = *context_;
  xds::ResourceMap out;
  auto add = [&](const std::string& name) {
    endpoint::ClusterLoadAssignment load;
    load.set_cluster_name(name);
    auto key = parse_cluster_name(name);
    const Service* service = key && key->direction == "outbound" ? context.find(key->host) : nullptr;
    if (service && service->port(key->port)) {
      Labels labels;
      bool known = key->subset.empty();
      if (!known) {
        Rule rule = rule_of(context.snapshot(), context.proxy(), service->host, service->ns);
        for (const auto* subset : rule.subsets)
          if ((*subset)["name"].as_string() == key->subset) {
            labels = labels_of((*subset)["labels"]);
            known = true;
          }
      }
      if (known) load = assignment(context, *service, key->port, labels, name, key->sni);
    }
    // Unknown names get an empty assignment: a cluster that waits for its endpoints must not wait for ever.
    add_resource(out, name, load);
  };
  if (names) {
    for (const auto& name : *names) add(name);
    return out;
  }
  bool by_sni = context.proxy().router && passes_mutual_tls_on(context);
  for (const auto& service : context.services()) {
    bool balanced = service->resolution == Resolution::kEds || (context.proxy().router && service->resolution == Resolution::kPassthrough);
    if (!balanced) continue;
    Rule rule = rule_of(context.snapshot(), context.proxy(), service->host, service->ns);
    for (const auto& port : service->ports) {
      if (port.protocol == Protocol::kUdp) continue;
      auto add_both = [&](const std::string& name) {
        add(name);
        if (by_sni && !service->mesh_external) add(sni_of(name));
      };
      add_both(cluster_name("outbound", port.number, "", service->host));
      for (const auto* subset : rule.subsets) add_both(cluster_name("outbound", port.number, (*subset)["name"].as_string(), service->host));
    }
  }
  return out;
}

}  // namespace fairlead::control
