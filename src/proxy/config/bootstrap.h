// Bootstrap files in Envoy's format. Main thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace fairlead::proxy {

// YAML or JSON. An error's message lists every problem with file, line, column and field path. `overlay`
// (--config-yaml) is merged on top as Envoy does: fields by name, lists are appended to.
base::Result<std::shared_ptr<envoy::config::bootstrap::v3::Bootstrap>> load_bootstrap(std::string_view text, std::string_view name, std::string_view overlay = {});
// An error that compiling a bootstrap gave (`where` is its field path), with the line of `text` it is about.
std::string explain(const base::Error& error, std::string_view text, std::string_view name);
struct ReverseFlow {                     // flow control of a reverse proxy
  std::string app;                       // empty: none
  std::vector<std::string> paths;        // templates that requests are called by; else the first segment of their path
};
// The bootstrap of a plain reverse proxy: one listener, one cluster. targets: "host:port,host:port".
base::Result<std::string> reverse_proxy_bootstrap(std::string_view listen, std::string_view targets, std::string_view certificate_file,
                                                  std::string_view key_file, const ReverseFlow& flow = {});

}  // namespace fairlead::proxy
