#include "control/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "control/resolve.h"

namespace fairlead::control {
namespace {

constexpr std::string_view kFlowGroup = ".flow.fairlead.dev";
constexpr const char* kConsoleLabel = "flow.fairlead.dev/console";

bool is_console(const Service& service, const std::string& root_namespace) {
  if (service.ns != root_namespace && service.ns != "kube-system") return false;
  auto label = service.labels.find(kConsoleLabel);
  return label != service.labels.end() && label->second == "true" && !service.ports.empty();
}

// The oldest, if there are several. Nothing: there is none, or nothing is behind it.
std::optional<FlowConsole> find_console(const Snapshot& out) {
  for (const ServicePtr& service : out.services) {
    if (!service->kubernetes || !is_console(*service, out.mesh.root_namespace)) continue;
    const Port& port = service->ports.front();
    FlowConsole console{.address = fmt::format("{}:{}", service->addresses.empty() ? service->host : service->addresses.front(), port.number), .peers = {}};
    for (const Endpoint& endpoint : out.endpoints_of(*service, port.number)) console.peers.push_back(endpoint.address);
    std::sort(console.peers.begin(), console.peers.end());
    console.peers.erase(std::unique(console.peers.begin(), console.peers.end()), console.peers.end());
    if (!console.peers.empty()) return console;
  }
  return std::nullopt;
}

constexpr std::string_view kResources[] = {
    "namespaces",
    "configmaps",
    "secrets",
    "services",
    "endpointslices.discovery.k8s.io",
    "pods",
    "virtualservices.networking.istio.io",
    "destinationrules.networking.istio.io",
    "gateways.networking.istio.io",
    "serviceentries.networking.istio.io",
    "workloadentries.networking.istio.io",
    "sidecars.networking.istio.io",
    "peerauthentications.security.istio.io",
    "flowrules.flow.fairlead.dev",
    "degraderules.flow.fairlead.dev",
    "paramflowrules.flow.fairlead.dev",
    "systemrules.flow.fairlead.dev",
    "authorityrules.flow.fairlead.dev",
    "gatewayflowrules.flow.fairlead.dev",
    "apidefinitions.flow.fairlead.dev",
};

std::string name_of(const base::Value& object) {
  const auto& metadata = object["metadata"];
  return metadata["namespace"].string_or("") + "/" + metadata["name"].as_string();
}

PodPtr read_pod(const base::Value& object) {
  auto pod = std::make_shared<Pod>();
  pod->ns = object["metadata"]["namespace"].as_string();
  pod->name = object["metadata"]["name"].as_string();
  pod->labels = labels_of(object["metadata"]["labels"]);
  const std::string& phase = object["status"]["phase"].as_string();
  if (phase != "Succeeded" && phase != "Failed") pod->ip = object["status"]["podIP"].as_string();
  pod->service_account = object["spec"]["serviceAccountName"].as_string();
  pod->node = object["spec"]["nodeName"].as_string();
  auto add_ports = [&](const base::Value& containers) {
    for (const auto& container : containers.items())
      for (const auto& port : container["ports"].items())
        if (!port["name"].as_string().empty())
          pod->ports.emplace(port["name"].as_string(), static_cast<int>(port["containerPort"].as_int()));
  };
  add_ports(object["spec"]["containers"]);
  add_ports(object["spec"]["initContainers"]);
  return pod;
}

std::shared_ptr<const Credential> read_credential(const base::Value& secret) {
  auto get = [&](const char* key) { return base::base64_decode(secret["data"][key].as_string()).value_or(""); };
  Credential out{get("tls.crt"), get("tls.key"), get("ca.crt"), get("ca.crl")};
  if (out.certificate_pem.empty()) out = {get("cert"), get("key"), get("cacert"), get("crl")};
  if (out.ca_pem.empty()) out.ca_pem = get("cacert");
  // NAME-cacert holds the clients' CA alone.
  bool pair = !out.certificate_pem.empty() && !out.key_pem.empty();
  if (!pair && out.ca_pem.empty()) return nullptr;
  return std::make_shared<const Credential>(std::move(out));
}

}  // namespace

std::span<const std::string_view> Registry::resources() { return kResources; }

bool Registry::optional(std::string_view resource) { return resource.ends_with(kFlowGroup); }

Scope Registry::apply(std::string_view resource, store::EventType type, const store::ObjectPtr& object) {
  bool gone = type == store::EventType::kDeleted;
  std::string name = name_of(*object);
  auto config = [&](std::map<Name, ConfigPtr>& into, std::string_view kind) {
    if (gone) {
      if (into.erase(name) == 0) return Scope::kNothing;
    } else {
      auto read = read_config(kind, *object);
      auto& slot = into[name];
      // Status and label changes of a configuration move no traffic.
      if (slot && slot->spec == read->spec && slot->created == read->created) return Scope::kNothing;
      slot = std::move(read);
    }
    return Scope::kAll;
  };
  Scope scope = Scope::kNothing;
  if (resource == "virtualservices.networking.istio.io") {
    scope = config(virtual_services_, "VirtualService");
  } else if (resource == "destinationrules.networking.istio.io") {
    scope = config(destination_rules_, "DestinationRule");
  } else if (resource == "gateways.networking.istio.io") {
    scope = config(gateways_, "Gateway");
  } else if (resource == "serviceentries.networking.istio.io") {
    scope = config(service_entries_, "ServiceEntry");
  } else if (resource == "workloadentries.networking.istio.io") {
    scope = config(workload_entries_, "WorkloadEntry");
  } else if (resource == "sidecars.networking.istio.io") {
    scope = config(sidecars_, "Sidecar");
  } else if (resource == "peerauthentications.security.istio.io") {
    scope = config(peer_authentications_, "PeerAuthentication");
  } else if (resource.ends_with(kFlowGroup)) {
    scope = config(flow_rules_[std::string(resource)], (*object)["kind"].as_string());
  } else if (resource == "services") {
    if (gone) {
      if (services_.erase(name) != 0) scope = Scope::kAll;
    } else {
      auto before = services_[name];
      read_service(name, *object);
      scope = Scope::kAll;
    }
    endpoint_cache_.erase(name);
    account_cache_.erase(name);
  } else if (resource == "endpointslices.discovery.k8s.io") {
    std::string service = (*object)["metadata"]["namespace"].as_string() + "/" +
                          (*object)["metadata"]["labels"]["kubernetes.io/service-name"].as_string();
    std::set<std::string> before, after;
    if (auto it = slices_.find(name); it != slices_.end()) {
      before = accounts_in(*it->second.object);
      account_cache_.erase(it->second.service);
      slices_of_[it->second.service].erase(name);
      endpoint_cache_.erase(it->second.service);
      slices_.erase(it);
    }
    if (!gone) {
      slices_.emplace(name, Slice{service, object});
      slices_of_[service].insert(name);
      after = accounts_in(*object);
    }
    endpoint_cache_.erase(service);
    account_cache_.erase(service);
    auto it = services_.find(service);
    // Headless services have a listener for each endpoint of an opaque port.
    scope = it != services_.end() && it->second->headless ? Scope::kAll : Scope::kEndpoints;
    if (it != services_.end() && is_console(*it->second, mesh_.root_namespace)) scope = Scope::kAll;
    // Clusters name who their endpoints may be.
    if (before != after) scope = Scope::kAll;
  } else if (resource == "pods") {
    if (gone) {
      if (pods_.erase(name) != 0) scope = Scope::kAll;
    } else {
      auto pod = read_pod(*object);
      auto& slot = pods_[name];
      if (slot && *slot == *pod) return Scope::kNothing;
      slot = std::move(pod);
      scope = Scope::kAll;
    }
    if (scope == Scope::kAll) endpoint_cache_.clear(), account_cache_.clear();  // labels select subsets
  } else if (resource == "namespaces") {
    const std::string& ns = (*object)["metadata"]["name"].as_string();
    Labels labels = gone ? Labels{} : labels_of((*object)["metadata"]["labels"]);
    auto it = namespaces_.find(ns);
    if (!gone && it != namespaces_.end() && it->second == labels) return Scope::kNothing;
    if (gone) namespaces_.erase(ns);
    else namespaces_[ns] = std::move(labels);
  } else if (resource == "secrets") {
    auto credential = gone ? nullptr : read_credential(*object);
    auto it = credentials_.find(name);
    if (!credential) {
      if (it == credentials_.end()) return Scope::kNothing;  // of no use to a gateway
      credentials_.erase(it);
    } else {
      if (it != credentials_.end() && *it->second == *credential) return Scope::kNothing;
      credentials_[name] = std::move(credential);
    }
    scope = Scope::kAll;
  } else if (resource == "configmaps") {
    if (name != mesh_.root_namespace + "/istio" || gone) return Scope::kNothing;
    base::Value before = mesh_.raw;
    read_mesh(*object);
    if (mesh_.raw != before) scope = Scope::kAll;
  }
  if (scope != Scope::kNothing) changed_ = true;
  return scope;
}

void Registry::replace(const std::vector<base::Value>& objects) {
  *this = Registry{};
  for (const auto& object : objects) {
    const std::string& kind = object["kind"].as_string();
    std::string_view resource;
    for (std::string_view r : kResources) {
      std::string plural(r.substr(0, r.find('.')));
      std::string lower = base::to_lower(kind);
      if (plural == lower + "s" || (lower.ends_with('y') && plural == lower.substr(0, lower.size() - 1) + "ies")) resource = r;
    }
    if (resource.empty()) {
      FL_LOG_INFO("registry", "{} {} is not read by the control plane", kind, name_of(object));
      continue;
    }
    base::Value copy = object;
    if (copy["metadata"]["namespace"].as_string().empty() && resource != "namespaces") copy["metadata"].set("namespace", "default");
    apply(resource, store::EventType::kAdded, std::make_shared<const base::Value>(std::move(copy)));
  }
  version_ = 1;
}

void Registry::read_mesh(const base::Value& config_map) {
  auto documents = base::parse_yaml(config_map["data"]["mesh"].as_string(), "ConfigMap istio, mesh");
  if (!documents) {
    FL_LOG_ERROR("registry", "the mesh configuration stays as it was: {}", documents.error().text());
    return;
  }
  base::Value raw = documents->empty() ? base::Value::object() : (*documents)[0];
  MeshConfig mesh;
  mesh.registry_only = raw["outboundTrafficPolicy"]["mode"].as_string() == "REGISTRY_ONLY";
  mesh.access_log_file = raw["accessLogFile"].as_string();
  mesh.access_log_format = raw["accessLogFormat"].as_string();
  mesh.access_log_json = raw["accessLogEncoding"].as_string() == "JSON";
  mesh.root_namespace = raw["rootNamespace"].string_or("istio-system");
  if (auto d = base::parse_duration(raw["connectTimeout"].as_string())) mesh.connect_timeout = *d;
  if (auto d = base::parse_duration(raw["protocolDetectionTimeout"].as_string())) mesh.protocol_detection_timeout = *d;
  mesh.default_retry = raw["defaultHttpRetryPolicy"];
  mesh.trust_domains = {std::as_const(raw)["trustDomain"].string_or("cluster.local")};
  for (const auto& alias : std::as_const(raw)["trustDomainAliases"].items()) mesh.trust_domains.push_back(alias.as_string());
  mesh.auto_mtls = std::as_const(raw)["enableAutoMtls"].as_bool(true);
  mesh.raw = std::move(raw);
  mesh_ = std::move(mesh);
}

void Registry::read_service(const Name& name, const base::Value& object) {
  const auto& spec = object["spec"];
  const auto& metadata = object["metadata"];
  auto service = std::make_shared<Service>();
  service->ns = metadata["namespace"].as_string();
  service->name = metadata["name"].as_string();
  service->host = fmt::format("{}.{}.svc.{}", service->name, service->ns, mesh_.domain);
  service->labels = labels_of(metadata["labels"]);
  service->created = metadata["creationTimestamp"].as_string();
  service->selector = labels_of(spec["selector"]);
  for (auto part : base::split(metadata["annotations"]["networking.istio.io/exportTo"].as_string(), ','))
    if (!base::trim(part).empty()) service->export_to.emplace_back(base::trim(part));
  std::string ip = spec["clusterIP"].as_string();
  if (spec["type"].as_string() == "ExternalName") {
    service->resolution = Resolution::kAlias;
    service->external_name = spec["externalName"].as_string();
  } else if (ip == "None") {
    service->headless = true;
    service->resolution = Resolution::kPassthrough;
  } else if (!ip.empty()) {
    service->addresses.push_back(ip);
    for (const auto& more : spec["clusterIPs"].items())
      if (more.as_string() != ip) service->addresses.push_back(more.as_string());
  }
  for (const auto& p : spec["ports"].items()) {
    Port port;
    port.number = static_cast<int>(p["port"].as_int());
    port.name = p["name"].as_string();
    port.protocol = kubernetes_protocol(port.number, port.name, p["protocol"].string_or("TCP"), p["appProtocol"].as_string());
    const auto& target = p["targetPort"];
    port.target = target.is_int() ? std::to_string(target.as_int()) : target.as_string();
    service->ports.push_back(std::move(port));
  }
  services_[name] = std::move(service);
}

ConfigPtr Registry::read_config(std::string_view kind, const base::Value& object) const {
  auto config = std::make_shared<Config>();
  const auto& metadata = object["metadata"];
  config->kind = kind;
  config->ns = metadata["namespace"].as_string();
  config->name = metadata["name"].as_string();
  config->created = metadata["creationTimestamp"].as_string();
  config->version = metadata["resourceVersion"].as_string();
  config->spec = object["spec"];
  for (const auto& ns : config->spec["exportTo"].items()) config->export_to.push_back(ns.as_string());
  make_whole(*config, mesh_.domain);
  return config;
}

// ServiceEntry: one Service a host.
std::vector<ServicePtr> Registry::entry_services(const Config& entry) const {
  std::vector<ServicePtr> out;
  const auto& spec = entry.spec;
  const std::string& resolution = spec["resolution"].as_string();
  for (const auto& host : spec["hosts"].items()) {
    auto service = std::make_shared<Service>();
    service->host = base::to_lower(host.as_string());
    service->name = service->host;
    service->ns = entry.ns;
    service->kubernetes = false;
    service->created = entry.created;
    service->export_to = entry.export_to;
    service->mesh_external = spec["location"].string_or("MESH_EXTERNAL") == "MESH_EXTERNAL";
    service->resolution = resolution == "STATIC"            ? Resolution::kEds
                          : resolution == "DNS"             ? Resolution::kDns
                          : resolution == "DNS_ROUND_ROBIN" ? Resolution::kDnsRoundRobin
                                                            : Resolution::kPassthrough;
    service->selector = labels_of(spec["workloadSelector"]["labels"]);
    for (const auto& address : spec["addresses"].items()) service->addresses.push_back(address.as_string());
    for (const auto& p : spec["ports"].items()) {
      Port port;
      port.number = static_cast<int>(p["number"].as_int());
      port.name = p["name"].as_string();
      port.protocol = parse_protocol(p["protocol"].as_string());
      if (p["targetPort"].as_int() != 0) port.target = std::to_string(p["targetPort"].as_int());
      service->ports.push_back(std::move(port));
    }
    out.push_back(std::move(service));
  }
  return out;
}

void Registry::build_services(Snapshot& out) const {
  std::unordered_map<std::string, std::vector<std::string>> aliases;  // target host -> alias hosts
  for (const auto& [name, service] : services_)
    if (service->resolution == Resolution::kAlias) aliases[service->external_name].push_back(service->host);
  for (const auto& [name, service] : services_) out.services.push_back(service);
  for (const auto& [name, entry] : service_entries_)
    for (auto& service : entry_services(*entry)) out.services.push_back(std::move(service));
  for (auto& service : out.services)
    if (auto it = aliases.find(service->host); it != aliases.end() && service->resolution != Resolution::kAlias) {
      auto copy = std::make_shared<Service>(*service);
      copy->aliases = it->second;
      service = std::move(copy);
    }
  std::stable_sort(out.services.begin(), out.services.end(), [](const ServicePtr& a, const ServicePtr& b) {
    return std::tie(a->created, a->name, a->ns) < std::tie(b->created, b->name, b->ns);
  });
  for (const auto& service : out.services) out.by_host[service->host].push_back(service);
}

EndpointsPtr Registry::slice_endpoints(const Service& service, const Snapshot& out) const {
  std::string name = service.ns + "/" + service.name;
  auto& cached = endpoint_cache_[name];
  if (cached) return cached;
  auto endpoints = std::make_shared<EndpointsByPort>();
  auto slices = slices_of_.find(name);
  if (slices != slices_of_.end()) {
    for (const auto& slice_name : slices->second) {
      const auto& slice = *slices_.at(slice_name).object;
      if (slice["addressType"].as_string() == "FQDN") continue;
      for (const auto& port : slice["ports"].items()) {
        const Port* service_port = nullptr;
        for (const auto& p : service.ports)
          if (p.name == port["name"].as_string()) service_port = &p;
        if (!service_port || port["port"].as_int() == 0) continue;
        auto& list = (*endpoints)[service_port->number];
        for (const auto& e : slice["endpoints"].items()) {
          // A terminating pod gets no new requests; a missing "ready" means ready.
          if (!e["conditions"]["ready"].as_bool(true)) continue;
          for (const auto& address : e["addresses"].items()) {
            Endpoint endpoint;
            endpoint.address = address.as_string();
            endpoint.port = static_cast<int>(port["port"].as_int());
            if (auto pod = out.pods_by_ip.find(endpoint.address); pod != out.pods_by_ip.end()) {
              endpoint.labels = pod->second->labels;
            } else if (auto by_name = out.pods_by_name.find(service.ns + "/" + e["targetRef"]["name"].as_string());
                       by_name != out.pods_by_name.end()) {
              endpoint.labels = by_name->second->labels;
            }
            bool known = std::any_of(list.begin(), list.end(), [&](const Endpoint& o) {
              return o.address == endpoint.address && o.port == endpoint.port;
            });
            if (!known) list.push_back(std::move(endpoint));
          }
        }
      }
    }
  }
  for (auto& [port, list] : *endpoints)
    std::sort(list.begin(), list.end(), [](const Endpoint& a, const Endpoint& b) { return a.address < b.address; });
  cached = std::move(endpoints);
  return cached;
}

void Registry::entry_endpoints(const Config& entry, Snapshot& out) const {
  auto endpoints = std::make_shared<EndpointsByPort>();
  const auto& spec = entry.spec;
  auto add = [&](const base::Value& workload, std::string address, const Labels& labels, const Port& port, const std::string& host) {
    Endpoint endpoint;
    endpoint.address = address.empty() ? host : std::move(address);
    const auto& mapped = workload["ports"][port.name];
    endpoint.port = mapped.is_int() ? static_cast<int>(mapped.as_int())
                                    : static_cast<int>(base::to_int(port.target).value_or(port.number));
    if (endpoint.address.starts_with("unix://")) endpoint.port = 0;
    endpoint.labels = labels;
    endpoint.weight = static_cast<unsigned>(workload["weight"].as_int());
    endpoint.locality = workload["locality"].as_string();
    (*endpoints)[port.number].push_back(std::move(endpoint));
  };
  for (const auto& service : entry_services(entry)) {
    endpoints = std::make_shared<EndpointsByPort>();
    for (const auto& port : service->ports) {
      for (const auto& e : spec["endpoints"].items()) add(e, e["address"].as_string(), labels_of(e["labels"]), port, service->host);
      if (!service->selector.empty()) {
        for (const auto& [name, pod] : pods_)
          if (pod->ns == entry.ns && !pod->ip.empty() && subset_of(service->selector, pod->labels))
            add(base::Value(), pod->ip, pod->labels, port, service->host);
        for (const auto& [name, workload] : workload_entries_)
          if (workload->ns == entry.ns && subset_of(service->selector, labels_of(workload->spec["labels"])))
            add(workload->spec, workload->spec["address"].as_string(), labels_of(workload->spec["labels"]), port, service->host);
      } else if (spec["endpoints"].empty() &&
                 (service->resolution == Resolution::kDns || service->resolution == Resolution::kDnsRoundRobin)) {
        add(base::Value(), "", {}, port, service->host);
      }
    }
    out.endpoints[service->ns + "/" + service->host] = endpoints;
  }
}

SnapshotPtr Registry::snapshot() {
  if (!changed_ && current_) return current_;
  changed_ = false;
  auto out = std::make_shared<Snapshot>();
  out->version = ++version_;
  out->mesh = mesh_;
  out->namespaces = namespaces_;
  out->credentials = credentials_;
  for (const auto& [name, pod] : pods_) {
    out->pods_by_name.emplace(name, pod);
    if (!pod->ip.empty()) out->pods_by_ip.emplace(pod->ip, pod);
  }
  build_services(*out);
  for (const auto& [name, service] : services_)
    if (service->resolution != Resolution::kAlias) out->endpoints[service->ns + "/" + service->host] = slice_endpoints(*service, *out);
  for (const auto& [name, entry] : service_entries_) entry_endpoints(*entry, *out);
  build_accounts(*out);
  out->flow_console = find_console(*out);

  auto by_age = [](std::vector<ConfigPtr>& list) {
    std::stable_sort(list.begin(), list.end(), [](const ConfigPtr& a, const ConfigPtr& b) {
      return std::tie(a->created, a->name, a->ns) < std::tie(b->created, b->name, b->ns);
    });
  };
  std::vector<ConfigPtr> rules;
  for (const auto& [name, config] : virtual_services_) out->virtual_services.push_back(config);
  for (const auto& [name, config] : gateways_) out->gateways.push_back(config);
  for (const auto& [name, config] : sidecars_) out->sidecars.push_back(config);
  for (const auto& [name, config] : peer_authentications_) out->peer_authentications.push_back(config);
  for (const auto& [name, config] : destination_rules_) rules.push_back(config);
  for (const auto& [resource, configs] : flow_rules_)
    for (const auto& [name, config] : configs) out->flow_rules.push_back(config);
  by_age(out->flow_rules);
  by_age(out->virtual_services);
  by_age(out->gateways);
  by_age(out->sidecars);
  by_age(out->peer_authentications);
  by_age(rules);
  merge_delegates(out->virtual_services);
  for (auto& rule : rules) {
    const std::string& host = rule->hosts.front();
    auto& list = out->destination_rules[host];
    if (list.empty() && host.starts_with('*')) out->wildcard_rules.push_back(host);
    list.push_back(std::move(rule));
  }
  std::sort(out->wildcard_rules.begin(), out->wildcard_rules.end(),
            [](const std::string& a, const std::string& b) { return std::pair(b.size(), a) < std::pair(a.size(), b); });
  current_ = std::move(out);
  return current_;
}

}  // namespace fairlead::control
