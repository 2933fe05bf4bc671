// The way outside: connections of pods to addresses that are not the node's are taken by TPROXY and continued by a
// socket of the host. Also the DNS questions that the node does not answer itself.
//
// Loop thread only. Owner: the node.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "node/agent/agent_client.h"
#include "node/dns/server.h"
#include "node/network/relay.h"

namespace fairlead::node {

inline constexpr uint16_t kOutsidePort = 15999;  // on 127.0.0.1 in the node's namespace

class OutsideRelay {
 public:
  OutsideRelay(io::Loop& loop, AgentClient& agent) : loop_(loop), agent_(agent), relays_(loop) {}
  ~OutsideRelay() { *alive_ = false; }
  base::Status open();  // the listener; needs CAP_NET_ADMIN

 private:
  void accepted(io::Fd connection);
  io::Loop& loop_;
  AgentClient& agent_;
  RelaySet relays_;
  std::unique_ptr<io::Acceptor> acceptor_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Sends questions to the host's resolvers through sockets of the host; TCP when an answer was cut.
DnsForwarder make_dns_forwarder(io::Loop& loop, AgentClient& agent);

}  // namespace fairlead::node
