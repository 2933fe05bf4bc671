// Patch: the three patch languages of the API, and server-side apply's merge. Pure functions, any thread.
//
// JSON Patch is RFC 6902, JSON merge patch RFC 7386; strategic merge is Kubernetes' own (patchStrategy and patchMergeKey
// of a field, directives $patch, $retainKeys, $setElementOrder/, $deleteFromPrimitiveList/).
#pragma once

#include "base/result.h"
#include "base/value.h"
#include "mesh/kinds.h"

namespace fairlead::api {

// InvalidArgument: not a patch, or it does not apply (the path is missing, a test failed).
base::Result<base::Value> json_patch(base::Value document, const base::Value& patch);

base::Value merge_patch(base::Value target, const base::Value& patch);

// `schema` nullptr: no lists are merged. InvalidArgument when a list element lacks its merge key.
base::Result<base::Value> strategic_merge(const mesh::Schema* schema, base::Value original, const base::Value& patch);

// The merge of server-side apply (apply.h): `config` laid over `live`; lists by their list type (map lists by keys, sets
// joined, atomic ones replaced).
base::Value apply_merge(const mesh::Schema* schema, base::Value live, const base::Value& config);

}  // namespace fairlead::api
