#include "sample/httpbin.h"

#include "base/strings.h"

namespace fairlead::sample {

struct Httpbin::Route {
  std::string_view name;  // first segment of the path
  size_t min_segments, max_segments;
  void (Httpbin::*serve)(const Exchange&, const Path&);

  static const Route* find(const Path& path) {
    static constexpr Route kRoutes[] = {
        {"headers", 1, 1, &Httpbin::headers},
        {"ip", 1, 1, &Httpbin::ip},
        {"user-agent", 1, 1, &Httpbin::user_agent},
        {"status", 2, 2, &Httpbin::status},
        {"delay", 2, 2, &Httpbin::delay},
        {"cookies", 1, 4, &Httpbin::cookies},
        {"response-headers", 1, 1, &Httpbin::response_headers},
        {"gzip", 1, 1, &Httpbin::compressed},
        {"deflate", 1, 1, &Httpbin::compressed},
        {"redirect", 2, 2, &Httpbin::redirects},
        {"relative-redirect", 2, 2, &Httpbin::redirects},
        {"absolute-redirect", 2, 2, &Httpbin::redirects},
        {"redirect-to", 1, 1, &Httpbin::redirect_to},
        {"basic-auth", 3, 3, &Httpbin::basic_auth},
        {"hidden-basic-auth", 3, 3, &Httpbin::basic_auth},
        {"bearer", 1, 1, &Httpbin::bearer},
        {"cache", 1, 2, &Httpbin::cache},
        {"etag", 2, 2, &Httpbin::etag},
        {"stream", 2, 2, &Httpbin::stream},
        {"bytes", 2, 2, &Httpbin::bytes},
        {"stream-bytes", 2, 2, &Httpbin::bytes},
        {"range", 2, 2, &Httpbin::range},
        {"drip", 1, 1, &Httpbin::drip},
        {"uuid", 1, 1, &Httpbin::uuid},
        {"base64", 2, 3, &Httpbin::base64},
        {"unstable", 1, 1, &Httpbin::unstable},
        {"html", 1, 1, &Httpbin::fixed},
        {"json", 1, 1, &Httpbin::fixed},
        {"xml", 1, 1, &Httpbin::fixed},
        {"robots.txt", 1, 1, &Httpbin::fixed},
        {"deny", 1, 1, &Httpbin::fixed},
        {"image", 1, 2, &Httpbin::fixed},
        {"encoding", 2, 2, &Httpbin::fixed},
        {"hostname", 1, 1, &Httpbin::fixed},
        {"links", 2, 3, &Httpbin::fixed},
        {"forms", 2, 2, &Httpbin::fixed},
    };
    for (const auto& r : kRoutes)
      if (r.name == path[0] && path.size() >= r.min_segments && path.size() <= r.max_segments) return &r;
    return nullptr;
  }
};

Httpbin::Httpbin(Service& service, Dialect dialect) : service_(service), dialect_(dialect), random_(std::random_device{}()) {}

void Httpbin::serve(const Exchange& exchange) { dispatch(exchange); }

void Httpbin::dispatch(const Exchange& exchange) {
  const auto& request = exchange->request();
  Path path = path_segments(request.path());
  if (request.method == "OPTIONS") {
    http::Headers headers;
    headers.add("access-control-allow-methods", "GET, POST, HEAD, PUT, DELETE, PATCH, OPTIONS");
    headers.add("access-control-max-age", "3600");
    headers.add("allow", "GET, POST, HEAD, PUT, DELETE, PATCH, OPTIONS");
    return send(exchange, 200, std::move(headers), "");
  }
  if (path.empty()) return fixed(exchange, {"index"});
  constexpr std::pair<std::string_view, std::string_view> kMethods[] = {
      {"get", "GET"}, {"post", "POST"}, {"put", "PUT"}, {"patch", "PATCH"}, {"delete", "DELETE"}, {"head", "HEAD"}};
  if (path.size() == 1)
    for (auto [name, method] : kMethods)
      if (path[0] == name) {
        if (request.method != method && !(method == "GET" && request.method == "HEAD")) {
          http::Headers headers;
          headers.add("allow", method == "GET" ? "GET, HEAD, OPTIONS" : std::string(method) + ", OPTIONS");
          headers.add("content-type", "text/html");
          return send(exchange, 405, std::move(headers), "<!doctype html><title>405 Method Not Allowed</title>\n");
        }
        return echo(exchange, dialect_ == Dialect::kGo);
      }
  if (path[0] == "anything") return echo(exchange, true);
  if (const Route* route = Route::find(path)) return (this->*route->serve)(exchange, path);
  not_found(exchange);
}

void Httpbin::not_found(const Exchange& exchange) {
  if (dialect_ == Dialect::kGo) return fail(exchange, 404, "");
  send(exchange, 404, "text/html", "<!doctype html>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n");
}

void Httpbin::send(const Exchange& exchange, int status, http::Headers headers, std::string_view body) {
  headers.add("access-control-allow-origin", "*");
  headers.add("access-control-allow-credentials", "true");
  answer(exchange, status, std::move(headers), body);
}

void Httpbin::send(const Exchange& exchange, int status, std::string_view content_type, std::string_view body) {
  http::Headers headers;
  headers.add("content-type", content_type);
  send(exchange, status, std::move(headers), body);
}

void Httpbin::json(const Exchange& exchange, int status, const base::Value& body, http::Headers headers) {
  headers.set("content-type", dialect_ == Dialect::kGo ? "application/json; charset=utf-8" : "application/json");
  // Python sorts the keys, Go keeps the order of its struct's fields.
  send(exchange, status, std::move(headers), body.dump(2, dialect_ == Dialect::kPython) + "\n");
}

void Httpbin::fail(const Exchange& exchange, int status, std::string_view detail) {
  auto body = base::Value::object({{"status_code", status}, {"error", http::reason_phrase(status)}});
  if (!detail.empty()) body.set("detail", detail);
  json(exchange, status, body);
}

void Httpbin::redirect(const Exchange& exchange, std::string_view to, int status) {
  http::Headers headers;
  headers.add("location", to);
  headers.add("content-type", "text/html; charset=utf-8");
  send(exchange, status, std::move(headers), "");
}

int httpbin_main(Dialect dialect, const Listen& at) {
  Service service;
  Httpbin httpbin(service, dialect);
  fmt::print(stdout, "httpbin listening on http://{}:{}\n", at.host.empty() ? "0.0.0.0" : at.host, at.port);
  return service.serve({at}, [&](Exchange exchange) { httpbin.serve(exchange); });
}

}  // namespace fairlead::sample
