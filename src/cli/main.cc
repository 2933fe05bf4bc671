// Picks the subcommand: by the name the binary was called by (istioctl, pilot-agent ...), else by the first argument.
#include "cli/commands.h"

#include <cstdio>
#include <cstring>

#include "base/strings.h"
#include "io/tls_memory.h"

namespace fairlead::cli {

int cmd_apply(int argc, char** argv);
int cmd_control(int argc, char** argv);
int cmd_api_server(int argc, char** argv);

int cmd_proxy(int argc, char** argv);
int cmd_pilot_agent(int argc, char** argv);

int cmd_console(int argc, char** argv);

int cmd_version(int, char**) {
  std::printf("fairlead %s\n", std::string(kVersion).c_str());
  return 0;
}

int cmd_sample(int, char**);
int cmd_istioctl(int argc, char** argv);
int cmd_up(int, char**);
int cmd_down(int, char**);
int cmd_status(int, char**);
int cmd_logs(int, char**);
int cmd_agent(int, char**);
int cmd_node(int, char**);
int cmd_pod_init(int, char**);

namespace {
constexpr Command kCommands[] = {
    {"up", "start a mesh on this machine", cmd_up},
    {"down", "end it", cmd_down},
    {"status", "its parts, pods, memory, ports", cmd_status},
    {"logs", "the log of its own processes", cmd_logs},
    {"control", "the control plane (istiod): serves xDS, injects sidecars", cmd_control},
    {"pilot-discovery", "", cmd_control},
    {"apply", "create or change objects from files, without kubectl", cmd_apply},
    {"api-server", "serve the Kubernetes API alone, without a node", cmd_api_server},
    {"istioctl", "Istio's command line (also when called by that name)", cmd_istioctl},
    {"console", "flow control: rules, metrics and clients of Sentinel, with pages", cmd_console},
    {"proxy", "the data plane: a reverse proxy, gateway or sidecar", cmd_proxy},
    {"pilot-agent", "Istio's agent around the data plane (also when called by that name)", cmd_pilot_agent},
    {"version", "print the version", cmd_version},
    {"sample", "play a sample program: Bookinfo, httpbin, fortio ...", cmd_sample},
    // The processes that `up` is made of.
    {"agent", "", cmd_agent},
    {"node", "", cmd_node},
    {"pod-init", "", cmd_pod_init},
    // The names that sample images call it by.
    {"fortio", "", cmd_sample},
    {"gunicorn", "", cmd_sample},
    {"tcp-echo", "", cmd_sample},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

static int help(FILE* out) {
  std::fputs("fairlead: a service mesh in one binary\n\nUsage: fairlead COMMAND [OPTIONS]\n\nCommands:\n", out);
  for (const auto& c : commands())
    if (!c.summary.empty()) std::fprintf(out, "  %-12s %s\n", std::string(c.name).c_str(), std::string(c.summary).c_str());
  std::fputs("\nfairlead COMMAND --help tells more.\n", out);
  return out == stdout ? 0 : 1;
}

}  // namespace fairlead::cli

int main(int argc, char** argv) {
  using namespace fairlead::cli;
  fairlead::io::pool_tls_memory();
  const char* slash = argc > 0 ? std::strrchr(argv[0], '/') : nullptr;
  std::string_view called_as = argc > 0 ? (slash ? slash + 1 : argv[0]) : "fairlead";
  for (const auto& c : commands())
    if (c.name == called_as && called_as != "version") return c.run(argc, argv);
  if (argc < 2) return help(stderr);
  std::string_view first = argv[1];
  if (first == "--help" || first == "-h" || first == "help") return help(stdout);
  if (first == "--version") return cmd_version(argc - 1, argv + 1);
  for (const auto& c : commands())
    if (c.name == first) return c.run(argc - 1, argv + 1);
  std::vector<std::string_view> names;
  for (const auto& c : commands()) names.push_back(c.name);
  auto guess = fairlead::base::nearest(first, names);
  std::fprintf(stderr, "fairlead: unknown command \"%s\"%s\n", argv[1],
               guess ? (". Did you mean \"" + std::string(*guess) + "\"?").c_str() : ". Try: fairlead --help");
  return 1;
}
