// istioctl proxy-status and proxy-config: what istiod and the proxies say about themselves, in istioctl's columns.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"
#include "cli/istioctl.h"
#include "io/tls.h"

namespace fairlead::cli {
namespace {

using base::Value;

// Envoy prints proto field names, protobuf's own JSON camel case; both are read.
const Value& field(const Value& v, const std::string& snake) {
  if (const Value* found = v.find(snake)) return *found;
  std::string camel;
  for (size_t i = 0; i < snake.size(); ++i) {
    if (snake[i] == '_' && i + 1 < snake.size()) {
      camel += static_cast<char>(std::toupper(static_cast<unsigned char>(snake[++i])));
    } else {
      camel += snake[i];
    }
  }
  return v[camel];
}

std::string text(const Value& v) { return v.is_string() ? v.as_string() : v.is_null() ? std::string() : v.dump(); }

struct PodName {
  std::string ns, name;
};

// "pod", "pod.namespace", "pod/x", "deploy/x" (any pod of it).
base::Result<PodName> find_pod(const Cluster& cluster, const std::string& typed) {
  std::string name = typed, kind;
  if (size_t slash = name.find('/'); slash != std::string::npos) {
    kind = name.substr(0, slash);
    name = name.substr(slash + 1);
  }
  PodName out{cluster.ns(), name};
  if (size_t dot = name.rfind('.'); dot != std::string::npos) {
    out.ns = name.substr(dot + 1);
    out.name = name.substr(0, dot);
  }
  if (kind.empty() || kind == "pod" || kind == "pods" || kind == "po") {
    auto pod = cluster.get("pods", out.ns, out.name);
    if (!pod) return std::unexpected(pod.error());
    return out;
  }
  std::string resource = kind.starts_with("deploy") ? "deployments.apps" : kind.starts_with("svc") || kind.starts_with("service") ? "services" : "";
  if (resource.empty()) return base::fail(base::Code::kInvalidArgument, "\"{}\" does not refer to a pod", typed);
  auto owner = cluster.get(resource, out.ns, out.name);
  if (!owner) return std::unexpected(owner.error());
  const Value& labels = resource == "services" ? (*owner)["spec"]["selector"] : (*owner)["spec"]["selector"]["matchLabels"];
  std::string selector;
  for (const auto& m : labels.members()) selector += (selector.empty() ? "" : ",") + m.key + "=" + m.value.as_string();
  auto pods = cluster.list("pods", out.ns, selector);
  if (!pods) return std::unexpected(pods.error());
  for (const Value& p : *pods)
    if (p["status"]["phase"].as_string() == "Running") return PodName{out.ns, p["metadata"]["name"].as_string()};
  return base::fail(base::Code::kNotFound, "no pods found for \"{}\"", typed);
}

// --- config dumps ---------------------------------------------------------------------------------------------------

// The listeners, clusters or routes of a config_dump; `inner` is the member that holds the resource.
std::vector<Value> resources(const Value& dump, std::string_view type, const std::vector<std::string>& lists, const std::string& inner) {
  std::vector<Value> out;
  for (const Value& config : dump["configs"].items()) {
    if (config["@type"].as_string().find(type) == std::string::npos) continue;
    for (const std::string& list : lists) {
      for (const Value& entry : field(config, list).items()) {
        const Value& active = field(entry, "active_state");
        const Value& resource = field(active.is_object() ? active : entry, inner);
        if (resource.is_object()) out.push_back(resource);
      }
    }
  }
  return out;
}

using Rows = std::vector<std::vector<std::string>>;

// One row a secret, as istioctl judges them: by the first certificate in it.
Rows secret_rows(const Value& dump) {
  auto iso = [](int64_t seconds) { return base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds))); };
  Rows rows;
  for (const Value& config : dump["configs"].items())
    for (auto [list, state] : {std::pair{"dynamic_warming_secrets", "WARMING"}, std::pair{"dynamic_active_secrets", "ACTIVE"}})
      for (const Value& s : config[list].items()) {
        const Value& secret = s["secret"];
        std::string chain = secret["tls_certificate"]["certificate_chain"]["inline_bytes"].as_string();
        bool ca = chain.empty();
        if (ca) chain = secret["validation_context"]["trusted_ca"]["inline_bytes"].as_string();
        std::vector<std::string> row{s["name"].as_string(), "", state, "false", "", "", ""};
        if (auto facts = io::certificate_facts(base::base64_decode(chain).value_or(""))) {
          int64_t now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
          row = {row[0],  ca ? "CA" : "Cert Chain", row[2], now > facts->not_before && now < facts->not_after ? "true" : "false", facts->serial, iso(facts->not_after),
                 iso(facts->not_before)};
        }
        rows.push_back(std::move(row));
      }
  return rows;
}

