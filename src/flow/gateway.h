// Rules of gateways (Sentinel's GatewayFlowRule and ApiDefinition of 1.8.8): which values of a request are the arguments of a call, and
// which groups of paths (APIs) a request belongs to. The engine checks them: Engine::load(std::vector<GatewayFlowRule>).
//
//   flow::Gateway gateway(rules, apis);                                       // when rules change; immutable, any thread
//   gateway.params("route-a", flow::kResourceRoute, request, params);         // for each request
//   auto entry = engine.enter("route-a", {.inbound = true, .params = params});
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flow/param.h"
#include "flow/rules.h"

namespace fairlead::flow {

// What a rule may ask of a request. Texts must live until the call has ended; names of headers are compared as HTTP does.
class GatewayRequest {
 public:
  virtual ~GatewayRequest() = default;
  using Value = std::optional<std::string_view>;  // nothing: the request has none, and no rule is asked
  virtual Value remote_address() const = 0;
  virtual Value header(std::string_view name) const = 0;  // the first of them, as for the others
  virtual Value url_param(std::string_view name) const = 0;
  virtual Value cookie(std::string_view name) const = 0;
};

// The rules for parameters that gateway rules stand for, each with the position of the gateway rule; invalid rules are left out.
std::vector<std::pair<int, ParamFlowRule>> to_param_rules(const std::vector<GatewayFlowRule>& rules);

class Gateway {
 public:
  Gateway(const std::vector<GatewayFlowRule>& rules, const std::vector<ApiDefinition>& apis);
  ~Gateway();

  // Puts the arguments of a call of the resource into `out`; empty if it has no rules. `mode`: what the resource is, a route or an API.
  void params(std::string_view resource, int mode, const GatewayRequest& request, std::vector<Param>& out) const;
  // Names of the APIs that the path belongs to, in the order of their list.
  void apis(std::string_view path, std::vector<std::string_view>& out) const;

 private:
  struct Argument;
  struct Api;
  std::unordered_map<std::string, std::vector<Argument>> arguments_;
  std::vector<Api> apis_;
};

// Paths as Spring's AntPathMatcher takes them: ? one character, * within a segment, ** any segments, {name} and {name:expression} a
// segment or part of one.
class PathPattern {
 public:
  static std::optional<PathPattern> compile(std::string_view pattern, std::string& problem);
  static bool has_wildcard(std::string_view pattern);
  bool matches(std::string_view path) const;

 private:
  struct Segment;
  bool begins_with_slash_ = false, ends_with_slash_ = false;
  std::vector<std::shared_ptr<const Segment>> segments_;
};

}  // namespace fairlead::flow
