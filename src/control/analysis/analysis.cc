#include "control/analysis/analysis.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/strings.h"
#include "control/analysis/context.h"
#include "mesh/kinds.h"

namespace fairlead::control {

using base::Value;

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kInfo: return "Info";
    case Level::kWarning: return "Warning";
    case Level::kError: return "Error";
  }
  return "";
}

std::string Message::origin() const { return ns.empty() || kind == "Namespace" ? kind + " " + name : kind + " " + ns + "/" + name; }

std::string Message::line_text() const {
  std::string where = origin();
  if (!file.empty()) where += " " + file + (line ? fmt::format(":{}", line) : "");
  return fmt::format("{} [{}] ({}) {}", to_string(level), code, where, text);
}

// --- helpers --------------------------------------------------------------------------------------------------------

std::string ns_of(const Value& object) { return object["metadata"]["namespace"].as_string(); }

std::string full_name(const Value& object) {
  std::string ns = ns_of(object);
  const std::string& name = object["metadata"]["name"].as_string();
  return ns.empty() ? name : ns + "/" + name;
}

std::string fqdn(const std::string& host, const std::string& ns) {
  if (host.find('.') != std::string::npos || host.starts_with('*')) return host;
  return host + "." + ns + ".svc.cluster.local";
}

bool host_matches(std::string_view a, std::string_view b) {
  bool wild_a = a.starts_with('*'), wild_b = b.starts_with('*');
  std::string_view tail_a = wild_a ? a.substr(1) : a, tail_b = wild_b ? b.substr(1) : b;
  if (wild_a && wild_b) return tail_a.size() < tail_b.size() ? tail_b.ends_with(tail_a) : tail_a.ends_with(tail_b);
  if (wild_a) return b.ends_with(tail_a);
  if (wild_b) return a.ends_with(tail_b);
  return a == b;
}

std::string go_list(const std::vector<std::string>& items) { return "[" + base::join(items, " ") + "]"; }
std::string quoted(std::string_view s) { return fmt::format("\"{}\"", s); }

// --- AnalysisContext --------------------------------------------------------------------------------------------------------

AnalysisContext::AnalysisContext(const std::vector<Item>& items, const AnalysisOptions& options) : options_(options) {
  for (const Item& item : items) {
    const std::string& version = item.object["apiVersion"].as_string();
    size_t slash = version.find('/');
    std::string group = slash == std::string::npos ? "" : version.substr(0, slash);
    by_kind_[group + "/" + item.object["kind"].as_string()].push_back(&item);
  }
  for (const Item* item : of("Service", "")) {
    const Value& o = item->object;
    Host host;
    for (const Value& p : o["spec"]["ports"].items()) host.ports.push_back(p["port"].as_int());
    host.selector = o["spec"]["selector"];
    host.selects = !host.selector.empty();
    const std::string& exported = o["metadata"]["annotations"]["networking.istio.io/exportTo"].as_string();
    if (exported.empty()) {
      host.visible_to = {"*"};
    } else {
      for (std::string_view ns : base::split(exported, ','))
        host.visible_to.push_back(base::trim(ns) == "." ? ns_of(o) : std::string(base::trim(ns)));
    }
    hosts_[fqdn(o["metadata"]["name"].as_string(), ns_of(o))] = std::move(host);
  }
  for (const Item* item : istio("ServiceEntry")) {
    const Value& o = item->object;
    Host host;
    for (const Value& p : o["spec"]["ports"].items()) host.ports.push_back(p["number"].as_int());
    host.selector = o["spec"]["workloadSelector"]["labels"];
    host.selects = !host.selector.empty();
    for (const Value& e : o["spec"]["exportTo"].items()) host.visible_to.push_back(e.as_string() == "." ? ns_of(o) : e.as_string());
    if (host.visible_to.empty()) host.visible_to = {"*"};
    for (const Value& h : o["spec"]["hosts"].items()) hosts_[fqdn(h.as_string(), ns_of(o))] = host;
  }
}

const std::vector<const Item*>& AnalysisContext::of(std::string_view kind, std::string_view group) const {
  static const std::vector<const Item*> kNothing;
  auto it = by_kind_.find(fmt::format("{}/{}", group, kind));
  return it == by_kind_.end() ? kNothing : it->second;
}

const std::vector<const Item*>& AnalysisContext::istio(std::string_view kind) const {
  for (std::string_view group : {"networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"})
    if (mesh::find_kind_by_name(fmt::format("{}/v1", group), kind) || !of(kind, group).empty()) return of(kind, group);
  return of(kind, "networking.istio.io");
}

const Item* AnalysisContext::find(std::string_view kind, std::string_view ns, std::string_view name) const {
  for (const auto& [key, items] : by_kind_) {
    if (!std::string_view(key).ends_with(fmt::format("/{}", kind))) continue;
    for (const Item* item : items)
      if (item->object["metadata"]["name"].as_string() == name && ns_of(item->object) == ns) return item;
  }
  return nullptr;
}

