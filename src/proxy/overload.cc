#include "proxy/overload.h"

#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/overload/v3/overload.pb.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"
#include "envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap.pb.h"

namespace fairlead::proxy {

namespace monitors = envoy::extensions::resource_monitors;
using base::Code;

base::Result<std::unique_ptr<Overload>> Overload::from(const envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  auto o = std::make_unique<Overload>();
  // Istio and Envoy's own guides set the limit of connections as a runtime key.
  for (const auto& layer : bootstrap.layered_runtime().layers()) {
    const auto& fields = layer.static_layer().fields();
    if (auto at = fields.find("overload.global_downstream_max_connections"); at != fields.end()) {
      double value = at->second.kind_case() == google::protobuf::Value::kNumberValue ? at->second.number_value()
                                                                                    : static_cast<double>(base::to_int(at->second.string_value()).value_or(0));
      if (value > 0) o->max_connections_ = static_cast<uint64_t>(value);
    }
  }
  const auto& manager = bootstrap.overload_manager();
  if (manager.has_refresh_interval()) {
    o->interval_ = std::chrono::seconds(manager.refresh_interval().seconds()) + base::Nanos(manager.refresh_interval().nanos());
    if (o->interval_ < std::chrono::milliseconds(10)) o->interval_ = std::chrono::milliseconds(10);
  }
  std::string memory_monitor;
  int i = 0;
  for (const auto& m : manager.resource_monitors()) {
    std::string where = fmt::format("overload_manager.resource_monitors[{}]", i++);
    const auto& any = m.typed_config();
    if (any.Is<monitors::fixed_heap::v3::FixedHeapConfig>()) {
      monitors::fixed_heap::v3::FixedHeapConfig heap;
      if (!any.UnpackTo(&heap) || heap.max_heap_size_bytes() == 0)
        return base::fail(Code::kInvalidArgument, "{}.typed_config.max_heap_size_bytes: more than 0 is required", where);
      o->max_heap_bytes_ = heap.max_heap_size_bytes();
      memory_monitor = m.name();
    } else if (any.Is<monitors::downstream_connections::v3::DownstreamConnectionsConfig>()) {
      monitors::downstream_connections::v3::DownstreamConnectionsConfig connections;
      if (!any.UnpackTo(&connections) || connections.max_active_downstream_connections() <= 0)
        return base::fail(Code::kInvalidArgument, "{}.typed_config.max_active_downstream_connections: more than 0 is required", where);
      o->max_connections_ = static_cast<uint64_t>(connections.max_active_downstream_connections());
    } else {
      return base::fail(Code::kInvalidArgument, "{}: {} is not known; fixed_heap and downstream_connections are", where, any.type_url());
    }
  }
  i = 0;
  for (const auto& action : manager.actions()) {
    std::string where = fmt::format("overload_manager.actions[{}]", i++);
    std::atomic<bool>* flag = action.name() == "envoy.overload_actions.stop_accepting_requests"      ? &o->stop_requests_
                              : action.name() == "envoy.overload_actions.stop_accepting_connections" ? &o->stop_connections_
                              : action.name() == "envoy.overload_actions.disable_http_keepalive"     ? &o->disable_keepalive_
                                                                                                     : nullptr;
    // Memory goes back by itself here, and nothing waits for a timer to be scaled.
    if (!flag) continue;
    for (const auto& trigger : action.triggers()) {
      if (trigger.name() != memory_monitor)
        return base::fail(Code::kInvalidArgument, "{}.triggers: no memory monitor is called {}", where, trigger.name());
      o->actions_.push_back({flag, trigger.has_threshold() ? trigger.threshold().value() : trigger.scaled().saturation_threshold()});
    }
  }
  return o;
}

void Overload::measure() {
  if (!max_heap_bytes_) return;
  // The second number is what is resident, in pages.
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"), &std::fclose);
  unsigned long long total = 0, resident = 0;
  if (!file || std::fscanf(file.get(), "%llu %llu", &total, &resident) != 2) return;
  apply(static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / static_cast<double>(max_heap_bytes_));
}

void Overload::apply(double pressure) {
  for (const Action& a : actions_) a.flag->store(false, std::memory_order_relaxed);
  for (const Action& a : actions_)
    if (pressure >= a.threshold) a.flag->store(true, std::memory_order_relaxed);
}

}  // namespace fairlead::proxy
