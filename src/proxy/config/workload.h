// Who a proxy, a peer or an endpoint is, as Istio's telemetry names it. Immutable; any thread.
// Source of names: Istio's node metadata, and Envoy's contrib/istio/filters/common/source/metadata_object.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/value.h"

namespace fairlead::proxy {

struct Workload {
  std::string instance, name, ns, canonical_name, canonical_revision, app, version, cluster, identity, owner, istio_version;

  // From node metadata: NAME, NAMESPACE, WORKLOAD_NAME, LABELS ...
  static Workload from_metadata(const base::Value& metadata);
  // From an endpoint's metadata istio.workload: "name;namespace;canonical name;canonical revision;cluster". nullptr: not of
  // that form.
  static std::shared_ptr<const Workload> from_endpoint(std::string_view text);
  // As a peer is told (x-envoy-peer-metadata): a serialized Struct in base64. nullptr: not of that form.
  static std::shared_ptr<const Workload> from_header(std::string_view value);
  std::string to_header() const;
};

// The service behind a cluster: metadata istio.services[0] and flags beside it.
struct ServiceIdentity {
  std::string host, name, ns;
  bool external = false;    // outside the mesh
  bool disable_mx = false;  // peers that must not be told who asks
};

}  // namespace fairlead::proxy
