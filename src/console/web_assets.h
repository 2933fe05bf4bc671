// The pages of web/, compressed, as they lie in the binary. Any thread; constants.
#pragma once

#include <span>
#include <string_view>

namespace fairlead {

struct WebAsset {
  std::string_view path, content_type, gzip, etag;
};

std::span<const WebAsset> web_assets();

}  // namespace fairlead
