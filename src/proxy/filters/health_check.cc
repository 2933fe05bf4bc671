// envoy.filters.http.health_check: answers health checks here, or marks those that go on to the endpoint.
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"

#include "proxy/exchange.h"
#include "proxy/filters/registry.h"
#include "proxy/upstream/health_state.h"

namespace fairlead::proxy {
namespace {

namespace pb = envoy::extensions::filters::http::health_check::v3;

class AnswerHealthChecks final : public Filter {
 public:
  struct Least {
    ClusterId cluster = kNoCluster;
    double percent = 0;                            // of its hosts have to be healthy or degraded
  };
  AnswerHealthChecks(std::string name, std::vector<HeaderMatcher> headers, bool pass, std::vector<Least> least)
      : Filter(std::move(name), kRequest | kResponse), headers_(std::move(headers)), pass_(pass), least_(std::move(least)) {}

  Next on_request(Exchange& x) const override {
    for (const HeaderMatcher& m : headers_)
      if (!m.matches(x.request())) return Next::kGoOn;
    x.info().health_check = true;
    if (pass_) return Next::kGoOn;
    if (health_check_failed()) {
      x.response().fields.add_view("x-envoy-immediate-health-check-fail", "true");
      x.reply(503, {}, "health_check_failed", kFlagFailedLocalHealthCheck);
    } else {
      std::string_view wrong = unhealthy(x.worker());
      if (!wrong.empty()) x.reply(503, {}, wrong, kFlagFailedLocalHealthCheck);
      else x.reply(200, {}, least_.empty() ? "health_check_ok" : "health_check_ok_cluster_healthy", 0);
    }
    return Next::kStop;
  }

  void on_response(Exchange& x, bool) const override {
    if (x.info().health_check) x.response().fields.set("x-envoy-upstream-healthchecked-cluster", x.worker().options().node_cluster);
  }

 private:
  // What is wrong with a cluster that has to have healthy hosts; empty: nothing.
  std::string_view unhealthy(Worker& worker) const {
    for (const Least& l : least_) {
      const Cluster* cluster = worker.cluster(l.cluster);
      if (!cluster) return "health_check_failed_no_cluster_found";
      size_t total = 0, usable = 0;
      if (const EndpointSet* endpoints = cluster->endpoints())
        for (const HostPtr& host : endpoints->hosts) ++total, usable += host->usable();
      if (total == 0 && l.percent > 0) return "health_check_failed_cluster_empty";
      if (100.0 * static_cast<double>(usable) < l.percent * static_cast<double>(total)) return "health_check_failed_cluster_unhealthy";
    }
    return {};
  }

  std::vector<HeaderMatcher> headers_;
  bool pass_;
  std::vector<Least> least_;
};

}  // namespace

const FilterType kHealthCheckFilter = {
    "envoy.filters.http.health_check", "envoy.extensions.filters.http.health_check.v3.HealthCheck", {},
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      auto from = unpack<pb::HealthCheck>(at, *source.any);
      if (!from.has_pass_through_mode()) at.at("pass_through_mode").refuse("true or false is required");
      std::vector<HeaderMatcher> headers;
      int i = 0;
      for (const auto& h : from.headers()) headers.push_back(compile_header(at.at("headers", i++), h));
      std::vector<AnswerHealthChecks::Least> least;
      for (const auto& [cluster, percent] : from.cluster_min_healthy_percentages()) least.push_back({at.names.id(cluster), percent.value()});
      if (!least.empty() && from.pass_through_mode().value()) at.at("cluster_min_healthy_percentages").refuse("it decides answers of this proxy alone; pass_through_mode has to be false");
      return std::make_shared<AnswerHealthChecks>(source.name, std::move(headers), from.pass_through_mode().value(), std::move(least));
    },
    nullptr};

}  // namespace fairlead::proxy
