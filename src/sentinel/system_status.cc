#include "sentinel/system_status.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

namespace fairlead::sentinel {

double SystemStatus::load() const {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : -1;
}

double SystemStatus::cpu() {
  double usage = -1;
  // user nice system idle iowait irq softirq steal
  std::ifstream in("/proc/stat");
  std::string name;
  if (in >> name && name == "cpu") {
    std::uint64_t total = 0, idle = 0, ticks = 0;
    for (int i = 0; i < 8 && in >> ticks; ++i) {
      total += ticks;
      if (i == 3 || i == 4) idle += ticks;
    }
    const std::uint64_t busy = total - idle, passed = total - std::exchange(total_, total), worked = busy - std::exchange(busy_, busy);
    if (passed > 0 && passed != total && worked <= passed) usage = static_cast<double>(worked) / static_cast<double>(passed);
  }
  rusage own{};
  timespec time{};
  if (getrusage(RUSAGE_SELF, &own) != 0 || clock_gettime(CLOCK_MONOTONIC, &time) != 0) return usage;
  const auto micros = [](const timeval& t) { return std::int64_t{t.tv_sec} * 1'000'000 + t.tv_usec; };
  const std::int64_t own_us = micros(own.ru_utime) + micros(own.ru_stime), at_us = std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
  const std::int64_t used = own_us - std::exchange(own_us_, own_us), before = std::exchange(at_us_, at_us), passed = at_us - before;
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  if (before > 0 && passed > 0 && cores > 0) usage = std::max(usage, static_cast<double>(used) / static_cast<double>(passed) / static_cast<double>(cores));
  return std::min(usage, 1.0);
}

}  // namespace fairlead::sentinel
