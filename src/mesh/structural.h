// Structural: objects of a user's own kind against the OpenAPI v3 schema of their CustomResourceDefinition, and those
// definitions themselves. Pure functions, any thread.
//
// Source: Kubernetes' "structural schemas" (the part of OpenAPI v3 that definitions may use) and the wording of its
// answers. Rules in CEL (x-kubernetes-validations) are kept, not evaluated; definition_warnings() says so.
#pragma once

#include <string>
#include <vector>

#include "base/value.h"
#include "mesh/validate.h"

namespace fairlead::mesh {

// All that is wrong with `object` by `schema`: types, required members, enums, bounds, patterns, formats, combinations.
// `metadata`, `apiVersion` and `kind` are somebody else's business.
Problems check_structural(const base::Value& schema, const base::Value& object);

// A CustomResourceDefinition's own rules.
void validate_definition(const base::Value& crd, Problems& out);
std::vector<std::string> definition_warnings(const base::Value& crd);

}  // namespace fairlead::mesh
