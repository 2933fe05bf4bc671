// What happens to header fields on their way: normalising, x-forwarded-*, x-request-id, rewrites, mutations.
#include <arpa/inet.h>

#include "base/strings.h"
#include "proxy/exchange.h"
#include "proxy/header_mutation.h"

namespace fairlead::proxy {

namespace {

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 7:
      return name == "upgrade";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    default:
      return false;
  }
}

bool has_member(std::string_view list, std::string_view word) {
  for (std::string_view part : base::split(list, ','))
    if (base::iequals(base::trim(part), word)) return true;
  return false;
}

// RFC 1918 and its IPv6 counterparts: Envoy's meaning of an internal address.
bool is_internal(const io::Address& a) {
  if (a.family() == AF_INET) {
    uint32_t ip = ntohl(reinterpret_cast<const sockaddr_in*>(a.get())->sin_addr.s_addr);
    return ip >> 24 == 10 || ip >> 20 == (172 << 4 | 1) || ip >> 16 == (192 << 8 | 168) || ip >> 24 == 127;
  }
  if (a.family() == AF_INET6) {
    const auto& b = reinterpret_cast<const sockaddr_in6*>(a.get())->sin6_addr.s6_addr;
    return (b[0] & 0xfe) == 0xfc || IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(a.get())->sin6_addr);
  }
  return true;
}

// Removes dot segments (RFC 3986 section 5.2.4) and decodes unreserved %XX; nothing when the escape is malformed or
// the path leaves the root.
std::optional<std::string> normalise_path(std::string_view path) {
  std::string decoded;
  auto hex = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      decoded += path[i] == '\\' ? '/' : path[i];
      continue;
    }
    if (i + 2 >= path.size() || hex(path[i + 1]) < 0 || hex(path[i + 2]) < 0) return std::nullopt;
    char c = static_cast<char>(hex(path[i + 1]) * 16 + hex(path[i + 2]));
    if (c == 0) return std::nullopt;
    bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      decoded += c;
    } else {
      decoded += '%';
      decoded += static_cast<char>(path[i + 1] >= 'a' ? path[i + 1] - 32 : path[i + 1]);
      decoded += static_cast<char>(path[i + 2] >= 'a' ? path[i + 2] - 32 : path[i + 2]);
    }
    i += 2;
  }
  std::vector<std::string_view> kept;
  std::vector<std::string_view> parts = base::split(decoded, '/');
  for (size_t i = 1; i < parts.size(); ++i) {
    bool last = i + 1 == parts.size();
    if (parts[i] == ".") {
      if (last) kept.push_back({});
    } else if (parts[i] == "..") {
      if (!kept.empty()) kept.pop_back();
      if (last) kept.push_back({});
    } else {
      kept.push_back(parts[i]);
    }
  }
  std::string out;
  for (std::string_view p : kept) {
    out += '/';
    out += p;
  }
  return out.empty() ? "/" : out;
}

}  // namespace

// ------------------------------------------------------------------------------------------------- 2. normalised

