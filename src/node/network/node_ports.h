// NodePorts: each service port with a nodePort listens on 127.0.0.1:nodePort of the host (a socket from the host
// agent) and connects what comes to a ready endpoint, in turn. No rule on the host, kernel TCP on both sides.
//
// Loop thread only. Owner: the node, as a ServiceSink.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/agent/agent_client.h"
#include "node/network/endpoint_dialer.h"
#include "node/node.h"

namespace fairlead::node {

class NodePorts final : public ServiceSink {
 public:
  NodePorts(io::Loop& loop, HostSockets& host);
  ~NodePorts() override;
  void apply(std::shared_ptr<const ServiceTable> table) override;
  // Of one port, "" when it listens.
  std::string problem(uint16_t port) const;

 private:
  struct Port;
  void open(uint16_t number);

  io::Loop& loop_;
  HostSockets& host_;
  EndpointDialer dialer_;
  std::map<uint16_t, std::unique_ptr<Port>> ports_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::node
