// RouteConfiguration -> RouteTable.
#include <google/protobuf/struct.pb.h>

#include <algorithm>

#include "base/strings.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "envoy/type/v3/range.pb.h"
#include "envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config.pb.h"
#include "envoy/extensions/internal_redirect/previous_routes/v3/previous_routes_config.pb.h"
#include "envoy/extensions/internal_redirect/safe_cross_scheme/v3/safe_cross_scheme_config.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite.pb.h"
#include "proxy/config/compile_filters.h"
#include "proxy/config/route_index.h"
#include "proxy/filters/cors.h"
#include "proxy/filters/registry.h"

namespace fairlead::proxy {

namespace route_v3 = envoy::config::route::v3;
namespace core_v3 = envoy::config::core::v3;

HeaderMutation::Add compile_header_option(const CompileContext& at, const core_v3::HeaderValueOption& option) {
  HeaderMutation::Add a;
  a.name = base::to_lower(option.header().key());
  if (a.name.empty()) at.at("header.key").refuse("a header name is required");
  a.value = compile_format(at.at("header.value"), option.header().value());
  a.value.empty_values_omitted = true;
  a.keep_empty = option.keep_empty_value();
  switch (option.append_action()) {
    case core_v3::HeaderValueOption::ADD_IF_ABSENT:
      a.append = HeaderMutation::Append::kAddIfAbsent;
      break;
    case core_v3::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD:
      a.append = HeaderMutation::Append::kOverwrite;
      break;
    case core_v3::HeaderValueOption::OVERWRITE_IF_EXISTS:
      a.append = HeaderMutation::Append::kOverwriteIfExists;
      break;
    default:
      a.append = HeaderMutation::Append::kAppend;
  }
  // The older spelling: append defaults to true.
  if (option.has_append() && !option.append().value()) a.append = HeaderMutation::Append::kOverwrite;
  return a;
}


void compile_header_options(const CompileContext& at, std::string_view add_field, const google::protobuf::RepeatedPtrField<core_v3::HeaderValueOption>& adds,
                            std::vector<HeaderMutation::Add>& add) {
  int i = 0;
  for (const auto& option : adds) add.push_back(compile_header_option(at.at(add_field, i++), option));
}

namespace {

template <class Adds, class Removes>
void headers_to(const CompileContext& at, std::string_view add_field, const Adds& adds, const Removes& removes,
                std::vector<HeaderMutation::Add>& add, std::vector<std::string>& remove) {
  compile_header_options(at, add_field, adds, add);
  for (const auto& name : removes) remove.push_back(base::to_lower(name));
}

template <class From>
HeaderMutation mutation(const CompileContext& at, const From& from) {
  HeaderMutation m;
  headers_to(at, "request_headers_to_add", from.request_headers_to_add(), from.request_headers_to_remove(), m.request_add, m.request_remove);
  headers_to(at, "response_headers_to_add", from.response_headers_to_add(), from.response_headers_to_remove(), m.response_add, m.response_remove);
  return m;
}

PerFilter per_filter(const CompileContext& at, const google::protobuf::Map<std::string, google::protobuf::Any>& from) {
  PerFilter out;
  std::map<std::string, const google::protobuf::Any*> sorted;
  for (const auto& [name, any] : from) sorted[name] = &any;
  for (auto& [name, outer] : sorted) {
    CompileContext here = at.at("typed_per_filter_config").at("\"" + name + "\"");
    const google::protobuf::Any* any = outer;
    route_v3::FilterConfig wrapped;
    bool optional = false;
    if (any_is<route_v3::FilterConfig>(*any)) {
      wrapped = unpack<route_v3::FilterConfig>(here, *any);
      optional = wrapped.is_optional();
      any = &wrapped.config();
    }
    FilterSource source(name, *any);
    PerFilter::Entry entry{name, nullptr, wrapped.disabled()};
    if (const FilterType* type = find_route_filter(source)) {
      entry.config = type->compile_route(here, source);
    } else if (short_type(*any).empty()) {
      // Only switched off, or nothing said.
    } else if (optional || is_silent_filter(source.type)) {
      here.warn("typed_per_filter_config " + name);
    } else {
      here.refuse("the filter {} of type {} is not known; mark it is_optional to go on without it", name, source.type);
    }
    out.entries.push_back(std::move(entry));
  }
  return out;
}

void redirect_predicate(const CompileContext& at, const google::protobuf::Any& from, RedirectPolicy& to) {
  namespace predicates = envoy::extensions::internal_redirect;
  if (any_is<predicates::allow_listed_routes::v3::AllowListedRoutesConfig>(from)) {
    auto listed = unpack<predicates::allow_listed_routes::v3::AllowListedRoutesConfig>(at, from);
    to.allowed_routes.emplace_back(listed.allowed_route_names().begin(), listed.allowed_route_names().end());
  } else if (any_is<predicates::previous_routes::v3::PreviousRoutesConfig>(from)) {
    to.no_route_twice = true;
  } else if (any_is<predicates::safe_cross_scheme::v3::SafeCrossSchemeConfig>(from)) {
    to.safe_cross_scheme = true;
  } else {
    at.refuse("the predicate {} is not known; give allow_listed_routes, previous_routes or safe_cross_scheme", short_type(from));
  }
}

std::shared_ptr<const RedirectPolicy> redirect_policy(const CompileContext& at, const route_v3::InternalRedirectPolicy& from) {
  auto p = std::make_shared<RedirectPolicy>();
  if (from.has_max_internal_redirects()) p->most = from.max_internal_redirects().value();
  if (from.redirect_response_codes_size() > 5) at.at("redirect_response_codes").refuse("there are five such codes, 301, 302, 303, 307 and 308, not {}", from.redirect_response_codes_size());
  if (from.redirect_response_codes_size()) p->codes.clear();
  for (uint32_t code : from.redirect_response_codes())
    if (code == 301 || code == 302 || code == 303 || code == 307 || code == 308) p->codes.push_back(static_cast<int>(code));  // others are nothing to follow
  for (int i = 0; i < from.predicates_size(); ++i) redirect_predicate(at.at("predicates", i).at("typed_config"), from.predicates(i).typed_config(), *p);
  p->cross_scheme = from.allow_cross_scheme_redirect();
  for (int i = 0; i < from.response_headers_to_copy_size(); ++i) {
    std::string name = base::to_lower(from.response_headers_to_copy(i));
    if (name.empty() || name.starts_with(':') || name == "host") at.at("response_headers_to_copy", i).refuse("\"{}\" can't be copied: it is part of the new address", name);
    p->copied.push_back(std::move(name));
  }
  return p;
}

std::shared_ptr<const RetryPolicy> retry_policy(const CompileContext& at, const route_v3::RetryPolicy& from) {
  auto p = std::make_shared<RetryPolicy>();
  p->retry_on = parse_retry_on(from.retry_on());
  if (from.has_num_retries()) p->num_retries = from.num_retries().value();
  if (from.has_per_try_timeout()) p->per_try_timeout = nanos(from.per_try_timeout());
  for (auto code : from.retriable_status_codes()) p->status_codes.push_back(static_cast<uint16_t>(code));
  if (from.has_per_try_idle_timeout()) p->per_try_idle_timeout = nanos(from.per_try_idle_timeout());
  int i = 0;
  for (const auto& h : from.retriable_request_headers()) p->request_headers.push_back(compile_header(at.at("retriable_request_headers", i++), h));
  if (from.has_rate_limited_retry_back_off()) {
    const auto& limited = from.rate_limited_retry_back_off();
    using R = route_v3::RetryPolicy;
    if (limited.reset_headers_size() == 0) at.at("rate_limited_retry_back_off.reset_headers").refuse("at least one is required");
    for (const auto& h : limited.reset_headers()) p->reset_headers.push_back({base::to_lower(h.name()), h.format() == R::UNIX_TIMESTAMP});
    if (limited.has_max_interval()) p->rate_limited_max = nanos(limited.max_interval());
  }
  i = 0;
  for (const auto& h : from.retriable_headers()) p->retriable_headers.push_back(compile_header(at.at("retriable_headers", i++), h));
  if (from.has_retry_back_off()) {
    p->base_interval = nanos(from.retry_back_off().base_interval());
    p->max_interval = from.retry_back_off().has_max_interval() ? nanos(from.retry_back_off().max_interval()) : 10 * p->base_interval;
    if (p->base_interval < std::chrono::milliseconds(1)) p->base_interval = std::chrono::milliseconds(1);
  }
  if (from.host_selection_retry_max_attempts() > 0) p->host_attempts = static_cast<uint32_t>(std::min<int64_t>(from.host_selection_retry_max_attempts(), 32));
  for (const auto& predicate : from.retry_host_predicate()) {
    if (predicate.name() == "envoy.retry_host_predicates.previous_hosts" || short_type(predicate.typed_config()).ends_with("PreviousHostsPredicate"))
      p->previous_hosts = true;
    else
      at.at("retry_host_predicate").warn(predicate.name());
  }
  return p;
}

const std::string& check_template(const CompileContext& at, const std::string& text) {
  if (text.empty() || text.size() > 256) at.refuse("a path template has 1 to 256 characters");
  return text;
}

RegexRewrite regex_rewrite(const CompileContext& at, const auto& from) {
  return {compile_regex(at.at("pattern"), from.pattern()), from.substitution()};
}

Mirror mirror(const CompileContext& at, const route_v3::RouteAction::RequestMirrorPolicy& from) {
  Mirror m;
  if (from.cluster().empty() == from.cluster_header().empty()) at.at("cluster").refuse("name one of cluster and cluster_header");
  m.name = from.cluster();
  m.cluster_header = base::to_lower(from.cluster_header());
  if (!m.name.empty()) m.id = at.names.id(m.name);
  m.keep_host = from.disable_shadow_host_suffix_append();
  if (from.has_runtime_fraction()) m.fraction = compile_fraction(from.runtime_fraction().default_value());
  return m;
}

void path_rewrite(const CompileContext& at, const core_v3::TypedExtensionConfig& from, Route& route) {
  using Config = envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig;
  if (!any_is<Config>(from.typed_config())) at.refuse("the type {} is not known; give a UriTemplateRewriteConfig", short_type(from.typed_config()));
  if (route.path.kind != PathMatch::Kind::kTemplate) at.refuse("a path template needs a path_match_policy with another");
  CompileContext here = at.at("path_template_rewrite");
  auto config = unpack<Config>(at, from.typed_config());
  auto made = UriRewrite::make(check_template(here, config.path_template_rewrite()), route.path.regex);
  if (!made) here.refuse("{}", made.error().message);
  route.template_rewrite = std::move(*made);
}

void forward(const CompileContext& at, const route_v3::RouteAction& from, Route& route) {
  using A = route_v3::RouteAction;
  switch (from.cluster_specifier_case()) {
    case A::kCluster:
      route.clusters.push_back({at.names.id(from.cluster()), from.cluster(), 1, {}, {}, {}});
      break;
    case A::kClusterHeader:
      route.cluster_header = base::to_lower(from.cluster_header());
      break;
    case A::kWeightedClusters: {
      CompileContext here = at.at("weighted_clusters");
      route.weights_header = base::to_lower(from.weighted_clusters().header_name());
      int i = 0;
      for (const auto& c : from.weighted_clusters().clusters()) {
        CompileContext one = here.at("clusters", i++);
        if (c.name().empty() == c.cluster_header().empty()) one.at("name").refuse("name one of name and cluster_header");
        RouteCluster rc;
        rc.name = c.name();
        rc.cluster_header = base::to_lower(c.cluster_header());
        if (!rc.name.empty()) rc.id = at.names.id(rc.name);
        rc.weight = c.weight().value();
        rc.host_rewrite = c.host_rewrite_literal();
        rc.headers = mutation(one, c);
        rc.filters = per_filter(one, c.typed_per_filter_config());
        route.total_weight += rc.weight;
        route.clusters.push_back(std::move(rc));
      }
      if (route.clusters.empty() || route.total_weight == 0) here.refuse("the sum of the weights must be more than 0");
      break;
    }
    default:
      at.refuse("a cluster is required: cluster, cluster_header or weighted_clusters");
  }
  switch (from.cluster_not_found_response_code()) {
    case A::NOT_FOUND:
      route.cluster_not_found_status = 404;
      break;
    case A::INTERNAL_SERVER_ERROR:
      route.cluster_not_found_status = 500;
      break;
    default:
      route.cluster_not_found_status = 503;
  }
  if (from.has_timeout()) route.timeout = nanos(from.timeout());
  if (from.has_idle_timeout()) route.idle_timeout = nanos(from.idle_timeout());
  if (from.has_max_grpc_timeout()) route.max_grpc_timeout = nanos(from.max_grpc_timeout());
  if (from.has_max_stream_duration()) {
    if (from.max_stream_duration().has_max_stream_duration()) route.max_stream_duration = nanos(from.max_stream_duration().max_stream_duration());
    if (from.max_stream_duration().has_grpc_timeout_header_max()) route.grpc_timeout_header_max = nanos(from.max_stream_duration().grpc_timeout_header_max());
    route.grpc_timeout_header_offset = nanos(from.max_stream_duration().grpc_timeout_header_offset());
  }
  if (from.has_retry_policy()) route.retry = retry_policy(at.at("retry_policy"), from.retry_policy());
  if (from.has_internal_redirect_policy()) {
    route.redirects = redirect_policy(at.at("internal_redirect_policy"), from.internal_redirect_policy());
  } else if (from.internal_redirect_action() == A::HANDLE_INTERNAL_REDIRECT) {
    auto p = std::make_shared<RedirectPolicy>();
    if (from.has_max_internal_redirects()) p->most = from.max_internal_redirects().value();
    route.redirects = std::move(p);
  }
  route.prefix_rewrite = from.prefix_rewrite();
  if (from.has_regex_rewrite()) route.regex_rewrite = regex_rewrite(at.at("regex_rewrite"), from.regex_rewrite());
  if (!route.prefix_rewrite.empty() + route.regex_rewrite.has_value() + from.has_path_rewrite_policy() > 1) at.refuse("prefix_rewrite, regex_rewrite and path_rewrite_policy exclude each other");
  if (!route.prefix_rewrite.empty() && route.path.kind == PathMatch::Kind::kTemplate) at.at("prefix_rewrite").refuse("a path template has no prefix; give path_rewrite_policy or regex_rewrite");
  if (from.has_path_rewrite_policy()) path_rewrite(at.at("path_rewrite_policy.typed_config"), from.path_rewrite_policy(), route);
  route.host_rewrite = from.host_rewrite_literal();
  route.auto_host_rewrite = from.has_auto_host_rewrite() && from.auto_host_rewrite().value();
  route.host_rewrite_header = base::to_lower(from.host_rewrite_header());
  if (from.has_host_rewrite_path_regex()) route.host_rewrite_path = regex_rewrite(at.at("host_rewrite_path_regex"), from.host_rewrite_path_regex());
  route.append_forwarded_host = from.append_x_forwarded_host();
  int i = 0;
  for (const auto& m : from.request_mirror_policies()) route.mirrors.push_back(mirror(at.at("request_mirror_policies", i++), m));
  i = 0;
  for (const auto& h : from.hash_policy()) {
    CompileContext here = at.at("hash_policy", i++);
    HashPolicy p;
    p.terminal = h.terminal();
    using H = A::HashPolicy;
    switch (h.policy_specifier_case()) {
      case H::kHeader:
        p.kind = HashPolicy::Kind::kHeader;
        p.name = base::to_lower(h.header().header_name());
        if (h.header().has_regex_rewrite()) p.rewrite = regex_rewrite(here.at("header.regex_rewrite"), h.header().regex_rewrite());
        break;
      case H::kCookie:
        p.kind = HashPolicy::Kind::kCookie;
        p.name = h.cookie().name();
        p.cookie_path = h.cookie().path();
        for (const auto& a : h.cookie().attributes()) p.cookie_attributes += "; " + a.name() + (a.value().empty() ? "" : "=" + a.value());
        if (h.cookie().has_ttl()) p.cookie_ttl = nanos(h.cookie().ttl());
        break;
      case H::kConnectionProperties:
        p.kind = HashPolicy::Kind::kSourceIp;
        break;
      case H::kQueryParameter:
        p.kind = HashPolicy::Kind::kQuery;
        p.name = h.query_parameter().name();
        break;
      default:
        here.refuse("one of header, cookie, connection_properties, query_parameter is required");
    }
    route.hash.push_back(std::move(p));
  }
  route.high_priority = from.priority() == core_v3::HIGH;
  route.rate_limits = compile_rate_limits(at, "rate_limits", from.rate_limits());
  route.include_host_rate_limits = from.include_vh_rate_limits().value();
  for (int i = 0; i < from.upgrade_configs_size(); ++i) {
    const auto& u = from.upgrade_configs(i);
    std::string type = base::to_lower(u.upgrade_type());
    bool enabled = !u.has_enabled() || u.enabled().value();
    if (!route.upgrades.emplace(type, enabled).second) at.at("upgrade_configs", i).refuse("{} is said twice", u.upgrade_type());
    if (!u.has_connect_config()) continue;
    if (type != "connect") at.at("upgrade_configs", i).at("connect_config").refuse("only CONNECT can be ended here, not {}", u.upgrade_type());
    if (!enabled) continue;
    route.connect_ends = true;
    route.post_ends = u.connect_config().allow_post();
    if (u.connect_config().has_proxy_protocol_config()) route.connect_proxy_version = proxy_version(u.connect_config().proxy_protocol_config());
  }
  if (from.has_cors()) route.filters.entries.push_back({std::string(kCorsName), compile_cors(at.at("cors"), from.cors()), false});
  if (from.has_metadata_match()) at.at("metadata_match").refuse("subset load balancing is not taken");
}

void redirect(const CompileContext& at, const route_v3::RedirectAction& from, Route& route) {
  using R = route_v3::RedirectAction;
  route.action = Route::Action::kRedirect;
  route.redirect_host = from.host_redirect();
  route.redirect_port = from.port_redirect();
  route.redirect_https = from.https_redirect();
  route.redirect_scheme = from.scheme_redirect();
  route.redirect_path = from.path_redirect();
  route.redirect_prefix = from.prefix_rewrite();
  if (from.has_regex_rewrite()) route.redirect_regex = regex_rewrite(at.at("regex_rewrite"), from.regex_rewrite());
  route.strip_query = from.strip_query();
  switch (from.response_code()) {
    case R::FOUND:
      route.redirect_status = 302;
      break;
    case R::SEE_OTHER:
      route.redirect_status = 303;
      break;
    case R::TEMPORARY_REDIRECT:
      route.redirect_status = 307;
      break;
    case R::PERMANENT_REDIRECT:
      route.redirect_status = 308;
      break;
    default:
      route.redirect_status = 301;
  }
}

void path_match(const CompileContext& at, const route_v3::RouteMatch& from, Route& route) {
  using M = route_v3::RouteMatch;
  route.path.ignore_case = from.has_case_sensitive() && !from.case_sensitive().value();
  switch (from.path_specifier_case()) {
    case M::kPrefix:
      route.path.kind = PathMatch::Kind::kPrefix;
      route.path.text = from.prefix();
      break;
    case M::kPath:
      route.path.kind = PathMatch::Kind::kExact;
      route.path.text = from.path();
      break;
    case M::kSafeRegex:
      route.path.kind = PathMatch::Kind::kRegex;
      route.path.regex = compile_regex(at.at("safe_regex"), from.safe_regex());
      break;
    case M::kPathSeparatedPrefix:
      route.path.kind = PathMatch::Kind::kSeparatedPrefix;
      route.path.text = from.path_separated_prefix();
      break;
    case M::kConnectMatcher:
      route.path.kind = PathMatch::Kind::kConnect;
      break;
    case M::kPathMatchPolicy: {
      using Config = envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig;
      CompileContext here = at.at("path_match_policy.typed_config");
      const auto& any = from.path_match_policy().typed_config();
      if (!any_is<Config>(any)) here.refuse("the type {} is not known; give a UriTemplateMatchConfig", short_type(any));
      auto config = unpack<Config>(here, any);
      auto made = compile_uri_template(check_template(here.at("path_template"), config.path_template()));
      if (!made) here.at("path_template").refuse("{}", made.error().message);
      route.path.kind = PathMatch::Kind::kTemplate;
      route.path.regex = std::move(*made);
      break;
    }
    default:
      at.refuse("a path is required: prefix, path, safe_regex, path_separated_prefix, connect_matcher or path_match_policy");
  }
  int i = 0;
  for (const auto& h : from.headers()) route.headers.push_back(compile_header(at.at("headers", i++), h));
  i = 0;
  for (const auto& q : from.query_parameters()) route.query.push_back(compile_query(at.at("query_parameters", i++), q));
  if (from.has_runtime_fraction()) route.fraction = compile_fraction(from.runtime_fraction().default_value());
  route.grpc = from.has_grpc();
  if (from.tls_context().has_presented()) route.certificate_presented = from.tls_context().presented().value();
  if (from.tls_context().has_validated()) route.certificate_validated = from.tls_context().validated().value();
  if (from.dynamic_metadata_size()) at.at("dynamic_metadata").refuse("matching by dynamic metadata is not taken");
}

void compile_one(const CompileContext& at, const route_v3::Route& from, Route& route) {
  using R = route_v3::Route;
  route.name = from.name();
  route.metadata = compile_metadata(from.metadata());
  path_match(at.at("match"), from.match(), route);
  switch (from.action_case()) {
    case R::kRoute:
      forward(at.at("route"), from.route(), route);
      break;
    case R::kRedirect:
      redirect(at.at("redirect"), from.redirect(), route);
      break;
    case R::kDirectResponse:
      route.action = Route::Action::kDirect;
      route.direct_status = static_cast<int>(from.direct_response().status());
      if (route.direct_status < 200 || route.direct_status > 599) at.at("direct_response.status").refuse("{} is not a status from 200 to 599", route.direct_status);
      route.direct_body = data_source(at.at("direct_response.body"), from.direct_response().body());
      break;
    case R::kNonForwardingAction:
      route.action = Route::Action::kNone;
      break;
    default:
      at.refuse("an action is required: route, redirect, direct_response or non_forwarding_action");
  }
  route.mutation = mutation(at, from);
  // The filter's own configuration counts before the older field of the action.
  PerFilter filters = per_filter(at, from.typed_per_filter_config());
  route.filters.entries.insert(route.filters.entries.begin(), filters.entries.begin(), filters.entries.end());
}

void add_domain(const CompileContext& at, RouteTable& table, const std::string& domain, uint32_t host) {
  std::string name = base::to_lower(domain);
  auto wildcard = [&](std::vector<std::pair<size_t, StringMap<uint32_t>>>& list, std::string part) {
    size_t length = part.size();
    auto it = std::ranges::find(list, length, [](auto& e) { return e.first; });
    if (it == list.end()) it = list.insert(list.end(), {length, {}});
    if (!it->second.emplace(std::move(part), host).second) at.refuse("the domain \"{}\" stands in two virtual hosts", domain);
  };
  if (name == "*") {
    if (table.any) at.refuse("only one virtual host may have the domain \"*\"");
    table.any = host;
  } else if (name.starts_with('*')) {
    wildcard(table.suffixes, name.substr(1));
  } else if (name.ends_with('*')) {
    wildcard(table.prefixes, name.substr(0, name.size() - 1));
  } else if (!table.exact.emplace(name, host).second) {
    at.refuse("the domain \"{}\" stands in two virtual hosts", domain);
  }
}

}  // namespace

void compile_route_table(const CompileContext& at, const route_v3::RouteConfiguration& from, RouteTable& table) {
  table.name = from.name();
  table.ignore_port = from.ignore_port_in_host_matching();
  for (const auto& name : from.internal_only_headers()) table.internal_headers.push_back(base::to_lower(name));
  table.specific_wins = from.most_specific_header_mutations_wins();
  table.ignore_parameters = from.ignore_path_parameters_in_path_matching();
  table.mutation = mutation(at, from);
  table.filters = per_filter(at, from.typed_per_filter_config());
  if (from.has_vhds()) at.at("vhds").refuse("virtual host discovery is not taken");
  if (from.cluster_specifier_plugins_size()) at.at("cluster_specifier_plugins").refuse("cluster specifier plugins are not taken");
  table.hosts.resize(static_cast<size_t>(from.virtual_hosts_size()));
  for (int i = 0; i < from.virtual_hosts_size(); ++i) {
    const auto& vh = from.virtual_hosts(i);
    CompileContext here = at.at("virtual_hosts", i);
    VirtualHost& host = table.hosts[static_cast<size_t>(i)];
    host.name = vh.name();
    host.metadata = compile_metadata(vh.metadata());
    host.mutation = mutation(here, vh);
    host.filters = per_filter(here, vh.typed_per_filter_config());
    if (vh.has_cors()) host.filters.entries.push_back({std::string(kCorsName), compile_cors(here.at("cors"), vh.cors()), false});
    host.rate_limits = compile_rate_limits(here, "rate_limits", vh.rate_limits());
    host.attempt_count_header = vh.include_request_attempt_count();
    host.attempt_count_in_response = vh.include_attempt_count_in_response();
    host.require_tls = vh.require_tls() != route_v3::VirtualHost::NONE;
    if (vh.has_matcher()) here.at("matcher").refuse("matcher trees are not taken; use routes");
    std::shared_ptr<const RetryPolicy> retry;
    if (vh.has_retry_policy()) retry = retry_policy(here.at("retry_policy"), vh.retry_policy());
    for (const auto& domain : vh.domains()) add_domain(here.at("domains"), table, domain, static_cast<uint32_t>(i));
    host.routes.resize(static_cast<size_t>(vh.routes_size()));
    for (int r = 0; r < vh.routes_size(); ++r) {
      Route& route = host.routes[static_cast<size_t>(r)];
      compile_one(here.at("routes", r), vh.routes(r), route);
      if (!route.retry) route.retry = retry;
      route.changes_headers = !table.mutation.empty() || !host.mutation.empty() || !route.mutation.empty() ||
                              std::ranges::any_of(route.clusters, [](const RouteCluster& c) { return !c.headers.empty(); });
      if (route.mirrors.empty()) {
        const auto& policies = vh.request_mirror_policies_size() ? vh.request_mirror_policies() : from.request_mirror_policies();
        for (const auto& m : policies) route.mirrors.push_back(mirror(here.at("request_mirror_policies"), m));
      }
    }
  }
  for (VirtualHost& host : table.hosts) {
    host.index = RouteIndex::make(host.routes);
    table.asks_certificate |= std::ranges::any_of(host.routes, [](const Route& r) { return r.certificate_presented || r.certificate_validated; });
  }
  auto longest_first = [](const auto& a, const auto& b) { return a.first > b.first; };
  std::ranges::sort(table.suffixes, longest_first);
  std::ranges::sort(table.prefixes, longest_first);
}

base::Result<std::shared_ptr<const RouteTable>> Compiler::route(const route_v3::RouteConfiguration& from, const std::string& version) {
  try {
    auto table = std::make_shared<RouteTable>();
    table->version = version;
    compile_route_table(CompileContext(*this), from, *table);
    CompileContext(*this).check(from);
    return table;
  } catch (Refused& refused) {
    return std::unexpected(error_of(refused, from));
  }
}

}  // namespace fairlead::proxy