const Host* AnalysisContext::host(const std::string& name, const std::string& ns) const {
  auto visible = [&](const Host& h) {
    return std::any_of(h.visible_to.begin(), h.visible_to.end(), [&](const std::string& v) { return v == "*" || v == ns; });
  };
  std::string full = fqdn(name, ns);
  if (auto it = hosts_.find(full); it != hosts_.end() && visible(it->second)) return &it->second;
  // "reviews.default" and "reviews.default.svc" are not names that Istio expands; wildcards are.
  for (const auto& [key, h] : hosts_)
    if (key.starts_with('*') && visible(h) && std::string_view(full).ends_with(std::string_view(key).substr(1))) return &h;
  return nullptr;
}

void AnalysisContext::report(Level level, std::string code, const Item& item, std::string text, const Value* at) {
  if (item.silent) return;
  Message m;
  m.code = std::move(code);
  m.level = level;
  m.kind = item.object["kind"].as_string();
  m.ns = m.kind == "Namespace" ? item.object["metadata"]["name"].as_string() : ns_of(item.object);
  m.name = item.object["metadata"]["name"].as_string();
  m.file = item.file;
  m.line = at && at->position.line ? at->position.line : item.object.position.line;
  m.text = std::move(text);
  messages_.push_back(std::move(m));
}

// --- analyze --------------------------------------------------------------------------------------------------------

namespace {

// "Pod *.testing" against "Pod" and "name.ns".
bool glob(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0; i <= text.size(); ++i)
      if (glob(pattern.substr(1), text.substr(i))) return true;
    return false;
  }
  return !text.empty() && pattern[0] == text[0] && glob(pattern.substr(1), text.substr(1));
}

bool suppressed(const Message& m, const std::vector<std::string>& rules) {
  std::string resource = m.kind + " " + m.name + (m.kind == "Namespace" || m.ns.empty() ? "" : "." + m.ns);
  for (const std::string& rule : rules) {
    size_t eq = rule.find('=');
    if (eq != std::string::npos && rule.substr(0, eq) == m.code && glob(std::string_view(rule).substr(eq + 1), resource)) return true;
  }
  return false;
}

bool system_namespace(std::string_view ns) {
  return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease" || ns == "local-path-storage";
}

}  // namespace

namespace {

struct Analyzer {
  AnalyzerInfo info;
  void (*run)(AnalysisContext&);
};
constexpr Analyzer kAnalyzers[] = {
    {{"annotations.K8sAnalyzer", "Istio's annotations: known ones, in their places (IST0107, IST0108)"}, analyze_annotations},
    {{"destinationrule.Analyzer", "hosts, subsets and TLS of destination rules (IST0128, IST0173, IST0174)"}, analyze_destination_rules},
    {{"gateway.Analyzer", "selectors, ports, credentials and conflicts of gateways (IST0101, IST0104, IST0145, IST0162)"}, analyze_gateways},
    {{"injection.Analyzer", "injection labels of namespaces, pods without sidecar (IST0102, IST0103, IST0123)"}, analyze_injection},
    {{"schema.ValidationAnalyzer", "every field of every resource (IST0002, IST0106, IST0130, IST0131, IST0133)"}, analyze_schema},
    {{"selector.Analyzer", "workloads that policies and sidecars select (IST0101, IST0110, IST0111, IST0127)"}, analyze_selectors},
    {{"service.Analyzer", "port names and protocols of services (IST0118, IST0137, IST0150)"}, analyze_services},
    {{"virtualservice.Analyzer", "hosts, subsets, ports and gateways of routes, conflicting hosts (IST0101, IST0109, IST0112, IST0132)"},
     analyze_virtual_services},
};

}  // namespace

std::span<const AnalyzerInfo> analyzers() {
  static const std::vector<AnalyzerInfo> kInfos = [] {
    std::vector<AnalyzerInfo> out;
    for (const Analyzer& a : kAnalyzers) out.push_back(a.info);
    return out;
  }();
  return kInfos;
}

std::string suppression_problem(std::string_view suppression) {
  if (std::count(suppression.begin(), suppression.end(), '=') != 1)
    return fmt::format("{} is not a valid suppression value. See istioctl analyze --help", suppression);
  return "";
}

std::vector<Message> analyze(const std::vector<Item>& items, const AnalysisOptions& options) {
  AnalysisContext context(items, options);
  for (const Analyzer& a : kAnalyzers) a.run(context);
  std::vector<Message> out = context.take();
  std::erase_if(out, [&](const Message& m) {
    if (!options.ns.empty() && m.ns != options.ns) return true;
    return system_namespace(m.ns) || suppressed(m, options.suppress);
  });
  auto key = [](const Message& m) { return std::tuple(-static_cast<int>(m.level), m.code, m.kind, m.name, m.ns, m.text, m.line); };
  std::sort(out.begin(), out.end(), [&](const Message& a, const Message& b) { return key(a) < key(b); });
  out.erase(std::unique(out.begin(), out.end(), [&](const Message& a, const Message& b) { return key(a) == key(b); }), out.end());
  return out;
}

}  // namespace fairlead::control
