// Look-up in compiled routes, and small parsers of route fields.
#include <algorithm>

#include "base/strings.h"
#include "http/grpc.h"
#include "proxy/config/model.h"
#include "proxy/config/route_index.h"

namespace fairlead::proxy {

ClusterId ClusterNames::id(std::string_view name) {
  if (auto at = ids_.find(name); at != ids_.end()) return at->second;
  ClusterId id = static_cast<ClusterId>(names_.size());
  names_.emplace_back(name);
  ids_.emplace(std::string(name), id);
  return id;
}

uint32_t parse_retry_on(std::string_view text) {
  static constexpr std::pair<std::string_view, uint32_t> kWords[] = {
      {"5xx", kRetry5xx},
      {"gateway-error", kRetryGatewayError},
      {"reset", kRetryReset},
      {"reset-before-request", kRetryResetBeforeRequest},
      {"connect-failure", kRetryConnectFailure},
      {"refused-stream", kRetryRefusedStream},
      {"retriable-4xx", kRetryRetriable4xx},
      {"retriable-status-codes", kRetryRetriableStatusCodes},
      {"retriable-headers", kRetryRetriableHeaders},
      {"envoy-ratelimited", kRetryEnvoyRatelimited},
      {"cancelled", kRetryGrpcCancelled},
      {"deadline-exceeded", kRetryGrpcDeadlineExceeded},
      {"internal", kRetryGrpcInternal},
      {"resource-exhausted", kRetryGrpcResourceExhausted},
      {"unavailable", kRetryGrpcUnavailable},
  };
  uint32_t bits = 0;
  for (std::string_view word : base::split(text, ',')) {
    word = base::trim(word);
    for (auto& [name, bit] : kWords)
      if (name == word) bits |= bit;
  }
  return bits;
}

bool PathMatch::matches(std::string_view path, std::string_view method) const {
  auto starts = [&](std::string_view prefix) {
    return ignore_case ? base::iequals(path.substr(0, prefix.size()), prefix) : path.starts_with(prefix);
  };
  switch (kind) {
    case Kind::kPrefix:
      return starts(text);
    case Kind::kExact:
      return ignore_case ? base::iequals(path, text) : path == text;
    case Kind::kRegex:
    case Kind::kTemplate:
      return regex->full_match(path);
    case Kind::kSeparatedPrefix:
      return starts(text) && (path.size() == text.size() || path[text.size()] == '/');
    case Kind::kConnect:
      return method == "CONNECT";
  }
  return false;
}

const VirtualHost* RouteTable::find_host(std::string_view authority) const {
  if (hosts.size() == 1 && any) return &hosts[0];
  char lower[256];
  std::string long_name;
  std::string_view name = authority;
  if (ignore_port) {
    size_t colon = name.rfind(':');
    if (colon != std::string_view::npos && name.find_first_not_of("0123456789", colon + 1) == std::string_view::npos)
      name = name.substr(0, colon);
  }
  if (name.size() <= sizeof lower) {
    for (size_t i = 0; i < name.size(); ++i) lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] + 32) : name[i];
    name = std::string_view(lower, name.size());
  } else {
    long_name = base::to_lower(name);
    name = long_name;
  }
  if (auto at = exact.find(name); at != exact.end()) return &hosts[at->second];
  for (const auto& [length, table] : suffixes) {
    // The star stands for one character or more.
    if (name.size() <= length) continue;
    if (auto at = table.find(name.substr(name.size() - length)); at != table.end()) return &hosts[at->second];
  }
  for (const auto& [length, table] : prefixes) {
    if (name.size() <= length) continue;
    if (auto at = table.find(name.substr(0, length)); at != table.end()) return &hosts[at->second];
  }
  return any ? &hosts[*any] : nullptr;
}

const Route* RouteTable::find_route(const VirtualHost& host, const RequestHeaders& request, uint64_t random) const {
  std::string_view path = request.path();
  if (ignore_parameters) path = path.substr(0, path.find(';'));
  auto takes = [&](const Route& route) {
    if (!route.path.matches(path, request.method)) return false;
    if (!route.headers.empty() && !all_match(route.headers, request)) return false;
    if (route.grpc && !http::is_grpc_type(request.fields.get("content-type"))) return false;
    if (asks_certificate) {
      if (route.certificate_presented.value_or(request.certificate_presented) != request.certificate_presented) return false;
      if (route.certificate_validated.value_or(request.certificate_validated) != request.certificate_validated) return false;
    }
    if (route.fraction && !route.fraction->hit(random)) return false;
    return route.query.empty() || std::ranges::all_of(route.query, [q = request.query()](const QueryMatcher& m) { return m.matches(q); });
  };
  if (host.index) return host.index->find(host.routes, path, takes);
  for (const Route& route : host.routes)
    if (takes(route)) return &route;
  return nullptr;
}

}  // namespace fairlead::proxy
