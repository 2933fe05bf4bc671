// istio.stats (stats.PluginConfig): Istio's standard metrics of requests, with its labels.
//
// Each worker keeps a series for each set of labels that it saw; the key is what the labels are made of (pointers to
// configuration that the series holds on to), so that a request that fits a known series formats nothing.
// Source: Envoy's contrib/istio/filters/http/istio_stats; https://istio.io/latest/docs/reference/config/metrics/
#include "proxy/filters/istio_stats.h"

#include <set>

#include "base/strings.h"
#include "http/grpc.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"
#include "proxy/upstream/upstream.h"
#include "xds/wire.h"

namespace fairlead::proxy {

IstioMetrics& IstioMetrics::of(Worker& worker) {
  static constexpr char kKey = 0;
  return worker.local<IstioMetrics>(&kKey);
}

size_t IstioMetrics::Hash::operator()(const Key& k) const {
  size_t h = std::hash<const void*>()(k.config);
  for (size_t part : {std::hash<const void*>()(k.service), std::hash<const void*>()(k.peer), static_cast<size_t>(k.special),
                      static_cast<size_t>(k.status), static_cast<size_t>(k.grpc_status), static_cast<size_t>(k.protocol),
                      static_cast<size_t>(k.flags), std::hash<std::string>()(k.host)})
    h = (h ^ part) * 0x9E3779B97F4A7C15ULL;
  return h;
}

IstioMetrics::Special IstioMetrics::special(std::string_view route, std::string_view cluster) {
  if (route == "block_all" || cluster == "BlackHoleCluster") return Special::kBlackHole;
  if (route == "allow_any" || cluster == "PassthroughCluster") return Special::kPassthrough;
  if (cluster.starts_with("InboundPassthroughCluster")) return Special::kInboundPassthrough;
  return Special::kNone;
}

IstioMetrics::Series* IstioMetrics::series(const Key& key, const std::shared_ptr<const IstioStatsConfig>& config,
                                           const std::shared_ptr<const ServiceIdentity>& service, const std::shared_ptr<const Workload>& peer) {
  if (auto it = series_.find(key); it != series_.end()) return &it->second;
  if (series_.size() >= kMost) return nullptr;
  Series& s = series_[key];
  s.config = config;
  s.service = service;
  s.peer = peer;
  return &s;
}

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out;
}

using Labels = std::vector<std::pair<std::string_view, std::string>>;

Labels labels_of(const IstioMetrics::Key& key, const IstioMetrics::Series& series) {
  using Special = IstioMetrics::Special;
  const Workload& self = series.config->self;
  const Workload none;
  const Workload& peer = series.peer ? *series.peer : none;
  auto known = [](const std::string& text) { return text.empty() ? std::string("unknown") : text; };
  auto latest = [](const std::string& text) { return text.empty() ? std::string("latest") : text; };
  bool source = series.config->source;
  std::string host = key.host, name = key.host, ns;
  if (key.special != Special::kNone) {
    name = key.special == Special::kBlackHole ? "BlackHoleCluster" : key.special == Special::kPassthrough ? "PassthroughCluster" : "InboundPassthroughCluster";
  } else if (series.service) {
    host = series.service->host;
    ns = series.service->ns;
    name = series.service->name.empty() ? host.substr(0, host.find('.')) : series.service->name;
  }
  Labels out;
  auto add = [&](std::string_view label, std::string value) { out.emplace_back(label, std::move(value)); };
  add("reporter", source ? "source" : "destination");
  // One end is this proxy, whose fields stand as they are; the other is the peer, as far as it is known.
  auto end = [&](bool mine, bool from) {
    const Workload& w = mine ? self : peer;
    auto text = [&](const std::string& field) { return mine ? field : known(field); };
    auto label = [&](std::string_view as_source, std::string_view as_destination) { return from ? as_source : as_destination; };
    add(label("source_workload", "destination_workload"), text(w.name));
    add(label("source_canonical_service", "destination_canonical_service"), text(w.canonical_name));
    add(label("source_canonical_revision", "destination_canonical_revision"), mine ? w.canonical_revision : latest(w.canonical_revision));
    add(label("source_workload_namespace", "destination_workload_namespace"), text(w.ns));
    add(label("source_principal", "destination_principal"), "unknown");
    add(label("source_app", "destination_app"), text(w.app));
    add(label("source_version", "destination_version"), text(w.version));
    add(label("source_cluster", "destination_cluster"), text(w.cluster));
  };
  end(source, true);
  end(!source, false);
  if (source) {
    add("destination_service", known(host));
    add("destination_service_name", known(name));
    add("destination_service_namespace", !ns.empty() ? ns : known(peer.ns));
  } else {
    add("destination_service", host.empty() ? self.canonical_name : host);
    add("destination_service_name", name.empty() ? self.canonical_name : name);
    add("destination_service_namespace", self.ns);
  }
  using Protocol = IstioMetrics::Protocol;
  add("request_protocol", key.protocol == Protocol::kGrpc ? "grpc" : key.protocol == Protocol::kTcp ? "tcp" : "http");
  if (key.protocol != Protocol::kTcp) {
    add("response_code", std::to_string(key.status));
    add("grpc_response_status", key.protocol == Protocol::kGrpc && key.grpc_status >= 0 ? std::to_string(key.grpc_status) : "");
  }
  add("response_flags", flags_text(key.flags));
  add("connection_security_policy", source ? "unknown" : "none");
  return out;
}

std::string text_of(const Labels& labels, const std::set<std::string, std::less<>>& removed) {
  std::string out;
  for (const auto& [name, value] : labels)
    if (!removed.contains(name)) out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, escaped(value));
  return out;
}

}  // namespace

