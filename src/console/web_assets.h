// The console's pages as they were built from web/ (cmake/Web.cmake): constant data of the binary, for any thread.
#pragma once

#include <span>
#include <string_view>

namespace fairlead {

struct WebAsset {
  std::string_view path;          // "/index.html", "/assets/index-1a2b3c4d.js"; files under /assets/ have their hash in the name
  std::string_view content_type;
  std::string_view gzip;          // the file, gzipped
  std::string_view etag;          // with its quotes; of the file before it was gzipped
};

// Sorted by path. Empty if the binary was built with FAIRLEAD_WEB=OFF. Paths of pages ("/apps/x/rules/flow") are not among them: any path
// outside /api and the files here is answered with /index.html, which reads the rest of the address itself.
std::span<const WebAsset> web_assets();

}  // namespace fairlead
