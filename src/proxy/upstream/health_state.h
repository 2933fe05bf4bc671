// Whether the process is to be taken for unhealthy: draining, or told so on the admin page. Written by the main thread,
// read by all workers.
#pragma once

#include <atomic>

namespace fairlead::proxy {

inline std::atomic<bool>& health_check_failed() {
  static std::atomic<bool> failed{false};
  return failed;
}

}  // namespace fairlead::proxy
