// What the analyzers share. Internal to analysis/.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/analysis/analysis.h"

namespace fairlead::control {

// A service that routes may name: of Kubernetes or of a ServiceEntry.
struct Host {
  std::vector<int64_t> ports;
  base::Value selector;                    // Kubernetes: spec.selector; ServiceEntry: workloadSelector.labels
  bool selects = false;                    // there is a selector
  std::vector<std::string> visible_to;     // "*", or namespaces
};

class AnalysisContext {
 public:
  AnalysisContext(const std::vector<Item>& items, const AnalysisOptions& options);

  const std::vector<const Item*>& of(std::string_view kind, std::string_view group) const;
  const std::vector<const Item*>& istio(std::string_view kind) const;      // of networking, security, telemetry ...
  const Item* find(std::string_view kind, std::string_view ns, std::string_view name) const;
  // The service that `host`, written in a resource of namespace `ns`, means; nullptr: none.
  const Host* host(const std::string& host, const std::string& ns) const;
  const AnalysisOptions& options() const { return options_; }

  void report(Level level, std::string code, const Item& item, std::string text, const base::Value* at = nullptr);
  std::vector<Message> take() { return std::move(messages_); }

 private:
  const AnalysisOptions& options_;
  std::map<std::string, std::vector<const Item*>, std::less<>> by_kind_;   // "group/Kind"
  std::map<std::string, Host> hosts_;                                      // by full name
  std::vector<Message> messages_;
};

std::string ns_of(const base::Value& object);
std::string full_name(const base::Value& object);             // "default/reviews"; cluster-scoped: the name
std::string fqdn(const std::string& host, const std::string& ns);  // "reviews" -> reviews.default.svc.cluster.local
bool host_matches(std::string_view a, std::string_view b);    // "*.a.b" and "x.a.b"
std::string go_list(const std::vector<std::string>& items);   // "[a b]"
std::string quoted(std::string_view s);

void analyze_schema(AnalysisContext& context);
void analyze_injection(AnalysisContext& context);
void analyze_annotations(AnalysisContext& context);
void analyze_virtual_services(AnalysisContext& context);
void analyze_gateways(AnalysisContext& context);
void analyze_services(AnalysisContext& context);
void analyze_destination_rules(AnalysisContext& context);
void analyze_selectors(AnalysisContext& context);

}  // namespace fairlead::control
