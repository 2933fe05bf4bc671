// Files as a whole. Any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace fairlead::base {

// Errors as the system has them ("open PATH: No such file or directory", kNotFound).
Result<std::string> read_file(const std::string& path);
// The same for an argument: "-" is standard input.
Result<std::string> read_input(const std::string& path);

}  // namespace fairlead::base