bool Exchange::normalise() {
  const HttpConfig& c = *config_;
  if (request_.version == http::Version::kHttp10 && !c.accept_http10) {
    reply(426, {}, "low_version", 0);
    return false;
  }
  if (request_.authority.empty()) {
    if (request_.version == http::Version::kHttp10 && !c.default_host_http10.empty()) {
      request_.authority = c.default_host_http10;
    } else {
      reply(400, {}, "missing_host_header", 0);
      return false;
    }
  }
  if (request_.method != "CONNECT" && (request_.target.empty() || (request_.target[0] != '/' && request_.target != "*"))) {
    reply(404, {}, "missing_path", 0);
    return false;
  }
  std::string_view authority = request_.authority;
  if (c.strip_any_port || c.strip_matching_port) {
    size_t colon = authority.rfind(':');
    if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
      auto port = base::to_int(authority.substr(colon + 1));
      if (port && (c.strip_any_port || *port == connection_->local.port())) authority = authority.substr(0, colon);
    }
  }
  if (c.strip_trailing_dot && authority.ends_with('.')) authority.remove_suffix(1);
  request_.authority = authority;

  // Clients keep a fragment to themselves (RFC 9110 section 7.1); what the next one would make of it is anyone's guess.
  if (request_.target.find('#') != std::string_view::npos) {
    reply(400, {}, "path_normalization_failed", 0);
    return false;
  }
  std::string_view path = request_.path(), query = request_.target.substr(path.size());
  if (c.escaped_slashes != HttpConfig::EscapedSlashes::kKeep) {
    std::string lower = base::to_lower(path);
    if (lower.find("%2f") != std::string::npos || lower.find("%5c") != std::string::npos) {
      if (c.escaped_slashes == HttpConfig::EscapedSlashes::kReject) {
        reply(400, {}, "path_normalization_failed", 0);
        return false;
      }
      std::string plain;
      for (size_t i = 0; i < path.size(); ++i) {
        if (lower.compare(i, 3, "%2f") == 0) plain += '/', i += 2;
        else if (lower.compare(i, 3, "%5c") == 0) plain += '\\', i += 2;
        else plain += path[i];
      }
      plain += query;
      if (c.escaped_slashes == HttpConfig::EscapedSlashes::kRedirect) {
        response_.fields.add("location", plain);
        ++stats_->downstream_rq_redirected_with_normalized_path;
        reply(307, {}, "path_normalization_failed", 0);
        return false;
      }
      request_.target = request_.fields.store(plain);
      path = request_.path();
      query = request_.target.substr(path.size());
    }
  }
  if (c.normalize_path && (path.find("/.") != std::string_view::npos || path.find('%') != std::string_view::npos || path.find('\\') != std::string_view::npos)) {
    auto clean = normalise_path(path);
    if (!clean) {
      reply(400, {}, "path_normalization_failed", 0);
      return false;
    }
    *clean += query;
    request_.target = request_.fields.store(*clean);
    path = request_.path();
    query = request_.target.substr(path.size());
  }
  if (c.merge_slashes && path.find("//") != std::string_view::npos) {
    std::string merged;
    for (char ch : path)
      if (ch != '/' || merged.empty() || merged.back() != '/') merged += ch;
    merged += query;
    request_.target = request_.fields.store(merged);
  }
  forwarded_headers();
  request_id();
  return true;
}

void Exchange::forwarded_headers() {
  const HttpConfig& c = *config_;
  HeaderMap& fields = request_.fields;
  std::string_view scheme = connection_->secure ? "https" : "http";
  request_.scheme = scheme;
  const HeaderMap::Field* xff = fields.find("x-forwarded-for");
  if (c.use_remote_address) {
    bool internal = is_internal(connection_->peer);
    // Behind trusted proxies the client is the address that the last of them saw.
    if (c.xff_trusted_hops > 0 && xff) {
      auto parts = base::split(xff->value, ',');
      if (parts.size() >= c.xff_trusted_hops) {
        std::string_view ip = base::trim(parts[parts.size() - c.xff_trusted_hops]);
        if (auto a = io::Address::parse_ip(ip, 0)) {
          remote_text_ = a->text();
          info_.downstream_remote = remote_text_;
          internal = is_internal(*a);
        }
      }
    }
    if (!c.skip_xff_append) {
      std::string_view ip = connection_->peer_ip();
      if (xff) {
        size_t size = xff->value.size() + 1 + ip.size();
        char* at = fields.allocate(size);
        char* p = base::put(at, xff->value);
        *p++ = ',';
        base::put(p, ip);
        fields.set_view("x-forwarded-for", {at, size});
      } else {
        fields.add_view("x-forwarded-for", ip);
      }
    }
    if (c.xff_trusted_hops == 0 || !fields.has("x-forwarded-proto")) fields.set_view("x-forwarded-proto", scheme);
    if (internal) {
      fields.set_view("x-envoy-internal", "true");
    } else {
      // An outsider's word on how we shall treat its request is not taken.
      for (std::string_view name : {"x-envoy-internal", "x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms",
                                    "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-expected-rq-timeout-ms", "x-envoy-attempt-count",
                                    "x-envoy-decorator-operation", "x-envoy-original-path"})
        fields.remove(name);
      fields.set_view("x-envoy-external-address", connection_->peer_ip());
      if (!c.preserve_request_id) fields.remove("x-request-id");
    }
  } else {
    if (xff) {
      size_t comma = xff->value.rfind(',');
      std::string_view last = base::trim(comma == std::string_view::npos ? xff->value : xff->value.substr(comma + 1));
      if (auto a = io::Address::parse_ip(last, 0)) {
        remote_text_ = a->text();
        info_.downstream_remote = remote_text_;
      }
    }
    if (const auto* proto = fields.find("x-forwarded-proto"))
      request_.scheme = proto->value == "https" ? "https" : "http";
    else
      fields.add_view("x-forwarded-proto", scheme);
  }
  if (c.client_cert == HttpConfig::ClientCert::kSanitize || c.client_cert == HttpConfig::ClientCert::kSanitizeSet) fields.remove("x-forwarded-client-cert");
  if (c.append_forwarded_port && !fields.has("x-forwarded-port")) fields.add("x-forwarded-port", std::to_string(connection_->local.port()));
  if (!c.via.empty()) {
    const auto* via = fields.find("via");
    fields.set("via", via ? std::string(via->value) + ", " + c.via : c.via);
  }
}

