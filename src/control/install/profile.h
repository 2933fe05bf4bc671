// Profiles: the objects that `istioctl install` and `fairlead up` apply. Pure functions, any thread.
// Source of names, labels, ports: Istio's charts; the text is in manifests/istio/, part of the binary.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace fairlead::control {

// The images that the node plays with this binary (node/: image table).
inline constexpr std::string_view kIstioTag = "1.28.0";

struct InstallOptions {
  std::string profile = "default";  // default, demo, minimal, empty
  // --set PATH=VALUE: meshConfig.*, components.{ingressGateways,egressGateways}[0].enabled, components.pilot.enabled,
  // values.global.proxy.* that the injector reads, profile.
  std::vector<std::pair<std::string, std::string>> sets;
};

std::vector<std::string_view> profile_names();

enum class Component : unsigned char { kCore, kIstiod, kIngressGateway, kEgressGateway };
struct ComponentObjects {
  Component component;
  std::string title;                 // "Istio core", "Istiod", "Ingress gateways", "Egress gateways"
  std::vector<base::Value> objects;  // in the order of creation
};

// The objects of the profile by component, in the order in which they are applied, without defaults of the API.
// InvalidArgument: no such profile, or a --set that is not understood (with what would be).
base::Result<std::vector<ComponentObjects>> install_components(const InstallOptions& options);
// The same in one list.
base::Result<std::vector<base::Value>> install_objects(const InstallOptions& options);

}  // namespace fairlead::control
