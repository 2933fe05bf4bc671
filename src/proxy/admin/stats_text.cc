#include "proxy/admin/stats_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/value.h"
#include "http/message.h"
#include "proxy/config/matchers.h"

namespace fairlead::proxy {

namespace {

constexpr double kQuantiles[] = {0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1};

template <class... Args>
void print(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

bool digits(std::string_view s) { return !s.empty() && s.find_first_not_of("0123456789") == std::string_view::npos; }

// "cluster.outbound|80||a.b;.upstream_rq_5xx" -> metric name and tags, as Envoy's default tag extraction has them.
struct Tagged {
  std::string name, tags;
};

std::string metric_name(std::string_view s) {
  std::string out = "envoy_";
  for (char c : s) out += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ? c : '_';
  return out;
}

void add_tag(std::string& tags, std::string_view label, std::string_view value) {
  if (!tags.empty()) tags += ',';
  tags += label;
  tags += "=\"";
  for (char c : value) {
    if (c == '\\' || c == '"') tags += '\\';
    if (c == '\n') tags += "\\n";
    else tags += c;
  }
  tags += '"';
}

// Levels that belong to the statistic, not to the (dotted) name of the instance before them.
constexpr std::string_view kGroups[] = {".circuit_breakers.", ".outlier_detection.", ".fault.", ".http.", ".ssl.",         ".http1.", ".http2.", ".health_check.",
                                        ".worker_",           ".default.",           ".retry_or_shadow",   ".external.", ".internal.", ".tracing.", ".retry."};

bool is_grpc_stat(std::string_view s) {
  for (std::string_view known : {"success", "failure", "total", "request_message_count", "response_message_count", "upstream_rq_time"})
    if (s == known) return true;
  return digits(s);
}

Tagged tag(std::string_view name) {
  struct Family {
    std::string_view prefix, label;
  };
  static constexpr Family kFamilies[] = {{"cluster", "envoy_cluster_name"},
                                         {"http", "envoy_http_conn_manager_prefix"},
                                         {"listener", "envoy_listener_address"},
                                         {"tcp", "envoy_tcp_prefix"}};
  for (const Family& family : kFamilies) {
    if (!name.starts_with(family.prefix) || name.size() <= family.prefix.size() || name[family.prefix.size()] != '.') continue;
    std::string_view rest = name.substr(family.prefix.size() + 1);
    // No address behind it: the admin listener has no tag in Envoy either.
    if (family.prefix == "listener" && rest.starts_with("admin.")) break;
    // Istio ends a cluster's name in its statistics with ';' and tags what is before it, under names of its own.
    size_t istio = family.prefix == "cluster" ? rest.rfind(";.") : std::string_view::npos;
    bool istios = istio != std::string_view::npos;
    size_t split = rest.rfind('.');
    for (std::string_view group : kGroups)
      if (size_t at = rest.find(group); at != std::string_view::npos) split = std::min(split, at);
    if (istios) split = istio + 1;
    // cluster.NAME.grpc.[SERVICE.METHOD.]STAT; the service has dots.
    std::string_view grpc_service, grpc_method;
    if (size_t at = rest.find(".grpc.", istios ? istio : 0); family.prefix == "cluster" && at != std::string_view::npos && is_grpc_stat(rest.substr(rest.rfind('.') + 1))) {
      split = at;
      size_t end = rest.rfind('.');
      if (size_t dot = rest.rfind('.', end - 1); dot > at + 5) {
        grpc_method = rest.substr(dot + 1, end - dot - 1);
        grpc_service = rest.substr(at + 6, dot - at - 6);
      }
    }
    if (split == std::string_view::npos) break;
    std::string stat(rest.substr(split + 1)), tags;
    std::string_view instance = rest.substr(0, istios ? istio : split);
    if (family.prefix == "listener" && stat.starts_with("worker_")) {
      size_t dot = stat.find('.');
      add_tag(tags, "envoy_worker_id", std::string_view(stat).substr(7, dot - 7));
      stat = "worker_" + stat.substr(dot + 1);
    }
    std::string manager;
    if (family.prefix == "listener" && stat.starts_with("http.")) {
      size_t dot = stat.rfind('.');
      manager = stat.substr(5, dot - 5);
      stat = "http_" + stat.substr(dot + 1);
    }
    if (stat.starts_with("circuit_breakers.")) {
      size_t dot = stat.find('.', 17);
      if (dot != std::string::npos) stat = "circuit_breakers_" + stat.substr(17, dot - 17) + "_" + stat.substr(dot + 1);
    }
    for (std::string_view base : {"upstream_rq_", "downstream_rq_"}) {
      size_t at = stat.rfind(base);
      if (at == std::string::npos) continue;
      std::string_view code = std::string_view(stat).substr(at + base.size());
      if (code.size() != 3) continue;
      if (code.substr(1) == "xx" && digits(code.substr(0, 1))) {
        add_tag(tags, istios ? "response_code_class" : "envoy_response_code_class", code.substr(0, istios ? 3 : 1));
        if (istios) stat.resize(at + base.size() - 1);
        else stat.replace(at + base.size(), 3, "xx");
      } else if (digits(code)) {
        add_tag(tags, istios ? "response_code" : "envoy_response_code", code);
        stat.resize(at + base.size() - 1);
      }
    }
    if (!grpc_method.empty()) {
      stat = fmt::format("grpc_{}", rest.substr(rest.rfind('.') + 1));
      add_tag(tags, "envoy_grpc_bridge_method", grpc_method);
      add_tag(tags, "envoy_grpc_bridge_service", grpc_service);
    }
    if (!manager.empty()) add_tag(tags, "envoy_http_conn_manager_prefix", manager);
    add_tag(tags, istios ? "cluster_name" : family.label, instance);
    return {metric_name(fmt::format("{}_{}", family.prefix, stat)), std::move(tags)};
  }
  if (name.starts_with("server.worker_")) {
    size_t dot = name.find('.', 14);
    std::string tags;
    add_tag(tags, "envoy_worker_id", name.substr(14, dot - 14));
    return {metric_name(fmt::format("server_worker_{}", name.substr(dot + 1))), std::move(tags)};
  }
  return {metric_name(name), {}};
}

bool wants(const StatsQuery& q, StatsQuery::Type type) { return q.type == StatsQuery::Type::kAll || q.type == type; }

std::string buckets_text(const Histogram& h, StatsQuery::Buckets mode) {
  std::string out;
  uint64_t seen = 0;
  for (size_t i = 0; i < kHistogramBounds.size(); ++i) {
    seen += h.buckets[i];
    uint64_t n = mode == StatsQuery::Buckets::kCumulative ? seen : h.buckets[i];
    print(out, "{}B{:g}({},{})", i ? " " : "", kHistogramBounds[i], 0, n);
  }
  return out;
}

base::Value buckets_json(const std::string& name, const Histogram& h, StatsQuery::Buckets mode) {
  base::Value list = base::Value::array();
  uint64_t seen = 0;
  for (size_t i = 0; i < kHistogramBounds.size(); ++i) {
    seen += h.buckets[i];
    uint64_t n = mode == StatsQuery::Buckets::kCumulative ? seen : h.buckets[i];
    list.push(base::Value::object({{"upper_bound", kHistogramBounds[i]}, {"interval", 0}, {"cumulative", static_cast<long long>(n)}}));
  }
  return base::Value::object({{"name", name}, {"buckets", std::move(list)}});
}

}  // namespace

// Statistics that have labels: Envoy spells them into the name, "istiocustom.istio_requests_total.reporter.source...".
static std::map<std::string, uint64_t> spelled(const std::map<std::string, std::map<std::string, uint64_t>>& families) {
  std::map<std::string, uint64_t> out;
  for (auto& [family, rows] : families)
    for (auto& [labels, n] : rows) {
      std::string name = "istiocustom." + family;
      for (size_t at = 0; at < labels.size();) {
        size_t equals = labels.find("=\"", at), end = labels.find("\",", equals + 2);
        if (end == std::string::npos) end = labels.size() - 1;
        print(name, ".{}.{}", labels.substr(at, equals - at), labels.substr(equals + 2, end - equals - 2));
        at = end + 2;
      }
      out[std::move(name)] += n;
    }
  return out;
}

base::Result<StatsQuery> StatsQuery::parse(std::string_view query) {
  StatsQuery q;
  q.used_only = http::has_query_param(query, "usedonly");
  q.invert_filter = http::has_query_param(query, "invert_filter");
  if (std::string filter = http::query_param(query, "filter"); !filter.empty()) {
    std::string error;
    if (Regex::compile(filter, &error)) q.filter = Regex::compile("(?s).*(?:" + filter + ").*", &error);
    if (!q.filter) return base::fail(base::Code::kInvalidArgument, "Invalid re2 regex: {}", error);
  }
  if (std::string type = http::query_param(query, "type"); !type.empty()) {
    if (type == "All") q.type = Type::kAll;
    else if (type == "Counters") q.type = Type::kCounters;
    else if (type == "Gauges") q.type = Type::kGauges;
    else if (type == "Histograms") q.type = Type::kHistograms;
    else if (type == "TextReadouts") q.type = Type::kTextReadouts;
    else return base::fail(base::Code::kInvalidArgument, "invalid &type= param");
  }
  if (std::string mode = http::query_param(query, "histogram_buckets"); !mode.empty()) {
    if (mode == "cumulative") q.buckets = Buckets::kCumulative;
    else if (mode == "disjoint") q.buckets = Buckets::kDisjoint;
    else if (mode != "summary" && mode != "none")
      return base::fail(base::Code::kInvalidArgument, "usage: /stats?histogram_buckets=(cumulative|disjoint|summary)");
  }
  return q;
}

bool StatsQuery::takes(std::string_view name) const { return !filter || filter->full_match(name) != invert_filter; }

std::string stats_text(const StatsSnapshot& stats, const StatsQuery& query) {
  std::string out;
  // First of all, as in Envoy.
  if (wants(query, StatsQuery::Type::kTextReadouts))
    for (auto& [name, text] : stats.texts)
      if ((!query.used_only || !text.empty()) && query.takes(name)) {
        print(out, "{}: ", name);
        base::append_json_string(out, text);
        out += '\n';
      }
  std::vector<std::pair<std::string_view, uint64_t>> numbers;
  auto add = [&](const std::map<std::string, uint64_t>& table, StatsQuery::Type type) {
    if (!wants(query, type)) return;
    for (auto& [name, n] : table)
      if ((!query.used_only || n) && query.takes(name)) numbers.emplace_back(name, n);
  };
  add(stats.counters, StatsQuery::Type::kCounters);
  add(stats.gauges, StatsQuery::Type::kGauges);
  auto labelled = spelled(stats.tagged), labelled_gauges = spelled(stats.tagged_gauges);
  add(labelled, StatsQuery::Type::kCounters);
  add(labelled_gauges, StatsQuery::Type::kGauges);
  std::ranges::sort(numbers);
  for (auto& [name, n] : numbers) print(out, "{}: {}\n", name, n);
  if (!wants(query, StatsQuery::Type::kHistograms)) return out;
  for (auto& [name, h] : stats.histograms) {
    if ((query.used_only && !h.count) || !query.takes(name)) continue;
    print(out, "{}:", name);
    if (!h.count) {
      out += " No recorded values\n";
      continue;
    }
    if (query.buckets != StatsQuery::Buckets::kSummary) print(out, " {}", buckets_text(h, query.buckets));
    else
      for (double q : kQuantiles) print(out, " P{:g}(nan,{:.4g})", q * 100, h.quantile(q));
    out += '\n';
  }
  return out;
}

std::string stats_json(const StatsSnapshot& stats, const StatsQuery& query) {
  using base::Value;
  Value list = Value::array();
  if (wants(query, StatsQuery::Type::kTextReadouts))
    for (auto& [name, text] : stats.texts)
      if ((!query.used_only || !text.empty()) && query.takes(name)) list.push(Value::object({{"name", name}, {"value", text}}));
  auto add = [&](const std::map<std::string, uint64_t>& table, StatsQuery::Type type) {
    if (!wants(query, type)) return;
    for (auto& [name, n] : table)
      if ((!query.used_only || n) && query.takes(name)) list.push(Value::object({{"name", name}, {"value", static_cast<long long>(n)}}));
  };
  add(stats.counters, StatsQuery::Type::kCounters);
  add(stats.gauges, StatsQuery::Type::kGauges);
  if (wants(query, StatsQuery::Type::kHistograms)) {
    Value each = Value::array();
    for (auto& [name, h] : stats.histograms) {
      if ((query.used_only && !h.count) || !query.takes(name)) continue;
      if (query.buckets != StatsQuery::Buckets::kSummary) {
        each.push(buckets_json(name, h, query.buckets));
        continue;
      }
      Value values = Value::array();
      for (double q : kQuantiles) values.push(Value::object({{"interval", nullptr}, {"cumulative", h.count ? Value(h.quantile(q)) : Value()}}));
      each.push(Value::object({{"name", name}, {"values", std::move(values)}}));
    }
    if (!each.empty()) {
      Value body;
      if (query.buckets == StatsQuery::Buckets::kSummary) {
        Value quantiles = Value::array();
        for (double q : kQuantiles) quantiles.push(q * 100);
        body = Value::object({{"supported_quantiles", std::move(quantiles)}, {"computed_quantiles", std::move(each)}});
      } else {
        body = std::move(each);
      }
      list.push(Value::object({{"histograms", std::move(body)}}));
    }
  }
  return Value::object({{"stats", std::move(list)}}).dump();
}

std::string stats_prometheus(const StatsSnapshot& stats, const StatsQuery& query) {
  std::string out;
  auto family = [&](const std::map<std::string, uint64_t>& table, std::string_view type) {
    std::map<std::string, std::vector<std::pair<std::string, uint64_t>>> by_name;
    for (auto& [name, n] : table) {
      if ((query.used_only && !n) || !query.takes(name)) continue;
      Tagged t = tag(name);
      by_name[std::move(t.name)].emplace_back(std::move(t.tags), n);
    }
    for (auto& [name, rows] : by_name) {
      print(out, "# TYPE {} {}\n", name, type);
      for (auto& [tags, n] : rows) print(out, "{}{{{}}} {}\n", name, tags, n);
    }
  };
  family(stats.counters, "counter");
  family(stats.gauges, "gauge");
  for (auto [families, type] : {std::pair{&stats.tagged, "counter"}, std::pair{&stats.tagged_gauges, "gauge"}})
    for (auto& [name, rows] : *families) {
      if (!query.takes(name)) continue;
      print(out, "# TYPE {} {}\n", name, type);
      for (auto& [tags, n] : rows)
        if (!query.used_only || n) print(out, "{}{{{}}} {}\n", name, tags, n);
    }
  std::map<std::string, std::vector<std::pair<std::string, const Histogram*>>> histograms;
  for (auto& [name, rows] : stats.tagged_histograms)
    if (query.takes(name))
      for (auto& [tags, h] : rows) histograms[name].emplace_back(tags, &h);
  for (auto& [name, h] : stats.histograms) {
    if ((query.used_only && !h.count) || !query.takes(name)) continue;
    Tagged t = tag(name);
    histograms[std::move(t.name)].emplace_back(std::move(t.tags), &h);
  }
  for (auto& [name, rows] : histograms) {
    print(out, "# TYPE {} histogram\n", name);
    for (auto& [tags, h] : rows) {
      std::string comma = tags.empty() ? "" : tags + ",";
      uint64_t seen = 0;
      for (size_t i = 0; i < kHistogramBounds.size(); ++i) {
        seen += h->buckets[i];
        print(out, "{}_bucket{{{}le=\"{:.15g}\"}} {}\n", name, comma, kHistogramBounds[i], seen);
      }
      print(out, "{}_bucket{{{}le=\"+Inf\"}} {}\n{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, comma, h->count, name, tags, h->sum, name, tags, h->count);
    }
  }
  return out;
}

}  // namespace fairlead::proxy
