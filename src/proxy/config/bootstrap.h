// Bootstrap files in Envoy's format. Main thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace fairlead::proxy {

// YAML or JSON. Errors name file, line and column, or the field path. `overlay` (--config-yaml) is merged on top:
// objects by member, lists are appended to.
base::Result<std::shared_ptr<envoy::config::bootstrap::v3::Bootstrap>> load_bootstrap(std::string_view text, std::string_view name, std::string_view overlay = {});
// The bootstrap of a plain reverse proxy: one listener, one cluster. targets: "host:port,host:port".
base::Result<std::string> reverse_proxy_bootstrap(std::string_view listen, std::string_view targets, std::string_view certificate_file,
                                                  std::string_view key_file);

}  // namespace fairlead::proxy