std::vector<Value> listeners_of(const Value& dump) { return resources(dump, "ListenersConfigDump", {"dynamic_listeners", "static_listeners"}, "listener"); }
std::vector<Value> clusters_of(const Value& dump) { return resources(dump, "ClustersConfigDump", {"dynamic_active_clusters", "static_clusters"}, "cluster"); }
std::vector<Value> routes_of(const Value& dump) { return resources(dump, "RoutesConfigDump", {"dynamic_route_configs", "static_route_configs"}, "route_config"); }

// The Istio resource that a route or cluster was made from: "reviews.default".
std::string made_from(const Value& resource) {
  const std::string& path = field(resource["metadata"], "filter_metadata")["istio"]["config"].as_string();
  if (path.empty()) return "";
  auto parts = base::split(path, '/');
  if (!path.starts_with("/apis/networking.istio.io/") || parts.size() != 8) return path.starts_with("/apis/networking.istio.io/") ? "" : "<unknown>";
  return fmt::format("{}.{}", parts[7], parts[5]);
}

std::string route_match(const Value& match) {
  std::vector<std::string> out;
  if (!match["prefix"].as_string().empty()) out.push_back(match["prefix"].as_string() + "*");
  if (const Value& p = field(match, "path_separated_prefix"); !p.as_string().empty()) out.push_back("PathPrefix:" + p.as_string());
  if (!match["path"].as_string().empty()) out.push_back(match["path"].as_string());
  if (const Value& r = field(match, "safe_regex"); r.is_object()) out.push_back("regex " + r["regex"].as_string());
  return base::join(out, " ");
}

std::string inline_routes(const Value& config) {
  const Value& hosts = field(config, "virtual_hosts");
  if (hosts.size() == 1 && hosts[0]["domains"].size() == 1 && hosts[0]["domains"][0].as_string() == "*" && hosts[0]["routes"].size() == 1) {
    const Value& r = hosts[0]["routes"][0];
    const std::string& cluster = r["route"]["cluster"].as_string();
    if (r["match"]["prefix"].as_string() == "/" && !cluster.empty())
      return cluster.find("Cluster") != std::string::npos ? cluster : "Cluster: " + cluster;
  }
  std::vector<std::string> parts;
  for (const Value& h : hosts.items()) {
    std::vector<std::string> domains, routes;
    for (const Value& d : h["domains"].items()) domains.push_back(d.as_string());
    for (const Value& r : h["routes"].items()) routes.push_back(route_match(r["match"]));
    std::string where = domains == std::vector<std::string>{"*"} ? "" : base::join(domains, "/") + " ";
    parts.push_back(where + base::join(routes, ", "));
  }
  return "Inline Route: " + base::join(parts, "; ");
}

constexpr std::string_view kHttpFilter = "envoy.filters.network.http_connection_manager", kTcpFilter = "envoy.filters.network.tcp_proxy";

std::string chain_destination(const Value& chain) {
  for (const Value& f : chain["filters"].items()) {
    const Value& config = field(f, "typed_config");
    if (f["name"].as_string() == kHttpFilter) {
      if (const Value& routes = field(config, "route_config"); routes.is_object()) return inline_routes(routes);
      if (const Value& name = field(config["rds"], "route_config_name"); !name.as_string().empty()) return "Route: " + name.as_string();
      return "HTTP";
    }
    if (f["name"].as_string() == kTcpFilter) {
      const std::string& cluster = config["cluster"].as_string();
      if (cluster == "BlackHoleCluster") continue;
      return cluster.find("Cluster") != std::string::npos ? cluster : "Cluster: " + cluster;
    }
  }
  return "Non-HTTP/Non-TCP";
}

