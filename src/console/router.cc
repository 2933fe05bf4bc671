#include "console/router.h"

#include <algorithm>

#include "base/strings.h"

namespace fairlead::console {

namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return base::split(path, '/');
}

bool changes_something(std::string_view method) { return method != "GET" && method != "HEAD" && method != "OPTIONS"; }

// Browsers say where a request comes from; other programs say nothing, and have no cookie that they were tricked into sending.
bool same_origin(const http::RequestHead& head) {
  if (const std::string_view site = head.headers.get("sec-fetch-site"); !site.empty()) return site == "same-origin" || site == "none";
  const std::string_view origin = head.headers.get("origin");
  if (origin.empty()) return true;
  const std::size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && base::iequals(origin.substr(scheme + 3), head.authority);
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Access access, Handler handler) {
  Route route{.method = std::string(method), .segments = {}, .access = access, .handler = std::move(handler)};
  for (std::string_view segment : segments_of(pattern)) route.segments.emplace_back(segment);
  routes_.push_back(std::move(route));
}

std::vector<std::pair<std::string, std::string>> Router::routes() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Route& route : routes_) out.emplace_back(route.method, "/" + base::join(route.segments, "/"));
  return out;
}

void Router::serve(std::shared_ptr<http::Exchange> exchange) const {
  const http::RequestHead& head = exchange->request();
  auto request = std::make_shared<Request>();
  request->exchange = exchange;
  request->parameters = http::query_params(head.query());
  request->language = language_of(head.headers.get("accept-language"));
  request->address = exchange->peer().is_ip() ? exchange->peer().ip() : "local";
  const std::string method = head.method == "HEAD" ? "GET" : head.method;

  const auto segments = segments_of(head.path());
  std::string allowed;
  for (const Route& route : routes_) {
    if (route.segments.size() != segments.size()) continue;
    std::vector<std::string> parts;
    const bool fits = std::ranges::equal(route.segments, segments, [&](const std::string& pattern, std::string_view segment) {
      if (pattern != "{}") return pattern == segment;
      parts.push_back(base::url_decode(segment));
      return !segment.empty();
    });
    if (!fits) continue;
    if (route.method != method) {
      allowed += (allowed.empty() ? "" : ", ") + route.method;
      continue;
    }
    request->parts = std::move(parts);
    return admit(request, route);
  }
  if (!allowed.empty()) {
    http::Headers headers;
    headers.set("allow", allowed);
    return request->answer(405, base::Value::object({{"error", base::Value::object({{"code", "invalid"}, {"message", request->say("use " + allowed + " here", "该路径请使用 " + allowed)}})}}), std::move(headers));
  }
  otherwise_(request);
}

void Router::admit(const RequestPtr& request, const Route& route) const {
  const http::RequestHead& head = request->exchange->request();
  if (const std::string_view token = cookie(head.headers.get("cookie"), cookie_name_); !token.empty()) request->user = accounts_.session(token);
  if (changes_something(head.method) && !same_origin(head))
    return request->refuse(403, "forbidden", request->say("requests from other sites are refused", "拒绝来自其他站点的请求"));
  if (route.access != Access::Open && !request->user) return request->refuse(401, "unauthenticated", request->say("log in first", "请先登录"));
  if (route.access == Access::Admin && request->user->role != Role::Admin) return request->refuse(403, "forbidden", request->say("only an admin may do this", "仅管理员可以执行该操作"));
  if (route.access == Access::Editor && !request->user->may_edit(request->parts[0]))
    return request->refuse(403, "forbidden", request->say("you may not change rules of " + request->parts[0] + "; ask an admin for it", "没有修改 " + request->parts[0] + " 规则的权限，请联系管理员"));
  if (!changes_something(head.method)) return route.handler(request);
  request->exchange->read_body(kMaxBody, [request, handler = &route.handler](std::string body) {
    const std::string_view type = request->exchange->request().headers.get("content-type");
    // Many a script sends JSON under the type that curl gives it.
    const std::string_view begin = base::trim(body).substr(0, 1);
    if (type.starts_with("application/x-www-form-urlencoded") && begin != "{" && begin != "[") {
      for (auto& each : http::query_params(body)) request->parameters.push_back(std::move(each));
    } else if (!body.empty()) {
      auto parsed = base::parse_json(body);
      if (!parsed) return request->refuse(400, "invalid", request->say("the body must be JSON: ", "请求体须为 JSON：") + parsed.error().text());
      request->body = std::move(*parsed);
    }
    (*handler)(request);
  });
}

}  // namespace fairlead::console
