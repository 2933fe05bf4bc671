// VirtualServices, Gateways and DestinationRules: do they refer to what exists?
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "control/analysis/context.h"
#include "mesh/selector.h"

namespace fairlead::control {

using base::Value;

namespace {

struct Destination {
  const Value* value;
  bool mirror = false;
};

std::vector<Destination> destinations_of(const Value& spec) {
  std::vector<Destination> out;
  for (const char* list : {"tcp", "tls", "http"})
    for (const Value& r : spec[list].items())
      for (const Value& d : r["route"].items())
        if (!d["destination"].is_null()) out.push_back({&d["destination"], false});
  for (const Value& r : spec["http"].items()) {
    if (!r["mirror"].is_null()) out.push_back({&r["mirror"], true});
    for (const Value& m : r["mirrors"].items())
      if (!m["destination"].is_null()) out.push_back({&m["destination"], true});
  }
  return out;
}

void not_found(AnalysisContext& context, const Item& item, std::string_view what, std::string_view name, const Value& at) {
  context.report(Level::kError, "IST0101", item, fmt::format("Referenced {} not found: \"{}\"", what, name), &at);
}

void destinations(AnalysisContext& context, const Item& item, const std::set<std::pair<std::string, std::string>>& subsets) {
  const Value& spec = item.object["spec"];
  std::string ns = ns_of(item.object);
  for (const Destination& d : destinations_of(spec)) {
    const std::string& name = (*d.value)["host"].as_string();
    const Value& at = (*d.value)["host"];
    const Host* host = context.host(name, ns);
    if (!host) {
      not_found(context, item, d.mirror ? "mirror host" : "host", name, at);
    } else if ((*d.value)["port"].is_null()) {
      if (host->ports.size() > 1) {
        std::vector<std::string> ports;
        for (int64_t p : host->ports) ports.push_back(std::to_string(p));
        context.report(Level::kError, "IST0112", item,
                       fmt::format("This VirtualService routes to a service \"{}\" that exposes multiple ports {}. Specifying a port in the "
                                   "destination is required to disambiguate.",
                                   name, go_list(ports)),
                       &at);
      }
    } else {
      int64_t port = (*d.value)["port"]["number"].as_int();
      if (std::find(host->ports.begin(), host->ports.end(), port) == host->ports.end())
        not_found(context, item, "host:port", fmt::format("{}:{}", name, port), at);
    }
    const std::string& subset = (*d.value)["subset"].as_string();
    if (!subset.empty() && !subsets.contains({fqdn(name, ns), subset}))
      not_found(context, item, d.mirror ? "mirror+subset in destinationrule" : "host+subset in destinationrule", name + "+" + subset, at);
  }
}

// Gateway hosts as a VirtualService of namespace `ns` sees them.
std::vector<std::string> gateway_hosts(const Value& gateway, const std::string& ns) {
  std::vector<std::string> out;
  for (const Value& s : gateway["spec"]["servers"].items()) {
    for (const Value& h : s["hosts"].items()) {
      std::string_view entry = h.as_string();
      size_t slash = entry.find('/');
      if (slash == std::string_view::npos) {
        out.emplace_back(entry);
        continue;
      }
      std::string_view scope = entry.substr(0, slash);
      if (scope == "*" || scope == ns || (scope == "." && ns_of(gateway) == ns)) out.emplace_back(entry.substr(slash + 1));
    }
  }
  return out;
}

void gateways_of(AnalysisContext& context, const Item& item) {
  const Value& o = item.object;
  std::string ns = ns_of(o);
  std::vector<std::string> hosts;
  for (const Value& h : o["spec"]["hosts"].items()) hosts.push_back(h.as_string());
  for (const Value& g : o["spec"]["gateways"].items()) {
    const std::string& name = g.as_string();
    if (name == "mesh") continue;
    size_t slash = name.find('/');
    std::string gateway_ns = slash == std::string::npos ? ns : name.substr(0, slash);
    std::string gateway_name = slash == std::string::npos ? name : name.substr(slash + 1);
    const Item* gateway = nullptr;
    for (const Item* candidate : context.of("Gateway", "networking.istio.io"))
      if (ns_of(candidate->object) == gateway_ns && candidate->object["metadata"]["name"].as_string() == gateway_name) gateway = candidate;
    if (!gateway) not_found(context, item, "gateway", name, g);
    bool matched = false;
    if (gateway)
      for (const std::string& a : gateway_hosts(gateway->object, ns))
        for (const std::string& b : hosts) matched = matched || host_matches(a, b);
    if (!matched)
      context.report(Level::kWarning, "IST0132", item,
                     fmt::format("one or more host {} defined in VirtualService {} not found in Gateway {}.", go_list(hosts), full_name(o),
                                 gateway_ns + "/" + gateway_name),
                     &g);
  }
}

}  // namespace

void analyze_virtual_services(AnalysisContext& context) {
  std::set<std::pair<std::string, std::string>> subsets;
  for (const Item* item : context.of("DestinationRule", "networking.istio.io"))
    for (const Value& s : item->object["spec"]["subsets"].items())
      subsets.emplace(fqdn(item->object["spec"]["host"].as_string(), ns_of(item->object)), s["name"].as_string());

  std::map<std::string, std::vector<const Item*>> mesh_hosts;  // "scope/fqdn"
  for (const Item* item : context.of("VirtualService", "networking.istio.io")) {
    destinations(context, *item, subsets);
    gateways_of(context, *item);
    const Value& spec = item->object["spec"];
    bool in_mesh = spec["gateways"].empty();
    for (const Value& g : spec["gateways"].items()) in_mesh = in_mesh || g.as_string() == "mesh";
    if (!in_mesh) continue;
    std::set<std::string> scopes;
    for (const Value& e : spec["exportTo"].items()) scopes.insert(e.as_string() == "." ? ns_of(item->object) : e.as_string());
    if (scopes.empty() || scopes.contains("*")) scopes = {"*"};
    for (const std::string& scope : scopes)
      for (const Value& h : spec["hosts"].items()) mesh_hosts[scope + "/" + fqdn(h.as_string(), ns_of(item->object))].push_back(item);
  }
  std::set<const Item*> reported;
  for (const auto& [scoped, items] : mesh_hosts) {
    std::vector<const Item*> all = items;
    size_t slash = scoped.find('/');
    if (scoped.substr(0, slash) != "*")
      if (auto it = mesh_hosts.find("*" + scoped.substr(slash)); it != mesh_hosts.end()) all.insert(all.end(), it->second.begin(), it->second.end());
    if (all.size() < 2) continue;
    std::vector<std::string> names;
    for (const Item* item : all) names.push_back(full_name(item->object));
    std::sort(names.begin(), names.end());
    for (const Item* item : all) {
      if (!reported.insert(item).second) continue;
      context.report(Level::kError, "IST0109", *item,
                     fmt::format("The VirtualServices {} associated with mesh gateway define the same host {} which can lead to undefined behavior. "
                                 "This can be fixed by merging the conflicting VirtualServices into a single resource.",
                                 base::join(names, ","), scoped),
                     &item->object["metadata"]["name"]);
    }
  }
}

void analyze_gateways(AnalysisContext& context) {
  struct Claim {
    const Item* item;
    std::string selector, host, bind;
    int64_t port;
  };
  std::vector<Claim> claims;
  for (const Item* item : context.of("Gateway", "networking.istio.io")) {
    const Value& spec = item->object["spec"];
    auto selector = mesh::LabelSelector::from_map(spec["selector"]);
    std::string selector_text = selector.text();
    size_t pods = 0;
    std::set<int64_t> service_ports, container_ports;
    for (const Item* pod : context.of("Pod", "")) {
      const Value& labels = pod->object["metadata"]["labels"];
      if (!selector.matches(labels)) continue;
      ++pods;
      for (const Value& c : pod->object["spec"]["containers"].items())
        for (const Value& p : c["ports"].items()) container_ports.insert(p["containerPort"].as_int());
      for (const Item* service : context.of("Service", "")) {
        const Value& s = service->object;
        if (ns_of(s) != ns_of(pod->object) || s["spec"]["selector"].empty()) continue;
        if (!mesh::LabelSelector::from_map(s["spec"]["selector"]).matches(labels)) continue;
        for (const Value& p : s["spec"]["ports"].items()) {
          if (p["protocol"].string_or("TCP") != "TCP") continue;
          service_ports.insert(p["port"].as_int());
          if (p["targetPort"].as_int() != 0) service_ports.insert(p["targetPort"].as_int());
        }
      }
    }
    if (pods == 0) {
      not_found(context, *item, "selector", selector_text, spec["selector"]);
    } else {
      for (const Value& s : spec["servers"].items()) {
        int64_t port = s["port"]["number"].as_int();
        if (port == 0 || service_ports.contains(port)) continue;
        if (container_ports.contains(port)) {
          context.report(Level::kWarning, "IST0162", *item,
                         fmt::format("The gateway is listening on a target port (port {}) that is not defined in the Service associated with its "
                                     "workload instances (Pod selector {}). If you need to access the gateway port through the gateway Service, it "
                                     "will not be available.",
                                     port, selector_text),
                         &spec["selector"]);
        } else {
          context.report(Level::kWarning, "IST0104", *item,
                         fmt::format("The gateway refers to a port that is not exposed on the workload (pod selector {}; port {})", selector_text, port),
                         &spec["selector"]);
        }
      }
    }
    for (const Value& s : spec["servers"].items()) {
      for (const Value& h : s["hosts"].items())
        claims.push_back({item, selector_text, h.as_string(), s["bind"].as_string(), s["port"]["number"].as_int()});
      const std::string& credential = s["tls"]["credentialName"].as_string();
      if (credential.empty() || pods == 0) continue;
      // The secret lives beside the gateway's workload.
      bool found = false;
      for (const Item* pod : context.of("Pod", ""))
        if (selector.matches(pod->object["metadata"]["labels"])) found = found || context.find("Secret", ns_of(pod->object), credential);
      if (!found) not_found(context, *item, "credentialName", credential, s["tls"]["credentialName"]);
    }
  }
  std::set<const Item*> reported;
  for (size_t i = 0; i < claims.size(); ++i) {
    for (size_t j = 0; j < claims.size(); ++j) {
      const Claim &a = claims[i], &b = claims[j];
      if (a.item == b.item || a.selector != b.selector || a.port != b.port || a.bind != b.bind || a.host != b.host) continue;
      if (!reported.insert(a.item).second) continue;
      context.report(Level::kError, "IST0145", *a.item,
                     fmt::format("Conflict with gateways {} (workload selector {}, port {}, hosts {}).", full_name(b.item->object), a.selector, a.port,
                                 go_list({a.host})));
    }
  }
}

void analyze_destination_rules(AnalysisContext& context) {
  for (const Item* item : context.of("DestinationRule", "networking.istio.io")) {
    const Value& o = item->object;
    const Value& spec = o["spec"];
    const std::string& name = spec["host"].as_string();
    const Host* host = context.host(name, ns_of(o));
    if (!host) {
      if (!name.starts_with('*'))
        context.report(Level::kWarning, "IST0174", *item, fmt::format("The host {} defined in the DestinationRule does not match any services in the mesh.", name), &spec["host"]);
    } else {
      for (const Value& s : spec["subsets"].items()) {
        Value labels = Value::object();
        for (const auto& m : host->selector.members()) labels.set(m.key, m.value);
        for (const auto& m : s["labels"].members()) labels.set(m.key, m.value);
        auto selector = mesh::LabelSelector::from_map(labels);
        bool selected = context.of("Pod", "").empty();  // files alone tell nothing of pods
        for (const Item* pod : context.of("Pod", "")) selected = selected || selector.matches(pod->object["metadata"]["labels"]);
        for (const Item* d : context.of("Deployment", "apps")) selected = selected || selector.matches(d->object["spec"]["template"]["metadata"]["labels"]);
        if (!selected)
          context.report(Level::kError, "IST0173", *item,
                         fmt::format("The Subset {} defined in the DestinationRule does not select any pods. Which may lead to 503 UH (NoHealthyUpstream).",
                                     s["name"].as_string()),
                         &s);
      }
    }
    const std::string& mode = spec["trafficPolicy"]["tls"]["mode"].as_string();
    const Value& tls = spec["trafficPolicy"]["tls"];
    if ((mode == "SIMPLE" || mode == "MUTUAL") && tls["caCertificates"].as_string().empty() && tls["credentialName"].as_string().empty() &&
        !tls["insecureSkipVerify"].as_bool())
      context.report(Level::kWarning, "IST0128", *item,
                     fmt::format("DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server identity "
                                 "for host: {}",
                                 full_name(o), ns_of(o), mode, name),
                     &tls);
  }
}

}  // namespace fairlead::control
