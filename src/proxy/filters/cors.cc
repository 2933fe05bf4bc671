// envoy.filters.http.cors: answers pre-flights, and names who may read an answer.
#include "proxy/filters/cors.h"

#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"

namespace fairlead::proxy {
namespace {

struct CorsConfig : RouteFilter {
  std::vector<StringMatcher> allow_origin;
  std::string allow_methods, allow_headers, expose_headers, max_age;
  std::optional<bool> allow_credentials;
  bool allow_private_network = false;
  bool forward_not_matching = true;  // pre-flights of other origins go to the application

  bool allows(std::string_view origin) const {
    return !origin.empty() && std::ranges::any_of(allow_origin, [&](const StringMatcher& m) { return m.matches(origin); });
  }
};

class Cors final : public Filter {
 public:
  explicit Cors(std::string name) : Filter(std::move(name), kRequest | kResponse) {}

  Next on_request(Exchange& x) const override {
    const auto* cors = static_cast<const CorsConfig*>(x.route_filter(*this));
    if (!cors || x.request().method != "OPTIONS" || !x.request().fields.has("access-control-request-method")) return Next::kGoOn;
    std::string_view origin = x.request().fields.get("origin");
    if (origin.empty()) return Next::kGoOn;
    bool allowed = cors->allows(origin);
    if (!allowed && cors->forward_not_matching) return Next::kGoOn;
    // Without an origin in it the answer allows nothing.
    HeaderMap& to = x.response().fields;
    if (allowed) to.add("access-control-allow-origin", origin);
    if (allowed && cors->allow_credentials.value_or(false)) to.add("access-control-allow-credentials", "true");
    if (allowed && cors->allow_private_network && x.request().fields.get("access-control-request-private-network") == "true")
      to.add("access-control-allow-private-network", "true");
    if (!cors->allow_methods.empty()) to.add("access-control-allow-methods", cors->allow_methods);
    if (!cors->allow_headers.empty()) to.add("access-control-allow-headers", cors->allow_headers);
    if (!cors->max_age.empty()) to.add("access-control-max-age", cors->max_age);
    x.reply(200, {}, "cors_response", 0);
    return Next::kStop;
  }

  void on_response(Exchange& x, bool) const override {
    const auto* cors = static_cast<const CorsConfig*>(x.route_filter(*this));
    if (!cors) return;
    std::string_view origin = x.request().fields.get("origin");
    if (!cors->allows(origin)) return;
    HeaderMap& to = x.response().fields;
    to.set("access-control-allow-origin", origin);
    if (cors->allow_credentials.value_or(false)) to.set("access-control-allow-credentials", "true");
    if (!cors->expose_headers.empty()) to.set("access-control-expose-headers", cors->expose_headers);
  }
};

// The message of the filter and the older one of routes have the same fields.
std::shared_ptr<const RouteFilter> policy(const CompileContext& at, const auto& from) {
  auto c = std::make_shared<CorsConfig>();
  int i = 0;
  for (const auto& m : from.allow_origin_string_match()) c->allow_origin.push_back(compile_string(at.at("allow_origin_string_match", i++), m));
  c->allow_methods = from.allow_methods();
  c->allow_headers = from.allow_headers();
  c->expose_headers = from.expose_headers();
  c->max_age = from.max_age();
  if (from.has_forward_not_matching_preflights()) c->forward_not_matching = from.forward_not_matching_preflights().value();
  if (from.has_allow_credentials()) c->allow_credentials = from.allow_credentials().value();
  c->allow_private_network = from.allow_private_network_access().value();
  if (from.has_filter_enabled()) {
    Fraction enabled = compile_fraction(from.filter_enabled().default_value());
    if (enabled.per_million == 0) c->allow_origin.clear(), c->forward_not_matching = true;  // as if there were no policy
    else if (enabled.per_million < 1'000'000) at.warn("CorsPolicy.filter_enabled: the policy holds for every request");
  }
  return c;
}

}  // namespace

std::shared_ptr<const RouteFilter> compile_cors(const CompileContext& at, const envoy::config::route::v3::CorsPolicy& from) { return policy(at, from); }

const FilterType kCorsFilter = {
    kCorsName, "envoy.extensions.filters.http.cors.v3.Cors", "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    [](const CompileContext&, const FilterSource& source) -> std::shared_ptr<Filter> { return std::make_shared<Cors>(source.name); },
    [](const CompileContext& at, const FilterSource& source) {
      return policy(at, unpack<envoy::extensions::filters::http::cors::v3::CorsPolicy>(at, *source.any));
    }};

}  // namespace fairlead::proxy
