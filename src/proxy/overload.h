// Overload: what the process does when connections or memory come near their limit (Envoy's overload manager).
//
// The main thread measures and sets the flags, workers read them; one for the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace fairlead::proxy {

class Overload {
 public:
  // overload_manager, and the runtime key overload.global_downstream_max_connections.
  static base::Result<std::unique_ptr<Overload>> from(const envoy::config::bootstrap::v3::Bootstrap& bootstrap);

  // --- any thread
  bool stop_requests() const { return stop_requests_.load(std::memory_order_relaxed); }
  bool stop_connections() const { return stop_connections_.load(std::memory_order_relaxed); }
  bool disable_keepalive() const { return disable_keepalive_.load(std::memory_order_relaxed); }
  // Of clients. A limit of 0 is none, and is not counted.
  bool connections_full() const { return max_connections_ && connections_.load(std::memory_order_relaxed) >= max_connections_; }
  void connection(int change) {
    if (max_connections_) connections_.fetch_add(static_cast<uint64_t>(static_cast<int64_t>(change)), std::memory_order_relaxed);
  }

  // --- main thread
  bool watches_memory() const { return max_heap_bytes_ > 0; }
  base::Nanos interval() const { return interval_; }
  void measure();                       // looks at the process's memory
  void apply(double pressure);          // of memory, 0 to 1 and beyond

 private:
  struct Action {
    std::atomic<bool>* flag;
    double threshold;
  };
  uint64_t max_connections_ = 0;
  uint64_t max_heap_bytes_ = 0;
  base::Nanos interval_ = std::chrono::seconds(1);
  std::vector<Action> actions_;
  std::atomic<bool> stop_requests_{false}, stop_connections_{false}, disable_keepalive_{false};
  std::atomic<uint64_t> connections_{0};
};

}  // namespace fairlead::proxy
