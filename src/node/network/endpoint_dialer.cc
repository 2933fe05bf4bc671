#include "node/network/endpoint_dialer.h"

namespace fairlead::node {

// One connection from the host looking for an endpoint that takes it.
struct EndpointDialer::Attempt {
  std::unique_ptr<io::Transport> downstream;
  std::vector<io::Address> candidates;
  size_t tried = 0;
  std::unique_ptr<io::Connecting> connecting;
};

void EndpointDialer::dial(io::Fd connection, const std::vector<io::Address>& endpoints, size_t& next) {
  auto a = std::make_shared<Attempt>();
  a->downstream = io::make_socket_transport(loop_, std::move(connection));
  for (size_t i = 0; i < endpoints.size(); ++i) a->candidates.push_back(endpoints[(next + i) % endpoints.size()]);
  if (!endpoints.empty()) next = (next + 1) % endpoints.size();
  attempt(std::move(a));
}

void EndpointDialer::attempt(std::shared_ptr<Attempt> a) {
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

std::vector<io::Address> ready_endpoints(const ServiceEntry& service, const ServicePort& port) {
  std::vector<io::Address> out;
  for (auto& e : port.endpoints)
    if (e.ready || service.publish_not_ready)
      if (auto a = io::Address::parse_ip(e.ip, e.port)) out.push_back(*a);
  return out;
}

}  // namespace fairlead::node
