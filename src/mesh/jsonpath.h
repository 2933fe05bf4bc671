// JSON path: the small dialect of column definitions (".spec.hosts", ".metadata.annotations.a\.b", ".items[0].name",
// ".items[*].name"). Pure function, any thread.
#pragma once

#include <string_view>
#include <vector>

#include "base/value.h"

namespace fairlead::mesh {

// The nodes that match, in document order; empty when a step is missing or the path is not one.
std::vector<const base::Value*> json_path(const base::Value& root, std::string_view path);

}  // namespace fairlead::mesh
