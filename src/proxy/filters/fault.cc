// envoy.filters.http.fault: delays and aborts, on the side of the client.
#include "base/strings.h"
#include "envoy/extensions/filters/common/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "http/grpc.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"

namespace fairlead::proxy {
namespace {

// How often a fault is injected. A header field may say less than the configuration, in its unit, not more.
struct Percent {
  uint32_t numerator = 0, unit = 10'000;         // unit: of it in a million

  bool hit(Exchange& x, std::string_view header, bool by_header) const {
    uint32_t n = numerator;
    if (by_header)
      if (auto said = base::to_int(x.request().fields.get(header)); said && *said >= 0) n = static_cast<uint32_t>(std::min<long long>(n, *said));
    return Fraction{static_cast<uint32_t>(std::min<uint64_t>(uint64_t{n} * unit, 1'000'000))}.hit(x.worker().random());
  }
};

struct FaultConfig : RouteFilter {
  std::optional<Nanos> delay;
  Percent delay_percent, abort_percent, slow_percent;
  bool delay_by_header = false;
  int abort_status = 0;                          // 0: none
  std::optional<int> abort_grpc_status;
  bool abort_by_header = false;
  uint64_t slow_kbps = 0;                        // KiB in a second; 0: none
  bool slow_by_header = false;
  std::vector<HeaderMatcher> headers;
  std::string upstream_cluster;
  std::vector<std::string> nodes;                // x-envoy-downstream-service-node; empty: any
  std::optional<uint32_t> max_active;

  bool none() const { return !delay && !delay_by_header && !abort_status && !abort_by_header && !slow_kbps && !slow_by_header; }
};

struct Delay final : FilterState {
  io::Timer timer;
  HttpStats& stats;
  bool waiting = true;
  Delay(io::Loop& loop, HttpStats& s, std::function<void()> then)
      : timer(loop, [this, then = std::move(then)] {
          over();
          then();
        }), stats(s) {}
  void over() {
    if (std::exchange(waiting, false)) --stats.fault_active_faults;
  }
  void cancel() override {
    timer.cancel();
    over();
  }
};

class Fault final : public Filter {
 public:
  Fault(std::string name, std::shared_ptr<const FaultConfig> config) : Filter(std::move(name), kRequest), config_(std::move(config)) {}

  Next on_request(Exchange& x) const override {
    const auto* own = static_cast<const FaultConfig*>(x.route_filter(*this));
    const FaultConfig& fault = own ? *own : *config_;
    if (fault.none()) return Next::kGoOn;
    if (!fault.upstream_cluster.empty() && (!x.route_cluster() || x.route_cluster()->name != fault.upstream_cluster)) return Next::kGoOn;
    if (!all_match(fault.headers, x.request())) return Next::kGoOn;
    if (!fault.nodes.empty() && std::ranges::find(fault.nodes, x.request().fields.get("x-envoy-downstream-service-node")) == fault.nodes.end()) return Next::kGoOn;
    HttpStats& stats = x.stats();
    if (fault.max_active && stats.fault_active_faults >= *fault.max_active) return Next::kGoOn;
    slow(x, fault);
    std::optional<Nanos> delay = fault.delay;
    if (fault.delay_by_header)
      if (auto ms = base::to_int(x.request().fields.get("x-envoy-fault-delay-request"))) delay = std::chrono::milliseconds(*ms);
    if (!delay || *delay <= Nanos(0) || !fault.delay_percent.hit(x, "x-envoy-fault-delay-request-percentage", fault.delay_by_header)) return abort(x, fault);
    x.info().flags |= kFlagDelayInjected;
    ++stats.fault_delays_injected;
    ++stats.fault_active_faults;
    auto state = std::make_unique<Delay>(x.worker().loop(), stats, [&x, &fault] {
      if (abort(x, fault) == Next::kGoOn) x.resume_filters();
    });
    state->timer.arm(*delay);
    x.keep(*this, std::move(state));
    return Next::kStop;
  }

 private:
  static void slow(Exchange& x, const FaultConfig& fault) {
    uint64_t kbps = fault.slow_kbps;
    if (fault.slow_by_header)
      if (auto said = base::to_int(x.request().fields.get("x-envoy-fault-throughput-response")); said && *said > 0) kbps = static_cast<uint64_t>(*said);
    if (!kbps || !fault.slow_percent.hit(x, "x-envoy-fault-throughput-response-percentage", fault.slow_by_header)) return;
    ++x.stats().fault_response_rl_injected;
    x.slow_response(std::min<uint64_t>(kbps, 1 << 30) * 1024);
  }

