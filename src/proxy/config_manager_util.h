// What the config_manager*.cc files share. Not for others.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proxy/config/model.h"

namespace fairlead::proxy {

inline base::Error named(base::Error error, std::string_view kind, const std::string& name) {
  error.where = fmt::format("{} {}{}{}", kind, name, error.where.empty() ? "" : ": ", error.where);
  return error;
}

// What is used of a name's addresses, the preferred family first.
inline std::vector<io::Address> order_addresses(DnsLookup lookup, std::vector<io::Address> addresses) {
  auto v4 = [](const io::Address& a) { return a.family() == AF_INET; };
  if (lookup == DnsLookup::kAuto) std::ranges::stable_partition(addresses, std::not_fn(v4));
  else if (lookup == DnsLookup::kV4Preferred && std::ranges::any_of(addresses, v4)) std::erase_if(addresses, std::not_fn(v4));
  return addresses;
}
// How many of the ordered addresses are hosts. What stays is tried when these do not answer: a name such as localhost has both
// families, and servers often listen on one. (Envoy knows nothing of the others then.)
inline size_t count_hosts(DnsLookup lookup, const std::vector<io::Address>& addresses) {
  if (lookup != DnsLookup::kAuto || addresses.empty()) return addresses.size();
  return static_cast<size_t>(std::ranges::find_if(addresses, [&](const io::Address& a) { return a.family() != addresses[0].family(); }) - addresses.begin());
}

// The filter chains that take their routes by RDS.
template <class F>
void for_each_rds(const ListenerConfig& config, F f) {
  for (const FilterChain& c : config.chains)
    if (c.http && !c.http->rds_name.empty()) f(*c.http);
  if (config.default_chain && config.default_chain->http && !config.default_chain->http->rds_name.empty()) f(*config.default_chain->http);
}

}  // namespace fairlead::proxy
