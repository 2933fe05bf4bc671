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

// What a write that is no apply makes of metadata.managedFields: `manager` owns what differs from `before` (null: the object
// is being made), others lose it, and nobody owns what is gone. Entries of `after` that the client brought are kept.
// `subresource`: "" or "status", which is all that is looked at then. Nothing happens when nothing differs.
void track_update(const mesh::Kind& kind, const base::Value& before, base::Value& after, const Applier& manager, std::string_view subresource);

}  // namespace fairlead::api
