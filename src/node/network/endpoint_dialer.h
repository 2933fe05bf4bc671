// EndpointDialer: connects what comes from the host to one of a service's ready endpoints, each in turn; one that does not
// take it gives way to the next. Shared by node ports and load balancers. Loop thread only.
#pragma once

#include <memory>
#include <vector>

#include "io/transport.h"
#include "node/network/relay.h"
#include "node/service_table.h"

namespace fairlead::node {

class EndpointDialer {
 public:
  explicit EndpointDialer(io::Loop& loop) : loop_(loop), relays_(loop) {}
  ~EndpointDialer() { *alive_ = false; }
  // `next` is the caller's place in the round.
  void dial(io::Fd connection, const std::vector<io::Address>& endpoints, size_t& next);

 private:
  struct Attempt;
  void attempt(std::shared_ptr<Attempt> a);

  io::Loop& loop_;
  RelaySet relays_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Where connections to a port of a service may go now.
std::vector<io::Address> ready_endpoints(const ServiceEntry& service, const ServicePort& port);

}  // namespace fairlead::node
