#include "control/injection_probes.h"

#include <map>

#include <fmt/format.h>

#include "base/strings.h"

namespace fairlead::control {
namespace {

using base::Value;

constexpr int kAgentPort = 15020;

struct Place {
  std::string_view field, name;
};
constexpr Place kProbes[] = {{"readinessProbe", "readyz"}, {"livenessProbe", "livez"}, {"startupProbe", "startupz"}};
constexpr Place kHooks[] = {{"preStop", "prestopz"}, {"postStart", "poststartz"}};

// The port as a number; 0: a name that the container does not have.
int64_t port_of(const Value& container, const Value& port) {
  if (port.is_int()) return port.as_int();
  for (const auto& p : container["ports"].items())
    if (p["name"].as_string() == port.as_string()) return p["containerPort"].as_int();
  return base::to_int(port.as_string()).value_or(0);
}

// Takes over one probe or hook. False: there is nothing here for the agent.
bool take(const Value& container, Value& probe, const std::string& path, std::map<std::string, Value>& taken) {
  const Value& before = probe;
  for (std::string_view kind : {"httpGet", "tcpSocket", "grpc"}) {
    if (!before[kind].is_object()) continue;
    Value was = before[kind];
    int64_t port = port_of(container, std::as_const(was)["port"]);
    if (port == 0 || port == kAgentPort) return false;
    was.set("port", port);
    Value out = Value::object();
    out.set(kind, was);
    if (before.contains("timeoutSeconds")) out.set("timeoutSeconds", before["timeoutSeconds"]);
    taken[path] = std::move(out);
    Value get = kind == "httpGet" ? std::move(was) : Value::object();
    get.set("path", path);
    get.set("port", kAgentPort);
    // From the kubelet to the agent it is plain text; the agent speaks TLS to the application.
    if (std::as_const(get)["scheme"].as_string() == "HTTPS") get.set("scheme", "HTTP");
    probe.erase(kind);
    probe.set("httpGet", std::move(get));
    return true;
  }
  return false;
}

}  // namespace

std::string rewrite_probes(Value& pod) {
  const std::string& choice = std::as_const(pod)["metadata"]["annotations"]["sidecar.istio.io/rewriteAppHTTPProbers"].as_string();
  for (std::string_view no : {"false", "FALSE", "False", "f", "F", "0"})
    if (choice == no) return {};
  std::map<std::string, Value> taken;  // sorted, as Go prints a map
  for (auto& container : pod["spec"]["containers"].mutable_items()) {
    const Value as_it_was = container;
    const std::string& name = as_it_was["name"].as_string();
    if (name == "istio-proxy") continue;
    for (const Place& p : kProbes)
      if (as_it_was[p.field].is_object()) take(as_it_was, container[p.field], fmt::format("/app-health/{}/{}", name, p.name), taken);
    for (const Place& p : kHooks)
      if (as_it_was["lifecycle"][p.field].is_object()) take(as_it_was, container["lifecycle"][p.field], fmt::format("/app-lifecycle/{}/{}", name, p.name), taken);
  }
  if (taken.empty()) return {};
  Value out = Value::object();
  for (auto& [path, probe] : taken) out.set(path, std::move(probe));
  return out.dump();
}

}  // namespace fairlead::control
