// envoy.filters.http.local_ratelimit: a token bucket in front of a listener or a route, shared by all workers.
#include <atomic>

#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "http/grpc.h"
#include "proxy/config/compile_headers.h"
#include "proxy/exchange.h"
#include "proxy/filters/counters.h"
#include "proxy/filters/registry.h"
#include "proxy/header_mutation.h"

namespace fairlead::proxy {
namespace {

namespace pb = envoy::extensions::filters::http::local_ratelimit::v3;

// Tokens come evenly in time (as Envoy's atomic bucket has them). One number says all: the time at which the bucket
// would be full again. Any thread.
class TokenBucket {
 public:
  TokenBucket(uint32_t most, uint32_t per_fill, Nanos interval) : token_(interval.count() / static_cast<double>(per_fill)), most_(most) {}

  bool take(base::TimePoint now) {
    double at = static_cast<double>(now.time_since_epoch().count());
    double full = full_at_.load(std::memory_order_relaxed);
    while (true) {
      double next = std::max(full, at) + token_;
      if (next - at > token_ * most_ * (1 + 1e-9)) return false;
      if (full_at_.compare_exchange_weak(full, next, std::memory_order_relaxed)) return true;
    }
  }
  uint64_t left(base::TimePoint now) const {
    double at = static_cast<double>(now.time_since_epoch().count());
    double owed = std::max(0.0, full_at_.load(std::memory_order_relaxed) - at) / token_;
    return owed >= most_ ? 0 : static_cast<uint64_t>(most_ - owed + 1e-9);
  }
  uint64_t reset_s(base::TimePoint now) const {
    double at = static_cast<double>(now.time_since_epoch().count());
    return static_cast<uint64_t>(std::max(0.0, full_at_.load(std::memory_order_relaxed) - at + 999'999'999) / 1e9);
  }
  uint32_t most() const { return most_; }

 private:
  std::atomic<double> full_at_{0};
  double token_;  // nanoseconds between two
  uint32_t most_;
};

struct Limit : RouteFilter {
  int status = 429;
  bool resource_exhausted = false, tell = false;
  std::unique_ptr<TokenBucket> bucket;  // nullptr: no limit
  Fraction enabled{0}, enforced{0};
  std::vector<HeaderMutation::Add> request_add, response_add;
  std::atomic<uint64_t>*count_enabled, *count_enforced, *count_limited, *count_ok;
};

class LocalRateLimit final : public Filter {
 public:
  LocalRateLimit(std::string name, std::shared_ptr<const Limit> own) : Filter(std::move(name), kRequest | kResponse), own_(std::move(own)) {}

  Next on_request(Exchange& x) const override {
    const Limit& limit = of(x);
    if (!limit.bucket || !limit.enabled.hit(x.worker().random())) return Next::kGoOn;
    ++*limit.count_enabled;
    if (limit.bucket->take(x.worker().now())) {
      ++*limit.count_ok;
      return Next::kGoOn;
    }
    ++*limit.count_limited;
    if (!limit.enforced.hit(x.worker().random())) {
      for (const auto& add : limit.request_add) add_request_header(add, x.request(), x.info());
      return Next::kGoOn;
    }
    ++*limit.count_enforced;
    for (const auto& add : limit.response_add) add_header(add, x.response().fields, x.info());
    if (limit.resource_exhausted && http::is_grpc_type(x.request().fields.get("content-type"))) x.response().fields.add_view("grpc-status", "8");
    x.reply(limit.status, "local_rate_limited", "local_rate_limited", kFlagRateLimited);
    return Next::kStop;
  }

  void on_response(Exchange& x, bool) const override {
    const Limit& limit = of(x);
    if (!limit.bucket || !limit.tell) return;
    HeaderMap& to = x.response().fields;
    auto now = x.worker().now();
    to.set("x-ratelimit-limit", std::to_string(limit.bucket->most()));
    to.set("x-ratelimit-remaining", std::to_string(limit.bucket->left(now)));
    to.set("x-ratelimit-reset", std::to_string(limit.bucket->reset_s(now)));
  }

 private:
  const Limit& of(Exchange& x) const {
    const auto* nearer = static_cast<const Limit*>(x.route_filter(*this));
    return nearer ? *nearer : *own_;
  }

  std::shared_ptr<const Limit> own_;
};

std::shared_ptr<const Limit> compile_limit(const CompileContext& at, const FilterSource& source) {
  auto from = unpack<pb::LocalRateLimit>(at, *source.any);
  auto limit = std::make_shared<Limit>();
  if (from.stat_prefix().empty()) at.at("stat_prefix").refuse("a name for its statistics is required");
  if (int code = from.status().code(); code) {
    if (code < 400 || code > 599) at.at("status.code").refuse("{} is not an error; use 400 to 599", code);
    limit->status = code;
  }
  if (from.has_token_bucket()) {
    const auto& b = from.token_bucket();
    CompileContext bucket = at.at("token_bucket");
    uint32_t per_fill = b.has_tokens_per_fill() ? b.tokens_per_fill().value() : 1;
    if (b.max_tokens() == 0) bucket.at("max_tokens").refuse("more than 0 is required");
    if (per_fill == 0) bucket.at("tokens_per_fill").refuse("more than 0 is required");
    if (nanos(b.fill_interval()) < std::chrono::milliseconds(50)) bucket.at("fill_interval").refuse("at least 0.05s is required");
    limit->bucket = std::make_unique<TokenBucket>(b.max_tokens(), per_fill, nanos(b.fill_interval()));
  }
  // As in Envoy: not enabled, and not enforced, unless it is said.
  if (from.has_filter_enabled()) limit->enabled = compile_fraction(from.filter_enabled().default_value());
  if (from.has_filter_enforced()) limit->enforced = compile_fraction(from.filter_enforced().default_value());
  int i = 0;
  for (const auto& h : from.request_headers_to_add_when_not_enforced())
    limit->request_add.push_back(compile_header_option(at.at("request_headers_to_add_when_not_enforced", i++), h));
  i = 0;
  for (const auto& h : from.response_headers_to_add()) limit->response_add.push_back(compile_header_option(at.at("response_headers_to_add", i++), h));
  limit->resource_exhausted = from.rate_limited_as_resource_exhausted();
  limit->tell = from.enable_x_ratelimit_headers() != envoy::extensions::common::ratelimit::v3::OFF;
  std::string prefix = from.stat_prefix() + ".http_local_rate_limit.";
  limit->count_enabled = &filter_counter(prefix + "enabled");
  limit->count_enforced = &filter_counter(prefix + "enforced");
  limit->count_limited = &filter_counter(prefix + "rate_limited");
  limit->count_ok = &filter_counter(prefix + "ok");
  return limit;
}

}  // namespace

const FilterType kLocalRateLimitFilter = {
    "envoy.filters.http.local_ratelimit", "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const Filter> {
      return std::make_shared<LocalRateLimit>(source.name, compile_limit(at, source));
    },
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const RouteFilter> { return compile_limit(at, source); }};

}  // namespace fairlead::proxy
