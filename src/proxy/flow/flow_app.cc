#include "proxy/flow/flow_app.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "base/log.h"
#include "base/time.h"
#include "proxy/filters/counters.h"

namespace fairlead::proxy {
namespace {

template <class Rule>
void add_rules(std::optional<std::vector<Rule>>& to, const std::optional<std::vector<Rule>>& from) {
  if (!from || to == from) return;
  if (!to) to.emplace();
  for (const Rule& rule : *from)
    if (std::ranges::find(*to, rule) == to->end()) to->push_back(rule);
}

template <class Rule>
std::vector<Rule> all_of(const std::optional<std::vector<Rule>>& rules) {
  return rules.value_or(std::vector<Rule>());
}

}  // namespace

void FlowRules::add(const FlowRules& other) {
  add_rules(flow, other.flow);
  add_rules(degrade, other.degrade);
  add_rules(param_flow, other.param_flow);
  add_rules(system, other.system);
  add_rules(authority, other.authority);
  add_rules(gateway_flow, other.gateway_flow);
  add_rules(gateway_apis, other.gateway_apis);
}

FlowApp& FlowApp::of(const std::string& name) {
  // Never destroyed: workers may enter calls until the process ends.
  static auto& mutex = *new std::mutex;
  static auto& apps = *new std::map<std::string, std::unique_ptr<FlowApp>>;
  std::lock_guard lock(mutex);
  auto& app = apps[name];
  if (!app) app.reset(new FlowApp(name));
  return *app;
}

FlowApp::FlowApp(std::string name)
    : name_(std::move(name)), engine_([] {
        flow::Engine::Options options;
        options.max_resources = kMostResources;
        return options;
      }()),
      names_(std::make_shared<const Names>()) {
  auto& opened = filter_counter("flow." + name_ + ".breaker_open");
  auto& closed = filter_counter("flow." + name_ + ".breaker_closed");
  engine_.on_breaker_change([&opened, &closed, app = name_](const flow::DegradeRule& rule, flow::BreakerState from, flow::BreakerState to) {
    if (to == flow::BreakerState::Open) ++opened;
    if (to == flow::BreakerState::Closed) ++closed;
    FL_LOG_INFO("flow", "app {}: the breaker of {} went from {} to {}", app, rule.resource, flow::to_string(from), flow::to_string(to));
  });
  std::array<std::atomic<uint64_t>*, 4> limits{};
  static constexpr const char* kLimits[] = {"limit_resources", "limit_nodes", "limit_param_values", "limit_param_threads"};  // as flow::Limit
  for (size_t i = 0; i < limits.size(); ++i) limits[i] = &filter_counter("flow." + name_ + "." + kLimits[i]);
  engine_.on_limit([limits, app = name_](flow::Limit limit, std::string_view resource, uint64_t times) {
    *limits[static_cast<size_t>(limit)] = times;
    FL_LOG_WARN("flow", "app {}: the limit of {} was met at resource {} ({} times): calls beyond it are counted together", app, flow::to_string(limit), resource, times);
  });
}

void FlowApp::load(const FlowRules& rules) {
  std::lock_guard lock(changing_);
  auto replace = [&](auto& before, const auto& now) {
    if (before == now) return false;
    for (const std::string& sentence : engine_.load(all_of(now))) FL_LOG_WARN("flow", "app {}: {}", name_, sentence);
    before = now;
    return true;
  };
  // Breakers and counts first, so that no call of a new resource passes between them unchecked for longer than it must.
  replace(loaded_.authority, rules.authority);
  replace(loaded_.system, rules.system);
  replace(loaded_.degrade, rules.degrade);
  replace(loaded_.param_flow, rules.param_flow);
  replace(loaded_.flow, rules.flow);
  if (replace(loaded_.gateway_flow, rules.gateway_flow)) gateway_rules_ = all_of(loaded_.gateway_flow);
  if (loaded_.gateway_apis != rules.gateway_apis) {
    loaded_.gateway_apis = rules.gateway_apis;
    gateway_apis_ = all_of(loaded_.gateway_apis);
  }
  measured_ = measures_ && loaded_.system && !loaded_.system->empty();
  rename();
}

void FlowApp::set_gateway(const std::vector<flow::GatewayFlowRule>& rules, const std::vector<flow::ApiDefinition>& apis) {
  std::lock_guard lock(changing_);
  gateway_rules_ = rules;
  gateway_apis_ = apis;
  rename();
}

// Of all rules in force, whoever loaded them.
std::vector<PathTemplate> FlowApp::templates() const {
  std::vector<PathTemplate> out;
  auto take = [&](const auto& rules) {
    for (const auto& rule : rules) {
      PathTemplate made;
      std::string problem;
      if (!PathTemplate::looks_like(rule.resource) || rule.regex || !PathTemplate::compile(rule.resource, made, problem)) continue;
      if (std::ranges::find(out, made) == out.end()) out.push_back(std::move(made));
    }
  };
  take(engine_.rules<flow::FlowRule>());
  take(engine_.rules<flow::DegradeRule>());
  take(engine_.rules<flow::ParamFlowRule>());
  take(engine_.rules<flow::AuthorityRule>());
  return out;
}

void FlowApp::rename() {
  auto names = std::make_shared<Names>();
  names->templates = templates();
  if (!gateway_rules_.empty() || !gateway_apis_.empty()) names->gateway = std::make_unique<const flow::Gateway>(gateway_rules_, gateway_apis_);
  names_ = std::move(names);
  names_version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const FlowApp::Names> FlowApp::names() const {
  std::lock_guard lock(changing_);
  return names_;
}

void FlowApp::follow_engine(bool another) {
  std::lock_guard lock(changing_);
  measures_ = !another;
  measured_ = measures_ && loaded_.system && !loaded_.system->empty();
  if (templates() != names_->templates) rename();
}

std::string FlowApp::refuse_rules(std::string_view kind) const {
  std::lock_guard lock(changing_);
  const bool set = kind == "flow"             ? loaded_.flow.has_value()
                   : kind == "degrade"        ? loaded_.degrade.has_value()
                   : kind == "authority"      ? loaded_.authority.has_value()
                   : kind == "system"         ? loaded_.system.has_value()
                   : kind == "parameter flow" ? loaded_.param_flow.has_value()
                   : kind == "gateway"        ? loaded_.gateway_flow.has_value()
                                              : loaded_.gateway_apis.has_value();
  if (!set) return {};
  return fmt::format("the {} rules of {} are set by the proxy's own configuration (in a mesh: kubectl get flowrules,degraderules,... -A); remove them there to set them here", kind, name_);
}

// Once a second, by whoever enters a call then: only checks want to know. These files are the kernel's own, so reading them does not wait.
void FlowApp::measure() {
  const int64_t now = base::Clock::now().time_since_epoch().count();
  if (now < next_measure_ns_.load(std::memory_order_relaxed)) return;
  std::unique_lock lock(measuring_, std::try_to_lock);
  if (!lock || now < next_measure_ns_.load(std::memory_order_relaxed)) return;
  next_measure_ns_.store(now + 1'000'000'000, std::memory_order_relaxed);
  double load = -1, cpu = -1;
  if (std::FILE* file = std::fopen("/proc/loadavg", "re")) {
    if (std::fscanf(file, "%lf", &load) != 1) load = -1;
    std::fclose(file);
  }
  if (std::FILE* file = std::fopen("/proc/stat", "re")) {
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
    if (std::fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq, &soft, &steal) == 8) {
      const uint64_t busy = user + nice + system + irq + soft + steal, total = busy + idle + wait;
      if (total_ != 0 && total > total_) cpu = static_cast<double>(busy - busy_) / static_cast<double>(total - total_);
      busy_ = busy;
      total_ = total;
    }
    std::fclose(file);
  }
  engine_.set_system_status(load, cpu);
}

}  // namespace fairlead::proxy