std::string chain_match(const Value& match) {
  std::vector<std::string> out;
  auto list = [](const Value& v) {
    std::vector<std::string> items;
    for (const Value& i : v.items()) items.push_back(i.as_string());
    return items;
  };
  if (const Value& names = field(match, "server_names"); !names.empty()) out.push_back("SNI: " + base::join(list(names), ","));
  if (const Value& transport = field(match, "transport_protocol"); !transport.as_string().empty()) out.push_back("Trans: " + transport.as_string());
  if (const Value& alpn = field(match, "application_protocols"); !alpn.empty()) {
    std::string joined = base::join(list(alpn), ",");
    static const std::map<std::string, std::string> kKnown{
        {"http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2", "App: HTTP TLS"},
        {"istio,istio-http/1.0,istio-http/1.1,istio-h2", "App: Istio HTTP Plain"},
        {"istio-peer-exchange,istio", "App: TCP TLS"},
        {"http/1.0,http/1.1,h2c", "App: HTTP"}};
    auto it = kKnown.find(joined);
    out.push_back(it == kKnown.end() ? "App: " + joined : it->second);
  }
  std::string port = text(field(match, "destination_port"));
  if (!port.empty()) port = ":" + port;
  if (const Value& ranges = field(match, "prefix_ranges"); !ranges.empty()) {
    std::vector<std::string> items;
    for (const Value& r : ranges.items())
      items.push_back(field(r, "address_prefix").as_string() + "/" + (field(r, "prefix_len").is_null() ? "0" : text(field(r, "prefix_len"))));
    out.push_back("Addr: " + base::join(items, ",") + port);
  } else if (!port.empty()) {
    out.push_back("Addr: *" + port);
  }
  return out.empty() ? "ALL" : base::join(out, "; ");
}

const Value& socket_of(const Value& address) { return field(address, "socket_address"); }
std::string address_of(const Value& listener) {
  const Value& a = listener["address"];
  if (socket_of(a).is_object()) return socket_of(a)["address"].as_string();
  return a["pipe"]["path"].as_string();
}
int64_t port_of(const Value& address) { return field(socket_of(address), "port_value").as_int(); }

std::vector<Value> chains_of(const Value& listener) {
  std::vector<Value> out;
  for (const Value& c : field(listener, "filter_chains").items()) out.push_back(c);
  if (const Value& d = field(listener, "default_filter_chain"); d.is_object()) out.push_back(d);
  return out;
}

std::string listener_type(const Value& listener) {
  bool http = false, tcp = false;
  for (const Value& chain : chains_of(listener)) {
    for (const Value& f : chain["filters"].items()) {
      http = http || f["name"].as_string() == kHttpFilter;
      tcp = tcp || (f["name"].as_string() == kTcpFilter && field(f, "typed_config")["cluster"].as_string() != "BlackHoleCluster");
    }
  }
  return http && tcp ? "HTTP+TCP" : http ? "HTTP" : tcp ? "TCP" : "UNKNOWN";
}

bool wanted(const Args& args, std::string_view flag, const std::string& value) {
  return !args.has(flag) || base::iequals(args.value(flag), value);
}

std::vector<Value> select_listeners(const Value& dump, const Args& args) {
  auto out = listeners_of(dump);
  std::erase_if(out, [&](const Value& l) {
    return !wanted(args, "address", address_of(l)) || !wanted(args, "port", std::to_string(port_of(l["address"]))) || !wanted(args, "type", listener_type(l));
  });
  std::stable_sort(out.begin(), out.end(), [](const Value& a, const Value& b) {
    return std::tuple(port_of(a["address"]), address_of(a)) < std::tuple(port_of(b["address"]), address_of(b));
  });
  return out;
}

void print_listeners(const Value& dump, const Args& args) {
  bool verbose = args.is_true("verbose", true);
  Rows rows{verbose ? std::vector<std::string>{"ADDRESSES", "PORT", "MATCH", "DESTINATION"} : std::vector<std::string>{"ADDRESSES", "PORT", "TYPE"}};
  for (const Value& l : select_listeners(dump, args)) {
    std::string address = address_of(l);
    for (const Value& more : field(l, "additional_addresses").items()) address += "," + socket_of(more["address"])["address"].as_string();
    std::string port = std::to_string(port_of(l["address"]));
    if (!verbose) {
      rows.push_back({address, port, listener_type(l)});
      continue;
    }
    Rows own;
    for (const Value& chain : chains_of(l)) own.push_back({address, port, chain_match(field(chain, "filter_chain_match")), chain_destination(chain)});
    std::stable_sort(own.begin(), own.end(), [](const auto& a, const auto& b) { return a[3] > b[3]; });
    rows.insert(rows.end(), own.begin(), own.end());
  }
  std::fputs(tabulate(rows, 1).c_str(), stdout);  // istioctl sets listeners closer than the rest
}

