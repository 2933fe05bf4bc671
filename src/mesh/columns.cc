// The columns of `kubectl get`, kind by kind. Source: Kubernetes' pkg/printers/internalversion, Istio's CRDs.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "mesh/selector.h"
#include "mesh/tables.h"

namespace fairlead::mesh {
namespace {

using base::Value;
using base::WallTime;

constexpr std::string_view kNone = "<none>", kUnknown = "<unknown>";

std::string age_of(const Value& timestamp, WallTime now) {
  auto time = base::parse_rfc3339(timestamp.as_string());
  if (!time) return std::string(kUnknown);
  return base::human_age(std::max(std::chrono::seconds(0), std::chrono::duration_cast<std::chrono::seconds>(now - *time)));
}

Value name_cell(const Value& o, WallTime) { return o["metadata"]["name"]; }
Value age_cell(const Value& o, WallTime now) { return age_of(o["metadata"]["creationTimestamp"], now); }

constexpr Column kName{"Name", "string", "name", 0, ".metadata.name", name_cell, "Name of the object, unique in its namespace."};
constexpr Column kAge{"Age", "string", "", 0, ".metadata.creationTimestamp", age_cell, "Time since the object was created."};

constexpr Column text(std::string_view name, Value (*cell)(const Value&, WallTime), int priority = 0) {
  return {name, "string", "", priority, "", cell, ""};
}
constexpr Column number(std::string_view name, Value (*cell)(const Value&, WallTime)) {
  return {name, "integer", "", 0, "", cell, ""};
}
constexpr Column path(std::string_view name, std::string_view json_path, std::string_view doc, std::string_view type = "string") {
  return {name, type, "", 0, json_path, nullptr, doc};
}
constexpr Column kCrdAge = path("Age", ".metadata.creationTimestamp", "Time since the object was created.", "date");

// --- Pod ------------------------------------------------------------------------------------------------------------

bool is_sidecar(const Value& pod, std::string_view container) {
  for (const Value& c : pod["spec"]["initContainers"].items())
    if (c["name"].as_string() == container) return c["restartPolicy"].as_string() == "Always";
  return false;
}

bool condition_true(const Value& object, std::string_view type) {
  for (const Value& c : object["status"]["conditions"].items())
    if (c["type"].as_string() == type) return c["status"].as_string() == "True";
  return false;
}

struct PodSummary {
  std::string reason;
  int64_t ready = 0, total = 0, restarts = 0;
  std::string last_restart;  // timestamp of the newest termination
};

void note_restart(const Value& container, PodSummary& s) {
  s.restarts += container["restartCount"].as_int();
  const std::string& at = container["lastState"]["terminated"]["finishedAt"].as_string();
  if (at > s.last_restart) s.last_restart = at;
}

std::string terminated_reason(const Value& terminated, std::string_view prefix) {
  std::string p(prefix);
  if (!terminated["reason"].as_string().empty()) return p + terminated["reason"].as_string();
  if (terminated["signal"].as_int() != 0) return fmt::format("{}Signal:{}", p, terminated["signal"].as_int());
  return fmt::format("{}ExitCode:{}", p, terminated["exitCode"].as_int());
}

// The states follow printPod: a failing init container hides the rest, then the last container with something to say.
PodSummary summarize(const Value& pod) {
  PodSummary s;
  const Value& status = pod["status"];
  s.reason = status["reason"].as_string().empty() ? status["phase"].as_string() : status["reason"].as_string();
  s.total = static_cast<int64_t>(pod["spec"]["containers"].size());
  for (const Value& c : status["conditions"].items())
    if (c["type"].as_string() == "PodScheduled" && c["reason"].as_string() == "SchedulingGated") s.reason = "SchedulingGated";
  for (const Value& c : pod["spec"]["initContainers"].items())
    if (c["restartPolicy"].as_string() == "Always") ++s.total;

  bool initializing = false;
  size_t index = 0;
  size_t init_total = pod["spec"]["initContainers"].size();
  for (const Value& c : status["initContainerStatuses"].items()) {
    size_t i = index++;
    note_restart(c, s);
    bool sidecar = is_sidecar(pod, c["name"].as_string());
    if (sidecar && c["ready"].as_bool()) ++s.ready;
    if (initializing) continue;
    const Value& state = c["state"];
    if (state["terminated"].is_object()) {
      if (state["terminated"]["exitCode"].as_int() == 0) continue;
      s.reason = terminated_reason(state["terminated"], "Init:");
      initializing = true;
    } else if (sidecar && c["started"].as_bool()) {
      continue;
    } else if (state["waiting"].is_object() && !state["waiting"]["reason"].as_string().empty() &&
               state["waiting"]["reason"].as_string() != "PodInitializing") {
      s.reason = "Init:" + state["waiting"]["reason"].as_string();
      initializing = true;
    } else {
      s.reason = fmt::format("Init:{}/{}", i, init_total);
      initializing = true;
    }
  }
  if (!initializing || condition_true(pod, "Initialized")) {
    bool has_running = false;
    const auto& list = status["containerStatuses"].items();
    for (auto it = list.rbegin(); it != list.rend(); ++it) {
      const Value& c = *it;
      note_restart(c, s);
      const Value& state = c["state"];
      if (!state["waiting"]["reason"].as_string().empty()) {
        s.reason = state["waiting"]["reason"].as_string();
      } else if (state["terminated"].is_object()) {
        s.reason = terminated_reason(state["terminated"], "");
      } else if (c["ready"].as_bool() && state["running"].is_object()) {
        has_running = true;
        ++s.ready;
      }
    }
    if (s.reason == "Completed" && has_running) s.reason = condition_true(pod, "Ready") ? "Running" : "NotReady";
  }
  if (pod["metadata"].contains("deletionTimestamp") && !pod["metadata"]["deletionTimestamp"].is_null()) {
    const std::string& phase = status["phase"].as_string();
    if (status["reason"].as_string() == "NodeLost") {
      s.reason = "Unknown";
    } else if (phase != "Failed" && phase != "Succeeded") {
      s.reason = "Terminating";
    }
  }
  return s;
}

Value pod_ready(const Value& o, WallTime) {
  PodSummary s = summarize(o);
  return fmt::format("{}/{}", s.ready, s.total);
}
Value pod_status(const Value& o, WallTime) { return summarize(o).reason; }
Value pod_restarts(const Value& o, WallTime now) {
  PodSummary s = summarize(o);
  if (s.restarts == 0 || s.last_restart.empty()) return std::to_string(s.restarts);
  return fmt::format("{} ({} ago)", s.restarts, age_of(s.last_restart, now));
}
Value or_none(const Value& v) { return v.as_string().empty() ? std::string(kNone) : v.as_string(); }
Value pod_ip(const Value& o, WallTime) {
  const std::string& ip = o["status"]["podIPs"][0]["ip"].as_string();
  return ip.empty() ? or_none(o["status"]["podIP"]) : Value(ip);
}
Value pod_node(const Value& o, WallTime) { return or_none(o["spec"]["nodeName"]); }
Value pod_nominated(const Value& o, WallTime) { return or_none(o["status"]["nominatedNodeName"]); }
Value pod_gates(const Value& o, WallTime) {
  size_t total = o["spec"]["readinessGates"].size(), passed = 0;
  if (total == 0) return kNone;
  for (const Value& gate : o["spec"]["readinessGates"].items()) passed += condition_true(o, gate["conditionType"].as_string());
  return fmt::format("{}/{}", passed, total);
}
constexpr Column kPod[] = {kName, text("Ready", pod_ready), text("Status", pod_status), text("Restarts", pod_restarts), kAge,
                           text("IP", pod_ip, 1), text("Node", pod_node, 1), text("Nominated Node", pod_nominated, 1),
                           text("Readiness Gates", pod_gates, 1)};

// --- Service, Endpoints ---------------------------------------------------------------------------------------------

std::string join_map(const Value& map) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& m : map.members()) pairs.emplace_back(m.key, m.value.as_string());
  std::sort(pairs.begin(), pairs.end());
  std::string out;
  for (auto& [k, v] : pairs) out += (out.empty() ? "" : ",") + k + "=" + v;
  return out.empty() ? std::string(kNone) : out;
}

