// Running a command in a container to its end and keeping the beginning of what it says. Loop thread only.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/loop.h"
#include "node/runtime.h"

namespace fairlead::node {

// done(exit code, output): once; stdout and stderr together, at most 10 KiB (what Kubernetes keeps of a probe's output).
void exec_to_end(io::Loop& loop, Sandbox& sandbox, const std::string& container, const std::vector<std::string>& command,
                 std::function<void(base::Result<std::pair<int, std::string>>)> done);

}  // namespace fairlead::node
