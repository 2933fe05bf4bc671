#include "proxy/filters/counters.h"

#include <map>
#include <mutex>

#include "proxy/stats.h"

namespace fairlead::proxy {
namespace {

struct Counters {
  std::mutex mutex;
  std::map<std::string, std::atomic<uint64_t>> by_name;
};

Counters& all() {
  static Counters counters;
  return counters;
}

}  // namespace

std::atomic<uint64_t>& filter_counter(const std::string& name) {
  std::lock_guard lock(all().mutex);
  return all().by_name[name];
}

void add_filter_counters(StatsSnapshot& into) {
  std::lock_guard lock(all().mutex);
  for (auto& [name, n] : all().by_name) into.counters[name] += n.load(std::memory_order_relaxed);
}

}  // namespace fairlead::proxy
