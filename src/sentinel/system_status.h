// What system rules compare with: load and CPU, from the kernel. Owner: the agent, on its thread.
#pragma once

#include <cstdint>

namespace fairlead::sentinel {

class SystemStatus {
 public:
  double load() const;  // 1 minute average; -1: unknown
  // 0..1 since the last call: of the machine or of this process, the higher; -1: unknown, as the first time.
  double cpu();

 private:
  std::uint64_t busy_ = 0, total_ = 0;  // ticks of the machine
  std::int64_t own_us_ = 0, at_us_ = 0;
};

}  // namespace fairlead::sentinel
