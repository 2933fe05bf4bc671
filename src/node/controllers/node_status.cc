#include "node/controllers/node_status.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <fstream>

#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "node/controllers/reconciler.h"
#include "node/node.h"

namespace fairlead::node {

using base::Value;

namespace {
constexpr int kMaxPods = 110;

std::string first_line(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string os_image() {
  std::ifstream in("/etc/os-release");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("PRETTY_NAME=")) {
      std::string name = line.substr(12);
      std::erase(name, '"');
      return name;
    }
  return "Linux";
}

std::string machine_name(std::string_view machine) { return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : std::string(machine); }
}  // namespace

NodeStatus::NodeStatus(io::Loop& loop, store::Store& store, api::Client& client, std::string runtime_version)
    : store_(store), client_(client), runtime_version_(std::move(runtime_version)), renewal_(loop, [this] { renew(); }) {
  report();
  renew();
}

Value NodeStatus::status() const {
  utsname names{};
  ::uname(&names);
  struct sysinfo info {};
  ::sysinfo(&info);
  std::string architecture = machine_name(names.machine);
  Value amounts = Value::object({{"cpu", std::to_string(get_nprocs())},
                                 {"memory", fmt::format("{}Ki", static_cast<uint64_t>(info.totalram) * info.mem_unit / 1024)},
                                 {"pods", std::to_string(kMaxPods)}});
  auto found = store_.get({"nodes", "", kNodeName});
  Value conditions = found && (**found)["status"]["conditions"].is_array() ? (**found)["status"]["conditions"] : Value::array();
  std::string now = now_rfc3339();
  auto add = [&](const char* type, const char* state, const char* reason, const char* message) {
    set_condition(conditions, Value::object({{"type", type}, {"status", state}, {"reason", reason}, {"message", message}}), now);
  };
  add("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available");
  add("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure");
  add("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available");
  add("Ready", "True", "KubeletReady", "kubelet is posting ready status");
  for (auto& c : conditions.mutable_items()) c.set("lastHeartbeatTime", now);
  return Value::object({{"addresses", Value::array({Value::object({{"type", "InternalIP"}, {"address", kHostIp}}), Value::object({{"type", "Hostname"}, {"address", kNodeName}})})},
                        {"allocatable", amounts},
                        {"capacity", amounts},
                        {"conditions", std::move(conditions)},
                        {"daemonEndpoints", Value::object({{"kubeletEndpoint", Value::object({{"Port", 0}})}})},
                        {"nodeInfo", Value::object({{"architecture", architecture},
                                                    {"bootID", first_line("/proc/sys/kernel/random/boot_id")},
                                                    {"containerRuntimeVersion", runtime_version_},
                                                    {"kernelVersion", names.release},
                                                    {"kubeProxyVersion", "v1.32.0"},
                                                    {"kubeletVersion", "v1.32.0"},
                                                    {"machineID", first_line("/etc/machine-id")},
                                                    {"operatingSystem", "linux"},
                                                    {"osImage", os_image()},
                                                    {"systemUUID", ""}})}});
}

void NodeStatus::report() {
  utsname names{};
  ::uname(&names);
  std::string architecture = machine_name(names.machine);
  if (!store_.get({"nodes", "", kNodeName})) {
    Value labels = Value::object({{"beta.kubernetes.io/arch", architecture}, {"beta.kubernetes.io/os", "linux"}, {"kubernetes.io/arch", architecture},
                                  {"kubernetes.io/hostname", kNodeName}, {"kubernetes.io/os", "linux"}, {"node-role.kubernetes.io/control-plane", ""}});
    auto created = client_.create_now(Value::object({{"apiVersion", "v1"},
                                                     {"kind", "Node"},
                                                     {"metadata", Value::object({{"name", kNodeName}, {"labels", std::move(labels)}})},
                                                     {"spec", Value::object({{"podCIDR", "10.244.0.0/16"}, {"podCIDRs", Value::array({"10.244.0.0/16"})}})}}));
    if (!created) FL_LOG_WARN("node", "cannot register the node: {}", created.error().text());
  }
  auto node = store_.get({"nodes", "", kNodeName});
  if (!node) return;
  Value update = **node;
  update.set("status", status());
  update["metadata"].erase("resourceVersion");
  if (auto written = client_.update_status(std::move(update)); !written) FL_LOG_WARN("node", "cannot report the node's status: {}", written.error().text());
}

void NodeStatus::renew() {
  renewal_.arm(kRenewEvery);
  std::string now = base::format_rfc3339_micro(std::chrono::system_clock::now());
  store::Key key{"leases.coordination.k8s.io", "kube-node-lease", kNodeName};
  if (!store_.get({"namespaces", "", key.ns})) return;
  if (store_.get(key)) {
    if (auto done = client_.patch(key, Value::object({{"spec", Value::object({{"renewTime", now}})}})); !done)
      FL_LOG_WARN("node", "cannot renew the node's lease: {}", done.error().text());
    return;
  }
  auto created = client_.create_now(Value::object({{"apiVersion", "coordination.k8s.io/v1"},
                                                   {"kind", "Lease"},
                                                   {"metadata", Value::object({{"name", key.name}, {"namespace", key.ns}})},
                                                   {"spec", Value::object({{"holderIdentity", kNodeName}, {"leaseDurationSeconds", kLeaseDuration.count()}, {"renewTime", now}})}}));
  if (!created) FL_LOG_WARN("node", "cannot make the node's lease: {}", created.error().text());
}

}  // namespace fairlead::node
