// What was asked, as JSON.
#include <zlib.h>

#include <map>

#include "base/strings.h"
#include "sample/httpbin.h"

namespace fairlead::sample {

namespace {

constexpr size_t kMaxBody = 16u << 20;

// Fields that the Python original leaves out, because the platform in front of it adds them.
bool platform_field(std::string_view name) {
  constexpr std::string_view kHidden[] = {"via",         "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto",
                                          "x-forwarded-protocol", "x-forwarded-ssl", "x-real-ip", "x-varnish"};
  for (auto hidden : kHidden)
    if (name == hidden) return true;
  return false;
}

// Values of one name: Python joins header fields and gives a lone value as a string; Go always gives a list.
base::Value grouped(Dialect dialect, const std::vector<std::pair<std::string, std::string>>& pairs, bool join) {
  std::map<std::string, std::vector<std::string>> by_name;
  for (const auto& [name, value] : pairs) by_name[name].push_back(value);
  auto out = base::Value::object();
  for (auto& [name, values] : by_name) {
    if (dialect == Dialect::kPython && (values.size() == 1 || join)) {
      out.set(name, base::join(values, ","));
    } else {
      auto list = base::Value::array();
      for (auto& value : values) list.push(std::move(value));
      out.set(name, std::move(list));
    }
  }
  return out;
}

base::Value headers_json(Dialect dialect, const http::RequestHead& request) {
  std::vector<std::pair<std::string, std::string>> fields;
  fields.emplace_back("Host", request.authority);
  for (const auto& [name, value] : request.headers)
    if (dialect == Dialect::kGo || !platform_field(name)) fields.emplace_back(canonical_header(name), value);
  return grouped(dialect, fields, true);
}

std::string origin(Dialect dialect, const http::RequestHead& request, const std::string& peer_ip) {
  std::string_view forwarded = request.headers.get("x-forwarded-for");
  if (forwarded.empty()) return peer_ip;
  if (dialect == Dialect::kPython) return std::string(forwarded);
  return std::string(base::trim(base::split(forwarded, ',')[0]));
}

std::string url_of(const http::RequestHead& request) {
  std::string_view scheme = request.headers.get("x-forwarded-proto");
  return fmt::format("{}://{}{}", scheme.empty() ? "http" : scheme, request.authority, request.target);
}

// multipart/form-data (RFC 7578): fields into form, files into files.
void read_multipart(std::string_view body, std::string_view boundary, std::vector<std::pair<std::string, std::string>>& form,
                    std::vector<std::pair<std::string, std::string>>& files) {
  std::string mark = "--" + std::string(boundary);
  auto parameter = [](std::string_view head, std::string_view name) -> std::string {
    std::string key = std::string(name) + "=\"";
    size_t at = head.find(key);
    while (at != std::string_view::npos && at > 0 && head[at - 1] != ' ' && head[at - 1] != ';') at = head.find(key, at + 1);
    if (at == std::string_view::npos) return "";
    size_t begin = at + key.size(), end = head.find('"', begin);
    return end == std::string_view::npos ? "" : std::string(head.substr(begin, end - begin));
  };
  size_t at = body.find(mark);
  while (at != std::string_view::npos) {
    size_t begin = at + mark.size();
    if (body.substr(begin, 2) == "--") return;
    size_t next = body.find("\r\n" + mark, begin);
    if (next == std::string_view::npos) return;
    std::string_view part = body.substr(begin + 2, next - begin - 2);
    size_t blank = part.find("\r\n\r\n");
    if (blank != std::string_view::npos) {
      std::string_view head = part.substr(0, blank), content = part.substr(blank + 4);
      std::string name = parameter(head, "name");
      (head.find("filename=\"") == std::string_view::npos ? form : files).emplace_back(name, std::string(content));
    }
    at = next + 2;
  }
}

bool is_text(std::string_view bytes) {
  for (unsigned char c : bytes)
    if (c < 0x20 && c != '\n' && c != '\r' && c != '\t') return false;
  return true;
}

}  // namespace

std::string canonical_header(std::string_view name) {
  std::string out(name);
  bool start = true;
  for (char& c : out) {
    if (start && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    start = c == '-';
  }
  return out;
}

base::Value echo_json(Dialect dialect, const http::RequestHead& request, const std::string& peer_ip, std::string_view body,
                      bool with_method) {
  auto out = base::Value::object();
  out.set("args", grouped(dialect, http::query_params(request.query()), false));
  out.set("headers", headers_json(dialect, request));
  if (with_method) out.set("method", request.method);
  out.set("origin", origin(dialect, request, peer_ip));
  out.set("url", url_of(request));
  if (request.method == "GET" || request.method == "HEAD")
    if (!(with_method && dialect == Dialect::kPython) && body.empty()) return out;

  std::string_view type = request.headers.get("content-type");
  std::vector<std::pair<std::string, std::string>> form, files;
  std::string_view data = body;
  if (type.starts_with("application/x-www-form-urlencoded")) {
    form = http::query_params(body);
    if (dialect == Dialect::kPython) data = {};
  } else if (type.starts_with("multipart/form-data")) {
    size_t at = type.find("boundary=");
    if (at != std::string_view::npos) {
      std::string_view boundary = type.substr(at + 9);
      boundary = boundary.substr(0, boundary.find(';'));
      if (boundary.size() > 1 && boundary.front() == '"') boundary = boundary.substr(1, boundary.size() - 2);
      read_multipart(body, boundary, form, files);
    }
    if (dialect == Dialect::kPython) data = {};
  }
  out.set("data", is_text(data) ? std::string(data) : "data:application/octet-stream;base64," + base::base64_encode(data));
  out.set("files", grouped(dialect, files, false));
  out.set("form", grouped(dialect, form, false));
  auto parsed = data.empty() ? base::Result<base::Value>(base::Value()) : base::parse_json(data);
  bool wants_json = dialect == Dialect::kPython || type.find("json") != std::string_view::npos;
  out.set("json", parsed && wants_json ? std::move(*parsed) : base::Value());
  return out;
}

void Httpbin::echo(const Exchange& exchange, bool with_method, int code) {
  exchange->read_body(kMaxBody, [this, exchange, with_method, code](std::string body) {
    json(exchange, code, echo_json(dialect_, exchange->request(), client_ip(exchange->peer()), body, with_method));
  });
}

void Httpbin::headers(const Exchange& exchange, const Path&) {
  json(exchange, 200, base::Value::object({{"headers", headers_json(dialect_, exchange->request())}}));
}

void Httpbin::ip(const Exchange& exchange, const Path&) {
  json(exchange, 200, base::Value::object({{"origin", origin(dialect_, exchange->request(), client_ip(exchange->peer()))}}));
}

void Httpbin::user_agent(const Exchange& exchange, const Path&) {
  const auto* agent = exchange->request().headers.find("user-agent");
  base::Value value;
  if (agent) value = *agent;
  else if (dialect_ == Dialect::kGo) value = "";
  json(exchange, 200, base::Value::object({{"user-agent", std::move(value)}}));
}

void Httpbin::cookies(const Exchange& exchange, const Path& path) {
  const auto& request = exchange->request();
  auto go_back = [&](const std::vector<std::string>& set) {
    http::Headers headers;
    for (const auto& cookie : set) headers.add("set-cookie", cookie);
    headers.add("location", "/cookies");
    headers.add("content-type", "text/html; charset=utf-8");
    send(exchange, 302, std::move(headers), "");
  };
  auto cookie = [](std::string_view name, std::string_view value) {
    return fmt::format("{}={}; Path=/", base::url_encode(name), base::url_encode(value));
  };
  std::vector<std::string> set;
  if (path.size() == 1) {
    auto all = base::Value::object();
    for (const auto& [name, value] : request.headers)
      if (name == "cookie")
        for (auto piece : base::split(value, ';')) {
          piece = base::trim(piece);
          size_t equals = piece.find('=');
          if (equals != std::string_view::npos)
            all.set(piece.substr(0, equals), std::string(piece.substr(equals + 1)));
        }
    return json(exchange, 200, base::Value::object({{"cookies", std::move(all)}}));
  }
  if (path[1] == "set" && path.size() == 4) return go_back({cookie(path[2], path[3])});
  if (path[1] == "set" && path.size() == 2) {
    for (const auto& [name, value] : http::query_params(request.query())) set.push_back(cookie(name, value));
    return go_back(set);
  }
  if (path[1] == "delete" && path.size() == 2) {
    for (const auto& [name, value] : http::query_params(request.query()))
      set.push_back(base::url_encode(name) + "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/");
    return go_back(set);
  }
  not_found(exchange);
}

void Httpbin::response_headers(const Exchange& exchange, const Path&) {
  auto params = http::query_params(exchange->request().query());
  http::Headers headers;
  for (const auto& [name, value] : params) {
    bool valid = !name.empty();
    for (unsigned char c : name) valid = valid && c > 0x20 && c < 0x7f && c != ':';
    for (unsigned char c : value) valid = valid && c >= 0x20 && c != 0x7f;
    if (!valid) return fail(exchange, 400, "not a header field: " + name);
    if (!base::iequals(name, "content-length") && !base::iequals(name, "transfer-encoding")) headers.add(name, value);
  }
  json(exchange, 200, grouped(dialect_, params, false), std::move(headers));
}

std::string compress(std::string_view bytes, bool gzip) {
  z_stream z{};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip ? 15 + 16 : 15, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

void Httpbin::compressed(const Exchange& exchange, const Path& path) {
  bool gzip = path[0] == "gzip";
  auto body = echo_json(dialect_, exchange->request(), client_ip(exchange->peer()), "", true);
  auto out = base::Value::object({{gzip ? "gzipped" : "deflated", true},
                                  {"headers", body["headers"]},
                                  {"method", body["method"]},
                                  {"origin", body["origin"]}});
  http::Headers headers;
  headers.add("content-type", "application/json");
  headers.add("content-encoding", gzip ? "gzip" : "deflate");
  send(exchange, 200, std::move(headers), compress(out.dump(2, dialect_ == Dialect::kPython) + "\n", gzip));
}

void Httpbin::cache(const Exchange& exchange, const Path& path) {
  const auto& request = exchange->request();
  http::Headers headers;
  if (path.size() == 2) {
    auto seconds = number_within(path[1], 0, 1'000'000'000);
    if (!seconds) return fail(exchange, 400, "cache/SECONDS");
    headers.add("cache-control", fmt::format("public, max-age={}", *seconds));
  } else {
    if (request.headers.has("if-modified-since") || request.headers.has("if-none-match"))
      return send(exchange, 304, http::Headers(), "");
    char date[64];
    std::time_t now = std::time(nullptr);
    std::tm tm{};
    ::gmtime_r(&now, &tm);
    std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    headers.add("last-modified", date);
    headers.add("etag", fmt::format("{:x}", random_()));
  }
  json(exchange, 200, echo_json(dialect_, request, client_ip(exchange->peer()), "", false), std::move(headers));
}

void Httpbin::etag(const Exchange& exchange, const Path& path) {
  const auto& request = exchange->request();
  std::string tag = "\"" + path[1] + "\"";
  auto listed = [&](std::string_view field) {
    for (auto piece : base::split(request.headers.get(field), ',')) {
      piece = base::trim(piece);
      if (piece.starts_with("W/")) piece.remove_prefix(2);
      if (piece == "*" || piece == tag || piece == path[1]) return true;
    }
    return false;
  };
  for (unsigned char c : path[1])
    if (c < 0x21 || c == 0x7f || c == '"') return fail(exchange, 400, "not an entity tag");
  http::Headers headers;
  headers.add("etag", tag);
  if (request.headers.has("if-none-match") && listed("if-none-match")) return send(exchange, 304, std::move(headers), "");
  if (request.headers.has("if-match") && !listed("if-match")) return send(exchange, 412, std::move(headers), "");
  json(exchange, 200, echo_json(dialect_, request, client_ip(exchange->peer()), "", false), std::move(headers));
}

}  // namespace fairlead::sample
