// PeerAuthentication: which mode of mutual TLS a workload's port is in. Pure functions; any thread.
// Source: Istio's pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication).
#pragma once

#include "control/snapshot.h"

namespace fairlead::control {

enum class Mtls : unsigned char { kDisable, kPermissive, kStrict };

// Port level of the workload's own policy, its policy, the namespace's, the mesh's; PERMISSIVE when nobody says anything.
// Of several policies of one level the oldest counts.
Mtls mtls_mode(const Snapshot& snapshot, std::string_view ns, const Labels& labels, int port);

// Of a namespace as a whole, as far as a client can tell without looking at workloads.
Mtls mtls_mode(const Snapshot& snapshot, std::string_view ns);

}  // namespace fairlead::control
