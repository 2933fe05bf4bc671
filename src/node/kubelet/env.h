// What a container's environment is made of: values, fields of the pod, ConfigMaps, Secrets, Services. Pure functions
// over the store. Source: Kubernetes' kubelet (makeEnvironmentVariables, the downward API, service links).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "store/store.h"

namespace fairlead::node {

// What the kubelet knows of a pod before its status says so.
struct PodFacts {
  std::string pod_ip;
  std::string host_ip;
};

using Environment = std::vector<std::pair<std::string, std::string>>;

// NotFound when a ConfigMap, Secret or key that is not optional is missing (the container waits with
// CreateContainerConfigError and this sentence).
base::Result<Environment> container_environment(const store::Store& store, const base::Value& pod, const base::Value& container, const PodFacts& facts);

// "$(NAME)" by its value, "$$(NAME)" to "$(NAME)"; names that are not defined stay as they are.
std::string expand_variables(std::string_view text, const Environment& environment);

// A field of the downward API: metadata.name, metadata.labels['x'], metadata.labels, status.podIP ...
base::Result<std::string> pod_field(const base::Value& pod, std::string_view path, const PodFacts& facts);
// resourceFieldRef of a container ("limits.cpu" with a divisor), rounded up as Kubernetes does.
base::Result<std::string> resource_field(const base::Value& container, std::string_view resource, std::string_view divisor);

// Variables for the Services of the namespace, and for the API server.
Environment service_environment(const store::Store& store, const std::string& ns, bool service_links);

}  // namespace fairlead::node
