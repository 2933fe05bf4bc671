// OpenAPI documents and CustomResourceDefinition objects, made from the kinds' tables. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

namespace fairlead::mesh {

// The OpenAPI v3 document at /openapi/v3/api/v1 or /openapi/v3/apis/GROUP/VERSION: component schemas with descriptions,
// x-kubernetes-group-version-kind, patch merge keys and list types, and the paths that kubectl looks for. Null when no
// kind is served there.
base::Value openapi_v3(std::string_view group, std::string_view version);
// The Swagger 2.0 document at /openapi/v2 (all kinds), for clients that have not moved to v3.
base::Value openapi_v2();
// The same path as protobuf (gnostic's openapi.v2.Document), which is all that kubectl reads there, and only for kinds that v3
// does not have: a document without paths and definitions lets it go on to its own "no matches for kind".
std::string openapi_v2_protobuf();

// The CustomResourceDefinition objects of Istio's kinds, with Established status; no uid or timestamps yet.
std::vector<base::Value> crd_objects();

}  // namespace fairlead::mesh
