// What the engine has counted, as plain values: for the answers of Sentinel's commands (clusterNode, cnode, origin, jsonTree, metric).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::flow {

struct Statistics {
  std::int64_t threads = 0;  // calls in progress
  // Of the last second: what Sentinel calls QPS.
  std::int64_t pass = 0;
  std::int64_t block = 0;
  std::int64_t success = 0;
  std::int64_t exception = 0;
  double average_rt_ms = 0;
  // Of the last minute.
  std::int64_t minute_pass = 0;
  std::int64_t minute_block = 0;
  std::int64_t minute_success = 0;
  std::int64_t minute_exception = 0;
};

struct NamedStatistics {
  std::string name;
  Statistics values;
};

// The entrance tree: the root (machine-root), its entrances by context, under each the resources that were entered there, and under those the
// ones that were first called within them. An entrance counts what was called from it directly.
struct StatisticsTree {
  std::string name;
  Statistics values;
  std::vector<StatisticsTree> children;
};

// One second of one resource, as a line of Sentinel's metric log.
struct Metric {
  std::int64_t time_ms = 0;  // when the second began
  std::string resource;
  std::int64_t pass = 0;
  std::int64_t block = 0;
  std::int64_t success = 0;
  std::int64_t exception = 0;
  std::int64_t rt_ms = 0;  // on average
  std::int64_t occupied = 0;
  std::int64_t threads = 0;  // now
};

}  // namespace fairlead::flow
