#include "proxy/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/value.h"
#include "proxy/config/matchers.h"

namespace fairlead::proxy {

void Histogram::record(double ms) {
  size_t i = static_cast<size_t>(std::upper_bound(kHistogramBounds.begin(), kHistogramBounds.end(), ms) - kHistogramBounds.begin());
  ++buckets[i];
  ++count;
  sum += ms;
}

void Histogram::add(const Histogram& other) {
  for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
  count += other.count;
  sum += other.sum;
}

double Histogram::quantile(double q) const {
  if (count == 0) return 0;
  double want = q * static_cast<double>(count);
  double seen = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    double n = static_cast<double>(buckets[i]);
    if (n > 0 && seen + n >= want) {
      double low = i == 0 ? 0 : kHistogramBounds[i - 1];
      double high = i < kHistogramBounds.size() ? kHistogramBounds[i] : kHistogramBounds.back();
      return low + (high - low) * (want - seen) / n;
    }
    seen += n;
  }
  return kHistogramBounds.back();
}

void CodeCounts::count(int status) {
  if (status < 100 || status > 599) return;
  ++classes[static_cast<size_t>(status / 100)];
  for (auto& [code, n] : codes)
    if (code == status) return void(++n);
  codes.emplace_back(static_cast<uint16_t>(status), 1);
}

namespace {

std::string join(std::string_view prefix, std::string_view name) {
  std::string out(prefix);
  out += name;
  return out;
}

void add_codes(StatsSnapshot& to, std::string_view prefix, const CodeCounts& codes, bool each) {
  if (each)
    for (auto& [code, n] : codes.codes) to.counters[fmt::format("{}{}", prefix, code)] += n;
  for (size_t i = 1; i < codes.classes.size(); ++i)
    if (codes.classes[i] || !each) to.counters[fmt::format("{}{}xx", prefix, i)] += codes.classes[i];
}

// "cluster.outbound|80||a.b;.upstream_rq_total" -> metric name and tags, as Envoy's default tag extraction does.
struct Tagged {
  std::string name, tags;
};

std::string metric_name(std::string_view s) {
  std::string out = "envoy_";
  for (char c : s) out += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ? c : '_';
  return out;
}

Tagged tag(const std::string& name) {
  auto cut = [&](std::string_view family, std::string_view label) -> std::optional<Tagged> {
    if (!name.starts_with(family) || name.size() <= family.size() || name[family.size()] != '.') return std::nullopt;
    // The instance's name may contain dots; the statistic is what follows the last dot that belongs to it.
    std::string_view rest = std::string_view(name).substr(family.size() + 1);
    size_t split = rest.rfind('.');
    for (std::string_view group : {".circuit_breakers.", ".outlier_detection.", ".fault."})
      if (size_t at = rest.find(group); at != std::string_view::npos) split = at;
    if (split == std::string_view::npos) return std::nullopt;
    std::string stat(rest.substr(split + 1));
    Tagged t;
    t.tags = fmt::format("{}=\"{}\"", label, rest.substr(0, split));
    for (std::string_view base : {"upstream_rq_", "downstream_rq_"}) {
      if (!stat.starts_with(base)) continue;
      std::string_view code = std::string_view(stat).substr(base.size());
      if (code.size() == 3 && code[0] >= '1' && code[0] <= '5' && code.substr(1) == "xx") {
        t.tags = fmt::format("envoy_response_code_class=\"{}\",{}", code[0], t.tags);
        stat = std::string(base) + "xx";
      } else if (code.size() == 3 && code.find_first_not_of("0123456789") == std::string_view::npos) {
        t.tags = fmt::format("envoy_response_code=\"{}\",{}", code, t.tags);
        stat = std::string(base.substr(0, base.size() - 1));
      }
    }
    t.name = metric_name(std::string(family) + "_" + stat);
    return t;
  };
  if (auto t = cut("cluster", "envoy_cluster_name")) return *t;
  if (auto t = cut("http", "envoy_http_conn_manager_prefix")) return *t;
  if (auto t = cut("listener", "envoy_listener_address")) return *t;
  if (auto t = cut("tcp", "envoy_tcp_prefix")) return *t;
  return {metric_name(name), {}};
}

}  // namespace

#define FL_ADD_COUNTER(name) counters[join(prefix, #name)] += stats.name;
#define FL_ADD_GAUGE(name) gauges[join(prefix, #name)] += stats.name;

void StatsSnapshot::add(std::string_view prefix, const ClusterStats& stats) {
  FL_CLUSTER_STATS(FL_ADD_COUNTER, FL_ADD_GAUGE)
  add_codes(*this, join(prefix, "upstream_rq_"), stats.codes, true);
  if (stats.rq_time.count) histograms[join(prefix, "upstream_rq_time")].add(stats.rq_time);
  if (stats.connect_ms.count) histograms[join(prefix, "upstream_cx_connect_ms")].add(stats.connect_ms);
}

