// What the config_manager*.cc files share. Not for others.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "proxy/config/model.h"

namespace fairlead::proxy {

inline base::Error named(base::Error error, std::string_view kind, const std::string& name) {
  error.where = fmt::format("{} {}{}{}", kind, name, error.where.empty() ? "" : ": ", error.where);
  return error;
}

// The filter chains that take their routes by RDS.
template <class F>
void for_each_rds(const ListenerConfig& config, F f) {
  for (const FilterChain& c : config.chains)
    if (c.http && !c.http->rds_name.empty()) f(*c.http);
  if (config.default_chain && config.default_chain->http && !config.default_chain->http->rds_name.empty()) f(*config.default_chain->http);
}

}  // namespace fairlead::proxy
