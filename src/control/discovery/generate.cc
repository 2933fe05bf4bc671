#include "control/discovery/generate.h"

#include "control/discovery/context.h"

namespace fairlead::control {

Generator::Generator(SnapshotPtr snapshot, Proxy proxy)
    : context_(std::make_unique<Context>(std::move(snapshot), std::move(proxy))) {}
Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;

xds::ResourceMap Generator::generate(std::string_view type_url, const std::set<std::string>* names) const {
  if (type_url == xds::kClusterType) return clusters();
  if (type_url == xds::kListenerType) return listeners();
  if (type_url == xds::kRouteType) return routes(names);
  if (type_url == xds::kEndpointType) return endpoints(names);
  if (type_url == xds::kSecretType) return secrets(names);
  return {};
}

}  // namespace fairlead::control