Value service_type(const Value& o, WallTime) { return o["spec"]["type"]; }
Value service_ip(const Value& o, WallTime) {
  if (o["spec"]["clusterIPs"].size() > 0) return o["spec"]["clusterIPs"][0];
  return or_none(o["spec"]["clusterIP"]);
}
Value service_external(const Value& o, WallTime) {
  const Value& spec = o["spec"];
  const std::string& type = spec["type"].as_string();
  std::vector<std::string> ips;
  if (type == "ExternalName") return spec["externalName"];
  if (type == "LoadBalancer")
    for (const Value& in : o["status"]["loadBalancer"]["ingress"].items())
      ips.push_back(in["ip"].as_string().empty() ? in["hostname"].as_string() : in["ip"].as_string());
  for (const Value& ip : spec["externalIPs"].items()) ips.push_back(ip.as_string());
  if (ips.empty()) return type == "LoadBalancer" ? "<pending>" : kNone;
  return base::join(ips, ",");
}
Value service_ports(const Value& o, WallTime) {
  std::vector<std::string> out;
  for (const Value& p : o["spec"]["ports"].items()) {
    std::string s = std::to_string(p["port"].as_int());
    if (p["nodePort"].as_int() > 0) s += ":" + std::to_string(p["nodePort"].as_int());
    out.push_back(s + "/" + p["protocol"].string_or("TCP"));
  }
  return out.empty() ? std::string(kNone) : base::join(out, ",");
}
Value service_selector(const Value& o, WallTime) { return join_map(o["spec"]["selector"]); }
constexpr Column kService[] = {kName, text("Type", service_type), text("Cluster-IP", service_ip), text("External-IP", service_external),
                               text("Port(s)", service_ports), kAge, text("Selector", service_selector, 1)};

