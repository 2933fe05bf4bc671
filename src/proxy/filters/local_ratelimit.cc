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
  // Seconds to the next token; 0: there is one.
  uint64_t reset_s(base::TimePoint now) const {
    double at = static_cast<double>(now.time_since_epoch().count());
    double wait = full_at_.load(std::memory_order_relaxed) - at - token_ * (most_ - 1.0);
    return wait <= token_ * 1e-9 ? 0 : static_cast<uint64_t>((wait + 999'999'999) / 1e9);
  }
  uint32_t most() const { return most_; }
  double token() const { return token_; }  // nanoseconds between two
  std::shared_ptr<TokenBucket> fresh() const { return std::make_shared<TokenBucket>(token_, most_); }
  TokenBucket(double token, uint32_t most) : token_(token), most_(most) {}

 private:
  std::atomic<double> full_at_{0};
  double token_;  // nanoseconds between two
  uint32_t most_;
};

struct Limit : RouteFilter {
  int status = 429;
  bool resource_exhausted = false, tell = false;
  std::shared_ptr<TokenBucket> bucket;  // nullptr: no limit
  struct ByDescriptor {
    RateDescriptor entries;
    std::shared_ptr<TokenBucket> bucket;
  };
  std::vector<ByDescriptor> by_descriptor;
  bool general_too = true;              // what a descriptor let through takes from `bucket` as well
  uint32_t stage = 0;
  enum class Host : uint8_t { kWithoutRoutes, kToo, kNever } host = Host::kWithoutRoutes;  // when the virtual host's rules count
  bool by_connection = false;           // each has a bucket of its own, like `bucket`
  Fraction enabled{0}, enforced{0};
  std::vector<HeaderMutation::Add> request_add, response_add;
  std::atomic<uint64_t>*count_enabled, *count_enforced, *count_limited, *count_ok;
};

class LocalRateLimit final : public Filter {
 public:
  LocalRateLimit(std::string name, std::shared_ptr<const Limit> own) : Filter(std::move(name), kRequest | kResponse), own_(std::move(own)) {}

