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

// One connection from the host looking for an endpoint that takes it.
struct NodePorts::Attempt {
  std::unique_ptr<io::Transport> downstream;
  std::vector<io::Address> candidates;
  size_t tried = 0;
  std::unique_ptr<io::Connecting> connecting;
};

NodePorts::NodePorts(io::Loop& loop, HostSockets& host) : loop_(loop), host_(host), relays_(loop) {}
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
      port->endpoints.clear();
      for (auto& e : p.endpoints)
        if (e.ready || service.publish_not_ready)
          if (auto a = io::Address::parse_ip(e.ip, e.port)) port->endpoints.push_back(*a);
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
      p.acceptor = std::make_unique<io::Acceptor>(loop_, std::move(*fd), [this, number](io::Fd c, const io::Address&) { accepted(number, std::move(c)); });
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

void NodePorts::accepted(uint16_t number, io::Fd connection) {
  Port& port = *ports_[number];
  auto a = std::make_shared<Attempt>();
  a->downstream = io::make_socket_transport(loop_, std::move(connection));
  for (size_t i = 0; i < port.endpoints.size(); ++i) a->candidates.push_back(port.endpoints[(port.next + i) % port.endpoints.size()]);
  if (!port.endpoints.empty()) port.next = (port.next + 1) % port.endpoints.size();
  attempt(std::move(a));
}

void NodePorts::attempt(std::shared_ptr<Attempt> a) {
  if (a->tried == a->candidates.size()) {
    a->downstream->close(true);
    return;
  }
  const io::Address to = a->candidates[a->tried++];
  a->connecting = io::connect(loop_, to, {.timeout = std::chrono::seconds(3)}, [this, alive = alive_, a](base::Result<std::unique_ptr<io::Transport>> up) {
    if (!*alive) return;
    loop_.dispose(std::move(a->connecting));
    if (up) relays_.add(std::move(a->downstream), std::move(*up));
    else attempt(a);
  });
}

}  // namespace fairlead::node
