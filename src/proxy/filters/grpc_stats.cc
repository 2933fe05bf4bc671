// envoy.filters.http.grpc_stats: calls and messages of gRPC by cluster, and by service and method where that is asked for.
//
//   cluster.NAME.grpc.[SERVICE.METHOD.](success | failure | total | <status> | request_message_count | response_message_count)
//
// Source: Envoy's source/extensions/filters/http/grpc_stats/grpc_stats_filter.cc, source/common/grpc/context_impl.cc.
#include <algorithm>
#include <unordered_map>

#include "base/strings.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "http/grpc.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {
namespace {

namespace pb = envoy::extensions::filters::http::grpc_stats::v3;

struct Series {
  uint64_t success = 0, failure = 0, requests = 0, responses = 0;
  std::vector<std::pair<std::string, uint64_t>> by_status;
  Histogram upstream_time;
};

// One worker's series, by cluster, then by "service.method". They stay where they are once made: exchanges point to them.
class GrpcSeries final : public WorkerLocal {
 public:
  // Methods are what clients write; past this many, and past this many statuses, calls are counted without a name of theirs.
  static constexpr size_t kMostMethods = 10'000, kMostStatuses = 64;

  static GrpcSeries& of(Worker& worker) {
    static constexpr char kKey = 0;
    return worker.local<GrpcSeries>(&kKey);
  }
  Series& find(std::string_view cluster, std::string_view method) {
    auto at = clusters_.find(cluster);
    if (at == clusters_.end()) at = clusters_.emplace(std::string(cluster), PerCluster{}).first;
    PerCluster& c = at->second;
    if (method.empty()) return c.all;
    if (auto known = c.methods.find(method); known != c.methods.end()) return known->second;
    if (methods_ >= kMostMethods) return c.all;
    ++methods_;
    return c.methods[std::string(method)];
  }
  void collect(StatsSnapshot& into) override {
    for (const auto& [cluster, c] : clusters_) {
      add(into, fmt::format("cluster.{}.grpc.", cluster), c.all);
      for (const auto& [method, series] : c.methods) add(into, fmt::format("cluster.{}.grpc.{}.", cluster, method), series);
    }
  }

 private:
  struct PerCluster {
    Series all;  // of calls without a method of their own
    StringMap<Series> methods;
  };
  static void add(StatsSnapshot& into, const std::string& prefix, const Series& s) {
    auto counter = [&](std::string_view name, uint64_t n) {
      if (n) into.counters[prefix + std::string(name)] += n;
    };
    if (s.success + s.failure) {
      into.counters[prefix + "success"] += s.success;
      into.counters[prefix + "failure"] += s.failure;
      into.counters[prefix + "total"] += s.success + s.failure;
    }
    for (const auto& [status, n] : s.by_status) counter(status, n);
    counter("request_message_count", s.requests);
    counter("response_message_count", s.responses);
    if (s.upstream_time.count) into.histograms[prefix + "upstream_rq_time"].add(s.upstream_time);
  }
  StringMap<PerCluster> clusters_;
  size_t methods_ = 0;
};

// Messages that began: a byte of flags, four of length, and the message.
class Frames {
 public:
  uint64_t count(std::string_view bytes) {
    uint64_t begun = 0;
    while (!bytes.empty()) {
      if (left_) {
        size_t n = std::min<size_t>(left_, bytes.size());
        left_ -= static_cast<uint32_t>(n);
        bytes.remove_prefix(n);
        continue;
      }
      auto byte = static_cast<unsigned char>(bytes[0]);
      bytes.remove_prefix(1);
      if (at_ == 0) ++begun, length_ = 0;
      else length_ = length_ << 8 | byte;
      if (++at_ == 5) at_ = 0, left_ = length_;
    }
    return begun;
  }

