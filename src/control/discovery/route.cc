#include "control/discovery/route.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "control/discovery/proto.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "http/message.h"

namespace fairlead::control {
namespace {

namespace route = envoy::config::route::v3;
using base::Value;
using envoy::type::matcher::v3::StringMatcher;
using envoy::type::v3::FractionalPercent;
using HeaderOptions = google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;
using Names = google::protobuf::RepeatedPtrField<std::string>;

constexpr const char* kRetryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

// ---- matches

void string_match(StringMatcher& out, const Value& in) {
  if (in.contains("exact")) out.set_exact(in["exact"].as_string());
  else if (in.contains("prefix")) out.set_prefix(in["prefix"].as_string());
  else if (in.contains("regex")) out.mutable_safe_regex()->set_regex(in["regex"].as_string());
}

// {} and the regex "*" ask for presence alone.
bool is_presence(const Value& in) {
  return (!in.contains("exact") && !in.contains("prefix") && !in.contains("regex")) || in["regex"].as_string() == "*";
}

void header_match(route::RouteMatch& out, const std::string& name, const Value& in, bool invert) {
  auto& header = *out.add_headers();
  header.set_name(name);
  if (is_presence(in)) {
    header.set_present_match(true);
  } else {
    string_match(*header.mutable_string_match(), in);
    if (invert) header.set_treat_missing_header_as_empty(true);
  }
  if (invert) header.set_invert_match(true);
}

std::vector<const base::Member*> sorted(const Value& map) {
  std::vector<const base::Member*> out;
  for (const auto& member : map.members()) out.push_back(&member);
  std::sort(out.begin(), out.end(), [](auto* a, auto* b) { return a->key < b->key; });
  return out;
}

void route_match(route::RouteMatch& out, const Value& in) {
  out.set_prefix("/");
  if (in.is_null()) return;
  std::vector<std::pair<const base::Member*, bool>> headers;
  for (const auto* h : sorted(in["headers"])) headers.emplace_back(h, false);
  for (const auto* h : sorted(in["withoutHeaders"])) headers.emplace_back(h, true);
  std::stable_sort(headers.begin(), headers.end(), [](auto& a, auto& b) { return a.first->key < b.first->key; });
  for (const auto& [member, invert] : headers) header_match(out, member->key, member->value, invert);
  const auto& uri = in["uri"];
  if (uri.contains("exact")) out.set_path(uri["exact"].as_string());
  else if (uri.contains("prefix")) out.set_prefix(uri["prefix"].as_string());
  else if (uri.contains("regex")) out.mutable_safe_regex()->set_regex(uri["regex"].as_string());
  out.mutable_case_sensitive()->set_value(!in["ignoreUriCase"].as_bool());
  if (in["method"].is_object()) header_match(out, ":method", in["method"], false);
  if (in["authority"].is_object()) header_match(out, ":authority", in["authority"], false);
  if (in["scheme"].is_object()) header_match(out, ":scheme", in["scheme"], false);
  for (const auto* q : sorted(in["queryParams"])) {
    auto& parameter = *out.add_query_parameters();
    parameter.set_name(q->key);
    if (is_presence(q->value)) parameter.set_present_match(true);
    else string_match(*parameter.mutable_string_match(), q->value);
  }
}

// Does a match condition apply to this proxy at all?
bool source_fits(const Context& context, const Value& match, const std::vector<std::string>& gateways) {
  if (match.is_null()) return true;
  if (const auto& wanted = match["gateways"]; !wanted.empty()) {
    return std::any_of(wanted.items().begin(), wanted.items().end(), [&](const Value& g) {
      return std::find(gateways.begin(), gateways.end(), g.as_string()) != gateways.end();
    });
  }
  if (!subset_of(labels_of(match["sourceLabels"]), context.labels())) return false;
  const std::string& ns = match["sourceNamespace"].as_string();
  return ns.empty() || ns == context.proxy().ns;
}

bool is_catch_all(const route::RouteMatch& match) {
  bool everything = match.path_specifier_case() == route::RouteMatch::kPrefix && match.prefix() == "/";
  if (match.path_specifier_case() == route::RouteMatch::kSafeRegex) everything = match.safe_regex().regex() == "*";
  return everything && match.headers().empty() && match.query_parameters().empty();
}

// ---- actions

// A sidecar's listener stands for one port: a destination without a port is on the same one. A gateway's does not.
std::string http_destination(const Context& context, const Value& destination, int port) {
  return destination_cluster(context, destination, port, context.proxy().router);
}

bool is_authority(std::string_view name) { return base::iequals(name, ":authority") || base::iequals(name, "host"); }
bool is_internal(std::string_view name) { return name.starts_with(':') || base::iequals(name, "host"); }

void add_headers(HeaderOptions& out, const Value& map, bool append, std::string* authority) {
  for (const auto* member : sorted(map)) {
    if (authority && is_authority(member->key)) *authority = member->value.as_string();
    if (is_internal(member->key)) continue;
    auto& option = *out.Add();
    option.mutable_header()->set_key(member->key);
    option.mutable_header()->set_value(member->value.as_string());
    option.set_append_action(append ? envoy::config::core::v3::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD
                                    : envoy::config::core::v3::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  }
}

void remove_headers(Names& out, const Value& list) {
  for (const auto& name : list.items())
    if (!is_internal(name.as_string())) *out.Add() = name.as_string();
}

// Both Route and WeightedCluster::ClusterWeight carry the four lists. Returns the authority to set, if any.
template <class Target>
std::string apply_headers(Target& out, const Value& headers) {
  const auto& request = headers["request"];
  const auto& response = headers["response"];
  std::string set_authority, add_authority;
  add_headers(*out.mutable_request_headers_to_add(), request["set"], false, &set_authority);
  add_headers(*out.mutable_request_headers_to_add(), request["add"], true, &add_authority);
  add_headers(*out.mutable_response_headers_to_add(), response["set"], false, nullptr);
  add_headers(*out.mutable_response_headers_to_add(), response["add"], true, nullptr);
  remove_headers(*out.mutable_request_headers_to_remove(), request["remove"]);
  remove_headers(*out.mutable_response_headers_to_remove(), response["remove"]);
  return set_authority.empty() ? add_authority : set_authority;
}

void set_timeout(route::RouteAction& action, const Value& timeout) {
  action.mutable_timeout();  // present and 0: none, where Envoy's own default is 15 s
  set_duration(action.mutable_timeout(), timeout);
  *max_grpc_timeout(action) = action.timeout();
}

void previous_hosts(route::RetryPolicy& out) {
  auto* predicate = out.add_retry_host_predicate();
  predicate->set_name("envoy.retry_host_predicates.previous_hosts");
  predicate->mutable_typed_config()->set_type_url(
      "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate");  // it has no fields
}

void retries(const Context& context, route::RouteAction& action, const Value& own, bool hashed) {
  const Value& in = own.is_object() ? own : context.snapshot().mesh.default_retry;
  if (in.is_object() && in["attempts"].as_int() <= 0) return;  // switched off
  auto& out = *action.mutable_retry_policy();
  out.mutable_num_retries()->set_value(in.is_object() ? static_cast<uint32_t>(in["attempts"].as_int()) : 2);
  out.set_retry_on(kRetryOn);
  out.set_host_selection_retry_max_attempts(5);
  bool ignore_previous = !hashed;
  if (in.is_object()) {
    if (const std::string& text = in["retryOn"].as_string(); !text.empty()) {
      std::vector<std::string> conditions;
      for (auto part : base::split(text, ',')) {
        part = base::trim(part);
        if (part.empty()) continue;
        auto code = base::to_int(part);
        if (code && http::reason_phrase(static_cast<int>(*code)) != "Unknown") {
          out.add_retriable_status_codes(static_cast<uint32_t>(*code));
        } else {
          conditions.emplace_back(part);
        }
      }
      bool named = std::find(conditions.begin(), conditions.end(), "retriable-status-codes") != conditions.end();
      if (out.retriable_status_codes_size() > 0 && !named) conditions.emplace_back("retriable-status-codes");
      out.set_retry_on(base::join(conditions, ","));
    }
    if (base::parse_duration(in["perTryTimeout"].as_string())) set_duration(out.mutable_per_try_timeout(), in["perTryTimeout"]);
    if (in["retryIgnorePreviousHosts"].is_bool()) ignore_previous = in["retryIgnorePreviousHosts"].as_bool();
    if (base::parse_duration(in["backoff"].as_string()))
      set_duration(out.mutable_retry_back_off()->mutable_base_interval(), in["backoff"]);
  }
  if (ignore_previous) previous_hosts(out);
}

void percent(FractionalPercent& out, const Value& percentage, const Value& old_percent, std::optional<uint32_t> otherwise) {
  if (percentage.is_object()) {
    out.set_numerator(static_cast<uint32_t>(percentage["value"].as_double() * 10000));
    out.set_denominator(FractionalPercent::MILLION);
    return;
  }
  out.set_numerator(old_percent.is_number() ? static_cast<uint32_t>(old_percent.as_int()) : otherwise.value_or(0));
  out.set_denominator(FractionalPercent::HUNDRED);
}

void fault(Route& out, const Value& in) {
  envoy::extensions::filters::http::fault::v3::HTTPFault fault;
  if (const auto& delay = in["delay"]; delay.is_object() && base::parse_duration(delay["fixedDelay"].as_string())) {
    percent(*fault.mutable_delay()->mutable_percentage(), delay["percentage"], delay["percent"], std::nullopt);
    set_duration(fault.mutable_delay()->mutable_fixed_delay(), delay["fixedDelay"]);
  }
  if (const auto& abort = in["abort"]; abort.is_object()) {
    if (abort["percentage"].is_object() || abort["percent"].is_number())
      percent(*fault.mutable_abort()->mutable_percentage(), abort["percentage"], abort["percent"], std::nullopt);
    if (abort["grpcStatus"].is_string()) {
      static constexpr const char* kNames[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
                                               "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
                                               "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
                                               "UNAUTHENTICATED"};
      for (uint32_t i = 0; i < std::size(kNames); ++i)
        if (abort["grpcStatus"].as_string() == kNames[i]) fault.mutable_abort()->set_grpc_status(i);
    } else {
      fault.mutable_abort()->set_http_status(static_cast<uint32_t>(abort["httpStatus"].as_int()));
    }
  }
  pack(&(*out.mutable_typed_per_filter_config())["envoy.filters.http.fault"], fault);
}

std::string joined(const Value& list) {
  std::vector<std::string> out;
  for (const auto& item : list.items()) out.push_back(item.as_string());
  return base::join(out, ",");
}

void cors(Route& out, const Value& in) {
  envoy::extensions::filters::http::cors::v3::CorsPolicy cors;
  if (in.contains("allowOrigins")) {
    for (const auto& origin : in["allowOrigins"].items()) string_match(*cors.add_allow_origin_string_match(), origin);
  } else {
    for (const auto& origin : in["allowOrigin"].items()) cors.add_allow_origin_string_match()->set_exact(origin.as_string());
  }
  cors.mutable_filter_enabled()->mutable_default_value()->set_numerator(100);
  if (in["allowCredentials"].is_bool()) cors.mutable_allow_credentials()->set_value(in["allowCredentials"].as_bool());
  cors.set_allow_headers(joined(in["allowHeaders"]));
  cors.set_allow_methods(joined(in["allowMethods"]));
  cors.set_expose_headers(joined(in["exposeHeaders"]));
  if (auto age = base::parse_duration(in["maxAge"].as_string()))
    cors.set_max_age(std::to_string(std::chrono::duration_cast<std::chrono::seconds>(*age).count()));
  cors.mutable_forward_not_matching_preflights()->set_value(in["unmatchedPreflights"].as_string() != "IGNORE");
  pack(&(*out.mutable_typed_per_filter_config())["envoy.filters.http.cors"], cors);
}

bool redirect(Route& out, const Value& in, int port, bool tls) {
  auto& action = *out.mutable_redirect();
  action.set_host_redirect(in["authority"].as_string());
  if (const std::string& prefix = in["prefixRewrite"].as_string(); !prefix.empty()) action.set_prefix_rewrite(prefix);
  else action.set_path_redirect(in["uri"].as_string());
  const std::string& scheme = in["scheme"].as_string();
  if (!scheme.empty()) action.set_scheme_redirect(scheme);
  uint32_t to_port = 0;
  if (in["derivePort"].as_string() == "FROM_REQUEST_PORT") to_port = static_cast<uint32_t>(port);
  else if (in["port"].is_int()) to_port = static_cast<uint32_t>(in["port"].as_int());
  std::string effective = scheme.empty() ? (tls ? "https" : "http") : scheme;
  if ((to_port == 80 && effective == "http") || (to_port == 443 && effective == "https")) to_port = 0;
  if (to_port) action.set_port_redirect(to_port);
  switch (in["redirectCode"].as_int()) {
    case 0: case 301: action.set_response_code(route::RedirectAction::MOVED_PERMANENTLY); break;
    case 302: action.set_response_code(route::RedirectAction::FOUND); break;
    case 303: action.set_response_code(route::RedirectAction::SEE_OTHER); break;
    case 307: action.set_response_code(route::RedirectAction::TEMPORARY_REDIRECT); break;
    case 308: action.set_response_code(route::RedirectAction::PERMANENT_REDIRECT); break;
    default: return false;
  }
  return true;
}

void direct_response(Route& out, const Value& in) {
  auto& action = *out.mutable_direct_response();
  action.set_status(static_cast<uint32_t>(in["status"].as_int()));
  if (in["body"].contains("string")) action.mutable_body()->set_inline_string(in["body"]["string"].as_string());
  else if (in["body"].contains("bytes"))
    action.mutable_body()->set_inline_bytes(base::base64_decode(in["body"]["bytes"].as_string()).value_or(""));
}

void mirror(const Context& context, route::RouteAction& action, const Value& destination, const Value& percentage,
            const Value& old_percent, int port) {
  if (percentage.is_object() && percentage["value"].as_double() <= 0) return;
  if (!percentage.is_object() && old_percent.is_int() && old_percent.as_int() <= 0) return;
  auto& policy = *action.add_request_mirror_policies();
  policy.set_cluster(http_destination(context, destination, port));
  percent(*policy.mutable_runtime_fraction()->mutable_default_value(), percentage, old_percent, 100);
  policy.set_disable_shadow_host_suffix_append(true);
}

// A consistent hash in the DestinationRule needs its counterpart on the route. False: no hashing.
bool hash_policy(const Context& context, route::RouteAction& action, const std::string& cluster) {
  auto key = parse_cluster_name(cluster);
  const Service* service = key ? context.find(key->host) : nullptr;
  if (!service) return false;
  Rule rule = rule_of(context.snapshot(), context.proxy(), service->host, service->ns);
  const Value* balancer = rule.policy ? &(*rule.policy)["loadBalancer"] : nullptr;
  for (const auto* subset : rule.subsets)
    if ((*subset)["name"].as_string() == key->subset && (*subset)["trafficPolicy"]["loadBalancer"].is_object())
      balancer = &(*subset)["trafficPolicy"]["loadBalancer"];
  if (!balancer || !(*balancer)["consistentHash"].is_object()) return false;
  const Value& hash = (*balancer)["consistentHash"];
  if (hash["httpHeaderName"].is_string()) {
    action.add_hash_policy()->mutable_header()->set_header_name(hash["httpHeaderName"].as_string());
  } else if (hash["httpCookie"].is_object()) {
    auto& cookie = *action.add_hash_policy()->mutable_cookie();
    cookie.set_name(hash["httpCookie"]["name"].as_string());
    cookie.set_path(hash["httpCookie"]["path"].as_string());
    if (base::parse_duration(hash["httpCookie"]["ttl"].as_string())) set_duration(cookie.mutable_ttl(), hash["httpCookie"]["ttl"]);
  } else if (hash["useSourceIp"].as_bool()) {
    action.add_hash_policy()->mutable_connection_properties()->set_source_ip(true);
  } else if (hash["httpQueryParameterName"].is_string()) {
    action.add_hash_policy()->mutable_query_parameter()->set_name(hash["httpQueryParameterName"].as_string());
  } else {
    return false;
  }
  return true;
}

void forward(const Context& context, Route& out, const Value& in, std::string authority, int port) {
  auto& action = *out.mutable_route();
  set_timeout(action, in["timeout"]);
  if (const auto& rewrite = in["rewrite"]; rewrite.is_object()) {
    if (const auto& regex = rewrite["uriRegexRewrite"]; regex.is_object()) {
      action.mutable_regex_rewrite()->mutable_pattern()->set_regex(regex["match"].as_string());
      action.mutable_regex_rewrite()->set_substitution(regex["rewrite"].as_string());
    } else if (const std::string& uri = rewrite["uri"].as_string(); !uri.empty()) {
      action.set_prefix_rewrite(uri);
    }
    if (const std::string& host = rewrite["authority"].as_string(); !host.empty()) authority = host;
  }
  if (in["mirror"].is_object()) mirror(context, action, in["mirror"], in["mirrorPercentage"], in["mirrorPercent"], port);
  for (const auto& m : in["mirrors"].items()) mirror(context, action, m["destination"], m["percentage"], Value(), port);

  bool hashed = false;
  const auto& destinations = in["route"].items();
  if (destinations.size() == 1) {
    action.set_cluster(http_destination(context, destinations[0]["destination"], port));
    std::string own = apply_headers(out, destinations[0]["headers"]);
    if (authority.empty()) authority = own;
    hashed = hash_policy(context, action, action.cluster());
  } else {
    auto& weighted = *action.mutable_weighted_clusters();
    for (const auto& destination : destinations) {
      if (destination["weight"].as_int() == 0) continue;
      auto& cluster = *weighted.add_clusters();
      cluster.set_name(http_destination(context, destination["destination"], port));
      cluster.mutable_weight()->set_value(static_cast<uint32_t>(destination["weight"].as_int()));
      std::string own = apply_headers(cluster, destination["headers"]);
      if (!own.empty()) cluster.set_host_rewrite_literal(own);
      hash_policy(context, action, cluster.name());
    }
  }
  if (!authority.empty()) action.set_host_rewrite_literal(authority);
  retries(context, action, in["retries"], hashed);
}

std::string operation(const Route& in, const std::string& name, int port) {
  std::string path = "/*";
  switch (in.match().path_specifier_case()) {
    case route::RouteMatch::kPrefix: path = in.match().prefix() + "*"; break;
    case route::RouteMatch::kPath: path = in.match().path(); break;
    case route::RouteMatch::kSafeRegex: path = in.match().safe_regex().regex(); break;
    default: break;
  }
  if (auto key = parse_cluster_name(in.route().cluster())) return fmt::format("{}:{}{}", key->host, key->port, path);
  return fmt::format("{}:{}{}", name, port, path);
}

std::optional<Route> translate(const Context& context, const Config& config, const Value& in, const Value& match, int port,
                               const std::vector<std::string>& gateways, bool tls) {
  if (match["port"].as_int() != 0 && match["port"].as_int() != port) return std::nullopt;
  if (!source_fits(context, match, gateways)) return std::nullopt;
  Route out;
  std::string name = in["name"].as_string();
  if (const std::string& own = match["name"].as_string(); !own.empty()) name += "." + own;
  out.set_name(name);
  route_match(*out.mutable_match(), match);
  set_config_metadata(out.mutable_metadata(), config_path(config));
  if (const std::string& prefix = match["statPrefix"].as_string(); !prefix.empty()) out.set_stat_prefix(prefix);
  std::string authority = apply_headers(out, in["headers"]);
  if (in["redirect"].is_object()) {
    if (!redirect(out, in["redirect"], port, tls)) return std::nullopt;
  } else if (in["directResponse"].is_object()) {
    direct_response(out, in["directResponse"]);
  } else {
    forward(context, out, in, authority, port);
  }
  out.mutable_decorator()->set_operation(operation(out, config.name, port));
  if (in["fault"].is_object()) fault(out, in["fault"]);
  if (in["corsPolicy"].is_object()) cors(out, in["corsPolicy"]);
  return out;
}

}  // namespace

std::vector<Route> virtual_service_routes(const Context& context, const Config& config, int port,
                                          const std::vector<std::string>& gateways, bool tls) {
  std::vector<Route> out;
  for (const auto& in : config.spec["http"].items()) {
    const auto& matches = in["match"].items();
    if (matches.empty()) {
      if (auto r = translate(context, config, in, Value(), port, gateways, tls)) out.push_back(std::move(*r));
      return out;  // nothing after it can be reached
    }
    for (const auto& match : matches) {
      auto r = translate(context, config, in, match, port, gateways, tls);
      if (!r) continue;
      out.push_back(std::move(*r));
      if (is_catch_all(out.back().match())) return out;
    }
  }
  return out;
}

Route default_outbound_route(const Context& context, const Service& service, const Port& port) {
  Route out;
  out.set_name("default");
  out.mutable_match()->set_prefix("/");
  auto& action = *out.mutable_route();
  action.set_cluster(cluster_name("outbound", port.number, "", service.host));
  set_timeout(action, Value());
  bool hashed = hash_policy(context, action, action.cluster());
  retries(context, action, Value(), hashed);
  out.mutable_decorator()->set_operation(fmt::format("{}:{}/*", service.host, port.number));
  return out;
}

void fill_inbound_routes(RouteConfiguration& out, const std::string& cluster, const std::string& operation, int port, bool grpc) {
  out.set_name(cluster);
  out.mutable_validate_clusters()->set_value(false);
  auto& host = *out.add_virtual_hosts();
  host.set_name(fmt::format("inbound|http|{}", port));
  host.add_domains(std::string("*"));
  auto& r = *host.add_routes();
  r.set_name("default");
  r.mutable_match()->set_prefix("/");
  auto& action = *r.mutable_route();
  action.set_cluster(cluster);
  action.mutable_timeout();
  action.mutable_max_stream_duration()->mutable_max_stream_duration();
  action.mutable_max_stream_duration()->mutable_grpc_timeout_header_max();
  // The application closed an idle connection just as the request came: safe to try once more on a new one.
  if (!grpc) {
    action.mutable_retry_policy()->set_retry_on("reset-before-request");
    action.mutable_retry_policy()->mutable_num_retries()->set_value(2);
  }
  r.mutable_decorator()->set_operation(operation);
}

void fill_common(RouteConfiguration& out, const std::string& name) {
  out.set_name(name);
  out.mutable_validate_clusters()->set_value(false);  // a route to what is not there breaks alone, with 503 NC
  out.mutable_max_direct_response_body_size_bytes()->set_value(1u << 20);
  out.set_ignore_port_in_host_matching(true);
}

}  // namespace fairlead::control
