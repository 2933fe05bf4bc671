// The kernel half of the node: its network, DNS, node ports, the way outside, and the pod runtime.
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "node/agent/agent_client.h"
#include "node/dns/server.h"
#include "node/network/command.h"
#include "node/network/load_balancers.h"
#include "node/network/node_ports.h"
#include "node/network/outside_relay.h"
#include "node/network/rtnetlink.h"
#include "node/node.h"
#include "node/rules/service_rules.h"
#include "node/sandbox/namespace_runtime.h"

namespace fairlead::node {
namespace {

constexpr uint32_t kTproxyMark = 1, kTproxyTable = 100;

base::Status set_up_addresses() {
  auto net = Rtnetlink::open();
  if (!net) return std::unexpected(net.error());
  for (auto& step : {net->link_up("lo"), net->add_address("lo", kNodeIp, 32), net->add_address("lo", kApiServiceIp, 32), net->add_address("lo", kDnsServiceIp, 32),
                     net->add_mark_rule(kTproxyMark, kTproxyTable), net->add_local_default(kTproxyTable), write_sysctl("net/ipv4/ip_forward", "1")})
    if (!step) return step;
  // Packets of TPROXY and of service addresses come and go by different links as the kernel sees it.
  (void)write_sysctl("net/ipv4/conf/all/rp_filter", "0");
  (void)write_sysctl("net/ipv4/conf/default/rp_filter", "0");
  // A pod that reaches its neighbour goes in and out by the gateway; telling it of a shorter way would be wrong.
  (void)write_sysctl("net/ipv4/conf/all/send_redirects", "0");
  (void)write_sysctl("net/ipv4/conf/default/send_redirects", "0");
  (void)write_sysctl("net/ipv4/ip_unprivileged_port_start", "0");
  return {};
}

// What pods send beyond the node's own ranges is delivered to the outside relay.
std::string outside_rules() {
  std::string text = "*mangle\n:PREROUTING ACCEPT [0:0]\n:FAIRLEAD-OUTSIDE - [0:0]\n-A PREROUTING -p tcp -j FAIRLEAD-OUTSIDE\n";
  for (const char* range : {"10.244.0.0/16", "10.96.0.0/16", "198.51.100.0/24", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "0.0.0.0/8"})
    text += fmt::format("-A FAIRLEAD-OUTSIDE -d {} -j RETURN\n", range);
  text += fmt::format("-A FAIRLEAD-OUTSIDE -p tcp -j TPROXY --on-ip 127.0.0.1 --on-port {} --tproxy-mark {}/{}\nCOMMIT\n", kOutsidePort, kTproxyMark,
                      kTproxyMark);
  return text;
}

base::Status add_outside_rules() {
  auto result = run_command_blocking({"iptables-restore"}, outside_rules());
  if (result.exit_code == 127) return base::fail(base::Code::kFailedPrecondition, "iptables-restore is not installed: apt-get install iptables");
  if (result.exit_code != 0)
    FL_LOG_WARN("network", "pods cannot reach the outside: no TPROXY rules in this kernel ({}); try: modprobe xt_TPROXY", base::trim(result.output));
  return {};
}

// Lives among the sinks so that it ends before the runtime and the agent's link, which it uses.
class Outside final : public ServiceSink {
 public:
  Outside(io::Loop& loop, AgentClient& agent) : relay(loop, agent) {}
  void apply(std::shared_ptr<const ServiceTable>) override {}
  OutsideRelay relay;
  std::unique_ptr<OutsideWorld> world;
};

}  // namespace

base::Result<NodeParts> make_node_parts(io::Loop& loop, NodeConfig& config) {
  if (auto ok = set_up_addresses(); !ok) return std::unexpected(ok.error());
  if (auto ok = add_outside_rules(); !ok) return std::unexpected(ok.error());
  auto rules = ServiceRules::start(loop);
  if (!rules) return std::unexpected(rules.error());

  NodeParts parts;
  auto agent = std::make_unique<AgentClient>(loop, std::move(config.agent), [] {
    // Without the agent there is no way in or out any more, and `fairlead up` takes the mesh for ended.
    FL_LOG_ERROR("node", "the host agent is gone; ending");
    ::_exit(1);
  });
  parts.runtime = make_namespace_runtime(loop, {config.executable, config.data_dir});

  auto outside = std::make_unique<Outside>(loop, *agent);
  if (auto ok = outside->relay.open(); !ok) FL_LOG_WARN("network", "pods cannot reach the outside: {}", ok.error().text());
  std::map<std::string, std::string> names;
  outside->world = start_outside_world(loop, *parts.runtime, config.data_dir, config.outside, names);

  // On the node's own address as well: that is the endpoint of the Service kube-dns.
  for (const char* ip : {kDnsServiceIp, kNodeIp}) {
    auto dns = DnsServer::open(loop, *io::Address::parse_ip(ip, 53), names, make_dns_forwarder(loop, *agent));
    if (!dns) return std::unexpected(dns.error());
    parts.service_sinks.push_back(std::move(*dns));
  }
  parts.service_sinks.push_back(std::make_unique<NodePorts>(loop, *agent));
  auto balancers = std::make_unique<LoadBalancers>(loop, *agent);
  parts.balancers = balancers.get();
  parts.service_sinks.push_back(std::move(balancers));
  parts.service_sinks.push_back(std::move(*rules));
  parts.service_sinks.push_back(std::move(outside));
  parts.host = std::move(agent);
  return parts;
}

}  // namespace fairlead::node
