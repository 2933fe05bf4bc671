// What was asked for: statuses, redirects, log-ins, documents.
#include <algorithm>

#include "base/strings.h"
#include "sample/httpbin.h"

namespace fairlead::sample {

namespace {

constexpr std::string_view kTeapot = R"(
    -=[ teapot ]=-

       _...._
     .'  _ _ `.
    | ."` ^ `". _,
    \_;`"---"`|//
      |       ;/
      \_     _/
        `"""`
)";

constexpr std::string_view kIndex = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>httpbin.org</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#22282f}
code{background:#f1efe9;padding:.1rem .35rem;border-radius:4px}li{margin:.25rem 0}</style>
</head>
<body>
<h1>httpbin</h1>
<p>A service that answers with what it was asked.</p>
<ul>
<li><a href="get"><code>/get</code></a> <code>/post</code> <code>/put</code> <code>/patch</code> <code>/delete</code> <a href="anything"><code>/anything</code></a></li>
<li><a href="headers"><code>/headers</code></a> <a href="ip"><code>/ip</code></a> <a href="user-agent"><code>/user-agent</code></a> <a href="cookies"><code>/cookies</code></a></li>
<li><code>/status/:codes</code> <code>/delay/:seconds</code> <code>/drip</code> <code>/stream/:n</code> <code>/bytes/:n</code> <code>/range/:n</code></li>
<li><code>/redirect/:n</code> <code>/redirect-to?url=</code> <code>/basic-auth/:user/:password</code> <code>/bearer</code></li>
<li><a href="gzip"><code>/gzip</code></a> <a href="deflate"><code>/deflate</code></a> <a href="cache"><code>/cache</code></a> <code>/etag/:tag</code> <code>/response-headers?name=value</code></li>
<li><a href="html"><code>/html</code></a> <a href="json"><code>/json</code></a> <a href="xml"><code>/xml</code></a> <a href="image/png"><code>/image/png</code></a> <a href="uuid"><code>/uuid</code></a> <code>/base64/:value</code></li>
</ul>
</body>
</html>
)html";

constexpr std::string_view kHtml = R"html(<!DOCTYPE html>
<html>
<head></head>
<body>
<h1>Herman Melville - Moby-Dick</h1>
<p>Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse, and nothing
particular to interest me on shore, I thought I would sail about a little and see the watery part of the world.</p>
</body>
</html>
)html";

constexpr std::string_view kXml = R"(<?xml version='1.0' encoding='us-ascii'?>
<slideshow title="Sample Slide Show" date="Date of publication" author="Yours Truly">
  <slide type="all">
    <title>Wake up to WonderWidgets!</title>
  </slide>
  <slide type="all">
    <title>Overview</title>
    <item>Why <em>WonderWidgets</em> are great</item>
    <item/>
    <item>Who <em>buys</em> WonderWidgets</item>
  </slide>
</slideshow>
)";

// A picture of 1 x 1 pixel.
constexpr std::string_view kPng =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

constexpr std::string_view kSvg =
    R"(<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><circle cx="32" cy="32" r="28" fill="#1d5c63"/></svg>)";

std::string same_origin(const http::RequestHead& request, std::string_view target) {
  return fmt::format("http://{}{}", request.authority, target);
}

}  // namespace

std::optional<int> pick_status(std::string_view spec, double dice) {
  struct Choice {
    int status;
    double weight;
  };
  std::vector<Choice> choices;
  double total = 0;
  for (auto piece : base::split(spec, ',')) {
    piece = base::trim(piece);
    size_t colon = piece.find(':');
    auto status = number_within(piece.substr(0, colon), 100, 599);
    auto weight = colon == std::string_view::npos ? std::optional<double>(1) : base::to_double(piece.substr(colon + 1));
    if (!status || !weight || *weight < 0) return std::nullopt;
    choices.push_back({static_cast<int>(*status), *weight});
    total += *weight;
  }
  if (choices.empty() || total <= 0) return std::nullopt;
  double point = dice * total;
  for (const auto& choice : choices)
    if ((point -= choice.weight) < 0) return choice.status;
  return choices.back().status;
}

