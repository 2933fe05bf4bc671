// The command center of a Sentinel client (sentinel-transport 1.8.8): what dashboards ask of a program over HTTP, answered from a flow
// engine. Names, answers and status codes are those of the Java client with sentinel-transport-simple-http; where they differ, README.md
// says so. No I/O here: agent.h has the sockets and files.
//
// Any thread; one command at a time. The engine must outlive it.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "flow/engine.h"
#include "flow/rules_json.h"
#include "sentinel/metric_line.h"

namespace fairlead::sentinel {

// What Sentinel 1.8.8 says of itself: dashboards choose by it what they send.
inline constexpr std::string_view kSentinelVersion = "1.8.8";
inline constexpr std::string_view kLoadResource = "__system_load__";
inline constexpr std::string_view kCpuResource = "__cpu_usage__";
inline constexpr std::size_t kMaxParameters = 64;        // of a command; those beyond are not read
inline constexpr std::size_t kMaxFaultsAnswered = 20;    // sentences about a list that is refused

struct Answer {
  int status = 200;
  std::string body;
};

using Parameters = std::map<std::string, std::string, std::less<>>;
// "a=1&b=2": as the Java client reads it. Empty names and values are left out, the last of a name counts.
void read_parameters(std::string_view text, Parameters& out);

struct CommandRequest {
  std::string_view method, target, content_type;
  bool has_content_type = false;
  std::string_view body;
};

// What is asked of the metric log.
struct MetricQuery {
  std::int64_t begin_ms = 0;
  std::optional<std::int64_t> end_ms;    // with it: up to this second, of one resource if identity is set
  std::optional<std::string> identity;
  std::size_t max_lines = 6000;          // without end_ms: about this many, but whole seconds
};

class Commands {
 public:
  struct Options {
    std::string host, ip;  // for basicInfo
    std::function<std::vector<MetricLine>(const MetricQuery&)> metrics;  // null: there are none
    std::function<std::string(std::string_view kind)> refuse_rules = nullptr;  // as AgentOptions
    // After a command has changed gateway rules or API definitions: for programs that have a flow::Gateway.
    std::function<void(const std::vector<flow::GatewayFlowRule>&, const std::vector<flow::ApiDefinition>&)> on_gateway;
  };

  Commands(flow::Engine& engine, Options options);

  // A request over HTTP: finds the command and its parameters.
  Answer serve(const CommandRequest& request);
  Answer run(std::string_view name, const Parameters& parameters);

 private:
  struct Command;
  static const std::vector<Command>& commands();

  Answer api(const Parameters&);
  Answer basic_info(const Parameters&);
  Answer get_rules(const Parameters&);
  Answer set_rules(const Parameters&);
  Answer cluster_node(const Parameters&);
  Answer cluster_node_by_id(const Parameters&);
  Answer cnode(const Parameters&);
  Answer origin(const Parameters&);
  Answer tree(const Parameters&);
  Answer json_tree(const Parameters&);
  Answer system_status(const Parameters&);
  Answer metric(const Parameters&);
  Answer get_switch(const Parameters&);
  Answer set_switch(const Parameters&);
  Answer get_cluster_mode(const Parameters&);
  Answer set_cluster_mode(const Parameters&);
  template <class Rule>
  Answer held(const Parameters&);
  template <class Rule>
  Answer replace(const Parameters&);

  flow::StatisticsTree whole_tree() const;
  std::string node(std::string_view name, const flow::Statistics& values, std::string_view id, std::string_view parent) const;
  std::string fresh_id();

  flow::Engine& engine_;
  const Options options_;
  std::mutex mutex_;
  // As they were set last, with the members that the engine does not know. The engine may have got others since, by the program itself.
  std::tuple<std::vector<flow::ListedRule<flow::FlowRule>>, std::vector<flow::ListedRule<flow::DegradeRule>>, std::vector<flow::ListedRule<flow::AuthorityRule>>,
             std::vector<flow::ListedRule<flow::SystemRule>>, std::vector<flow::ListedRule<flow::ParamFlowRule>>, std::vector<flow::ListedRule<flow::GatewayFlowRule>>,
             std::vector<flow::ListedRule<flow::ApiDefinition>>>
      set_;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace fairlead::sentinel