  static Next abort(Exchange& x, const FaultConfig& fault) {
    int status = fault.abort_status;
    std::optional<int> grpc = fault.abort_grpc_status;
    if (fault.abort_by_header) {
      if (auto code = base::to_int(x.request().fields.get("x-envoy-fault-abort-request")); code && *code >= 200 && *code < 600)
        status = static_cast<int>(*code);
      else if (auto number = base::to_int(x.request().fields.get("x-envoy-fault-abort-grpc-request")); number && *number >= 0 && *number < 1 << 30)
        status = 200, grpc = static_cast<int>(*number);
    }
    if (!status || !fault.abort_percent.hit(x, "x-envoy-fault-abort-request-percentage", fault.abort_by_header)) return Next::kGoOn;
    ++x.stats().fault_aborts_injected;
    if (grpc && http::is_grpc_type(x.request().fields.get("content-type"))) x.response().fields.add("grpc-status", std::to_string(*grpc));
    x.reply(status, "fault filter abort", "fault_filter_abort", kFlagFaultInjected);
    return Next::kStop;
  }

  std::shared_ptr<const FaultConfig> config_;
};

Percent percent(const envoy::type::v3::FractionalPercent& from) {
  using P = envoy::type::v3::FractionalPercent;
  return {from.numerator(), from.denominator() == P::HUNDRED ? 10'000u : from.denominator() == P::TEN_THOUSAND ? 100u : 1u};
}

std::shared_ptr<const FaultConfig> compile_fault(const CompileContext& at, const FilterSource& source) {
  auto from = unpack<envoy::extensions::filters::http::fault::v3::HTTPFault>(at, *source.any);
  auto f = std::make_shared<FaultConfig>();
  if (from.has_delay()) {
    f->delay_percent = percent(from.delay().percentage());
    if (from.delay().has_fixed_delay()) f->delay = nanos(from.delay().fixed_delay());
    else f->delay_by_header = from.delay().has_header_delay();
  }
  if (from.has_abort()) {
    using A = envoy::extensions::filters::http::fault::v3::FaultAbort;
    f->abort_percent = percent(from.abort().percentage());
    switch (from.abort().error_type_case()) {
      case A::kHttpStatus:
        f->abort_status = static_cast<int>(from.abort().http_status());
        break;
      case A::kGrpcStatus:
        f->abort_status = 200;
        f->abort_grpc_status = static_cast<int>(from.abort().grpc_status());
        break;
      case A::kHeaderAbort:
        f->abort_by_header = true;
        break;
      default:
        at.at("abort").refuse("one of http_status, grpc_status, header_abort is required");
    }
  }
  int i = 0;
  for (const auto& h : from.headers()) f->headers.push_back(compile_header(at.at("headers", i++), h));
  f->upstream_cluster = from.upstream_cluster();
  if (from.has_max_active_faults()) f->max_active = from.max_active_faults().value();
  f->nodes.assign(from.downstream_nodes().begin(), from.downstream_nodes().end());
  if (from.has_response_rate_limit()) {
    const auto& slow = from.response_rate_limit();
    f->slow_percent = percent(slow.percentage());
    f->slow_by_header = slow.has_header_limit();
    if (!slow.has_header_limit() && !slow.has_fixed_limit()) at.at("response_rate_limit").refuse("one of fixed_limit, header_limit is required");
    if (slow.has_fixed_limit() && slow.fixed_limit().limit_kbps() == 0) at.at("response_rate_limit.fixed_limit.limit_kbps").refuse("at least 1 is required");
    f->slow_kbps = slow.fixed_limit().limit_kbps();
  }
  return f;
}

}  // namespace

const FilterType kFaultFilter = {
    "envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault", "envoy.extensions.filters.http.fault.v3.HTTPFault",
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      return std::make_shared<Fault>(source.name, source.type.empty() ? std::make_shared<const FaultConfig>() : compile_fault(at, source));
    },
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const RouteFilter> { return compile_fault(at, source); }};

}  // namespace fairlead::proxy
