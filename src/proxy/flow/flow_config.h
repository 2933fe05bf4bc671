// What a flow control filter does, compiled from fairlead.flow.v1.FlowControl: which resources a request or connection is a call of, who
// calls, with which arguments, and by which rules. Immutable, shared by all workers; made on the main thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/filters/filter.h"
#include "proxy/flow/flow_app.h"
#include "proxy/flow/flow_client.h"

namespace google::protobuf {
class Any;
}

namespace fairlead::proxy {

struct CompileContext;
struct ListenerConfig;

inline constexpr size_t kMostFlowParameters = 16;

struct FlowResource {
  enum class By : uint8_t { kText, kRoute, kCluster, kService, kPath } by = By::kText;
  std::string text;
  std::vector<PathTemplate> templates;
  uint32_t path_segments = 0;  // 0: "other"
  bool method_prefix = false;
};

struct FlowOrigin {
  std::string header;  // lower-case
  bool peer = false, address = false;
};

struct FlowParameter {
  enum class From : uint8_t { kHeader, kQuery, kCookie, kPathVariable, kAddress, kServerName } from = From::kHeader;
  std::string name;  // lower-case, of a header
};

struct FlowCounters {
  std::atomic<uint64_t>*pass = nullptr, *block = nullptr, *queued = nullptr, *exception = nullptr;
  std::atomic<uint64_t>* by_kind[6] = {};  // of those refused
};

struct FlowConfig {
  FlowApp* app = nullptr;
  FlowRules rules;
  bool inbound = true;
  std::vector<FlowResource> resources;
  FlowOrigin origin;
  std::string context;
  std::vector<FlowParameter> parameters;
  FlowCounters counters;
  std::optional<FlowDashboards> dashboards;
};

// What a route says in its place.
struct FlowRoute : RouteFilter {
  std::string resource;  // empty: the filter's resources
  bool has_origin = false, has_parameters = false;
  FlowOrigin origin;
  std::string context;   // empty: the filter's
  std::vector<FlowParameter> parameters;
};

// connection: of the TCP filter, where there are no header fields and paths.
std::shared_ptr<const FlowConfig> compile_flow(const CompileContext& at, const google::protobuf::Any& any, bool outbound, bool connection);
std::shared_ptr<const FlowRoute> compile_flow_route(const CompileContext& at, const google::protobuf::Any& any);

// Why a call was refused, as statistics, texts and details have it.
struct FlowKind {
  std::string_view word;      // "flow"
  std::string_view details;   // "flow_control_flow"
  std::string_view sentence;  // "flow rule"
};
const FlowKind& flow_kind(flow::Verdict verdict);
void count_refused(const FlowCounters& counters, flow::Verdict verdict);

// Rules of the listeners that are in force; the union of those of one app is loaded into its engine, which is a client of the dashboards
// that they name. Main thread.
class FlowRuleBook {
 public:
  explicit FlowRuleBook(io::Loop& loop) : loop_(loop) {}
  void put(const ListenerConfig& listener);
  void remove(const std::string& listener);

 private:
  using Configs = std::vector<std::shared_ptr<const FlowConfig>>;
  void load(const Configs& before, const Configs& after);

  struct Client {
    FlowDashboards dashboards;
    std::unique_ptr<FlowClient> client;
  };
  io::Loop& loop_;
  std::map<std::string, Configs> listeners_;
  std::map<FlowApp*, Client> clients_;
};

}  // namespace fairlead::proxy
