// The pages (files of web/, built into the binary) and the API's document.
#include <algorithm>

#include "base/strings.h"
#include "console/console.h"
#include "console/web_assets.h"

namespace fairlead {
const char* embedded_console(std::string_view name);
}

namespace fairlead::console {

void Console::add_document_route() {
  router_.add("GET", "/api/openapi.json", Access::Open, [](const RequestPtr& r) {
    static const std::vector<base::Value> document = *base::parse_yaml(embedded_console("openapi.yaml"), "openapi.yaml");
    r->answer(document[0]);
  });
}

void Console::page(const RequestPtr& r) {
  const http::RequestHead& head = r->exchange->request();
  const std::string_view path = head.path();
  if (head.method != "GET" && head.method != "HEAD") return r->refuse(404, "not_found", r->say("there is nothing to do at this path", "该路径不存在"));
  if (path.starts_with("/api/")) return r->refuse(404, "not_found", r->say("the API has no such path; /api/openapi.json has all", "没有该接口；/api/openapi.json 列出全部接口"));
  const auto assets = web_assets();
  const auto named = [&](std::string_view name) { return std::ranges::find(assets, name, &WebAsset::path); };
  auto asset = named(path);
  // A page's own address: the front end finds the page.
  const bool file = asset != assets.end();
  if (!file) asset = path.find('.', path.rfind('/')) == std::string_view::npos || path == "/" ? named("/index.html") : assets.end();
  if (asset == assets.end()) return r->exchange->respond(404, "text/plain; charset=utf-8", "There is no such file.\n");

  http::Headers headers;
  headers.set("content-type", asset->content_type);
  headers.set("etag", asset->etag);
  // Vite puts a hash into the names under /assets/.
  headers.set("cache-control", file && path.starts_with("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
  headers.set("content-security-policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'");
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "same-origin");
  if (head.headers.get("if-none-match") == asset->etag) return r->exchange->respond(304, std::move(headers), "");
  if (head.headers.get("accept-encoding").find("gzip") == std::string_view::npos)
    return r->exchange->respond(406, "text/plain; charset=utf-8", "The pages are there with gzip only: send Accept-Encoding: gzip.\n");
  headers.set("content-encoding", "gzip");
  headers.set("vary", "accept-encoding");
  r->exchange->respond(200, std::move(headers), asset->gzip);
}

}  // namespace fairlead::console