 private:
  uint32_t length_ = 0, left_ = 0;
  int at_ = 0;
};

struct Call final : FilterState {
  Series* series = nullptr;
  Frames request, response;
  bool ended = false;
};

// "/service/method?query" -> both; false for anything else.
bool split_path(std::string_view path, std::string_view& service, std::string_view& method) {
  path = path.substr(0, path.find('?'));
  if (!path.starts_with('/')) return false;
  path.remove_prefix(1);
  size_t slash = path.find('/');
  if (slash == std::string_view::npos) return false;
  service = path.substr(0, slash);
  method = path.substr(slash + 1);
  return !service.empty() && !method.empty() && method.find('/') == std::string_view::npos;
}

class GrpcStats final : public Filter {
 public:
  GrpcStats(std::string name, const pb::FilterConfig& from)
      : Filter(std::move(name), kRequest | kResponse | (from.enable_upstream_stats() ? kEnd : 0u)),
        each_(from.stats_for_all_methods().value()),
        replace_dots_(from.replace_dots_in_grpc_service_name()) {
    for (const auto& service : from.individual_method_stats_allowlist().services())
      for (const auto& method : service.method_names()) listed_[fmt::format("{}/{}", service.name(), method)] = fmt::format("{}.{}", service.name(), method);
  }

  Next on_request(Exchange& x) const override {
    if (!http::is_grpc_type(x.request().fields.get("content-type"))) return Next::kGoOn;
    Cluster* cluster = x.upstream_cluster();
    if (!cluster) return Next::kGoOn;
    std::string_view service, method;
    bool named = split_path(x.request().target, service, method);
    std::string name;
    if (each_) {
      if (!named) return Next::kGoOn;
      name = fmt::format("{}.{}", replace_dots_ ? base::replace_all(service, ".", "_") : std::string(service), method);
    } else if (named && !listed_.empty()) {
      if (auto at = listed_.find(std::string_view(service.data(), service.size() + 1 + method.size())); at != listed_.end()) name = at->second;
    }
    auto call = std::make_unique<Call>();
    call->series = &GrpcSeries::of(x.worker()).find(cluster->config().stat_name, name);
    x.keep(*this, std::move(call));
    x.watch_request_body(*this);
    return Next::kGoOn;
  }

  void on_request_data(Exchange& x, std::string& bytes) const override {
    auto& call = *static_cast<Call*>(x.kept(*this));
    call.series->requests += call.request.count(bytes);
  }

  void on_response(Exchange& x, bool end) const override {
    auto* call = static_cast<Call*>(x.kept(*this));
    if (!call) return;
    const ResponseHeaders& head = x.response();
    charge(*call, head.fields.get("grpc-status"));
    if (!end) x.watch_response_body(*this);
  }

  void on_response_data(Exchange& x, std::string& bytes) const override {
    const ResponseHeaders& head = x.response();
    if (head.status != 200 || !http::is_grpc_type(head.fields.get("content-type"))) return;
    auto& call = *static_cast<Call*>(x.kept(*this));
    call.series->responses += call.response.count(bytes);
  }

  void on_response_end(Exchange& x, std::string&, HeaderMap* trailers) const override {
    auto& call = *static_cast<Call*>(x.kept(*this));
    if (trailers) charge(call, trailers->get("grpc-status"));
  }

  // Only where enable_upstream_stats asks for it.
  void on_end(Exchange& x) const override {
    auto* call = static_cast<Call*>(x.kept(*this));
    if (!call || !call->ended) return;
    const StreamInfo& info = x.info();
    call->series->upstream_time.record(std::chrono::duration<double, std::milli>(info.end - info.request_received).count());
  }

 private:
  static void charge(Call& call, std::string_view status) {
    if (status.empty()) return;
    Series& s = *call.series;
    call.ended = true;
    ++(status == "0" ? s.success : s.failure);
    for (auto& [known, n] : s.by_status)
      if (known == status) return void(++n);
    // The status is what the endpoint writes.
    bool number = status.size() <= 3 && status.find_first_not_of("0123456789") == std::string_view::npos;
    if (number && s.by_status.size() < GrpcSeries::kMostStatuses) s.by_status.emplace_back(std::string(status), 1);
  }

  bool each_, replace_dots_;
  StringMap<std::string> listed_;  // "service/method" -> "service.method"
};

}  // namespace

const FilterType kGrpcStatsFilter = {
    "envoy.filters.http.grpc_stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", {},
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      // Without a configuration it counts by cluster.
      return std::make_shared<GrpcStats>(source.name, source.type.empty() ? pb::FilterConfig() : unpack<pb::FilterConfig>(at, *source.any));
    },
    nullptr};

}  // namespace fairlead::proxy