// The fault filter's figures have a level of their own: http.PREFIX.fault.aborts_injected.
static std::string http_name(std::string_view prefix, std::string_view name) {
  return name.starts_with("fault_") ? join(prefix, "fault.").append(name.substr(6)) : join(prefix, name);
}

void StatsSnapshot::add(std::string_view prefix, const HttpStats& stats) {
#define FL_ADD_HTTP_COUNTER(name) counters[http_name(prefix, #name)] += stats.name;
#define FL_ADD_HTTP_GAUGE(name) gauges[http_name(prefix, #name)] += stats.name;
  FL_HTTP_STATS(FL_ADD_HTTP_COUNTER, FL_ADD_HTTP_GAUGE)
#undef FL_ADD_HTTP_COUNTER
#undef FL_ADD_HTTP_GAUGE
  add_codes(*this, join(prefix, "downstream_rq_"), stats.codes, false);
  if (stats.rq_time.count) histograms[join(prefix, "downstream_rq_time")].add(stats.rq_time);
}

void StatsSnapshot::add(std::string_view prefix, const ListenerStats& stats) { FL_LISTENER_STATS(FL_ADD_COUNTER, FL_ADD_GAUGE) }
void StatsSnapshot::add(std::string_view prefix, const TcpStats& stats) { FL_TCP_STATS(FL_ADD_COUNTER, FL_ADD_GAUGE) }

#undef FL_ADD_COUNTER
#undef FL_ADD_GAUGE

void StatsSnapshot::merge(const StatsSnapshot& other) {
  for (auto& [k, v] : other.counters) counters[k] += v;
  for (auto& [k, v] : other.gauges) gauges[k] += v;
  for (auto& [k, v] : other.histograms) histograms[k].add(v);
}

std::string StatsSnapshot::text(bool used_only, std::string_view filter_regex, bool& bad_filter) const {
  std::shared_ptr<const Regex> filter;
  bad_filter = false;
  if (!filter_regex.empty()) {
    filter = Regex::compile("(?s).*(?:" + std::string(filter_regex) + ").*", nullptr);
    if (!filter) return bad_filter = true, std::string();
  }
  std::map<std::string_view, uint64_t> all;
  for (auto& [k, v] : counters)
    if (!used_only || v) all[k] = v;
  for (auto& [k, v] : gauges)
    if (!used_only || v) all[k] = v;
  std::string out;
  for (auto& [k, v] : all)
    if (!filter || filter->full_match(k)) fmt::format_to(std::back_inserter(out), "{}: {}\n", k, v);
  for (auto& [k, h] : histograms) {
    if (filter && !filter->full_match(k)) continue;
    fmt::format_to(std::back_inserter(out), "{}:", k);
    for (double q : {0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0})
      fmt::format_to(std::back_inserter(out), " P{:g}(nan,{:.4g})", q * 100, h.quantile(q));
    out += '\n';
  }
  return out;
}

std::string StatsSnapshot::json(bool used_only) const {
  base::Value list = base::Value::array();
  for (auto* table : {&counters, &gauges})
    for (auto& [k, v] : *table)
      if (!used_only || v) list.push(base::Value::object({{"name", k}, {"value", static_cast<long long>(v)}}));
  return base::Value::object({{"stats", std::move(list)}}).dump();
}

std::string StatsSnapshot::prometheus(bool used_only) const {
  std::string out;
  auto family = [&](const std::map<std::string, uint64_t>& table, std::string_view type) {
    std::map<std::string, std::vector<std::pair<std::string, uint64_t>>> by_name;
    for (auto& [k, v] : table) {
      if (used_only && !v) continue;
      Tagged t = tag(k);
      by_name[t.name].emplace_back(std::move(t.tags), v);
    }
    for (auto& [name, rows] : by_name) {
      fmt::format_to(std::back_inserter(out), "# TYPE {} {}\n", name, type);
      for (auto& [tags, v] : rows) fmt::format_to(std::back_inserter(out), "{}{{{}}} {}\n", name, tags, v);
    }
  };
  family(counters, "counter");
  family(gauges, "gauge");
  for (auto& [k, h] : histograms) {
    Tagged t = tag(k);
    fmt::format_to(std::back_inserter(out), "# TYPE {} histogram\n", t.name);
    uint64_t seen = 0;
    std::string comma = t.tags.empty() ? "" : t.tags + ",";
    for (size_t i = 0; i < kHistogramBounds.size(); ++i) {
      seen += h.buckets[i];
      fmt::format_to(std::back_inserter(out), "{}_bucket{{{}le=\"{:g}\"}} {}\n", t.name, comma, kHistogramBounds[i], seen);
    }
    fmt::format_to(std::back_inserter(out), "{}_bucket{{{}le=\"+Inf\"}} {}\n{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", t.name, comma, h.count,
                   t.name, t.tags, h.sum, t.name, t.tags, h.count);
  }
  return out;
}

}  // namespace fairlead::proxy