void IstioMetrics::collect(StatsSnapshot& into) {
  for (const auto& [key, series] : series_) {
    const auto& config = *series.config;
    Labels labels = labels_of(key, series);
    auto wanted = [&](std::string_view metric, std::string& text) {
      auto it = config.overrides.find(metric);
      if (it == config.overrides.end()) it = config.overrides.find("");
      if (it != config.overrides.end() && it->second.drop) return false;
      static const std::set<std::string, std::less<>> kNone;
      text = text_of(labels, it == config.overrides.end() ? kNone : it->second.removed);
      return true;
    };
    std::string text;
    auto counter = [&](std::string_view metric, uint64_t value) {
      if (wanted(metric, text)) into.tagged[fmt::format("istio_{}", metric)][text] += value;
    };
    auto histogram = [&](std::string_view metric, const Histogram& value) {
      if (wanted(metric, text)) into.tagged_histograms[fmt::format("istio_{}", metric)][text].add(value);
    };
    if (key.protocol == Protocol::kTcp) {
      counter("tcp_connections_opened_total", series.opened);
      counter("tcp_connections_closed_total", series.closed);
      counter("tcp_sent_bytes_total", series.sent_bytes);
      counter("tcp_received_bytes_total", series.received_bytes);
    } else {
      counter("requests_total", series.requests);
      histogram("request_duration_milliseconds", series.duration);
      histogram("request_bytes", series.request_bytes);
      histogram("response_bytes", series.response_bytes);
    }
  }
}

std::shared_ptr<const IstioStatsConfig> compile_istio_stats(const CompileContext& at, const FilterSource& source) {
  auto config = std::make_shared<IstioStatsConfig>();
  config->self = at.compiler.self;
  config->source = source.outbound;
  // stats.PluginConfig: disable_host_header_fallback = 6, tcp_reporting_duration = 7, metrics = 8 {dimensions = 1, name = 2, tags_to_remove = 3, match = 4,
  // drop = 5}, definitions = 9, reporter = 10.
  if (source.any && source.fields.is_null()) {
    for (xds::WireReader wire(source.any->value()); wire.next();) {
      if (wire.field() == 6) config->disable_host_header_fallback = wire.number() != 0;
      if (wire.field() == 9) at.warn("istio.stats definitions");
      if (wire.field() == 10 && wire.number() == 1) at.warn("istio.stats reporter SERVER_GATEWAY");
      if (wire.field() != 8) continue;
      std::string name;
      IstioStatsConfig::Override change;
      for (xds::WireReader metric(wire.bytes()); metric.next();) {
        if (metric.field() == 1) at.warn("istio.stats metrics.dimensions");
        if (metric.field() == 2) name = metric.bytes();
        if (metric.field() == 3) change.removed.emplace(metric.bytes());
        if (metric.field() == 5) change.drop = metric.number() != 0;
      }
      auto& slot = config->overrides[name];
      slot.drop |= change.drop;
      slot.removed.merge(change.removed);
    }
  } else {
    config->disable_host_header_fallback = source.fields["disable_host_header_fallback"].as_bool();
  }
  // What is said of all metrics holds for those that are named, too.
  if (auto all = config->overrides.find(""); all != config->overrides.end())
    for (auto& [name, change] : config->overrides) change.removed.insert(all->second.removed.begin(), all->second.removed.end());
  return config;
}

namespace {

class IstioStats final : public Filter {
 public:
  IstioStats(std::string name, std::shared_ptr<const IstioStatsConfig> config) : Filter(std::move(name), kEnd), config_(std::move(config)) {}

  void on_end(Exchange& x) const override {
    const StreamInfo& info = x.info();
    IstioMetrics& metrics = IstioMetrics::of(x.worker());
    std::shared_ptr<const Workload> peer = config_->source ? info.upstream_peer : info.downstream_peer;
    if (!peer && config_->source && x.upstream_host()) peer = x.upstream_host()->workload;
    Cluster* cluster = x.upstream_cluster();
    std::shared_ptr<const ServiceIdentity> service = cluster ? cluster->config().service : nullptr;
    IstioMetrics::Key key;
    key.config = config_.get();
    key.peer = peer.get();
    key.special = IstioMetrics::special(info.route, info.cluster_raw);
    if (key.special != IstioMetrics::Special::kNone) service = nullptr;
    key.service = service.get();
    if (!service && !config_->disable_host_header_fallback) key.host = base::to_lower(x.request().authority);
    key.status = static_cast<int16_t>(info.status);
    key.flags = info.flags;
    key.protocol = IstioMetrics::Protocol::kHttp;
    if (http::is_grpc_type(x.request().fields.get("content-type"))) {
      key.protocol = IstioMetrics::Protocol::kGrpc;
      std::string_view status = info.response_trailers ? info.response_trailers->get("grpc-status") : std::string_view();
      if (status.empty()) status = x.response().fields.get("grpc-status");
      key.grpc_status = static_cast<int16_t>(base::to_int(status).value_or(-1));
    }
    auto* series = metrics.series(key, config_, service, peer);
    if (!series) return;
    ++series->requests;
    series->duration.record(std::chrono::duration<double, std::milli>(info.end).count());
    series->request_bytes.record(static_cast<double>(info.request_header_bytes + info.bytes_received));
    series->response_bytes.record(static_cast<double>(info.response_header_bytes + info.bytes_sent));
  }

 private:
  std::shared_ptr<const IstioStatsConfig> config_;
};

}  // namespace

const FilterType kIstioStatsFilter = {
    "istio.stats", "stats.PluginConfig", {},
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      return std::make_shared<IstioStats>(source.name, compile_istio_stats(at, source));
    },
    nullptr};

}  // namespace fairlead::proxy
