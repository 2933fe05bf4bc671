// LoadBalancers: a Service of type LoadBalancer listens with all its ports on an address of the host's loopback and
// connects what comes to a ready endpoint, in turn.
//
// The address is the one that the Service had or asks for (127.0.0.0/8 only), else 127.0.0.1, else the first of
// 127.0.2.1 ... where all its ports are free: what a cloud's balancer is to a cluster, this is to one machine, and nothing on
// the host changes. Ports below 1024 are root's; without it such a Service has no address (`<pending>`) and is reached by
// its node ports. Loop thread only. Owner: the node, as a ServiceSink.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/network/endpoint_dialer.h"
#include "node/node.h"

namespace fairlead::node {

class LoadBalancers final : public ServiceSink, public BalancerAddresses {
 public:
  static constexpr int kMoreAddresses = 32;  // of 127.0.2.0/24, after 127.0.0.1
  static constexpr std::chrono::seconds kRetry{10};

  LoadBalancers(io::Loop& loop, HostSockets& host);
  ~LoadBalancers() override;
  void apply(std::shared_ptr<const ServiceTable> table) override;
  const std::string& address_of(const std::string& ns, const std::string& name) const override;
  const std::string& problem_of(const std::string& ns, const std::string& name) const override;
  void on_change(std::function<void(const std::string& ns, const std::string& name)> changed) override { changed_ = std::move(changed); }

 private:
  struct Port;
  struct Balancer;
  using Key = std::pair<std::string, std::string>;
  void begin(Balancer& b);
  void next_address(Balancer& b);
  void answered(const Key& key, uint64_t round, uint16_t port, base::Result<io::Fd> fd);
  void settle(Balancer& b);
  void tell(const Balancer& b);

  io::Loop& loop_;
  HostSockets& host_;
  EndpointDialer dialer_;
  std::map<Key, std::unique_ptr<Balancer>> balancers_;
  std::function<void(const std::string&, const std::string&)> changed_;
  uint64_t rounds_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::node
