// One header to add, for routes and filters alike. Helper of the compile_*.cc files and of filters/.
#pragma once

#include "proxy/config/compile_util.h"

namespace fairlead::proxy {

HeaderMutation::Add compile_header_option(const CompileContext& at, const envoy::config::core::v3::HeaderValueOption& option);

}  // namespace fairlead::proxy
