#include "proxy/stats.h"

#include <fmt/format.h>

#include <algorithm>

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

HttpStats& ListenerStats::http(std::string_view prefix) {
  for (auto& [known, stats] : managers)
    if (known == prefix) return *stats;
  return *managers.emplace_back(prefix, std::make_unique<HttpStats>()).second;
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

void add_origin(StatsSnapshot& to, const std::string& prefix, const CodeCounts& codes) {
  if (codes.codes.empty()) return;
  add_codes(to, prefix + "upstream_rq_", codes, true);
  uint64_t& completed = to.counters[prefix + "upstream_rq_completed"];
  for (auto& [code, n] : codes.codes) completed += n;
}

void add_spare(StatsSnapshot& to, const std::string& name, const SpareHistogram& from) {
  Histogram& sum = to.histograms[name];
  if (from.recorded) sum.add(*from.recorded);
}

}  // namespace

#define FL_ADD_COUNTER(name) counters[join(prefix, #name)] += stats.name;
#define FL_ADD_GAUGE(name) gauges[join(prefix, #name)] += stats.name;

void StatsSnapshot::add(std::string_view prefix, const ClusterStats& stats) {
  FL_CLUSTER_STATS(FL_ADD_COUNTER, FL_ADD_GAUGE)
  // Those of a codec only once there was a connection of it, as in Envoy.
  if (stats.upstream_cx_http1_total) add(join(prefix, "http1."), H1Stats{});
  if (stats.upstream_cx_http2_total) add(join(prefix, "http2."), stats.http2);
  add_codes(*this, join(prefix, "upstream_rq_"), stats.codes, true);
  histograms[join(prefix, "upstream_rq_time")].add(stats.rq_time);
  add_spare(*this, join(prefix, "upstream_cx_length_ms"), stats.cx_length);
  add_spare(*this, join(prefix, "upstream_rq_per_cx"), stats.rq_per_cx);
  // Origins apart, once there was an answer: what is not internal is external.
  static const CodeCounts kNone;
  const CodeCounts& internal = stats.internal_codes.counted ? *stats.internal_codes.counted : kNone;
  CodeCounts external = stats.codes;
  for (auto& [code, n] : external.codes)
    for (auto& [inner, m] : internal.codes)
      if (inner == code) n -= std::min(m, n);
  std::erase_if(external.codes, [](const auto& c) { return c.second == 0; });
  for (size_t i = 0; i < external.classes.size(); ++i) external.classes[i] -= std::min(internal.classes[i], external.classes[i]);
  add_origin(*this, join(prefix, "external."), external);
  add_origin(*this, join(prefix, "internal."), internal);
  if (stats.retry_codes.counted) add_origin(*this, join(prefix, "retry."), *stats.retry_codes.counted);
  if (stats.internal_rq_time.recorded) histograms[join(prefix, "internal.upstream_rq_time")].add(*stats.internal_rq_time.recorded);
  if (!external.codes.empty()) {
    Histogram rest = stats.rq_time;
    if (const Histogram* inner = stats.internal_rq_time.recorded.get()) {
      for (size_t i = 0; i < rest.buckets.size(); ++i) rest.buckets[i] -= std::min(inner->buckets[i], rest.buckets[i]);
      rest.count -= std::min(inner->count, rest.count);
      rest.sum -= inner->sum;
    }
    histograms[join(prefix, "external.upstream_rq_time")].add(rest);
  }
  histograms[join(prefix, "upstream_cx_connect_ms")].add(stats.connect_ms);
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
  histograms[join(prefix, "downstream_rq_time")].add(stats.rq_time);
  add_spare(*this, join(prefix, "downstream_cx_length_ms"), stats.cx_length);
}

void StatsSnapshot::add(std::string_view prefix, const ListenerStats& stats) {
  FL_LISTENER_STATS(FL_ADD_COUNTER, FL_ADD_GAUGE)
  add_spare(*this, join(prefix, "downstream_cx_length_ms"), stats.cx_length);
  for (auto& [manager, http] : stats.managers) {
    std::string own = fmt::format("{}http.{}.downstream_rq_", prefix, manager);
    add_codes(*this, own, http->codes, false);
    counters[own + "completed"] += http->downstream_rq_completed;
  }
}
void StatsSnapshot::add(std::string_view prefix, const TcpStats& stats) { FL_TCP_STATS(FL_ADD_COUNTER, FL_ADD_GAUGE) }

void StatsSnapshot::add(const InspectorStats& stats, bool tls, bool http) {
  std::string_view prefix = "tls_inspector.";
  if (tls) {
    FL_TLS_INSPECTOR_STATS(FL_ADD_COUNTER)
  }
  prefix = "http_inspector.";
  if (http) {
    FL_HTTP_INSPECTOR_STATS(FL_ADD_COUNTER)
  }
}

void StatsSnapshot::add(std::string_view prefix, const H1Stats& stats) {
  FL_H1_STATS(FL_ADD_COUNTER)
  // Of frames that HTTP/1.1 has none of, and of answers that pile up unread: a connection asks no further here before they
  // are read.
  for (std::string_view never : {"metadata_not_supported_error", "response_flood"}) counters[join(prefix, never)] += 0;
}

void StatsSnapshot::add(std::string_view prefix, const H2Stats& h2) {
  const http::H2Counters& stats = h2.counters;
  FL_H2_COUNTERS(FL_ADD_COUNTER)
  gauges[join(prefix, "streams_active")] += h2.streams_active;
  gauges[join(prefix, "pending_send_bytes")] += h2.pending_send_bytes;
}

#undef FL_ADD_COUNTER
#undef FL_ADD_GAUGE

void StatsSnapshot::add(std::string_view prefix, const io::TlsCounters& tls) {
  std::string p = std::string(prefix) + "ssl.";
  counters[p + "handshake"] += tls.handshake;
  counters[p + "session_reused"] += tls.session_reused;
  counters[p + "no_certificate"] += tls.no_certificate;
  counters[p + "connection_error"] += tls.connection_error;
  counters[p + "fail_verify_no_cert"] += tls.fail_verify_no_cert;
  counters[p + "fail_verify_error"] += tls.fail_verify_error;
  counters[p + "fail_verify_san"] += tls.fail_verify_san;
  counters[p + "fail_verify_cert_hash"] += tls.fail_verify_cert_hash;
  for (auto& [name, n] : tls.versions) counters[p + "versions." + name] += n;
  for (auto& [name, n] : tls.ciphers) counters[p + "ciphers." + name] += n;
  for (auto& [name, n] : tls.curves) counters[p + "curves." + name] += n;
}

void StatsSnapshot::merge(const StatsSnapshot& other) {
  for (auto& [k, v] : other.counters) counters[k] += v;
  for (auto& [k, v] : other.gauges) gauges[k] += v;
  for (auto& [k, v] : other.histograms) histograms[k].add(v);
  texts.insert(other.texts.begin(), other.texts.end());
  for (auto& [family, rows] : other.tagged)
    for (auto& [labels, v] : rows) tagged[family][labels] += v;
  for (auto& [family, rows] : other.tagged_gauges)
    for (auto& [labels, v] : rows) tagged_gauges[family][labels] = v;
  for (auto& [family, rows] : other.tagged_histograms)
    for (auto& [labels, v] : rows) tagged_histograms[family][labels].add(v);
}

}  // namespace fairlead::proxy
