// Apply: server-side apply with the fields that each applier owns (metadata.managedFields, FieldsV1).
//
// Only appliers are tracked: an update by any other verb neither gains nor loses ownership, so a conflict is one between
// two appliers. Pure functions, any thread. Source: Kubernetes' server-side apply, structured-merge-diff's FieldsV1.
#pragma once

#include <string>

#include "api/status.h"
#include "base/value.h"
#include "mesh/kinds.h"

namespace fairlead::api {

struct Applier {
  std::string manager;
  std::string api_version;  // that the configuration is written in
  bool force = false;       // take over fields that others own
};

// `live` with `config` laid over it: what this applier set before and leaves out now is removed unless someone else
// applies it too. metadata.managedFields of the result is up to date. 409 with a cause for each field in conflict.
Outcome<base::Value> server_side_apply(const mesh::Kind& kind, base::Value live, const base::Value& config, const Applier& applier);

// The fields that `config` sets, as FieldsV1 ({"f:spec":{"f:replicas":{}}}).
base::Value field_set(const mesh::Schema* schema, const base::Value& config);

}  // namespace fairlead::api
