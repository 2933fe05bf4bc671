// DestinationRule traffic policies on clusters. Internal to discovery/; include only in sources.
// Source: Istio's pilot/pkg/networking/core/cluster_traffic_policy.go, pilot/pkg/networking/util (MergeTrafficPolicy).
#pragma once

#include <string>
#include <vector>

#include "control/model.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace fairlead::control {

// The rule's policy for the port, overridden by the subset's, overridden whole by the subset's for the port. Null when
// there is none.
base::Value effective_policy(const base::Value* rule_policy, const base::Value* subset, const Port& port);

// Whose policy it is.
struct PolicyOf {
  const Service& service;
  const std::vector<std::string>& accounts;  // names that its endpoints' certificates may have
  bool gateway = false;                      // of a gateway's cluster: it may use credentials
};
void apply_traffic_policy(envoy::config::cluster::v3::Cluster& cluster,
                          envoy::extensions::upstreams::http::v3::HttpProtocolOptions& options, const base::Value& policy,
                          const PolicyOf& of);

void unlimited_circuit_breakers(envoy::config::cluster::v3::Cluster& cluster);
// Puts the options on the cluster, unless they say nothing.
void set_http_options(envoy::config::cluster::v3::Cluster& cluster,
                      envoy::extensions::upstreams::http::v3::HttpProtocolOptions& options);

}  // namespace fairlead::control