Value endpoints_list(const Value& o, WallTime) {
  if (o["subsets"].empty()) return kNone;
  std::vector<std::string> out;
  size_t count = 0;
  for (const Value& subset : o["subsets"].items()) {
    if (subset["ports"].empty()) {
      for (const Value& a : subset["addresses"].items())
        if (++count <= 3) out.push_back(a["ip"].as_string());
    }
    for (const Value& port : subset["ports"].items())
      for (const Value& a : subset["addresses"].items())
        if (++count <= 3) out.push_back(fmt::format("{}:{}", a["ip"].as_string(), port["port"].as_int()));
  }
  std::string s = base::join(out, ",");
  return count > 3 ? fmt::format("{} + {} more...", s, count - 3) : s;
}
constexpr Column kEndpoints[] = {kName, text("Endpoints", endpoints_list), kAge};

std::string first_few(const std::vector<std::string>& all) {
  if (all.empty()) return "<unset>";
  std::vector<std::string> some(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(3, all.size())));
  std::string s = base::join(some, ",");
  return all.size() > 3 ? fmt::format("{} + {} more...", s, all.size() - 3) : s;
}
Value slice_type(const Value& o, WallTime) { return o["addressType"]; }
Value slice_ports(const Value& o, WallTime) {
  std::vector<std::string> all;
  for (const Value& p : o["ports"].items()) {
    if (!p["port"].is_null()) {
      all.push_back(std::to_string(p["port"].as_int()));
    } else {
      all.push_back(p["name"].as_string().empty() ? "*" : p["name"].as_string());
    }
  }
  return first_few(all);
}
Value slice_endpoints(const Value& o, WallTime) {
  std::vector<std::string> all;
  for (const Value& e : o["endpoints"].items())
    for (const Value& a : e["addresses"].items()) all.push_back(a.as_string());
  return first_few(all);
}
constexpr Column kSlice[] = {kName, text("AddressType", slice_type), text("Ports", slice_ports), text("Endpoints", slice_endpoints), kAge};

// --- small core kinds -----------------------------------------------------------------------------------------------

