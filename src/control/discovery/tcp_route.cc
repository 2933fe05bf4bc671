#include "control/discovery/tcp_route.h"

#include <algorithm>

namespace fairlead::control {
namespace {

bool fits(const Context& context, const base::Value& match, int port, const std::string& gateway) {
  if (match["port"].as_int() != 0 && match["port"].as_int() != port) return false;
  if (const auto& gateways = match["gateways"]; !gateways.empty()) {
    return std::any_of(gateways.items().begin(), gateways.items().end(),
                       [&](const base::Value& g) { return g.as_string() == gateway; });
  }
  if (!subset_of(labels_of(match["sourceLabels"]), context.labels())) return false;
  const std::string& ns = match["sourceNamespace"].as_string();
  return ns.empty() || ns == context.proxy().ns;
}

TcpChain chain_to(const Context& context, const Config& config, const base::Value& route, int port) {
  TcpChain chain;
  for (const auto& destination : route["route"].items()) {
    std::string name = destination_cluster(context, destination["destination"], port);
    chain.clusters.emplace_back(name, static_cast<uint32_t>(destination["weight"].as_int()));
  }
  if (chain.clusters.size() > 1) std::erase_if(chain.clusters, [](const auto& c) { return c.second == 0; });
  if (chain.clusters.empty()) chain.clusters.emplace_back("BlackHoleCluster", 1);
  chain.stat_prefix = chain.clusters.size() == 1 ? chain.clusters.front().first : config.name + "." + config.ns;
  return chain;
}

std::vector<std::string> strings(const base::Value& list) {
  std::vector<std::string> out;
  for (const auto& item : list.items()) out.push_back(item.as_string());
  return out;
}

}  // namespace

std::vector<TcpChain> tls_chains(const Context& context, const Config& config, int port, const std::string& gateway,
                                 const std::vector<std::string>& hosts) {
  std::vector<TcpChain> out;
  for (const auto& route : config.spec["tls"].items()) {
    for (const auto& match : route["match"].items()) {
      if (!fits(context, match, port, gateway)) continue;
      TcpChain chain = chain_to(context, config, route, port);
      for (auto& name : strings(match["sniHosts"]))
        if (std::any_of(hosts.begin(), hosts.end(), [&](const std::string& h) { return hosts_overlap(h, name); }))
          chain.server_names.push_back(std::move(name));
      if (chain.server_names.empty()) continue;
      chain.cidrs = strings(match["destinationSubnets"]);
      out.push_back(std::move(chain));
    }
  }
  return out;
}

std::vector<TcpChain> tcp_chains(const Context& context, const Config& config, int port, const std::string& gateway) {
  std::vector<TcpChain> out;
  for (const auto& route : config.spec["tcp"].items()) {
    if (route["match"].empty()) {
      out.push_back(chain_to(context, config, route, port));
      return out;
    }
    for (const auto& match : route["match"].items()) {
      if (!fits(context, match, port, gateway)) continue;
      TcpChain chain = chain_to(context, config, route, port);
      chain.cidrs = strings(match["destinationSubnets"]);
      bool everything = chain.cidrs.empty();
      out.push_back(std::move(chain));
      if (everything) return out;
    }
  }
  return out;
}

}  // namespace fairlead::control
