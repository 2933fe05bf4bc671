// envoy.filters.http.fault: delays and aborts, on the side of the client.
#include "base/strings.h"
#include "envoy/extensions/filters/common/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"

namespace fairlead::proxy {
namespace {

struct FaultConfig : RouteFilter {
  std::optional<Nanos> delay;
  Fraction delay_fraction;
  bool delay_by_header = false;
  int abort_status = 0;                          // 0: none
  std::optional<int> abort_grpc_status;
  bool abort_by_header = false;
  Fraction abort_fraction;
  std::vector<HeaderMatcher> headers;
  std::string upstream_cluster;
  std::optional<uint32_t> max_active;
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
    if (!fault.delay && !fault.delay_by_header && !fault.abort_status && !fault.abort_by_header) return Next::kGoOn;
    if (!fault.upstream_cluster.empty() && (!x.route_cluster() || x.route_cluster()->name != fault.upstream_cluster)) return Next::kGoOn;
    if (!all_match(fault.headers, x.request())) return Next::kGoOn;
    HttpStats& stats = x.stats();
    if (fault.max_active && stats.fault_active_faults >= *fault.max_active) return Next::kGoOn;
    std::optional<Nanos> delay = fault.delay;
    if (fault.delay_by_header)
      if (auto ms = base::to_int(x.request().fields.get("x-envoy-fault-delay-request"))) delay = std::chrono::milliseconds(*ms);
    if (!delay || *delay <= Nanos(0) || !fault.delay_fraction.hit(x.worker().random())) return abort(x, fault);
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
  static Next abort(Exchange& x, const FaultConfig& fault) {
    int status = fault.abort_status;
    if (fault.abort_by_header) {
      if (auto code = base::to_int(x.request().fields.get("x-envoy-fault-abort-request")); code && *code >= 200 && *code < 600)
        status = static_cast<int>(*code);
    }
    if (!status || !fault.abort_fraction.hit(x.worker().random())) return Next::kGoOn;
    ++x.stats().fault_aborts_injected;
    if (fault.abort_grpc_status) x.response().fields.add("grpc-status", std::to_string(*fault.abort_grpc_status));
    x.reply(status, "fault filter abort", "fault_filter_abort", kFlagFaultInjected);
    return Next::kStop;
  }

  std::shared_ptr<const FaultConfig> config_;
};

std::shared_ptr<const FaultConfig> compile_fault(const CompileContext& at, const FilterSource& source) {
  auto from = unpack<envoy::extensions::filters::http::fault::v3::HTTPFault>(at, *source.any);
  auto f = std::make_shared<FaultConfig>();
  if (from.has_delay()) {
    f->delay_fraction = compile_fraction(from.delay().percentage());
    if (from.delay().has_fixed_delay()) f->delay = nanos(from.delay().fixed_delay());
    else f->delay_by_header = from.delay().has_header_delay();
  }
  if (from.has_abort()) {
    using A = envoy::extensions::filters::http::fault::v3::FaultAbort;
    f->abort_fraction = compile_fraction(from.abort().percentage());
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
  if (from.downstream_nodes_size()) at.at("downstream_nodes").refuse("faults by downstream node are not taken");
  return f;
}

}  // namespace

const FilterType kFaultFilter = {
    "envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault", "envoy.extensions.filters.http.fault.v3.HTTPFault",
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const Filter> {
      return std::make_shared<Fault>(source.name, source.type.empty() ? std::make_shared<const FaultConfig>() : compile_fault(at, source));
    },
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const RouteFilter> { return compile_fault(at, source); }};

}  // namespace fairlead::proxy