Value config_data(const Value& o, WallTime) { return o["data"].size() + o["binaryData"].size(); }
constexpr Column kConfigMap[] = {kName, number("Data", config_data), kAge};
Value secret_type(const Value& o, WallTime) { return o["type"]; }
Value secret_data(const Value& o, WallTime) { return o["data"].size(); }
constexpr Column kSecret[] = {kName, text("Type", secret_type), number("Data", secret_data), kAge};
Value account_secrets(const Value& o, WallTime) { return o["secrets"].size(); }
constexpr Column kAccount[] = {kName, number("Secrets", account_secrets), kAge};
Value phase(const Value& o, WallTime) { return o["status"]["phase"]; }
constexpr Column kNamespace[] = {kName, text("Status", phase), kAge};
Value lease_holder(const Value& o, WallTime) { return o["spec"]["holderIdentity"]; }
constexpr Column kLease[] = {kName, text("Holder", lease_holder), kAge};

Value node_status(const Value& o, WallTime) {
  std::string s = "Unknown";
  for (const Value& c : o["status"]["conditions"].items())
    if (c["type"].as_string() == "Ready") s = c["status"].as_string() == "True" ? "Ready" : "NotReady";
  if (o["spec"]["unschedulable"].as_bool()) s += ",SchedulingDisabled";
  return s;
}
Value node_roles(const Value& o, WallTime) {
  std::set<std::string> roles;
  for (const auto& m : o["metadata"]["labels"].members()) {
    std::string_view key = m.key;
    constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
    if (key.starts_with(kPrefix) && key.size() > kPrefix.size()) roles.emplace(key.substr(kPrefix.size()));
    if (key == "kubernetes.io/role" && !m.value.as_string().empty()) roles.insert(m.value.as_string());
  }
  return roles.empty() ? std::string(kNone) : base::join({roles.begin(), roles.end()}, ",");
}
Value node_version(const Value& o, WallTime) { return o["status"]["nodeInfo"]["kubeletVersion"]; }
Value node_address(const Value& o, std::string_view type) {
  for (const Value& a : o["status"]["addresses"].items())
    if (a["type"].as_string() == type) return a["address"];
  return kNone;
}
Value node_internal(const Value& o, WallTime) { return node_address(o, "InternalIP"); }
Value node_external(const Value& o, WallTime) { return node_address(o, "ExternalIP"); }
Value or_unknown(const Value& v) { return v.as_string().empty() ? std::string(kUnknown) : v.as_string(); }
Value node_os(const Value& o, WallTime) { return or_unknown(o["status"]["nodeInfo"]["osImage"]); }
Value node_kernel(const Value& o, WallTime) { return or_unknown(o["status"]["nodeInfo"]["kernelVersion"]); }
Value node_runtime(const Value& o, WallTime) { return or_unknown(o["status"]["nodeInfo"]["containerRuntimeVersion"]); }
constexpr Column kNode[] = {kName, text("Status", node_status), text("Roles", node_roles), kAge, text("Version", node_version),
                            text("Internal-IP", node_internal, 1), text("External-IP", node_external, 1), text("OS-Image", node_os, 1),
                            text("Kernel-Version", node_kernel, 1), text("Container-Runtime", node_runtime, 1)};

// --- Event (both groups store the same facts under different names) ---------------------------------------------------

const Value& either(const Value& o, const char* a, const char* b) { return o.contains(a) ? o[a] : o[b]; }

