// The engine's counters as plain values.
#include <algorithm>
#include <map>

#include "flow/engine.h"
#include "flow/resource.h"

namespace fairlead::flow {
namespace {

constexpr std::string_view kRoot = "machine-root";
constexpr std::string_view kInbound = "__total_inbound_traffic__";
constexpr std::string_view kBeyond = "(beyond the limit)";

// Adds or, by -1, takes away; averages are weighted with the calls that ended.
void add(Statistics& to, const Statistics& more, int by) {
  const double rt = to.average_rt_ms * static_cast<double>(to.success) + by * more.average_rt_ms * static_cast<double>(more.success);
  for (const auto field : {&Statistics::threads, &Statistics::pass, &Statistics::block, &Statistics::success, &Statistics::exception, &Statistics::minute_pass,
                           &Statistics::minute_block, &Statistics::minute_success, &Statistics::minute_exception})
    to.*field = std::max<std::int64_t>(0, to.*field + by * more.*field);  // counters move while they are read
  to.average_rt_ms = to.success > 0 ? std::max(0.0, rt / static_cast<double>(to.success)) : 0;
}

// Sentinel weighs the RT of an entrance's resources with the calls that passed.
void add_children(StatisticsTree& tree) {
  double rt = 0;
  for (const StatisticsTree& each : tree.children) {
    add(tree.values, each.values, 1);
    rt += each.values.average_rt_ms * static_cast<double>(each.values.pass);
  }
  tree.values.average_rt_ms = tree.values.pass > 0 ? rt / static_cast<double>(tree.values.pass) : 0;
}

void sort_by_name(auto& list) {
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
}

std::vector<NamedStatistics> read(const NodeTable& table, std::int64_t now) {
  std::vector<NamedStatistics> out;
  table.each([&](const std::string& name, const Node& node) { out.push_back({.name = name.empty() ? std::string(kBeyond) : name, .values = node.read(now)}); });
  sort_by_name(out);
  return out;
}

// By context; the engine does not count the default one apart, it is what the others leave.
std::vector<NamedStatistics> read_contexts(const Resource& resource, std::int64_t now) {
  std::vector<NamedStatistics> out = read(resource.contexts, now);
  std::erase_if(out, [](const NamedStatistics& each) { return each.name == kDefaultContext; });
  NamedStatistics rest{.name = std::string(kDefaultContext), .values = resource.node.read(now)};
  for (const NamedStatistics& each : out) add(rest.values, each.values, -1);
  const Statistics& left = rest.values;
  if (out.empty() || left.threads + left.minute_pass + left.minute_block + left.minute_success > 0) out.push_back(std::move(rest));
  sort_by_name(out);
  return out;
}

// One resource in one context, and the resource that it is called within: none, if that is empty.
struct Called {
  const Resource* resource;
  Statistics values;
  std::string_view within;
};
using Entrance = std::vector<Called>;

// Of those sorted by `within`. Ends, since no resource is within itself (Engine::nest); one without a name has none within it.
std::vector<StatisticsTree> called_within(const Entrance& calls, std::string_view name) {
  std::vector<StatisticsTree> out;
  for (const Called& each : std::ranges::equal_range(calls, name, {}, &Called::within)) {
    StatisticsTree& made = out.emplace_back(StatisticsTree{.name = each.resource->name, .values = each.values, .children = {}});
    if (!made.name.empty()) made.children = called_within(calls, made.name);
  }
  return out;
}

}  // namespace

// With changing_ held, so that none goes away. Those that rules name and no call has used yet are left out.
void Engine::each_resource(const std::function<void(const Resource&)>& visit) const {
  for (std::size_t i = 0; i < kTableSize; ++i)
    for (const Resource* resource = table_[i].load(std::memory_order_acquire); resource != nullptr; resource = resource->next.load(std::memory_order_acquire))
      if (resource->node.last_used() >= 0) visit(*resource);
}

std::vector<NamedStatistics> Engine::statistics() const {
  const std::scoped_lock lock(changing_);
  std::vector<NamedStatistics> out;
  const std::int64_t now = this->now();
  each_resource([&](const Resource& resource) { out.push_back({.name = resource.name, .values = resource.node.read(now)}); });
  if (limit_hits(Limit::Resources) > 0) out.push_back({.name = std::string(kBeyond), .values = overflow_->node.read(now)});
  sort_by_name(out);
  return out;
}

std::optional<Statistics> Engine::statistics(std::string_view resource) const {
  const std::scoped_lock lock(changing_);
  const Resource* found = find(resource, std::hash<std::string_view>{}(resource));
  return found != nullptr ? std::optional(found->node.read(now())) : std::nullopt;
}

Statistics Engine::inbound_statistics() const { return inbound_.read(now()); }

std::vector<NamedStatistics> Engine::origins(std::string_view resource) const {
  const std::scoped_lock lock(changing_);
  const Resource* found = find(resource, std::hash<std::string_view>{}(resource));
  return found != nullptr ? read(found->origins, now()) : std::vector<NamedStatistics>();
}

std::vector<NamedStatistics> Engine::contexts(std::string_view resource) const {
  const std::scoped_lock lock(changing_);
  const Resource* found = find(resource, std::hash<std::string_view>{}(resource));
  return found != nullptr ? read_contexts(*found, now()) : std::vector<NamedStatistics>();
}

StatisticsTree Engine::tree() const {
  const std::scoped_lock lock(changing_);
  const std::int64_t now = this->now();
  std::map<std::string, Entrance> entrances;
  each_resource([&](const Resource& resource) {
    for (const NamedStatistics& each : read_contexts(resource, now)) {
      const Within* place = resource.within_in(each.name);
      entrances[each.name].push_back({.resource = &resource, .values = each.values, .within = place != nullptr ? std::string_view(place->resource) : std::string_view()});
    }
  });
  StatisticsTree root{.name = std::string(kRoot), .values = {}, .children = {}};
  for (auto& [name, calls] : entrances) {
    const auto by_name = [](const Called& each) { return std::string_view(each.resource->name); };
    std::ranges::sort(calls, {}, by_name);
    // Of one that has gone nothing is left to be within.
    for (Called& each : calls)
      if (!std::ranges::binary_search(calls, each.within, {}, by_name)) each.within = {};
    std::ranges::stable_sort(calls, {}, &Called::within);
    StatisticsTree& entrance = root.children.emplace_back(StatisticsTree{.name = name, .values = {}, .children = called_within(calls, {})});
    add_children(entrance);
  }
  add_children(root);
  return root;
}

std::vector<Metric> Engine::metrics(std::int64_t after_ms) const {
  const std::scoped_lock lock(changing_);
  const std::int64_t now = this->now();
  std::vector<Metric> out;
  const auto read = [&](std::string_view name, const Node& node) {
    node.each_second(now, after_ms, [&](Metric second) {
      second.resource = name;
      out.push_back(std::move(second));
    });
  };
  each_resource([&](const Resource& resource) { read(resource.name, resource.node); });
  read(kBeyond, overflow_->node);
  read(kInbound, inbound_);
  std::sort(out.begin(), out.end(), [](const Metric& a, const Metric& b) { return a.time_ms != b.time_ms ? a.time_ms < b.time_ms : a.resource < b.resource; });
  return out;
}

}  // namespace fairlead::flow
