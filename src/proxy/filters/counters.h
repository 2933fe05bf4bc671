// Counters of filters that have statistics under names of their own. Made when configuration is compiled; they stay for
// the life of the process. Counting is a relaxed addition, from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace fairlead::proxy {

struct StatsSnapshot;

std::atomic<uint64_t>& filter_counter(const std::string& name);
void add_filter_counters(StatsSnapshot& into);

}  // namespace fairlead::proxy
