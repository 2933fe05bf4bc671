// Which filter chain takes a connection (Envoy's order; no backtracking).
#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "proxy/config/model.h"

namespace fairlead::proxy {

bool Cidr::contains(const io::Address& address) const {
  if (address.family() != network.family()) return false;
  const unsigned char *a, *b;
  if (address.family() == AF_INET) {
    a = reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr);
    b = reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(network.get())->sin_addr);
  } else if (address.family() == AF_INET6) {
    a = reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr);
    b = reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in6*>(network.get())->sin6_addr);
  } else {
    return false;
  }
  size_t whole = bits / 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  unsigned rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool PortPredicate::matches(uint16_t port) const {
  auto one = [port](const PortPredicate& p) { return p.matches(port); };
  switch (kind) {
    case Kind::kNever:
      return false;
    case Kind::kAny:
      return true;
    case Kind::kPortRange:
      return port >= from && port < to;
    case Kind::kNot:
      return !one(parts[0]);
    case Kind::kOr:
      return std::ranges::any_of(parts, one);
    case Kind::kAnd:
      return std::ranges::all_of(parts, one);
  }
  return false;
}

namespace {

// How well a chain fits at one step: below 0 not at all, 0 by not caring, more is better.
using Score = int (*)(const FilterChainMatch&, const ConnectionFacts&);

int by_cidr(const std::vector<Cidr>& ranges, const io::Address& address) {
  if (ranges.empty()) return 0;
  int best = -1;
  for (const Cidr& c : ranges)
    if (c.contains(address)) best = std::max(best, static_cast<int>(c.bits) + 1);
  return best;
}

int by_port(const FilterChainMatch& m, const ConnectionFacts& f) {
  return !m.destination_port ? 0 : *m.destination_port == f.destination.port() ? 1 : -1;
}
int by_destination(const FilterChainMatch& m, const ConnectionFacts& f) { return by_cidr(m.prefix_ranges, f.destination); }
int by_server_name(const FilterChainMatch& m, const ConnectionFacts& f) {
  if (m.server_names.empty()) return 0;
  int best = -1;
  for (const std::string& name : m.server_names) {
    if (name == f.server_name) best = std::max(best, 1 << 20);
    else if (name == "*") best = std::max(best, 0);
    else if (name.starts_with("*.") && f.server_name.size() > name.size() - 1 && f.server_name.ends_with(std::string_view(name).substr(1)))
      best = std::max(best, static_cast<int>(name.size()));
  }
  return best;
}
int by_transport(const FilterChainMatch& m, const ConnectionFacts& f) {
  return m.transport_protocol.empty() ? 0 : m.transport_protocol == f.transport_protocol ? 1 : -1;
}
int by_application(const FilterChainMatch& m, const ConnectionFacts& f) {
  if (m.application_protocols.empty()) return 0;
  // The client's first offer that a chain names wins.
  for (size_t i = 0; i < f.application_protocols.size(); ++i)
    if (std::ranges::find(m.application_protocols, f.application_protocols[i]) != m.application_protocols.end()) return 1000 - static_cast<int>(i);
  return -1;
}
int by_direct_source(const FilterChainMatch& m, const ConnectionFacts& f) { return by_cidr(m.direct_source_ranges, f.source); }
int by_source_type(const FilterChainMatch& m, const ConnectionFacts& f) {
  if (m.source == FilterChainMatch::Source::kAny) return 0;
  bool local = f.source.is_loopback() || f.source.ip() == f.destination.ip();
  return local == (m.source == FilterChainMatch::Source::kLocal) ? 1 : -1;
}
int by_source(const FilterChainMatch& m, const ConnectionFacts& f) { return by_cidr(m.source_ranges, f.source); }
int by_source_port(const FilterChainMatch& m, const ConnectionFacts& f) {
  if (m.source_ports.empty()) return 0;
  return std::ranges::find(m.source_ports, f.source.port()) != m.source_ports.end() ? 1 : -1;
}

constexpr Score kSteps[] = {by_port,          by_destination, by_server_name, by_transport,  by_application,
                            by_direct_source, by_source_type, by_source,      by_source_port};

}  // namespace

const FilterChain* find_chain(const ListenerConfig& listener, const ConnectionFacts& facts) {
  const FilterChain* fallback = listener.default_chain ? &*listener.default_chain : nullptr;
  if (listener.chains.size() == 1) {
    const FilterChain& only = listener.chains.front();
    bool fits = std::ranges::all_of(kSteps, [&](Score step) { return step(only.match, facts) >= 0; });
    return fits ? &only : fallback;
  }
  std::vector<const FilterChain*> left;
  left.reserve(listener.chains.size());
  for (const FilterChain& c : listener.chains) left.push_back(&c);
  for (Score step : kSteps) {
    int best = -1;
    for (const FilterChain* c : left) best = std::max(best, step(c->match, facts));
    if (best < 0) return fallback;
    std::erase_if(left, [&](const FilterChain* c) { return step(c->match, facts) != best; });
  }
  return left.empty() ? fallback : left.front();
}

}  // namespace fairlead::proxy
