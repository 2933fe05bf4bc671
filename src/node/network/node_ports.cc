#include "node/network/node_ports.h"

#include "base/log.h"

namespace fairlead::node {

struct NodePorts::Port {
  std::string service;
  std::vector<io::Address> endpoints;   // ready ones
  size_t next = 0;
  std::unique_ptr<io::Acceptor> acceptor;
  bool opening = false;
  std::string problem;
};

NodePorts::NodePorts(io::Loop& loop, HostSockets& host) : loop_(loop), host_(host), dialer_(loop) {}
NodePorts::~NodePorts() { *alive_ = false; }

std::string NodePorts::problem(uint16_t port) const {
  auto it = ports_.find(port);
  return it == ports_.end() ? "" : it->second->problem;
}

void NodePorts::apply(std::shared_ptr<const ServiceTable> table) {
  std::map<uint16_t, std::unique_ptr<Port>> old = std::move(ports_);
  ports_.clear();
  for (auto& service : table->services) {
    for (auto& p : service.ports) {
      if (p.node_port == 0 || p.protocol != "TCP" || ports_.contains(p.node_port)) continue;
      auto it = old.find(p.node_port);
      auto port = it != old.end() ? std::move(it->second) : std::make_unique<Port>();
      port->service = service.ns + "/" + service.name;
      port->endpoints = ready_endpoints(service, p);
      ports_[p.node_port] = std::move(port);
    }
  }
  for (auto& [number, port] : ports_)
    if (!port->acceptor) open(number);
}

void NodePorts::open(uint16_t number) {
  Port& port = *ports_[number];
  if (port.opening) return;
  port.opening = true;
  auto at = io::Address::parse_ip(kHostIp, number);
  host_.listen_tcp(*at, [this, alive = alive_, number](base::Result<io::Fd> fd) {
    if (!*alive) return;
    auto it = ports_.find(number);
    if (it == ports_.end()) return;
    Port& p = *it->second;
    p.opening = false;
    if (fd) {
      p.problem.clear();
      p.acceptor = std::make_unique<io::Acceptor>(loop_, std::move(*fd), [this, number](io::Fd c, const io::Address&) {
        Port& at = *ports_[number];
        dialer_.dial(std::move(c), at.endpoints, at.next);
      });
      return;
    }
    // Somebody else has the port: said once, tried again until it is free.
    if (p.problem.empty()) FL_LOG_WARN("nodeport", "{}: cannot listen on 127.0.0.1:{}: {}", p.service, number, fd.error().text());
    p.problem = fd.error().text();
    loop_.after(std::chrono::seconds(2), [this, alive, number] {
      if (*alive && ports_.contains(number) && !ports_[number]->acceptor) open(number);
    });
  });
}

}  // namespace fairlead::node