std::string domains(const Value& list) {
  if (list.size() == 1) return list[0].as_string();
  std::vector<std::string> names;
  std::set<std::string> all;
  for (const Value& d : list.items())
    if (d.as_string().find(':') == std::string::npos) all.insert(d.as_string());
  for (const Value& d : list.items()) {
    const std::string& name = d.as_string();
    if (!all.contains(name)) continue;
    // Longer spellings of a name that is there in short are left out.
    auto shorter = [&](std::string_view suffix) { return name.ends_with(suffix) && all.contains(name.substr(0, name.size() - suffix.size())); };
    if (shorter(".svc.cluster.local") || shorter(".svc")) continue;
    names.push_back(name);
  }
  constexpr size_t kMost = 2;
  if (names.size() <= kMost) return base::join(names, ", ");
  return fmt::format("{}, {} + {} more...", names[0], names[1], names.size() - kMost);
}

std::vector<Value> select_routes(const Value& dump, const Args& args) {
  auto out = routes_of(dump);
  std::erase_if(out, [&](const Value& r) { return !wanted(args, "name", r["name"].as_string()); });
  std::stable_sort(out.begin(), out.end(), [](const Value& a, const Value& b) {
    auto x = base::to_int(a["name"].as_string()), y = base::to_int(b["name"].as_string());
    return x.has_value() && y.has_value() && x.value() < y.value();
  });
  return out;
}

void print_routes(const Value& dump, const Args& args) {
  bool verbose = args.is_true("verbose", true);
  Rows rows{verbose ? std::vector<std::string>{"NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"}
                    : std::vector<std::string>{"NAME", "VIRTUAL HOSTS"}};
  for (const Value& config : select_routes(dump, args)) {
    const Value& hosts = field(config, "virtual_hosts");
    if (!verbose) {
      rows.push_back({config["name"].as_string(), std::to_string(hosts.size())});
      continue;
    }
    for (const Value& h : hosts.items()) {
      for (const Value& r : h["routes"].items()) {
        if (r["route"]["cluster"].as_string() == "PassthroughCluster") continue;
        rows.push_back({config["name"].as_string(), h["name"].as_string(), domains(h["domains"]), route_match(r["match"]), made_from(r)});
      }
      if (h["routes"].empty()) rows.push_back({config["name"].as_string(), h["name"].as_string(), domains(h["domains"]), "/*", "404"});
    }
  }
  std::fputs(tabulate(rows).c_str(), stdout);
}

struct ClusterName {
  std::string direction, subset, host;
  int64_t port = 0;
  bool istio = false;
};
ClusterName parse_cluster(const std::string& name) {
  auto parts = base::split(name, '|');
  if (parts.size() < 4) return {"", "", name, 0, false};
  return {std::string(parts[0]), std::string(parts[2]), std::string(parts[3]), base::to_int(parts[1]).value_or(0), true};
}

std::vector<Value> select_clusters(const Value& dump, const Args& args) {
  auto out = clusters_of(dump);
  std::erase_if(out, [&](const Value& c) {
    ClusterName n = parse_cluster(c["name"].as_string());
    return !wanted(args, "fqdn", n.host) || !wanted(args, "port", std::to_string(n.port)) || !wanted(args, "subset", n.subset) ||
           !wanted(args, "direction", n.direction);
  });
  std::stable_sort(out.begin(), out.end(), [](const Value& a, const Value& b) {
    ClusterName x = parse_cluster(a["name"].as_string()), y = parse_cluster(b["name"].as_string());
    return std::tuple(x.host, x.subset, x.port, x.direction) < std::tuple(y.host, y.subset, y.port, y.direction);
  });
  return out;
}

void print_clusters(const Value& dump, const Args& args) {
  Rows rows{{"SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"}};
  for (const Value& c : select_clusters(dump, args)) {
    ClusterName n = parse_cluster(c["name"].as_string());
    std::string type = c["type"].string_or("STATIC");
    if (n.istio) {
      rows.push_back({n.host, std::to_string(n.port), n.subset.empty() ? "-" : n.subset, n.direction, type, made_from(c)});
    } else {
      rows.push_back({c["name"].as_string(), "-", "-", "-", type, made_from(c)});
    }
  }
  std::fputs(tabulate(rows).c_str(), stdout);
}

