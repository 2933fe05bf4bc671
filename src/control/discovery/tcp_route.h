// TCP and TLS routes of VirtualServices as filter chains. Internal; include only in sources.
// Source: Istio's pilot/pkg/networking/core/tls.go, networkfilter.go.
#pragma once

#include <string>
#include <vector>

#include "control/discovery/context.h"

namespace fairlead::control {

// One filter chain: what it matches and where it goes.
struct TcpChain {
  std::vector<std::string> server_names;
  std::vector<std::string> cidrs;  // "10.0.0.0/8"; addresses get /32
  std::vector<std::pair<std::string, uint32_t>> clusters;
  std::string stat_prefix;
};

// For a gateway server or an outbound listener: the chains of the TLS routes of `config` on `port`, for `gateway`
// ("mesh" or "ns/name"). hosts: only SNI that these cover ("*": all).
std::vector<TcpChain> tls_chains(const Context& context, const Config& config, int port, const std::string& gateway,
                                 const std::vector<std::string>& hosts);
// The first TCP route whose match fits.
std::vector<TcpChain> tcp_chains(const Context& context, const Config& config, int port, const std::string& gateway);

}  // namespace fairlead::control