  Next on_request(Exchange& x) const override {
    const Limit& limit = of(x);
    if (!limits(limit) || !limit.enabled.hit(x.worker().random())) return Next::kGoOn;
    ++*limit.count_enabled;
    Verdict verdict = judge(limit, x);
    if (limit.tell && verdict.by) {
      auto told = std::make_unique<Told>();
      told->by = verdict.by;
      x.keep(*this, std::move(told));
    }
    if (verdict.passes) {
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
    const auto* told = static_cast<const Told*>(x.kept(*this));
    if (!limit.tell || !told) return;
    HeaderMap& to = x.response().fields;
    auto now = x.worker().now();
    const TokenBucket& from = *told->by;
    to.set("x-ratelimit-limit", std::to_string(from.most()));
    to.set("x-ratelimit-remaining", std::to_string(from.left(now)));
    to.set("x-ratelimit-reset", std::to_string(from.reset_s(now)));
  }

 private:
  const Limit& of(Exchange& x) const {
    const auto* nearer = static_cast<const Limit*>(x.route_filter(*this));
    return nearer ? *nearer : *own_;
  }

  struct Verdict {
    bool passes = true;
    std::shared_ptr<TokenBucket> by;     // whose figures the client is told
  };
  struct Told : FilterState {
    std::shared_ptr<TokenBucket> by;
  };

  static bool limits(const Limit& limit) { return limit.bucket || !limit.by_descriptor.empty(); }

  static Verdict judge(const Limit& limit, Exchange& x) {
    auto now = x.worker().now();
    Verdict verdict;
    if (!limit.by_descriptor.empty()) {
      // Each that the request says takes its token, the slowest first.
      std::vector<const Limit::ByDescriptor*> matched;
      for (const RateDescriptor& said : descriptors(limit, x))
        if (auto at = std::ranges::find(limit.by_descriptor, said, &Limit::ByDescriptor::entries); at != limit.by_descriptor.end()) matched.push_back(&*at);
      std::ranges::stable_sort(matched, std::greater(), [](const Limit::ByDescriptor* d) { return d->bucket->token(); });
      for (const Limit::ByDescriptor* d : matched) {
        auto bucket = own(limit, d->bucket, x);
        if (!verdict.by) verdict.by = bucket;
        if (!bucket->take(now)) return {false, bucket};
      }
    }
    if (!limit.bucket || (verdict.by && !limit.general_too)) return verdict;
    auto bucket = own(limit, limit.bucket, x);
    if (!verdict.by) verdict.by = bucket;
    if (!bucket->take(now)) return {false, bucket};
    return verdict;
  }

  static std::vector<RateDescriptor> descriptors(const Limit& limit, Exchange& x) {
    std::vector<RateDescriptor> out;
    const Route* route = x.route_config();
    if (!route) return out;
    std::string_view cluster = x.route_cluster() ? std::string_view(x.route_cluster()->name) : std::string_view();
    auto add = [&](const std::vector<RateLimitRule>& rules) {
      for (const RateLimitRule& rule : rules)
        if (rule.stage == limit.stage)
          if (auto d = rule.describe(x.request(), x.worker().options().node_cluster, cluster, x.info().downstream_remote)) out.push_back(std::move(*d));
    };
    add(route->rate_limits);
    using Host = Limit::Host;
    Host host = route->include_host_rate_limits ? Host::kToo : limit.host;
    if (host == Host::kToo || (host == Host::kWithoutRoutes && route->rate_limits.empty())) add(x.virtual_host()->rate_limits);
    return out;
  }

  // Of the connection, where each has its own.
  static std::shared_ptr<TokenBucket> own(const Limit& limit, const std::shared_ptr<TokenBucket>& bucket, Exchange& x) {
    if (!limit.by_connection) return bucket;
    std::shared_ptr<void>& kept = x.connection().keep(bucket);
    if (!kept) kept = bucket->fresh();
    return std::static_pointer_cast<TokenBucket>(kept);
  }

  std::shared_ptr<const Limit> own_;
};

std::shared_ptr<TokenBucket> compile_bucket(const CompileContext& at, const envoy::type::v3::TokenBucket& from) {
  uint32_t per_fill = from.has_tokens_per_fill() ? from.tokens_per_fill().value() : 1;
  if (from.max_tokens() == 0) at.at("max_tokens").refuse("more than 0 is required");
  if (per_fill == 0) at.at("tokens_per_fill").refuse("more than 0 is required");
  if (nanos(from.fill_interval()) < std::chrono::milliseconds(50)) at.at("fill_interval").refuse("at least 0.05s is required");
  return std::make_shared<TokenBucket>(from.max_tokens(), per_fill, nanos(from.fill_interval()));
}

std::shared_ptr<const Limit> compile_limit(const CompileContext& at, const FilterSource& source) {
  auto from = unpack<pb::LocalRateLimit>(at, *source.any);
  auto limit = std::make_shared<Limit>();
  if (from.stat_prefix().empty()) at.at("stat_prefix").refuse("a name for its statistics is required");
  if (int code = from.status().code(); code) {
    if (code < 400 || code > 599) at.at("status.code").refuse("{} is not an error; use 400 to 599", code);
    limit->status = code;
  }
  if (from.has_token_bucket()) limit->bucket = compile_bucket(at.at("token_bucket"), from.token_bucket());
  for (int i = 0; i < from.descriptors_size(); ++i) {
    CompileContext here = at.at("descriptors", i);
    Limit::ByDescriptor& d = limit->by_descriptor.emplace_back();
    if (from.descriptors(i).entries_size() == 0) here.at("entries").refuse("at least one is required");
    for (const auto& e : from.descriptors(i).entries()) {
      if (e.key().empty() || e.value().empty()) here.at("entries").refuse("key and value are required");
      d.entries.emplace_back(e.key(), e.value());
    }
    d.bucket = compile_bucket(here.at("token_bucket"), from.descriptors(i).token_bucket());
  }
  limit->by_connection = from.local_rate_limit_per_downstream_connection();
  limit->general_too = !from.has_always_consume_default_token_bucket() || from.always_consume_default_token_bucket().value();
  limit->stage = from.stage();
  limit->host = static_cast<Limit::Host>(from.vh_rate_limits());
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
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      return std::make_shared<LocalRateLimit>(source.name, compile_limit(at, source));
    },
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const RouteFilter> { return compile_limit(at, source); }};

}  // namespace fairlead::proxy
