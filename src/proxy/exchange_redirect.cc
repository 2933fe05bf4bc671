// Redirects that the proxy follows itself (Envoy: RouteAction.internal_redirect_policy): the request begins again at the route of
// the new address, with its body. What can't be followed goes to the client as it came.
#include <algorithm>

#include "base/strings.h"
#include "proxy/exchange.h"

namespace fairlead::proxy {
namespace {

struct Location {
  std::string_view scheme, authority, target;
};

// "http://host/path?query"; the fragment is the client's. A scheme that is not HTTP's is "". Nothing for whatever else: an
// address relative to the request's is not followed either (as in Envoy).
std::optional<Location> parse_location(std::string_view text) {
  Location to;
  size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || scheme == 0 || text.find_first_of("/?#") < scheme) return std::nullopt;
  for (std::string_view known : {"http", "https"})
    if (base::iequals(text.substr(0, scheme), known)) to.scheme = known;
  text.remove_prefix(scheme + 3);
  to.authority = text.substr(0, text.find_first_of("/?#"));
  text.remove_prefix(to.authority.size());
  to.authority.remove_prefix(to.authority.rfind('@') + 1);  // who the user is has no place in a request; npos + 1 is 0
  if (to.authority.empty()) return std::nullopt;
  to.target = text.substr(0, text.find('#'));
  auto control = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; };
  if (std::ranges::any_of(to.target, control) || std::ranges::any_of(to.authority, control)) return std::nullopt;
  return to;
}

}  // namespace

bool Exchange::follow_redirect(const ResponseHeaders& head) {
  const RedirectPolicy* policy = route_->redirects.get();
  if (!policy || std::ranges::find(policy->codes, head.status) == policy->codes.end()) return false;
  // The whole request has to be here to be sent once more.
  bool followed = request_complete_ && !body_dropped_ && !upgrade_ && readdress(*policy, head);
  ++(followed ? cluster_->stats.upstream_internal_redirect_succeeded_total : cluster_->stats.upstream_internal_redirect_failed_total);
  if (!followed) return false;
  ++redirects_;
  response_begun_ = true;
  response_.status = head.status;
  response_.fields.add_all(head.fields, head.block);
  info_.details = "internal_redirect";
  info_.response_first = info_.upstream_first = since_start();
  return true;
}

// Gives the request its new address; as it was when that can't be.
bool Exchange::readdress(const RedirectPolicy& policy, const ResponseHeaders& head) {
  const HeaderMap::Field* field = head.fields.find("location");
  auto to = field ? parse_location(field->value) : std::nullopt;
  if (!to) {
    if (field) ++stats_->passthrough_internal_redirect_bad_location;
    return false;
  }
  bool from_tls = request_.scheme == "https", to_tls = to->scheme == "https";
  if (to->scheme.empty() || (!policy.cross_scheme && from_tls != to_tls)) {
    ++stats_->passthrough_internal_redirect_unsafe_scheme;
    return false;
  }
  if (redirects_ >= policy.most) {
    ++stats_->passthrough_internal_redirect_too_many_redirects;
    return false;
  }
  const auto before = std::tuple(request_.scheme, request_.authority, request_.target);
  HeaderMap& fields = request_.fields;
  request_.scheme = to->scheme;  // static text
  request_.authority = fields.store(to->authority);
  request_.target = fields.store(to->target.starts_with('/') ? std::string(to->target) : "/" + std::string(to->target));
  // Fields that are copied may decide the route; they are put back with the rest.
  std::vector<std::pair<std::string_view, std::vector<std::string>>> old;
  for (const std::string& name : policy.copied) {
    auto& values = old.emplace_back(name, std::vector<std::string>()).second;
    for (const HeaderMap::Field& f : fields)
      if (f.name == name) values.emplace_back(f.value);
    fields.remove(name);
    for (const HeaderMap::Field& f : head.fields)
      if (f.name == name) fields.add_copy(name, f.value);
  }
  if (const Route* target = route_of_redirect(); !target) {
    ++stats_->passthrough_internal_redirect_no_route;
  } else if (!policy_accepts(policy, *target, from_tls, to_tls)) {
    ++stats_->passthrough_internal_redirect_predicate;
  } else {
    auto& [scheme, authority, path] = before;
    fields.set("x-envoy-original-url", fmt::format("{}://{}{}", from_tls ? "https" : "http", authority, path));
    if (head.status == 303 && request_.method != "GET" && request_.method != "HEAD") {  // RFC 9110 section 15.4.4
      request_.method = "GET";
      fields.remove("content-length");
      body_.clear();
      request_trailer_map_.clear();
      has_request_trailers_ = false;
    }
    return true;
  }
  std::tie(request_.scheme, request_.authority, request_.target) = before;
  for (auto& [name, values] : old) {
    fields.remove(name);
    for (const std::string& v : values) fields.add_copy(name, v);
  }
  return false;
}

// By the table of now: the request that begins again is a new one.
const Route* Exchange::route_of_redirect() const {
  auto table = config_->route_table ? config_->route_table : worker_.route_table(config_->rds_name);
  const VirtualHost* host = table ? table->find_host(request_.authority) : nullptr;
  return host ? table->find_route(*host, request_, worker_.random()) : nullptr;
}

bool Exchange::policy_accepts(const RedirectPolicy& policy, const Route& target, bool from_tls, bool to_tls) {
  if (policy.safe_cross_scheme && !from_tls && to_tls) return false;
  for (const auto& names : policy.allowed_routes)
    if (std::ranges::find(names, target.name) == names.end()) return false;
  if (!policy.no_route_twice) return true;
  auto step = std::pair(route_->name, target.name);
  if (std::ranges::find(redirected_, step) != redirected_.end()) return false;
  redirected_.push_back(std::move(step));
  return true;
}

// The redirect's answer is over: it is logged, and the request goes on as if it had just come. What answers are counted as is
// for the last one (as in Envoy).
void Exchange::begin_again() {
  state_ = State::kOver;
  stop();
  info_.end = info_.response_last = since_start();
  info_.status = response_.status;
  tell();
  StreamInfo before = std::move(info_);
  forget_attempts();
  start_times();
  info_.start = before.start;
  info_.start_wall = before.start_wall;
  info_.downstream_remote = before.downstream_remote;
  info_.bytes_received = before.bytes_received;
  info_.request_received = before.request_received;
  info_.request_header_bytes = before.request_header_bytes;
  info_.request_plain_bytes = before.request_plain_bytes;
  ++stats_->downstream_rq_total;
  ++(request_.version == http::Version::kHttp2 ? stats_->downstream_rq_http2_total : stats_->downstream_rq_http1_total);
  request_complete_ = true;
  state_ = State::kFilters;
  touch();
  arm_stream_timers();
  if (!normalise_target()) return;
  normalise_host();
  route();
}

}  // namespace fairlead::proxy
