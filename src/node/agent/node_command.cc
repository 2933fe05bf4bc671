// The hidden `node` command: takes up what the host agent handed over and becomes the node.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "node/agent/host_agent.h"
#include "node/node.h"

namespace fairlead::node {

int run_node_command() {
  // As start_node was told: configuration, link to the agent, API listener, report, lock.
  for (int fd = 3; fd <= 7; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::pread(3, buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0;) text.append(buffer, static_cast<size_t>(n));
  auto v = base::parse_json(text);
  if (!v) return 2;
  ::prctl(PR_SET_NAME, "fairlead-node");
  AgentConfig c = agent_config_from_value(*v);
  NodeConfig config;
  config.name = c.name;
  config.data_dir = c.data_dir;
  config.profile = c.profile;
  config.rootful = c.rootful;
  config.executable = c.executable;
  config.api_port = c.api_port;
  config.console_port = c.console_port;
  config.outside = c.outside;
  config.agent = io::Fd(4);
  config.api_listener = io::Fd(5);
  config.report = io::Fd(6);
  ::close(3);
  return run_node(std::move(config));
}

}  // namespace fairlead::node