void Exchange::request_id() {
  if (!config_->generate_request_id || request_.fields.has("x-request-id")) return;
  char id[36];
  request_.fields.add("x-request-id", worker_.new_request_id(id));
}

// ----------------------------------------------------------------------------------------------- on the way up

void Exchange::prepare_request_headers() {
  HeaderMap& fields = request_.fields;
  std::erase_if(fields.fields(), [&](const HeaderMap::Field& f) {
    if (f.name == "upgrade" && upgrade_) return false;
    if (f.name == "te") return !has_member(f.value, "trailers");
    return is_hop_by_hop(f.name) || f.name == "expect";
  });
  for (HeaderMap::Field& f : fields.fields())
    if (f.name == "te") f.value = "trailers";
  mutate_request();
  rewrite_for_route();
}

void Exchange::apply(const std::vector<HeaderMutation::Add>& add, const std::vector<std::string>& remove, HeaderMap& to) {
  for (const std::string& name : remove) to.remove(name);
  for (const HeaderMutation::Add& a : add) {
    if (&to == &request_.fields) add_request_header(a, request_, info_);
    else add_header(a, to, info_);
  }
}

// Most specific first: weighted cluster, route, virtual host, table (Envoy's default order).
void Exchange::mutate_request() {
  HeaderMap& fields = request_.fields;
  if (route_cluster_ && !route_cluster_->headers.empty()) apply(route_cluster_->headers.request_add, route_cluster_->headers.request_remove, fields);
  if (!route_->mutation.empty()) apply(route_->mutation.request_add, route_->mutation.request_remove, fields);
  if (!host_config_->mutation.empty()) apply(host_config_->mutation.request_add, host_config_->mutation.request_remove, fields);
  if (!table_->mutation.empty()) apply(table_->mutation.request_add, table_->mutation.request_remove, fields);
}

void Exchange::rewrite_for_route() {
  HeaderMap& fields = request_.fields;
  std::string_view old_target = request_.target;
  if (!route_->prefix_rewrite.empty() || route_->regex_rewrite) {
    std::string_view path = request_.path();
    std::string target;
    if (route_->regex_rewrite) {
      target = route_->regex_rewrite->regex->replace_all(path, route_->regex_rewrite->substitution);
    } else {
      // A prefix, or the whole path of an exact match.
      size_t matched = route_->path.kind == PathMatch::Kind::kRegex ? path.size() : std::min(route_->path.text.size(), path.size());
      target = route_->prefix_rewrite;
      target += path.substr(matched);
    }
    target += request_.target.substr(path.size());
    if (target.empty() || target[0] != '/') target.insert(0, "/");
    fields.set("x-envoy-original-path", old_target);
    request_.target = fields.store(target);
  }
  std::string authority;
  if (route_cluster_ && !route_cluster_->host_rewrite.empty()) {
    authority = route_cluster_->host_rewrite;
  } else if (!route_->host_rewrite.empty()) {
    authority = route_->host_rewrite;
  } else if (!route_->host_rewrite_header.empty()) {
    authority = fields.get(route_->host_rewrite_header);
  } else if (route_->host_rewrite_path) {
    authority = route_->host_rewrite_path->regex->replace_all(old_target.substr(0, old_target.find('?')), route_->host_rewrite_path->substitution);
  }
  if (!authority.empty() && authority != request_.authority) {
    fields.set("x-envoy-original-host", request_.authority);
    if (route_->append_forwarded_host) fields.set("x-forwarded-host", request_.authority);
    request_.authority = fields.store(authority);
  }
}

