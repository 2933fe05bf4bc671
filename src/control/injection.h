// Injection: a pod becomes a pod with a sidecar. Pure functions, any thread.
// Source: the sidecar template and the policy of Istio's injection webhook.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace fairlead::control {

struct InjectionConfig {
  std::string proxy_image = "docker.io/istio/proxyv2:1.28.0";
  std::string cluster_domain = "cluster.local";
  std::string cluster_id = "Kubernetes";
  std::string revision = "default";
  std::string network;                      // ISTIO_META_NETWORK; empty: not set
};

// Whether the webhook leaves the pod alone although its selectors matched, and why; empty: inject.
std::string reason_not_to_inject(const base::Value& pod, std::string_view ns);

// The pod with istio-init and istio-proxy; `pod` has passed reason_not_to_inject. The namespace is the request's, since a
// pod made from a template carries none. Errors name the annotation that cannot be used.
base::Result<base::Value> inject_pod(const base::Value& pod, std::string_view ns, const InjectionConfig& config);

// For `istioctl kube-inject`: the same for a Pod, or for the pod template of a workload (Deployment, ReplicaSet, StatefulSet,
// DaemonSet, Job, CronJob); other objects come back unchanged.
base::Result<base::Value> inject_object(const base::Value& object, const InjectionConfig& config);

// RFC 6902 operations that turn `before` into `after`, one for each changed member of metadata and spec.
base::Value injection_patch(const base::Value& before, const base::Value& after);

}  // namespace fairlead::control
