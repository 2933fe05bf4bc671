// Resources from a folder of YAML, for a control plane without an API server. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace fairlead::control {

// All documents of the .yaml, .yml and .json files in a folder, in the order of the files' names; not of its subfolders.
// Unreadable or malformed files are errors that name file, line and column.
base::Result<std::vector<base::Value>> read_folder(const std::string& path);

}  // namespace fairlead::control
