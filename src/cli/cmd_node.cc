// Hidden commands: the processes that `fairlead up` is made of.
#include "cli/commands.h"
#include "node/agent/host_agent.h"
#include "node/sandbox/namespace_runtime.h"

namespace fairlead::cli {

int cmd_agent(int, char**) { return node::run_host_agent(); }
int cmd_node(int, char**) { return node::run_node_command(); }
int cmd_pod_init(int argc, char** argv) { return node::run_pod_init(argc, argv); }

}  // namespace fairlead::cli
