// Generate: what a proxy is told. Pure functions of (Snapshot, Proxy); any thread.
//
// Names of listeners, routes, clusters and virtual hosts, and the order of filters and routes, are Istio's
// (pilot/pkg/networking/core); tests compare with Istio's own generators; what is left out stands in tests/parity/known.yaml.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "control/snapshot.h"
#include "xds/server.h"

namespace fairlead::control {

class Context;

// Everything that is worked out once for a proxy and a snapshot.
class Generator {
 public:
  Generator(SnapshotPtr snapshot, Proxy proxy);
  ~Generator();
  Generator(Generator&&) noexcept;

  // names: the resources asked for, nullptr for all. Clusters and listeners are always all of them.
  xds::ResourceMap generate(std::string_view type_url, const std::set<std::string>* names) const;

 private:
  xds::ResourceMap clusters() const;
  xds::ResourceMap listeners() const;
  xds::ResourceMap routes(const std::set<std::string>* names) const;
  xds::ResourceMap endpoints(const std::set<std::string>* names) const;
  xds::ResourceMap secrets(const std::set<std::string>* names) const;

  std::unique_ptr<Context> context_;
};

}  // namespace fairlead::control