void print_endpoints(const Value& clusters, const Args& args) {
  struct Row {
    std::string address;
    int64_t port;
    std::string cluster, status;
    bool ejected;
  };
  std::vector<Row> found;
  for (const Value& c : field(clusters, "cluster_statuses").items()) {
    for (const Value& h : field(c, "host_statuses").items()) {
      const Value& a = h["address"];
      const Value& health = field(h, "health_status");
      Row r{socket_of(a).is_object() ? socket_of(a)["address"].as_string() : "unix://" + a["pipe"]["path"].as_string(), port_of(a), c["name"].as_string(),
            field(health, "eds_health_status").string_or("UNKNOWN"), field(health, "failed_outlier_check").as_bool()};
      if (wanted(args, "address", r.address) && wanted(args, "port", std::to_string(r.port)) && wanted(args, "cluster", r.cluster) &&
          wanted(args, "status", r.status))
        found.push_back(std::move(r));
    }
  }
  std::sort(found.begin(), found.end(), [](const Row& a, const Row& b) { return std::tie(a.address, a.port, a.cluster) < std::tie(b.address, b.port, b.cluster); });
  Rows rows{{"ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"}};
  for (const Row& r : found)
    rows.push_back({r.port ? fmt::format("{}:{}", r.address, r.port) : r.address, r.status, r.ejected ? "FAILED" : "OK", r.cluster});
  std::fputs(tabulate(rows).c_str(), stdout);
}

int print_raw(const std::vector<Value>& list, const std::string& format) {
  Value array = Value::array();
  for (const Value& v : list) array.push(v);
  std::printf("%s\n", format == "yaml" ? base::to_yaml(array).c_str() : array.dump(4).c_str());
  return 0;
}

base::Result<Value> agent_request(const Cluster& cluster, const PodName& pod, const std::string& method, const std::string& path) {
  auto out = cluster.exec(pod.ns, pod.name, "istio-proxy", {"pilot-agent", "request", method, path});
  if (!out) return base::fail(out.error().code, "failed to execute command on {}.{} sidecar: {}", pod.name, pod.ns, out.error().text());
  if (method != "GET") return Value(*out);
  return base::parse_json(*out);
}

}  // namespace

