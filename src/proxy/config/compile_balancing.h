// Cluster.lb_policy and Cluster.load_balancing_policy -> how a ClusterConfig chooses hosts.
#pragma once

#include "proxy/config/compile_util.h"
#include "proxy/config/model.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}

namespace fairlead::proxy {

// Throws Refused.
void compile_balancing(const CompileContext& at, const envoy::config::cluster::v3::Cluster& from, ClusterConfig& to);

}  // namespace fairlead::proxy
