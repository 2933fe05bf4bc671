// NamespaceRuntime: pods as process trees in namespaces of their own. See node/runtime.h for the contract.
//
// Loop thread only. Must run inside the node's namespaces (as `fairlead node` does).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/loop.h"
#include "node/runtime.h"

namespace fairlead::node {

struct RuntimeOptions {
  std::string executable;  // the fairlead binary
  std::string data_dir;    // hidden from containers; images.yaml is read from it
};
std::unique_ptr<Runtime> make_namespace_runtime(io::Loop& loop, RuntimeOptions options);

// The hosts of --outside: one sandbox each beyond the node (198.51.100.0/24, port 80), alive as long as the object.
class OutsideWorld {
 public:
  virtual ~OutsideWorld() = default;
};
// addresses: host -> IP, known at once.
std::unique_ptr<OutsideWorld> start_outside_world(io::Loop& loop, Runtime& runtime, const std::string& data_dir,
                                                  const std::vector<std::pair<std::string, std::string>>& hosts,
                                                  std::map<std::string, std::string>& addresses);

// Body of the hidden `pod-init` subcommand: PID 1 of a pod. argv[1] is the descriptor of its channel to the node.
int run_pod_init(int argc, char** argv);

}  // namespace fairlead::node