std::string event_last(const Value& o) {
  for (const Value* v : {&o["series"]["lastObservedTime"], &either(o, "lastTimestamp", "deprecatedLastTimestamp"), &o["eventTime"]})
    if (!v->as_string().empty()) return v->as_string();
  return o["metadata"]["creationTimestamp"].as_string();
}
std::string event_first(const Value& o) {
  for (const Value* v : {&either(o, "firstTimestamp", "deprecatedFirstTimestamp"), &o["eventTime"]})
    if (!v->as_string().empty()) return v->as_string();
  return event_last(o);
}
int64_t event_count(const Value& o) {
  if (o["series"]["count"].as_int() > 0) return o["series"]["count"].as_int();
  return std::max<int64_t>(1, either(o, "count", "deprecatedCount").as_int());
}
Value event_seen(const Value& o, WallTime now) { return age_of(event_last(o), now); }
Value event_type(const Value& o, WallTime) { return o["type"]; }
Value event_reason(const Value& o, WallTime) { return o["reason"]; }
Value event_object(const Value& o, WallTime) {
  const Value& r = either(o, "involvedObject", "regarding");
  std::string kind = base::to_lower(r["kind"].as_string());
  return r["name"].as_string().empty() ? kind : kind + "/" + r["name"].as_string();
}
Value event_subobject(const Value& o, WallTime) { return either(o, "involvedObject", "regarding")["fieldPath"].as_string(); }
Value event_source(const Value& o, WallTime) {
  const Value& s = either(o, "source", "deprecatedSource");
  std::string component = s["component"].as_string(), host = s["host"].as_string();
  if (component.empty()) component = either(o, "reportingComponent", "reportingController").as_string();
  if (host.empty()) host = o["reportingInstance"].as_string();
  return host.empty() || host == component ? component : component + ", " + host;
}
Value event_message(const Value& o, WallTime) { return std::string(base::trim(either(o, "message", "note").as_string())); }
Value event_first_seen(const Value& o, WallTime now) { return age_of(event_first(o), now); }
Value event_times(const Value& o, WallTime) { return event_count(o); }
constexpr Column kEvent[] = {text("Last Seen", event_seen), text("Type", event_type), text("Reason", event_reason), text("Object", event_object),
                             text("Subobject", event_subobject, 1), text("Source", event_source, 1), text("Message", event_message),
                             text("First Seen", event_first_seen, 1), text("Count", event_times, 1),
                             {"Name", "string", "name", 1, ".metadata.name", name_cell, ""}};

// --- apps -----------------------------------------------------------------------------------------------------------

Value deployment_ready(const Value& o, WallTime) {
  return fmt::format("{}/{}", o["status"]["readyReplicas"].as_int(), o["spec"]["replicas"].as_int());
}
Value deployment_updated(const Value& o, WallTime) { return o["status"]["updatedReplicas"].as_int(); }
Value deployment_available(const Value& o, WallTime) { return o["status"]["availableReplicas"].as_int(); }
Value template_list(const Value& o, const char* field) {
  std::vector<std::string> out;
  for (const Value& c : o["spec"]["template"]["spec"]["containers"].items()) out.push_back(c[field].as_string());
  return base::join(out, ",");
}
Value template_names(const Value& o, WallTime) { return template_list(o, "name"); }
Value template_images(const Value& o, WallTime) { return template_list(o, "image"); }
Value workload_selector(const Value& o, WallTime) {
  auto selector = LabelSelector::from_object(o["spec"]["selector"]);
  if (!selector) return "<error>";
  return selector->empty() ? std::string(kNone) : selector->text();
}
constexpr Column kDeployment[] = {kName, text("Ready", deployment_ready), number("Up-to-date", deployment_updated),
                                  number("Available", deployment_available), kAge, text("Containers", template_names, 1),
                                  text("Images", template_images, 1), text("Selector", workload_selector, 1)};
Value set_desired(const Value& o, WallTime) { return o["spec"]["replicas"].as_int(); }
Value set_current(const Value& o, WallTime) { return o["status"]["replicas"].as_int(); }
Value set_ready(const Value& o, WallTime) { return o["status"]["readyReplicas"].as_int(); }
constexpr Column kReplicaSet[] = {kName, number("Desired", set_desired), number("Current", set_current), number("Ready", set_ready), kAge,
                                  text("Containers", template_names, 1), text("Images", template_images, 1),
                                  text("Selector", workload_selector, 1)};

// --- extension points -------------------------------------------------------------------------------------------------

Value webhook_count(const Value& o, WallTime) { return o["webhooks"].size(); }
constexpr Column kWebhooks[] = {kName, number("Webhooks", webhook_count), kAge};
Value created_at(const Value& o, WallTime) { return o["metadata"]["creationTimestamp"]; }
constexpr Column kCrd[] = {kName, text("Created At", created_at)};

