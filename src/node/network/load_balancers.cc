#include "node/network/load_balancers.h"

#include <algorithm>

#include "base/log.h"

namespace fairlead::node {

struct LoadBalancers::Port {
  std::vector<io::Address> endpoints;
  size_t next = 0;
  std::unique_ptr<io::Acceptor> acceptor;  // on Balancer::trying, or on its address
};

struct LoadBalancers::Balancer {
  Key key;
  std::map<uint16_t, Port> ports;
  std::vector<std::string> wanted;   // addresses that it had or asks for
  std::string address;               // where all ports listen; "" while they do not
  std::string problem;
  std::vector<std::string> to_try;   // the last is next
  std::string trying;
  uint64_t round = 0;                // answers of earlier ones are of no use any more; 0: nothing is under way
  size_t open_questions = 0;
  std::string refused;               // the first failure of this address
};

LoadBalancers::LoadBalancers(io::Loop& loop, HostSockets& host) : loop_(loop), host_(host), dialer_(loop) {}
LoadBalancers::~LoadBalancers() { *alive_ = false; }

const std::string& LoadBalancers::address_of(const std::string& ns, const std::string& name) const {
  static const std::string none;
  auto it = balancers_.find({ns, name});
  return it == balancers_.end() ? none : it->second->address;
}

const std::string& LoadBalancers::problem_of(const std::string& ns, const std::string& name) const {
  static const std::string none;
  auto it = balancers_.find({ns, name});
  return it == balancers_.end() ? none : it->second->problem;
}

void LoadBalancers::apply(std::shared_ptr<const ServiceTable> table) {
  auto old = std::move(balancers_);
  balancers_.clear();
  std::vector<Balancer*> changed;
  for (auto& service : table->services) {
    if (service.type != "LoadBalancer") continue;
    Key key{service.ns, service.name};
    auto it = old.find(key);
    auto b = it != old.end() ? std::move(it->second) : std::make_unique<Balancer>();
    b->key = key;
    b->wanted = service.balancer_ips;
    bool more = it == old.end();
    std::map<uint16_t, Port> ports;
    for (auto& p : service.ports) {
      if (p.protocol != "TCP" || ports.contains(p.port)) continue;
      auto had = b->ports.find(p.port);
      if (had == b->ports.end()) more = true;
      Port& port = ports[p.port];
      if (had != b->ports.end()) port = std::move(had->second);
      port.endpoints = ready_endpoints(service, p);
    }
    b->ports = std::move(ports);
    if (more) changed.push_back(b.get());
    balancers_[key] = std::move(b);
  }
  old.clear();  // what they held is free for the others
  for (auto* b : changed) begin(*b);
}

void LoadBalancers::begin(Balancer& b) {
  std::vector<std::string> order;
  auto add = [&](const std::string& ip) {
    if (ip.starts_with("127.") && std::ranges::find(order, ip) == order.end()) order.push_back(ip);
  };
  add(b.address);
  for (auto& ip : b.wanted) add(ip);
  add(kHostIp);
  for (int i = 1; i <= kMoreAddresses; ++i) add(fmt::format("127.0.2.{}", i));
  std::ranges::reverse(order);
  b.to_try = std::move(order);
  next_address(b);
}

void LoadBalancers::next_address(Balancer& b) {
  std::string ip = b.to_try.back();
  b.to_try.pop_back();
  if (ip != b.trying)
    for (auto& [number, port] : b.ports) port.acceptor.reset();
  b.trying = ip;
  b.round = ++rounds_;
  b.refused.clear();
  std::vector<uint16_t> missing;
  for (auto& [number, port] : b.ports)
    if (!port.acceptor) missing.push_back(number);
  b.open_questions = missing.size();
  if (missing.empty()) return settle(b);
  for (uint16_t number : missing)
    host_.listen_tcp(*io::Address::parse_ip(ip, number), [this, alive = alive_, key = b.key, round = b.round, number](base::Result<io::Fd> fd) {
      if (*alive) answered(key, round, number, std::move(fd));
    });
}

void LoadBalancers::answered(const Key& key, uint64_t round, uint16_t number, base::Result<io::Fd> fd) {
  auto it = balancers_.find(key);
  if (it == balancers_.end() || it->second->round != round) return;
  Balancer& b = *it->second;
  --b.open_questions;
  if (!fd) {
    if (b.refused.empty()) b.refused = fd.error().message;
  } else if (auto port = b.ports.find(number); port != b.ports.end()) {
    port->second.acceptor = std::make_unique<io::Acceptor>(loop_, std::move(*fd), [this, key, number](io::Fd connection, const io::Address&) {
      Port& p = balancers_.at(key)->ports.at(number);
      dialer_.dial(std::move(connection), p.endpoints, p.next);
    });
  }
  if (b.open_questions == 0) settle(b);
}

void LoadBalancers::settle(Balancer& b) {
  b.round = 0;
  std::string address = b.address, problem = b.problem;
  if (b.refused.empty()) {
    b.address = b.trying;
    b.problem.clear();
  } else {
    for (auto& [number, port] : b.ports) port.acceptor.reset();
    bool not_ours = b.refused.find("ermission denied") != std::string::npos;
    if (!not_ours && !b.to_try.empty()) return next_address(b);
    b.address.clear();
    b.problem = not_ours ? "its ports below 1024 can be opened by root only; it is reached by its node ports on 127.0.0.1"
                         : fmt::format("no address of 127.0.0.0/8 has all its ports free ({}); it is reached by its node ports on 127.0.0.1", b.refused);
    if (!not_ours)
      loop_.after(kRetry, [this, alive = alive_, key = b.key] {
        if (!*alive) return;
        if (auto it = balancers_.find(key); it != balancers_.end() && it->second->address.empty() && it->second->round == 0) begin(*it->second);
      });
  }
  if (address != b.address || problem != b.problem) tell(b);
}

void LoadBalancers::tell(const Balancer& b) {
  FL_LOG_INFO("balancer", "{}/{}: {}", b.key.first, b.key.second, b.problem.empty() ? "listens on " + b.address : b.problem);
  if (changed_) changed_(b.key.first, b.key.second);
}

}  // namespace fairlead::node