std::optional<uint64_t> Exchange::hash() {
  std::optional<uint64_t> result;
  auto mix = [&](std::string_view text) {
    uint64_t h = xxhash64(text);
    result = result ? ((*result << 1) | (*result >> 63)) ^ h : h;
  };
  for (const HashPolicy& p : route_->hash) {
    switch (p.kind) {
      case HashPolicy::Kind::kHeader: {
        std::string_view value;
        std::string scratch;
        if (request_header(request_, p.name, value, scratch)) {
          if (p.rewrite) mix(p.rewrite->regex->replace_all(value, p.rewrite->substitution));
          else mix(value);
        }
        break;
      }
      case HashPolicy::Kind::kSourceIp:
        mix(connection_->peer.ip());
        break;
      case HashPolicy::Kind::kQuery:
        if (http::has_query_param(request_.query(), p.name)) mix(http::query_param(request_.query(), p.name));
        break;
      case HashPolicy::Kind::kCookie: {
        std::string found;
        for (std::string_view part : base::split(request_.fields.get("cookie"), ';')) {
          part = base::trim(part);
          if (part.starts_with(p.name) && part.size() > p.name.size() && part[p.name.size()] == '=') found = part.substr(p.name.size() + 1);
        }
        if (found.empty() && p.cookie_ttl) {
          found = fmt::format("{:016x}", worker_.random());
          std::string cookie = p.name + "=" + found;
          auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*p.cookie_ttl).count();
          if (seconds > 0) cookie += fmt::format("; Max-Age={}", seconds);
          if (!p.cookie_path.empty()) cookie += "; Path=" + p.cookie_path;
          cookie += p.cookie_attributes;
          cookie += "; HttpOnly";
          response_.fields.add("set-cookie", cookie);
        }
        if (!found.empty()) mix(found);
        break;
      }
    }
    if (p.terminal && result) break;
  }
  return result;
}

// ---------------------------------------------------------------------------------------------- on the way down

void Exchange::prepare_response_headers(bool local, bool end) {
  HeaderMap& fields = response_.fields;
  info_.status = response_.status;
  if (!local) {
    char digits[24];
    auto end = fmt::format_to(digits, "{}", std::chrono::duration_cast<std::chrono::milliseconds>(worker_.now() - upstream_start_).count());
    fields.set("x-envoy-upstream-service-time", std::string_view(digits, static_cast<size_t>(end - digits)));
  }
  info_.response = &response_;
  if (route_) {
    if (route_cluster_ && !route_cluster_->headers.empty()) apply(route_cluster_->headers.response_add, route_cluster_->headers.response_remove, fields);
    if (!route_->mutation.empty()) apply(route_->mutation.response_add, route_->mutation.response_remove, fields);
    if (!host_config_->mutation.empty()) apply(host_config_->mutation.response_add, host_config_->mutation.response_remove, fields);
    if (!table_->mutation.empty()) apply(table_->mutation.response_add, table_->mutation.response_remove, fields);
    if (host_config_->attempt_count_in_response && cluster_) fields.set("x-envoy-attempt-count", std::to_string(info_.attempts));
  }
  if (!config_->response_filters.empty()) run_response_filters(end);
  using S = HttpConfig::ServerHeader;
  if (config_->server_header == S::kOverwrite || (config_->server_header == S::kAppendIfAbsent && !fields.has("server"))) {
    std::erase_if(fields.fields(), [](const HeaderMap::Field& f) { return f.name == "server"; });
    fields.add_view("server", config_->server_name);
  }
  if (!fields.has("date")) fields.add("date", worker_.http_date());
  if (config_->request_id_in_response && !fields.has("x-request-id")) fields.add("x-request-id", request_.fields.get("x-request-id"));
  if (!config_->via.empty()) fields.add("via", config_->via);
  info_.response_header_bytes = fields.byte_size();
}

}  // namespace fairlead::proxy
