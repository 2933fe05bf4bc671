// What happens to header fields on their way: normalising, x-forwarded-*, x-request-id, rewrites, mutations.
#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "io/tls.h"
#include "proxy/exchange.h"
#include "proxy/header_mutation.h"

namespace fairlead::proxy {

namespace {

bool has_member(std::string_view list, std::string_view word) {
  for (std::string_view part : base::split(list, ','))
    if (base::iequals(base::trim(part), word)) return true;
  return false;
}

bool is_internal(const HttpConfig& c, const io::Address& a) {
  if (!a.is_ip()) return c.internal_unix;
  for (const Cidr& range : c.internal_ranges)
    if (range.contains(a)) return true;
  return false;
}

// The address that stands `skip` places from the end of an x-forwarded-for list.
std::optional<io::Address> forwarded_address(std::string_view list, uint32_t skip) {
  size_t end = list.size();
  for (uint32_t i = 0;; ++i) {
    size_t comma = list.substr(0, end).rfind(',');
    std::string_view part = base::trim(comma == std::string_view::npos ? list.substr(0, end) : list.substr(comma + 1, end - comma - 1));
    if (i == skip) {
      auto a = io::Address::parse_ip(part, 0);
      return a ? std::optional(*a) : std::nullopt;
    }
    if (comma == std::string_view::npos) return std::nullopt;
    end = comma;
  }
}

// What only we, or those whom we trust, may say about a request. edge: it enters the mesh here.
bool is_reserved(std::string_view name, bool edge) {
  constexpr std::string_view kPrefix = "x-envoy-";
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  static constexpr std::string_view kAlways[] = {"internal", "retry-on", "retry-grpc-on", "max-retries", "upstream-alt-stat-name",
                                                 "upstream-rq-timeout-ms", "upstream-rq-per-try-timeout-ms", "upstream-rq-timeout-alt-response",
                                                 "expected-rq-timeout-ms", "force-trace", "ip-tags", "original-url", "hedge-on-per-try-timeout",
                                                 "retriable-status-codes", "retriable-header-names"};
  static constexpr std::string_view kEdge[] = {"decorator-operation", "downstream-service-cluster", "downstream-service-node", "original-path",
                                               "external-address"};
  for (std::string_view n : kAlways)
    if (name == n) return true;
  if (edge)
    for (std::string_view n : kEdge)
      if (name == n) return true;
  return false;
}

// Words to the router that end there.
bool is_routers(std::string_view name) {
  constexpr std::string_view kPrefix = "x-envoy-";
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  return name == "retry-on" || name == "retry-grpc-on" || name == "max-retries" || name == "upstream-rq-timeout-ms" ||
         name == "upstream-rq-per-try-timeout-ms" || name == "hedge-on-per-try-timeout" || name == "retriable-status-codes" ||
         name == "retriable-header-names" || name == "upstream-rq-timeout-alt-response" || name == "upstream-alt-stat-name";
}

// Removes dot segments (RFC 3986 section 5.2.4) and decodes unreserved %XX, as Envoy does: other escapes, malformed ones
// too, stay as they are. Nothing when the path contains %00.
std::optional<std::string> normalise_path(std::string_view path) {
  std::string decoded;
  auto hex = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      decoded += path[i] == '\\' ? '/' : path[i];
      continue;
    }
    if (i + 2 >= path.size() || hex(path[i + 1]) < 0 || hex(path[i + 2]) < 0) {
      decoded += '%';
      continue;
    }
    char c = static_cast<char>(hex(path[i + 1]) * 16 + hex(path[i + 2]));
    if (c == 0) return std::nullopt;
    bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      decoded += c;
    } else {
      decoded += '%';
      decoded += path[i + 1];
      decoded += path[i + 2];
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
  if (c.underscores != HttpConfig::Underscores::kAllow) {
    auto underscored = [](const HeaderMap::Field& f) { return f.name.find('_') != std::string_view::npos; };
    if (std::ranges::any_of(request_.fields.fields(), underscored)) {
      bool rejected = c.underscores == HttpConfig::Underscores::kReject;
      auto count = [&](auto& stats) { ++(rejected ? stats.requests_rejected_with_underscores_in_headers : stats.dropped_headers_with_underscores); };
      request_.version == http::Version::kHttp2 ? count(worker_.http2_stats.counters) : count(worker_.http1_stats);
      if (rejected)
        return refuse_request(400, "Bad Request", request_.version == http::Version::kHttp2 ? "http2.unexpected_underscore" : "http1.unexpected_underscore",
                              kFlagDownstreamProtocolError);
      std::erase_if(request_.fields.fields(), underscored);
    }
  }
  if (request_.version == http::Version::kHttp10 && !c.accept_http10)
    return refuse_request(426, "Upgrade Required", "low_version", kFlagDownstreamProtocolError);
  // HTTP/1.1 always has a Host here, though it may be empty.
  if (request_.authority.empty() && request_.version != http::Version::kHttp11) {
    if (request_.version != http::Version::kHttp10 || c.default_host_http10.empty()) return refuse_request(400, {}, "missing_host_header", 0);
    request_.authority = c.default_host_http10;
  }
  if (request_.method != "CONNECT") {
    if (request_.target.empty()) return refuse_request(404, {}, "missing_path", 0);
    if (request_.target[0] != '/') {
      ++stats_->downstream_rq_non_relative_path;
      return refuse_request(404, {}, "absolute_path_rejected", 0);
    }
  }
  if (!normalise_target()) return false;
  normalise_host();
  if (!c.early.empty()) apply(c.early.request_add, c.early.request_remove, request_.fields);
  return forwarded_headers();
}

// The path as the configuration wants it. False after an answer.
bool Exchange::normalise_target() {
  const HttpConfig& c = *config_;
  // A fragment is not the server's business (RFC 9110 section 7.1): whoever sends one may mean to fool a route.
  auto bad_path = [this] {
    ++stats_->downstream_rq_failed_path_normalization;
    return refuse_request(400, {}, "path_normalization_failed", 0);
  };
  if (request_.target.find('#') != std::string_view::npos) return bad_path();
  std::string_view path = request_.path(), query = request_.target.substr(path.size());
  if (c.escaped_slashes != HttpConfig::EscapedSlashes::kKeep) {
    std::string lower = base::to_lower(path);
    if (lower.find("%2f") != std::string::npos || lower.find("%5c") != std::string::npos) {
      if (c.escaped_slashes == HttpConfig::EscapedSlashes::kReject) return bad_path();
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
    if (!clean) return bad_path();
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
  return true;
}

// An answer to a request that nothing may be concluded from: the connection ends with it.
bool Exchange::refuse_request(int status, std::string_view body, std::string_view details, uint32_t flag) {
  response_.close = true;
  reply(status, body, details, flag);
  return false;
}

// Once for a request, so that a change of configuration in between does not mix two tables.
void Exchange::find_table() {
  if (!table_) table_ = config_->route_table ? config_->route_table : worker_.route_table(config_->rds_name);
}

// What a client tells the router has to be readable, where the configuration says so; else an answer, and false.
bool Exchange::strict_headers_pass() {
  for (const std::string& name : config_->strict_headers) {
    const HeaderMap::Field* f = request_.fields.find(name);
    if (!f) continue;
    bool words = name.ends_with("-on");
    bool good = words ? std::ranges::all_of(base::split(f->value, ','), [](std::string_view word) { return parse_retry_on(word) != 0; })
                      : base::to_int(f->value).value_or(-1) >= 0;
    if (good) continue;
    reply(400, fmt::format("invalid header '{}' with value '{}'", name, f->value), "request_headers_failed_strict_check", kFlagInvalidEnvoyHeaders);
    return false;
  }
  return true;
}

void Exchange::normalise_host() {
  const HttpConfig& c = *config_;
  std::string_view authority = request_.authority;
  if (!c.strip_any_port && !c.strip_matching_port && !c.strip_trailing_dot) return;
  std::string_view host = http::authority_host(authority), port = authority.substr(host.size());
  if (!port.empty() && (c.strip_any_port || c.strip_matching_port)) {
    auto number = base::to_int(port.substr(1));
    if (number && (c.strip_any_port || *number == connection_->local.port())) port = {};
  }
  if (c.strip_trailing_dot && host.ends_with('.')) {
    host.remove_suffix(1);
    if (!port.empty()) {
      request_.authority = request_.fields.store(std::string(host) + std::string(port));
      return;
    }
  }
  request_.authority = authority.substr(0, host.size() + port.size());
}

// Who the client is, and what of its word is taken (Envoy's mutateRequestHeaders). False after an answer.
bool Exchange::forwarded_headers() {
  const HttpConfig& c = *config_;
  HeaderMap& fields = request_.fields;
  std::string_view transport = connection_->secure ? "https" : "http";
  const HeaderMap::Field* xff = fields.find("x-forwarded-for");
  std::string scratch;
  std::string_view list;
  if (xff) (void)fields.get_all("x-forwarded-for", list, scratch);
  std::optional<io::Address> client;
  bool may_be_internal = false;
  if (c.use_remote_address) {
    may_be_internal = !xff;
    if (c.xff_trusted_hops > 0) client = forwarded_address(list, c.xff_trusted_hops - 1);
    if (!client) client = connection_->peer;
    if (!c.skip_xff_append) {
      std::string_view ip = connection_->peer_ip();
      // From this machine: the machine's own address, which others can make something of.
      if (ip == "127.0.0.1" || ip == "::1") ip = worker_.options().own_ip;
      if (xff) {
        size_t size = list.size() + 1 + ip.size();
        char* at = fields.allocate(size);
        char* p = base::put(at, list);
        *p++ = ',';
        base::put(p, ip);
        fields.set_view("x-forwarded-for", {at, size});
      } else {
        fields.add_view("x-forwarded-for", ip);
      }
    }
    if (c.xff_trusted_hops == 0 || !fields.has("x-forwarded-proto")) fields.set_view("x-forwarded-proto", transport);
    if (c.append_forwarded_port && c.xff_trusted_hops == 0) fields.set("x-forwarded-port", std::to_string(connection_->local.port()));
  } else {
    for (const IpDetection& d : c.ip_detection) {
      if (d.kind == IpDetection::Kind::kXff) {
        client = forwarded_address(list, d.hops);
        may_be_internal = list.find(',') == std::string_view::npos;
      } else {
        auto a = io::Address::parse_ip(fields.get(d.header), 0);
        if (a) client = *a;
        may_be_internal = d.trusted;
        if (!a && d.reject_status) {
          ++stats_->downstream_rq_rejected_via_ip_detection;
          return refuse_request(d.reject_status, {}, "original_ip_detection_failed", 0);
        }
      }
      if (client) break;
    }
  }
  if (!fields.has("x-forwarded-proto")) fields.add_view("x-forwarded-proto", transport);
  if (c.append_forwarded_port && !fields.has("x-forwarded-port")) fields.add("x-forwarded-port", std::to_string(connection_->local.port()));
  if (!c.scheme_overwrite.empty()) {
    request_.scheme = c.scheme_overwrite;
    fields.set("x-forwarded-proto", c.scheme_overwrite);
  } else if (request_.scheme != "http" && request_.scheme != "https") {
    std::string_view said = fields.get("x-forwarded-proto");
    request_.scheme = said == "https" || said == "http" ? said : transport;
  }

  bool internal = may_be_internal && client && is_internal(c, *client);
  bool edge = !internal && c.use_remote_address;
  internal_ = internal;
  if (client && !(*client == connection_->peer)) {
    remote_text_ = client->text();
    info_.downstream_remote = remote_text_;
  }
  if (!internal) {
    std::erase_if(fields.fields(), [&](const HeaderMap::Field& f) { return is_reserved(f.name, edge); });
    find_table();
    if (table_)
      for (const std::string& name : table_->internal_headers) fields.remove(name);
  }
  if (internal) fields.set_view("x-envoy-internal", "true");
  if (edge && client->is_ip()) {
    if (*client == connection_->peer) fields.set_view("x-envoy-external-address", connection_->peer_ip());
    else fields.set("x-envoy-external-address", client->ip());
  }
  client_certificate_header();
  if (!c.via.empty()) {
    const auto* via = fields.find("via");
    fields.set("via", via ? std::string(via->value) + ", " + c.via : c.via);
  }
  // An id from outside is nobody's unless said otherwise.
  if (!c.generate_request_id) return true;
  if (edge && !c.preserve_request_id) fields.remove("x-request-id");
  if (!fields.has("x-request-id")) {
    char id[36];
    fields.add("x-request-id", worker_.new_request_id(id));
  }
  return true;
}

// x-forwarded-client-cert: who the client is by its certificate, as far as the configuration tells it on.
void Exchange::client_certificate_header() {
  constexpr std::string_view kName = "x-forwarded-client-cert";
  using Mode = HttpConfig::ClientCert;
  const HttpConfig& c = *config_;
  HeaderMap& fields = request_.fields;
  if (c.client_cert == Mode::kAlwaysForward) return;
  if (c.client_cert == Mode::kSanitize || !connection_->tls) {
    fields.remove(kName);
    return;
  }
  const io::TlsInfo* tls = info_.downstream_tls;
  if (!tls || !tls->peer) {
    fields.remove(kName);
    return;
  }
  if (c.client_cert == Mode::kForward) return;
  std::string element;
  auto add = [&](std::string_view key, std::string_view value, bool quoted = false) {
    if (!element.empty()) element += ';';
    element += key;
    element += quoted ? "=\"" : "=";
    element += value;
    if (quoted) element += '"';
  };
  if (tls->local)
    for (const auto& uri : tls->local->uris) add("By", uri);
  add("Hash", tls->peer->sha256);
  if (c.cert_pem && !tls->peer_chain_pem.empty()) add("Cert", base::url_encode(tls->peer_chain_pem[0]), true);
  if (c.cert_chain) add("Chain", base::url_encode(base::join(tls->peer_chain_pem, "")), true);
  if (c.cert_subject) add("Subject", base::replace_all(base::replace_all(tls->peer->subject, "\\", "\\\\"), "\"", "\\\""), true);
  if (c.cert_uri) {
    for (const auto& uri : tls->peer->uris) add("URI", uri);
    if (tls->peer->uris.empty()) add("URI", "");
  }
  if (c.cert_dns)
    for (const auto& name : tls->peer->dns_names) add("DNS", name);
  const HeaderMap::Field* before = c.client_cert == Mode::kAppend ? fields.find(kName) : nullptr;
  fields.set(kName, before && !before->value.empty() ? std::string(before->value) + "," + element : element);
}

// ----------------------------------------------------------------------------------------------- on the way up

void Exchange::prepare_request_headers() {
  HeaderMap& fields = request_.fields;
  std::erase_if(fields.fields(), [&](const HeaderMap::Field& f) {
    if (f.name == "upgrade" && upgrade_) return false;
    if (f.name == "te") return !has_member(f.value, "trailers");
    return is_hop_by_hop(f.name) || is_routers(f.name);
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

// Changes of the weighted cluster, the route, the virtual host and the table: in this order, so that the general one has the
// last word, unless the table says otherwise (Envoy: most_specific_header_mutations_wins).
template <class F>
void Exchange::each_mutation(F&& f) {
  if (!route_->changes_headers) return;
  const HeaderMutation* levels[] = {route_cluster_ ? &route_cluster_->headers : nullptr, &route_->mutation, &host_config_->mutation, &table_->mutation};
  if (table_->specific_wins) std::ranges::reverse(levels);
  for (const HeaderMutation* m : levels)
    if (m && !m->empty()) f(*m);
}

void Exchange::mutate_request() {
  each_mutation([this](const HeaderMutation& m) { apply(m.request_add, m.request_remove, request_.fields); });
}

void Exchange::rewrite_for_route() {
  HeaderMap& fields = request_.fields;
  std::string_view old_target = request_.target;
  if (!route_->prefix_rewrite.empty() || route_->regex_rewrite || route_->template_rewrite) {
    std::string_view path = request_.path();
    std::string target;
    if (route_->regex_rewrite) {
      target = route_->regex_rewrite->regex->replace_all(path, route_->regex_rewrite->substitution);
    } else if (route_->template_rewrite) {
      target = (*route_->template_rewrite)(path);
    } else {
      // A prefix, or the whole path of an exact match.
      size_t matched = route_->path.kind == PathMatch::Kind::kRegex ? path.size() : std::min(route_->path.text.size(), path.size());
      target = route_->prefix_rewrite;
      target += path.substr(matched);
    }
    // Nothing: another change of the request took the path out of the route's template.
    if (!target.empty() || !route_->template_rewrite) {
      target += request_.target.substr(path.size());
      if (target.empty() || target[0] != '/') target.insert(0, "/");
      if (!config_->suppress_envoy_headers) fields.set("x-envoy-original-path", old_target);
      request_.target = fields.store(target);
    }
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
    if (!config_->suppress_envoy_headers) fields.set("x-envoy-original-host", request_.authority);
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
  if (!local && request_complete_ && !config_->suppress_envoy_headers) {  // of a tunnel, or an answer before the request's end, there is no such time
    char digits[24];
    char* end = std::to_chars(digits, digits + sizeof digits, std::chrono::duration_cast<std::chrono::milliseconds>(worker_.now() - upstream_start_).count()).ptr;
    fields.set("x-envoy-upstream-service-time", std::string_view(digits, static_cast<size_t>(end - digits)));
  }
  info_.response = &response_;
  if (route_) {
    each_mutation([&](const HeaderMutation& m) { apply(m.response_add, m.response_remove, fields); });
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
  if (!config_->via.empty()) {
    const auto* via = fields.find("via");
    if (via) fields.set("via", std::string(via->value) + ", " + config_->via);
    else fields.add("via", config_->via);
  }
  info_.response_header_bytes = fields.byte_size();
}

}  // namespace fairlead::proxy