int istioctl_proxy_config(int argc, char** argv) {
  constexpr Flag kFlags[] = {{"output", 'o', true}, {"file", 'f', true}, {"port", 0, true}, {"type", 0, true}, {"address", 0, true},
                             {"name", 0, true}, {"fqdn", 0, true}, {"subset", 0, true}, {"direction", 0, true}, {"cluster", 0, true},
                             {"status", 0, true}, {"verbose"}, {"waypoint"}, {"level", 0, true}, {"proxy-admin-port", 0, true}};
  auto args = Args::parse(argc, argv, kFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  const auto& words = args->positional();
  std::string what = words.empty() ? "" : words[0];
  static const std::map<std::string, std::string> kNames{
      {"listener", "l"}, {"listeners", "l"}, {"l", "l"}, {"route", "r"}, {"routes", "r"}, {"r", "r"}, {"cluster", "c"}, {"clusters", "c"}, {"c", "c"},
      {"endpoint", "e"}, {"endpoints", "e"}, {"ep", "e"}, {"all", "a"}, {"a", "a"}, {"bootstrap", "b"}, {"b", "b"}, {"log", "o"}, {"o", "o"}, {"secret", "s"}, {"secrets", "s"}, {"s", "s"}};
  auto known = kNames.find(what);
  if (known == kNames.end())
    return istioctl_error(fmt::format("unknown subcommand \"{}\": expected listeners, routes, clusters, endpoints, secret, all, bootstrap or log", what), kExitUsage);
  char kind = known->second[0];
  std::string format = args->value("output", "short");
  std::string file = args->value("file");
  if (words.size() < 2 && file.empty()) return istioctl_error(fmt::format("{} requires pod name or --file parameter", what), kExitUsage);

  Value dump, endpoints;
  if (!file.empty()) {
    auto text = base::read_file(file);
    if (!text) return istioctl_error(text.error().text());
    auto parsed = base::parse_json(*text);
    if (!parsed) return istioctl_error(fmt::format("{}: {}", file, parsed.error().text()));
    (kind == 'e' ? endpoints : dump) = std::move(*parsed);
  } else {
    auto cluster = Cluster::open(*args);
    if (!cluster) return istioctl_error(cluster.error().text());
    auto pod = find_pod(*cluster, words[1]);
    if (!pod) return istioctl_error(pod.error().text());
    if (kind == 'o') {
      std::string level = args->value("level");
      if (!level.empty() && level.find(':') != std::string::npos) level = base::replace_all(level, ":", "=");
      std::string query = level.empty() ? "" : level.find('=') == std::string::npos ? "?level=" + level : "?" + level;
      auto out = agent_request(*cluster, *pod, "POST", "logging" + query);
      if (!out) return istioctl_error(out.error().text());
      std::printf("%s.%s:\n%s", pod->name.c_str(), pod->ns.c_str(), out->as_string().c_str());
      return 0;
    }
    if (kind != 'e') {
      auto got = agent_request(*cluster, *pod, "GET", "config_dump");
      if (!got) return istioctl_error(got.error().text());
      dump = std::move(*got);
    }
    if (kind == 'e' || kind == 'a') {
      auto got = agent_request(*cluster, *pod, "GET", "clusters?format=json");
      if (!got) return istioctl_error(got.error().text());
      endpoints = std::move(*got);
    }
  }
  if (format == "json" || format == "yaml") {
    switch (kind) {
      case 'l': return print_raw(select_listeners(dump, *args), format);
      case 'r': return print_raw(select_routes(dump, *args), format);
      case 'c': return print_raw(select_clusters(dump, *args), format);
      case 'e': return print_raw(field(endpoints, "cluster_statuses").items(), format);
      default: std::printf("%s\n", format == "yaml" ? base::to_yaml(dump).c_str() : dump.dump(4).c_str()); return 0;
    }
  }
  switch (kind) {
    case 'l': print_listeners(dump, *args); break;
    case 'r': print_routes(dump, *args); break;
    case 'c': print_clusters(dump, *args); break;
    case 'e': print_endpoints(endpoints, *args); break;
    case 's': {
      Rows rows = secret_rows(dump);
      if (rows.empty()) {
        std::printf("No active or warming secrets found.\n");
        break;
      }
      rows.insert(rows.begin(), {"RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"});
      std::fputs(tabulate(rows).c_str(), stdout);
      break;
    }
    case 'b':
      for (const Value& c : dump["configs"].items())
        if (c["@type"].as_string().find("BootstrapConfigDump") != std::string::npos) std::printf("%s\n", c.dump(4).c_str());
      break;
    default:
      print_clusters(dump, *args);
      std::printf("\n");
      print_listeners(dump, *args);
      std::printf("\n");
      print_routes(dump, *args);
      std::printf("\n");
      print_endpoints(endpoints, *args);
  }
  return 0;
}

namespace {

// What istiod says a proxy is told beside what the proxy says it has, resource by resource.
int sync_diff(const Cluster& cluster, const std::string& istiod, const std::string& typed) {
  auto pod = find_pod(cluster, typed);
  if (!pod) return istioctl_error(pod.error().text());
  auto dump = agent_request(cluster, *pod, "GET", "config_dump");
  if (!dump) return istioctl_error("could not contact sidecar: " + dump.error().text());
  auto answer = cluster.exec(cluster.istio_ns(), istiod, "discovery", {"pilot-discovery", "request", "GET", fmt::format("/debug/config_dump?proxyID={}.{}", pod->name, pod->ns)});
  if (!answer) return istioctl_error(fmt::format("cannot ask {}: {}", istiod, answer.error().text()));
  auto told = base::parse_json(*answer);
  if (!told) return istioctl_error(fmt::format("{} answered what is not JSON: {}", istiod, told.error().message));

  auto compare = [&](const char* what, const char* type, const std::map<std::string, std::string>& has, const std::string& suffix) {
    std::string diff;
    for (const auto& m : std::as_const(*told)[type].members()) {
      auto it = has.find(m.key);
      if (it == has.end()) diff += fmt::format("-{} (istiod has it, the proxy does not)\n", m.key);
      else if (it->second != m.value.as_string()) diff += fmt::format("~{} (istiod: version {}, proxy: {})\n", m.key, m.value.as_string(), it->second);
    }
    for (auto& [name, version] : has)
      if (!std::as_const(*told)[type].find(name)) diff += fmt::format("+{} (the proxy has it, istiod does not)\n", name);
    if (diff.empty()) std::printf("%s Match%s\n", what, suffix.c_str());
    else std::printf("%s Don't Match%s\n%s", what, suffix.c_str(), diff.c_str());
  };
  std::map<std::string, std::string> clusters, listeners, routes;
  std::string loaded;
  for (const Value& config : std::as_const(*dump)["configs"].items()) {
    for (const Value& c : config["dynamic_active_clusters"].items()) clusters[c["cluster"]["name"].as_string()] = c["version_info"].as_string();
    for (const Value& l : config["dynamic_listeners"].items())
      if (l["active_state"].is_object()) listeners[l["name"].as_string()] = l["active_state"]["version_info"].as_string();
    for (const Value& r : config["dynamic_route_configs"].items()) {
      routes[r["route_config"]["name"].as_string()] = r["version_info"].as_string();
      loaded = std::max(loaded, r["last_updated"].as_string());
    }
  }
  compare("Clusters", "CDS", clusters, "");
  compare("Listeners", "LDS", listeners, "");
  std::string when;
  if (auto time = base::parse_rfc3339(loaded)) {
    std::time_t seconds = std::chrono::system_clock::to_time_t(*time);
    char text[64];
    if (std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S UTC", std::gmtime(&seconds)) > 0) when = fmt::format(" (RDS last loaded at {})", text);
  }
  compare("Routes", "RDS", routes, when);
  return 0;
}

}  // namespace

int istioctl_proxy_status(int argc, char** argv) {
  constexpr Flag kFlags[] = {{"output", 'o', true}, {"verbosity", 'v', true}, {"file", 0, true}, {"proxy-admin-port", 0, true}};
  auto args = Args::parse(argc, argv, kFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  auto cluster = Cluster::open(*args);
  if (!cluster) return istioctl_error(cluster.error().text());
  auto pods = cluster->list("pods", cluster->istio_ns(), "app=istiod");
  if (!pods) return istioctl_error(pods.error().text());
  Rows rows{{"NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION"}};
  std::vector<std::string> refusals;
  bool any = false;
  Value raw = Value::array();
  for (const Value& pod : *pods) {
    if (pod["status"]["phase"].as_string() != "Running") continue;
    any = true;
    const std::string& name = pod["metadata"]["name"].as_string();
    if (!args->positional().empty()) return sync_diff(*cluster, name, args->positional()[0]);
    auto out = cluster->exec(cluster->istio_ns(), name, "discovery", {"pilot-discovery", "request", "GET", "/debug/syncz"});
    if (!out) return istioctl_error(fmt::format("cannot ask {}: {}", name, out.error().text()));
    auto list = base::parse_json(*out);
    if (!list) return istioctl_error(fmt::format("{} answered what is not JSON: {}", name, list.error().message));
    for (const Value& p : list->items()) {
      const std::string& proxy = p["proxy"].as_string();
      if (args->has("namespace") && !proxy.ends_with("." + args->value("namespace"))) continue;
      raw.push(p);
      auto state = [&](const std::string& type) -> std::string {
        const std::string& sent = p[type + "_sent"].as_string();
        const std::string& acked = p[type + "_acked"].as_string();
        if (const std::string& nack = p[type + "_nack"].as_string(); !nack.empty()) {
          refusals.push_back(fmt::format("{} refused its {}: {}", proxy, type, nack));
          return "ERROR";
        }
        if (sent.empty()) return type == "extensionconfig" ? "IGNORED" : "NOT SENT";
        if (sent == acked) return "SYNCED";
        return acked.empty() ? "STALE (Never Acknowledged)" : "STALE";
      };
      rows.push_back({proxy, p["cluster_id"].string_or("Kubernetes"), state("cluster"), state("listener"), state("endpoint"), state("route"),
                      state("extensionconfig"), name, p["istio_version"].string_or(p["proxy_version"].as_string())});
    }
  }
  if (!any) return istioctl_error(fmt::format("no running Istio pods in \"{}\"", cluster->istio_ns()));
  std::string format = args->value("output", "table");
  if (format == "json" || format == "yaml") {
    std::printf("%s\n", format == "yaml" ? base::to_yaml(raw).c_str() : raw.dump(4).c_str());
    return 0;
  }
  std::sort(rows.begin() + 1, rows.end());
  std::fputs(tabulate(rows).c_str(), stdout);
  for (const std::string& r : refusals) std::fprintf(stderr, "%s\n", r.c_str());
  return 0;
}

}  // namespace fairlead::cli
