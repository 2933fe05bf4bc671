// envoy.filters.http.health_check: answers health checks here, or marks those that go on to the endpoint.
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"

#include "proxy/exchange.h"
#include "proxy/filters/registry.h"
#include "proxy/health_state.h"

namespace fairlead::proxy {
namespace {

namespace pb = envoy::extensions::filters::http::health_check::v3;

class AnswerHealthChecks final : public Filter {
 public:
  AnswerHealthChecks(std::string name, std::vector<HeaderMatcher> headers, bool pass) : Filter(std::move(name), kRequest), headers_(std::move(headers)), pass_(pass) {}

  Next on_request(Exchange& x) const override {
    for (const HeaderMatcher& m : headers_)
      if (!m.matches(x.request())) return Next::kGoOn;
    x.info().health_check = true;
    if (pass_) return Next::kGoOn;
    if (health_check_failed()) {
      x.response().fields.add_view("x-envoy-immediate-health-check-fail", "true");
      x.reply(503, {}, "health_check_failed", kFlagFailedLocalHealthCheck);
    } else {
      x.reply(200, {}, "health_check_ok", 0);
    }
    return Next::kStop;
  }

 private:
  std::vector<HeaderMatcher> headers_;
  bool pass_;
};

}  // namespace

const FilterType kHealthCheckFilter = {
    "envoy.filters.http.health_check", "envoy.extensions.filters.http.health_check.v3.HealthCheck", {},
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const Filter> {
      auto from = unpack<pb::HealthCheck>(at, *source.any);
      if (!from.has_pass_through_mode()) at.at("pass_through_mode").refuse("true or false is required");
      std::vector<HeaderMatcher> headers;
      int i = 0;
      for (const auto& h : from.headers()) headers.push_back(compile_header(at.at("headers", i++), h));
      return std::make_shared<AnswerHealthChecks>(source.name, std::move(headers), from.pass_through_mode().value());
    },
    nullptr};

}  // namespace fairlead::proxy