void Httpbin::status(const Exchange& exchange, const Path& path) {
  auto picked = pick_status(path[1], std::uniform_real_distribution<>(0, 1)(random_));
  // 1xx are no final answers.
  if (!picked || *picked < 200) return fail(exchange, 400, "Invalid status code");
  http::Headers headers;
  std::string_view body;
  std::string text;
  switch (*picked) {
    case 301: case 302: case 303: case 305: case 307: case 308: headers.add("location", "/redirect/1"); break;
    case 401: headers.add("www-authenticate", "Basic realm=\"Fake Realm\""); break;
    case 407: headers.add("proxy-authenticate", "Basic realm=\"Fake Realm\""); break;
    case 406:
      headers.add("content-type", "application/json");
      body = text = R"({"message": "Client did not request a supported media type.", "accept": ["image/webp", "image/svg+xml", "image/jpeg", "image/png", "image/*"]})";
      break;
    case 418:
      headers.add("x-more-info", "http://tools.ietf.org/html/rfc2324");
      body = kTeapot;
      break;
    default: break;
  }
  if (!headers.has("content-type") && *picked != 204 && *picked != 304)
    headers.add("content-type", dialect_ == Dialect::kGo ? "text/plain; charset=utf-8" : "text/html; charset=utf-8");
  send(exchange, *picked, std::move(headers), body);
}

void Httpbin::redirects(const Exchange& exchange, const Path& path) {
  const auto& request = exchange->request();
  auto n = number_within(path[1], 1, 1000);
  if (!n) return fail(exchange, 400, "redirect/N with N from 1 to 1000");
  bool absolute = path[0] == "absolute-redirect" || http::query_param(request.query(), "absolute") == "true";
  std::string target = *n == 1 ? "/get" : fmt::format("/{}-redirect/{}", absolute ? "absolute" : "relative", *n - 1);
  redirect(exchange, absolute ? same_origin(request, target) : target);
}

void Httpbin::redirect_to(const Exchange& exchange, const Path&) {
  auto query = exchange->request().query();
  std::string url = http::query_param(query, "url");
  bool clean = !url.empty();
  for (unsigned char c : url) clean = clean && c >= 0x20 && c != 0x7f;
  if (!clean) return fail(exchange, 400, "Missing URL");
  auto status = number_within(http::query_param(query, "status_code"), 300, 399);
  redirect(exchange, url, static_cast<int>(status.value_or(302)));
}

void Httpbin::basic_auth(const Exchange& exchange, const Path& path) {
  std::string_view field = exchange->request().headers.get("authorization");
  std::string given;
  if (field.size() > 6 && base::iequals(field.substr(0, 6), "basic ")) given = base::base64_decode(base::trim(field.substr(6))).value_or("");
  bool ok = given == path[1] + ":" + path[2];
  auto body = base::Value::object({{"authenticated", ok}});
  if (dialect_ == Dialect::kGo) body.set("authorized", ok);
  body.set("user", path[1]);
  if (ok) return json(exchange, 200, body);
  if (path[0] == "hidden-basic-auth") return not_found(exchange);
  http::Headers headers;
  headers.add("www-authenticate", "Basic realm=\"Fake Realm\"");
  if (dialect_ == Dialect::kGo) return json(exchange, 401, body, std::move(headers));
  send(exchange, 401, std::move(headers), "");
}

void Httpbin::bearer(const Exchange& exchange, const Path&) {
  std::string_view field = exchange->request().headers.get("authorization");
  if (field.starts_with("Bearer ") && field.size() > 7)
    return json(exchange, 200, base::Value::object({{"authenticated", true}, {"token", field.substr(7)}}));
  http::Headers headers;
  headers.add("www-authenticate", "Bearer");
  send(exchange, 401, std::move(headers), "");
}

void Httpbin::base64(const Exchange& exchange, const Path& path) {
  std::string value = path.back();
  if (path.size() == 3 && path[1] == "encode") return send(exchange, 200, "text/plain", base::base64url_encode(value));
  std::replace(value.begin(), value.end(), '-', '+');
  std::replace(value.begin(), value.end(), '_', '/');
  while (value.size() % 4) value += '=';
  auto decoded = base::base64_decode(value);
  if (!decoded) return send(exchange, dialect_ == Dialect::kGo ? 400 : 200, "text/html; charset=utf-8", "Incorrect Base64 data try: SFRUUEJJTiBpcyBhd2Vzb21l");
  send(exchange, 200, "text/html; charset=utf-8", *decoded);
}

void Httpbin::uuid(const Exchange& exchange, const Path&) {
  uint64_t high = (random_() & ~0xf000ull) | 0x4000;                             // version 4
  uint64_t low = (random_() & ~(3ull << 62)) | (2ull << 62);                     // variant 1
  json(exchange, 200,
       base::Value::object({{"uuid", fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                                                 high & 0xffff, low >> 48, low & 0xffffffffffffull)}}));
}

void Httpbin::unstable(const Exchange& exchange, const Path&) {
  double rate = base::to_double(http::query_param(exchange->request().query(), "failure_rate")).value_or(0.5);
  if (rate < 0 || rate > 1) return fail(exchange, 400, "failure_rate is from 0 to 1");
  bool failed = std::uniform_real_distribution<>(0, 1)(random_) < rate;
  send(exchange, failed ? 500 : 200, "text/plain; charset=utf-8", "");
}

void Httpbin::fixed(const Exchange& exchange, const Path& path) {
  const std::string& what = path[0];
  if (what == "index") return send(exchange, 200, "text/html; charset=utf-8", kIndex);
  if (what == "html") return send(exchange, 200, "text/html; charset=utf-8", kHtml);
  if (what == "xml") return send(exchange, 200, "application/xml", kXml);
  if (what == "robots.txt") return send(exchange, 200, "text/plain", "User-agent: *\nDisallow: /deny\n");
  if (what == "deny") return send(exchange, 200, "text/plain", "YOU SHOULDN'T BE HERE\n");
  if (what == "hostname") return json(exchange, 200, base::Value::object({{"hostname", host_name()}}));
  if (what == "encoding" && path[1] == "utf8")
    return send(exchange, 200, "text/html; charset=utf-8", "<h1>Unicode Demo</h1><pre>Καλημέρα κόσμε — 你好，世界 — Привет — ☃ ✓ ∮ E⋅da = Q</pre>\n");
  if (what == "json")
    return json(exchange, 200,
                base::Value::object(
                    {{"slideshow",
                      base::Value::object(
                          {{"author", "Yours Truly"},
                           {"date", "date of publication"},
                           {"slides", base::Value::array(
                                          {base::Value::object({{"title", "Wake up to WonderWidgets!"}, {"type", "all"}}),
                                           base::Value::object({{"items", base::Value::array({"Why <em>WonderWidgets</em> are great",
                                                                                              "Who <em>buys</em> WonderWidgets"})},
                                                                {"title", "Overview"},
                                                                {"type", "all"}})})},
                           {"title", "Sample Slide Show"}})}}));
  if (what == "image") {
    std::string_view accept = exchange->request().headers.get("accept");
    std::string kind = path.size() == 2 ? path[1] : accept.find("svg") != std::string_view::npos ? "svg" : "png";
    if (kind == "png") return send(exchange, 200, "image/png", base::base64_decode(kPng).value_or(""));
    if (kind == "svg") return send(exchange, 200, "image/svg+xml", kSvg);
    return not_found(exchange);
  }
  if (what == "forms" && path[1] == "post")
    return send(exchange, 200, "text/html; charset=utf-8",
                "<!DOCTYPE html>\n<form method=\"post\" action=\"/post\"><p><label>Customer name: <input name=\"custname\"></label></p>"
                "<p><label>Telephone: <input type=\"tel\" name=\"custtel\"></label></p><p><button>Submit order</button></p></form>\n");
  if (what == "links") {
    auto n = number_within(path[1], 1, 200);
    auto at = path.size() == 3 ? number_within(path[2], 0, 199) : std::optional<long long>(0);
    if (!n || !at) return not_found(exchange);
    std::string page = "<html><head><title>Links</title></head><body>";
    for (long long i = 0; i < *n; ++i) page += i == *at ? fmt::format("{} ", i) : fmt::format("<a href='/links/{}/{}'>{}</a> ", *n, i, i);
    return send(exchange, 200, "text/html; charset=utf-8", page + "</body></html>");
  }
  not_found(exchange);
}

}  // namespace fairlead::sample