// --- Istio: columns of its CustomResourceDefinitions ----------------------------------------------------------------

constexpr Column kVirtualService[] = {kName, path("Gateways", ".spec.gateways", "Gateways and sidecars that apply these routes."),
                                      path("Hosts", ".spec.hosts", "Hosts that traffic is sent to."), kCrdAge};
constexpr Column kDestinationRule[] = {kName, path("Host", ".spec.host", "Service of the registry that the rule is for."), kCrdAge};
constexpr Column kServiceEntry[] = {kName, path("Hosts", ".spec.hosts", "Hosts of the entry."),
                                    path("Location", ".spec.location", "Inside the mesh or outside (MESH_INTERNAL, MESH_EXTERNAL)."),
                                    path("Resolution", ".spec.resolution", "How addresses are found (NONE, STATIC, DNS ...)."), kCrdAge};
constexpr Column kWorkloadEntry[] = {kName, kCrdAge, path("Address", ".spec.address", "Address of the workload, without port.")};
constexpr Column kAuthorizationPolicy[] = {kName, path("Action", ".spec.action", "What happens to requests that match."), kCrdAge};
constexpr Column kPeerAuthentication[] = {kName, path("Mode", ".spec.mtls.mode", "Mutual TLS mode."), kCrdAge};

// --- flow.fairlead.dev ------------------------------------------------------------------------------------------------

Value flow_selects(const Value& o, WallTime) {
  const Value& spec = o["spec"];
  if (!spec["app"].as_string().empty()) return spec["app"];
  std::string out;
  for (const auto& m : spec["selector"]["matchLabels"].members()) out += (out.empty() ? "" : ",") + m.key + "=" + m.value.as_string();
  return out.empty() ? std::string("<all>") : out;
}

Value flow_resources(const Value& o, WallTime) {
  std::string out;
  std::set<std::string> seen;
  for (const Value& rule : o["spec"]["rules"].items()) {
    const std::string& name = rule["resource"].is_null() ? rule["apiName"].as_string() : rule["resource"].as_string();
    if (!name.empty() && seen.insert(name).second) out += (out.empty() ? "" : ",") + name;
  }
  return out.empty() ? std::string(kNone) : out;
}

Value flow_accepted(const Value& o, WallTime) { return o["status"]["acceptedRules"]; }

constexpr Column kFlow[] = {kName, text("Workloads", flow_selects), text("Resources", flow_resources), number("Accepted", flow_accepted), kAge};

constexpr Column kPlainCrd[] = {kName, kCrdAge};
constexpr Column kPlain[] = {kName, kAge};

struct Entry {
  std::string_view kind;
  std::span<const Column> columns;
};
constexpr Entry kEntries[] = {
    {"Pod", kPod}, {"Service", kService}, {"Endpoints", kEndpoints}, {"EndpointSlice", kSlice}, {"ConfigMap", kConfigMap},
    {"Secret", kSecret}, {"ServiceAccount", kAccount}, {"Namespace", kNamespace}, {"Lease", kLease}, {"Node", kNode},
    {"Event", kEvent}, {"Deployment", kDeployment}, {"ReplicaSet", kReplicaSet}, {"MutatingWebhookConfiguration", kWebhooks},
    {"ValidatingWebhookConfiguration", kWebhooks}, {"CustomResourceDefinition", kCrd}, {"VirtualService", kVirtualService},
    {"DestinationRule", kDestinationRule}, {"ServiceEntry", kServiceEntry}, {"WorkloadEntry", kWorkloadEntry},
    {"AuthorizationPolicy", kAuthorizationPolicy}, {"PeerAuthentication", kPeerAuthentication},
};

}  // namespace

std::span<const Column> columns_of(std::string_view group, std::string_view kind) {
  for (const Entry& e : kEntries)
    if (e.kind == kind) return e.columns;
  if (group.ends_with("istio.io")) return kPlainCrd;
  if (group == "flow.fairlead.dev") return kFlow;
  return kPlain;
}

}  // namespace fairlead::mesh
